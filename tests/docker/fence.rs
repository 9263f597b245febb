//! Members that were opened for writing where the agent does not reach them, and a host from which almost all is gone.

use crate::by_hand::rows_in;
use crate::world::{World, docker, docker_output};

/// Somebody promotes a replica, which then accepts a row that nobody else has.
fn promote_by_hand(world: &World, member: &str) {
    assert_eq!(world.sql(member, "postgres", "select pg_promote()"), "t");
    let row = format!("create table only_on_{} as select 7 as n", member.replace('-', "_"));
    assert_eq!(world.sql(member, "postgres", &row), "");
}

#[test]
fn who_was_opened_for_writing_out_of_sight_is_fenced_before_it_comes_back() {
    let mut world = World::ready("unseen", 3);
    world.kill_agent();
    for member in ["replica-1", "replica-2", "replica-3"] {
        promote_by_hand(&world, member);
    }
    // One is cut off, one is paused, and one lets the agent in no more.
    for network in ["net", "svc"] {
        let network = format!("{}-{network}", world.name);
        docker(&["network", "disconnect", &network, &world.container("replica-1")]);
    }
    docker(&["pause", &world.container("replica-2")]);
    world.sql(
        "replica-3",
        "postgres",
        "alter role postgres password 'somebody''s own'",
    );
    world.start_agent();
    world.until("each is fenced", |w| {
        let events = w.events();
        let fenced = |member: &str| {
            let of_member = |line: &str| line.contains(&format!("{member}: ")) && line.contains("opened for writing");
            events.lines().any(of_member)
        };
        ["replica-1", "replica-2", "replica-3"].into_iter().all(fenced)
    });
    world.until("all follow the primary again", |w| {
        let streams = |member: &str| w.member(member)["state"] == "streaming";
        w.is_ready() && ["replica-1", "replica-2", "replica-3"].into_iter().all(streams)
    });
    for member in ["replica-1", "replica-2", "replica-3"] {
        assert_eq!(world.sql(member, "postgres", "select pg_is_in_recovery()"), "t");
        let left = world.sql(
            member,
            "postgres",
            "select count(*) from pg_class where relname like 'only_on_%'",
        );
        assert_eq!(left, "0", "{member} has the primary's data");
    }
    // What was written to each is still there.
    for member in ["replica-1", "replica-2", "replica-3"] {
        let table = format!("only_on_{}", member.replace('-', "_"));
        let rows = rows_in(&world, member, &table);
        assert!(
            rows.contains("n = \"7\""),
            "what was written to {member} is kept: {rows}"
        );
    }
}

#[test]
fn with_nothing_but_its_networks_left_a_cluster_is_made_again() {
    let mut world = World::ready("bare", 1);
    world.kill_agent();
    for member in ["master", "replica-1"] {
        docker(&["rm", "-f", "-v", &world.container(member)]);
    }
    for volume in world.volumes() {
        docker(&["volume", "rm", &volume]);
    }
    let network = docker(&["network", "inspect", "-f", "{{.Id}}", &world.network()]);
    std::fs::remove_dir_all(world.state_dir()).unwrap();
    world.start_agent();
    world.wait_ready();
    let found = docker_output(&["network", "inspect", "-f", "{{.Id}}", &world.network()]);
    assert_eq!(found.out.trim(), network, "it knows its own network");
}

#[test]
fn a_replica_that_lets_nobody_in_takes_over_when_nothing_is_left_of_the_primary() {
    let mut world = World::ready("shut", 1);
    world.sql("master", "postgres", "create table t as select 1 as n");
    world.kill_agent();
    world.sql("master", "postgres", "alter role postgres password 'somebody''s own'");
    let password = "select rolpassword from pg_authid where rolname = 'postgres'";
    let changed = world.sql("master", "postgres", password);
    world.until("it has reached the replica", |w| {
        w.sql("replica-1", "postgres", password) == changed
    });
    world.lose("master");
    world.start_agent();
    world.until("it is asked about", |w| w.condition("Ready").1 == "NeedsConfirmation");
    let promoted = world.cli(&["promote", "replica-1", "--force"]);
    assert_eq!(promoted.code, 0, "{}{}", promoted.out, promoted.err);
    world.wait_ready();
    assert_eq!(world.primary(), "replica-1");
    assert_eq!(world.sql("replica-1", "postgres", "select n from t"), "1");
}
