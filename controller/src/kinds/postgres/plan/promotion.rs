//! Moves the primary's role. The record holds the intent; every pass works out the next step from it and from what is
//! seen, so that the agent can die at any instant and go on.
//!
//! Until the promotion request is sent every failure rolls back: the old primary starts again. From then on there is
//! only forward, unless the target is seen to be dead without having been promoted.

use std::time::Duration;

use super::super::desired::{self, Role};
use super::super::memory::{Change, Promotion, PromotionResult};
use super::foundation;
use super::keep;
use super::routes;
use super::sync;
use super::view::View;
use crate::model::Seen;
use crate::model::container::RunState;
use crate::model::plan::{Action, EngineOp, Op, Plan};
use crate::model::postgres::{ControlState, Down, Server, SqlOp};

mod checks;
use super::super::super::Check;
pub use checks::checks;

/// How long a promotion may wait for its target before it is rolled back, in seconds.
const PATIENCE_SECS: i64 = 30;
/// How long a silent primary is given before a forced promotion kills it, in seconds: the end of a clean shutdown looks
/// like silence too, and one that is cut off costs the old primary its data directory.
const FORCE_PATIENCE_SECS: i64 = 3;
/// How often the target is asked whether it is the primary yet. Every millisecond here is a millisecond without writes.
const POLL: Duration = Duration::from_millis(5);

/// The next step of a promotion in progress.
pub fn advance(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
    // A start that an earlier pass began could bring the old primary back beside the new one.
    plan.exclusive = true;
    let target = view.facts(&promotion.to);
    if let Some(facts) = target
        && !facts.in_recovery
        && facts.timeline > promotion.start_timeline
    {
        return finish(promotion, true, format!("{} is the primary", promotion.to), view, plan);
    }
    match view.container(&promotion.from).map(|c| c.state) {
        Some(RunState::Running) => stop_primary(view, promotion, plan),
        Some(RunState::Paused) => thaw(view, promotion, plan),
        Some(RunState::Between) => {
            plan.wait(&promotion.from, "its container is between two states");
            plan.again_in(POLL);
        }
        Some(RunState::Created | RunState::Exited) | None => promote(view, promotion, plan),
    }
}

fn stop_primary(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
    let from = &promotion.from;
    match view.server(from) {
        Some(Server::Up(_)) => {
            let failed: Vec<Check> = checks(view, &promotion.to)
                .into_iter()
                .filter(|check| check.fails(promotion.forced))
                .collect();
            if let Some(first) = failed.first() {
                let message = format!("{}: {}", first.name, first.found);
                return finish(promotion, false, message, view, plan);
            }
            // The fence comes first, while it still serves: an upload takes longer than all the rest of a switchover.
            let mut steps = if promotion.fenced {
                Vec::new()
            } else {
                fence(view, promotion)
            };
            let short = "the checkpoint of its shutdown is then a short one";
            steps.extend(view.sql(from, SqlOp::Checkpoint, short));
            steps.push(signal(view, from, "SIGINT", format!("{} takes over", promotion.to)));
            // While it shuts down: the name then answers from the moment of the promotion on.
            steps.extend(move_names(view, promotion));
            plan.chain(steps);
            plan.again_in(POLL);
        }
        Some(Server::Down(Down::ShuttingDown | Down::NotRunning, _)) | None => {
            wait_for_shutdown(view, promotion, plan);
        }
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
            wait_for_shutdown(view, promotion, plan);
        }
    }
}

fn wait_for_shutdown(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
    let waited = view.silent_for(&promotion.from).unwrap_or(0);
    if waited > view.cluster.stop_grace_secs {
        let cause = format!("it has been stopping for {waited} s, longer than spec.stopGracePeriod");
        return plan.step(signal(view, &promotion.from, "SIGKILL", cause));
    }
    plan.wait(&promotion.from, "its fast shutdown is under way");
    plan.again_in(POLL);
}

