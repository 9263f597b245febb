//! Answers what a command asks of a cluster. Pure: the answer is a change of memory, and the planner does the rest.

use std::collections::BTreeMap;

use super::super::{Check, Reply, Request};
use super::memory::{Change, Loss, Promotion, PromotionResult};
use super::observe::Standing;
use super::plan::View;
use super::plan::{failover, history, position, promotion, slots, sync, trial};
use crate::model::postgres::PgFacts;
use crate::model::wal::Proof;
use crate::model::{Lsn, labels};

mod reseed;

/// Answers a request.
pub fn answer(view: &View<'_>, request: &Request) -> Reply<Change> {
    match request {
        Request::Promote { member, force, dry_run } => promote(view, member, *force, *dry_run),
        Request::Restart { member } => restart(view, member.as_deref()),
        Request::Reseed { member, by, force } => reseed::reseed(view, member, by.as_deref(), *force),
        Request::RemoveVolume { volume, confirmed } => reseed::remove_volume(view, volume, *confirmed),
    }
}

fn promote(view: &View<'_>, member: &str, force: bool, dry_run: bool) -> Reply<Change> {
    let Some(primary) = view.primary() else {
        return name_a_primary(view, member, force, dry_run);
    };
    if let Some(under_way) = &view.memory.promotion {
        return beside(view, under_way, member, force, dry_run);
    }
    if member == primary && view.primary_facts().is_some() {
        return Reply::accepted(format!("{member} is the primary already"), Vec::new());
    }
    if member == primary
        && let Some((standing, end)) = history::withheld(view, primary)
    {
        return as_it_is(view, primary, (standing, end), (force, dry_run));
    }
    let checks = promotion::checks(view, member);
    let failed: Vec<&Check> = checks.iter().filter(|c| c.fails(force)).collect();
    // In an emergency the manifest's word is no help: whom it names is the one that does not serve.
    let is_emergency = force && view.primary_facts().is_none();
    let named = view.cluster.spec.primary.as_deref();
    if let Some(wanted) = named.filter(|wanted| *wanted != member && !is_emergency) {
        let message =
            format!("the manifest says `primary: {wanted}`; write `primary: {member}` there, and it is promoted");
        return Reply::refused(message).with_checks(checks);
    }
    let accepts_writes = view.facts(member).is_some_and(|facts| !facts.in_recovery);
    let is_usable = !view.is_foreign(member)
        && view
            .container(member)
            .is_some_and(|c| view.has_current_volume(member, c));
    if accepts_writes && is_usable && force && view.primary_facts().is_none() {
        return by_word(
            view,
            member,
            ("accepts writes already", "accepted writes already"),
            dry_run,
        );
    }
    if is_usable && force && is_all_that_is_left(view, primary, member) {
        return match view.replicas().into_iter().find(|other| view.facts(other).is_some()) {
            Some(other) => Reply::refused(format!(
                "{member} lets nobody in, so what it has received cannot be told, and {other} answers; \
                 `reconciler promote {other} --force`, and {member} follows it"
            )),
            None => {
                let now = format!("lets nobody in, and nothing is left of {primary}");
                by_word(view, member, (&now, "let nobody in"), dry_run)
            }
        };
    }
    if !failed.is_empty() {
        return Reply::refused(refusal(&failed, force)).with_checks(checks);
    }
    if dry_run {
        return Reply::accepted(would(view, primary, member, force), Vec::new()).with_checks(checks);
    }
    let begin = promotion::begin(view, primary, member, force);
    let lost = view
        .primary_facts()
        .map(|main| lost_slots(view, main, member))
        .unwrap_or_default();
    Reply::accepted(format!("{member} takes over from {primary}{lost}"), vec![begin]).with_checks(checks)
}

