//! Keeps the replicas: seeds the missing, restarts the dead, re-seeds those that cannot follow any more.

use std::time::Duration;

use super::super::conf;
use super::super::desired::Role;
use super::super::memory::{Change, Method};
use super::super::observe;
use super::damage;
use super::failover;
use super::history;
use super::keep;
use super::lag;
use super::rejoin::{self, Finding, Verdict};
use super::reseed;
use super::slots;
use super::stuck;
use super::view::View;
use crate::model::Seen;
use crate::model::container::{ContainerObserved, RunState};
use crate::model::plan::{Action, EngineOp, Op, Plan};
use crate::model::postgres::PgFacts;
use crate::model::status::bytes;

/// How long a replica may be without a stream before it is looked into, in seconds: reconnecting takes a few.
const PATIENCE_SECS: i64 = 3;
/// How long a replica may neither stream nor let the agent in, in seconds: longer than a slow start takes.
const SHUT_OUT_SECS: i64 = 60;

/// Keeps all replicas. One member's trouble never keeps the others waiting.
pub fn keep(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) {
    for member in view.replicas() {
        if let Some(step) = reseed::follow_rewind(view, &member) {
            plan.step(step);
            continue;
        }
        match view.container(&member) {
            None => seed_or_make(view, primary, &member, plan),
            Some(container) => one(view, primary, &member, container, plan),
        }
    }
}

fn seed_or_make(view: &View<'_>, primary: &str, member: &str, plan: &mut Plan<Change>) {
    let has_volume = view.volume(member).is_some();
    let is_beyond_help = failover::trouble(view, primary).is_some();
    if has_volume && (view.runs(primary) || view.primary_facts().is_some() || is_beyond_help) {
        // Its volume cannot be looked into without a container: make one, and judge it in the next pass.
        return keep::make_only(view, member, plan);
    }
    let Some(facts) = view.primary_facts() else {
        return plan.wait(
            member,
            format!("{primary} has to answer before a replica can be seeded"),
        );
    };
    if !facts.roles.contains_key(conf::REPLICATOR) {
        return plan.wait(
            member,
            format!(
                "role {} has to exist on {primary} before a replica can be seeded",
                conf::REPLICATOR
            ),
        );
    }
    if let Some(why) = slots::no_room(view, primary) {
        return plan.wait(member, format!("it is seeded when {why}"));
    }
    if facts
        .slots
        .get(&conf::slot_name(member))
        .is_none_or(|slot| slot.wal_status == "lost")
    {
        // The slot comes first: it holds the WAL that the base backup will need.
        return plan.wait(
            member,
            format!("its slot has to exist on {primary} before it is seeded"),
        );
    }
    let method = view.memory.reseed(member).map_or(Method::Clone, |state| state.method);
    if reseed::has_room(view, member, method, plan).is_some() {
        keep::make(view, member, Role::Replica, plan);
    }
}

fn one(view: &View<'_>, primary: &str, member: &str, container: &ContainerObserved, plan: &mut Plan<Change>) {
    if !view.has_current_volume(member, container) {
        return replace(view, primary, member, container, plan);
    }
    match container.state {
        RunState::Created | RunState::Exited => down(view, primary, member, container, plan),
        RunState::Running if view.facts(member).is_some_and(|f| !f.in_recovery) => {
            writable(view, primary, member, container, plan);
        }
        RunState::Running if view.rewind_source(member).is_some() => plan.wait(member, "its data is being rewound"),
        RunState::Running | RunState::Paused | RunState::Between => {
            if let Some(finding) = foreign(view, member) {
                return reseed::decide(view, member, &finding, plan);
            }
            if let Some(reason) = damage::answered(view, member) {
                return reseed::decide(view, member, &Finding::unproved(reason), plan);
            }
            let is_stray = || history::diverged(view, member);
            if let Some(finding) = rejoin::ahead(view, member).or_else(is_stray) {
                return history::set_aside(view, member, &finding, plan);
            }
            if fence_unseen(view, primary, member, container, plan) {
                return;
            }
            if let Some(finding) = stuck::never_whole(view, member) {
                return history::set_aside(view, member, &finding, plan);
            }
            if let Some(finding) = shut_out(view, member) {
                return reseed::decide(view, member, &finding, plan);
            }
            keep::settle(view, member, Role::Replica, container, plan);
            if let Some(facts) = view.facts(member).filter(|_| !view.is_foreign(member)) {
                up(view, primary, member, facts, plan);
            }
        }
    }
}

