//! Whether a member's data can follow the primary as it is. Decided before PostgreSQL starts where that is possible,
//! because a server that starts with a wrong history may write to it.
//!
//! Source: PostgreSQL documentation 27.2 (timelines) and the behaviour of `pg_rewind`, whose own test misses the case
//! of one timeline and a position ahead of the primary.

use super::failover;
use super::history;
use super::view::View;
use crate::model::Lsn;
use crate::model::Seen;
use crate::model::postgres::{Control, ControlState, PgFacts};

/// What to do with a member's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It can follow.
    Follow,
    /// It cannot follow; a new copy is needed.
    Reseed(Finding),
    /// Nobody can tell yet.
    Wait(&'static str),
}

/// Why a member needs new data, and what is known of that which it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Why.
    pub reason: String,
    /// Whether all that it holds is on the primary too.
    pub proved_copy: bool,
    /// Whether it left the primary's history on another timeline: then a rewind can lead it back. On the primary's own
    /// timeline `pg_rewind` sees no difference, and the member would stream with rows that nobody else has.
    pub has_branched: bool,
}

impl Finding {
    /// Data that is of no use, and of which nothing is proved.
    pub fn unproved(reason: impl Into<String>) -> Self {
        Finding {
            reason: reason.into(),
            proved_copy: false,
            has_branched: false,
        }
    }

    /// Data that the primary has too.
    pub fn copy(reason: impl Into<String>) -> Self {
        Finding {
            proved_copy: true,
            ..Finding::unproved(reason)
        }
    }
}

fn diverged(primary: &PgFacts, timeline: u32, reason: String) -> Verdict {
    Verdict::Reseed(Finding {
        has_branched: timeline != primary.timeline,
        ..Finding::unproved(reason)
    })
}

/// Judges a member that does not run, by its control file.
pub fn stopped(view: &View<'_>, member: &str) -> Verdict {
    let control = match view.control(member) {
        Seen::Known(control) => control,
        // An empty volume is seeded by the entry point; a damaged one makes it refuse with an exit code of its own.
        Seen::Absent => return Verdict::Follow,
        Seen::Unknown(_) => return Verdict::Wait("its control file cannot be read"),
    };
    match control.state.is_standby() {
        true => standby(view, control),
        false => former_primary(view, control),
    }
}

/// A standby's last restart point lies before its end, so it can only tell that it is beyond, never that it is not: that
/// is seen when it runs. A start writes nothing to it.
fn standby(view: &View<'_>, control: &Control) -> Verdict {
    let found = view
        .primary_facts()
        .and_then(|primary| Some((primary, beyond(primary, control.timeline, control.checkpoint)?)));
    found.map_or(Verdict::Follow, |(primary, reason)| {
        diverged(primary, control.timeline, reason)
    })
}

fn former_primary(view: &View<'_>, control: &Control) -> Verdict {
    let Some(primary) = view.primary_facts() else {
        // A standby writes nothing of its own; and only who answers can be asked to take over.
        let is_beyond_help = view
            .primary()
            .is_some_and(|primary| failover::is_beyond_help(view, primary));
        return match is_beyond_help {
            true => Verdict::Follow,
            false => Verdict::Wait(
                "it was a primary, and whether it can follow depends on the present one, which does not answer",
            ),
        };
    };
    if control.state != ControlState::ShutDown {
        let reason = "it was a primary and did not stop cleanly, so it may hold writes that nobody else has";
        return diverged(primary, control.timeline, reason.to_owned());
    }
    let reason = match branch_point(primary, control.timeline) {
        Some(left) if control.checkpoint < left => return Verdict::Follow,
        Some(left) => format!(
            "it wrote up to {} on timeline {}, which the primary left at {left}",
            control.checkpoint, control.timeline
        ),
        None => format!(
            "it was a primary on timeline {}, which is not in the present primary's past",
            control.timeline
        ),
    };
    diverged(primary, control.timeline, reason)
}

/// Judges a replica that answers but does not stream.
pub fn running(view: &View<'_>, member: &str, facts: &PgFacts) -> Verdict {
    let Some(primary) = view.primary_facts() else {
        return Verdict::Wait("the primary does not answer");
    };
    if let Some(reason) = beyond(primary, facts.timeline, facts.lsn.max(facts.receive_lsn)) {
        return diverged(primary, facts.timeline, reason);
    }
    if wal_is_gone(view, member, primary) {
        return Verdict::Reseed(Finding::copy("the primary no longer has the WAL that it needs"));
    }
    Verdict::Follow
}