/// The primary's data are an older copy: it is started with them by force.
fn as_it_is(
    view: &View<'_>,
    primary: &str,
    (standing, end): (&Standing, Lsn),
    (force, dry_run): (bool, bool),
) -> Reply<Change> {
    let known = standing.known.place;
    let lost = match standing.proof.known() {
        Some(Proof::Ends(_)) => format!("what was written from {end} up to {known}"),
        Some(Proof::Holds | Proof::Differs) | None => format!("what was written up to {known}"),
    };
    if !force {
        return Reply::refused(format!(
            "{primary}'s data are an older copy; `--force` starts it as it is, and {lost} is lost"
        ));
    }
    if dry_run {
        let message = format!("{primary} would be started as it is; {lost} would be lost");
        return Reply::accepted(message, Vec::new());
    }
    let lost_bytes = match standing.proof.known() {
        Some(Proof::Ends(_)) => Some(known.lsn.bytes_past(end)),
        Some(Proof::Holds | Proof::Differs) | None => None,
    };
    let result = PromotionResult {
        lost_bytes,
        message: format!("{primary} is started with an older copy of its data; {lost} is lost"),
        ..recorded(view, primary, "")
    };
    let message = result.message.clone();
    let give_up = history::give_up(view, primary, standing, end);
    Reply::accepted(message, vec![give_up, Change::Promoted(result)])
}

/// A promotion that is no more than a word. `why` is said now, and afterwards.
fn by_word(view: &View<'_>, member: &str, why: (&str, &str), dry_run: bool) -> Reply<Change> {
    let (now, then) = why;
    if dry_run {
        let message = format!("{member} {now}; it would be the recorded primary from now on");
        return Reply::accepted(message, Vec::new());
    }
    Reply::accepted(
        format!("{member} {now}; it is the recorded primary from now on"),
        vec![Change::Promoted(recorded(view, member, then))],
    )
}

/// Another promotion is under way. One by force may take its place, as long as its target was not asked yet.
fn beside(view: &View<'_>, under_way: &Promotion, member: &str, force: bool, dry_run: bool) -> Reply<Change> {
    let message = format!("the promotion of {} is under way", under_way.to);
    let is_same = under_way.to == member;
    if is_same && (under_way.forced || !force || dry_run || under_way.requested) {
        return Reply::accepted(message, Vec::new());
    }
    if !force {
        return Reply::refused(format!("{message}; one at a time"));
    }
    if under_way.requested {
        return Reply::refused(format!("{message} and can only go forward any more"));
    }
    let checks = promotion::checks(view, member);
    let failed: Vec<&Check> = checks.iter().filter(|c| c.fails(true)).collect();
    if !failed.is_empty() {
        return Reply::refused(refusal(&failed, true)).with_checks(checks);
    }
    if dry_run {
        return Reply::accepted(format!("{message}; {member} would take over instead"), Vec::new()).with_checks(checks);
    }
    let instead = Promotion {
        forced: true,
        fenced: under_way.fenced,
        start_timeline: promotion::intent(view, &under_way.from, member)
            .start_timeline
            .max(under_way.start_timeline),
        ..promotion::intent(view, &under_way.from, member)
    };
    let told = if is_same {
        format!("{message}, by force from now on")
    } else {
        format!("{message}; {member} takes over instead, by force")
    };
    Reply::accepted(told, vec![Change::Promote(instead)]).with_checks(checks)
}

fn refusal(failed: &[&Check], force: bool) -> String {
    let reasons: Vec<String> = failed
        .iter()
        .map(|c| format!("{} does not hold ({})", c.name, c.found))
        .collect();
    let way_out = if !force && failed.iter().all(|c| c.forceable) {
        ". `--force` promotes all the same, and what the target has not received is lost"
    } else {
        ""
    };
    format!("{}{way_out}", reasons.join("; "))
}

fn would(view: &View<'_>, primary: &str, member: &str, force: bool) -> String {
    match (view.primary_facts(), view.facts(member)) {
        (Some(_), _) if force && promotion::checks(view, member).iter().any(|check| !check.holds) => format!(
            "{member} would take over from {primary}, which is stopped first; what {member} has not received by then would be lost"
        ),
        (Some(main), _) => format!(
            "{member} would take over from {primary}; nothing acknowledged would be lost{}",
            lost_slots(view, main, member)
        ),
        (None, Some(facts)) if force => format!(
            "{member} would take over from {primary}, which does not answer; \
             what was written after {} and did not reach it would be lost{}",
            facts.reach().1,
            known_loss(view, primary, member) + &acknowledged(view, member)
        ),
        (None, _) => format!("{member} would take over from {primary}"),
    }
}

