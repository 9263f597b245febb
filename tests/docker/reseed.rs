//! Replicas that lost their data or cannot follow any more, and a primary that lost its own.

use crate::world::{World, docker};

fn streams(world: &World, member: &str) -> bool {
    world.member(member)["state"] == "streaming" && world.is_ready()
}

#[test]
fn a_replica_that_lost_its_volume_is_seeded_anew() {
    let world = World::ready("novol", 1);
    world.sql(
        "master",
        "postgres",
        "create table t as select generate_series(1, 1000) n",
    );
    world.lose("replica-1");
    world.until("it streams", |w| streams(w, "replica-1"));
    assert_eq!(world.sql("replica-1", "postgres", "select count(*) from t"), "1000");
}

#[test]
fn a_replica_that_accepted_writes_is_fenced_and_seeded_into_a_new_volume_and_its_own_writes_are_kept() {
    let world = World::ready("diverge", 1);
    world.sql("master", "postgres", "create table t (who text)");
    world.until("the table is there", |w| {
        !w.sql("replica-1", "postgres", "select * from t").starts_with("error")
    });
    // What somebody does who knows PostgreSQL and not this product.
    world.sql("replica-1", "postgres", "select pg_promote()");
    world.sql("replica-1", "postgres", "insert into t values ('lost son')");
    world.sql("master", "postgres", "insert into t values ('father')");
    world.wait_event("two members must not accept writes");
    world.until("it streams", |w| streams(w, "replica-1"));
    assert_eq!(
        world.sql("replica-1", "postgres", "select string_agg(who, ',') from t"),
        "father"
    );
    assert_eq!(world.primary(), "master");
    let volumes = world.volumes();
    assert!(
        volumes.contains(&world.volume("replica-1", 1)),
        "the only copy of its writes: {volumes:?}"
    );
    assert!(volumes.contains(&world.volume("replica-1", 2)), "{volumes:?}");
}

#[test]
fn a_replica_whose_wal_is_gone_is_seeded_anew_and_its_old_volume_goes_only_when_it_streams() {
    let mut world = World::new("walgone", 1);
    world.spec["replication"] = serde_json::json!({"maxSlotWalKeepSize": "1MB"});
    world.spec["storage"] = serde_json::json!({"quarantine": {"retention": "0s"}});
    world.spec["parameters"]["wal_keep_size"] = serde_json::json!("0");
    world.spec["parameters"]["max_wal_size"] = serde_json::json!("32MB");
    world.start();
    world.wait_ready();
    assert_eq!(world.cli(&["pause", &world.name]).code, 0);
    docker(&["stop", "-t", "20", &world.container("replica-1")]);
    world.sql("master", "postgres", "create table big (t text)");
    let lost = "select coalesce(wal_status, '') from pg_replication_slots where slot_name = 'replica_1'";
    world.until("its slot has lost its WAL", |w| {
        w.sql(
            "master",
            "postgres",
            "insert into big select repeat(md5(g::text), 30) from generate_series(1, 40000) g",
        );
        w.sql("master", "postgres", "checkpoint");
        w.sql("master", "postgres", lost) == "lost"
    });
    assert_eq!(world.cli(&["resume", &world.name]).code, 0);
    world.wait_event("no longer has the WAL that it needs");
    world.until("it streams", |w| streams(w, "replica-1"));
    // It was a copy, and proved to be one.
    world.until("only the new volume is left", |w| {
        !w.volumes().contains(&w.volume("replica-1", 1))
    });
    let events = world.events();
    assert!(
        events.contains(&format!("remove volume {}", world.volume("replica-1", 1))),
        "{events}"
    );
}

#[test]
fn a_damaged_replica_is_seeded_into_a_new_volume() {
    let world = World::ready("damaged", 1);
    let container = world.container("replica-1");
    docker(&[
        "exec",
        "-u",
        "postgres",
        &container,
        "sh",
        "-c",
        "rm -f \"$PGDATA/global/pg_control\"",
    ]);
    docker(&["kill", &container]);
    world.until("it has a new volume", |w| {
        w.volumes().contains(&w.volume("replica-1", 2))
    });
    world.until("it streams", |w| streams(w, "replica-1"));
    assert!(
        world.volumes().contains(&world.volume("replica-1", 1)),
        "nobody proved that it was a copy"
    );
}

#[test]
fn a_primary_without_its_volume_is_never_initialised_empty() {
    let world = World::ready("lostprim", 2);
    world.sql("master", "postgres", "create table t as select 42 as n");
    world.until("the replicas have it", |w| {
        w.sql("replica-2", "postgres", "select n from t") == "42"
    });
    assert_eq!(world.cli(&["pause", &world.name]).code, 0);
    docker(&["rm", "-f", "-v", &world.container("master")]);
    docker(&["volume", "rm", &world.volume("master", 1)]);
    assert_eq!(world.cli(&["resume", &world.name]).code, 0);
    world.until("a promotion is asked for", |w| {
        let (_, reason, message) = w.condition("Ready");
        reason == "NeedsConfirmation" && message.contains("reconciler promote") && message.contains("--force")
    });
    assert!(
        !world.volumes().contains(&world.volume("master", 1)),
        "nothing was made in its place"
    );
    let refused = world.cli(&["promote", "replica-1"]);
    assert_eq!(refused.code, 4, "{}{}", refused.out, refused.err);
    let forced = world.cli(&["promote", "replica-1", "--force"]);
    assert_eq!(forced.code, 0, "{}{}", forced.out, forced.err);
    world.until("all is well", |w| streams(w, "master") && w.primary() == "replica-1");
    assert_eq!(world.sql("master", "postgres", "select n from t"), "42");
}
