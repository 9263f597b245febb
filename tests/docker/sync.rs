//! Synchronous replication: what was acknowledged is on whoever is promoted, and commits wait for no more than they must.

use std::time::Duration;

use serde_json::{Value, json};

use crate::promotion::writer::{self, Writer};
use crate::world::{World, docker, docker_output};

const CONDITION: &str = "SynchronousReplication";
const MEMBERS: [&str; 3] = ["master", "replica-1", "replica-2"];

/// A cluster whose commits wait as `replication` says.
fn synchronous(test: &str, replicas: u32, replication: Value) -> World {
    let mut world = World::new(test, replicas);
    world.spec["replication"] = replication;
    world.start();
    world.wait_ready();
    wait_until_enforced(&world);
    world
}

fn wait_until_enforced(world: &World) {
    world.until("commits wait as the manifest says", |w| {
        w.is_ready() && w.condition(CONDITION).1 == "Enforced"
    });
}

fn names(world: &World) -> String {
    world.sql(&world.primary(), "postgres", "show synchronous_standby_names")
}

/// How many commits wait for a replica now.
fn waiting(world: &World) -> String {
    let sql = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
    world.sql("master", "postgres", sql)
}

fn assert_nothing_is_lost(world: &World, acknowledged: &[i64]) {
    let missing = writer::missing(world, &world.primary(), acknowledged);
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
}

#[test]
fn required_commits_wait_for_the_last_replica_and_go_on_with_it() {
    let world = synchronous("synreq", 1, json!({"mode": "synchronous"}));
    assert_eq!(names(&world), r#"ANY 1 ("replica-1")"#);
    assert_eq!(world.member("replica-1")["syncState"], "quorum");
    let writer = Writer::start(&world, &MEMBERS[..2]);
    writer.wait_for(20);
    assert_eq!(world.cli(&["pause", &world.name]).code, 0);
    docker(&["kill", &world.container("replica-1")]);
    world.until("a commit waits", |w| waiting(w) != "0");
    world.until("it is said", |w| w.condition(CONDITION).1 == "Waiting");
    let reached = writer.acknowledged();
    assert_eq!(world.cli(&["resume", &world.name]).code, 0);
    writer.wait_for(reached + 20);
    wait_until_enforced(&world);
    assert!(!world.events().contains("wait for no replica"), "{}", world.events());
    assert_nothing_is_lost(&world, &writer.stop());
}

#[test]
fn preferred_commits_go_on_without_replicas_and_wait_again_when_one_streams() {
    let world = synchronous("synpref", 1, json!({"mode": "synchronous", "durability": "preferred"}));
    let writer = Writer::start(&world, &MEMBERS[..2]);
    world.until("commits wait for nobody", |w| {
        // It may be down already.
        docker_output(&["kill", &w.container("replica-1")]);
        w.condition(CONDITION).1 == "Degraded"
    });
    let reached = writer.acknowledged();
    writer.wait_for(reached + 20);
    wait_until_enforced(&world);
    assert_eq!(names(&world), r#"ANY 1 ("replica-1")"#);
    assert_nothing_is_lost(&world, &writer.stop());
}

#[test]
fn restarts_switchovers_and_a_lost_primary_lose_no_acknowledged_write() {
    let world = synchronous("synlose", 2, json!({"mode": "synchronous"}));
    let writer = Writer::start(&world, &MEMBERS);
    writer.wait_for(20);
    assert_eq!(world.cli(&["restart", "replica-1"]).code, 0);
    world.wait_event("replica-1: start container, because a restart was requested");
    let events = world.events();
    let left = events.find("commits are to wait for replica-2, because replica-1 is to be restarted");
    let stopped = events.find("replica-1: stop container");
    assert!(left.is_some() && left < stopped, "it leaves first:\n{events}");
    wait_until_enforced(&world);
    assert_eq!(names(&world), r#"ANY 1 ("replica-1", "replica-2")"#);

    let promoted = world.cli(&["promote", "replica-1"]);
    assert_eq!(promoted.code, 0, "{}{}", promoted.out, promoted.err);
    wait_until_enforced(&world);
    assert_eq!(names(&world), r#"ANY 1 ("master", "replica-2")"#);
    let reached = writer.acknowledged();
    writer.wait_for(reached + 50);

    world.lose("replica-1");
    world.until("it is seen", |w| w.condition("PrimaryAvailable").0 == "False");
    let target = world.until_some("the furthest is known", |w| {
        let proved = |member: &&str| {
            let dry = w.cli(&["promote", member, "--force", "--dry-run"]);
            dry.out.contains("every acknowledged write has reached it")
        };
        ["master", "replica-2"].into_iter().find(proved)
    });
    let forced = world.cli(&["promote", target, "--force"]);
    assert_eq!(forced.code, 0, "{}{}", forced.out, forced.err);
    let reached = writer.acknowledged();
    writer.wait_for(reached + 20);
    wait_until_enforced(&world);
    assert_eq!(world.primary(), target);
    assert_nothing_is_lost(&world, &writer.stop());
}

#[test]
fn a_live_cluster_changes_its_mind_about_what_commits_wait_for() {
    let mut world = World::ready("synedit", 2);
    assert_eq!(world.condition(CONDITION), Default::default());
    let writer = Writer::start(&world, &MEMBERS);
    let steps = [
        (
            json!({"mode": "synchronous", "number": 2}),
            r#"ANY 2 ("replica-1", "replica-2")"#,
        ),
        (
            json!({"mode": "synchronous", "method": "first"}),
            r#"FIRST 1 ("replica-1", "replica-2")"#,
        ),
        (json!({"mode": "synchronous"}), r#"ANY 1 ("replica-1", "replica-2")"#),
    ];
    for (round, (replication, expected)) in steps.into_iter().enumerate() {
        world.edit(|spec| spec["replication"] = replication);
        // The agent dies at another moment of each change.
        for millis in [100, 400, 900] {
            std::thread::sleep(Duration::from_millis(millis + 50 * u64::try_from(round).unwrap()));
            world.restart_agent();
        }
        world.until(expected, |w| names(w) == expected);
        wait_until_enforced(&world);
    }
    assert_eq!(
        world.sql("replica-1", "postgres", "show synchronous_standby_names"),
        r#"ANY 1 ("master", "replica-2")"#
    );
    let bystander = world.started_at("master");
    world.edit(|spec| spec["replication"] = json!({}));
    world.until("commits wait for nobody", |w| {
        names(w).is_empty() && w.condition(CONDITION) == Default::default()
    });
    world.wait_ready();
    assert_eq!(world.started_at("master"), bystander, "nothing was restarted");
    assert_nothing_is_lost(&world, &writer.stop());
}

#[test]
fn a_replica_that_is_being_seeded_acknowledges_nothing() {
    let world = synchronous("synseed", 1, json!({"mode": "synchronous"}));
    world.lose("replica-1");
    let counting = "select count(*) from pg_stat_replication, pg_stat_progress_basebackup where sync_state <> 'async'";
    world.until("it is seeded and commits wait for it again", |w| {
        assert_eq!(
            w.sql("master", "postgres", counting),
            "0",
            "a copy that is not whole counts"
        );
        w.member("replica-1")["state"] == "streaming"
    });
    wait_until_enforced(&world);
}
