//! Somebody promotes members past the agent, at the moments at which that is worst: nobody becomes the primary by it who may
//! lack what the other one acknowledged, and what he wrote is kept.

use serde_json::json;

use crate::engines::in_volume;
use crate::failover::{cluster, lose};
use crate::world::{World, docker};

const ROWS: &str = "select string_agg(n::text, ',' order by n) from t";

/// Stops one of a server's own processes, named by its `backend_type`. Its process id.
pub fn freeze(world: &World, member: &str, backend: &str) -> String {
    let sql = format!("select pid from pg_stat_activity where backend_type = '{backend}'");
    let pid = world.sql(member, "postgres", &sql);
    assert!(pid.parse::<u32>().is_ok(), "{backend}: {pid}");
    send(world, member, "STOP", &pid);
    pid
}

/// Sends a signal to a process of a member's.
pub fn send(world: &World, member: &str, signal: &str, pid: &str) {
    let kill = format!("kill -{signal} {pid}");
    docker(&["exec", "-u", "root", &world.container(member), "sh", "-c", &kill]);
}

/// A switchover to replica-1 that has come to the checkpoint, which does not end: its checkpointer is frozen.
fn held_up(world: &World) -> (std::process::Child, String) {
    let pid = freeze(world, "master", "checkpointer");
    let command = world.spawn(&["promote", "replica-1"]);
    world.until("the primary is to write its checkpoint", |w| {
        let sql = "select count(*) from pg_stat_activity where query ilike 'checkpoint%' and state = 'active'";
        w.sql("master", "postgres", sql) == "1"
    });
    (command, pid)
}

fn promote_by_hand(world: &World, member: &str) {
    assert_eq!(world.sql(member, "postgres", "select pg_promote()"), "t");
    assert_eq!(world.sql(member, "postgres", "insert into t values (2)"), "");
}

/// What the switchover was called off for is one of these.
fn assert_called_off(world: &World, why: &[&str]) {
    world.until("the switchover is off", |w| {
        w.condition("LastPromotionSucceeded").0 == "False"
    });
    let (_, _, message) = world.condition("LastPromotionSucceeded");
    assert!(why.iter().any(|reason| message.contains(reason)), "{message}");
}

/// A table's rows in a member's first volume, which no server uses any more, as PostgreSQL's single-user mode prints them. It
/// works on a copy.
pub fn rows_in(world: &World, member: &str, table: &str) -> String {
    let mount = format!("{}:/old:ro", world.volume(member, 1));
    let copy = "cp -a /old/pgdata /tmp/d && rm -f /tmp/d/standby.signal && : >/tmp/d/postgresql.auto.conf";
    let server = "postgres --single -D /tmp/d -c config_file=/tmp/d/postgresql.conf postgres";
    in_volume(&mount, &format!("{copy} && echo 'select * from {table}' | {server}"))
}

#[test]
fn a_third_one_that_accepts_writes_calls_a_switchover_off() {
    let world = cluster("third", 2, |_| {});
    let (mut command, checkpointer) = held_up(&world);
    assert_eq!(world.sql("replica-2", "postgres", "select pg_promote()"), "t");
    // A look may meet it when it is on its new timeline and does not accept writes yet.
    assert_called_off(
        &world,
        &["replica-2 accepts writes", "replica-2 is on timeline 2 of its own"],
    );
    assert!(!command.wait().unwrap().success(), "the command says so");
    // Nobody waits for the checkpoint, and the stop that was to follow it does not.
    let started = world.started_at("master");
    send(&world, "master", "CONT", &checkpointer);
    world.until("all follow the primary", |w| {
        w.is_ready() && w.primary() == "master" && w.member("replica-2")["state"] == "streaming"
    });
    assert_eq!(world.started_at("master"), started);
    assert_eq!(world.member("replica-1")["timeline"], 1);
}

#[test]
fn a_target_that_was_promoted_by_hand_beside_its_primary_does_not_become_the_primary() {
    let mut world = cluster("beside", 1, |_| {});
    let (mut command, checkpointer) = held_up(&world);
    world.kill_agent();
    assert!(!command.wait().unwrap().success(), "nobody answers it any more");
    promote_by_hand(&world, "replica-1");
    world.start_agent();
    assert_called_off(&world, &["by hand while master runs"]);
    send(&world, "master", "CONT", &checkpointer);
    world.until("it follows the primary", |w| {
        w.is_ready() && w.primary() == "master" && w.member("replica-1")["state"] == "streaming"
    });
    assert_eq!(world.sql("replica-1", "postgres", ROWS), "1");
    let rows = rows_in(&world, "replica-1", "t");
    assert!(rows.contains("n = \"2\""), "what was written to it is kept: {rows}");
}

