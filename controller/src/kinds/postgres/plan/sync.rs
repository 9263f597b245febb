//! Synchronous replication: which replicas a commit waits for, how that changes without a moment in which an acknowledged
//! write is on fewer members than promised, and who has every acknowledged write.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::memory::{Change, Heir, ReadBack, SyncChange};
use super::super::observe;
use super::super::quorum::{self, Lack, Reach, SyncSet};
use super::super::spec::{Durability, ReplicationMode};
use super::history;
use super::rollout;
use super::view::{Step, View};
use crate::model::plan::{Action, Op, Plan};
use crate::model::postgres::{PgFacts, SqlOp};

/// How long a voter may be without a stream before commits stop waiting for it, in seconds. A killed replica streams
/// again within one.
const LEAVE_SECS: i64 = 3;
/// How long every process of a server may take to heed a reload, in seconds. The session that reads the names back has
/// heeded it; that a sender of WAL has, which lets commits go on, nobody can see.
const HEED_SECS: i64 = 2;
/// How often the way of a change is looked at.
const POLL: Duration = Duration::from_millis(200);

/// Whether the manifest asks for it.
pub fn is_wanted(view: &View<'_>) -> bool {
    view.cluster.spec.replication.mode == ReplicationMode::Synchronous
}

/// Whether `target` has every write that was ever acknowledged to a client, as far as that was promised. To be asked when
/// the old primary is known to be down and did not stop cleanly; what was seen before that is too old to rest on.
pub fn quorum(view: &View<'_>, target: &str) -> Result<(), Lack> {
    let state = &view.memory.sync;
    if state.adopted && is_wanted(view) {
        let why = "the record was lost, and with it what commits waited for";
        return Err(Lack {
            why: why.to_owned(),
            ahead: None,
        });
    }
    if !state.promised {
        return Ok(());
    }
    quorum::prove(&state.sets(), &reaches(view), target)
}

/// How far the log of each replica reaches that can be asked.
fn reaches(view: &View<'_>) -> BTreeMap<String, Reach> {
    let members = view.observed.members.keys();
    members
        .filter_map(|member| Some((member.clone(), reach(view, member)?)))
        .collect()
}

/// A replica that was just started has not asked for a stream yet: it still reads its own log, and nobody knows how much
/// there is of it.
fn reach(view: &View<'_>, member: &str) -> Option<Reach> {
    let facts = view.facts(member).filter(|_| view.memory.diverged(member).is_none())?;
    let container = view.container(member)?;
    let has_read_its_log = facts.receive_lsn.0 > 0;
    let counts = facts.in_recovery && has_read_its_log && !view.is_foreign(member);
    let counts = counts && view.has_current_volume(member, container);
    counts.then(|| (facts.timeline, facts.lsn.max(facts.receive_lsn)))
}

/// The set that a member's file says. A replica's is the one that it starts with as the primary, so that a promotion
/// waits for no delivery.
pub fn rendered(view: &View<'_>, member: &str) -> Option<SyncSet> {
    let state = &view.memory.sync;
    if view.primary() != Some(member) {
        return is_wanted(view).then(|| heir_set(view, member));
    }
    if state.intended.is_some() {
        return state.intended.clone();
    }
    let running = view.primary_facts().and_then(|facts| SyncSet::parse(&facts.sync_names));
    match running {
        // As if it were not there: what a start is to read is then the same before it and after.
        Some(running) if running.voters.is_empty() => None,
        Some(running) => Some(running),
        None if state.adopted && is_wanted(view) => Some(heir_set(view, member)),
        None => None,
    }
}

/// All other members that are wanted.
fn heir_set(view: &View<'_>, member: &str) -> SyncSet {
    let mut voters = view.members();
    voters.retain(|voter| voter != member);
    let replication = &view.cluster.spec.replication;
    let most = u32::try_from(voters.len()).unwrap_or(u32::MAX);
    SyncSet {
        number: replication.number().min(most),
        method: replication.method(),
        voters,
    }
}

/// What has to be remembered before `to` is asked to become the primary: what its commits will wait for.
pub fn before_promotion(view: &View<'_>, to: &str) -> Option<Step> {
    let state = &view.memory.sync;
    let running = SyncSet::parse(&view.facts(to)?.sync_names).unwrap_or_default();
    let heir = Heir {
        rendered: rendered(view, to).unwrap_or_default(),
        running,
    };
    let is_idle = !is_wanted(view) && !state.promised && heir.running.is_nobody();
    if is_idle || state.heir.as_ref() == Some(&heir) {
        return None;
    }
    let change = Change::Sync(SyncChange::Heir(heir));
    Some(Action::new(
        to,
        Op::Remember(change),
        "what its commits wait for is known before it accepts any",
    ))
}

