//! How far the primary's log is known to have come, and what of it a replica lacks.

use super::super::memory::{Change, Loss};
use super::sync;
use super::view::View;
use crate::model::Lsn;
use crate::model::plan::{Action, Op, Plan};
use crate::model::postgres::{ControlState, PgFacts};

/// The newest known position of a primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The timeline.
    pub timeline: u32,
    /// The position.
    pub lsn: Lsn,
    /// How far it may have moved on before the next note would have been made.
    pub slack: u64,
}

impl Known {
    /// How many bytes a replica is behind; `None` where the timelines differ, because nobody can tell then.
    pub fn lag_of(&self, facts: &PgFacts) -> Option<u64> {
        let (timeline, reach) = facts.reach();
        (timeline == self.timeline).then(|| self.lsn.bytes_past(reach))
    }
}

/// How far the primary's log may move before it is noted down anew. Every note waits for the disk.
fn stride(view: &View<'_>) -> u64 {
    view.cluster.max_lag_bytes / 4
}

/// The newest position of the recorded primary that anybody knows of: seen, noted down, or in its own control file.
pub fn newest(view: &View<'_>, primary: &str) -> Option<Known> {
    let known = |(timeline, lsn): (u32, Lsn), slack| Known { timeline, lsn, slack };
    let seen = view.observed.high_water.map(|at| known(at, 0));
    let noted = view.memory.high_water.map(|at| known(at, stride(view)));
    let control = view.control(primary).known().map(|control| {
        // Only the checkpoint of a clean stop is the end of the log.
        let slack = if control.state == ControlState::ShutDown {
            0
        } else {
            stride(view)
        };
        known((control.timeline, control.checkpoint), slack)
    });
    // Of equal ones that with the least slack comes last.
    let all = [noted, control, seen].into_iter().flatten();
    all.max_by_key(|known| (known.timeline, known.lsn, std::cmp::Reverse(known.slack)))
}

/// What of the primary's writes a replica lacks, as far as that is known.
pub fn loss(view: &View<'_>, primary: &str, replica: &str) -> Loss {
    let lag = newest(view, primary)
        .zip(view.facts(replica))
        .and_then(|(known, facts)| Some((known.lag_of(facts)?, known.slack)));
    // What the quorum proves to be there is not lost, whatever else was in the log.
    let is_proved = view.memory.sync.promised && sync::quorum(view, replica).is_ok();
    match lag {
        Some((bytes, _)) if is_proved => Loss::Unacknowledged { bytes },
        Some((bytes, slack)) => Loss::Seen { bytes, slack },
        None => Loss::Unknown,
    }
}

/// Notes down how far the primary has come, when it has moved far enough since the last time.
pub fn note(view: &View<'_>, plan: &mut Plan<Change>) {
    let Some(facts) = view.primary_facts().filter(|_| view.memory.system_identifier.is_some()) else {
        return;
    };
    let has_moved = view
        .memory
        .high_water
        .is_none_or(|(timeline, lsn)| timeline != facts.timeline || lsn.0.abs_diff(facts.lsn.0) > stride(view));
    if has_moved {
        let change = Change::HighWater(facts.timeline, facts.lsn);
        let cause = "what would be lost without it has to be known when it is gone";
        plan.step(Action::new(&view.cluster.name, Op::Remember(change), cause));
    }
}
