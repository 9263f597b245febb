//! From the verdict "it cannot follow" to a replica that streams from a new volume; and what becomes of the old one.

use super::world::{HERE, NOW, World, slot};
use crate::kinds::postgres::memory::{Change, Retired};
use crate::model::Seen;
use crate::model::plan::Op;
use crate::model::postgres::ControlState;

/// The story goes on: what the plan remembers is remembered.
fn remembering(world: World) -> World {
    let plan = world.next();
    let changes: Vec<Change> = plan
        .actions()
        .filter_map(|action| match &action.op {
            Op::Remember(change) => Some(change.clone()),
            Op::Engine(_) | Op::Sql(..) | Op::Listen(_) | Op::Grafana(..) => None,
        })
        .collect();
    world.remember(|memory| changes.iter().for_each(|change| memory.apply(change)))
}

fn lost() -> World {
    World::new(1)
        .healthy()
        .cut_off("replica-1", 5)
        .facts("master", |facts| {
            facts.slots.insert("replica_1".to_owned(), slot("lost", false));
        })
}

fn retired(member: &str, proved_copy: bool) -> Retired {
    Retired {
        member: member.to_owned(),
        reason: "the primary no longer has the WAL that it needs".to_owned(),
        proved_copy,
        ..Retired::default()
    }
}

