//! Gives a member a new volume: one member at a time, when there is room, by the quicker way, and less and less often
//! where it leads nowhere. The old volume stays; what becomes of it is decided when the new one streams.

mod estimate;
mod space;

use std::time::Duration;

use super::super::memory::{Change, Method, Reseed};
use super::rejoin::Finding;
use super::view::View;
use super::words;
use crate::model::plan::{Action, Op, Plan};

pub use estimate::{Choice, choose, clone_millis, rewind_obstacle};
pub use space::{NO_SPACE, has_room};

/// Failures in a row after which somebody has to look at it.
pub const PATIENCE: u32 = 5;
/// The longest pause between two new volumes for one member, in seconds.
const LONGEST_PAUSE_SECS: i64 = 300;

/// Decides on a new volume for a member, unless something stands against it.
pub fn decide(view: &View<'_>, member: &str, finding: &Finding, plan: &mut Plan<Change>) {
    if view.primary_facts().is_none() {
        // What it has may be all that is left.
        let reason = format!(
            "it cannot follow the primary: {}; it gets a new volume when {} answers",
            finding.reason,
            view.primary().unwrap_or("a primary")
        );
        return plan.wait(member, reason);
    }
    if let Some(other) = under_way(view, member, plan) {
        let reason = format!(
            "it cannot follow the primary: {}; {other} is re-seeded first",
            finding.reason
        );
        return plan.wait(member, reason);
    }
    needs_human(view, member, plan);
    if pauses(view, member, finding, plan) {
        return;
    }
    let choice = choose(view, member, finding, None);
    let Some(room) = has_room(view, member, choice.method, plan) else {
        return;
    };
    plan.step(Action::new(
        member,
        Op::Remember(change(view, member, finding, choice.method)),
        format!("it cannot follow the primary: {}{}{room}", finding.reason, choice.words),
    ));
}

/// The decision as it is remembered.
pub fn change(view: &View<'_>, member: &str, finding: &Finding, method: Method) -> Change {
    Change::Reseed(Reseed {
        member: member.to_owned(),
        volume: view.volume_name(member),
        reason: finding.reason.clone(),
        proved_copy: finding.proved_copy,
        method,
        at: view.now,
    })
}

/// The other member that is being re-seeded, if one is: two at a time would slow the primary and each other down, and
/// leave nobody who could take over. One that leads nowhere does not count.
pub fn under_way(view: &View<'_>, member: &str, plan: &Plan<Change>) -> Option<String> {
    let decided = plan.actions().find_map(|action| match &action.op {
        Op::Remember(Change::Reseed(decision)) => Some(decision.member.clone()),
        Op::Remember(_) | Op::Listen(_) | Op::Grafana(..) | Op::Engine(_) | Op::Sql(..) => None,
    });
    let begun = view
        .replicas()
        .into_iter()
        .find(|other| view.memory.reseed(other).is_some() && stuck(view, other).is_none());
    decided.or(begun).filter(|other| other != member)
}

/// Why a member's seed leads nowhere, if it failed too often in a row.
pub fn stuck(view: &View<'_>, member: &str) -> Option<String> {
    let starts = view.memory.starts.get(member).map_or(0, |starts| starts.count);
    if starts >= PATIENCE && view.control(member).is_absent() && !view.runs(member) {
        let said = words::complaint(view.log(member));
        let unread = || Some(format!("; why cannot be told: {}", view.log_unreadable(member)?));
        let words = said.map(|said| format!(": {said}")).or_else(unread).unwrap_or_default();
        let container = view.container(member);
        if let Some(error) = container.map(|c| &c.error).filter(|error| !error.is_empty()) {
            return Some(format!(
                "it could not be started for its seed, {starts} tries in a row; the engine says: {error}"
            ));
        }
        return Some(format!("its seed failed {starts} times in a row{words}"));
    }
    let state = view.memory.reseed(member).filter(|state| state.rounds >= PATIENCE)?;
    Some(format!(
        "it got {} new volumes in a row and streamed from none, the last one because {}",
        state.rounds, state.reason
    ))
}

