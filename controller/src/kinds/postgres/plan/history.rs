//! One log, of which every member has a part. A primary whose volume was put back to an older copy (a snapshot, a rolled-back
//! machine, copied files) is not started unasked while anybody knows of more, and where one serves all the same, who may hold
//! what it lost is told apart: numbers agree there, and contents do not.
//!
//! What proves it: before a start, the page of the log that holds the newest known place; while the primary serves, the same
//! page through SQL, and that the positions which replicas have had are ends of records. Bytes of replicas are not
//! compared: a receiver writes over its last file from the beginning, with the primary's bytes, and rows stay that only the old
//! ones told of.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::memory::{Change, HistoryChange, Noted, WentBack};
use super::super::observe::{Source, Standing};
use super::own;
use super::rejoin::Finding;
use super::reseed;
use super::view::{Step, View};
use crate::model::Lsn;
use crate::model::container::RunState;
use crate::model::plan::{Action, Op, Plan};
use crate::model::postgres::{ControlState, PgFacts};
use crate::model::status::bytes;
use crate::model::wal::{Mark, Place, Proof};

/// How often it is noted down how far the primary's log has come, in seconds. Every note waits for the disk.
const NOTE_SECS: i64 = 5;
/// What replicas are said to be that may hold what the primary lost.
const MAY_HOLD: &str = "the primary went back to an older copy of its data, and it may hold what that lost";

/// Why the recorded primary, which does not run, is not started unasked. `None` when it may be.
pub fn withheld<'a>(view: &View<'a>, primary: &str) -> Option<(&'a Standing, Lsn)> {
    let standing = view.observed.standing.as_ref()?;
    let container = view.container(primary)?;
    let is_down = matches!(container.state, RunState::Created | RunState::Exited);
    if !is_down || view.memory.history.given_up >= Some(standing.known.place) {
        return None;
    }
    match standing.proof.known()? {
        Proof::Holds => None,
        Proof::Ends(end) => Some((standing, *end)),
        Proof::Differs => Some((standing, view.control(primary).known()?.checkpoint)),
    }
}

/// Keeps the recorded primary from being started while its log is not known to be whole. `false` when it may be.
pub fn withhold(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) -> bool {
    let Some(container) = view.container(primary) else {
        return false;
    };
    if !matches!(container.state, RunState::Created | RunState::Exited) || view.memory.system_identifier.is_none() {
        return false;
    }
    let unknown = match (view.control(primary).unknown(), &view.observed.standing) {
        // PostgreSQL itself refuses what is no control file.
        (Some(_), _) if view.damage(primary).is_some() => None,
        (Some(why), _) => Some(why),
        (None, Some(standing)) if view.memory.history.given_up < Some(standing.known.place) => standing.proof.unknown(),
        (None, _) => None,
    };
    if let Some(why) = unknown {
        plan.wait(primary, format!("whether its log is whole cannot be told: {why}"));
        plan.again_in(Duration::from_millis(500));
        return true;
    }
    let Some((standing, end)) = withheld(view, primary) else {
        return false;
    };
    // Whoever decides has to be told of that first: it stands in either way.
    if view.observed.objects.holders.known().is_some() {
        own::holds_up(view, primary, plan);
    }
    plan.confirm(primary, question(view, primary, standing, end));
    // Whoever knows of it may not answer at the next look.
    let noted = view.memory.history.noted.as_ref().map(|noted| noted.mark.place);
    if noted < Some(standing.known.place) {
        let at = match standing.by {
            Source::Seen(at) => at,
            Source::Replica(_) => view.now,
        };
        plan.step(noted_at(primary, standing.known.clone(), at));
    }
    true
}

