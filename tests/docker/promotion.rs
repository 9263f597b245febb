//! Who is the primary, and that nothing acknowledged is lost when it changes.

pub mod writer;

use std::time::Duration;

use self::writer::Writer;
use crate::world::{World, docker};
use serde_json::json;

fn streams(world: &World, member: &str) -> bool {
    world.member(member)["state"] == "streaming" && world.is_ready()
}

#[test]
fn a_switchover_loses_no_acknowledged_write_and_restarts_only_the_old_primary() {
    let world = World::ready("switch", 2);
    let writer = Writer::start(&world, &["master", "replica-1", "replica-2"]);
    writer.wait_for(50);
    let bystander = world.started_at("replica-2");
    let dry = world.cli(&["promote", "replica-1", "--dry-run"]);
    assert_eq!(dry.code, 0, "{}{}", dry.out, dry.err);
    assert!(
        dry.out.contains("receive lag") && dry.out.contains("streaming"),
        "{}",
        dry.out
    );
    assert_eq!(world.primary(), "master", "a dry run does nothing");

    let promoted = world.cli(&["promote", "replica-1"]);
    assert_eq!(promoted.code, 0, "{}{}", promoted.out, promoted.err);
    assert_eq!(world.primary(), "replica-1");
    let reached = writer.acknowledged();
    writer.wait_for(reached + 50);
    let again = world.cli(&["promote", "replica-1"]);
    assert_eq!(again.code, 0, "asked twice, it is one: {}", again.err);
    let ids = writer.stop();
    let missing = writer::missing(&world, "replica-1", &ids);
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");

    world.until("the old primary follows", |w| streams(w, "master"));
    assert_eq!(
        world.started_at("replica-2"),
        bystander,
        "the other replica was not restarted"
    );
    assert_eq!(world.member("replica-2")["timeline"], 2);
    assert_eq!(
        world.volumes().len(),
        3,
        "the old primary rejoined with the data that it had"
    );
    assert!(world.volumes().contains(&world.volume("master", 1)));
}

#[test]
fn killed_at_any_moment_of_a_switchover_the_agent_finishes_it_or_rolls_back() {
    let mut world = World::ready("crash", 2);
    let writer = Writer::start(&world, &["master", "replica-1", "replica-2"]);
    for (round, millis) in [5, 40, 80, 120, 180, 260, 400].into_iter().enumerate() {
        world.wait_ready();
        let target = if world.primary() == "replica-1" {
            "replica-2"
        } else {
            "replica-1"
        };
        let mut command = world.spawn(&["promote", target]);
        std::thread::sleep(Duration::from_millis(millis));
        world.restart_agent();
        let _ = command.kill();
        let _ = command.wait();
        world.until(&format!("round {round} ends well"), World::is_ready);
        let reached = writer.acknowledged();
        writer.wait_for(reached + 20);
    }
    let ids = writer.stop();
    let missing = writer::missing(&world, &world.primary(), &ids);
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    let writable = ["master", "replica-1", "replica-2"]
        .iter()
        .filter(|m| world.sql(m, "postgres", "select pg_is_in_recovery()") == "f");
    assert_eq!(writable.count(), 1);
}

#[test]
fn what_stands_against_a_promotion_is_said_all_at_once() {
    let world = World::ready("refused", 2);
    world.sql("replica-1", "postgres", "select pg_wal_replay_pause()");
    world.until("the pause is seen", |w| {
        w.cli(&["status"]).out.contains("paused its replay")
    });
    let refused = world.cli(&["promote", "replica-1", "--dry-run"]);
    assert_eq!(refused.code, 4, "{}{}", refused.out, refused.err);
    assert!(refused.out.contains("it is paused"), "{}", refused.out);
    assert!(
        refused.out.lines().count() > 8,
        "every precondition is listed:\n{}",
        refused.out
    );
    assert_eq!(world.cli(&["promote", "replica-1"]).code, 4);
    assert_eq!(world.primary(), "master");
    let unknown = world.cli(&["promote", "replica-9"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("replica-2"), "{}", unknown.err);
}

#[test]
fn a_dead_primary_is_replaced_only_by_force_and_rejoins_when_it_can() {
    let world = World::ready("force", 2);
    world.sql("master", "postgres", "create table t as select 1 as n");
    world.until("the replica has it", |w| {
        w.sql("replica-1", "postgres", "select n from t") == "1"
    });
    // It does not come back by itself: its data directory is unusable.
    docker(&[
        "exec",
        "-u",
        "root",
        &world.container("master"),
        "sh",
        "-c",
        "echo 9.6 > $PGDATA/PG_VERSION",
    ]);
    docker(&["kill", &world.container("master")]);
    world.until("it is reported", |w| w.condition("PrimaryAvailable").0 == "False");
    let refused = world.cli(&["promote", "replica-1"]);
    assert_eq!(refused.code, 4, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("--force"), "{}", refused.err);
    let dry = world.cli(&["promote", "replica-1", "--force", "--dry-run"]);
    assert!(
        dry.out.contains("would be lost"),
        "what may be lost is said: {}",
        dry.out
    );
    let forced = world.cli(&["promote", "replica-1", "--force"]);
    assert_eq!(forced.code, 0, "{}{}", forced.out, forced.err);
    world.until("all follow the new one", |w| {
        w.primary() == "replica-1" && streams(w, "replica-2") && streams(w, "master")
    });
    assert_eq!(world.sql("replica-1", "postgres", "select n from t"), "1");
    // It crashed as a primary, so what it holds may be held by nobody else.
    assert!(world.volumes().contains(&world.volume("master", 1)));
}

#[test]
fn a_manifest_that_names_the_primary_is_the_promotion() {
    let mut world = World::ready("named", 1);
    world.edit(|spec| spec["primary"] = json!("replica-1"));
    world.until("it took over", |w| w.primary() == "replica-1" && streams(w, "master"));
    let refused = world.cli(&["promote", "master"]);
    assert_eq!(refused.code, 4, "{}{}", refused.out, refused.err);
    assert!(
        refused.err.contains("primary: master"),
        "the command says what to write: {}",
        refused.err
    );
    world.edit(|spec| spec["primary"] = json!("master"));
    world.until("and back", |w| w.primary() == "master" && streams(w, "replica-1"));
    assert_eq!(world.member("master")["timeline"], 3);
}
