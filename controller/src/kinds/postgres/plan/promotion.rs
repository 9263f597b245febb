//! Moves the primary's role. The record holds the intent; every pass works out the next step from it and from what is
//! seen, so that the agent can die at any instant and go on.
//!
//! `fence` brings the old primary down and keeps it down, `take_over` promotes the target, `receivers` are those who would hold
//! that up, `silent` deals with a target that does not answer, `strays` are members that went their own way, `checks` are the preconditions.
//!
//! Until the promotion request is sent, which is written down before, every failure rolls back: the old primary starts
//! again. From then on there is only forward, unless the target can be seen never to have opened its data.

use std::time::Duration;

use super::super::super::Check;
use super::super::memory::{Change, Loss, Promotion, PromotionResult};
use super::keep;
use super::rejoin;
use super::view::View;
use crate::model::container::RunState;
use crate::model::plan::{Action, EngineOp, Op, Plan};
use crate::model::postgres::SqlOp;

mod checks;
mod fence;
mod receivers;
mod silent;
mod strays;
mod take_over;
pub use checks::checks;

/// How long a promotion may wait for its target before it is rolled back, in seconds.
const PATIENCE_SECS: i64 = 30;
/// How long the target is given before it is asked once more, in seconds: the agent may have died before it asked.
const ASK_AGAIN_SECS: i64 = 1;
/// How often the target is asked whether it is the primary yet. Every millisecond here is a millisecond without writes.
const POLL: Duration = Duration::from_millis(5);

/// The next step of a promotion in progress.
pub fn advance(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
    // A start that an earlier pass began could bring the old primary back beside the new one.
    plan.exclusive = true;
    let (from, to) = (&promotion.from, &promotion.to);
    let target = view.facts(to);
    if let Some(facts) = target
        && !facts.in_recovery
        && facts.timeline > promotion.start_timeline
    {
        let is_down = view
            .container(from)
            .is_none_or(|c| matches!(c.state, RunState::Created | RunState::Exited));
        if !promotion.requested && !is_down {
            // Nobody stopped the old primary before: it may have acknowledged writes that the target lacks.
            let told = format!("somebody promoted {to} by hand while {from} runs");
            return finish(promotion, false, told, view, plan);
        }
        let has_all = || {
            let control = view.control(from).known();
            control.is_some_and(|control| rejoin::has_all_of(facts, control))
        };
        if !promotion.requested && !promotion.forced && !has_all() {
            return finish(promotion, false, by_hand(promotion), view, plan);
        }
        return finish(promotion, true, format!("{to} is the primary"), view, plan);
    }
    let state = view.container(from).map(|c| c.state);
    if promotion.requested {
        if fence::stands(view, promotion, plan) {
            take_over::ask_again(view, promotion, plan);
        }
        return;
    }
    if let Some(other) = third_writer(view, promotion) {
        // It was not there when this was decided, and its writes are on nobody else.
        return finish(promotion, false, format!("{other} accepts writes"), view, plan);
    }
    if !promotion.forced
        && let Some((other, timeline)) = strays::beyond(view, to, promotion.start_timeline).first()
    {
        let told = format!("{other} is on timeline {timeline} of its own");
        return finish(promotion, false, told, view, plan);
    }
    if promotion.automatic && matches!(state, Some(RunState::Running | RunState::Paused)) {
        // Whoever brought it back, it has every write.
        return finish(promotion, false, format!("{from} runs again"), view, plan);
    }
    if !promotion.forced && was_started_since(view, promotion) {
        // What was found of its log, and of who has it, was of another life: it may serve an older copy by now.
        let told = format!("{from} was started again meanwhile");
        return finish(promotion, false, told, view, plan);
    }
    match state {
        Some(RunState::Running) => fence::stop_primary(view, promotion, plan),
        Some(RunState::Paused) => fence::thaw(view, promotion, plan),
        Some(RunState::Between) => {
            plan.wait(from, "its container is between two states");
            plan.again_in(POLL);
        }
        Some(RunState::Created | RunState::Exited) | None => take_over::promote(view, promotion, plan),
    }
}

/// Whether somebody started the old primary since this was decided.
fn was_started_since(view: &View<'_>, promotion: &Promotion) -> bool {
    let container = view.container(&promotion.from);
    container
        .is_some_and(|container| container.state == RunState::Running && container.started_at > promotion.requested_at)
}

/// Why a target that nobody here asked to become the primary does not, unless somebody insists.
fn by_hand(promotion: &Promotion) -> String {
    let (from, to) = (&promotion.from, &promotion.to);
    format!("somebody promoted {to} by hand, and nobody can tell whether it has all of {from}'s writes")
}

/// A member that accepts writes and is neither the old primary nor the target: somebody promoted it by hand.
fn third_writer(view: &View<'_>, promotion: &Promotion) -> Option<String> {
    let mut others = view.members().into_iter();
    others.find(|member| {
        let is_other = *member != promotion.from && *member != promotion.to;
        is_other && view.facts(member).is_some_and(|facts| !facts.in_recovery)
    })
}

