//! A validated resource: the spec with its quantities as numbers, and the names of everything that belongs to it.

use std::collections::BTreeMap;

use super::content;
use super::spec::{Monitoring, Resources};
use crate::kinds::{password, postgres};
use crate::manifest::quantity::{parse_bytes, parse_duration, parse_limits};
use crate::model::SecretRef;
use crate::model::container::Limits;
use crate::model::labels;

/// The kind's name in manifests and labels.
pub const KIND: &str = "Monitoring";
/// The role that exporters log in as.
pub use crate::kinds::postgres::cluster::MONITORING_ROLE as ROLE;
/// The member that is Prometheus.
pub const PROMETHEUS: &str = "prometheus";
/// The member that is Alertmanager.
pub const ALERTMANAGER: &str = "alertmanager";

/// The member that is Grafana.
pub const GRAFANA: &str = "grafana";

/// A validated resource. Building the desired state from it cannot fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Monitor {
    /// The resource's name.
    pub name: String,
    /// The resource's uid.
    pub uid: String,
    /// The generation of the spec.
    pub generation: u64,
    /// What the user wrote.
    pub spec: Monitoring,
    /// The files of the folders that the spec names, by folder and name.
    pub files: BTreeMap<String, String>,
    /// `spec.prometheus.scrapeInterval` in seconds.
    pub scrape_secs: u64,
    /// `spec.prometheus.retention` in seconds.
    pub retention_secs: u64,
    /// `spec.prometheus.retentionSize` in bytes.
    pub retention_bytes: Option<u64>,
    limits: BTreeMap<&'static str, Limits>,
}

impl Monitor {
    /// Builds a resource from a spec that has passed the schema, with the files that it names.
    pub fn new(
        (name, uid, generation): (&str, &str, u64),
        spec: Monitoring,
        files: BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let retention_size = spec.prometheus.retention_size.as_deref();
        let mut limits = BTreeMap::from([
            (PROMETHEUS, limits_of(&spec.prometheus.resources)?),
            ("postgres", limits_of(&spec.exporters.postgres.resources)?),
            ("redis", limits_of(&spec.exporters.redis.resources)?),
        ]);
        if let Some(alertmanager) = &spec.alertmanager {
            limits.insert(ALERTMANAGER, limits_of(&alertmanager.resources)?);
        }
        if let Some(grafana) = &spec.grafana {
            limits.insert(GRAFANA, limits_of(&grafana.resources)?);
        }
        Ok(Monitor {
            name: name.to_owned(),
            uid: uid.to_owned(),
            generation,
            scrape_secs: parse_duration(&spec.prometheus.scrape_interval)?.as_secs().max(1),
            retention_secs: parse_duration(&spec.prometheus.retention)?.as_secs().max(1),
            retention_bytes: retention_size.map(parse_bytes).transpose()?,
            limits,
            files,
            spec,
        })
    }

    /// CPU and memory of Prometheus, Alertmanager, and of exporters for `postgres` and `redis`.
    pub fn limits(&self, what: &str) -> Limits {
        self.limits.get(what).cloned().unwrap_or_default()
    }

    /// The files of one folder, by their names in it.
    pub fn folder(&self, folder: &str) -> BTreeMap<&str, &str> {
        let files = self.files.iter();
        files
            .filter_map(|(key, text)| Some((key.strip_prefix(folder)?.strip_prefix('/')?, text.as_str())))
            .collect()
    }

    /// The host name by which published ports are reached from the host itself.
    pub fn reached_at(&self) -> String {
        match self.spec.address.as_str() {
            "0.0.0.0" | "::" => "localhost".to_owned(),
            address if address.contains(':') => format!("[{address}]"),
            address => address.to_owned(),
        }
    }

    /// The container of a member; also its DNS name.
    pub fn container_name(&self, member: &str) -> String {
        format!("{}-{member}", self.name)
    }

    /// The volume of a member that keeps something.
    pub fn volume_name(&self, member: &str) -> String {
        format!("{}-{member}-data", self.name)
    }

    /// The network on which Prometheus reaches everything.
    pub fn network_name(&self) -> String {
        format!("{}-net", self.name)
    }

    /// The member that is the exporter of a cluster's member.
    pub fn exporter(cluster: &str, member: &str) -> String {
        format!("exporter-{cluster}-{member}")
    }

    /// The member that is the exporter of a Redis server.
    pub fn redis_exporter(server: &str) -> String {
        format!("redis-exporter-{server}")
    }

    /// The password of the monitoring role in a cluster. It is the cluster's, whoever monitors it.
    pub fn password(cluster: &str) -> SecretRef {
        password::generated((postgres::cluster::KIND, cluster), ROLE)
    }

    /// The passwords that are generated for it.
    pub fn secrets(&self) -> Vec<SecretRef> {
        let own = self.spec.grafana.iter().filter(|grafana| grafana.url.is_none());
        let mut secrets: Vec<SecretRef> = own.map(|grafana| content::admin_password(self, grafana)).collect();
        secrets.retain(|secret| matches!(secret, SecretRef::Generated { .. }));
        secrets
    }

    /// Our labels and the user's.
    pub fn labels(&self, member: Option<&str>) -> BTreeMap<String, String> {
        labels::of((KIND, &self.name, &self.uid), member, &self.spec.labels)
    }
}

fn limits_of(resources: &Resources) -> Result<Limits, String> {
    parse_limits(resources.cpu.as_deref(), resources.memory.as_deref())
}
