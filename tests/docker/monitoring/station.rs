//! A cluster and what monitors it: a second manifest beside the world's own.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use reconciler::host::http::{Call, Credentials, Http, Method};
use serde_json::{Value, json};

use crate::world::{World, docker, docker_output, replace, sweep};

/// One test's cluster with its monitoring.
pub struct Station {
    pub world: World,
    /// The monitoring resource's name.
    pub name: String,
    pub spec: Value,
}

impl Station {
    /// A cluster and its monitoring; nothing is started. The ports behind those of the cluster's members are the monitoring's.
    pub fn new(test: &str, replicas: u32) -> Station {
        let mut world = World::new(test, replicas);
        world.metadata = json!({"labels": {"app": world.name}});
        let name = format!("{}-mon", world.name);
        let port = |n: u16| world.base_port + 8 + n;
        let spec = json!({
            "clusterSelector": {"app": world.name},
            "pullPolicy": "Never",
            "prometheus": {"port": port(0), "scrapeInterval": "1s"},
            "exporters": {"postgres": {"ports": {(world.name.clone()): {
                "master": port(1), "replica-1": port(2), "replica-2": port(3),
            }}}},
            "labels": {"dev-test": "docker"},
        });
        Station { world, name, spec }
    }

    /// Starts all of it and waits until it is ready.
    pub fn start(&mut self) {
        self.save();
        self.world.start();
        self.world.wait_ready();
        self.until("monitoring is ready", Station::is_ready);
    }

    fn text(&self) -> String {
        let document = json!({
            "apiVersion": "reconciler.dev/v1alpha1",
            "kind": "Monitoring",
            "metadata": {"name": self.name},
            "spec": self.spec,
        });
        serde_yaml::to_string(&document).unwrap()
    }

    pub fn save(&self) {
        fs::create_dir_all(self.world.dir.join("manifests")).unwrap();
        replace(&self.world.dir.join("manifests/monitoring.yaml"), &self.text());
    }

    /// Writes a file beside the manifest.
    pub fn put(&self, file: &str, text: &str) -> PathBuf {
        let path = self.world.dir.join("manifests").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        replace(&path, text);
        path
    }

    /// The resource as `status -o json` shows it.
    pub fn resource(&self) -> Value {
        let output = self.world.cli(&["status", &self.name, "-o", "json"]);
        let overview: Value = serde_json::from_str(&output.out).unwrap_or(Value::Null);
        overview["resources"][0].clone()
    }

    pub fn is_ready(&self) -> bool {
        let resource = self.resource();
        let is_current = resource["status"]["observedGeneration"] == resource["generation"];
        self.condition("Ready").0 == "True" && self.condition("TargetsUp").0 == "True" && is_current
    }

    /// A condition: its status, reason and message.
    pub fn condition(&self, kind: &str) -> (String, String, String) {
        let conditions = self.resource()["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = conditions
            .into_iter()
            .find(|c| c["type"] == kind)
            .unwrap_or(Value::Null);
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"), text("message"))
    }

    pub fn events(&self) -> String {
        self.world.cli(&["events", &self.name]).out
    }

    pub fn wait_event(&self, text: &str) {
        self.until(&format!("an event says `{text}`"), |s| s.events().contains(text));
    }

    pub fn until(&self, what: &str, holds: impl Fn(&Station) -> bool) {
        self.world.until(what, |_| holds(self));
    }

    /// A Redis server on a network of its own; both go with the station.
    pub fn redis(&self, options: &[&str]) -> (String, String) {
        let (server, network) = (format!("{}-r", self.name), format!("{}-rnet", self.name));
        let label = format!("dev.reconciler.name={}", self.name);
        docker(&["network", "create", "--label", &label, &network]);
        let run = [
            "run",
            "-d",
            "--name",
            &server,
            "--label",
            &label,
            "--network",
            &network,
            "redis:8",
        ];
        docker(&[&run[..], &["redis-server", "--protected-mode", "no"], options].concat());
        let ping = ["exec", &server, "redis-cli", "ping"];
        self.until("Redis answers", |_| docker_output(&ping).code == 0);
        (server, network)
    }

    pub fn container(&self, member: &str) -> String {
        format!("{}-{member}", self.name)
    }

    pub fn exporter(&self, member: &str) -> String {
        self.container(&format!("exporter-{}-{member}", self.world.name))
    }

    pub fn started_at(&self, container: &str) -> String {
        docker(&["inspect", "-f", "{{.State.StartedAt}}", container])
    }

    fn prometheus(&self, path: &str) -> Value {
        let port = u16::try_from(self.spec["prometheus"]["port"].as_u64().unwrap()).unwrap();
        let body = get(port, path).unwrap_or_default();
        serde_json::from_str(&body).unwrap_or(Value::Null)
    }

    /// The answer of Prometheus to a query: labels and value of each series.
    pub fn query(&self, promql: &str) -> Vec<(Value, f64)> {
        let escaped: String = promql.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = self.prometheus(&format!("/api/v1/query?query={escaped}"));
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let read = |one: &Value| Some((one["metric"].clone(), one["value"][1].as_str()?.parse().ok()?));
        series.iter().filter_map(read).collect()
    }

    /// The members that Prometheus hears of, with their roles, sorted.
    pub fn scraped(&self) -> Vec<(String, String)> {
        let text = |labels: &Value, key: &str| labels[key].as_str().unwrap_or_default().to_owned();
        let up = self.query(r#"pg_up{job="postgres"} == 1"#);
        let mut found: Vec<_> = up
            .iter()
            .map(|(labels, _)| (text(labels, "member"), text(labels, "role")))
            .collect();
        found.sort();
        found
    }

    /// What all rules ask.
    pub fn rule_queries(&self) -> Vec<String> {
        self.of_rules("query")
    }

    /// The names of all rules that Prometheus runs, sorted.
    pub fn rules(&self) -> Vec<String> {
        self.of_rules("name")
    }

    fn of_rules(&self, field: &str) -> Vec<String> {
        let answer = self.prometheus("/api/v1/rules");
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default());
        let mut names: Vec<String> = rules
            .filter_map(|rule| Some(rule[field].as_str()?.to_owned()))
            .collect();
        names.sort();
        names
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}{}", self.world.cli(&["status"]).out, self.events());
        }
        // The agent first: it would make all of it again.
        self.world.end_agent();
        sweep(&self.name);
    }
}

/// Asks a Grafana on this host. Nothing when it declines.
pub fn send(port: u16, who: &Credentials, method: Method, path: &str, body: Option<&Value>) -> Option<Value> {
    let url = format!("http://127.0.0.1:{port}{path}");
    let call = Call {
        method,
        body,
        ..Call::get(&url, who, std::time::Duration::from_secs(5))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { Http::new().call(&call).await.ok() })
}

/// The body of a page on this host, if there is one.
pub fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200 ").then(|| body.to_owned())
}
