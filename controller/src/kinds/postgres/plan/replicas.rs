//! Keeps the replicas: seeds the missing, restarts the dead, re-seeds those that cannot follow any more.

use std::time::Duration;

use super::super::conf;
use super::super::desired::Role;
use super::super::memory::Change;
use super::super::observe;
use super::keep;
use super::rejoin::{self, Verdict};
use super::view::View;
use crate::model::container::{ContainerObserved, RunState};
use crate::model::plan::{Action, EngineOp, Op, Plan};
use crate::model::postgres::{PgFacts, SqlOp};

/// How long a replica may be without a stream before it is looked into, in seconds: reconnecting takes a few.
const PATIENCE_SECS: i64 = 3;
/// How long a replica may be without a stream and without a known reason before its files are delivered anew, in seconds.
const NUDGE_SECS: i64 = 20;

/// Keeps all replicas. One member's trouble never keeps the others waiting.
pub fn keep(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) {
    for member in view.replicas() {
        match view.container(&member) {
            None => seed_or_make(view, primary, &member, plan),
            Some(container) => one(view, primary, &member, container, plan),
        }
    }
}

fn seed_or_make(view: &View<'_>, primary: &str, member: &str, plan: &mut Plan<Change>) {
    let has_volume = view.volume(member).is_some();
    if has_volume && (view.runs(primary) || view.primary_facts().is_some()) {
        // Its volume cannot be looked into without a container: make one, and judge it in the next pass.
        return make_only(view, member, plan);
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
    keep::make(view, member, Role::Replica, plan);
}

fn make_only(view: &View<'_>, member: &str, plan: &mut Plan<Change>) {
    let Some(image) = super::foundation::image(view, plan) else {
        return;
    };
    if super::foundation::is_free(view, member, plan) && super::foundation::fits_volume(view, member, image, plan) {
        plan.step(view.create(member, image, "it is missing"));
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
        RunState::Running | RunState::Paused | RunState::Between => {
            keep::settle(view, member, Role::Replica, container, plan);
            if let Some(facts) = view.facts(member).filter(|_| !view.is_foreign(member)) {
                up(view, primary, member, facts, plan);
            }
        }
    }
}

fn down(view: &View<'_>, primary: &str, member: &str, container: &ContainerObserved, plan: &mut Plan<Change>) {
    // One that cannot start is waited for in vain: a standby that answers can be looked at, and be promoted.
    if !view.runs(primary) && !keep::is_lost(view, primary) && !keep::is_crash_looping(view, primary) {
        return plan.wait(member, format!("{primary}, the primary, starts first"));
    }
    if container.exit_code == keep::EXIT_DAMAGED && container.state == RunState::Exited {
        return reseed(view, member, "its data directory is damaged", false, plan);
    }
    match rejoin::stopped(view, member) {
        Verdict::Follow => keep::settle(view, member, Role::Replica, container, plan),
        Verdict::Reseed { reason, proved_copy } => reseed(view, member, &reason, proved_copy, plan),
        Verdict::Wait(reason) => {
            plan.wait(member, reason);
            plan.again_in(Duration::from_millis(200));
        }
    }
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

/// A member that accepts writes beside the recorded primary, which does too: it left the cluster. It is fenced, and
/// its volume is kept, because nobody else has what was written to it.
fn writable(view: &View<'_>, primary: &str, member: &str, container: &ContainerObserved, plan: &mut Plan<Change>) {
    let remember = Action::new(
        member,
        Op::Remember(reseeded(view, member, "it accepted writes of its own", false)),
        format!("it accepts writes although {primary} is the primary; its volume is kept"),
    );
    let fence = Action::engine(
        member,
        EngineOp::Stop {
            container: container.id.clone(),
            grace_secs: view.cluster.stop_grace_secs,
        },
        format!("two members must not accept writes, and {primary} is the primary"),
    );
    plan.chain(vec![remember, fence]);
}

fn up(view: &View<'_>, primary: &str, member: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    if facts.replay_paused {
        plan.block(
            member,
            "ReplayPaused",
            "somebody paused its replay; it goes on with `select pg_wal_replay_resume()`",
        );
    }
    if facts.receiver_streaming || view.primary_facts().is_none() {
        if view.memory.starts.contains_key(member) && view.replica_is_ready(member) {
            plan.step(Action::new(
                member,
                Op::Remember(Change::Works(member.to_owned())),
                "it streams",
            ));
        }
        return;
    }
    let silent_secs = view.lasts(&observe::not_streaming(member)).unwrap_or(0);
    plan.again_in(Duration::from_millis(50));
    if silent_secs < PATIENCE_SECS {
        return plan.wait(member, format!("it does not stream from {primary} yet"));
    }
    match rejoin::running(view, member, facts) {
        Verdict::Reseed { reason, proved_copy } => reseed(view, member, &reason, proved_copy, plan),
        Verdict::Wait(reason) => plan.wait(member, reason),
        Verdict::Follow if view.log(member).contains("password authentication failed") => {
            nudge(view, member, "the primary refuses its password", plan);
        }
        Verdict::Follow if silent_secs % NUDGE_SECS < PATIENCE_SECS && silent_secs >= NUDGE_SECS => {
            nudge(view, member, "no reason is known", plan);
        }
        Verdict::Follow => {
            plan.wait(member, format!("it has not streamed for {silent_secs} s"));
            plan.again_in(Duration::from_secs(1));
        }
    }
}

/// The secrets that a replica connects with are not read back, so after a while they are delivered again.
fn nudge(view: &View<'_>, member: &str, reason: &str, plan: &mut Plan<Change>) {
    let cause = format!("it does not stream and {reason}");
    let mut steps = vec![view.deliver(member, Role::Replica, cause.clone())];
    steps.extend(view.sql(member, SqlOp::Reload, cause));
    plan.chain(steps);
    plan.again_in(Duration::from_secs(PATIENCE_SECS.unsigned_abs()));
}

fn reseeded(view: &View<'_>, member: &str, reason: &str, proved_copy: bool) -> Change {
    Change::Reseed {
        member: member.to_owned(),
        volume: view.volume_name(member),
        reason: reason.to_owned(),
        proved_copy,
    }
}

/// Gives a member a new volume. The old one stays; what becomes of it is decided when the new one streams.
fn reseed(view: &View<'_>, member: &str, reason: &str, proved_copy: bool, plan: &mut Plan<Change>) {
    plan.step(Action::new(
        member,
        Op::Remember(reseeded(view, member, reason, proved_copy)),
        format!("it cannot follow the primary: {reason}"),
    ));
}
