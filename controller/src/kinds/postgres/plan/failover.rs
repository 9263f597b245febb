//! A primary that cannot be brought back where it is: who takes over, and whether anybody may without being asked.
//!
//! Restarting in place comes first; this room speaks only when there is nothing to start, or when starting has failed
//! again and again. The decision is a promotion like any other, and `promotion` carries it out: fence first. Nothing is
//! decided on what is not known, on a full disk, or for a replica that lacks more than `spec.replication.maxLag`.

use std::time::Duration;

use super::super::memory::{Change, Loss, Promotion};
use super::super::observe;
use super::super::spec::FailoverMode;
use super::disk;
use super::keep;
use super::life;
use super::own;
use super::position;
use super::promotion;
use super::sync;
use super::view::View;
use crate::model::Seen;
use crate::model::container::{NamedObserved, RunState};
use crate::model::labels;
use crate::model::plan::{Action, Op, Plan};
use crate::model::postgres::PgFacts;

/// The entry point's exit code for a primary without data.
const EXIT_NO_DATA: i64 = 79;
/// The exit code of a process that was killed from outside.
const EXIT_KILLED: i64 = 137;
/// How long a replica that runs and does not answer is waited for, in seconds: it may have received more than the others.
const PATIENCE_SECS: i64 = 10;
/// The same of one that is seen to be alive, in seconds: it does answer, only late.
const SLOW_PATIENCE_SECS: i64 = 60;
/// Why the primary cannot be brought back where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// In words that a user reads.
    pub reason: String,
    /// Whether starting it again could help after all.
    pub is_tried_on: bool,
}

/// Why the recorded primary cannot be brought back where it is, if that is so.
pub fn trouble(view: &View<'_>, primary: &str) -> Option<Trouble> {
    view.memory.system_identifier?;
    let volume = view.volume_name(primary);
    let hopeless = |reason: String| {
        Some(Trouble {
            reason,
            is_tried_on: false,
        })
    };
    let Some(container) = view.container(primary) else {
        return if is_gone(view, primary) {
            hopeless(format!("its volume {volume} is gone"))
        } else {
            None
        };
    };
    match (container.state, container.exit_code) {
        (RunState::Exited, EXIT_NO_DATA) => hopeless(format!("its volume {volume} holds no data")),
        (RunState::Exited, keep::EXIT_DAMAGED) => hopeless("its data directory is damaged".to_owned()),
        // Whoever kills it again and again is the trouble then, and would kill another one too. One that the engine could
        // not start has the exit code from before.
        (RunState::Exited, EXIT_KILLED) if !container.oom_killed && container.error.is_empty() => None,
        (RunState::Exited | RunState::Created, _) if keep::is_crash_looping(view, primary) => Some(Trouble {
            reason: format!(
                "it failed to start several times; {}",
                keep::why_down(view, primary, container)
            ),
            is_tried_on: true,
        }),
        (RunState::Exited | RunState::Created | RunState::Running | RunState::Paused | RunState::Between, _) => None,
    }
}

/// Whether nothing is left of the recorded primary that could be started.
pub fn is_beyond_help(view: &View<'_>, primary: &str) -> bool {
    !view.runs(primary) && trouble(view, primary).is_some_and(|trouble| !trouble.is_tried_on)
}

/// Neither our container nor our volume is there, and nobody else's is in their place.
fn is_gone(view: &View<'_>, primary: &str) -> bool {
    let objects = &view.observed.objects;
    let name = view.cluster.container_name(primary);
    view.volume(primary).is_none()
        && !objects.neighbours.iter().any(|other| other.name == name)
        && !objects.foreign_volumes.contains(&view.volume_name(primary))
}

/// Deals with a primary that cannot be brought back. `false` when it shall be started again all the same.
pub fn consider(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) -> bool {
    let Some(trouble) = trouble(view, primary) else {
        return false;
    };
    if let Some(full) = disk::is_full(view, primary) {
        plan.block(primary, "DiskFull", full);
        return !trouble.is_tried_on;
    }
    match view.cluster.spec.failover.mode {
        FailoverMode::Manual => ask(view, primary, &trouble, None, plan),
        FailoverMode::Automatic => return decide(view, primary, &trouble, plan),
    }
    !trouble.is_tried_on
}