fn finish(promotion: &Promotion, succeeded: bool, mut message: String, view: &View<'_>, plan: &mut Plan<Change>) {
    if let Some(loss) = promotion.loss.filter(|_| succeeded && promotion.forced) {
        message = format!("{message}; {}", loss.told(&promotion.from));
    }
    let cause = if succeeded {
        message.clone()
    } else {
        format!("{message}; {} stays the primary", promotion.from)
    };
    if !succeeded {
        message = format!("{message}; {}", what_becomes_of_the_old(view, promotion));
    }
    let result = PromotionResult {
        id: promotion.id,
        to: promotion.to.clone(),
        succeeded,
        automatic: promotion.automatic,
        lost_bytes: if succeeded {
            promotion.loss.and_then(Loss::bytes)
        } else {
            Some(0)
        },
        message,
        at: view.now,
    };
    plan.step(Action::new(
        &promotion.to,
        Op::Remember(Change::Promoted(result)),
        cause,
    ));
}

/// What the old primary is doing now that it stays the primary, and what was done to it.
fn what_becomes_of_the_old(view: &View<'_>, promotion: &Promotion) -> String {
    let from = &promotion.from;
    let runs = view
        .container(from)
        .is_some_and(|container| container.state == RunState::Running);
    match view.facts(from) {
        Some(facts) if !facts.in_recovery && runs => format!("{from} serves on as the primary"),
        _ if promotion.killed => {
            format!("{from}, which the agent killed because it did not stop in time, is started again as the primary")
        }
        _ if promotion.stopping_since.is_some() => {
            format!("{from}, which was stopped for this, is started again as the primary")
        }
        Some(_) | None => format!("{from} stays the primary, and does not serve at present"),
    }
}

fn signal(view: &View<'_>, member: &str, signal: &str, cause: impl Into<String>) -> Action<Change> {
    Action::engine(
        member,
        EngineOp::Signal {
            container: view.cluster.container_name(member),
            signal: signal.to_owned(),
        },
        cause,
    )
}

/// The promotion that begins now.
pub fn intent(view: &View<'_>, from: &str, to: &str) -> Promotion {
    let last = view.memory.last_promotion.as_ref().map_or(0, |p| p.id);
    let present = view.memory.promotion.as_ref().map_or(0, |p| p.id);
    let timeline = |member| view.facts(member).map(|facts| facts.timeline);
    Promotion {
        id: last.max(present) + 1,
        from: from.to_owned(),
        to: to.to_owned(),
        start_timeline: timeline(from).max(timeline(to)).unwrap_or(0),
        requested_at: view.now,
        ..Promotion::default()
    }
}

/// The change of memory that begins a promotion.
pub fn begin(view: &View<'_>, from: &str, to: &str, forced: bool) -> Change {
    Change::Promote(Promotion {
        forced,
        ..intent(view, from, to)
    })
}

/// A promoted server's control file names the old timeline until its first checkpoint, and who judges its data by it
/// meanwhile judges wrongly.
pub fn settle(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) {
    if !view.primary_facts().is_some_and(|facts| facts.checkpoint_due) {
        return;
    }
    let cause = "it was promoted, and its control file still names the timeline before";
    // It may take minutes.
    let step = view.sql(primary, SqlOp::Checkpoint, cause).map(Action::aside);
    plan.chain(step.into_iter().collect());
}

/// The last promotion, if it was of `member` and has just failed: every try costs a moment without writes.
pub fn failed_lately<'a>(view: &View<'a>, member: &str) -> Option<&'a PromotionResult> {
    let last = view.memory.last_promotion.as_ref()?;
    let fresh = view.now - last.at < PATIENCE_SECS;
    (!last.succeeded && last.to == member && fresh).then_some(last)
}

/// `spec.primary` names the primary: editing it is the promotion.
pub fn by_manifest(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) {
    let Some(wanted) = view.cluster.spec.primary.as_deref().filter(|wanted| *wanted != primary) else {
        return;
    };
    if plan.touches(wanted) || plan.touches(primary) || keep::is_crash_looping(view, wanted) {
        return plan.wait(
            wanted,
            "spec.primary names it; it takes over when what is being done is done",
        );
    }
    let failed: Vec<Check> = checks(view, wanted).into_iter().filter(|c| !c.holds).collect();
    if let Some(first) = failed.first() {
        return plan.wait(
            wanted,
            format!(
                "spec.primary names it; it cannot take over yet: {}: {}",
                first.name, first.found
            ),
        );
    }
    if let Some(last) = failed_lately(view, wanted) {
        plan.wait(
            wanted,
            format!("spec.primary names it; the last try failed: {}", last.message),
        );
        return plan.again_in(Duration::from_secs(PATIENCE_SECS.unsigned_abs()));
    }
    plan.step(Action::new(
        wanted,
        Op::Remember(begin(view, primary, wanted, false)),
        "spec.primary names it",
    ));
}
