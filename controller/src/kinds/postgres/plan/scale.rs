//! Members that are no longer wanted leave; volumes that are no longer used go when they are proved to be copies.

use super::super::memory::{Change, Retired};
use super::super::spec::OnScaleDown;
use super::keep;
use super::rejoin;
use super::sync;
use super::view::{Step, View};
use crate::model::container::{ContainerObserved, RunState};
use crate::model::labels;
use crate::model::plan::{Action, EngineOp, Op, Plan};

/// Removes members beyond the wanted number, and volumes that served their time. The primary is never among them.
pub fn down(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) {
    let members = view.members();
    for container in &view.observed.objects.containers {
        let Some(member) = container.labels.get(labels::MEMBER) else {
            continue;
        };
        if member != primary && !members.contains(member) {
            remove(view, member, container, plan);
        }
    }
    volumes(view, &members, plan);
}

fn remove(view: &View<'_>, member: &str, container: &ContainerObserved, plan: &mut Plan<Change>) {
    if container.state == RunState::Between {
        return plan.wait(member, "its container is between two states");
    }
    if let Some(why) = sync::holds(view, member) {
        return plan.wait(member, why);
    }
    let cause = format!("spec.replicas is {}", view.cluster.spec.replicas);
    let mut steps: Vec<Step> = Vec::new();
    if view.cluster.spec.storage.on_scale_down == OnScaleDown::Delete {
        let volume = view.volume_name(member);
        let proved_copy = rejoin::is_copy(view, member);
        if !proved_copy && !matches!(container.state, RunState::Created | RunState::Exited) {
            // The two servers were asked one after the other, and the primary went on meanwhile. A member that has
            // stopped stands still.
            return plan.chain(keep::halt(view, member, container, &cause));
        }
        if !proved_copy {
            plan.block(
                member,
                "VolumeKept",
                format!("its volume {volume} is kept although spec.storage.onScaleDown is Delete: it is not proved that the primary has all its data"),
            );
        }
        let retired = Retired {
            member: member.to_owned(),
            reason: cause.clone(),
            proved_copy,
        };
        if view.memory.retired.get(&volume) != Some(&retired) {
            let change = Change::Retire(volume, retired);
            steps.push(Action::new(member, Op::Remember(change), cause.clone()));
        }
    }
    steps.extend(keep::dismiss(view, member, container, &cause));
    plan.chain(steps);
}

/// A retired volume goes only when it was proved to be a copy, no container mounts it, and its member, if it is still
/// wanted, streams from its new one.
fn volumes(view: &View<'_>, members: &[String], plan: &mut Plan<Change>) {
    for (volume, retired) in &view.memory.retired {
        let exists = view.observed.objects.volumes.iter().any(|v| v.name == *volume);
        let is_wanted = members.contains(&retired.member);
        let forget = Action::new(
            volume,
            Op::Remember(Change::Forget(volume.clone())),
            "it is no longer retired",
        );
        if !exists || (is_wanted && *volume == view.volume_name(&retired.member)) {
            plan.step(forget);
            continue;
        }
        let mounted = view
            .observed
            .objects
            .containers
            .iter()
            .any(|c| c.volumes.contains(volume));
        let replaced = !is_wanted || view.replica_is_ready(&retired.member);
        if !retired.proved_copy || mounted || !replaced {
            continue;
        }
        let cause = if is_wanted {
            format!(
                "{} streams from its new volume, and this one held nothing that the primary does not have",
                retired.member
            )
        } else {
            format!("{}, and it held nothing that the primary does not have", retired.reason)
        };
        plan.chain(vec![
            Action::engine(volume, EngineOp::RemoveVolume(volume.clone()), cause),
            forget,
        ]);
    }
}
