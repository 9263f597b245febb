//! Replication slots: members' own, copies of logical ones, and those that are somebody else's.

use super::world::{World, slot};
use crate::kinds::Request;
use crate::kinds::postgres::memory::Change;
use crate::kinds::postgres::request;
use crate::model::Lsn;
use crate::model::postgres::LogicalSlot;

fn logical(failover: bool) -> LogicalSlot {
    LogicalSlot {
        plugin: "pgoutput".to_owned(),
        database: "shop".to_owned(),
        failover,
        confirmed_lsn: Lsn(0x400),
        ..LogicalSlot::default()
    }
}

fn copy() -> LogicalSlot {
    LogicalSlot {
        synced: true,
        ..logical(true)
    }
}

/// A cluster whose primary has a logical slot that is to have copies, and whose replicas keep them.
fn syncing() -> World {
    let mut world = World::new(2).healthy().remember(|memory| memory.syncs_slots = true);
    world = world.facts("master", |facts| {
        facts.logical.insert("sub".to_owned(), logical(true));
        facts.standby_slots = vec!["replica_1".to_owned(), "replica_2".to_owned()];
    });
    for replica in ["replica-1", "replica-2"] {
        world = world.facts(replica, |facts| {
            facts.logical.insert("sub".to_owned(), copy());
        });
    }
    world.refresh()
}

/// What a dry run says of logical slots, and whether it holds.
fn dry_run(world: &World) -> (bool, String, String) {
    let ask = Request::Promote {
        member: "replica-1".to_owned(),
        force: false,
        dry_run: true,
    };
    let reply = request::answer(&world.view(), &ask);
    let check = reply.checks.iter().find(|check| check.name.contains("logical slot"));
    let check = check.expect("it is looked at");
    (check.holds && reply.accepted, check.found.clone(), reply.message)
}

#[test]
fn a_slot_that_somebody_else_made_is_left_alone_whatever_it_is_called() {
    let foreign = |world: World| {
        world.facts("master", |facts| {
            facts.slots.insert("replica_7".to_owned(), slot("reserved", false));
        })
    };
    insta::assert_snapshot!(foreign(World::new(2).healthy()).plan(), @"nothing to do");
    let forgotten = foreign(World::new(2).healthy()).remember(|memory| memory.slots_of.clear());
    insta::assert_snapshot!(forgotten.plan(), @"pg: remember that the slots of master, replica-1, replica-2 are the agent's own, because slots that others make are told from them by that, whatever they are called");
    let left = foreign(World::new(2).healthy())
        .remember(|memory| memory.apply(&Change::SlotsOf(["replica-7".to_owned()].into())));
    insta::assert_snapshot!(left.plan(), @"master: drop replication slot replica_7, because no replica uses it, and it would hold WAL for ever");
    let gone = World::new(2)
        .healthy()
        .remember(|memory| memory.apply(&Change::SlotsOf(["replica-7".to_owned()].into())));
    insta::assert_snapshot!(gone.plan(), @"pg: remember that no slot is left of replica-7, because it left, and so did its slots");
}

#[test]
fn copies_are_made_when_a_slot_asks_for_them_and_not_before() {
    let asks = |failover: bool, version: u32| {
        World::new(1).healthy().facts("master", |facts| {
            facts.version = version;
            facts.logical.insert("sub".to_owned(), logical(failover));
        })
    };
    insta::assert_snapshot!(asks(false, 170_005).plan(), @"nothing to do");
    insta::assert_snapshot!(asks(true, 160_002).plan(), @"nothing to do");
    insta::assert_snapshot!(asks(true, 170_005).plan(), @"master: remember that replicas keep copies of logical slots, because a logical slot is to outlast a change of the primary");
    let forbidden = asks(true, 170_005)
        .parameter("sync_replication_slots", "off")
        .accepted()
        .refresh();
    insta::assert_snapshot!(forbidden.plan(), @"nothing to do");
    insta::assert_snapshot!(syncing().plan(), @"nothing to do");
    let dropped = syncing().facts("master", |facts| facts.logical.clear());
    insta::assert_snapshot!(dropped.plan(), @"nothing to do");
    let all = dropped
        .facts("replica-1", |facts| facts.logical.clear())
        .facts("replica-2", |facts| facts.logical.clear());
    insta::assert_snapshot!(all.plan(), @"master: remember that replicas keep no copies of logical slots, because no logical slot asks for copies");
}

