//! A target that does not answer: what its container and its control file tell of it.

use super::super::super::desired::Role;
use super::super::super::memory::{Change, Promotion};
use super::super::foundation;
use super::super::keep;
use super::super::view::View;
use super::{PATIENCE_SECS, POLL, by_hand, finish, signal};
use crate::model::Seen;
use crate::model::container::{ContainerObserved, RunState};
use crate::model::plan::{Action, EngineOp, Plan};
use crate::model::postgres::Control;

/// The target does not answer: forward or back depends on whether it was promoted before it fell silent.
pub(super) fn target(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
    let to = &promotion.to;
    let Some(container) = view.container(to) else {
        if view.volume(to).is_none() {
            return finish(promotion, false, format!("{to} is gone"), view, plan);
        }
        // Its data tells whether it was promoted, and cannot be looked into without a container.
        if let Some(image) = foundation::image(view, plan)
            && foundation::is_free(view, to, plan)
        {
            plan.step(view.create(to, image, "whether it was promoted has to be looked at"));
        }
        return;
    };
    match container.state {
        RunState::Running if view.silent_for(to).unwrap_or(0) > PATIENCE_SECS => plan.step(signal(
            view,
            to,
            "SIGKILL",
            "it does not answer, and whether it was promoted can only be told when it is down",
        )),
        RunState::Running | RunState::Between => {
            plan.wait(to, "it does not answer, and whether it was promoted cannot be told");
            plan.again_in(POLL);
        }
        RunState::Paused => plan.step(Action::engine(
            to,
            EngineOp::Unpause(container.id.clone()),
            "it was paused",
        )),
        RunState::Created | RunState::Exited => match view.control(to) {
            Seen::Unknown(why) => plan.confirm(to, format!("whether it was promoted cannot be told: {why}")),
            Seen::Absent => finish(promotion, false, format!("{to} holds no data"), view, plan),
            Seen::Known(control) => ended(view, promotion, control, container, plan),
        },
    }
}

/// It ended, and its control file says whether it had opened its data for writing.
fn ended(
    view: &View<'_>,
    promotion: &Promotion,
    control: &Control,
    container: &ContainerObserved,
    plan: &mut Plan<Change>,
) {
    let to = &promotion.to;
    if !control.state.is_standby() && !promotion.requested && !promotion.forced {
        return finish(promotion, false, by_hand(promotion), view, plan);
    }
    if !control.state.is_standby() {
        let message = format!("{to} was promoted and then stopped");
        return finish(promotion, true, message, view, plan);
    }
    if promotion.requested && !keep::is_crash_looping(view, to) {
        // Its control file is a moment behind its word: started as a replica it goes on with all that it wrote.
        return start_again(view, to, container, plan);
    }
    let message = format!("{to} died before it was promoted");
    finish(promotion, false, message, view, plan);
}

fn start_again(view: &View<'_>, to: &str, container: &ContainerObserved, plan: &mut Plan<Change>) {
    if let Some(delay) = view.start_delay(to) {
        plan.wait(to, format!("the next start is tried in {} s", delay.as_secs()));
        return plan.again_in(delay);
    }
    let cause = format!(
        "its promotion was requested, and goes on: {}",
        keep::why_down(container, view.log(to))
    );
    plan.chain(view.start(to, Role::Replica, &cause));
}
