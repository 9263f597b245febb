//! Brings the old primary down, and keeps it down. Nobody is promoted while it may run.

use std::time::Duration;

use super::super::super::super::Check;
use super::super::super::conf;
use super::super::super::desired::{self, Role};
use super::super::super::memory::{Change, Promotion};
use super::super::life;
use super::super::routes;
use super::super::senders;
use super::super::view::View;
use super::{PATIENCE_SECS, POLL, checks, finish, receivers, signal, take_over};
use crate::model::container::RunState;
use crate::model::plan::{Action, EngineOp, Op, Plan};
use crate::model::postgres::{ControlState, Down, Server, SqlOp};

/// How long a silent primary is given before a forced promotion kills it, in seconds: the end of a clean shutdown looks
/// like silence too, and one that is cut off costs the old primary its data directory.
const FORCE_PATIENCE_SECS: i64 = 3;

/// How often a primary that does not answer is looked at before it is asked to stop.
const POLL_SILENT: Duration = Duration::from_millis(500);

/// How long the steps before the stop of a serving primary may fail until a switchover is rolled back, in seconds.
const STOP_PATIENCE_SECS: i64 = 120;

/// The same for the checkpoint before the stop, which writes all that is dirty in `shared_buffers`.
const CHECKPOINT_PATIENCE_SECS: i64 = 900;

/// How long a forced promotion waits for that checkpoint, in seconds. It only saves time, and a sick disk may never end it.
const FORCE_CHECKPOINT_SECS: i64 = 10;

/// Whether the old primary is still down after the request was sent. Somebody may have started its container; as a
/// replica it does no harm, as anything else it goes down again. One that has shut down and whose process or container
/// is about to end is as good as down.
pub(super) fn stands(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) -> bool {
    let from = &promotion.from;
    let follows = view.facts(from).is_some_and(|facts| facts.in_recovery);
    match view.container(from).map(|c| c.state) {
        Some(RunState::Running) if follows || has_shut_down(view, promotion) => true,
        Some(RunState::Running | RunState::Paused) => {
            let cause = format!(
                "somebody started it while {} takes over, and two must not accept writes",
                promotion.to
            );
            plan.step(signal(view, from, "SIGKILL", cause));
            plan.again_in(POLL);
            false
        }
        Some(RunState::Between) => {
            plan.wait(from, "its container is between two states");
            plan.again_in(POLL);
            false
        }
        Some(RunState::Created | RunState::Exited) | None => true,
    }
}

/// The slots that `to` will need as the primary.
pub(super) fn slots(view: &View<'_>, to: &str) -> Vec<Action<Change>> {
    let Some(facts) = view.facts(to) else {
        return Vec::new();
    };
    let others = view.members().into_iter().filter(|member| member != to);
    let missing = others.filter(|member| !facts.slots.contains_key(&conf::slot_name(member)));
    missing
        .filter_map(|member| {
            let op = SqlOp::CreateSlot(conf::slot_name(&member));
            view.sql(to, op, format!("{member} will follow it"))
        })
        .collect()
}

/// Whether the old primary has written its shutdown checkpoint, the last that a server does: all its sessions have ended
/// before (PostgreSQL's `postmaster.c`, `PM_SHUTDOWN`), and only a new start would admit others. One that somebody started
/// since looks the same for a moment.
fn has_shut_down(view: &View<'_>, promotion: &Promotion) -> bool {
    let from = &promotion.from;
    let is_shut = view
        .control(from)
        .known()
        .is_some_and(|control| control.state == ControlState::ShutDown);
    let container = view.container(from);
    is_shut && view.facts(from).is_none() && container.is_some_and(|c| c.started_at < promotion.requested_at)
}

