//! Replication slots: members' own, which the agent makes and drops; copies of logical ones on standbys; and those that
//! others made, which it leaves alone and shows.

use std::collections::BTreeSet;

use super::super::capacity;
use super::super::conf::{self, value};
use super::super::memory::Change;
use super::rollout;
use super::view::{Step, View};
use crate::model::container::RunState;
use crate::model::plan::{Action, Op, Plan};
use crate::model::postgres::{LogicalSlot, PgFacts, SqlOp};

/// The first version that copies logical slots to standbys, as `server_version_num`.
const SYNCS_FROM: u32 = 170_000;
/// The parameter by which the manifest asks for copies of logical slots, or for none.
const ASKS: &str = "sync_replication_slots";

/// Keeps the slots of all members.
pub fn keep(view: &View<'_>, primary: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    let replicas = view.replicas();
    if let Some(own) = note(view) {
        // Before they are made: somebody may edit the manifest while the agent is down.
        plan.step(own);
        return;
    }
    for replica in &replicas {
        make(view, primary, facts, replica, plan);
    }
    renew_lost(view, primary, facts, &replicas, plan);
    drop_unused(view, primary, facts, &replicas, plan);
    for replica in &replicas {
        if let Some(facts) = view.facts(replica).filter(|f| f.in_recovery) {
            drop_unused(view, replica, facts, &[], plan);
        }
    }
    forget(view, facts, plan);
    sync(view, primary, facts, plan);
    drop_stale_copies(view, facts, plan);
}

fn make(view: &View<'_>, primary: &str, facts: &PgFacts, replica: &str, plan: &mut Plan<Change>) {
    let slot = conf::slot_name(replica);
    if facts.slots.contains_key(&slot) {
        return;
    }
    if facts.logical.contains_key(&slot) {
        let why =
            format!("a logical slot is called {slot}, which is the name of the one that {replica} needs; drop it");
        return plan.block(replica, "SlotNameTaken", why);
    }
    if !has_room(facts) {
        let why = format!("its slot has to exist first, and all of {primary} are taken (max_replication_slots)");
        return plan.wait(replica, why);
    }
    let cause = format!("{replica} has none, and the WAL that it needs could be recycled");
    plan.chain(view.sql(primary, SqlOp::CreateSlot(slot), cause).into_iter().collect());
}

/// Whether one more slot can be made.
fn has_room(facts: &PgFacts) -> bool {
    let taken = i64::try_from(facts.slots.len() + facts.logical.len()).unwrap_or(i64::MAX);
    facts
        .standby_floor
        .get(capacity::SLOTS)
        .is_none_or(|most| taken < *most)
}

/// What has to happen before all wanted replicas can stream, where the primary's limits are too small for that.
pub fn no_room(view: &View<'_>, primary: &str) -> Option<String> {
    let replicas = view.cluster.spec.replicas;
    let running = |name: &str| view.primary_facts()?.standby_floor.get(name).copied();
    let needs = [
        (capacity::SENDERS, capacity::least_senders(replicas)),
        (capacity::SLOTS, capacity::slots_to_name(replicas)),
    ];
    let short = needs
        .iter()
        .find(|(name, needed)| running(name).is_some_and(|has| has < *needed));
    short.map(|(name, needed)| {
        let has = running(name).unwrap_or_default();
        format!("{primary} has restarted: its {name} is {has}, and {replicas} replicas need {needed}")
    })
}

/// Whether a replica cannot begin before the primary has restarted with larger limits: that must not wait for it.
pub fn waits_for_room(view: &View<'_>, replica: &str) -> bool {
    let has_begun = view.container(replica).is_some_and(|container| {
        let runs = !matches!(container.state, RunState::Created | RunState::Exited);
        runs || !view.control(replica).is_absent()
    });
    !has_begun && view.primary().is_some_and(|primary| no_room(view, primary).is_some())
}

/// A lost slot holds no WAL ever again. While the replica's volume is there it is the sign that the replica cannot go on;
/// once the volume is given up, the next seed needs a good one. One that was given up for being idle has lost nothing by
/// that: a new one holds what is still there, and whether that is enough its replica says.
fn renew_lost(view: &View<'_>, primary: &str, facts: &PgFacts, replicas: &[String], plan: &mut Plan<Change>) {
    for replica in replicas {
        let slot = conf::slot_name(replica);
        let Some(state) = facts.slots.get(&slot).filter(|s| s.wal_status == "lost" && !s.active) else {
            continue;
        };
        let is_made = view.container(replica).is_some() || view.volume(replica).is_some();
        let cause = if state.is_idle() {
            "it was given up because nobody used it for long (idle_replication_slot_timeout)".to_owned()
        } else if !is_made || view.control(replica).is_absent() {
            format!("it lost the WAL that it held, and {replica} is to be seeded anew")
        } else {
            continue;
        };
        let drop = view.sql(primary, SqlOp::DropSlot(slot.clone()), cause.clone());
        let create = view.sql(primary, SqlOp::CreateSlot(slot), cause);
        plan.chain(drop.into_iter().chain(create).collect());
    }
}