/// What has to be remembered before the recorded primary leaves its recovery: it runs with what its file said as a replica,
/// and where nobody can ask it, perhaps with nothing.
pub fn before_start(view: &View<'_>, primary: &str) -> Option<Step> {
    let state = &view.memory.sync;
    let facts = view.facts(primary);
    let running = facts
        .and_then(|facts| SyncSet::parse(&facts.sync_names))
        .unwrap_or_default();
    if !state.promised || state.sets().contains(&running) {
        return None;
    }
    let change = Change::Sync(SyncChange::Possible(running));
    Some(Action::new(primary, Op::Remember(change), "that is what it runs with"))
}

/// Keeps the set: decides on the next one, and follows a change until the new one is in force alone.
pub fn keep(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) {
    let state = &view.memory.sync;
    let Some(facts) = view.primary_facts() else {
        return;
    };
    if !is_wanted(view) && *state == Default::default() && facts.sync_names.is_empty() {
        return;
    }
    let Some((wanted, cause)) = wanted_set(view, facts, plan) else {
        return plan.wait(
            primary,
            format!(
                "commits wait for replicas when {} of them stream",
                view.cluster.spec.replication.number()
            ),
        );
    };
    let running = SyncSet::parse(&facts.sync_names).unwrap_or_default();
    let intended = match &state.intended {
        Some(intended) => intended,
        // The record was lost, or somebody else promoted it: what runs is taken for what was intended.
        None if !running.is_nobody() => {
            return remember(primary, SyncChange::Intend(running), "that is what it runs with", plan);
        }
        None => return remember(primary, SyncChange::Intend(wanted), cause, plan),
    };
    let is_news = state.read_back.is_some() || (state.promised && !state.sets().contains(&running));
    if running != *intended && is_news {
        let change = SyncChange::Possible(running);
        return remember(primary, change, "that is what it runs with", plan);
    }
    if wanted != *intended {
        return remember(primary, SyncChange::Intend(wanted), cause, plan);
    }
    if running == *intended {
        settle(view, primary, facts, intended, plan);
    } else {
        // The configuration is delivered and loaded by its own rule.
        plan.again_in(POLL);
    }
}

fn remember(primary: &str, change: SyncChange, cause: impl Into<String>, plan: &mut Plan<Change>) {
    plan.step(Action::new(primary, Op::Remember(Change::Sync(change)), cause));
    plan.again_in(POLL);
}

/// The primary runs with the intended set. The others are forgotten when every process of it does, and the set's own
/// voters have flushed what may have been acknowledged under another.
fn settle(view: &View<'_>, primary: &str, facts: &PgFacts, set: &SyncSet, plan: &mut Plan<Change>) {
    let state = &view.memory.sync;
    if !is_wanted(view) {
        return remember(primary, SyncChange::Off, "spec.replication.mode is asynchronous", plan);
    }
    if state.is_settled() {
        return;
    }
    let settled = SyncChange::Settled(set.clone());
    if set.is_nobody() {
        return remember(primary, settled, "only the primary has every acknowledged write", plan);
    }
    let now = ReadBack {
        at: view.now,
        lsn: None,
    };
    match state.read_back {
        None => {
            let mut steps = Vec::new();
            if !state.promised || state.possible.iter().any(SyncSet::is_nobody) {
                // Its checkpointer tells all others whether commits wait at all, and heeds a reload between two
                // checkpoints only: the end of one that begins now proves that it did.
                let cause = "its checkpointer lets commits go by until it has read the names";
                steps.extend(view.sql(primary, SqlOp::Checkpoint, cause));
            }
            let change = Change::Sync(SyncChange::ReadBack(set.clone(), now));
            steps.push(Action::new(primary, Op::Remember(change), "it was read back"));
            plan.chain(steps);
            plan.again_in(POLL);
        }
        Some(ReadBack { at, lsn: None }) if view.now - at < HEED_SECS => {
            plan.wait(
                primary,
                format!("all of its processes have to heed that commits wait for {set}"),
            );
            plan.again_in(POLL);
        }
        Some(ReadBack { lsn, .. }) => {
            let goal = lsn.unwrap_or(facts.flush_lsn);
            let reached = |voter: &&String| facts.standbys.get(*voter).is_some_and(|s| s.flush_lsn >= goal);
            let count = set.voters.iter().filter(reached).count();
            if count >= set.number as usize {
                let cause = format!("what was acknowledged before, up to {goal}, has reached {count} of them");
                return remember(primary, settled, cause, plan);
            }
            if lsn.is_none() {
                let fence = ReadBack { lsn: Some(goal), ..now };
                let cause = "older writes may have been acknowledged otherwise";
                return remember(primary, SyncChange::ReadBack(set.clone(), fence), cause, plan);
            }
            plan.wait(
                primary,
                format!("what was acknowledged up to {goal} has to reach {set}"),
            );
            plan.again_in(POLL);
        }
    }
}

