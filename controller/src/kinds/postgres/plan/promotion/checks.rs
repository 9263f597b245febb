//! What has to hold before a promotion: all of it is looked at, and all of it is reported at once.

use super::super::super::super::Check;
use super::super::super::conf;
use super::super::history;
use super::super::own;
use super::super::position;
use super::super::slots;
use super::super::sync;
use super::super::view::View;
use super::{receivers, strays};
use crate::model::postgres::PgFacts;

pub(super) fn check(name: &str, holds: bool, found: impl Into<String>) -> Check {
    Check {
        name: name.to_owned(),
        holds,
        found: found.into(),
        forceable: false,
    }
}

/// All preconditions of promoting `target`, with what was found.
pub fn checks(view: &View<'_>, target: &str) -> Vec<Check> {
    let primary = view.primary().unwrap_or("");
    let mut checks = vec![membership(view, primary, target)];
    let main = view.primary_facts();
    checks.push(
        match main {
            Some(facts) => check("the primary answers", true, format!("{primary} is at {}", facts.lsn)),
            None => check(
                "the primary answers",
                false,
                format!("{}; writes that only it has would be lost", unanswered(view, primary)),
            ),
        }
        .or_force(),
    );
    let Some(facts) = view.facts(target) else {
        checks.push(check("the target answers", false, unanswered(view, target)));
        return checks;
    };
    checks.push(check(
        "the target answers",
        true,
        format!("{target} is at {}", facts.lsn),
    ));
    checks.push(check(
        "the target is a replica",
        facts.in_recovery,
        if facts.in_recovery {
            "it is in recovery"
        } else {
            "it accepts writes"
        },
    ));
    checks.push(identity(view, facts));
    checks.push(volume(view, target));
    checks.push(history(view, target));
    checks.push(single_primary(view, primary));
    checks.extend(nobody_beside(view, primary));
    checks.push(no_stray(view, target, main.unwrap_or(facts)));
    checks.push(settings(view, facts));
    match main {
        Some(main) => checks.extend(following(view, target, facts, main)),
        None => {
            checks.push(known_lag(view, primary, facts));
            checks.extend(ahead(view, target, facts));
            checks.extend(acknowledged(view, target));
        }
    }
    checks
}

/// How it is that a member says nothing of itself.
fn unanswered(view: &View<'_>, member: &str) -> String {
    match view.error(member) {
        Some(why) => format!("{member} cannot be asked: {why}"),
        None => format!("{member} does not"),
    }
}

/// Of a primary that does not answer it is known how far it had come, if it was ever seen.
fn known_lag(view: &View<'_>, primary: &str, facts: &PgFacts) -> Check {
    let name = "its lag behind what is known of the primary is within spec.replication.maxLag";
    let limit = view.cluster.max_lag_bytes;
    let known = position::newest(view, primary);
    match known.and_then(|known| Some((known, known.lag_of(facts)?))) {
        Some((known, bytes)) => {
            let slack = match known.slack {
                0 => String::new(),
                slack => format!(", and up to {slack} more"),
            };
            let found = format!("{bytes} of {limit} bytes behind {}{slack}", known.lsn);
            check(name, bytes.saturating_add(known.slack) <= limit, found)
        }
        None => check(
            name,
            false,
            "how far the primary had come on this timeline is not known",
        ),
    }
    .or_force()
}

/// What another replica has beyond the target is fetched from there first, but that may fail.
fn ahead(view: &View<'_>, target: &str, facts: &PgFacts) -> Option<Check> {
    let others = view.replicas().into_iter().filter(|member| member != target);
    let known = others.filter_map(|member| Some((view.facts(&member)?.reach(), member)));
    let ((_, lsn), member) = known.filter(|(theirs, _)| *theirs > facts.reach()).max()?;
    let found = format!("{member} has received up to {lsn}, {target} up to {}", facts.reach().1);
    Some(check("no other replica has more", false, found).or_force())
}

/// Without a clean stop of the primary, the replicas have to prove that the target has what commits waited for.
fn acknowledged(view: &View<'_>, target: &str) -> Option<Check> {
    let name = "every acknowledged synchronous write is on the target";
    let promises = sync::is_wanted(view) || view.memory.sync.promised;
    promises.then(|| match sync::quorum(view, target) {
        Ok(()) if view.memory.sync.promised => check(name, true, "its log reaches far enough").or_force(),
        Ok(()) => check(name, true, "none was promised yet").or_force(),
        Err(lack) => check(name, false, lack.why).or_force(),
    })
}

fn membership(view: &View<'_>, primary: &str, target: &str) -> Check {
    let members = view.members();
    let name = "the target is a replica of this cluster";
    if target == primary {
        return check(name, false, format!("{target} is the primary already"));
    }
    let is_member = members.iter().any(|m| m == target);
    let found = if is_member {
        "it is".to_owned()
    } else {
        format!("the members are {}", members.join(", "))
    };
    check(name, is_member, found)
}