fn thaw(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
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

/// The old primary is down: the fence stands. Promotes when the target is known to have everything.
fn promote(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
    let (from, to) = (&promotion.from, &promotion.to);
    let enough = target_has_everything(view, promotion);
    let waited = view.now - promotion.requested_at;
    match (view.facts(to), enough) {
        (Some(facts), Ok(())) if facts.in_recovery => request(view, promotion, plan),
        (Some(facts), Err(why)) if facts.in_recovery => {
            if promotion.forced {
                request(view, promotion, plan);
            } else if why.final_word || waited > PATIENCE_SECS {
                finish(promotion, false, why.text, view, plan);
            } else {
                plan.wait(to, why.text);
                plan.again_in(POLL);
            }
        }
        (Some(_), _) => {
            plan.wait(to, "it accepts writes, but not on a new timeline");
            plan.confirm(
                to,
                format!("it accepts writes on {from}'s timeline; nothing is touched until you decide"),
            );
        }
        (None, _) => target_is_silent(view, promotion, plan),
    }
}

/// What the target lacks.
struct Lack {
    text: String,
    /// Whether waiting cannot change it.
    final_word: bool,
}

/// Whether the target has every write that the old primary ever acknowledged. The shutdown checkpoint is the last
/// record of a clean stop: who has replayed beyond its start has everything.
fn target_has_everything(view: &View<'_>, promotion: &Promotion) -> Result<(), Lack> {
    let (from, to) = (&promotion.from, &promotion.to);
    let lack = |text: String, final_word| Lack { text, final_word };
    if view.container(from).is_none() {
        return Err(lack(
            format!("{from} is gone, so nobody can tell whether {to} has all its writes"),
            true,
        ));
    }
    let control = match view.control(from) {
        Seen::Known(control) => control,
        Seen::Absent => return Err(lack(format!("{from} holds no data any more"), true)),
        Seen::Unknown(why) => return Err(lack(format!("{from}'s control file cannot be read: {why}"), false)),
    };
    if control.state != ControlState::ShutDown {
        return Err(lack(format!("{from} did not stop cleanly"), true));
    }
    let replayed = view.facts(to).map(|facts| facts.lsn).unwrap_or_default();
    if replayed > control.checkpoint {
        return Ok(());
    }
    Err(lack(
        format!(
            "it has replayed up to {replayed}, and {from} stopped at {}",
            control.checkpoint
        ),
        false,
    ))
}

fn request(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
    let (from, to) = (&promotion.from, &promotion.to);
    let mut steps = Vec::new();
    if view.container(from).is_some() && !promotion.fenced {
        steps.extend(fence(view, promotion));
    }
    steps.extend(sync::before_promotion(view, to));
    let cause = format!(
        "{from} is down and {}",
        if promotion.forced {
            "the promotion is forced"
        } else {
            "it has everything"
        }
    );
    steps.extend(view.sql(to, SqlOp::Promote, cause));
    plan.chain(steps);
    plan.chain(move_names(view, promotion));
    plan.again_in(POLL);
}

/// The old primary's names vanish with its process; only the target's have to be seen to.
fn move_names(view: &View<'_>, promotion: &Promotion) -> Vec<Action<Change>> {
    routes::move_writes(view, &promotion.to, "it takes over")
}

/// Even somebody's `docker start` cannot bring the old primary back as one after this: the role is read before the start.
fn fence(view: &View<'_>, promotion: &Promotion) -> Vec<Action<Change>> {
    let (from, to) = (&promotion.from, &promotion.to);
    let files = view.files(from, Role::Replica);
    let deliver = EngineOp::Deliver(desired::delivery(view.cluster, from, files));
    let cause = format!("fenced: whoever starts it gets a replica, now that {to} takes over");
    let fenced = Op::Remember(Change::Fenced(from.clone()));
    vec![
        Action::engine(from, deliver, cause),
        Action::new(from, fenced, "its role file says replica"),
    ]
}

/// The target does not answer: forward or back depends on whether it was promoted before it fell silent.
fn target_is_silent(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
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
            Seen::Known(control) => match control.state {
                ControlState::ShutDownInRecovery | ControlState::InArchiveRecovery => {
                    finish(
                        promotion,
                        false,
                        format!("{to} died before it was promoted"),
                        view,
                        plan,
                    );
                }
                ControlState::Startup
                | ControlState::ShutDown
                | ControlState::ShuttingDown
                | ControlState::InCrashRecovery
                | ControlState::InProduction => {
                    finish(
                        promotion,
                        true,
                        format!("{to} was promoted and then stopped"),
                        view,
                        plan,
                    );
                }
            },
        },
    }
}

fn finish(promotion: &Promotion, succeeded: bool, message: String, view: &View<'_>, plan: &mut Plan<Change>) {
    let result = PromotionResult {
        id: promotion.id,
        to: promotion.to.clone(),
        succeeded,
        message: message.clone(),
        at: view.now,
    };
    let cause = if succeeded {
        message
    } else {
        format!("{message}; {} stays the primary", promotion.from)
    };
    plan.step(Action::new(
        &promotion.to,
        Op::Remember(Change::Promoted(result)),
        cause,
    ));
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

/// The change of memory that begins a promotion.
pub fn begin(view: &View<'_>, from: &str, to: &str, forced: bool) -> Change {
    let last = view.memory.last_promotion.as_ref().map_or(0, |p| p.id);
    let timeline = |member| view.facts(member).map(|facts| facts.timeline);
    Change::Promote(Promotion {
        id: last + 1,
        from: from.to_owned(),
        to: to.to_owned(),
        start_timeline: timeline(from).max(timeline(to)).unwrap_or(0),
        forced,
        fenced: false,
        requested_at: view.now,
    })
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
