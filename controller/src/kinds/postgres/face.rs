//! What a cluster shows to other resources.

use super::conf;
use super::observe;
use super::plan::View;
use crate::kinds::peers::{Face, FaceMember};
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
    }
}
