//! What is empty while all is well has an answer when it is not, and alerts go off, on a cluster that suffers.

use reconciler::kinds::monitoring::dashboards;
use serde_json::json;

use super::station::{Station, get};
use crate::world::docker;

/// A session of its own that goes on by itself.
fn begin(station: &Station, member: &str, sql: &str) {
    let container = station.world.container(member);
    docker(&["exec", "-d", "-u", "postgres", &container, "psql", "-c", sql]);
}

/// Whether an alert is firing.
fn fires(station: &Station, alert: &str) -> bool {
    let query = format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}");
    !station.query(&query).is_empty()
}

#[test]
fn panels_fill_and_alerts_go_off_when_something_is_wrong() {
    let mut station = Station::new("provoked", 1);
    let alertmanager = station.world.base_port + 13;
    // A Redis whose primary is nowhere, with a limit and with a key.
    let lonely = "--maxmemory 64mb --replicaof 127.0.0.1 1 --replica-read-only no";
    let (server, network) = station.redis(&lonely.split(' ').collect::<Vec<_>>());
    docker(&["exec", &server, "redis-cli", "set", "a", "1"]);
    station.spec["exporters"]["redis"] = json!({"servers": [
        {"name": "cache", "address": format!("{server}:6379"), "network": network},
    ]});
    station.spec["alertmanager"] = json!({"port": alertmanager});
    station.world.spec["parameters"]["shared_preload_libraries"] = json!("pg_stat_statements");
    station.world.spec["databases"] = json!([{"name": "postgres", "extensions": ["pg_stat_statements"]}]);
    station.start();
    station.until("all is scraped", |s| {
        s.scraped().len() == 2 && !s.query("reconciler_build_info").is_empty()
    });

    assert_eq!(station.world.cli(&["promote", "replica-1"]).code, 0);
    assert_eq!(station.world.sql("replica-1", "postgres", "create table t (n int)"), "");
    begin(&station, "replica-1", "begin; lock table t; select pg_sleep(600)");
    begin(&station, "replica-1", "lock table t");
    let alter = "alter system set max_wal_size = '512MB'";
    assert_eq!(station.world.sql("replica-1", "postgres", alter), "");
    let other = json!({"name": "nowhere", "address": "nowhere:6379", "network": "no-such-network"});
    station.spec["exporters"]["redis"]["servers"]
        .as_array_mut()
        .unwrap()
        .push(other);
    station.save();
    let rare: Vec<_> = dashboards::expressions()
        .into_iter()
        .filter(|one| one.empty_when_healthy)
        .collect();
    assert!(rare.len() > 10, "only {}", rare.len());
    station.until("what is empty when all is well is not", |s| {
        s.world.sql("replica-1", "postgres", "select count(*) from pg_class");
        let mut silent = rare.iter().filter(|one| s.query(&one.runnable("5m")).is_empty());
        silent
            .next()
            .inspect(|one| eprintln!("{} / {} has none", one.board, one.panel))
            .is_none()
    });

    assert_eq!(station.world.cli(&["pause", &station.world.name]).code, 0);
    docker(&["kill", &station.world.container("replica-1")]);
    station.until("that there is no primary is told", |s| fires(s, "PostgresNoPrimary"));
    station.until("so is that nobody streams", |s| fires(s, "PostgresReplicaNotStreaming"));
    station.until("and that Redis has lost its primary", |s| {
        fires(s, "RedisReplicationBroken")
    });
    station.until("Alertmanager knows", |_| {
        get(alertmanager, "/api/v2/alerts").is_some_and(|alerts| alerts.contains("PostgresNoPrimary"))
    });
}
