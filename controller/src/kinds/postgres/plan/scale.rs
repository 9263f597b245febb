//! Members that are no longer wanted leave.

use super::super::memory::{Change, Retired};
use super::super::spec::OnScaleDown;
use super::keep;
use super::rejoin;
use super::slots;
use super::sync;
use super::view::{Step, View};
use crate::model::container::{ContainerObserved, RunState};
use crate::model::labels;
use crate::model::plan::{Action, Op, Plan};

/// Removes members beyond the wanted number. The primary is never among them.
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
}

fn remove(view: &View<'_>, member: &str, container: &ContainerObserved, plan: &mut Plan<Change>) {
    if container.state == RunState::Between {
        return plan.wait(member, "its container is between two states");
    }
    if let Some(why) = sync::holds(view, member).or_else(|| slots::holds(view, member)) {
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
            since: view.now,
            ..Retired::default()
        };
        let known = view.memory.retired.get(&volume);
        if known.is_none_or(|known| known.proved_copy != proved_copy) {
            let change = Change::Retire(volume, retired);
            steps.push(Action::new(member, Op::Remember(change), cause.clone()));
        }
    }
    steps.extend(keep::dismiss(view, member, container, &cause));
    plan.chain(steps);
}
