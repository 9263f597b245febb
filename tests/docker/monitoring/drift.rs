//! What somebody else changes comes back, and an event says what it was.

use std::time::{Duration, Instant};

use super::station::Station;
use crate::world::{docker, docker_output};

const RULES: &str = "/etc/reconciler/rules/ours/postgres.yml";

fn as_root(container: &str, script: &str) {
    docker(&["exec", "-u", "root", container, "sh", "-c", script]);
}

#[test]
fn a_rule_file_that_is_edited_in_the_container_comes_back_even_if_it_was_read() {
    let mut station = Station::new("rulefile", 0);
    station.start();
    let rules = station.rules();
    assert!(!rules.is_empty());
    let prometheus = station.container("prometheus");
    let script = format!("sed -i '0,/alert: /s//alert: Smuggled/' {RULES} && kill -HUP 1");
    as_root(&prometheus, &script);
    station.wait_event("somebody changed rules/ours/postgres.yml: line");
    station.until("the rules are those that were", |s| s.rules() == rules);
    station.until("all is ready", Station::is_ready);
}

#[test]
fn a_prometheus_that_is_restarted_with_another_configuration_gets_its_own_back() {
    let mut station = Station::new("conf", 0);
    station.start();
    let rules = station.rules();
    let prometheus = station.container("prometheus");
    as_root(
        &prometheus,
        "echo 'scrape_configs: []' > /etc/reconciler/prometheus.yml; kill -HUP 1",
    );
    station.wait_event("somebody changed prometheus.yml");
    let runs_its_own = |s: &Station| s.is_ready() && s.rules() == rules && !s.scraped().is_empty();
    station.until("it runs its own again", runs_its_own);
    let script = "echo 'scrape_configs: []' > /etc/reconciler/prometheus.yml";
    as_root(&prometheus, script);
    docker(&["restart", "-t", "5", &prometheus]);
    station.until("it runs its own after a restart", runs_its_own);

    // Somebody else's is in force, and the file is right again: nothing but its own word tells.
    station.world.end_agent();
    as_root(
        &prometheus,
        "cd /etc/reconciler; cp -p prometheus.yml kept; echo 'scrape_configs: []' > prometheus.yml; kill -HUP 1",
    );
    station.until("another one's is in force", |s| s.rules().is_empty());
    as_root(&prometheus, "cd /etc/reconciler; cp -p kept prometheus.yml; rm kept");
    station.world.start_agent();
    station.until("it runs its own though no file was wrong", runs_its_own);

    as_root(&prometheus, "rm -rf /etc/reconciler/targets");
    station.until("lost targets come back", |s| s.is_ready() && !s.scraped().is_empty());
}

#[test]
fn what_is_killed_removed_frozen_or_detached_comes_back() {
    let mut station = Station::new("killed", 0);
    station.start();
    let exporter = station.exporter("master");
    let is_back = |s: &Station| s.is_ready() && s.scraped().len() == 1;
    docker(&["kill", &exporter]);
    station.wait_event("it ended with exit code 137");
    station.until("it is back after a kill", is_back);
    docker(&["rm", "-f", &exporter]);
    station.until("it is back after it was removed", |s| {
        docker_output(&["inspect", &exporter]).code == 0 && is_back(s)
    });
    docker(&["pause", &exporter]);
    station.wait_event("somebody froze it");
    station.until("it is back after it was frozen", is_back);
    docker(&["network", "disconnect", &station.world.network(), &exporter]);
    station.wait_event("somebody detached it");
    station.until("it is back after it was detached", is_back);
    docker(&["update", "--memory", "64m", "--memory-swap", "64m", &exporter]);
    station.until("its limits are those of the manifest", |_| {
        // The engine lifts a limit only by a larger one.
        let bytes = docker(&["inspect", "-f", "{{.HostConfig.Memory}}", &exporter]);
        bytes.parse::<u64>().is_ok_and(|bytes| bytes != 64 << 20)
    });
    docker(&["rm", "-f", &station.container("prometheus")]);
    station.until("so is Prometheus, with its data", is_back);
}

