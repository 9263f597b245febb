//! A primary that cannot be brought back where it is, and many that can.

use std::time::Duration;

use serde_json::json;

use crate::world::{World, docker, docker_output};

/// A ready cluster whose replicas have a row.
pub fn cluster(test: &str, replicas: u32, change: impl FnOnce(&mut serde_json::Value)) -> World {
    let mut world = World::new(test, replicas);
    change(&mut world.spec);
    world.start();
    world.wait_ready();
    world.sql("master", "postgres", "create table t as select 1 as n");
    for replica in 1..=replicas {
        let replica = format!("replica-{replica}");
        world.until("a replica has the row", |w| {
            w.sql(&replica, "postgres", "select n from t") == "1"
        });
    }
    world
}

fn automatic(test: &str, replicas: u32) -> World {
    cluster(test, replicas, |spec| spec["failover"] = json!({"mode": "automatic"}))
}

/// The container and its volume vanish while nobody looks.
pub fn lose(world: &mut World, member: &str) {
    world.kill_agent();
    docker(&["rm", "-f", "-v", &world.container(member)]);
    docker(&["volume", "rm", &world.volume(member, 1)]);
    world.start_agent();
}

fn writable(world: &World, members: &[&str]) -> Vec<String> {
    let answers = |m: &&&str| world.sql(m, "postgres", "select pg_is_in_recovery()") == "f";
    members.iter().filter(answers).map(|m| (*m).to_owned()).collect()
}

fn has_changed_hands(world: &World) -> bool {
    !world.condition("LastPromotionSucceeded").0.is_empty()
}

#[test]
fn a_lost_volume_is_failed_over_and_the_lost_member_comes_back_as_a_replica() {
    let mut world = automatic("fo-lost", 2);
    lose(&mut world, "master");
    world.until("a replica took over and all follow", |w| {
        w.primary() != "master" && w.is_ready()
    });
    let primary = world.primary();
    assert_eq!(world.sql(&primary, "postgres", "select n from t"), "1");
    assert_eq!(writable(&world, &["master", "replica-1", "replica-2"]), [primary]);
    let last = world.resource()["status"]["lastOperation"].clone();
    assert!(last["succeeded"] == true && last["lostBytes"].is_u64(), "{last}");
    let (status, _, message) = world.condition("LastPromotionSucceeded");
    assert!(status == "True" && message.contains("master"), "{message}");
    assert!(world.events().contains("is gone; replica-"), "{}", world.events());
    assert_eq!(world.member("master")["role"], "replica");
    world.until("the control file names the new timeline", |w| {
        w.sql(
            &w.primary(),
            "postgres",
            "select timeline_id from pg_control_checkpoint()",
        ) == "2"
    });
}

#[test]
fn a_primary_that_fails_to_start_again_and_again_is_failed_over() {
    let world = automatic("fo-loop", 1);
    // Its state can be read and its checksum is wrong.
    let spoil = "printf x | dd of=$PGDATA/global/pg_control bs=1 seek=200 conv=notrunc";
    let container = world.container("master");
    docker(&["exec", "-u", "root", &container, "sh", "-c", spoil]);
    docker(&["kill", &container]);
    world.until("the replica took over and the old primary follows", |w| {
        w.primary() == "replica-1" && w.is_ready()
    });
    assert_eq!(world.sql("replica-1", "postgres", "select n from t"), "1");
    assert!(
        world.events().contains("failed to start several times"),
        "{}",
        world.events()
    );
    assert!(
        world.volumes().contains(&world.volume("master", 1)),
        "what it holds may be held by nobody else"
    );
}

#[test]
fn a_killed_primary_restarts_where_it_is() {
    let world = automatic("fo-kill", 1);
    for _ in 0..3 {
        let before = world.started_at("master");
        docker(&["kill", &world.container("master")]);
        world.until("it was started again", |w| {
            w.started_at("master") != before && w.is_ready()
        });
    }
    assert_eq!(world.primary(), "master");
    assert!(!has_changed_hands(&world), "{}", world.events());
}

#[test]
fn a_frozen_primary_is_killed_and_restarts_where_it_is() {
    let world = automatic("fo-frozen", 1);
    let before = world.started_at("master");
    docker(&["kill", "-s", "STOP", &world.container("master")]);
    world.until("it was started again", |w| {
        w.started_at("master") != before && w.is_ready()
    });
    assert_eq!(world.primary(), "master");
    assert!(!has_changed_hands(&world), "{}", world.events());
}