/// Master has ended and replica-1 was promoted by hand: nothing is done until somebody insists on it.
fn assert_is_left_to_somebody(world: &World) {
    world.until("somebody is asked", |w| w.condition("Ready").1 == "NeedsConfirmation");
    let (_, _, message) = world.condition("Ready");
    let ways = ["promote MEMBER --force", "promote replica-1 --force"];
    assert!(ways.iter().any(|way| message.contains(way)), "{message}");
    assert_eq!(world.sql("replica-1", "postgres", ROWS), "1,2", "it is left alone");
    let forced = world.cli(&["promote", "replica-1", "--force"]);
    assert_eq!(forced.code, 0, "{}{}", forced.out, forced.err);
    world.until("the other one follows", |w| {
        w.is_ready() && w.primary() == "replica-1" && w.member("master")["state"] == "streaming"
    });
    assert_eq!(world.sql("replica-1", "postgres", ROWS), "1,2");
    let kept = rows_in(world, "master", "t");
    assert!(kept.contains("n = \"1\""), "nobody knows what it holds alone: {kept}");
}

#[test]
fn a_target_that_was_promoted_by_hand_after_a_crash_has_to_be_proved_to_have_all() {
    let mut world = cluster("unproved", 1, |_| {});
    let (mut command, _) = held_up(&world);
    world.kill_agent();
    assert!(!command.wait().unwrap().success(), "nobody answers it any more");
    docker(&["kill", &world.container("master")]);
    promote_by_hand(&world, "replica-1");
    world.start_agent();
    assert_called_off(&world, &["nobody can tell whether it has all"]);
    assert_is_left_to_somebody(&world);
}

#[test]
fn without_a_record_nobody_is_taken_for_the_primary_beside_one_that_crashed() {
    let mut world = cluster("norecord", 1, |_| {});
    world.kill_agent();
    docker(&["kill", &world.container("master")]);
    promote_by_hand(&world, "replica-1");
    std::fs::remove_dir_all(world.state_dir()).unwrap();
    world.start_agent();
    assert_is_left_to_somebody(&world);
}

#[test]
fn before_it_is_settled_who_has_every_commit_nobody_takes_over_unasked() {
    let mut world = World::new("unsettled", 1);
    world.spec["failover"] = json!({"mode": "automatic"});
    world.start();
    world.wait_ready();
    let receiver = freeze(&world, "replica-1", "walreceiver");
    world.edit(|spec| spec["replication"] = json!({"mode": "synchronous"}));
    world.until("commits are to wait for it", |w| {
        w.sql("master", "postgres", "show synchronous_standby_names") == r#"ANY 1 ("replica-1")"#
    });
    lose(&mut world, "master");
    world.until("somebody is asked", |w| w.condition("Ready").1 == "NeedsConfirmation");
    let (_, _, message) = world.condition("Ready");
    assert!(message.contains("was not settled yet"), "{message}");
    assert_eq!(world.sql("replica-1", "postgres", "select pg_is_in_recovery()"), "t");
    send(&world, "replica-1", "CONT", &receiver);
    let forced = world.cli(&["promote", "replica-1", "--force"]);
    assert_eq!(forced.code, 0, "{}{}", forced.out, forced.err);
    world.until("it is the primary", |w| w.is_ready() && w.primary() == "replica-1");
}

#[test]
fn the_last_one_left_is_started_as_a_replica_and_can_take_over() {
    let mut world = cluster("lastleft", 1, |_| {});
    world.kill_agent();
    docker(&["rm", "-f", "-v", &world.container("master")]);
    docker(&["volume", "rm", &world.volume("master", 1)]);
    docker(&["kill", &world.container("replica-1")]);
    world.start_agent();
    world.until("it answers and somebody is asked", |w| {
        w.condition("Ready").1 == "NeedsConfirmation"
            && w.sql("replica-1", "postgres", "select pg_is_in_recovery()") == "t"
    });
    let forced = world.cli(&["promote", "replica-1", "--force"]);
    assert_eq!(forced.code, 0, "{}{}", forced.out, forced.err);
    world.until("it is the primary, and the lost one follows", |w| {
        w.is_ready() && w.primary() == "replica-1" && w.member("master")["state"] == "streaming"
    });
    assert_eq!(world.sql("replica-1", "postgres", "select n from t"), "1");
}