#[test]
fn a_lost_slot_leads_to_a_new_volume_in_single_steps() {
    let decided = lost();
    insta::assert_snapshot!(decided.plan(), @"replica-1: remember that replica-1 gets a new volume in place of pg-replica-1-g1, because it cannot follow the primary: the primary no longer has the WAL that it needs");
    let dismissed = remembering(decided);
    assert_eq!(dismissed.memory.generation("replica-1"), 2);
    insta::assert_snapshot!(dismissed.plan(), @r"
    replica-1: stop container (60 s grace), because it gets a new volume: the primary no longer has the WAL that it needs
    replica-1: remove container, because it gets a new volume: the primary no longer has the WAL that it needs
    ");
    let mut gone = dismissed;
    gone.observed.objects.containers.retain(|c| c.name != "pg-replica-1");
    gone.observed.members.remove("replica-1");
    insta::assert_snapshot!(gone.plan(), @r"
    master: drop replication slot replica_1, because it lost the WAL that it held, and replica-1 is to be seeded anew
    master: create replication slot replica_1, because it lost the WAL that it held, and replica-1 is to be seeded anew
    replica-1: waiting, its slot has to exist on master before it is seeded
    ");
    let ready = gone.facts("master", |facts| {
        facts.slots.insert("replica_1".to_owned(), slot("", false));
    });
    insta::assert_snapshot!(ready.plan(), @r"
    replica-1: create volume pg-replica-1-g2, because it is missing
    replica-1: create container pg-replica-1, because it is missing
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-1: remember that replica-1 is being started, because a start that leads nowhere is not repeated at once
    replica-1: start container, because it was just created
    ");
}

#[test]
fn two_replicas_that_lost_their_wal_are_seeded_one_after_the_other() {
    let world = World::new(2).healthy().cut_off("replica-1", 5).cut_off("replica-2", 5);
    let world = world.facts("master", |facts| {
        facts.slots.insert("replica_1".to_owned(), slot("lost", false));
        facts.slots.insert("replica_2".to_owned(), slot("lost", false));
    });
    let world = remembering(world);
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: stop container (60 s grace), because it gets a new volume: the primary no longer has the WAL that it needs
    replica-1: remove container, because it gets a new volume: the primary no longer has the WAL that it needs
    replica-2: waiting, it cannot follow the primary: the primary no longer has the WAL that it needs; replica-1 is re-seeded first
    ");
}

#[test]
fn the_log_tells_too_that_the_wal_is_gone() {
    let gone =
        "FATAL: could not receive data from WAL stream: ERROR: requested WAL segment 0000 has already been removed";
    let world = World::new(1).healthy().cut_off("replica-1", 5).log("replica-1", gone);
    insta::assert_snapshot!(world.plan(), @"replica-1: remember that replica-1 gets a new volume in place of pg-replica-1-g1, because it cannot follow the primary: the primary no longer has the WAL that it needs");
    let later = format!("{gone}\nFATAL: could not connect to the primary server");
    insta::assert_snapshot!(world.log("replica-1", &later).plan(), @"replica-1: waiting, it has not streamed for 5 s; its log says: FATAL: could not connect to the primary server");
}

#[test]
fn a_damaged_data_directory_is_replaced_once() {
    let world = World::new(1)
        .healthy()
        .ended("replica-1", 80, ControlState::InArchiveRecovery);
    insta::assert_snapshot!(world.plan(), @"replica-1: remember that replica-1 gets a new volume in place of pg-replica-1-g1, because it cannot follow the primary: its data directory is damaged");
    let decided = remembering(world);
    insta::assert_snapshot!(decided.plan(), @"replica-1: remove container, because it gets a new volume: its data directory is damaged");
}

#[test]
fn a_fenced_replica_is_given_up_once_even_when_its_stop_failed() {
    let world = World::new(1)
        .healthy()
        .facts("replica-1", |facts| facts.in_recovery = false);
    let decided = remembering(world);
    insta::assert_snapshot!(decided.plan(), @r"
    replica-1: stop container (60 s grace), because it gets a new volume: it accepted writes of its own
    replica-1: remove container, because it gets a new volume: it accepted writes of its own
    ");
    assert_eq!(remembering(decided).memory.generation("replica-1"), 2);
}

#[test]
fn a_replica_without_a_future_serves_on_while_the_primary_is_down() {
    let world = remembering(lost()).kill("master");
    insta::assert_snapshot!(world.plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was killed (exit code 137)
    replica-1: waiting, it gets a new volume when master answers
    ");
}

#[test]
fn a_stopped_container_is_never_started_on_the_volume_that_was_given_up() {
    let mut world = remembering(lost()).stop("replica-1");
    world.see_image(Seen::Unknown("the engine timed out".to_owned()));
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: remove container, because it gets a new volume: the primary no longer has the WAL that it needs
    pg: waiting, image postgres:17 could not be looked at: the engine timed out
    ");
}

#[test]
fn a_proved_copy_goes_when_the_new_volume_streams() {
    let world = World::new(1)
        .remember(|memory| {
            memory.generations.insert("replica-1".to_owned(), 2);
            memory
                .retired
                .insert("pg-replica-1-g1".to_owned(), retired("replica-1", true));
        })
        .healthy();
    let mut world = world;
    let old = world.observed.objects.volumes[1].clone();
    world.observed.objects.volumes.push(old);
    world.observed.objects.volumes[2].name = "pg-replica-1-g1".to_owned();
    insta::assert_snapshot!(world.plan(), @r"
    pg-replica-1-g1: remove volume pg-replica-1-g1, because replica-1 streams from its new volume, and this one held nothing that the primary does not have
    pg-replica-1-g1: remember that volume pg-replica-1-g1 is no longer retired, because it is no longer retired
    ");
    insta::assert_snapshot!(world.clone().cut_off("replica-1", 1).plan(), @"replica-1: waiting, it does not stream from master yet");
    let mounted = world
        .clone()
        .container("master", |c| c.volumes.push("pg-replica-1-g1".to_owned()));
    insta::assert_snapshot!(mounted.plan(), @"nothing to do");
    let unproved = world.remember(|memory| {
        memory
            .retired
            .insert("pg-replica-1-g1".to_owned(), retired("replica-1", false));
    });
    insta::assert_snapshot!(unproved.plan(), @"nothing to do");
}

#[test]
fn a_retired_volume_that_is_gone_or_in_use_again_is_forgotten() {
    let world = World::new(1).healthy().remember(|memory| {
        memory
            .retired
            .insert("pg-replica-1-g1".to_owned(), retired("replica-1", true));
        memory
            .retired
            .insert("pg-replica-7-g1".to_owned(), retired("replica-7", true));
    });
    insta::assert_snapshot!(world.plan(), @r"
    pg-replica-1-g1: remember that volume pg-replica-1-g1 is no longer retired, because it is no longer retired
    pg-replica-7-g1: remember that volume pg-replica-7-g1 is no longer retired, because it is no longer retired
    ");
}

#[test]
fn the_count_of_starts_begins_anew_with_the_new_volume() {
    let world = remembering(
        lost().remember(|memory| memory.apply(&Change::Started("replica-1".to_owned(), NOW, String::new()))),
    );
    assert!(world.memory.starts.is_empty());
    assert!(world.memory.retired["pg-replica-1-g1"].proved_copy);
    assert_eq!(
        world.observed.members["master"].server.facts().map(|f| f.lsn),
        Some(HERE)
    );
}
