//! The recorded primary and whatever happens to it.

use super::world::{HERE, NOW, SYSTEM, World, control};
use crate::kinds::postgres::memory::Starts;
use crate::kinds::postgres::observe;
use crate::model::Seen;
use crate::model::container::{Health, RunState};
use crate::model::postgres::{ControlState, Down};

#[test]
fn a_killed_primary_restarts_where_it_is() {
    insta::assert_snapshot!(World::new(1).healthy().kill("master").plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was killed (exit code 137)
    ");
}

#[test]
fn a_stopped_primary_is_started_again() {
    insta::assert_snapshot!(World::new(0).healthy().stop("master").plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was stopped
    ");
}

#[test]
fn the_cause_names_the_want_of_memory() {
    let world = World::new(0).healthy().kill("master");
    insta::assert_snapshot!(world.container("master", |c| c.oom_killed = true).plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because the kernel killed it for want of memory
    ");
}

#[test]
fn the_cause_quotes_the_last_words_of_the_log() {
    let world = World::new(0)
        .healthy()
        .ended("master", 1, ControlState::InProduction)
        .log("master", "LOG: starting\nFATAL: could not map shared memory\n\n");
    insta::assert_snapshot!(world.clone().plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it ended with exit code 1: FATAL: could not map shared memory
    ");
    insta::assert_snapshot!(world.log("master", "").plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it ended with exit code 1
    ");
}

#[test]
fn a_log_that_cannot_be_read_is_no_reason_and_is_said_to_be_none() {
    let world = World::new(0).healthy().ended("master", 1, ControlState::InProduction);
    let world = world.seen("master", |seen| {
        seen.log_unreadable = Some("configured logging driver does not support reading".to_owned());
    });
    let cause = "it ended with exit code 1; why cannot be told: configured logging driver does not support reading";
    assert!(world.plan().contains(cause), "{}", world.plan());
}

#[test]
fn a_container_that_the_engine_could_not_start_says_why() {
    let world = World::new(0).healthy().stop("master").container("master", |c| {
        c.state = RunState::Created;
        c.error = "port is already allocated".to_owned();
    });
    insta::assert_snapshot!(world.plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because the engine could not start it: port is already allocated
    ");
}

#[test]
fn a_removed_container_is_made_again_on_its_own_volume() {
    let world = World::new(1).healthy().remove("master");
    insta::assert_snapshot!(world.plan(), @"master: create container pg-master, because it is missing");
    let created = World::new(1).healthy().stop("master");
    let created = created.container("master", |c| c.state = RunState::Created);
    insta::assert_snapshot!(created.plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was created and never started
    ");
    assert!(!format!("{:?}", created.next().chains).contains("bootstrap\\n"));
}

#[test]
fn a_lost_volume_is_never_initialised_empty_while_replicas_have_the_data() {
    let world = World::new(2).healthy().lose("master");
    insta::assert_snapshot!(world.plan(), @"master: needs your confirmation, its volume pg-master-g1 is gone. It is not initialised empty, because the data is also on replica-1 and replica-2. To go on: `reconciler promote replica-1 --force`, which lacks 0 bytes of the log that master was seen to have");
}

#[test]
fn a_lost_volume_without_any_copy_asks_for_a_backup() {
    insta::assert_snapshot!(World::new(0).healthy().lose("master").plan(), @"master: needs your confirmation, its volume pg-master-g1 is gone and no replica has a copy; restore a backup into it, or start anew with `reconciler delete PostgresCluster/pg --purge-data`");
}

#[test]
fn a_primary_that_found_its_volume_empty_asks_too() {
    let world = World::new(1)
        .healthy()
        .ended("master", 79, ControlState::InProduction)
        .control("master", Seen::Absent);
    insta::assert_snapshot!(world.plan(), @"master: needs your confirmation, its volume pg-master-g1 holds no data. It is not initialised empty, because the data is also on replica-1. To go on: `reconciler promote replica-1 --force`, which lacks 0 bytes of the log that master was seen to have");
}

#[test]
fn starts_that_lead_nowhere_are_spaced_out() {
    let starts = |count, last| {
        World::new(0)
            .healthy()
            .ended("master", 1, ControlState::InProduction)
            .remember(|memory| {
                memory.starts.insert("master".to_owned(), Starts { count, last });
            })
    };
    insta::assert_snapshot!(starts(1, NOW).plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it ended with exit code 1
    ");
    insta::assert_snapshot!(starts(4, NOW - 1).plan(), @r"
    master: blocked, it failed to start several times; it ended with exit code 1
    master: waiting, the next start is tried in 3 s
    ");
    insta::assert_snapshot!(starts(40, NOW - 299).plan(), @r"
    master: blocked, it failed to start several times; it ended with exit code 1
    master: waiting, the next start is tried in 1 s
    ");
    insta::assert_snapshot!(starts(40, NOW - 300).plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it ended with exit code 1
    master: blocked, it failed to start several times; it ended with exit code 1
    ");
}

#[test]
fn a_paused_primary_is_thawed() {
    let world = World::new(0)
        .healthy()
        .container("master", |c| c.state = RunState::Paused);
    insta::assert_snapshot!(world.down("master", Down::NoAnswer, "its container is paused").plan(), @"master: unpause container, because it was paused");
}

#[test]
fn nothing_is_decided_between_two_states() {
    let world = World::new(0)
        .healthy()
        .container("master", |c| c.state = RunState::Between);
    insta::assert_snapshot!(world.down("master", Down::NoAnswer, "between").plan(), @"master: waiting, its container is between two states");
}

#[test]
fn a_disconnected_member_is_connected_again_under_its_names() {
    let world = World::new(0).healthy().container("master", |c| c.networks.clear());
    insta::assert_snapshot!(world.down("master", Down::NoAnswer, "its container has no address").plan(), @"master: connect to network pg-net as pg-master, master, because it was disconnected from pg-net");
}

#[test]
fn silence_alone_is_waited_out() {
    let world = World::new(1).healthy().down("master", Down::NoAnswer, "timeout");
    insta::assert_snapshot!(world.since(&observe::no_answer("master"), 600).plan(), @"master: waiting, its server does not answer: timeout");
}

#[test]
fn silence_and_a_failed_health_check_are_no_proof_of_death() {
    let world = World::new(1)
        .healthy()
        .down("master", Down::NoAnswer, "timeout")
        .container("master", |c| c.health = Health::Unhealthy);
    insta::assert_snapshot!(world.since(&observe::no_answer("master"), 6000).plan(), @"master: waiting, its server does not answer: timeout");
}

#[test]
fn crash_recovery_is_never_cut_short() {
    let world = World::new(0)
        .healthy()
        .down("master", Down::StartingUp, "the database system is starting up")
        .container("master", |c| c.health = Health::Unhealthy)
        .since(&observe::no_answer("master"), 6000);
    insta::assert_snapshot!(world.plan(), @"master: waiting, its server is starting: the database system is starting up");
}

#[test]
fn a_rejected_password_is_reset_through_the_socket() {
    let world = World::new(1).healthy();
    let rejected = |member| {
        world
            .clone()
            .down(member, Down::PasswordRejected, "password authentication failed")
    };
    insta::assert_snapshot!(rejected("master").plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its server does not let the agent in: password authentication failed
    master: send SIGHUP, because its files were delivered
    master: reset the password of role postgres, because its server does not let the agent in: password authentication failed
    ");
    let of_a_replica = |state| rejected("replica-1").control("replica-1", Seen::Known(control(state, HERE, 1)));
    insta::assert_snapshot!(of_a_replica(ControlState::InArchiveRecovery).plan(), @r"
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its server does not let the agent in: password authentication failed
    replica-1: send SIGHUP, because its files were delivered
    ");
    insta::assert_snapshot!(of_a_replica(ControlState::InProduction).plan(), @"replica-1: stop container (60 s grace), because its data was opened for writing, and master is the primary");
    insta::assert_snapshot!(rejected("replica-1").plan(), @"replica-1: waiting, whether it takes writes is not known, its control file cannot be read: not looked at");
}

#[test]
fn a_lost_password_is_taken_from_a_member_that_has_it() {
    let world = World::new(1).healthy();
    let unknown = world.down("master", Down::PasswordUnknown, "no password is known");
    insta::assert_snapshot!(unknown.plan(), @"master: recover lost passwords, because no password is known");
}

#[test]
fn a_foreign_system_identifier_is_left_alone() {
    let running = World::new(1)
        .healthy()
        .facts("master", |facts| facts.system_identifier = SYSTEM + 1)
        .facts("master", |facts| facts.slots.clear());
    insta::assert_snapshot!(running.plan(), @r"
    master: disconnect from network pg-svc, because its data is another cluster's
    master: blocked, its data has system identifier 7002 and the cluster's is 7001: it is not a copy, and is left alone
    ");
    let mut foreign = control(ControlState::ShutDown, HERE, 1);
    foreign.system_identifier = SYSTEM + 1;
    let stopped = World::new(0)
        .healthy()
        .stop("master")
        .control("master", Seen::Known(foreign));
    insta::assert_snapshot!(stopped.plan(), @"master: blocked, its data has system identifier 7002 and the cluster's is 7001: it is not a copy, and is left alone");
}

#[test]
fn the_recorded_primary_that_runs_as_a_replica_is_promoted_onto_a_timeline_of_its_own() {
    let world = World::new(1)
        .healthy()
        .facts("master", |facts| facts.in_recovery = true)
        .facts("replica-1", |facts| facts.receiver_streaming = false);
    insta::assert_snapshot!(world.plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because it is the recorded primary and runs as a replica
    master: promote, because it is the recorded primary and runs as a replica
    ");
}

#[test]
fn the_recorded_primary_with_a_standbys_data_starts_as_one_first() {
    let world = World::new(0)
        .healthy()
        .ended("master", 0, ControlState::ShutDownInRecovery);
    insta::assert_snapshot!(world.plan(), @r"
    master: disconnect from network pg-svc, because it gets its names when it streams
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was stopped
    ");
}

#[test]
fn a_recorded_primary_that_is_a_standby_and_lets_nobody_in_is_promoted_from_inside() {
    let world = World::new(1).healthy();
    let shut = world.down("master", Down::PasswordRejected, "password authentication failed");
    let standby = shut.control("master", Seen::Known(control(ControlState::InArchiveRecovery, HERE, 1)));
    insta::assert_snapshot!(standby.plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its server does not let the agent in: password authentication failed
    master: send SIGHUP, because its files were delivered
    master: promote through its socket, because it is the recorded primary and runs as a replica
    ");
}
