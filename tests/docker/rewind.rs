//! Replicas that are led back to the primary's history from their own data, and what goes wrong meanwhile.

use serde_json::json;

use crate::by_hand::rows_in;
use crate::world::{World, docker, docker_output, image};

const OLD_DATA: &str = "/mnt/reconciler-old";

/// A cluster that is rewound wherever that is possible.
fn rewinding(test: &str) -> World {
    let mut world = World::new(test, 1);
    world.spec["storage"] = json!({"reseed": "Rewind"});
    world.start();
    world.wait_ready();
    world.sql("master", "postgres", "create table t (who text)");
    // A rewind goes back to the last checkpoint that both have: one that the replica has the log of.
    world.sql("master", "postgres", "checkpoint");
    world.sql("master", "postgres", "insert into t values ('father')");
    world.until("the replica has it", |w| {
        w.sql("replica-1", "postgres", "select who from t") == "father"
    });
    world
}

/// Somebody promotes a replica by hand, and both are written to.
fn part(world: &World) {
    // The agent would fence it within a moment, before there is anything to be found.
    assert_eq!(world.cli(&["pause", &world.name]).code, 0);
    assert_eq!(world.sql("replica-1", "postgres", "select pg_promote()"), "t");
    assert_eq!(
        world.sql("replica-1", "postgres", "insert into t values ('lost son')"),
        ""
    );
    assert_eq!(world.sql("master", "postgres", "insert into t values ('father')"), "");
    assert_eq!(world.cli(&["resume", &world.name]).code, 0);
}

fn streams_as_the_primary_does(world: &World, member: &str) {
    world.until("it streams", |w| {
        w.member(member)["state"] == "streaming" && w.is_ready()
    });
    let rows = "select string_agg(who, ',' order by who) from t";
    assert_eq!(world.sql(member, "postgres", rows), "father,father");
}

fn mounts_the_old_volume(world: &World, member: &str) -> bool {
    let format = "{{.State.Running}} {{range .Mounts}}{{.Destination}} {{end}}";
    let output = docker_output(&["inspect", "-f", format, &world.container(member)]);
    output.out.starts_with("true") && output.out.contains(OLD_DATA)
}

#[test]
fn a_replica_that_accepted_writes_is_rewound_in_a_copy_and_its_old_volume_stays_as_it_was() {
    let world = rewinding("rewind");
    part(&world);
    streams_as_the_primary_does(&world, "replica-1");
    let events = world.events();
    assert!(events.contains("by rewind"), "{events}");
    assert!(!events.contains("cannot be rewound"), "{events}");
    assert!(world.volumes().contains(&world.volume("replica-1", 1)));
    assert!(
        !mounts_the_old_volume(&world, "replica-1"),
        "it has no use for it any more"
    );
    // What it wrote is still there for whoever wants to look.
    let old = rows_in(&world, "replica-1", "t");
    assert!(old.contains("lost son"), "{old}");
}

#[test]
fn a_primary_that_was_killed_and_replaced_by_force_is_rewound() {
    let world = rewinding("rewindkill");
    assert_eq!(world.cli(&["pause", &world.name]).code, 0);
    docker(&["stop", "-t", "20", &world.container("replica-1")]);
    world.sql("master", "postgres", "insert into t values ('lost son')");
    docker(&["kill", &world.container("master")]);
    docker(&["rm", &world.container("master")]);
    // Somebody else's container has its name, so it cannot be made again.
    docker(&[
        "create",
        "--label",
        "dev-test=docker",
        "--name",
        &world.container("master"),
        &image(),
    ]);
    assert_eq!(world.cli(&["resume", &world.name]).code, 0);
    docker(&["start", &world.container("replica-1")]);
    world.until("replica-1 answers", |w| !w.member("replica-1")["lsn"].is_null());
    let forced = world.cli(&["promote", "replica-1", "--force", "--timeout", "1"]);
    world.until("it is promoted", |w| w.primary() == "replica-1");
    assert_ne!(forced.code, 4, "{}{}", forced.out, forced.err);
    world.sql("replica-1", "postgres", "insert into t values ('father')");
    docker(&["rm", "-v", &world.container("master")]);
    streams_as_the_primary_does(&world, "master");
    let events = world.events();
    assert!(
        events.contains("did not stop cleanly") && events.contains("by rewind"),
        "{events}"
    );
    assert!(!events.contains("cannot be rewound"), "{events}");
    assert!(
        world.volumes().contains(&world.volume("master", 1)),
        "its writes are nowhere else"
    );
}

#[test]
fn a_rewind_and_the_agent_are_killed_half_way() {
    let mut world = rewinding("rewindcut");
    world.sql(
        "master",
        "postgres",
        "create table big as select repeat(md5(g::text), 30) t from generate_series(1, 60000) g",
    );
    part(&world);
    world.until("it is being rewound", |w| mounts_the_old_volume(w, "replica-1"));
    world.kill_agent();
    docker_output(&["kill", &world.container("replica-1")]);
    world.start_agent();
    streams_as_the_primary_does(&world, "replica-1");
    assert!(world.volumes().contains(&world.volume("replica-1", 1)));
}

#[test]
fn a_rewind_that_cannot_be_done_becomes_a_clone() {
    let world = rewinding("norewind");
    assert_eq!(world.cli(&["pause", &world.name]).code, 0);
    assert_eq!(world.sql("replica-1", "postgres", "select pg_promote()"), "t");
    assert_eq!(world.sql("master", "postgres", "insert into t values ('father')"), "");
    // The log from before the parting is what a rewind begins with.
    let script = "rm -f \"$PGDATA\"/pg_wal/0*";
    let replica = world.container("replica-1");
    docker(&["exec", "-u", "postgres", &replica, "sh", "-c", script]);
    assert_eq!(world.cli(&["resume", &world.name]).code, 0);
    streams_as_the_primary_does(&world, "replica-1");
    let events = world.events();
    assert!(events.contains("cannot be rewound and is cloned"), "{events}");
}