/// What has to be decided, and what is lost either way.
fn question(view: &View<'_>, primary: &str, standing: &Standing, end: Lsn) -> String {
    let known = standing.known.place;
    let who = match &standing.by {
        Source::Seen(at) => format!("the agent saw it at {known}, {} ago", span(view.now - at)),
        Source::Replica(replica) => format!("{replica} has it up to {known}"),
    };
    let found = match standing.proof.known() {
        Some(Proof::Differs) => format!("its log has other contents than it had before {}", known.lsn),
        Some(Proof::Ends(_) | Proof::Holds) | None => format!("its log ends at {end}"),
    };
    let mut ways = Vec::new();
    if let Some((heir, facts)) = furthest(view) {
        let lacks = match facts.reach() {
            (timeline, lsn) if timeline == known.timeline && known.lsn > lsn => {
                format!("lacks {} of what is known", bytes(known.lsn.bytes_past(lsn)))
            }
            (timeline, _) if timeline < known.timeline => {
                "is on an older timeline, and what it lacks is not known".to_owned()
            }
            _ => "has all that is known of".to_owned(),
        };
        let only = match standing.proof.known() {
            Some(Proof::Differs) => format!("; what only {primary} has stays in its volume, which is kept"),
            Some(Proof::Ends(_) | Proof::Holds) | None => String::new(),
        };
        ways.push(format!(
            "`reconciler promote {heir} --force` makes {heir} the primary, which {lacks}{only}"
        ));
    }
    ways.push(format!(
        "`reconciler promote {primary} --force` starts {primary} as it is: {} lost, and replicas that have it get new volumes, \
         while their old ones are kept",
        lost(view, primary, standing, end)
    ));
    format!(
        "its data are an older copy: {found}, and {who}. It is not started unasked. To go on: {}",
        ways.join("; or ")
    )
}

/// What is lost when the primary is started as it is, in bytes and time.
fn lost(view: &View<'_>, primary: &str, standing: &Standing, end: Lsn) -> String {
    let known = standing.known.place;
    let control = view.control(primary).known();
    let is_same = control.is_some_and(|control| control.timeline == known.timeline);
    let amount = match standing.proof.known() {
        Some(Proof::Ends(_)) if is_same => format!("{} of log", bytes(known.lsn.bytes_past(end))),
        Some(Proof::Ends(_) | Proof::Holds | Proof::Differs) | None => {
            "what was written since it was copied".to_owned()
        }
    };
    let until = match standing.by {
        Source::Seen(at) => at,
        Source::Replica(_) => view.now,
    };
    // A control file is written at every checkpoint, so the copy is not much younger.
    let since = control
        .filter(|control| control.written_at > 0)
        .map(|control| until - control.written_at)
        .filter(|secs| *secs > 0);
    let since = since.map_or_else(String::new, |secs| format!(", written within {},", span(secs)));
    format!("{amount}{since} is")
}

/// The answering replica that has most of the shared log.
fn furthest<'v>(view: &View<'v>) -> Option<(String, &'v PgFacts)> {
    let usable = view.replicas().into_iter().filter(|member| {
        let container = view.container(member);
        let has_volume = container.is_some_and(|container| view.has_current_volume(member, container));
        has_volume && !view.is_foreign(member) && view.memory.diverged(member).is_none()
    });
    let answering = usable.filter_map(|member| Some((view.facts(&member)?, member)));
    let standbys = answering.filter(|(facts, _)| facts.in_recovery);
    let found = standbys.max_by_key(|(facts, member)| (facts.reach(), std::cmp::Reverse(member.clone())));
    found.map(|(facts, member)| (member, facts))
}

/// The decision to start the primary as it is. Who may hold what is given up gets a new volume.
pub fn give_up(view: &View<'_>, primary: &str, standing: &Standing, end: Lsn) -> Change {
    let own = view.control(primary).known().map(|control| control.timeline);
    let is_behind = |member: &String| {
        let reach = view.facts(member).filter(|facts| facts.in_recovery).map(PgFacts::reach);
        let proof = standing.proof.known();
        let ends = matches!(proof, Some(Proof::Ends(_)));
        ends && reach.is_some_and(|(timeline, lsn)| Some(timeline) == own && lsn <= end)
    };
    let replicas = suspects(view).filter(|member| !is_behind(member));
    Change::History(HistoryChange::GiveUp {
        primary: primary.to_owned(),
        until: standing.known.place,
        replicas: replicas.map(|member| (member, MAY_HOLD.to_owned())).collect(),
    })
}

