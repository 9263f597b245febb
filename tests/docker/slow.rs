//! A server that is only slow is left alone: the limit on its CPU makes it so, and keeps the machine free for others.

use crate::world::{World, docker, docker_output};
use serde_json::json;

/// How many probes of the engine's health check have failed in a row.
fn failing_streak(world: &World) -> u32 {
    let container = world.container("master");
    let streak = docker(&["inspect", "-f", "{{.State.Health.FailingStreak}}", &container]);
    streak.trim().parse().unwrap()
}

fn was_killed(world: &World) -> bool {
    world.events().contains("SIGKILL")
}

/// Until the agent says that a member is slow, and its health check has failed for longer than it takes to be unhealthy.
fn until_slow_for_long(world: &World) {
    world.until("it is said to be slow", |w| {
        let status = w.cli(&["status"]);
        status.out.contains("alive but slow") && w.member("master")["state"] == "slow"
    });
    world.until("its health check has failed for long", |w| failing_streak(w) >= 5);
}

#[test]
fn a_server_that_is_slow_or_recovers_slowly_is_not_killed() {
    let mut world = World::new("slow", 0);
    world.spec["resources"] = json!({"cpu": "0.3"});
    world.spec["parameters"]["max_connections"] = json!(100);
    // What is to be recovered is not written down before the kill.
    world.spec["parameters"]["checkpoint_timeout"] = json!("1h");
    world.spec["parameters"]["max_wal_size"] = json!("4GB");
    world.start();
    world.wait_ready();
    world.sql(
        "master",
        "postgres",
        "create table t as select generate_series(1, 1500000) as n",
    );
    let before = world.started_at("master");
    let container = world.container("master");
    let load = "for i in $(seq 80); do \
                psql -U postgres -qc 'select count(*) from generate_series(1, 2000000000)' & done; wait";
    docker(&["exec", "-d", "-u", "postgres", &container, "sh", "-c", load]);
    until_slow_for_long(&world);
    assert_eq!(world.started_at("master"), before);

    // Killed by hand, it recovers; with as little CPU as it gets now, for long.
    world.edit(|spec| spec["resources"] = json!({"cpu": "0.04"}));
    world.until("the new limit is in force", |_| {
        docker(&["inspect", "-f", "{{.HostConfig.NanoCpus}}", &container]) == "40000000"
    });
    docker(&["kill", &container]);
    world.until("it was started again", |w| w.started_at("master") != before);
    let recovering = world.started_at("master");
    world.until("it is not ready for long", |w| failing_streak(w) >= 4);
    assert!(!was_killed(&world), "{}", world.events());
    world.edit(|spec| spec["resources"] = json!({"cpu": "1"}));
    world.wait_ready();
    assert_eq!(world.started_at("master"), recovering, "in one go");
    assert!(!was_killed(&world), "{}", world.events());
    assert_eq!(world.sql("master", "postgres", "select count(*) from t"), "1500000");
    let none = docker_output(&["exec", &container, "pidof", "psql"]);
    assert_ne!(none.code, 0, "the load ended with the kill");
}