#[test]
fn a_password_that_somebody_rotates_is_set_back_and_exporters_go_on() {
    let mut station = Station::new("rotated", 0);
    station.start();
    let alter = "alter role reconciler_monitor password 'other' nologin superuser";
    assert_eq!(station.world.sql("master", "postgres", alter), "");
    station.wait_event("its attributes are not as the manifest says, and its password is not the wanted one");
    let role = "select rolsuper, rolcanlogin from pg_roles where rolname = 'reconciler_monitor'";
    station.until("the role is as it was", |s| {
        s.world.sql("master", "postgres", role) == "f|t"
    });
    station.until("it is scraped", |s| s.is_ready() && s.scraped().len() == 1);

    assert_eq!(
        station.world.sql("master", "postgres", "drop role reconciler_monitor"),
        ""
    );
    station.until("a dropped role is made again", |s| {
        s.world.sql("master", "postgres", role) == "f|t"
    });
    station.until("it is scraped again", |s| s.is_ready() && s.scraped().len() == 1);
}

#[test]
fn what_is_deleted_leaves_the_clusters_alone() {
    let mut station = Station::new("deleted", 0);
    station.start();
    std::fs::remove_file(station.world.dir.join("manifests/monitoring.yaml")).unwrap();
    station.until("it is orphaned", |s| s.condition("ManifestAccepted").1 == "Orphaned");
    let name = format!("Monitoring/{}", station.name);
    let started = station.world.started_at("master");
    let deleted = station.world.cli(&["delete", &name, "--purge-data", "--yes"]);
    assert_eq!(deleted.code, 0, "{}{}", deleted.out, deleted.err);
    let filter = format!("label=dev.reconciler.name={}", station.name);
    station.until("nothing of it is left", |_| {
        [["ps", "-aq"], ["volume", "ls"], ["network", "ls"]]
            .iter()
            .all(|list| docker(&[&list[..], &["-q", "--filter", &filter]].concat()).is_empty())
    });
    assert_eq!(station.world.started_at("master"), started);
    assert!(station.world.is_ready());
}

#[test]
fn a_cluster_that_is_deleted_is_not_held_up_by_what_watches_it() {
    let mut station = Station::new("leaves", 1);
    station.start();
    std::fs::remove_file(station.world.manifest()).unwrap();
    station.until("it is orphaned", |s| {
        s.world.condition("ManifestAccepted").1 == "Orphaned"
    });
    let name = format!("PostgresCluster/{}", station.world.name);
    let deleted = station.world.cli(&["delete", &name, "--purge-data", "--yes"]);
    assert_eq!(deleted.code, 0, "{}{}", deleted.out, deleted.err);
    let network = station.world.network();
    station.until("its network is gone", |_| {
        docker_output(&["network", "inspect", &network]).code != 0
    });
    station.until("its exporters are, too", |s| {
        docker_output(&["inspect", &s.exporter("master")]).code != 0 && s.is_ready()
    });
}

#[test]
fn an_agent_that_is_killed_in_the_middle_of_its_steps_gets_there_all_the_same() {
    let mut station = Station::new("lives", 1);
    station.spec["grafana"] = serde_json::json!({"port": station.world.base_port + 14});
    station.save();
    station.world.save();
    let is_done = |s: &Station| s.is_ready() && s.condition("GrafanaInSync").0 == "True" && s.scraped().len() == 2;
    // Every life does one step at least that no other has to do again, and leaves others half-way.
    let is_repeated = |line: &str| line.contains(": listen at ") || line.contains(": deliver ");
    let is_done_step = |line: &&str| line.contains(" INFO ") && line.contains(", because ") && !is_repeated(line);
    let steps = |s: &Station| s.world.agent_log().lines().filter(is_done_step).count();
    let mut lives = 0;
    loop {
        let before = steps(&station);
        station.world.spawn_agent();
        lives += 1;
        // Whoever asks it makes it go on, so that it is asked only when it is at rest.
        let begin = Instant::now();
        while steps(&station) == before && begin.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(2));
        }
        if steps(&station) == before && is_done(&station) {
            break;
        }
        station.world.kill_agent();
        assert!(lives < 200, "it does not come to an end: {}", station.world.agent_log());
    }
    assert!(lives > 10, "{lives} lives only");
    let filter = format!("label=dev.reconciler.name={}", station.name);
    let containers = docker(&["ps", "-a", "--format", "{{.Names}}", "--filter", &filter]);
    assert_eq!(
        containers.lines().count(),
        4,
        "Prometheus, Grafana and two exporters: {containers}"
    );
}
