//! Who is scraped: members come, go and change roles, and Prometheus hears of it without a restart.

use serde_json::json;

use super::station::Station;
use crate::world::{docker, docker_output};

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter()
        .map(|(member, role)| ((*member).to_owned(), (*role).to_owned()))
        .collect()
}

#[test]
fn members_come_and_go_and_change_roles_and_prometheus_is_not_restarted() {
    let mut station = Station::new("scrape", 1);
    station.start();
    let prometheus = station.container("prometheus");
    let started = station.started_at(&prometheus);
    station.until("both are scraped", |s| {
        s.scraped() == pairs(&[("master", "primary"), ("replica-1", "replica")])
    });
    let who = "select distinct usename, usesuper from pg_stat_activity join pg_user using (usename) \
               where client_addr is not null and application_name !~ 'reconciler|replica' order by 1";
    station.until("exporters log in as their own role", |s| {
        s.world.sql("master", "postgres", who).contains("reconciler_monitor|f")
    });
    let shown = docker(&["inspect", &station.exporter("master")]);
    let password = std::fs::read_to_string(station.world.secret("reconciler_monitor")).unwrap();
    assert!(!shown.contains(password.trim()), "the password is not shown");

    assert_eq!(station.world.cli(&["promote", "replica-1"]).code, 0);
    station.until("the roles are told", |s| {
        s.scraped() == pairs(&[("master", "replica"), ("replica-1", "primary")])
    });
    station.world.edit(|spec| spec["replicas"] = json!(2));
    station.until("the new one is scraped", |s| {
        s.scraped()
            == pairs(&[
                ("master", "replica"),
                ("replica-1", "primary"),
                ("replica-2", "replica"),
            ])
    });
    station.world.edit(|spec| spec["replicas"] = json!(0));
    station.until("those that are gone are forgotten", |s| {
        s.scraped() == pairs(&[("replica-1", "primary")])
    });
    station.until("their exporters are gone", |s| {
        docker_output(&["inspect", &s.exporter("replica-2")]).code != 0
            && docker_output(&["inspect", &s.exporter("master")]).code != 0
    });
    assert_eq!(station.started_at(&prometheus), started);
}

#[test]
fn an_agent_that_starts_again_takes_nothing_away() {
    let mut station = Station::new("again", 0);
    station.start();
    station.until("it is scraped", |s| s.scraped() == pairs(&[("master", "primary")]));
    let exporter = station.started_at(&station.exporter("master"));
    let before = station.events().lines().count();
    station.world.restart_agent();
    station.until("all is ready again", |s| s.is_ready() && s.world.is_ready());
    let events = station.events();
    let new = events.lines().skip(before);
    // What was not looked at yet is not ready, which is told when it is over.
    let new: Vec<&str> = new.filter(|line| !line.contains("Ready is")).collect();
    assert!(new.is_empty(), "there was nothing to do: {new:?}");
    assert_eq!(station.started_at(&station.exporter("master")), exporter);
}

#[test]
fn redis_servers_are_asked_with_a_password_that_nobody_sees() {
    let mut station = Station::new("redis", 0);
    let (server, network) = station.redis(&["--requirepass", r#"se"cret\"#]);
    let secret = station.put("redis.secret", "se\"cret\\\n");
    station.spec["exporters"]["redis"] = json!({"servers": [{
        "name": "cache", "address": format!("{server}:6379"), "network": network, "passwordFrom": {"file": secret},
    }]});
    station.start();
    station.until("it is up", |s| {
        let up = s.query("redis_up == 1");
        up.len() == 1 && up[0].0["server"] == "cache"
    });
    let exporter = docker(&["inspect", &station.container("redis-exporter-cache")]);
    assert!(!exporter.contains("se\\\"cret"), "the password is not shown");
}
