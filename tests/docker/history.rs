//! A primary's volume is put back to an older copy, before and after it has served from it. Nobody starts it unasked, and who
//! holds what it never had is found out.

use serde_json::json;

use crate::engines::in_volume;
use crate::world::{Output, World, docker};

/// Copies the stopped primary's data aside, beside them.
fn copy_aside(world: &World) {
    docker(&["stop", "-t", "20", &world.container("master")]);
    let mount = format!("{}:/v", world.volume("master", 1));
    in_volume(&mount, "rm -rf /v/aside && cp -a /v/pgdata /v/aside && sync");
}

/// Puts the stopped primary's data back.
fn put_back(world: &World) {
    docker(&["stop", "-t", "20", &world.container("master")]);
    let mount = format!("{}:/v", world.volume("master", 1));
    in_volume(&mount, "rm -rf /v/pgdata && cp -a /v/aside /v/pgdata && sync");
}

fn start_by_hand(world: &World) {
    docker(&["start", &world.container("master")]);
    world.until("it accepts writes", |w| {
        w.sql("master", "postgres", "select pg_is_in_recovery()") == "f"
    });
}

fn insert(world: &World, rows: u32) {
    let sql = format!("insert into t select g, md5(g::text) from generate_series(1, {rows}) g");
    assert_eq!(world.sql("master", "postgres", &sql), "");
}

fn count(world: &World, member: &str) -> String {
    world.sql(member, "postgres", "select count(*) from t")
}

fn assert_ok(output: &Output) {
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
}

#[test]
fn an_older_copy_of_the_primary_is_started_only_by_force_and_nobody_keeps_what_it_never_had() {
    let world = World::ready("history", 1);
    assert_eq!(world.sql("master", "postgres", "create table t (n int, x text)"), "");
    assert_ok(&world.cli(&["pause", &world.name]));

    // It comes back behind its replica.
    copy_aside(&world);
    start_by_hand(&world);
    insert(&world, 5000);
    world.until("the replica has it", |w| count(w, "replica-1") == "5000");
    put_back(&world);
    let before = world.started_at("master");
    assert_ok(&world.cli(&["resume", &world.name]));
    world.until("somebody is asked", |w| w.condition("Ready").1 == "NeedsConfirmation");
    let (_, _, message) = world.condition("Ready");
    for part in [
        "an older copy",
        "`reconciler promote replica-1 --force`",
        "`reconciler promote master --force`",
        "has all that is known of",
        "of log, written within",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(world.started_at("master"), before, "nobody started it");
    let refused = world.cli(&["promote", "master"]);
    assert!(refused.code == 4 && refused.err.contains("--force"), "{}", refused.err);
    assert_ok(&world.cli(&["promote", "master", "--force"]));
    world.until("all is well", |w| w.is_ready() && count(w, "replica-1") == "0");
    assert_eq!(count(&world, "master"), "0");
    assert!(
        world.volumes().contains(&world.volume("replica-1", 1)),
        "what was lost is kept there"
    );

    // Somebody starts it, and it writes past its replica.
    assert_ok(&world.cli(&["pause", &world.name]));
    copy_aside(&world);
    start_by_hand(&world);
    insert(&world, 5000);
    world.until("the replica has it", |w| count(w, "replica-1") == "5000");
    put_back(&world);
    start_by_hand(&world);
    insert(&world, 20_000);
    assert_ok(&world.cli(&["resume", &world.name]));
    world.until("it is found out", |w| {
        w.is_ready() && w.volumes().contains(&w.volume("replica-1", 3)) && count(w, "replica-1") == "20000"
    });
    assert_eq!(count(&world, "master"), "20000");
    assert_eq!(world.condition("LogWentBack").0, "True", "{}", world.events());
    assert!(world.volumes().contains(&world.volume("replica-1", 2)));
    assert!(!world.events().contains("no reason"), "{}", world.events());
}

#[test]
fn a_killed_primary_without_replicas_is_proved_whole_and_a_copy_from_between_two_checkpoints_is_not() {
    let mut world = World::new("historyalone", 0);
    world.spec["parameters"]["checkpoint_timeout"] = json!("1h");
    world.start();
    world.wait_ready();
    assert_eq!(world.sql("master", "postgres", "create table t (n int, x text)"), "");
    insert(&world, 100);
    docker(&["kill", &world.container("master")]);
    world.until("it serves again", |w| w.is_ready() && count(w, "master") == "100");
    assert_ok(&world.cli(&["pause", &world.name]));
    // The copy is of a server that was killed: its control file tells nothing of its end.
    docker(&["kill", &world.container("master")]);
    copy_aside(&world);
    start_by_hand(&world);
    insert(&world, 100);
    let noted = world.sql("master", "postgres", "select pg_current_wal_flush_lsn()");
    world.until("that is noted", |w| {
        let record = std::fs::read_to_string(w.state_dir().join(format!("resources/PostgresCluster.{}.json", w.name)));
        record.is_ok_and(|record| record.contains(&format!("\"lsn\": \"{noted}\"")))
    });
    docker(&["kill", &world.container("master")]);
    put_back(&world);
    assert_ok(&world.cli(&["resume", &world.name]));
    world.until("somebody is asked", |w| w.condition("Ready").1 == "NeedsConfirmation");
    assert!(
        world.condition("Ready").2.contains("the agent saw it at"),
        "{:?}",
        world.condition("Ready")
    );
    assert_ok(&world.cli(&["promote", "master", "--force"]));
    assert_eq!(count(&world, "master"), "100");

    // What keeps it from starting is the complaint of its log, not its last line.
    assert_ok(&world.cli(&["pause", &world.name]));
    docker(&["stop", "-t", "20", &world.container("master")]);
    let mount = format!("{}:/v", world.volume("master", 1));
    in_volume(&mount, "cp /v/pgdata/PG_VERSION /v && echo 9.6 >/v/pgdata/PG_VERSION");
    assert_ok(&world.cli(&["resume", &world.name]));
    world.until("it is told why", |w| {
        let (_, reason, message) = w.condition("Ready");
        let complaint = "database files are incompatible with server; The data directory was initialized by";
        reason == "CrashLooping" && message.contains(complaint)
    });
    in_volume(&mount, "mv /v/PG_VERSION /v/pgdata");
    world.wait_ready();
}