pub(super) fn stop_primary(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
    let from = &promotion.from;
    match view.server(from) {
        // Its role file says replica: whoever starts it now adds no second primary. Until its container has ended it
        // takes the engine as long again as the shutdown took, or a minute when another replica's kernel is frozen.
        Some(Server::Down(..))
            if promotion.fenced && has_shut_down(view, promotion) && take_over::is_due(view, promotion) =>
        {
            take_over::promote(view, promotion, plan);
        }
        Some(Server::Up(_)) => ask_to_stop(view, promotion, plan),
        Some(Server::Down(Down::ShuttingDown | Down::NotRunning, _)) | None => {
            wait_for_shutdown(view, promotion, plan);
        }
        Some(Server::Down(Down::Errors, why)) => stop_unasked(view, promotion, why, plan),
        Some(Server::Down(_, why)) if promotion.forced && view.silent_for(from).unwrap_or(0) >= FORCE_PATIENCE_SECS => {
            plan.step(signal(
                view,
                from,
                "SIGKILL",
                format!(
                    "it does not answer ({why}), and must be known to be down before {} takes over",
                    promotion.to
                ),
            ))
        }
        Some(Server::Down(_, why)) => {
            if !promotion.forced && view.now - promotion.requested_at > PATIENCE_SECS {
                let message = format!("{from} does not answer any more: {why}");
                return finish(promotion, false, message, view, plan);
            }
            if promotion.stopping_since.is_none() || life::is_slow(view, from) {
                // Nobody asked it to stop, or it is too busy to: its silence is no shutdown that hangs.
                plan.wait(
                    from,
                    format!("it does not answer ({why}), and has to before it is stopped"),
                );
                return plan.again_in(POLL_SILENT);
            }
            wait_for_shutdown(view, promotion, plan);
        }
    }
}

/// A primary that answers with an error lives, and has every write: it is not killed, and without force it is not stopped
/// either, because what it is asked before that it cannot tell.
fn stop_unasked(view: &View<'_>, promotion: &Promotion, why: &str, plan: &mut Plan<Change>) {
    let from = &promotion.from;
    if !promotion.forced {
        if view.silent_for(from).unwrap_or(0) > PATIENCE_SECS {
            return finish(promotion, false, format!("{from} cannot be asked: {why}"), view, plan);
        }
        plan.wait(from, format!("{why}; it has to be asked before it is stopped"));
        return plan.again_in(POLL_SILENT);
    }
    if !promotion.fenced {
        plan.chain(fence(view, promotion));
    } else if promotion.stopping_since.is_none() {
        plan.chain(stop(view, promotion));
    } else {
        return wait_for_shutdown(view, promotion, plan);
    }
    plan.again_in(POLL);
}

/// A serving primary on its way to its stop. What may take long, the fence and a checkpoint, is done while it serves, and the
/// preconditions are looked at once more between that and the stop.
fn ask_to_stop(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
    let (from, to) = (&promotion.from, &promotion.to);
    let failed: Vec<Check> = checks(view, to)
        .into_iter()
        .filter(|check| check.fails(promotion.forced))
        .collect();
    if let Some(first) = failed.first() {
        let message = format!("{}: {}", first.name, first.found);
        return finish(promotion, false, message, view, plan);
    }
    // What receivers of its log may take is the manifest's word.
    let since = promotion
        .awaits_since
        .map(|since| since + view.cluster.receiver_grace_secs);
    let waited = view.now - promotion.stopping_since.or(since).unwrap_or(promotion.requested_at);
    let is_checkpoint_due = promotion.fenced && !promotion.checkpointed;
    let patience = match is_checkpoint_due {
        true => CHECKPOINT_PATIENCE_SECS,
        false => STOP_PATIENCE_SECS,
    };
    if !promotion.forced && waited > patience {
        // Whatever keeps a step from succeeding, nothing else is seen to meanwhile.
        let message = format!("{from} could not be asked to stop within {patience} s");
        return finish(promotion, false, message, view, plan);
    }
    plan.again_in(POLL);
    // Whoever follows the target finds its slot there at once, and the target keeps what it needs.
    plan.chain(slots(view, to));
    if !promotion.fenced {
        // An upload takes longer than all the rest of a switchover.
        plan.chain(fence(view, promotion));
    }
    if !promotion.checkpointed {
        plan.chain(checkpoint(view, promotion));
    }
    let goes_without = promotion.forced && view.now - promotion.requested_at > FORCE_CHECKPOINT_SECS;
    let is_ready = promotion.fenced && (promotion.checkpointed || goes_without);
    if is_ready && receivers::are_clear(view, promotion, plan) {
        plan.chain(stop(view, promotion));
    }
}