/// Replicas with data.
fn suspects<'v>(view: &'v View<'_>) -> impl Iterator<Item = String> + 'v {
    let has_data = |member: &String| {
        let is_empty = view.memory.reseed(member).is_some() && view.control(member).is_absent() && !view.runs(member);
        view.volume(member).is_some() && !is_empty
    };
    view.replicas().into_iter().filter(has_data)
}

/// Notes down how far the primary's log has come, and finds out when it has gone back. `false` when nothing else is to be
/// planned before that is remembered.
pub fn keep(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) -> bool {
    if let Some(facts) = view.primary_facts() {
        if let Some(message) = went_back(view, facts) {
            let replicas: BTreeMap<String, String> = suspects(view).map(|one| (one, MAY_HOLD.to_owned())).collect();
            let at = view.now;
            let found = WentBack {
                message: message.clone(),
                at,
            };
            plan.step(remember(primary, HistoryChange::WentBack { found, replicas }, message));
            return false;
        }
        note(view, primary, facts, plan);
    } else if let Some(control) = view.control(primary).known().filter(|_| !view.runs(primary))
        && control.state == ControlState::ShutDown
        && view
            .observed
            .standing
            .as_ref()
            .is_some_and(|standing| standing.proof.known() == Some(&Proof::Holds))
    {
        // It is not seen to be further by anybody, and its own word is exact.
        let place = Place::new(control.timeline, control.checkpoint);
        let noted = view.memory.history.noted.as_ref();
        if noted.is_some_and(|noted| noted.mark.place < place) {
            let mark = Mark {
                place,
                ..Mark::default()
            };
            plan.step(noted_at(primary, mark, view.now));
        }
    }
    true
}

fn note(view: &View<'_>, primary: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    let Some(mark) = facts.mark.clone().filter(|_| view.memory.system_identifier.is_some()) else {
        return;
    };
    let is_due = match &view.memory.history.noted {
        Some(noted) if view.memory.history.given_up.is_none() => {
            let age = view.now - noted.at;
            noted.mark.place != mark.place && !(0..NOTE_SECS).contains(&age)
        }
        Some(_) | None => true,
    };
    if is_due {
        plan.step(noted_at(primary, mark, view.now));
    }
}

fn noted_at(primary: &str, mark: Mark, at: i64) -> Step {
    let noted = Noted { mark, at };
    let cause = "an older copy of its data has to be told from them";
    remember(primary, HistoryChange::Note(noted), cause)
}

/// Aside: it is a word, and true whatever else goes on.
fn remember(subject: &str, change: HistoryChange, cause: impl Into<String>) -> Step {
    Action::new(subject, Op::Remember(Change::History(change)), cause).aside()
}