/// Says that somebody has to look at a member's seed. It is tried again all the same, less and less often: the cause may
/// go away by itself.
pub fn needs_human(view: &View<'_>, member: &str, plan: &mut Plan<Change>) {
    if let Some(advice) = advice(view, member) {
        plan.block(member, NEEDS_HUMAN, advice);
    }
}

/// Why a member's seed leads nowhere, and what somebody has to do next.
pub fn advice(view: &View<'_>, member: &str) -> Option<String> {
    let why = stuck(view, member)?;
    let next = format!("look into `reconciler logs {member}`, remove the cause, then `reconciler reseed {member}`");
    Some(format!("{why}; {next}"))
}

/// The code of the note, and the type of the condition, that asks for somebody's attention.
pub const NEEDS_HUMAN: &str = "NeedsHuman";

/// A new volume that never came to stream is not replaced at once: 2, 4, 8 ... 300 s.
fn pauses(view: &View<'_>, member: &str, finding: &Finding, plan: &mut Plan<Change>) -> bool {
    let Some(state) = view.memory.reseed(member).filter(|state| state.rounds > 0) else {
        return false;
    };
    let pause = (1_i64 << state.rounds.min(16)).min(LONGEST_PAUSE_SECS);
    let left = u64::try_from(state.since + pause - view.now).unwrap_or(0);
    if left == 0 {
        return false;
    }
    let reason = format!(
        "it cannot follow the primary: {}; it gets another volume in {left} s",
        finding.reason
    );
    plan.wait(member, reason);
    plan.again_in(Duration::from_secs(left));
    true
}

/// What is to be remembered of a rewind before the member goes on: that it is done, or that there is to be none.
pub fn follow_rewind(view: &View<'_>, member: &str) -> Option<Action<Change>> {
    let old = view.rewind_source(member)?;
    let state = view.memory.reseed(member)?;
    // One that the engine could not start has the exit code from before, if any.
    let ended = view.container(member).filter(|c| {
        let has_begun = c.started_at > 0 && c.error.is_empty();
        has_begun && c.finished_at >= c.started_at && !view.runs(member)
    });
    let exit_code = ended.map(|c| c.exit_code);
    let give_up = |why: String| {
        let change = Change::NoRewind(member.to_owned(), why.clone());
        Some(Action::new(member, Op::Remember(change), why))
    };
    if exit_code == Some(EXIT_REWOUND) {
        let change = Change::Filled(member.to_owned());
        return Some(Action::new(member, Op::Remember(change), "its rewind is done"));
    }
    if exit_code == Some(EXIT_NOT_REWOUND) {
        let said = words::complaint(view.log(member)).unwrap_or_else(|| match view.log_unreadable(member) {
            Some(why) => format!("why cannot be told: {why}"),
            None => "it gave no reason".to_owned(),
        });
        return give_up(format!("the rewind failed: {said}"));
    }
    if !view.observed.objects.volumes.iter().any(|volume| volume.name == old) {
        return give_up(format!("its old volume {old} is gone"));
    }
    if state.cuts >= REWIND_TRIES {
        return give_up(format!(
            "the rewind began {} times and was cut off each time",
            state.cuts
        ));
    }
    let began = ended.map(|c| c.started_at).filter(|began| *began > state.cut_at)?;
    let cut = Change::RewindCut(member.to_owned(), began);
    Some(Action::new(
        member,
        Op::Remember(cut),
        "its container ended before the rewind did",
    ))
}

/// The entry point's exit code for a rewind that failed.
const EXIT_NOT_REWOUND: i64 = 82;
/// The entry point's exit code for a rewind that is done.
const EXIT_REWOUND: i64 = 83;
/// Rewinds that were cut off after which a clone is made: it needs less of everything.
const REWIND_TRIES: u32 = 3;
