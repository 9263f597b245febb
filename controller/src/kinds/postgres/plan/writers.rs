//! Members beside the recorded primary of which nobody knows whether they take writes.

use super::super::desired::Role;
use super::super::memory::Change;
use super::view::{Step, View};
use crate::model::container::RunState;
use crate::model::plan::Plan;

/// Whether a member may take writes that is not the recorded primary: it runs, and nobody knows what it is. Whoever named the
/// primary decides about it.
pub fn is_another_feared(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) -> bool {
    let others = others(view, primary);
    let feared: Vec<String> = others.filter(|member| may_write(view, member)).collect();
    for member in &feared {
        let container = view.cluster.container_name(member);
        let text = format!(
            "it runs and does not say whether it takes writes, and {primary} must not take any beside it: \
             `docker stop {container}`, and {primary} takes over"
        );
        plan.confirm(member, text);
    }
    !feared.is_empty()
}

/// The steps that keep whoever was a primary, and does not run, from being started as one by somebody.
pub fn fence(view: &View<'_>, primary: &str) -> Vec<Step> {
    let others = others(view, primary);
    let former = others.filter(|member| {
        let state = view.container(member).map(|container| container.state);
        let is_down = matches!(state, Some(RunState::Created | RunState::Exited));
        is_down && !view.is_standby_on_disk(member) && !view.control(member).is_absent()
    });
    let fenced = |member: String| view.deliver(&member, Role::Replica, format!("fenced: {primary} is the primary"));
    former.map(fenced).collect()
}

/// All others that there are, those among them that are about to leave.
fn others<'v>(view: &View<'v>, primary: &'v str) -> impl Iterator<Item = String> + use<'v> {
    let seen = view.observed.members.keys();
    seen.filter(move |member| *member != primary).cloned()
}

fn may_write(view: &View<'_>, member: &str) -> bool {
    let Some(container) = view.container(member) else {
        return false;
    };
    let in_pulse = view.pulse(member).and_then(|pulse| pulse.last.control);
    let is_standby = match view.facts(member) {
        Some(facts) => facts.in_recovery,
        None => in_pulse.is_some_and(|control| control.state.is_standby()) || view.is_standby_on_disk(member),
    };
    matches!(container.state, RunState::Running | RunState::Paused) && !is_standby
}
