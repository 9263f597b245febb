//! Replicas that could follow by the numbers, and do not: what their logs tell of it, and what is done where a log tells
//! nothing.

use std::time::Duration;

use super::super::desired::Role;
use super::super::memory::Change;
use super::history;
use super::keep;
use super::rejoin::Finding;
use super::view::{View, value_it_lacked};
use super::words;
use crate::model::plan::Plan;
use crate::model::postgres::{Down, PgFacts, Server, SqlOp};

/// How long a replica may be without a stream and without a known reason before its files are delivered anew, in seconds.
const NUDGE_SECS: i64 = 20;
/// How long it is until a delivery has had its effect, in seconds: reconnecting takes a few.
const LOOK_SECS: i64 = 3;
/// How long a replica's log has to say that it does not fit the primary's, in seconds.
const SEAM_SECS: i64 = 5;
/// How often it has to say so, among its last lines.
const SEAM_TIMES: usize = 3;
/// How long a replica may be without a stream while nothing tells why, in seconds. A new volume cures what cannot be found.
const UNEXPLAINED_SECS: i64 = 300;
/// By the numbers it could follow, and it does not. Its log tells why; where that is that its own record does not fit the
/// primary's, or nothing is told for minutes, it gets a new volume.
pub fn unexplained(view: &View<'_>, member: &str, silent_secs: i64, plan: &mut Plan<Change>) {
    if let Some(finding) = seam(view, member, silent_secs) {
        return history::set_aside(view, member, &finding, plan);
    }
    let why = match (words::no_stream(view.log(member)), view.log_unreadable(member)) {
        (Some(said), _) => format!("its log says: {}", said.text),
        (None, Some(why)) => format!("why cannot be told: {why}"),
        (None, None) => "its log does not say why".to_owned(),
    };
    if silent_secs >= UNEXPLAINED_SECS && words::no_stream(view.log(member)).is_none() {
        let finding = Finding::unproved(format!("it has not streamed for {silent_secs} s, and {why}"));
        return history::set_aside(view, member, &finding, plan);
    }
    if silent_secs % NUDGE_SECS < LOOK_SECS && silent_secs >= NUDGE_SECS {
        return nudge(view, member, &why, plan);
    }
    plan.wait(member, format!("it has not streamed for {silent_secs} s; {why}"));
    plan.again_in(Duration::from_secs(1));
}

/// A standby that reads a record where its primary has none, though that one's log goes on: they are two logs. Once, at the
/// end of what it has, the same words are usual; over and over, or with more received behind that, they are not.
fn seam(view: &View<'_>, member: &str, silent_secs: i64) -> Option<Finding> {
    let primary = view.primary_facts().filter(|_| silent_secs >= SEAM_SECS)?;
    let said = words::no_stream(view.log(member))?;
    let at = said.seam?;
    let asks_for_more = said.text.contains("is ahead of the WAL flush position");
    let times = view
        .log(member)
        .lines()
        .filter(|line| line.contains(&said.text))
        .count();
    let has_more = view.facts(member).is_some_and(|facts| facts.receive_lsn > at);
    // That a record of the primary's ends there too may be by chance: every record names the one before it.
    let is_seam = at < primary.flush_lsn && (times >= SEAM_TIMES || has_more);
    (is_seam || asks_for_more).then(|| {
        Finding::unproved(format!(
            "its log does not fit the primary's, which has come to {}: {}",
            primary.flush_lsn, said.text
        ))
    })
}

/// A standby that has started and never comes to the point where its data are whole: the primary's log does not lead there.
pub fn never_whole(view: &View<'_>, member: &str) -> Option<Finding> {
    let Some(Server::Down(Down::StartingUp, _)) = view.server(member) else {
        return None;
    };
    seam(view, member, view.silent_for(member)?)
}

/// The setting for want of which PostgreSQL itself has paused the replay: a standby needs at least what its primary has
/// (documentation, 26.4.3). What it has, and what it needs.
pub fn lower_setting(view: &View<'_>, member: &str, facts: &PgFacts) -> Option<(String, i64, i64)> {
    let primary = view.primary_facts();
    facts.standby_floor.iter().find_map(|(name, has)| {
        let now = primary.and_then(|primary| primary.standby_floor.get(name)).copied();
        let then = value_it_lacked(view.log(member), name);
        let needs = now.max(then).filter(|needs| needs > has)?;
        Some((name.clone(), *has, needs))
    })
}

/// A replay that PostgreSQL paused goes on after a restart with what was missing. Resumed, the server would shut down.
pub fn raise(view: &View<'_>, member: &str, why: &str, plan: &mut Plan<Change>) {
    let cause = format!("PostgreSQL itself has paused its replay, because {why}");
    if plan.touches(member) {
        return plan.wait(member, cause);
    }
    if let Some(delay) = view.start_delay(member) {
        plan.wait(member, format!("{cause}; it is restarted in {} s", delay.as_secs()));
        return plan.again_in(delay);
    }
    let mut steps = vec![keep::stop(view.cluster, member, cause.clone())];
    steps.extend(view.start(member, Role::Replica, &cause));
    plan.chain(steps);
}

/// The secrets that a replica connects with are not read back, so after a while they are delivered again.
pub fn nudge(view: &View<'_>, member: &str, reason: &str, plan: &mut Plan<Change>) {
    let cause = format!("it does not stream, and {reason}");
    let mut steps = vec![view.deliver(member, Role::Replica, cause.clone())];
    steps.extend(view.sql(member, SqlOp::Reload, cause));
    plan.chain(steps);
    plan.again_in(Duration::from_secs(LOOK_SECS.unsigned_abs()));
}