/// What shows that a primary that serves has lost a part of its log, in words that a user reads.
fn went_back(view: &View<'_>, facts: &PgFacts) -> Option<String> {
    if view.memory.history.given_up.is_some() {
        return None;
    }
    let noted = view.memory.history.noted.as_ref();
    let before = view.observed.mark_before.as_ref();
    let before = before.filter(|(member, ..)| Some(member.as_str()) == view.primary());
    let known = before
        .map(|(_, mark, _)| mark.place)
        .max(noted.map(|noted| noted.mark.place))?;
    let older = "it serves an older copy of its data";
    let now = Place::new(facts.timeline, facts.flush_lsn);
    if now.timeline < known.timeline {
        return Some(format!(
            "its log had come to {known} and is at {now}: {older}, and what was written since is gone"
        ));
    }
    if now.timeline == known.timeline && now.lsn < known.lsn {
        let gone = bytes(known.lsn.bytes_past(now.lsn));
        return Some(format!(
            "its log had come to {known} and is at {}: {older}, and {gone} of log are gone",
            now.lsn
        ));
    }
    let left = facts.history.iter().find(|(timeline, _)| *timeline == known.timeline);
    if let Some((_, left)) = left.filter(|(_, left)| *left < known.lsn) {
        let gone = bytes(known.lsn.bytes_past(*left));
        return Some(format!(
            "its log had come to {known} and left that timeline at {left}: {gone} of log are gone"
        ));
    }
    // What it was asked about is what was noted then, which may not be the last note.
    let (noted, found) = noted.map(|noted| &noted.mark).zip(facts.found_mark.as_ref())?;
    let place = noted.place;
    (place == found.place && !noted.hash.is_empty() && noted.hash != found.hash).then(|| {
        format!(
            "its log has other contents before {place} than it had: {older} that was written to since, and what was written \
             before is gone"
        )
    })
}

/// Why a replica is known to hold what the primary never had, though the numbers agree: from what is remembered, or from
/// this look.
pub fn diverged(view: &View<'_>, member: &str) -> Option<Finding> {
    if let Some(reason) = view.memory.diverged(member) {
        return Some(Finding::unproved(reason));
    }
    let primary = view.primary_facts()?;
    if let Some(facts) = view.facts(member).filter(|facts| facts.in_recovery)
        && facts.timeline == primary.timeline
        && !facts.history.is_empty()
        && !primary.history.is_empty()
        && facts.history != primary.history
    {
        let left = |history: &[(u32, Lsn)]| history.last().map_or_else(String::new, |(_, lsn)| lsn.to_string());
        return Some(Finding::unproved(format!(
            "its timeline {} is another one than the primary's of that number: it began at {}, and the primary's at {}",
            facts.timeline,
            left(&facts.history),
            left(&primary.history)
        )));
    }
    let places = view.observed.fits.get(member)?;
    let (place, _) = places.iter().find(|(_, fits)| !**fits)?;
    Some(Finding::unproved(format!(
        "a record of its log ends at {place}, and none of the primary's log does: it holds what the primary never had"
    )))
}

/// Gives a replica that does not have the primary's history a new volume. What is known now may not be seen again, so it is
/// remembered while others are seeded first.
pub fn set_aside(view: &View<'_>, member: &str, finding: &Finding, plan: &mut Plan<Change>) {
    reseed::decide(view, member, finding, plan);
    let is_decided = plan
        .actions()
        .any(|action| matches!(&action.op, Op::Remember(Change::Reseed(decision)) if decision.member == member));
    if !is_decided && view.memory.diverged(member).is_none() {
        let change = HistoryChange::Diverged {
            member: member.to_owned(),
            reason: finding.reason.clone(),
        };
        plan.step(remember(member, change, finding.reason.clone()));
    }
}

/// When a replica that does not have the primary's history is promoted by force, nobody knows any more who has its own.
pub fn beside(view: &View<'_>, target: &str) -> Vec<Step> {
    if diverged(view, target).is_none() {
        return Vec::new();
    }
    let reason = format!("{target} takes over, which has another history");
    let others = suspects(view).filter(|member| member != target);
    let steps = others.map(|member| {
        let change = HistoryChange::Diverged {
            member: member.clone(),
            reason: reason.clone(),
        };
        Action::new(&member, Op::Remember(Change::History(change)), reason.clone())
    });
    steps.collect()
}

/// A length of time, such as `12 min`.
fn span(secs: i64) -> String {
    match secs.max(0) {
        secs @ 0..120 => format!("{secs} s"),
        secs @ 120..7_200 => format!("{} min", secs / 60),
        secs @ 7_200..172_800 => format!("{} h", secs / 3_600),
        secs => format!("{} days", secs / 86_400),
    }
}