fn identity(view: &View<'_>, facts: &PgFacts) -> Check {
    let known = view.memory.system_identifier;
    let same = known.is_none_or(|id| id == facts.system_identifier);
    check(
        "the target's data is this cluster's",
        same,
        format!("system identifier {}", facts.system_identifier),
    )
}

/// Its record already names a new volume: as the primary it would be made anew with that one, which is empty.
fn volume(view: &View<'_>, target: &str) -> Check {
    let name = "the target is not about to be seeded anew";
    match view.container(target) {
        Some(container) if !view.has_current_volume(target, container) => check(
            name,
            false,
            format!("its volume was given up for {}", view.volume_name(target)),
        ),
        _ => check(name, true, view.volume_name(target)),
    }
}

/// Numbers agree although contents do not, where one of the two was put back to an older copy.
fn history(view: &View<'_>, target: &str) -> Check {
    let found = history::diverged(view, target);
    let told = found
        .as_ref()
        .map_or("nothing speaks against it", |found| &found.reason);
    check("the target has the primary's history", found.is_none(), told).or_force()
}

fn single_primary(view: &View<'_>, primary: &str) -> Check {
    let others: Vec<&str> = view
        .observed
        .members
        .keys()
        .map(String::as_str)
        .filter(|m| *m != primary && view.facts(m).is_some_and(|f| !f.in_recovery))
        .collect();
    let found = if others.is_empty() {
        "no other member accepts writes".to_owned()
    } else {
        format!("{} accept writes too", others.join(", "))
    };
    check("there is a single primary", others.is_empty(), found)
}

/// Somebody else on the primary's volume would go on when it is down. While it runs this is looked at once in a while only,
/// and always between its stop and the promotion.
fn nobody_beside(view: &View<'_>, primary: &str) -> Option<Check> {
    let found = own::intruder(view, primary).filter(|_| view.observed.objects.holders.known().is_some())?;
    Some(check("nobody else has the primary's volume", false, found))
}

/// By force they get new volumes instead.
fn no_stray(view: &View<'_>, target: &str, main: &PgFacts) -> Check {
    let strays = strays::beyond(view, target, main.timeline);
    let told: Vec<String> = strays
        .iter()
        .map(|(member, timeline)| format!("{member} is on {timeline}"))
        .collect();
    let found = if told.is_empty() {
        format!("none is beyond {}", main.timeline)
    } else {
        told.join(", ")
    };
    check("no other replica is on a timeline of its own", strays.is_empty(), found).or_force()
}

fn settings(view: &View<'_>, facts: &PgFacts) -> Check {
    let needed = i64::from(view.cluster.spec.replicas);
    let senders = facts.standby_floor.get("max_wal_senders").copied().unwrap_or(needed);
    check(
        "the target has a WAL sender for every replica",
        senders >= needed,
        format!("max_wal_senders is {senders}, replicas are {needed}"),
    )
}

/// A slot that does not move with the role is lost, and with it the place that its receiver had come to.
fn logical(view: &View<'_>, target: &str, main: &PgFacts) -> Check {
    let broken = slots::broken(view, main, target);
    let found = match (broken.is_empty(), main.logical.len()) {
        (false, _) => broken.join("; "),
        (true, 0) => "the primary has none".to_owned(),
        (true, _) => format!("{target} has copies of all that last"),
    };
    check(
        "every logical slot of the primary outlasts it",
        broken.is_empty(),
        found,
    )
    .or_force()
}

fn following(view: &View<'_>, target: &str, facts: &PgFacts, main: &PgFacts) -> Vec<Check> {
    let limit = view.cluster.max_lag_bytes;
    let standby = main.standbys.get(target);
    let streams = standby.is_some_and(|s| s.state == "streaming");
    let state = standby.map_or("not connected", |s| s.state.as_str());
    let replay_lag = main.lsn.bytes_past(facts.lsn);
    let receive_lag = main.lsn.bytes_past(facts.receive_lsn.max(facts.lsn));
    let seeding: Vec<&str> = main.base_backups.keys().map(String::as_str).collect();
    vec![
        check("the target streams", streams, state).or_force(),
        check(
            "the target is on the primary's timeline",
            facts.timeline == main.timeline,
            format!("{} and {}", facts.timeline, main.timeline),
        ),
        check(
            "its receive lag is within spec.replication.maxLag",
            receive_lag <= limit,
            format!("{receive_lag} of {limit} bytes"),
        )
        .or_force(),
        check(
            "its replay lag is within spec.replication.maxLag",
            replay_lag <= limit,
            format!("{replay_lag} of {limit} bytes"),
        )
        .or_force(),
        check(
            "its replay is not paused",
            !facts.replay_paused,
            if facts.replay_paused { "it is paused" } else { "it runs" },
        ),
        check(
            "no replica is being seeded",
            seeding.is_empty(),
            if seeding.is_empty() {
                "none is".to_owned()
            } else {
                format!("{} is", seeding.join(", "))
            },
        )
        .or_force(),
        check(
            "the target's slot exists",
            main.slots.contains_key(&conf::slot_name(target)),
            conf::slot_name(target),
        )
        .or_force(),
        logical(view, target, main),
        receivers::precondition(view, target, main),
    ]
}