fn down(view: &View<'_>, primary: &str, member: &str, container: &ContainerObserved, plan: &mut Plan<Change>) {
    // Of a primary that cannot be brought back nothing is to be waited for, and one of the replicas has to take over.
    let is_wanted = failover::trouble(view, primary).is_some() || history::withheld(view, primary).is_some();
    if !view.runs(primary) && !is_wanted {
        return plan.wait(member, format!("{primary}, the primary, starts first"));
    }
    if let Some(finding) = foreign(view, member) {
        return reseed::decide(view, member, &finding, plan);
    }
    // Without anybody to copy from it is tried on: it may be all that is left.
    if let Some(reason) = damage::of(view, member, container).filter(|_| view.primary_facts().is_some()) {
        return reseed::decide(view, member, &Finding::unproved(reason), plan);
    }
    if let Some(finding) = history::diverged(view, member).filter(|_| view.primary_facts().is_some()) {
        return history::set_aside(view, member, &finding, plan);
    }
    match rejoin::stopped(view, member) {
        Verdict::Follow => {
            reseed::needs_human(view, member, plan);
            keep::settle(view, member, Role::Replica, container, plan);
        }
        Verdict::Reseed(finding) => reseed::decide(view, member, &finding, plan),
        Verdict::Wait(reason) => {
            plan.wait(member, reason);
            plan.again_in(Duration::from_millis(200));
        }
    }
}

/// Data of another cluster in a replica's volume, once the primary has confirmed which data is this cluster's. It is set
/// aside like any other data that nobody else has; what is in the primary's own volume is left to somebody to decide.
fn foreign(view: &View<'_>, member: &str) -> Option<Finding> {
    let found = view.identity(member).filter(|_| view.is_foreign(member))?;
    let ours = view.primary_facts()?.system_identifier;
    (found != ours).then(|| {
        Finding::unproved(format!(
            "its data has system identifier {found} and the cluster's is {ours}: it is another cluster's"
        ))
    })
}

/// A container with the volume that a re-seed replaced goes; the next pass seeds the new volume from the start, behind
/// the same conditions as any other.
fn replace(view: &View<'_>, primary: &str, member: &str, container: &ContainerObserved, plan: &mut Plan<Change>) {
    let accepts_writes = view.facts(member).is_some_and(|facts| !facts.in_recovery);
    if view.primary_facts().is_none() && !accepts_writes {
        return plan.wait(member, format!("it gets a new volume when {primary} answers"));
    }
    if container.state == RunState::Between {
        return plan.wait(member, "its container is between two states");
    }
    let retired = container.volumes.iter().find_map(|v| view.memory.retired.get(v));
    let cause = format!(
        "it gets a new volume: {}",
        retired.map_or("the old one was replaced", |r| r.reason.as_str())
    );
    plan.chain(keep::dismiss(view, member, container, &cause));
}

/// A member that SQL does not reach, and whose data was opened for writing: a former primary that was cut off when another
/// took over, or one that somebody promoted. Brought back as it is, clients would write to it. It goes down first, and is
/// judged by its control file.
fn fence_unseen(
    view: &View<'_>,
    primary: &str,
    member: &str,
    container: &ContainerObserved,
    plan: &mut Plan<Change>,
) -> bool {
    let is_cut_off = !container.networks.contains_key(&view.cluster.network_name());
    let is_shut = view.is_shut(member);
    let is_paused = container.state == RunState::Paused;
    if container.state == RunState::Between || !(is_cut_off || is_shut || is_paused) {
        return false;
    }
    let control = match view.control(member) {
        Seen::Known(control) => control,
        Seen::Absent => return false,
        Seen::Unknown(why) => {
            plan.wait(
                member,
                format!("whether it takes writes is not known, its control file cannot be read: {why}"),
            );
            return true;
        }
    };
    if control.state.is_standby() {
        return false;
    }
    // Who can be reached by nobody serves nobody, and nothing else can be told of it while it is.
    let is_idle = is_paused || is_cut_off;
    if view.primary_facts().is_none() && !(is_idle && failover::is_beyond_help(view, primary)) {
        plan.wait(
            member,
            format!("its data was opened for writing; {primary} has to answer first"),
        );
        return true;
    }
    let cause = match view.primary_facts() {
        Some(_) => format!("its data was opened for writing, and {primary} is the primary"),
        None => "its data was opened for writing, and what it was can be told only when it is down".to_owned(),
    };
    let signal = EngineOp::Signal {
        container: container.id.clone(),
        signal: "SIGKILL".to_owned(),
    };
    plan.step(match is_paused {
        // The engine delivers it with the thaw: between the two no client is served.
        true => Action::engine(member, signal, cause),
        false => keep::stop(view.cluster, member, cause),
    });
    true
}