/// A member that streams although it was seen further on the primary's own timeline than the primary is now. PostgreSQL
/// begins a stream at the start of a segment, so it takes such a standby, which then keeps rows that the primary never
/// had. What it had in an *earlier* look the primary must have by now; two positions of one look are not comparable.
pub fn ahead(view: &View<'_>, member: &str) -> Option<Finding> {
    let primary = view.primary_facts()?;
    let facts = view
        .facts(member)
        .filter(|facts| facts.in_recovery && !view.is_foreign(member))?;
    let (timeline, had) = *view.observed.reached_before.get(member)?;
    let is_ahead = timeline == primary.timeline && facts.timeline == timeline && had > primary.lsn;
    is_ahead.then(|| {
        Finding::unproved(format!(
            "it was at {had} on the primary's own timeline, ahead of the primary's {}",
            primary.lsn
        ))
    })
}

/// What a standby at a position of a timeline has that is not in the primary's history, if it has anything.
fn beyond(primary: &PgFacts, timeline: u32, position: Lsn) -> Option<String> {
    if timeline > primary.timeline {
        return Some(format!(
            "it is on timeline {timeline}, beyond the primary's {}",
            primary.timeline
        ));
    }
    if timeline == primary.timeline {
        return (position > primary.lsn).then(|| {
            format!(
                "it is at {position} on the primary's own timeline, ahead of the primary's {}",
                primary.lsn
            )
        });
    }
    match branch_point(primary, timeline) {
        Some(left) => (position > left)
            .then(|| format!("it is at {position} on timeline {timeline}, which the primary left at {left}")),
        None => Some(format!(
            "it follows timeline {timeline}, which is not in the primary's past"
        )),
    }
}

/// Whether a primary has all that another one wrote, which stopped in order: it left that one's timeline beyond the last
/// record.
pub fn has_all_of(primary: &PgFacts, control: &Control) -> bool {
    let left = branch_point(primary, control.timeline);
    control.state == ControlState::ShutDown && left.is_some_and(|left| control.checkpoint < left)
}

/// Whether a stopped or streaming replica holds nothing that the primary does not have.
pub fn is_copy(view: &View<'_>, member: &str) -> bool {
    let Some(primary) = view.primary_facts() else {
        return false;
    };
    if history::diverged(view, member).is_some() {
        return false;
    }
    let (timeline, position) = match (view.facts(member), view.control(member)) {
        (Some(facts), _) if facts.in_recovery && facts.system_identifier == primary.system_identifier => {
            (facts.timeline, facts.lsn.max(facts.receive_lsn))
        }
        (None, Seen::Known(control)) if control.system_identifier == primary.system_identifier => {
            match control.state {
                // A standby's last restart point says nothing of what it received after it. On the primary's own
                // timeline all of that came from the primary; on an older one it may lie beyond the branch point.
                ControlState::ShutDownInRecovery if control.timeline == primary.timeline => {
                    (control.timeline, control.checkpoint)
                }
                _ => return false,
            }
        }
        _ => return false,
    };
    if timeline == primary.timeline {
        return position <= primary.lsn;
    }
    branch_point(primary, timeline).is_some_and(|left| position <= left)
}

fn branch_point(primary: &PgFacts, timeline: u32) -> Option<Lsn> {
    primary
        .history
        .iter()
        .find(|(tli, _)| *tli == timeline)
        .map(|(_, lsn)| *lsn)
}

fn wal_is_gone(view: &View<'_>, member: &str, primary: &PgFacts) -> bool {
    let slot = super::super::conf::slot_name(member);
    let lost = primary
        .slots
        .get(&slot)
        .is_some_and(|s| s.wal_status == "lost" && !s.is_idle());
    let log = view.log(member);
    // Only the last attempt counts: an old line may speak of a segment that came after all.
    let last_failure = log
        .lines()
        .rev()
        .find(|line| line.contains("FATAL") || line.contains("ERROR"));
    lost || last_failure.is_some_and(|line| line.contains("has already been removed"))
}