#[test]
fn somebody_is_asked_where_the_manifest_does_not_decide() {
    let mut world = cluster("fo-manual", 1, |_| {});
    lose(&mut world, "master");
    world.until("somebody is asked", |w| w.condition("Ready").1 == "NeedsConfirmation");
    assert!(world.condition("Ready").2.contains("promote replica-1 --force"));
    assert_eq!(world.primary(), "master");
    let refused = world.cli(&["promote", "replica-1"]);
    assert_eq!(refused.code, 4, "{}{}", refused.out, refused.err);
    assert!(
        refused.out.contains("bytes behind"),
        "the distance is listed: {}",
        refused.out
    );
    let forced = world.cli(&["promote", "replica-1", "--force"]);
    assert_eq!(forced.code, 0, "{}{}", forced.out, forced.err);
    world.until("the lost one follows", |w| w.member("master")["state"] == "streaming");
    assert_eq!(world.sql("replica-1", "postgres", "select n from t"), "1");
}

#[test]
fn a_laggard_does_not_take_over_unasked() {
    let mut world = cluster("fo-lag", 1, |spec| {
        spec["failover"] = json!({"mode": "automatic"});
        spec["replication"] = json!({"maxLag": "1MiB"});
    });
    let receiver = world.sql("replica-1", "postgres", "select pid from pg_stat_wal_receiver");
    let container = world.container("replica-1");
    docker(&[
        "exec",
        "-u",
        "root",
        &container,
        "sh",
        "-c",
        &format!("kill -STOP {receiver}"),
    ]);
    world.sql(
        "master",
        "postgres",
        "create table big as select repeat('x', 1000) from generate_series(1, 16000)",
    );
    world.until("the distance is seen", |w| {
        w.member("replica-1")["lag_bytes"]
            .as_u64()
            .or(w.member("replica-1")["lagBytes"].as_u64())
            > Some(2 << 20)
    });
    lose(&mut world, "master");
    world.until("somebody is asked", |w| w.condition("Ready").1 == "NeedsConfirmation");
    let (_, _, message) = world.condition("Ready");
    assert!(
        message.contains("lacks") && message.contains("maxLag is 1048576"),
        "{message}"
    );
    assert!(message.contains("promote replica-1 --force"), "{message}");
    assert_eq!(world.primary(), "master");
    assert_eq!(world.sql("replica-1", "postgres", "select pg_is_in_recovery()"), "t");
}

#[test]
fn killed_at_any_moment_of_a_failover_the_agent_finishes_it() {
    for millis in [20_u64, 120, 300] {
        let mut world = automatic(&format!("fo-crash{millis}"), 2);
        lose(&mut world, "master");
        std::thread::sleep(Duration::from_millis(millis));
        world.restart_agent();
        world.until("a replica took over and all follow", |w| {
            w.primary() != "master" && w.is_ready()
        });
        let primary = world.primary();
        assert_eq!(
            writable(&world, &["master", "replica-1", "replica-2"]),
            std::slice::from_ref(&primary)
        );
        assert_eq!(world.sql(&primary, "postgres", "select n from t"), "1");
        assert_eq!(world.member("master")["timeline"], 2, "one promotion, not two");
    }
}

#[test]
fn whoever_starts_the_old_primary_by_hand_gets_no_second_writer() {
    let world = automatic("fo-hand", 1);
    let container = world.container("master");
    let mut command = world.spawn(&["promote", "replica-1"]);
    // From the moment it is fenced somebody starts it over and over again, until the command is answered.
    let answer = loop {
        docker_output(&["start", &container]);
        if let Some(answer) = command.try_wait().unwrap() {
            break answer;
        }
    };
    world.wait_ready();
    // Started before the fence stood, it is the primary again and the switchover is off.
    let primary = if answer.success() { "replica-1" } else { "master" };
    assert_eq!(writable(&world, &["master", "replica-1"]), [primary]);
    assert_eq!(world.sql(primary, "postgres", "select n from t"), "1");
    if !answer.success() {
        assert_eq!(world.cli(&["promote", "replica-1"]).code, 0);
        world.wait_ready();
    }
    assert_eq!(writable(&world, &["master", "replica-1"]), ["replica-1"]);
    assert_eq!(world.sql("replica-1", "postgres", "select n from t"), "1");
}