/// Whose slots are the agent's own is remembered.
fn note(view: &View<'_>) -> Option<Step> {
    let members = view.members().into_iter();
    let new: BTreeSet<String> = members
        .filter(|member| !view.memory.slots_of.contains(member))
        .collect();
    let change = Op::Remember(Change::SlotsOf(new.clone()));
    let cause = "slots that others make are told from them by that, whatever they are called";
    (!new.is_empty()).then(|| Action::new(&view.cluster.name, change, cause))
}

/// The slots that the agent makes: of the members that are, and of those that are remembered. A name of the same form proves
/// nothing: others may call theirs `replica_7`.
pub fn own(view: &View<'_>) -> BTreeSet<String> {
    let members = view.members().into_iter();
    let all = members.chain(view.memory.slots_of.iter().cloned());
    all.map(|member| conf::slot_name(&member)).collect()
}

/// Slots of ours that nobody uses any more hold WAL for ever. Others belong to somebody else.
fn drop_unused(view: &View<'_>, member: &str, facts: &PgFacts, wanted: &[String], plan: &mut Plan<Change>) {
    let wanted: Vec<String> = wanted.iter().map(|m| conf::slot_name(m)).collect();
    let own = own(view);
    for (slot, state) in &facts.slots {
        if own.contains(slot) && !wanted.contains(slot) && !state.active {
            let op = SqlOp::DropSlot(slot.clone());
            let cause = "no replica uses it, and it would hold WAL for ever";
            plan.chain(view.sql(member, op, cause).into_iter().collect());
        }
    }
}

/// A member that left is remembered until nobody has its slot any more.
fn forget(view: &View<'_>, facts: &PgFacts, plan: &mut Plan<Change>) {
    let (members, replicas) = (view.members(), view.replicas());
    let all: Option<Vec<&PgFacts>> = replicas.iter().map(|replica| view.facts(replica)).collect();
    let Some(all) = all else {
        return;
    };
    let is_gone = |member: &&String| {
        let slot = conf::slot_name(member);
        let mut servers = all.iter().copied().chain([facts]);
        let has_slot = servers.any(|facts| facts.slots.contains_key(&slot));
        !members.contains(member) && view.container(member).is_none() && !has_slot
    };
    for member in view.memory.slots_of.iter().filter(is_gone) {
        let change = Op::Remember(Change::NoSlotOf(member.clone()));
        plan.step(Action::new(&view.cluster.name, change, "it left, and so did its slots"));
    }
}

/// What the manifest says about copies of logical slots, if it says anything.
fn asked(view: &View<'_>) -> Option<bool> {
    let given = conf::given(&view.cluster.spec.parameters, ASKS)?;
    value::parse_bool(&value::literal(given))
}

/// Copies are made as soon as a slot is there that asks for it: `failover => true` is the user's word. Without one nothing of
/// it is configured, because it costs: standbys' queries keep the primary from cleaning up (`hot_standby_feedback`).
fn sync(view: &View<'_>, primary: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    let is_able = facts.version >= SYNCS_FROM;
    let has_any = facts.logical.values().any(|slot| slot.failover && !slot.temporary);
    // Only the process that makes copies removes them.
    let replicas = view.replicas();
    let copies = replicas.iter().filter_map(|replica| view.facts(replica));
    let has_copies = copies.flat_map(|facts| facts.logical.values()).any(|slot| slot.synced);
    let is_wanted = is_able && asked(view).unwrap_or(has_any || has_copies);
    if is_wanted != view.memory.syncs_slots {
        let cause = match is_wanted {
            true => "a logical slot is to outlast a change of the primary",
            false => "no logical slot asks for copies",
        };
        let change = Op::Remember(Change::SyncSlots(is_wanted));
        plan.step(Action::new(primary, change, cause));
    }
}

/// The physical slots that logical receivers must not get ahead of: those of the replicas that stream. A member that is about
/// to stop is left out before it does, because nobody is sent anything that a slot in the list does not have.
pub fn standby_slots(view: &View<'_>, primary: &str) -> Vec<String> {
    let Some(facts) = view.facts(primary).filter(|facts| !facts.in_recovery) else {
        return Vec::new();
    };
    let leaving = rollout::due(view);
    let mut replicas = view.replicas();
    replicas.retain(|replica| {
        let streams = facts.standbys.get(replica).is_some_and(|s| s.state == "streaming");
        let stays = leaving.as_ref() != Some(replica) && view.runs(replica);
        let has_slot = facts.slots.get(&conf::slot_name(replica)).is_some_and(|s| s.active);
        streams && stays && has_slot
    });
    replicas.iter().map(|replica| conf::slot_name(replica)).collect()
}