/// A standby that lets nobody in gets the password with the stream. Without a stream it never does, and nobody can ask it
/// why it has none.
fn shut_out(view: &View<'_>, member: &str) -> Option<Finding> {
    let is_served = view.primary_facts()?.standbys.contains_key(member);
    let silent_secs = view.silent_for(member)?;
    let is_shut_standby = view.is_shut(member) && view.is_standby_on_disk(member);
    (is_shut_standby && !is_served && silent_secs >= SHUT_OUT_SECS).then(|| {
        Finding::unproved(format!(
            "it does not stream, and for {silent_secs} s no known password has opened it"
        ))
    })
}

/// A member that accepts writes beside the recorded primary, which does too: it left the cluster. It is fenced, and
/// its volume is kept, because nobody else has what was written to it.
fn writable(view: &View<'_>, primary: &str, member: &str, container: &ContainerObserved, plan: &mut Plan<Change>) {
    let fence = Action::engine(
        member,
        EngineOp::Stop {
            container: container.id.clone(),
            grace_secs: view.cluster.stop_grace_secs,
        },
        format!("two members must not accept writes, and {primary} is the primary"),
    );
    if reseed::under_way(view, member, plan).is_some() {
        // It stays down until its turn comes: its control file tells what it did.
        return plan.step(fence);
    }
    let timeline = view.facts(member).map(|facts| facts.timeline);
    let finding = Finding {
        has_branched: timeline != view.primary_facts().map(|facts| facts.timeline),
        ..Finding::unproved("it accepted writes of its own")
    };
    let choice = reseed::choose(view, member, &finding, None);
    let remember = Action::new(
        member,
        Op::Remember(reseed::change(view, member, &finding, choice.method)),
        format!(
            "it accepts writes although {primary} is the primary; its volume is kept{}",
            choice.words
        ),
    );
    plan.chain(vec![remember, fence]);
}

fn up(view: &View<'_>, primary: &str, member: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    if facts.replay_paused {
        if let Some((name, has, needs)) = stuck::lower_setting(view, member, facts) {
            return stuck::raise(
                view,
                member,
                &format!("{name} is {has} here and {needs} on the primary"),
                plan,
            );
        }
        plan.block(
            member,
            "ReplayPaused",
            "somebody paused its replay; it goes on with `select pg_wal_replay_resume()`",
        );
    }
    if facts.receiver_streaming || view.primary_facts().is_none() {
        let is_new = view.memory.starts.contains_key(member) || view.memory.reseed(member).is_some();
        let is_ready = view.replica_is_ready(member);
        if is_new && is_ready {
            let change = Change::Works(member.to_owned(), view.now);
            plan.step(Action::new(member, Op::Remember(change), "it streams"));
        } else if !facts.replay_paused {
            lag::watch(view, member, facts, plan);
        }
        if !is_ready && view.primary_facts().is_some() && !plan.touches(member) {
            // No event tells when it is.
            let lag = view
                .primary_facts()
                .map_or(0, |primary| primary.lsn.bytes_past(facts.lsn));
            plan.wait(member, format!("it streams, and is {} behind", bytes(lag)));
        }
        return;
    }
    let silent_secs = view.lasts(&observe::not_streaming(member)).unwrap_or(0);
    plan.again_in(Duration::from_millis(50));
    if silent_secs < PATIENCE_SECS {
        return plan.wait(member, format!("it does not stream from {primary} yet"));
    }
    match rejoin::running(view, member, facts) {
        Verdict::Reseed(finding) => reseed::decide(view, member, &finding, plan),
        Verdict::Wait(reason) => plan.wait(member, reason),
        Verdict::Follow if view.log(member).contains("password authentication failed") => {
            stuck::nudge(view, member, "the primary refuses its password", plan);
        }
        Verdict::Follow => stuck::unexplained(view, member, silent_secs, plan),
    }
}