/// The logical slots that would be lost.
fn lost_slots(view: &View<'_>, main: &PgFacts, member: &str) -> String {
    let broken = slots::broken(view, main, member);
    match broken.is_empty() {
        true => String::new(),
        false => format!(
            ", but logical slots would be, and their receivers have to begin anew: {}",
            broken.join("; ")
        ),
    }
}

fn known_loss(view: &View<'_>, primary: &str, member: &str) -> String {
    match position::loss(view, primary, member) {
        Loss::Seen { bytes, slack: 0 } => format!(": {bytes} bytes of what it was seen to have"),
        Loss::Seen { bytes, slack } => format!(": {bytes} bytes of what it was noted to have, and up to {slack} more"),
        Loss::Nothing | Loss::Unacknowledged { .. } | Loss::Unknown => String::new(),
    }
}

/// Whether acknowledged synchronous writes may be among what is lost.
fn acknowledged(view: &View<'_>, member: &str) -> String {
    match sync::quorum(view, member) {
        Ok(()) if view.memory.sync.promised => "; every acknowledged write has reached it".to_owned(),
        Ok(()) => String::new(),
        Err(lack) => format!(", acknowledged synchronous writes among it: {}", lack.why),
    }
}

/// The record is lost or does not tell: a forced promotion settles who is the primary.
fn name_a_primary(view: &View<'_>, member: &str, force: bool, dry_run: bool) -> Reply<Change> {
    let identity = view
        .facts(member)
        .map(|facts| facts.system_identifier)
        .or_else(|| view.control(member).known().map(|control| control.system_identifier));
    let Some(system_identifier) = identity else {
        return Reply::refused(format!("{member} holds no data that could be looked at"));
    };
    if !force {
        return Reply::refused(format!(
            "there is no record of who is the primary; `--force` makes it {member}, and what only others have stays in their volumes"
        ));
    }
    if dry_run {
        return Reply::accepted(format!("{member} would be the primary from now on"), Vec::new());
    }
    let mut generations: BTreeMap<String, u32> = BTreeMap::new();
    for volume in &view.observed.objects.volumes {
        let generation = volume.labels.get(labels::GENERATION).and_then(|g| g.parse().ok());
        if let (Some(owner), Some(generation)) = (volume.labels.get(labels::MEMBER), generation) {
            let newest = generations.entry(owner.clone()).or_insert(generation);
            *newest = generation.max(*newest);
        }
    }
    let adopt = Change::Adopt {
        primary: member.to_owned(),
        system_identifier,
        generations,
    };
    let changes = std::iter::once(adopt).chain(trial::found(view, member));
    Reply::accepted(
        format!("{member} is the recorded primary from now on"),
        changes.collect(),
    )
}

/// Whether a member that no known password opens is to be taken as it is: by SQL it cannot be promoted, and there is no
/// primary any more that could give it another password.
fn is_all_that_is_left(view: &View<'_>, primary: &str, member: &str) -> bool {
    view.is_shut(member) && view.control(member).known().is_some() && failover::is_beyond_help(view, primary)
}

/// The record of a promotion that was no more than a word.
fn recorded(view: &View<'_>, member: &str, why: &str) -> PromotionResult {
    PromotionResult {
        id: view.memory.last_promotion.as_ref().map_or(0, |p| p.id) + 1,
        to: member.to_owned(),
        succeeded: true,
        automatic: false,
        lost_bytes: None,
        message: format!("{member} {why}, and was confirmed as the primary"),
        at: view.now,
    }
}

fn restart(view: &View<'_>, member: Option<&str>) -> Reply<Change> {
    let members = view.members();
    let chosen: Vec<String> = match member {
        None => members,
        Some(member) if members.iter().any(|m| m == member) => vec![member.to_owned()],
        Some(member) => {
            return Reply::refused(format!(
                "there is no member {member}; the members are {}",
                members.join(", ")
            ));
        }
    };
    let message = format!("{} will be restarted, replicas first, one at a time", chosen.join(", "));
    let changes = chosen.into_iter().map(|m| Change::Restart(m, view.now)).collect();
    Reply::accepted(message, changes)
}

#[cfg(test)]
mod tests;
