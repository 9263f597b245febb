//! All that a decision rests on, and the questions that several rules ask of it.

use std::net::SocketAddr;

use super::super::content;
use super::super::grafana::Remembered;
use super::super::memory::Memory;
use super::super::monitor::{GRAFANA, Monitor};
use super::super::observe::{ClusterSeen, Observed};
use crate::kinds::peers::Face;
use crate::model::Seen;
use crate::model::container::RunState;
use crate::model::grafana::GrafanaTarget;

/// Where the agent's page that explains alerts is, seen from the host.
const RUNBOOK_URL: &str = "http://127.0.0.1:9186/runbook";

/// All that a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What is wanted.
    pub monitor: &'a Monitor,
    /// What was seen.
    pub observed: &'a Observed,
    /// What is remembered.
    pub memory: &'a Memory,
    /// Seconds since the epoch.
    pub now: i64,
}

impl<'a> View<'a> {
    /// The clusters that are monitored and can be seen, in the order of their names.
    pub fn clusters(&self) -> impl Iterator<Item = (&'a String, &'a Face)> + use<'a> {
        let clusters = self.observed.clusters.iter();
        let staying = clusters.filter(|(_, cluster)| !cluster.is_leaving);
        staying.filter_map(|(name, cluster)| Some((name, cluster.face.known()?)))
    }

    /// Whether a container may serve a cluster of which nothing is known yet, such as right after a start of the agent.
    pub fn may_be_wanted(&self, member: &str) -> bool {
        let is_unknown = |cluster: &ClusterSeen| !cluster.is_leaving && matches!(cluster.face, Seen::Unknown(_));
        let clusters = self.observed.clusters.iter();
        clusters
            .filter(|(_, cluster)| is_unknown(cluster))
            .any(|(name, _)| member.starts_with(&Monitor::exporter(name, "")))
    }

    /// Whether every cluster that is monitored was looked at.
    pub fn knows_all_clusters(&self) -> bool {
        let mut clusters = self.observed.clusters.values();
        clusters.all(|cluster| cluster.is_leaving || cluster.face.known().is_some())
    }

    /// Whether the role that exporters log in as is known not to exist in a cluster: then nobody has its password.
    pub fn lacks_role(&self, cluster: &str) -> bool {
        let cluster = self.observed.clusters.get(cluster);
        cluster.is_some_and(|cluster| cluster.role.is_absent())
    }

    /// Whether a member's volume is there.
    pub fn has_volume(&self, member: &str) -> bool {
        let name = self.monitor.volume_name(member);
        self.observed.objects.volumes.iter().any(|volume| volume.name == name)
    }

    /// Whether nobody can have the password that Grafana takes at its first start: it has no volume, or an agent that made its
    /// container ended before it was started.
    pub fn is_grafana_new(&self) -> bool {
        let name = self.monitor.container_name(GRAFANA);
        let containers = &self.observed.objects.containers;
        let container = containers.iter().find(|container| container.name == name);
        let is_unused =
            container.is_some_and(|container| container.state == RunState::Created && container.started_at == 0);
        !self.has_volume(GRAFANA) || is_unused && self.memory.grafana == Remembered::default()
    }

    /// Where Prometheus reaches the agent: the host's address in the network, with the port that the command line says. A
    /// container cannot reach loopback. `None` where the agent serves no metrics.
    pub fn agent_address(&self) -> Option<SocketAddr> {
        let port = self.observed.doors.first()?.port();
        let name = self.monitor.network_name();
        let networks = &self.observed.objects.networks;
        let network = networks.iter().find(|network| network.name == name)?;
        Some(SocketAddr::new(network.gateway.parse().ok()?, port))
    }

    /// Whether the agent is asked at a port of its own, whatever address it is bound to.
    pub fn is_open(&self, wanted: SocketAddr) -> bool {
        let doors = self.observed.doors.iter().copied();
        doors
            .filter(|door| door.port() == wanted.port())
            .any(|door| door == wanted || door.ip().is_unspecified())
    }

    /// Where the page that explains alerts is.
    pub fn runbook_url(&self) -> String {
        let named = self.monitor.spec.alerts.runbook_url.clone();
        let own = || match self.observed.doors.first() {
            Some(door) => format!("http://{door}/runbook"),
            None => RUNBOOK_URL.to_owned(),
        };
        named.unwrap_or_else(own)
    }

    /// The Grafana that is kept, while it can be reached.
    pub fn grafana_target(&self) -> Option<GrafanaTarget> {
        let spec = self.monitor.spec.grafana.as_ref()?;
        let objects = &self.observed.objects;
        let container = objects.container(&self.monitor.container_name(GRAFANA));
        let running = container.filter(|container| container.state == RunState::Running);
        let address = running.and_then(|container| container.networks.get(&self.monitor.network_name()));
        let address = address.filter(|address| !address.is_empty());
        content::target(self.monitor, spec, address.map(String::as_str))
    }
}