/// The stop itself, and the target's names before it. Both have the name of writes then for a moment: were it nobody's, the
/// engine would ask the world for it.
fn stop(view: &View<'_>, promotion: &Promotion) -> Vec<Action<Change>> {
    let (from, to) = (&promotion.from, &promotion.to);
    let stopping = Change::Stopping {
        id: promotion.id,
        at: view.now,
    };
    let mut steps = Vec::new();
    if promotion.stopping_since.is_none() {
        let cause = format!("{to} has all that it needs to take over");
        steps.push(Action::new(from, Op::Remember(stopping), cause));
    }
    steps.extend(routes::move_writes(view, to, "it takes over"));
    steps.push(signal(view, from, "SIGINT", format!("{to} takes over")));
    steps
}

/// A checkpoint beside everything else: it may take minutes, and a switchover that is called off meanwhile does not wait.
fn checkpoint(view: &View<'_>, promotion: &Promotion) -> Vec<Action<Change>> {
    let from = &promotion.from;
    let short = "the checkpoint of its shutdown is then a short one";
    let Some(checkpoint) = view.sql(from, SqlOp::Checkpoint, short) else {
        return Vec::new();
    };
    let done = Op::Remember(Change::Checkpointed(promotion.id));
    let done = Action::new(from, done, "it can be stopped");
    vec![checkpoint.aside(), done.aside()]
}

fn wait_for_shutdown(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
    // One that answered with errors before fell silent earlier than it was asked to stop.
    let asked_for = promotion.stopping_since.map_or(i64::MAX, |since| view.now - since);
    let waited = view.silent_for(&promotion.from).unwrap_or(0).min(asked_for);
    let is_late = waited > view.cluster.stop_grace_secs;
    if let Some(words) = life::gets_on(view, &promotion.from).filter(|_| is_late && !promotion.forced) {
        let container = view.cluster.container_name(&promotion.from);
        let text = format!(
            "its fast shutdown takes longer than spec.stopGracePeriod ({waited} s) and gets on: {words}. A kill would cost its \
             data directory; whoever wants that says `docker kill {container}`"
        );
        // Who sends to somebody frozen may be busy too.
        plan.chain(
            senders::end(view, &promotion.from, Some(&promotion.to))
                .into_iter()
                .collect(),
        );
        plan.wait(&promotion.from, text);
        return plan.again_in(POLL_SILENT);
    }
    if is_late {
        let cause = format!("it has been stopping for {waited} s, longer than spec.stopGracePeriod");
        let killed = Op::Remember(Change::Killed(promotion.id));
        return plan.chain(vec![
            Action::new(&promotion.from, killed, cause.clone()),
            signal(view, &promotion.from, "SIGKILL", cause),
        ]);
    }
    let end = senders::end(view, &promotion.from, Some(&promotion.to));
    plan.chain(end.into_iter().collect());
    plan.wait(&promotion.from, "its fast shutdown is under way");
    plan.again_in(POLL);
}

pub(super) fn thaw(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
    if let Some(container) = view.container(&promotion.from) {
        // A frozen container takes no signal; it is still the recorded primary, so thawing it is safe.
        let cause = "it is paused, and has to be known to be down";
        plan.step(Action::engine(
            &promotion.from,
            EngineOp::Unpause(container.id.clone()),
            cause,
        ));
    }
}

/// The target's names, where the old primary was not asked to stop. That one's vanish with its container, and the promotion
/// does not wait for the target's: the engine first has to be done with that container.
pub(super) fn move_names(view: &View<'_>, promotion: &Promotion) -> Vec<Action<Change>> {
    let steps = routes::move_writes(view, &promotion.to, "it takes over");
    steps.into_iter().map(Action::aside).collect()
}

/// Even somebody's `docker start` cannot bring the old primary back as one after this: the role is read before the start.
pub(super) fn fence(view: &View<'_>, promotion: &Promotion) -> Vec<Action<Change>> {
    let (from, to) = (&promotion.from, &promotion.to);
    let files = view.files_behind(from, Role::Replica, to);
    let deliver = EngineOp::Deliver(desired::delivery(view.cluster, from, files));
    let cause = format!("fenced: whoever starts it gets a replica, now that {to} takes over");
    let fenced = Op::Remember(Change::Fenced(from.clone()));
    vec![
        Action::engine(from, deliver, cause),
        Action::new(from, fenced, "its role file says replica"),
    ]
}
