//! What a cluster shows to other resources.

use super::cluster::KIND;
use super::conf;
use super::observe;
use super::plan::{View, life};
use crate::kinds::peers::{Face, FaceMember, Peers};
use crate::model::status::Status;

/// Where the members are, who is the primary, and where it takes statements.
pub fn show(view: &View<'_>, status: &Status) -> Face {
    let members = status.members.iter().map(|member| FaceMember {
        name: member.name.clone(),
        container: view.cluster.container_name(&member.name),
        port: conf::PORT,
        role: match member.role.as_str() {
            "" => "unknown".to_owned(),
            role => role.to_owned(),
        },
        is_first: member.name == view.cluster.spec.primary_name,
    });
    let primary = view.memory.primary.as_ref();
    let serves = primary.filter(|primary| view.facts(primary).is_some_and(|facts| !facts.in_recovery));
    let container = serves.and_then(|primary| view.container(primary));
    Face {
        network: view.cluster.network_name(),
        members: members.collect(),
        writer: container.and_then(|container| observe::target(view.cluster, container)),
        is_mending: view.members().iter().any(|member| life::is_coming_up(view, member)),
        has_dead: view.members().iter().any(|member| life::is_dead(view, member)),
    }
}

/// The cluster that goes first when a member of this one is known to be dead and is to be restarted: one host's clusters are
/// mended one after the other, because what looks dead on all of them at once may be the host's own trouble.
pub fn mends_first(peers: &Peers, own: &str) -> Option<String> {
    let clusters = peers.0.iter().filter(|peer| peer.kind == KIND && !peer.is_leaving);
    let mut faces = clusters.filter_map(|peer| Some((&peer.name, peer.face.known()?)));
    let first = faces.find(|(name, face)| face.is_mending || face.has_dead && name.as_str() < own);
    first.map(|(name, _)| name.clone())
}
