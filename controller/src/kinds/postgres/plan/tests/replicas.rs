//! Replicas that are missing, being seeded, down or cut off.

use super::world::{HERE, SYSTEM, World, control, slot};
use crate::kinds::postgres::memory::Starts;
use crate::kinds::postgres::observe;
use crate::model::Seen;
use crate::model::container::{ContainerObserved, RunState};
use crate::model::postgres::{ControlState, Down};

#[test]
fn a_missing_replica_is_seeded_into_a_volume_of_its_own() {
    insta::assert_snapshot!(World::new(1).healthy().lose("replica-1").plan(), @r"
    replica-1: create volume pg-replica-1-g1, because it is missing
    replica-1: create container pg-replica-1, because it is missing
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-1: remember that replica-1 is being started, because a start that leads nowhere is not repeated at once
    replica-1: start container, because it was just created
    ");
}

#[test]
fn a_missing_container_is_made_on_its_volume_and_judged_before_it_starts() {
    insta::assert_snapshot!(World::new(1).healthy().remove("replica-1").plan(), @"replica-1: create container pg-replica-1, because it is missing");
}

#[test]
fn the_slot_comes_before_the_seed() {
    let world = World::new(1)
        .healthy()
        .lose("replica-1")
        .facts("master", |facts| facts.slots.clear());
    insta::assert_snapshot!(world.plan(), @r"
    master: create replication slot replica_1, because replica-1 has none, and the WAL that it needs could be recycled
    replica-1: waiting, its slot has to exist on master before it is seeded
    ");
}

#[test]
fn the_replication_role_comes_before_the_seed() {
    let world = World::new(1).healthy().lose("replica-1").facts("master", |facts| {
        facts.roles.remove("replicator");
    });
    insta::assert_snapshot!(world.plan(), @r"
    master: create role replicator, because it is missing
    replica-1: waiting, role replicator has to exist on master before a replica can be seeded
    ");
}

#[test]
fn a_seed_waits_for_a_primary_that_answers() {
    let world = World::new(1).healthy().lose("replica-1");
    insta::assert_snapshot!(world.down("master", Down::StartingUp, "recovering").plan(), @r"
    master: waiting, its server is starting: recovering
    replica-1: waiting, master has to answer before a replica can be seeded
    ");
}

#[test]
fn a_seed_in_progress_is_left_alone() {
    let world = World::new(1)
        .healthy()
        .down("replica-1", Down::StartingUp, "its port is not open yet")
        .facts("master", |facts| {
            facts.base_backups.insert("replica-1".to_owned(), (1, 10));
        });
    insta::assert_snapshot!(world.plan(), @"replica-1: waiting, its server is starting: its port is not open yet");
}

#[test]
fn a_seed_that_failed_is_tried_again() {
    let world = World::new(1)
        .healthy()
        .ended("replica-1", 81, ControlState::InArchiveRecovery)
        .control("replica-1", Seen::Absent)
        .log("replica-1", "reconciler: seeding failed");
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: disconnect from network pg-svc, because it gets its names when it streams
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-1: remember that replica-1 is being started, because a start that leads nowhere is not repeated at once
    replica-1: start container, because it ended with exit code 81: reconciler: seeding failed
    ");
}

#[test]
fn a_seed_whose_slot_was_lost_meanwhile_gets_a_good_one() {
    let world = World::new(1).healthy().lose("replica-1").facts("master", |facts| {
        facts.slots.insert("replica_1".to_owned(), slot("lost", false));
    });
    insta::assert_snapshot!(world.plan(), @r"
    master: drop replication slot replica_1, because it lost the WAL that it held, and replica-1 is to be seeded anew
    master: create replication slot replica_1, because it lost the WAL that it held, and replica-1 is to be seeded anew
    replica-1: waiting, its slot has to exist on master before it is seeded
    ");
}

#[test]
fn killed_and_stopped_replicas_start_again_where_they_are() {
    let world = World::new(2).healthy().kill("replica-1").stop("replica-2");
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: disconnect from network pg-svc, because it gets its names when it streams
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-1: remember that replica-1 is being started, because a start that leads nowhere is not repeated at once
    replica-1: start container, because it was killed (exit code 137)
    replica-2: disconnect from network pg-svc, because it gets its names when it streams
    replica-2: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-2: remember that replica-2 is being started, because a start that leads nowhere is not repeated at once
    replica-2: start container, because it was stopped
    ");
}

#[test]
fn a_replica_does_not_start_before_its_primary_runs() {
    insta::assert_snapshot!(World::new(1).healthy().kill("master").kill("replica-1").plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was killed (exit code 137)
    replica-1: waiting, master, the primary, starts first
    ");
}

#[test]
fn a_crash_looping_replica_keeps_nobody_else_waiting() {
    let world = World::new(2)
        .healthy()
        .kill("replica-1")
        .lose("replica-2")
        .remember(|memory| {
            memory.starts.insert(
                "replica-1".to_owned(),
                Starts {
                    count: 5,
                    last: 999_999,
                },
            );
        });
    insta::assert_snapshot!(world.plan(), @r"
    replica-2: create volume pg-replica-2-g1, because it is missing
    replica-2: create container pg-replica-2, because it is missing
    replica-2: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-2: remember that replica-2 is being started, because a start that leads nowhere is not repeated at once
    replica-2: start container, because it was just created
    replica-1: blocked, it failed to start several times; it was killed (exit code 137)
    replica-1: waiting, the next start is tried in 7 s
    ");
}

#[test]
fn a_replica_that_streams_again_is_no_longer_counted_as_failing() {
    let world = World::new(1).healthy().remember(|memory| {
        memory.starts.insert(
            "replica-1".to_owned(),
            Starts {
                count: 2,
                last: 999_000,
            },
        );
    });
    insta::assert_snapshot!(world.plan(), @"replica-1: remember that replica-1 works, because it streams");
}

#[test]
fn a_short_break_of_the_stream_is_only_watched() {
    insta::assert_snapshot!(World::new(1).healthy().cut_off("replica-1", 2).plan(), @"replica-1: waiting, it does not stream from master yet");
}

#[test]
fn a_long_break_without_a_reason_delivers_its_files_anew_every_so_often() {
    let world = World::new(1).healthy();
    insta::assert_snapshot!(world.clone().cut_off("replica-1", 19).plan(), @"replica-1: waiting, it has not streamed for 19 s; its log does not say why");
    insta::assert_snapshot!(world.clone().cut_off("replica-1", 20).plan(), @r"
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because it does not stream, and its log does not say why
    replica-1: reload the configuration, because it does not stream, and its log does not say why
    ");
    insta::assert_snapshot!(world.cut_off("replica-1", 25).plan(), @"replica-1: waiting, it has not streamed for 25 s; its log does not say why");
}

#[test]
fn a_refused_password_delivers_its_files_at_once() {
    let world = World::new(1).healthy().cut_off("replica-1", 4).log(
        "replica-1",
        "FATAL: password authentication failed for user \"replicator\"",
    );
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because it does not stream, and the primary refuses its password
    replica-1: reload the configuration, because it does not stream, and the primary refuses its password
    ");
}

#[test]
fn a_paused_replay_is_somebodys_decision() {
    let world = World::new(1)
        .healthy()
        .facts("replica-1", |facts| facts.replay_paused = true);
    insta::assert_snapshot!(world.plan(), @"replica-1: blocked, somebody paused its replay; it goes on with `select pg_wal_replay_resume()`");
}

#[test]
fn a_replica_that_accepts_writes_is_fenced_and_its_volume_kept() {
    let world = World::new(1)
        .healthy()
        .facts("replica-1", |facts| facts.in_recovery = false);
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: remember that replica-1 gets a new volume in place of pg-replica-1-g1, because it accepts writes although master is the primary; its volume is kept
    replica-1: stop container (60 s grace), because two members must not accept writes, and master is the primary
    ");
}

#[test]
fn two_writable_members_without_the_recorded_one_are_not_touched() {
    let writable = World::new(2).healthy().kill("master").facts("replica-2", |facts| {
        facts.in_recovery = false;
        facts.timeline = 2;
    });
    insta::assert_snapshot!(writable.plan(), @"pg: needs your confirmation, replica-2 accepts writes but master is the recorded primary, which does not answer as one; nothing is touched. To go on: `reconciler promote replica-2 --force` makes replica-2 the primary as it is; `docker stop pg-replica-2` stops it, and master goes on");
    // Of one whose volume was given up it is decided.
    let given_up = writable.clone().remember(|memory| {
        memory.generations.insert("replica-2".to_owned(), 2);
    });
    let plan = given_up.plan();
    assert!(
        plan.contains("master: start container") && plan.contains("replica-2: stop container"),
        "{plan}"
    );
    let both = writable.facts("replica-1", |facts| facts.in_recovery = false);
    insta::assert_snapshot!(both.plan(), @"pg: needs your confirmation, replica-1, replica-2 accepts writes but master is the recorded primary, which does not answer as one; nothing is touched. To go on: `reconciler promote replica-1 --force` makes replica-1 the primary as it is; `docker stop pg-replica-1` stops it, and master goes on; or `reconciler promote replica-2 --force` makes replica-2 the primary as it is; `docker stop pg-replica-2` stops it, and master goes on");
}

#[test]
fn a_replica_with_foreign_data_gets_a_new_volume_and_the_foreign_one_is_kept() {
    let world = World::new(1)
        .healthy()
        .cut_off("replica-1", 60)
        .facts("replica-1", |facts| facts.system_identifier = SYSTEM + 1)
        .facts("master", |facts| {
            facts.slots.insert("replica_1".to_owned(), slot("lost", false));
        });
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: remember that replica-1 gets a new volume in place of pg-replica-1-g1, because it cannot follow the primary: its data has system identifier 7002 and the cluster's is 7001: it is another cluster's
    replica-1: disconnect from network pg-svc, because its data is another cluster's
    ");
    assert!(format!("{:?}", world.next().chains).contains("proved_copy: false"));
    // As long as the primary has not confirmed which data is the cluster's, it is left alone.
    let world = world.down("master", Down::NoAnswer, "timeout");
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: disconnect from network pg-svc, because its data is another cluster's
    master: waiting, its server does not answer: timeout
    replica-1: blocked, its data has system identifier 7002 and the cluster's is 7001: it is not a copy, and is left alone
    ");
}

#[test]
fn nothing_is_decided_on_a_replica_between_two_states() {
    let world = World::new(1)
        .healthy()
        .down("replica-1", Down::NoAnswer, "its container is between states")
        .container("replica-1", |c| c.state = RunState::Between);
    insta::assert_snapshot!(world.plan(), @"replica-1: waiting, its container is between two states");
}

#[test]
fn who_was_opened_for_writing_out_of_sight_goes_down_before_clients_reach_it() {
    let hidden = |state, hide: fn(&mut ContainerObserved)| {
        let world = World::new(1).healthy().container("replica-1", hide);
        let world = world.down("replica-1", Down::NoAnswer, "not reached");
        world.control("replica-1", Seen::Known(control(state, HERE, 1)))
    };
    let cut_off: fn(&mut ContainerObserved) = |container| container.networks.clear();
    let paused: fn(&mut ContainerObserved) = |container| container.state = RunState::Paused;
    insta::assert_snapshot!(hidden(ControlState::InProduction, cut_off).plan(), @"replica-1: stop container (60 s grace), because its data was opened for writing, and master is the primary");
    insta::assert_snapshot!(hidden(ControlState::InArchiveRecovery, cut_off).plan(), @"replica-1: connect to network pg-net as pg-replica-1, replica-1, because it was disconnected from pg-net");
    insta::assert_snapshot!(hidden(ControlState::InProduction, paused).plan(), @"replica-1: send SIGKILL, because its data was opened for writing, and master is the primary");
    insta::assert_snapshot!(hidden(ControlState::InArchiveRecovery, paused).plan(), @"replica-1: unpause container, because it was paused");
    let unread =
        hidden(ControlState::InProduction, cut_off).control("replica-1", Seen::Unknown("no answer".to_owned()));
    insta::assert_snapshot!(unread.plan(), @"replica-1: waiting, whether it takes writes is not known, its control file cannot be read: no answer");
    let leaderless = hidden(ControlState::InProduction, cut_off).down("master", Down::NoAnswer, "timeout");
    insta::assert_snapshot!(leaderless.plan(), @r"
    master: waiting, its server does not answer: timeout
    replica-1: waiting, its data was opened for writing; master has to answer first
    ");
}

#[test]
fn a_former_primary_is_started_as_a_standby_when_nothing_is_left_of_the_primary() {
    let world = World::new(1).healthy().lose("master");
    let stopped = world.ended("replica-1", 0, ControlState::ShutDown);
    insta::assert_snapshot!(stopped.plan(), @r"
    replica-1: disconnect from network pg-svc, because it gets its names when it streams
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-1: remember that replica-1 is being started, because a start that leads nowhere is not repeated at once
    replica-1: start container, because it was stopped
    master: needs your confirmation, its volume pg-master-g1 is gone. It is not initialised empty, because the data is also on replica-1. To go on: `reconciler promote replica-1 --force`
    ");
}

#[test]
fn a_former_primary_that_is_paused_is_fenced_when_nothing_is_left_of_the_primary() {
    let world = World::new(1).healthy().lose("master");
    let world = world.container("replica-1", |container| container.state = RunState::Paused);
    let paused = world.down("replica-1", Down::NoAnswer, "no answer");
    let paused = paused.control("replica-1", Seen::Known(control(ControlState::ShutDown, HERE, 1)));
    insta::assert_snapshot!(paused.plan(), @r"
    replica-1: send SIGKILL, because its data was opened for writing, and what it was can be told only when it is down
    master: needs your confirmation, its volume pg-master-g1 is gone. It is not initialised empty, because the data is also on replica-1. To go on: `reconciler promote replica-1 --force`
    ");
}

#[test]
fn a_replica_that_lets_nobody_in_and_does_not_stream_is_seeded_anew_after_a_while() {
    let shut = |secs| {
        let world = World::new(1).healthy().cut_off("replica-1", secs);
        let world = world.down("replica-1", Down::PasswordRejected, "password authentication failed");
        let world = world.since(&observe::no_answer("replica-1"), secs);
        let standby = Seen::Known(control(ControlState::InArchiveRecovery, HERE, 1));
        world.control("replica-1", standby).plan()
    };
    insta::assert_snapshot!(shut(10), @r"
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its server does not let the agent in: password authentication failed
    replica-1: send SIGHUP, because its files were delivered
    replica-1: disconnect from network pg-svc, because it has not answered for 10 s
    ");
    insta::assert_snapshot!(shut(61), @r"
    replica-1: remember that replica-1 gets a new volume in place of pg-replica-1-g1, because it cannot follow the primary: it does not stream, and for 61 s no known password has opened it
    replica-1: disconnect from network pg-svc, because it has not answered for 61 s
    ");
}
