//! What a monitoring resource takes on the host for itself alone, as far as its manifest tells: not the exporters of clusters,
//! of which other manifests decide. Pure.

use serde_json::Value;

use super::monitor::{ALERTMANAGER, GRAFANA, Monitor, PROMETHEUS};
use super::spec::Monitoring;
use crate::kinds::problems::key;
use crate::manifest::load::PathPart;
use crate::manifest::uses::{Thing, Use};

/// The containers, networks and ports of a spec that has passed the schema. A member's volume is called as its container is,
/// with a word behind it.
pub fn uses(name: &str, spec: &Value) -> Vec<Use> {
    let spec: Result<Monitoring, _> = serde_json::from_value(spec.clone());
    let monitor = spec
        .ok()
        .and_then(|spec| Monitor::new((name, "", 0), spec, Default::default()).ok());
    let Some(monitor) = monitor else {
        return Vec::new();
    };
    let spec = &monitor.spec;
    let mut members = vec![(
        PROMETHEUS.to_owned(),
        Some(spec.prometheus.port),
        vec![key("prometheus"), key("port")],
    )];
    if let Some(alertmanager) = &spec.alertmanager {
        let path = vec![key("alertmanager"), key("port")];
        members.push((ALERTMANAGER.to_owned(), Some(alertmanager.port), path));
    }
    if let Some(grafana) = spec.grafana.as_ref().filter(|grafana| grafana.url.is_none()) {
        members.push((
            GRAFANA.to_owned(),
            Some(grafana.port),
            vec![key("grafana"), key("port")],
        ));
    }
    for (at, server) in spec.exporters.redis.servers.iter().enumerate() {
        let path = [
            key("exporters"),
            key("redis"),
            key("servers"),
            PathPart::Index(at),
            key("port"),
        ];
        members.push((Monitor::redis_exporter(&server.name), server.port, path.to_vec()));
    }
    let mut uses = vec![Use::named(Thing::Network(monitor.network_name()))];
    for (member, port, path) in members {
        uses.push(Use::named(Thing::Container(monitor.container_name(&member))));
        uses.extend(port.map(|port| published(&monitor, port, path)));
    }
    for (cluster, ports) in &spec.exporters.postgres.ports {
        for (member, port) in ports {
            let path = ["exporters", "postgres", "ports", cluster, member].map(key);
            uses.push(published(&monitor, *port, path.to_vec()));
        }
    }
    uses
}

fn published(monitor: &Monitor, port: u16, path: Vec<PathPart>) -> Use {
    let address = monitor.spec.address.clone();
    Use {
        thing: Thing::Port { address, port },
        path,
    }
}