#[test]
fn logical_receivers_wait_for_replicas_that_run_and_for_no_other() {
    let files = |world: &World, member: &str, role| {
        let files = world.view().files(member, role);
        files
            .into_iter()
            .find(|file| file.name == "postgresql.conf")
            .expect("it is delivered")
            .text
    };
    use crate::kinds::postgres::desired::Role;
    let primary = files(&syncing(), "master", Role::Primary);
    assert!(
        primary.contains("synchronized_standby_slots = 'replica_1,replica_2'"),
        "{primary}"
    );
    let replica = files(&syncing(), "replica-1", Role::Replica);
    for line in [
        "sync_replication_slots = 'on'",
        "hot_standby_feedback = 'on'",
        "dbname=postgres'",
    ] {
        assert!(replica.contains(line), "{line}: {replica}");
    }
    assert!(replica.contains("synchronized_standby_slots = ''"), "{replica}");
    // A replica that is to stop is left out, and stops afterwards.
    let due = syncing().remember(|memory| {
        memory.restarts.insert("replica-2".to_owned(), super::world::NOW + 1);
    });
    let plan = due.plan();
    assert!(
        plan.contains("master: deliver") && !plan.contains("replica-2: stop"),
        "{plan}"
    );
    let left_out = due.facts("master", |facts| facts.standby_slots.truncate(1)).refresh();
    assert!(left_out.plan().contains("replica-2: stop"), "{}", left_out.plan());
    let dead = syncing().kill("replica-2");
    assert!(files(&dead, "master", Role::Primary).contains("synchronized_standby_slots = 'replica_1'"));
}

#[test]
fn what_a_promotion_breaks_is_said_before() {
    assert_eq!(dry_run(&World::new(2).healthy()).1, "the primary has none");
    let (holds, found, _) = dry_run(&syncing());
    assert!(holds);
    assert_eq!(found, "replica-1 has copies of all that last");
    let copied = |change: fn(&mut LogicalSlot)| {
        let world = syncing().facts("replica-1", |facts| facts.logical.values_mut().for_each(change));
        let (holds, found, message) = dry_run(&world);
        assert!(!holds && message.contains("--force"), "{message}");
        found
    };
    insta::assert_snapshot!(copied(|slot| slot.temporary = true), @"sub: its copy on replica-1 is not whole yet");
    insta::assert_snapshot!(copied(|slot| slot.synced = false), @"sub: what replica-1 has of that name is no copy of it");
    insta::assert_snapshot!(copied(|slot| slot.invalidation = "wal_removed".to_owned()), @"sub: its copy on replica-1 is of no use any more (wal_removed)");
    let of_primary = |change: fn(&mut crate::model::postgres::PgFacts)| dry_run(&syncing().facts("master", change)).1;
    insta::assert_snapshot!(of_primary(|facts| facts.version = 160_002), @"sub: PostgreSQL 16 does not copy logical slots to standbys");
    insta::assert_snapshot!(of_primary(|facts| facts.logical.values_mut().for_each(|slot| slot.failover = false)), @"sub: it was not made with `failover`, so no standby has it");
    let ahead = syncing().facts("master", |facts| {
        facts
            .logical
            .values_mut()
            .for_each(|slot| slot.confirmed_lsn = Lsn(0x501));
    });
    assert!(dry_run(&ahead).0, "it gets the rest before the primary has stopped");
    let ahead = ahead.facts("replica-1", |facts| facts.receiver_streaming = false);
    insta::assert_snapshot!(dry_run(&ahead).1, @"sub: its receiver has confirmed up to 0/501, and replica-1 has received up to 0/500");
    assert_eq!(
        of_primary(|facts| facts.logical.values_mut().for_each(|slot| slot.temporary = true)),
        "replica-1 has copies of all that last"
    );
}

