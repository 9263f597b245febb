//! The whole chain: a cluster that works, its exporters, Prometheus, the agent: every panel and every rule asks something that
//! has an answer.

use serde_json::json;

use super::station::{Station, get};
use crate::world::{METRICS, run};
use reconciler::kinds::monitoring::dashboards;

/// Who plays together.
struct Cast {
    postgres: &'static str,
    postgres_exporter: &'static str,
    redis_exporter: &'static str,
    prometheus: &'static str,
    alertmanager: &'static str,
}

const BY_DEFAULT: Cast = Cast {
    postgres: "postgres:17",
    postgres_exporter: "quay.io/prometheuscommunity/postgres-exporter:v0.17.1",
    redis_exporter: "oliver006/redis_exporter:v1.69.0",
    prometheus: "prom/prometheus:v2.53.3",
    alertmanager: "prom/alertmanager:v0.28.1",
};

/// What exporters, the agent and Redis have to answer.
fn assert_every_expression_has_an_answer(test: &str, cast: &Cast) {
    let mut station = Station::new(test, 1);
    station.world.spec["image"] = json!(cast.postgres);
    station.spec["prometheus"]["image"] = json!(cast.prometheus);
    let (server, network) = station.redis(&[]);
    station.spec["exporters"]["redis"] = json!({"image": cast.redis_exporter, "servers": [
        {"name": "cache", "address": format!("{server}:6379"), "network": network},
    ]});
    station.spec["exporters"]["postgres"]["image"] = json!(cast.postgres_exporter);
    station.spec["alertmanager"] = json!({"image": cast.alertmanager, "port": station.world.base_port + 13});
    station.world.spec["parameters"]["shared_preload_libraries"] = json!("pg_stat_statements");
    station.world.spec["databases"] = json!([{"name": "postgres", "extensions": ["pg_stat_statements"]}]);
    station.start();
    // Work for the panels that show work, and a switchover for those that show switchovers.
    let work =
        "create table if not exists t (n int); insert into t select generate_series(1, 1000); select count(*) from t";
    assert!(station.world.sql("master", "postgres", work).contains("1000"));
    assert_eq!(station.world.cli(&["promote", "replica-1"]).code, 0);
    assert!(station.world.sql("replica-1", "postgres", work).contains("2000"));
    let expressions = dashboards::expressions();
    assert!(expressions.len() > 40, "only {}", expressions.len());
    let wanted: Vec<_> = expressions.iter().filter(|one| !one.empty_when_healthy).collect();
    let missing = |s: &Station| -> Vec<String> {
        let silent = wanted.iter().filter(|one| s.query(&one.runnable("1m")).is_empty());
        silent
            .map(|one| format!("{} / {}: {}", one.board, one.panel, one.expr))
            .collect()
    };
    station.until("every panel has an answer", |s| {
        s.world.sql("replica-1", "postgres", "insert into t values (1)");
        let missing = missing(s);
        if let Some(first) = missing.first() {
            eprintln!("{} have none, {first}", missing.len());
        }
        missing.is_empty()
    });
    let missing = missing_metrics(&station);
    assert!(missing.is_empty(), "rules ask for what nobody exports: {missing:?}");
    // No rule fails, and of what is healthy nothing is told but that alerts work.
    station.until("rules are evaluated without an error", |s| {
        s.query("sum(prometheus_rule_evaluation_failures_total)")
            .iter()
            .all(|(_, failures)| *failures == 0.0)
            && s.rules().len() > 30
    });
    let failed = station.query("pg_exporter_last_scrape_error != 0");
    assert!(
        failed.is_empty(),
        "queries that {} does not take: {failed:?}",
        cast.postgres
    );
    let firing = station.query(r#"ALERTS{alertstate="firing", alertname!="Watchdog"}"#);
    assert!(firing.is_empty(), "{firing:?}");
}

/// Metrics that there are only once something has happened, or that take longer than a test.
const RARE: [&str; 4] = [
    "reconciler_pg_archiver_last_archived_age_seconds",
    "redis_master_link_up",
    "prometheus_notifications_dropped_total",
    "alertmanager_notifications_failed_total",
];

/// The metrics that rules ask for and nobody exports: an alert on one of them would never fire.
fn missing_metrics(station: &Station) -> Vec<String> {
    let families = [
        "reconciler_",
        "pg_",
        "redis_",
        "prometheus_",
        "alertmanager_",
        "process_",
    ];
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let queries = station.rule_queries();
    let words = queries.iter().flat_map(|query| query.split(|c| !is_part(c)));
    let asked = words.filter(|word| families.iter().any(|family| word.starts_with(family)));
    let asked: std::collections::BTreeSet<&str> = asked.filter(|word| !RARE.contains(word)).collect();
    assert!(asked.len() > 30, "only {asked:?}");
    let is_missing = |name: &&str| station.query(&format!("count({{__name__=\"{name}\"}})")).is_empty();
    asked.into_iter().filter(is_missing).map(str::to_owned).collect()
}

#[test]
fn every_panel_and_rule_has_an_answer_from_the_latest_of_all() {
    let latest = Cast {
        postgres: "postgres:18",
        postgres_exporter: "quay.io/prometheuscommunity/postgres-exporter:v0.19.1",
        redis_exporter: "oliver006/redis_exporter:v1.86.0",
        prometheus: "prom/prometheus:v3.5.3",
        alertmanager: "prom/alertmanager:v0.33.1",
    };
    assert_every_expression_has_an_answer("latest", &latest);
}

#[test]
fn every_panel_and_rule_has_an_answer_from_what_manifests_name_by_default() {
    assert_every_expression_has_an_answer("default", &BY_DEFAULT);
}

#[test]
fn every_panel_and_rule_has_an_answer_from_the_older_exporters() {
    let older = Cast {
        postgres: "postgres:15",
        postgres_exporter: "quay.io/prometheuscommunity/postgres-exporter:v0.11.1",
        ..BY_DEFAULT
    };
    assert_every_expression_has_an_answer("older", &older);
}

#[test]
fn the_agent_tells_what_it_does_and_prometheus_hears_it() {
    let mut station = Station::new("agent", 1);
    station.start();
    let port = station.world.base_port + METRICS;
    let metrics = || get(port, "/metrics").unwrap_or_default();
    assert!(metrics().ends_with("# EOF\n"), "it is whole");
    let has = |line: &str| metrics().lines().any(|one| one.starts_with(line));
    let of = |name: &str, labels: &str| format!("{name}{{cluster=\"{}\",{labels}", station.world.name);
    assert!(has(&of(
        "reconciler_member_role",
        "member=\"master\",role=\"primary\"} 1"
    )));
    assert!(has(&of("reconciler_member_lag_bytes", "member=\"replica-1\"}")));
    station.until("Prometheus hears the agent", |s| {
        !s.query("reconciler_build_info").is_empty()
    });

    assert_eq!(station.world.cli(&["promote", "replica-1"]).code, 0);
    assert!(has(&of("reconciler_switchovers_total", "outcome=\"ok\"} 1")));
    assert!(has(&of(
        "reconciler_member_role",
        "member=\"replica-1\",role=\"primary\"} 1"
    )));
    let count = format!(
        "reconciler_switchover_outage_seconds_count{{cluster=\"{}\"}} 1",
        station.world.name
    );
    assert!(has(&count), "{}", metrics());
    let alter = "alter system set max_wal_size = '512MB'";
    assert_eq!(station.world.sql("replica-1", "postgres", alter), "");
    let drift = format!("name=\"{}\",what=\"parameter\"}} 1", station.world.name);
    station.until("the drift is counted", |_| {
        metrics()
            .lines()
            .any(|line| line.starts_with("reconciler_drift_total") && line.ends_with(&drift))
    });
    let page = get(port, "/runbook").unwrap();
    assert!(page.contains("<h2 id=\""), "{page}");
}

#[test]
fn an_agent_whose_port_for_metrics_is_taken_does_everything_else() {
    let mut station = Station::new("taken", 0);
    let port = station.world.base_port + METRICS;
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    station.start();
    drop(taken);
    station.until("it is served when the port is free", |_| {
        get(port, "/metrics").is_some()
    });
    station.until("Prometheus hears it", |s| !s.query("reconciler_build_info").is_empty());
}

/// Runs a script of this repository.
fn script(path: &str, arguments: &[&str]) -> (i32, String) {
    let program = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let output = run(std::process::Command::new(program).args(arguments));
    (output.code, output.out + &output.err)
}

#[test]
fn alerts_fire_when_they_shall_and_keep_quiet_when_they_shall() {
    let (code, said) = script("tests/rules/run", &[]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn alerts_can_fire_at_an_interval_of_five_minutes() {
    let folder = std::env::temp_dir().join(format!("reconciler-rules-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in reconciler::kinds::monitoring::rules::ours("RUNBOOK_URL", &[], 300) {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/rules/slow");
    let (code, said) = script("tests/rules/run", &[folder.to_str().unwrap(), tests]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(code, 0, "{said}");
}
