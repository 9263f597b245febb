//! Containers: what ends, what is silent, and what becomes of an image.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::super::desired;
use super::{NOW, World, status};
use crate::kinds::postgres::spec::PullPolicy;
use crate::model::container::{Namesake, RunState};

#[test]
fn what_ends_right_after_its_start_is_started_less_and_less_often() {
    let mut world = World::healthy();
    let exporter = world.container("mon-exporter-shop-master");
    (exporter.state, exporter.exit_code) = (RunState::Exited, 1);
    (exporter.started_at, exporter.finished_at) = (NOW - 2, NOW - 1);
    let printed = world.next().to_string();
    assert!(
        printed.contains("start container, because it ended with exit code 1"),
        "{printed}"
    );
    world.observed.short_lives.insert("exporter-shop-master".to_owned(), 4);
    insta::assert_snapshot!(
        world.next(),
        @"exporter-shop-master: blocked, it ended with exit code 1 right after its start, 4 times in a row; it is tried again in 15 s"
    );
    assert_eq!(
        status(&world.view(), &world.next()).conditions[0].reason,
        "CrashLooping"
    );
}

#[test]
fn an_exporter_that_answers_nobody_is_restarted() {
    let mut world = World::healthy();
    let silent = |secs: i64| BTreeMap::from([("mon-exporter-shop-master".to_owned(), NOW - secs)]);
    world.observed.silent_since = silent(59);
    assert_eq!(world.next().to_string(), "nothing to do\n");
    world.observed.silent_since = silent(60);
    insta::assert_snapshot!(
        world.next(),
        @"exporter-shop-master: stop container (10 s grace), because it has not answered Prometheus for 60 s"
    );
}

#[test]
fn an_image_is_pulled_before_a_change_ends_what_runs_from_it_if_it_is_always() {
    let mut world = World::healthy();
    world.monitor.retention_secs = 3 * 86_400;
    let printed = world.next().to_string();
    assert!(!printed.contains("pull"), "{printed}");
    world.monitor.spec.pull_policy = PullPolicy::Always;
    let begins = |world: &World| {
        world
            .next()
            .to_string()
            .lines()
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(begins(&world), @r"
    prometheus: pull image prom/prometheus:v2.53.3, because spec.pullPolicy is Always
    prometheus: stop container (60 s grace), because it is not as the manifest says
    ");
    // A registry that is down keeps nothing down: what has ended or was lost is made again from what is there.
    world.container("mon-prometheus").state = RunState::Exited;
    assert!(!world.next().to_string().contains("pull"));
    world
        .observed
        .objects
        .containers
        .retain(|container| container.name != "mon-prometheus");
    let printed = world.next().to_string();
    assert!(
        printed.contains("create container mon-prometheus") && !printed.contains("pull"),
        "{printed}"
    );
}

/// Containers that an earlier version made carry these: see the test of the same name for clusters.
#[test]
fn the_hashes_of_containers_that_are_out_there_stay_as_they_are() {
    let mut world = World::new();
    let spec = json!({
        "alertmanager": {},
        "grafana": {},
        "exporters": {"redis": {"servers": [{"name": "cache", "address": "cache:6379", "network": "shop-net"}]}},
    });
    world.monitor.spec = serde_json::from_value(spec).unwrap();
    world.remember();
    let hashes: Vec<String> = desired::pieces(&world.view())
        .iter()
        .map(|piece| format!("{} {}", piece.container.name, piece.container.hash()))
        .collect();
    assert_eq!(
        hashes,
        [
            "mon-prometheus e2d0eacdb8f5",
            "mon-alertmanager ef8b840fe7a9",
            "mon-grafana 9ba25dd2f90f",
            "mon-exporter-shop-master a863f3aaf0ce",
            "mon-exporter-shop-replica-1 0ce99010d0ea",
            "mon-redis-exporter-cache 0671833cfafa",
        ]
    );
}

#[test]
fn of_two_networks_with_one_name_the_empty_one_goes_before_anything_starts() {
    let mut world = World::healthy();
    let exporter = world.container("mon-exporter-shop-master");
    (exporter.state, exporter.exit_code) = (RunState::Exited, 137);
    let namesake = |id: &str, guests: &[&str]| Namesake {
        id: id.to_owned(),
        name: "mon-net".to_owned(),
        guests: guests.iter().map(|guest| (*guest).to_owned()).collect(),
    };
    world.observed.objects.namesakes = vec![namesake("older", &["mon-prometheus"]), namesake("newer", &[])];
    insta::assert_snapshot!(
        world.next(),
        @"mon-net: remove network newer, because it is a second network named mon-net, and nothing is attached to it"
    );
}