/// The set that should be in force now, and why; `None` while there never was one and too few replicas stream.
fn wanted_set(view: &View<'_>, facts: &PgFacts, plan: &mut Plan<Change>) -> Option<(SyncSet, String)> {
    let state = &view.memory.sync;
    let replication = &view.cluster.spec.replication;
    if !is_wanted(view) {
        return Some((SyncSet::nobody(), "spec.replication.mode is asynchronous".to_owned()));
    }
    let wanted = view.replicas();
    let mut voters = present(view, facts, &wanted, plan);
    let least = match replication.durability() {
        Durability::Required => replication.number(),
        Durability::Preferred => 1,
    };
    let mut cause = "these replicas stream".to_owned();
    if let Some(leaving) = rollout::due(view) {
        let staying: Vec<String> = voters.iter().filter(|v| **v != leaving).cloned().collect();
        if staying.len() >= least as usize && staying.len() < voters.len() {
            voters = staying;
            cause = format!("{leaving} is to be restarted");
        }
    }
    let present = u32::try_from(voters.len()).unwrap_or(u32::MAX);
    let set = |voters: Vec<String>, number: u32| SyncSet {
        voters,
        number,
        method: replication.method(),
    };
    match replication.durability() {
        _ if present >= replication.number() => Some((set(voters, replication.number()), cause)),
        _ if state.intended.is_none() && !state.adopted && present < least => None,
        Durability::Preferred if present == 0 => {
            let cause = "no replica streams, and spec.replication.durability is preferred: \
                         acknowledged writes are on the primary alone";
            Some((SyncSet::nobody(), cause.to_owned()))
        }
        Durability::Preferred => Some((set(voters, present), cause)),
        Durability::Required => {
            let cause = "too few replicas stream, and spec.replication.durability is required: commits wait";
            let voters = padded(view, &wanted, &voters);
            Some((set(voters, replication.number()), cause.to_owned()))
        }
    }
}

/// The replicas that are in the set and stay, or that may enter it.
fn present(view: &View<'_>, facts: &PgFacts, wanted: &[String], plan: &mut Plan<Change>) -> Vec<String> {
    let is_whole = |member: &String| {
        view.container(member)
            .is_some_and(|c| view.has_current_volume(member, c))
    };
    let mut voters = Vec::new();
    for member in wanted {
        let is_in = intended_has(view, member);
        let streams = facts.standbys.get(member).is_some_and(|s| s.state == "streaming");
        let lost_for = view.lasts(&observe::not_followed(member)).unwrap_or(0);
        let patient = is_in && is_whole(member) && lost_for < LEAVE_SECS;
        if patient && !streams {
            plan.again_in(Duration::from_secs((LEAVE_SECS - lost_for).unsigned_abs()));
        }
        if history::diverged(view, member).is_some() {
            continue;
        }
        if (is_in && streams) || patient || (view.replica_is_ready(member) && is_whole(member)) {
            voters.push(member.clone());
        }
    }
    voters
}

fn intended_has(view: &View<'_>, member: &str) -> bool {
    let intended = view.memory.sync.intended.iter();
    intended.flat_map(|set| &set.voters).any(|voter| voter == member)
}

/// Too few are present: those that were asked before are asked still, and others as far as the number demands it.
fn padded(view: &View<'_>, wanted: &[String], present: &[String]) -> Vec<String> {
    let number = view.cluster.spec.replication.number() as usize;
    let has = |member: &&String| present.contains(member) || intended_has(view, member);
    let known = wanted.iter().filter(has).count();
    let mut missing = number.saturating_sub(known);
    let keeps = |member: &&String| {
        let more = !has(member) && missing > 0;
        missing -= usize::from(more);
        has(member) || more
    };
    wanted.iter().filter(keeps).cloned().collect()
}

/// Why a member that is to be stopped has to wait: commits still wait for it although others could be asked instead.
pub fn holds(view: &View<'_>, member: &str) -> Option<String> {
    let state = &view.memory.sync;
    let facts = view.primary_facts()?;
    if !is_wanted(view) || !state.promised || !state.counts(member) {
        return None;
    }
    let (wanted, _) = wanted_set(view, facts, &mut Plan::default())?;
    let leaves = !wanted.voters.iter().any(|voter| voter == member);
    leaves.then(|| "it leaves the set that commits wait for first".to_owned())
}