fn decide(view: &View<'_>, primary: &str, trouble: &Trouble, plan: &mut Plan<Change>) -> bool {
    let lasted = view.lasts(&observe::not_serving(primary)).unwrap_or(0);
    let delay = view.cluster.failover_delay_secs;
    if lasted < delay {
        plan.wait(
            primary,
            format!("{}; a replica takes over in {} s", trouble.reason, delay - lasted),
        );
        plan.again_in(Duration::from_secs(1));
        return !trouble.is_tried_on;
    }
    if let Some(silent) = may_answer_yet(view, lasted) {
        plan.wait(
            primary,
            format!(
                "{}; {silent} may have received most and does not answer yet",
                trouble.reason
            ),
        );
        plan.again_in(Duration::from_millis(100));
        return !trouble.is_tried_on;
    }
    match may_fail_over(view, primary) {
        Ok((heir, loss)) => {
            let begin = Change::Promote(Promotion {
                forced: true,
                automatic: true,
                loss: Some(loss),
                ..promotion::intent(view, primary, &heir)
            });
            let cause = format!("{}; {heir} takes over: {}", trouble.reason, loss.told(primary));
            // Under the primary's name: a start of it that is still under way has to end first.
            plan.step(Action::new(primary, Op::Remember(begin), cause));
            true
        }
        Err(why) => {
            ask(view, primary, trouble, Some(&why), plan);
            !trouble.is_tried_on
        }
    }
}

/// A replica that is on its way, or fell silent only just now.
fn may_answer_yet(view: &View<'_>, lasted: i64) -> Option<String> {
    view.replicas().into_iter().find(|member| {
        let state = view.container(member).map(|c| c.state);
        let is_down = matches!(state, Some(RunState::Exited | RunState::Created));
        let is_alive = life::is_slow(view, member) || view.error(member).is_some();
        let patience = match is_alive {
            true => SLOW_PATIENCE_SECS,
            false => PATIENCE_SECS,
        };
        let is_silent = view.silent_for(member).is_some_and(|silent| silent < patience);
        is_silent || is_down && lasted < PATIENCE_SECS && !keep::is_crash_looping(view, member)
    })
}

/// Replicas that could take over, the one with most first; of equal ones in the order of their names.
fn candidates<'v>(view: &View<'v>) -> Vec<(String, &'v PgFacts)> {
    let usable = view.replicas().into_iter().filter(|member| {
        let has_volume = view
            .container(member)
            .is_some_and(|c| view.has_current_volume(member, c));
        has_volume && !view.is_foreign(member) && view.memory.diverged(member).is_none()
    });
    let answering = usable.filter_map(|member| Some((view.facts(&member)?, member)));
    let mut found: Vec<(String, &PgFacts)> = answering
        .filter(|(facts, _)| facts.in_recovery)
        .map(|(facts, member)| (member, facts))
        .collect();
    found.sort_by_key(|(member, facts)| (std::cmp::Reverse(facts.reach()), member.clone()));
    found
}

/// Who may take over without being asked, and what is lost by it; or why nobody may. With asynchronous replication the
/// distance decides; with synchronous replication every acknowledged write has to be on it besides.
pub fn may_fail_over(view: &View<'_>, primary: &str) -> Result<(String, Loss), String> {
    let limit = view.cluster.max_lag_bytes;
    let Some(known) = position::newest(view, primary) else {
        return Err("how far its log had come is not known".to_owned());
    };
    if let Some(intruder) = own::intruder(view, primary) {
        return Err(intruder);
    }
    let candidates = candidates(view);
    let Some((heir, facts)) = candidates.iter().find(|(_, facts)| facts.timeline <= known.timeline) else {
        return Err("no replica answers".to_owned());
    };
    let Some(lag) = known.lag_of(facts) else {
        return Err(format!(
            "{heir} is on timeline {} and {primary} was on {}, so what it lacks is not known",
            facts.timeline, known.timeline
        ));
    };
    if lag.saturating_add(known.slack) > limit {
        let slack = match known.slack {
            0 => String::new(),
            slack => format!(" and up to {slack} more"),
        };
        return Err(format!(
            "{heir} lacks {lag} bytes{slack} of its log, and spec.replication.maxLag is {limit}"
        ));
    }
    if let Some(failed) = promotion::failed_lately(view, heir) {
        return Err(format!("the last try with {heir} failed: {}", failed.message));
    }
    if sync::is_wanted(view) && !view.memory.sync.promised {
        return Err("which replicas have every acknowledged write was not settled yet".to_owned());
    }
    // Commits that waited for replicas have to be on it, whatever the distance.
    if view.memory.sync.promised {
        sync::quorum(view, heir).map_err(|lack| lack.why)?;
    }
    Ok((heir.clone(), position::loss(view, primary, heir)))
}