#[test]
fn what_a_former_primary_keeps_as_its_own_makes_way_for_a_copy() {
    let stale = |failover: bool| {
        syncing().facts("replica-2", |facts| {
            facts.logical.insert("sub".to_owned(), logical(failover));
        })
    };
    insta::assert_snapshot!(stale(true).plan(), @"replica-2: drop replication slot sub, because it is left of when it was the primary's, holds WAL, and keeps a copy from being made");
    insta::assert_snapshot!(stale(false).plan(), @"nothing to do");
    let told = crate::kinds::postgres::plan::slots::left_behind(&stale(false).view()).expect("it is told");
    assert!(
        told.contains("replica-2 has logical slot sub of database shop"),
        "{told}"
    );
}

#[test]
fn a_slot_that_was_given_up_for_being_idle_is_made_anew_and_nobody_seeded() {
    let given_up = |reason: &str| {
        let reason = reason.to_owned();
        World::new(1)
            .healthy()
            .cut_off("replica-1", 5)
            .facts("master", |facts| {
                let mut lost = slot("lost", false);
                lost.invalidation = reason;
                facts.slots.insert("replica_1".to_owned(), lost);
            })
    };
    let plan = given_up("idle_timeout").plan();
    assert!(
        plan.contains("master: drop replication slot replica_1")
            && plan.contains("master: create replication slot replica_1"),
        "{plan}"
    );
    assert!(!plan.contains("new volume"), "{plan}");
    let removed = given_up("wal_removed").plan();
    assert!(
        removed.contains("gets a new volume") && !removed.contains("drop replication slot"),
        "{removed}"
    );
}

#[test]
fn a_primary_with_too_little_room_restarts_without_waiting_for_whom_it_has_no_room() {
    let mut world = World::new(12).healthy();
    for replica in ["replica-11", "replica-12"] {
        world = world.lose(replica);
    }
    let limits = |facts: &mut crate::model::postgres::PgFacts, senders: i64, slots: i64| {
        facts.standby_floor.insert("max_wal_senders".to_owned(), senders);
        facts.standby_floor.insert("max_replication_slots".to_owned(), slots);
    };
    let members = world.cluster.members(Some("master"));
    for member in &members[1..11] {
        world = world.facts(member, |facts| limits(facts, 28, 20));
    }
    world = world.facts("master", |facts| {
        limits(facts, 10, 10);
        facts
            .slots
            .retain(|slot, _| !["replica_11", "replica_12"].contains(&slot.as_str()));
        for name in ["max_replication_slots", "max_wal_senders"] {
            let running = crate::model::postgres::Running {
                file: Some("28".to_owned()),
                setting: "10".to_owned(),
                vartype: "integer".to_owned(),
                context: "postmaster".to_owned(),
                source: "configuration file".to_owned(),
                is_ours: true,
                is_pending: true,
                ..Default::default()
            };
            facts.running.insert(name.to_owned(), running);
        }
    });
    let floor = world
        .view()
        .facts("master")
        .map(|facts| facts.standby_floor.clone())
        .unwrap_or_default();
    let world = world.remember(|memory| memory.floor = floor).refresh();
    let plan = world.plan();
    assert!(plan.contains("master: stop container"), "{plan}");
    assert!(
        !plan.contains("master: create replication slot") && !plan.contains("replica-12: create"),
        "{plan}"
    );
    let told = "replica-12: waiting, it is seeded when master has restarted: its max_wal_senders is 10, and 12 replicas need 14";
    assert!(plan.contains(told), "{plan}");
}
