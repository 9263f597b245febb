//! A target that does not answer: what its container and its control file tell of it.

use std::time::Duration;

use super::super::super::desired::Role;
use super::super::super::memory::{Change, Promotion};
use super::super::access;
use super::super::foundation;
use super::super::keep;
use super::super::life::{self, Life};
use super::super::view::View;
use super::{ASK_AGAIN_SECS, PATIENCE_SECS, POLL, by_hand, finish, signal};
use crate::model::Seen;
use crate::model::container::{ContainerObserved, RunState};
use crate::model::plan::{Action, EngineOp, Plan};
use crate::model::postgres::{Control, Down, Server};

/// How long it answers with an error until that counts, in seconds: one that is full is not for long.
const ERRORS_SECS: i64 = 5;

/// How soon one that answers with an error is looked at again.
const POLL_ERRORS: Duration = Duration::from_millis(250);

/// How soon it is looked at again after a step that lets the agent in.
const SOON: Duration = Duration::from_secs(1);

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
        RunState::Running => running(view, promotion, container, plan),
        RunState::Between => wait(to, plan),
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

fn wait(to: &str, plan: &mut Plan<Change>) {
    plan.wait(to, "it does not answer, and whether it was promoted cannot be told");
    plan.again_in(POLL);
}

/// It runs, and does not say what it is.
fn running(view: &View<'_>, promotion: &Promotion, container: &ContainerObserved, plan: &mut Plan<Change>) {
    let to = &promotion.to;
    if let Some(connect) = keep::reconnect(view, to, container) {
        plan.step(connect);
        return plan.again_in(POLL);
    }
    match view.server(to) {
        Some(Server::Down(Down::PasswordUnknown, why)) => {
            plan.step(access::recover_passwords(view, to, container, why));
            plan.again_in(SOON);
        }
        Some(Server::Down(Down::PasswordRejected, why)) => shut_out(view, promotion, container, why, plan),
        Some(Server::Down(Down::Errors, why)) => answers_with_error(view, promotion, container, why, plan),
        Some(Server::Down(..) | Server::Up(_)) | None if view.silent_for(to).unwrap_or(0) > PATIENCE_SECS => {
            out_of_patience(view, promotion, plan);
        }
        Some(Server::Down(..) | Server::Up(_)) | None => wait(to, plan),
    }
}

/// It does not let the agent in: somebody changed the password, or its access rules. Its control file says what it is, and the
/// socket inside its container is open all the same.
fn shut_out(view: &View<'_>, promotion: &Promotion, container: &ContainerObserved, why: &str, plan: &mut Plan<Change>) {
    let to = &promotion.to;
    let Some(control) = view.control(to).known() else {
        return wait(to, plan);
    };
    match (control.state.is_standby(), promotion.requested) {
        (true, false) => {
            let message = format!("{to} does not let the agent in: {why}");
            finish(promotion, false, message, view, plan);
        }
        (true, true) if view.now - promotion.sent_at > ASK_AGAIN_SECS => {
            let cause = format!("{} is down, and it does not let the agent in: {why}", promotion.from);
            plan.step(Action::engine(to, EngineOp::PromoteInside(container.id.clone()), cause));
            plan.again_in(SOON);
        }
        (true, true) => wait(to, plan),
        (false, true) => finish(promotion, true, format!("{to} is the primary"), view, plan),
        (false, false) => {
            plan.step(access::reset_password(view, to, container, why));
            plan.again_in(SOON);
        }
    }
}

/// It is alive, and cannot be asked. Its control file says what it is.
fn answers_with_error(
    view: &View<'_>,
    promotion: &Promotion,
    container: &ContainerObserved,
    why: &str,
    plan: &mut Plan<Change>,
) {
    let to = &promotion.to;
    let lasts = view.silent_for(to).is_some_and(|secs| secs >= ERRORS_SECS);
    let Some(control) = view.control(to).known().filter(|_| lasts) else {
        plan.wait(to, format!("{why}; whether it was promoted is not known yet"));
        return plan.again_in(POLL_ERRORS);
    };
    match (control.state.is_standby(), promotion.requested) {
        (true, false) => finish(promotion, false, format!("{to} cannot be asked: {why}"), view, plan),
        (true, true) if view.now - promotion.sent_at > ASK_AGAIN_SECS => {
            let cause = format!("{} is down, and it cannot be asked: {why}", promotion.from);
            plan.step(Action::engine(to, EngineOp::PromoteInside(container.id.clone()), cause));
            plan.again_in(SOON);
        }
        (true, true) => wait(to, plan),
        (false, false) if !promotion.forced => finish(promotion, false, by_hand(promotion), view, plan),
        (false, _) => finish(promotion, true, format!("{to} is the primary"), view, plan),
    }
}

/// It runs and has not answered for long. One that is only slow is not cut off: if it was not asked yet, the old primary
/// goes on; else it takes its time.
fn out_of_patience(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
    let to = &promotion.to;
    let life = life::of(view, to);
    let in_pulse = view.pulse(to).and_then(|pulse| pulse.last.control);
    let is_standby = in_pulse.is_some_and(|control| control.state.is_standby()) || view.is_standby_on_disk(to);
    let found = match (&life, view.server(to)) {
        (Life::Slow(words) | Life::Doubtful(words), _) => words.clone(),
        (Life::Unseen | Life::Stopped | Life::Still { .. }, Some(Server::Down(_, why))) => why.clone(),
        (Life::Unseen | Life::Stopped | Life::Still { .. }, Some(Server::Up(_)) | None) => String::new(),
    };
    if matches!(life, Life::Stopped | Life::Still { .. }) {
        let cause = "it does not answer, and whether it was promoted can only be told when it is down";
        return plan.step(signal(view, to, "SIGKILL", cause));
    }
    if is_standby && !promotion.requested {
        return finish(promotion, false, format!("{to} does not answer: {found}"), view, plan);
    }
    let is_unseen = life == Life::Unseen && matches!(view.server(to), Some(Server::Down(Down::NoAnswer, _)));
    let text = if is_unseen {
        let container = view.cluster.container_name(to);
        format!(
            "it does not answer, and its processes cannot be seen; whether it was promoted can be told when it is down: \
             `docker kill {container}`"
        )
    } else {
        format!("whether it was promoted cannot be told yet: {found}")
    };
    plan.wait(to, text);
    plan.again_in(Duration::from_millis(500));
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
        keep::why_down(view, to, container)
    );
    plan.chain(view.start(to, Role::Replica, &cause));
}