/// Says what is the matter and how somebody decides.
fn ask(view: &View<'_>, primary: &str, trouble: &Trouble, why: Option<&str>, plan: &mut Plan<Change>) {
    let reason = &trouble.reason;
    let mut holders: Vec<String> = view.replicas();
    // A volume whose seeding never ended holds nothing.
    holders.retain(|replica| view.volume(replica).is_some() && *view.control(replica) != Seen::Absent);
    // The one that has received most comes first: it is the one that is suggested.
    holders.sort_by_key(|member| std::cmp::Reverse(view.facts(member).map(PgFacts::reach)));
    let why = why.map_or_else(String::new, |why| format!(" Nobody takes over unasked: {why}."));
    let way = holders.first().map(|first| way_out(view, primary, first));
    match (way, trouble.is_tried_on) {
        (Some(way), true) => plan.block(
            primary,
            "CrashLooping",
            format!("{reason}. It is tried again and again.{why} Another takes over with {way}"),
        ),
        (None, true) => plan.block(primary, "CrashLooping", reason.clone()),
        (Some(way), false) => plan.confirm(
            primary,
            format!(
                "{reason}. It is not initialised empty, because the data is also on {}.{why} To go on: {way}",
                holders.join(" and ")
            ),
        ),
        (None, false) => plan.confirm(
            primary,
            format!(
                "{reason} and no replica has a copy{}; restore a backup into it, or start anew \
                 with `reconciler delete PostgresCluster/{} --purge-data`",
                set_aside(view),
                view.cluster.name
            ),
        ),
    }
}

/// The volumes in quarantine and those of members that are no longer wanted, in words: they may be the last that is left.
fn set_aside(view: &View<'_>) -> String {
    let there = || view.observed.objects.volumes.iter();
    let is_retired = |volume: &&NamedObserved| view.memory.retired.contains_key(&volume.name);
    let retired: Vec<&str> = there().filter(is_retired).map(|volume| volume.name.as_str()).collect();
    let members = view.members();
    let is_wanted = |volume: &NamedObserved| {
        let member = volume.labels.get(labels::MEMBER);
        member.is_none_or(|member| members.contains(member))
    };
    let unwanted = there().filter(|volume| !is_retired(volume) && !is_wanted(volume));
    let unwanted: Vec<&str> = unwanted.map(|volume| volume.name.as_str()).collect();
    let mut told = String::new();
    if !retired.is_empty() {
        told += &format!(" (what was set aside is in {})", retired.join(", "));
    }
    if !unwanted.is_empty() {
        let names = unwanted.join(", ");
        told += &format!(
            " (but {names} is there of a member that spec.replicas leaves out: raise it, and it can take over)"
        );
    }
    told
}

/// The command that lets a replica take over, and what it costs.
fn way_out(view: &View<'_>, primary: &str, heir: &str) -> String {
    let cost = match position::loss(view, primary, heir) {
        Loss::Seen { bytes, slack: 0 } => {
            format!(", which lacks {bytes} bytes of the log that {primary} was seen to have")
        }
        Loss::Seen { bytes, slack } => format!(", which lacks {bytes} bytes of {primary}'s log and up to {slack} more"),
        Loss::Unacknowledged { .. } => {
            ", which has every write that was acknowledged after waiting for replicas".to_owned()
        }
        Loss::Nothing | Loss::Unknown => String::new(),
    };
    format!("`reconciler promote {heir} --force`{cost}")
}
