//! What has to stand before any member can: the image, the network, free names and ports, a single primary.

use super::super::desired;
use super::super::memory::Change;
use super::super::spec::PullPolicy;
use super::routes;
use super::view::View;
use crate::model::Seen;
use crate::model::container::ImageFacts;
use crate::model::labels;
use crate::model::plan::{Action, EngineOp, Plan};

/// Makes the cluster's own network. `false` when nothing else can be planned before it exists.
pub fn lay(view: &View<'_>, plan: &mut Plan<Change>) -> bool {
    let wanted = desired::network(view.cluster);
    let objects = &view.observed.objects;
    if objects.networks.iter().any(|n| n.name == wanted.name) {
        return true;
    }
    if objects.foreign_networks.contains(&wanted.name) {
        plan.block(
            &wanted.name,
            "NameTaken",
            format!(
                "a network named {} exists and does not belong to this cluster; it is left alone. \
                 Remove it (`docker network rm {}`) or rename the cluster",
                wanted.name, wanted.name
            ),
        );
        return false;
    }
    plan.step(Action::engine(
        &wanted.name.clone(),
        EngineOp::CreateNetwork(wanted),
        "it is missing",
    ));
    routes::lay(view, plan);
    false
}

/// The image, or the step or note that leads to it, said once however many members need it.
pub fn image<'a>(view: &View<'a>, plan: &mut Plan<Change>) -> Option<&'a ImageFacts> {
    let subject = &view.cluster.name;
    let name = &view.cluster.spec.image;
    let mut said = Plan::default();
    match view.observed.objects.image(name) {
        Seen::Known(image) => return Some(image),
        Seen::Unknown(why) => said.wait(subject, format!("image {name} could not be looked at: {why}")),
        Seen::Absent if view.cluster.spec.pull_policy == PullPolicy::Never => said.block(
            subject,
            "ImageMissing",
            format!("image {name} is missing and spec.pullPolicy is Never; load it, or change the policy"),
        ),
        Seen::Absent => {
            let pull = EngineOp::PullImage(name.clone());
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

/// Whether a container for `member` can be made: its name, its volume's name and its port are free.
pub fn is_free(view: &View<'_>, member: &str, plan: &mut Plan<Change>) -> bool {
    let objects = &view.observed.objects;
    let name = view.cluster.container_name(member);
    if let Some(holder) = objects.neighbours.iter().find(|n| n.name == name) {
        plan.block(
            member,
            "NameTaken",
            format!(
                "a container named {name} (image {}) exists and does not belong to this cluster; it is left alone. \
                 Rename or remove it, or rename the cluster",
                holder.image
            ),
        );
        return false;
    }
    let volume = view.volume_name(member);
    if objects.foreign_volumes.contains(&volume) {
        plan.block(
            member,
            "NameTaken",
            format!(
                "a volume named {volume} exists and does not belong to this cluster; it is left alone. \
                 Remove it if you do not need its data, or rename the cluster"
            ),
        );
        return false;
    }
    let Some(port) = view.cluster.port(member) else {
        return true;
    };
    if let Some(holder) = objects.neighbours.iter().find(|n| n.host_ports.contains(&port)) {
        plan.block(
            member,
            "PortTaken",
            format!(
                "port {port} is held by container {} (image {}); free it, or change spec.ports",
                holder.name, holder.image
            ),
        );
        return false;
    }
    true
}

/// Whether the member's existing volume can be used with the image: never another major version.
pub fn fits_volume(view: &View<'_>, member: &str, image: &ImageFacts, plan: &mut Plan<Change>) -> bool {
    let major = image.env.get("PG_MAJOR");
    let made_by = view.volume(member).and_then(|v| v.labels.get(labels::POSTGRES_MAJOR));
    let (Some(major), Some(made_by)) = (major, made_by) else {
        return true;
    };
    if major == made_by {
        return true;
    }
    plan.block(
        member,
        "MajorVersion",
        format!(
            "its volume was initialised by PostgreSQL {made_by} and image {} is {major}, which cannot read it. \
             Put the old image back; to move, start a second cluster with the new image and load a dump into it",
            view.cluster.spec.image
        ),
    );
    false
}

/// Another member than the recorded primary accepts writes, and the record does not settle it: neither is touched. Of one
/// whose volume was given up it does: that was decided while the primary answered.
pub fn two_primaries(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) -> bool {
    let writable: Vec<&String> = view
        .observed
        .members
        .keys()
        .filter(|m| view.facts(m).is_some_and(|f| !f.in_recovery))
        .filter(|m| view.container(m).is_none_or(|c| view.has_current_volume(m, c)))
        .collect();
    let recorded = writable.iter().any(|m| m.as_str() == primary);
    if writable.is_empty() || recorded {
        return false;
    }
    let others: Vec<&str> = writable.iter().map(|m| m.as_str()).collect();
    plan.confirm(
        &view.cluster.name,
        format!(
            "{} accepts writes but {primary} is the recorded primary, which does not answer as one; \
             nothing is touched. Decide with `reconciler promote MEMBER --force`",
            others.join(", ")
        ),
    );
    true
}
