//! What a cluster takes on the host for itself alone, as far as its manifest tells. Pure.

use serde_json::Value;

use super::cluster::Cluster;
use super::spec::PostgresCluster;
use crate::kinds::problems::key;
use crate::manifest::load::PathPart;
use crate::manifest::uses::{Thing, Use};

/// The containers, networks and ports of a spec that has passed the schema. A member's volumes are called as its container
/// is, with a number behind it.
pub fn uses(name: &str, spec: &Value) -> Vec<Use> {
    let spec: Result<PostgresCluster, _> = serde_json::from_value(spec.clone());
    let Some(cluster) = spec.ok().and_then(|spec| Cluster::new(name, "", 0, spec).ok()) else {
        return Vec::new();
    };
    let networks = [cluster.network_name(), cluster.service_network_name()];
    let mut uses: Vec<Use> = networks.map(|network| Use::named(Thing::Network(network))).into();
    for member in cluster.members(None) {
        uses.push(Use::named(Thing::Container(cluster.container_name(&member))));
        uses.extend(cluster.port(&member).map(|port| Use {
            thing: Thing::Port {
                address: cluster.spec.ports.address.clone(),
                port,
            },
            path: path_of_port(&cluster, &member),
        }));
    }
    uses
}

fn path_of_port(cluster: &Cluster, member: &str) -> Vec<PathPart> {
    match cluster.spec.ports.members.contains_key(member) {
        true => vec![key("ports"), key("members"), key(member)],
        false => vec![key("ports"), key("base")],
    }
}
