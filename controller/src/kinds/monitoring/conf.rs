//! The configuration of Prometheus and of what stands around it. Pure.

use serde_json::{Value, json};

use super::monitor::Monitor;

/// Where files are delivered.
pub const DIRECTORY: &str = "/etc/reconciler";
/// Where files are put that are only looked at.
pub const CHECK_DIRECTORY: &str = "/tmp/reconciler-check";
/// Prometheus' port in its container.
pub const PROMETHEUS_PORT: u16 = 9090;
/// Alertmanager's port in its container.
pub const ALERTMANAGER_PORT: u16 = 9093;
/// Grafana's port in its container.
pub const GRAFANA_PORT: u16 = 3000;
/// The port of postgres_exporter in its container.
pub const POSTGRES_EXPORTER_PORT: u16 = 9187;
/// The port of redis_exporter in its container.
pub const REDIS_EXPORTER_PORT: u16 = 9121;
/// The parameter of a scrape that tells which configuration runs. Prometheus shows what it runs, and this is all of it that
/// can carry a word of ours without showing up in metrics or alerts.
pub const MARK: &str = "configuration";

/// What is scraped, beside Prometheus itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Targets {
    /// Exporters of PostgreSQL members.
    pub postgres: Vec<Target>,
    /// Exporters of Redis servers.
    pub redis: Vec<Target>,
    /// The agent.
    pub agent: Vec<Target>,
}

/// One address with its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host and port.
    pub address: String,
    /// Its labels.
    pub labels: Vec<(&'static str, String)>,
}

/// A list of targets, as `file_sd_configs` reads it.
pub fn targets(targets: &[Target]) -> String {
    let groups = targets.iter().map(|target| {
        let labels = target.labels.iter();
        let labels: serde_json::Map<String, Value> =
            labels.map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({"targets": [target.address], "labels": labels})
    });
    yaml(&Value::Array(groups.collect()))
}

/// `prometheus.yml`, without what [`MARK`] says.
pub fn prometheus(monitor: &Monitor, rules: &[String]) -> String {
    prometheus_marked(monitor, rules, "")
}

/// `prometheus.yml`. What it names is relative to itself, so that it can be looked at elsewhere.
pub fn prometheus_marked(monitor: &Monitor, rules: &[String], mark: &str) -> String {
    let interval = format!("{}s", monitor.scrape_secs);
    // More than one interval would make an answer overlap the next question; 10 s are Prometheus' own.
    let timeout = format!("{}s", monitor.scrape_secs.min(10));
    let from_file = |job: &str| {
        json!({
            "job_name": job,
            // It hears of changes; this is for when it does not.
            "file_sd_configs": [{"files": [format!("targets/{job}.yml")], "refresh_interval": "30s"}],
        })
    };
    let itself = |job: &str, address: String| json!({"job_name": job, "static_configs": [{"targets": [address]}]});
    let mut agent = from_file("reconciler");
    agent["params"] = json!({MARK: [mark]});
    let mut jobs = vec![
        from_file("postgres"),
        from_file("redis"),
        agent,
        itself("prometheus", format!("localhost:{PROMETHEUS_PORT}")),
    ];
    let mut conf = json!({
        "global": {"scrape_interval": interval, "scrape_timeout": timeout, "evaluation_interval": interval},
        "rule_files": rules,
    });
    if monitor.spec.alertmanager.is_some() {
        let address = format!(
            "{}:{ALERTMANAGER_PORT}",
            monitor.container_name(super::monitor::ALERTMANAGER)
        );
        jobs.push(itself("alertmanager", address.clone()));
        conf["alerting"] = json!({"alertmanagers": [{"static_configs": [{"targets": [address]}]}]});
    }
    conf["scrape_configs"] = Value::Array(jobs);
    yaml(&conf)
}

/// Which configuration a running Prometheus says that it runs: what [`MARK`] says in `/api/v1/status/config`. It is empty for
/// a configuration without a mark: that one is somebody else's, which is known, and not an answer that says nothing.
pub fn running_mark(answer: &Value) -> Option<String> {
    let text = answer.pointer("/data/yaml")?.as_str()?;
    let conf: Value = serde_yaml::from_str(text).ok()?;
    let mut jobs = conf
        .get("scrape_configs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let mark = jobs.find_map(|job| job.pointer(&format!("/params/{MARK}/0"))?.as_str());
    Some(mark.unwrap_or_default().to_owned())
}

/// The configuration of an Alertmanager that shows alerts and tells nobody.
pub const SILENT_ALERTMANAGER: &str =
    "route: {receiver: nobody, group_by: [alertname, cluster]}\nreceivers: [{name: nobody}]\n";

fn yaml(value: &Value) -> String {
    // A value of maps, lists and texts always serialises.
    serde_yaml::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::running_mark;

    #[test]
    fn a_running_configuration_without_our_mark_is_another_one() {
        let answer = |yaml: &str| json!({"status": "success", "data": {"yaml": yaml}});
        let mark = |yaml| running_mark(&answer(yaml));
        assert_eq!(
            mark("scrape_configs:\n- {job_name: a, params: {configuration: [x]}}"),
            Some("x".to_owned())
        );
        assert_eq!(mark("scrape_configs:\n- {job_name: a}"), Some(String::new()));
        assert_eq!(mark("global: {scrape_interval: 1m}"), Some(String::new()));
        assert_eq!(running_mark(&json!({"status": "error"})), None);
    }
}