/// Why a member that is to be stopped has to wait: logical receivers would wait for it.
pub fn holds(view: &View<'_>, member: &str) -> Option<String> {
    let primary = view.primary()?;
    let facts = view.primary_facts()?;
    let slot = conf::slot_name(member);
    let is_listed = facts.standby_slots.contains(&slot);
    let leaves = !standby_slots(view, primary).contains(&slot);
    (view.memory.syncs_slots && is_listed && leaves)
        .then(|| "logical receivers stop waiting for it first (synchronized_standby_slots)".to_owned())
}

/// A former primary's own slots are in the way of the copies that it is to have: the one of that name moved with the role.
fn drop_stale_copies(view: &View<'_>, facts: &PgFacts, plan: &mut Plan<Change>) {
    if !view.memory.syncs_slots {
        return;
    }
    for replica in view.replicas() {
        let standby = view.facts(&replica).filter(|facts| facts.in_recovery);
        let slots = standby.into_iter().flat_map(|standby| &standby.logical);
        for (name, slot) in slots {
            let is_left = slot.failover && !slot.synced && !slot.active && !slot.temporary;
            let has_moved = facts.logical.get(name).is_some_and(|theirs| theirs.failover);
            if is_left && has_moved {
                let op = SqlOp::DropSlot(name.clone());
                let cause = "it is left of when it was the primary's, holds WAL, and keeps a copy from being made";
                plan.chain(view.sql(&replica, op, cause).into_iter().collect());
            }
        }
    }
}

/// Why a logical slot of the primary would not be of use on `target`, if so.
pub fn lack(view: &View<'_>, main: &PgFacts, target: &str, name: &str, slot: &LogicalSlot) -> Option<String> {
    if main.version < SYNCS_FROM {
        return Some(format!(
            "{name}: PostgreSQL {} does not copy logical slots to standbys",
            main.version / 10_000
        ));
    }
    if !slot.failover {
        return Some(format!("{name}: it was not made with `failover`, so no standby has it"));
    }
    let facts = view.facts(target)?;
    let Some(copy) = facts.logical.get(name) else {
        return Some(format!("{name}: {target} has no copy of it yet"));
    };
    if !copy.synced {
        return Some(format!("{name}: what {target} has of that name is no copy of it"));
    }
    if copy.temporary {
        return Some(format!("{name}: its copy on {target} is not whole yet"));
    }
    if !copy.invalidation.is_empty() {
        return Some(format!(
            "{name}: its copy on {target} is of no use any more ({})",
            copy.invalidation
        ));
    }
    let (_, reach) = facts.reach();
    // Who streams gets the rest before the primary has stopped, and was asked a moment before the primary was.
    (slot.confirmed_lsn > reach && !facts.receiver_streaming).then(|| {
        format!(
            "{name}: its receiver has confirmed up to {}, and {target} has received up to {reach}",
            slot.confirmed_lsn
        )
    })
}

/// The logical slots that a promotion of `target` breaks, with why. Who uses a temporary one loses it with its session.
pub fn broken(view: &View<'_>, main: &PgFacts, target: &str) -> Vec<String> {
    let lasting = main.logical.iter().filter(|(_, slot)| slot.is_whole());
    lasting
        .filter_map(|(name, slot)| lack(view, main, target, name, slot))
        .collect()
}

/// Logical slots on replicas that nobody moves on, and what to do about them.
pub fn left_behind(view: &View<'_>) -> Option<String> {
    let replicas = view.replicas();
    let found = replicas.iter().flat_map(|replica| {
        let standby = view.facts(replica).filter(|facts| facts.in_recovery);
        let slots = standby.into_iter().flat_map(|standby| &standby.logical);
        let stale = slots.filter(|(_, slot)| !slot.synced && !slot.active && !slot.temporary);
        stale.map(move |(name, slot)| {
            format!(
                "{replica} has logical slot {name} of database {}, which nobody uses and which holds {} MiB of WAL; if it is \
                 of no use any more: `reconciler psql {replica} -- -c \"select pg_drop_replication_slot('{name}')\"`",
                slot.database,
                slot.held_bytes >> 20
            )
        })
    });
    let found: Vec<String> = found.collect();
    (!found.is_empty()).then(|| found.join("; "))
}
