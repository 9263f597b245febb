//! What has to stand before a container can: its network, its image, a free name and free ports.

use crate::model::Seen;
use crate::model::container::{ImageFacts, NamedObserved, NamedSpec, Objects};
use crate::model::labels;
use crate::model::plan::{Action, EngineOp, Plan};

/// What a container wants for itself alone.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Whom it concerns.
    pub subject: &'a str,
    /// What a user would rename, such as `cluster`.
    pub owner: &'a str,
    /// The container's name.
    pub container: &'a str,
    /// The volume's name.
    pub volume: Option<&'a str>,
    /// The port on the host, and the field that says it.
    pub port: Option<(u16, &'a str)>,
}

/// Makes a network. `false` while it is not there.
pub fn network<C>(objects: &Objects, wanted: NamedSpec, owner: &str, plan: &mut Plan<C>) -> bool {
    let name = wanted.name.clone();
    if let Some(found) = objects.networks.iter().find(|n| n.name == name) {
        other_subnet(found, &wanted, owner, plan);
        return true;
    }
    if objects.foreign_networks.contains(&name) {
        plan.block(
            &name,
            "NameTaken",
            format!(
                "a network named {name} exists and does not belong to this {owner}; it is left alone. \
                 Remove it (`docker network rm {name}`) or rename the {owner}"
            ),
        );
        return false;
    }
    plan.step(Action::engine(&name, EngineOp::CreateNetwork(wanted), "it is missing"));
    false
}

/// Says that a network has another subnet than is wanted: one that is in use cannot be changed.
pub fn other_subnet<C>(found: &NamedObserved, wanted: &NamedSpec, owner: &str, plan: &mut Plan<C>) {
    let Some(subnet) = wanted.labels.get(labels::SUBNET) else {
        return;
    };
    let has = found.labels.get(labels::SUBNET);
    if has == Some(subnet) {
        return;
    }
    let name = &found.name;
    let has = has.map_or("one that the engine chose", String::as_str);
    plan.block(
        name,
        "OtherSubnet",
        format!(
            "the network has another subnet ({has}) than the manifest asks for ({subnet}), and cannot be changed while \
             containers are on it. To have it made anew, pause the {owner}, remove its containers (`docker rm -f`; the volumes \
             stay) and the network (`docker network rm {name}`), and resume it; or take the subnet out of the manifest"
        ),
    );
}

/// An image, or the step or note that leads to it, said once however many need it.
pub fn image<'a, C: PartialEq>(
    objects: &'a Objects,
    name: &str,
    (subject, may_pull): (&str, bool),
    plan: &mut Plan<C>,
) -> Option<&'a ImageFacts> {
    let mut said = Plan::default();
    match objects.image(name) {
        Seen::Known(image) => return Some(image),
        Seen::Unknown(why) => said.wait(subject, format!("image {name} could not be looked at: {why}")),
        Seen::Absent if !may_pull => said.block(
            subject,
            "ImageMissing",
            format!("image {name} is missing and spec.pullPolicy is Never; load it, or change the policy"),
        ),
        Seen::Absent => {
            let pull = EngineOp::PullImage(name.to_owned());
            said.step(Action::engine(subject, pull, "it is missing"));
        }
    }
    if !said.chains.iter().all(|chain| plan.chains.contains(chain)) {
        plan.chains.extend(said.chains);
    }
    if !said.notes.iter().all(|note| plan.notes.contains(note)) {
        plan.notes.extend(said.notes);
    }
    None
}

/// Whether what a container wants for itself alone is free; says what is not.
pub fn is_free<C>(objects: &Objects, claim: Claim<'_>, plan: &mut Plan<C>) -> bool {
    let Claim {
        subject,
        owner,
        container,
        ..
    } = claim;
    if let Some(holder) = objects.neighbours.iter().find(|n| n.name == container) {
        plan.block(
            subject,
            "NameTaken",
            format!(
                "a container named {container} (image {}) exists and does not belong to this {owner}; it is left alone. \
                 Rename or remove it, or rename the {owner}",
                holder.image
            ),
        );
        return false;
    }
    if let Some(volume) = claim
        .volume
        .filter(|name| objects.foreign_volumes.iter().any(|v| v == name))
    {
        plan.block(
            subject,
            "NameTaken",
            format!(
                "a volume named {volume} exists and does not belong to this {owner}; it is left alone. \
                 Remove it if you do not need its data, or rename the {owner}"
            ),
        );
        return false;
    }
    let Some((port, field)) = claim.port else {
        return true;
    };
    if let Some(holder) = objects.neighbours.iter().find(|n| n.host_ports.contains(&port)) {
        plan.block(
            subject,
            "PortTaken",
            format!(
                "port {port} is held by container {} (image {}); free it, or change {field}",
                holder.name, holder.image
            ),
        );
        return false;
    }
    true
}
