//! `Monitoring`: what a user writes. The doc comments are the schema's descriptions and the text of
//! `reconciler explain`; the `format` names are checked by the manifest's loader.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::postgres::spec::{Logging, PasswordFrom, PullPolicy};

mod grafana;

pub use grafana::Grafana;

/// Prometheus with alert rules, one exporter per database member, and, if wanted, Alertmanager and Grafana.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Monitoring {
    /// The clusters that are monitored: those whose manifests carry all of these labels; all clusters without any.
    #[serde(default)]
    #[schemars(extend("examples" = [{"app": "shop"}]))]
    pub cluster_selector: BTreeMap<String, String>,
    /// The address of the host that ports are bound to.
    #[serde(default = "loopback")]
    #[schemars(extend("format" = "ip"))]
    pub address: String,
    /// When to pull images.
    #[serde(default)]
    pub pull_policy: PullPolicy,
    /// The server that collects, keeps and judges.
    #[serde(default)]
    pub prometheus: Prometheus,
    /// What asks the databases.
    #[serde(default)]
    pub exporters: Exporters,
    /// The alert rules.
    #[serde(default)]
    pub alerts: Alerts,
    /// What tells people of alerts; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<Alertmanager>,
    /// Where people look; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grafana: Option<Grafana>,
    /// The network on which Prometheus reaches everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Where the containers' output goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Labels for containers, volumes and the network, beside our own.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// The network on which Prometheus reaches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Its subnet, IPv4; the engine chooses one without it. It is used when the network is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["10.77.2.0/24"]))]
    pub subnet: Option<String>,
}

/// The server that collects, keeps and judges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prometheus {
    /// The image.
    #[serde(default = "prometheus_image")]
    #[schemars(extend("format" = "image"))]
    pub image: String,
    /// Its port on the host.
    #[serde(default = "prometheus_port")]
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Time between two looks at every target.
    #[serde(default = "scrape_interval")]
    #[schemars(extend("format" = "duration"))]
    pub scrape_interval: String,
    /// How long samples are kept.
    #[serde(default = "retention")]
    #[schemars(extend("format" = "duration", "examples" = ["15d"]))]
    pub retention: String,
    /// How much samples may take; unlimited when not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "bytes", "x-scalar" = true))]
    pub retention_size: Option<String>,
    /// A folder with rule files of your own (`*.yml`, `*.yaml`), relative to the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["rules"]))]
    pub rules: Option<String>,
    /// What it may use of the host.
    #[serde(default)]
    pub resources: Resources,
}

/// What asks the databases.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exporters {
    /// One per member of every selected `PostgresCluster`.
    #[serde(default)]
    pub postgres: PostgresExporter,
    /// One per Redis server that is named.
    #[serde(default)]
    pub redis: RedisExporter,
}

/// One exporter per member of every selected `PostgresCluster`. It logs in as `reconciler_monitor`, a member of
/// `pg_monitor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostgresExporter {
    /// The image, of version 0.11 to 0.19.
    #[serde(default = "postgres_exporter_image")]
    #[schemars(extend("format" = "image"))]
    pub image: String,
    /// A folder with queries of your own (`*.yml`, `*.yaml`), in postgres_exporter's format, relative to the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queries: Option<String>,
    /// Databases that those queries are asked in, beside `postgres`; a query with `master: true` is asked there alone. Label the
    /// rows with `current_database()`: two equal ones fail the whole scrape. A database that a cluster does not have is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["shop"]]))]
    pub databases: Vec<String>,
    /// Ports on the host, by cluster and member. Without an entry the first cluster's first member gets 9190, its replicas 9188,
    /// 9189, 9191 and so on, and further clusters what is free from there; each keeps what it got.
    #[serde(default)]
    #[schemars(extend("examples" = [{"shop": {"master": 9190}}]))]
    pub ports: BTreeMap<String, BTreeMap<String, u16>>,
    /// What each may use of the host.
    #[serde(default)]
    pub resources: Resources,
}

/// One exporter per Redis server that is named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RedisExporter {
    /// The image.
    #[serde(default = "redis_exporter_image")]
    #[schemars(extend("format" = "image"))]
    pub image: String,
    /// The servers.
    #[serde(default)]
    pub servers: Vec<RedisServer>,
    /// What each may use of the host.
    #[serde(default)]
    pub resources: Resources,
}

/// A Redis server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RedisServer {
    /// What it is called in graphs and alerts.
    #[schemars(extend("format" = "dns-label"))]
    pub name: String,
    /// Its host name and port, as seen from its network.
    #[schemars(extend("examples" = ["redis:6379"]))]
    pub address: String,
    /// The Docker network that it is reached on. The exporter joins it.
    pub network: String,
    /// The user to log in as; the default user when not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where its password comes from, if it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_from: Option<PasswordFrom>,
    /// The exporter's port on the host; not published when not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
}

/// The alert rules.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alerts {
    /// Where the page that explains the alerts is; the agent's own when not named. `#` and the alert's name are put behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["https://wiki.example.org/runbook"]))]
    pub runbook_url: Option<String>,
    /// Alerts that are left out, by name.
    #[serde(default)]
    pub disabled: Vec<String>,
}

/// What tells people of alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alertmanager {
    /// The image.
    #[serde(default = "alertmanager_image")]
    #[schemars(extend("format" = "image"))]
    pub image: String,
    /// Its port on the host.
    #[serde(default = "alertmanager_port")]
    #[schemars(range(min = 1))]
    pub port: u16,
    /// A folder with your `alertmanager.yml`, relative to the manifest. Without it alerts are shown and nobody is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// What it may use of the host.
    #[serde(default)]
    pub resources: Resources,
}

/// What a container may use of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// CPUs, such as `2`, `1.5` or `500m`; changed without restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "cpus", "x-scalar" = true))]
    pub cpu: Option<String>,
    /// Memory, such as `512MiB`; changed without restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "bytes", "x-scalar" = true))]
    pub memory: Option<String>,
}

impl Default for Prometheus {
    fn default() -> Self {
        Prometheus {
            image: prometheus_image(),
            port: prometheus_port(),
            scrape_interval: scrape_interval(),
            retention: retention(),
            retention_size: None,
            rules: None,
            resources: Resources::default(),
        }
    }
}

impl Default for PostgresExporter {
    fn default() -> Self {
        PostgresExporter {
            image: postgres_exporter_image(),
            queries: None,
            databases: Vec::new(),
            ports: BTreeMap::new(),
            resources: Resources::default(),
        }
    }
}

impl Default for RedisExporter {
    fn default() -> Self {
        RedisExporter {
            image: redis_exporter_image(),
            servers: Vec::new(),
            resources: Resources::default(),
        }
    }
}

fn loopback() -> String {
    "127.0.0.1".to_owned()
}

fn prometheus_image() -> String {
    "prom/prometheus:v2.53.3".to_owned()
}

fn prometheus_port() -> u16 {
    // Prometheus' own 9090 is the first port that anything else takes.
    9091
}

fn scrape_interval() -> String {
    "15s".to_owned()
}

fn retention() -> String {
    "15d".to_owned()
}

fn postgres_exporter_image() -> String {
    "quay.io/prometheuscommunity/postgres-exporter:v0.17.1".to_owned()
}

fn redis_exporter_image() -> String {
    "oliver006/redis_exporter:v1.69.0".to_owned()
}

fn alertmanager_image() -> String {
    "prom/alertmanager:v0.28.1".to_owned()
}

fn alertmanager_port() -> u16 {
    9093
}
