//! A promotion whose members die on the way. Until the request every failure rolls back; after it there is only forward,
//! unless the target is seen to have died without having been promoted.

use super::life::{still_for, vitals};
use super::world::{HERE, World, control, slot};
use crate::kinds::postgres::memory::{Change, Loss, Starts};
use crate::kinds::postgres::observe;
use crate::model::container::RunState;
use crate::model::postgres::{ControlState, Down};
use crate::model::process::ProcessState;
use crate::model::{Lsn, Seen};

fn stopped() -> World {
    let world = World::new(1).healthy().promoting("replica-1").stop("master");
    world.facts("replica-1", |facts| facts.lsn = Lsn(0x578))
}

fn target_died(state: ControlState) -> World {
    let dead = stopped().ended("replica-1", 137, state);
    dead.control("replica-1", Seen::Known(control(state, Lsn(0x578), 1)))
}

#[test]
fn an_unclean_stop_rolls_back() {
    let world = stopped().control("master", Seen::Known(control(ControlState::InProduction, HERE, 1)));
    insta::assert_snapshot!(world.plan(), @"replica-1: remember that replica-1 was not promoted, because master did not stop cleanly; master stays the primary");
    insta::assert_snapshot!(world.forced().plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because fenced: whoever starts it gets a replica, now that replica-1 takes over
    master: remember that master is fenced, because its role file says replica
    replica-1: remember that its promotion is requested, because from now on there is only forward
    replica-1: promote, because master is down; nothing that master was seen to have is lost, only what it wrote after it was last looked at
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    replica-1: create replication slot master, because master will follow it
    ");
}

#[test]
fn a_control_file_that_cannot_be_read_is_waited_for_and_then_rolls_back() {
    let world = stopped().control("master", Seen::Unknown("the engine timed out".to_owned()));
    insta::assert_snapshot!(world.plan(), @"replica-1: waiting, master's control file cannot be read: the engine timed out");
    insta::assert_snapshot!(world.later(31).plan(), @"replica-1: remember that replica-1 was not promoted, because master's control file cannot be read: the engine timed out; master stays the primary");
}

#[test]
fn an_old_primary_without_data_rolls_back() {
    insta::assert_snapshot!(stopped().control("master", Seen::Absent).plan(), @"replica-1: remember that replica-1 was not promoted, because master holds no data any more; master stays the primary");
}

#[test]
fn an_old_primary_that_is_gone_rolls_back_unless_forced() {
    let world = stopped().remove("master");
    insta::assert_snapshot!(world.plan(), @"replica-1: remember that replica-1 was not promoted, because master is gone, so nobody can tell whether replica-1 has all its writes; master stays the primary");
    insta::assert_snapshot!(world.forced().plan(), @r"
    replica-1: remember that its promotion is requested, because from now on there is only forward
    replica-1: promote, because master is down; nothing that master was seen to have is lost, only what it wrote after it was last looked at
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    replica-1: create replication slot master, because master will follow it
    ");
}

#[test]
fn an_old_primary_that_fell_silent_rolls_back_after_a_while() {
    let world = World::new(1)
        .healthy()
        .promoting("replica-1")
        .down("master", Down::NoAnswer, "timeout");
    insta::assert_snapshot!(world.plan(), @"master: waiting, it does not answer (timeout), and has to before it is stopped");
    insta::assert_snapshot!(world.later(31).plan(), @"replica-1: remember that replica-1 was not promoted, because master does not answer any more: timeout; master stays the primary");
}

#[test]
fn a_target_that_died_before_its_promotion_rolls_back() {
    insta::assert_snapshot!(target_died(ControlState::InArchiveRecovery).plan(), @"replica-1: remember that replica-1 was not promoted, because replica-1 died before it was promoted; master stays the primary");
    insta::assert_snapshot!(target_died(ControlState::ShutDownInRecovery).forced().plan(), @"replica-1: remember that replica-1 was not promoted, because replica-1 died before it was promoted; master stays the primary");
}

#[test]
fn a_target_that_died_after_its_promotion_is_the_primary() {
    let is_primary =
        "replica-1: remember that replica-1 is the primary, because replica-1 was promoted and then stopped";
    for state in [ControlState::InProduction, ControlState::ShutDown] {
        assert_eq!(sent(target_died(state)).plan().trim(), is_primary);
        assert_eq!(target_died(state).forced().plan().trim(), is_primary);
        assert_eq!(
            target_died(state).plan().trim(),
            "replica-1: remember that replica-1 was not promoted, because somebody promoted replica-1 by hand, and \
             nobody can tell whether it has all of master's writes; master stays the primary"
        );
    }
}

#[test]
fn a_target_that_is_gone_rolls_back() {
    insta::assert_snapshot!(stopped().lose("replica-1").plan(), @"replica-1: remember that replica-1 was not promoted, because replica-1 is gone; master stays the primary");
    insta::assert_snapshot!(target_died(ControlState::InProduction).control("replica-1", Seen::Absent).plan(), @"replica-1: remember that replica-1 was not promoted, because replica-1 holds no data; master stays the primary");
}

#[test]
fn a_target_whose_container_was_removed_is_looked_into_without_a_start() {
    insta::assert_snapshot!(stopped().remove("replica-1").plan(), @"replica-1: create container pg-replica-1, because whether it was promoted has to be looked at");
}

#[test]
fn whether_a_dead_target_was_promoted_is_asked_when_nobody_can_tell() {
    let world = target_died(ControlState::InProduction);
    insta::assert_snapshot!(world.control("replica-1", Seen::Unknown("truncated".to_owned())).plan(), @"replica-1: needs your confirmation, whether it was promoted cannot be told: truncated");
}

#[test]
fn a_silent_target_is_given_time_and_then_killed_to_be_looked_into() {
    let world = stopped().down("replica-1", Down::NoAnswer, "timeout");
    insta::assert_snapshot!(world.plan(), @"replica-1: waiting, it does not answer, and whether it was promoted cannot be told");
    let unseen = world.clone().since(&observe::no_answer("replica-1"), 31);
    insta::assert_snapshot!(unseen.plan(), @"replica-1: waiting, it does not answer, and its processes cannot be seen; whether it was promoted can be told when it is down: `docker kill pg-replica-1`");
    let mut stopped = vitals();
    stopped.main = ProcessState::Stopped;
    let frozen = world.silent("replica-1", still_for(0, &stopped));
    let frozen = |secs| frozen.clone().since(&observe::no_answer("replica-1"), secs).plan();
    assert!(!frozen(30).contains("SIGKILL"));
    insta::assert_snapshot!(frozen(31), @"replica-1: send SIGKILL, because it does not answer, and whether it was promoted can only be told when it is down");
}

#[test]
fn a_frozen_target_is_thawed() {
    let world = stopped().container("replica-1", |c| c.state = RunState::Paused);
    insta::assert_snapshot!(world.down("replica-1", Down::NoAnswer, "paused").plan(), @"replica-1: unpause container, because it was paused");
}

#[test]
fn a_target_that_writes_on_the_old_timeline_is_asked_about() {
    insta::assert_snapshot!(stopped().facts("replica-1", |facts| facts.in_recovery = false).plan(), @r"
    replica-1: waiting, it accepts writes, but not on a new timeline
    replica-1: needs your confirmation, it accepts writes on master's timeline; nothing is touched until you decide
    ");
}

#[test]
fn an_old_primary_that_somebody_started_as_a_replica_rolls_back() {
    let world = World::new(1).healthy().promoting("replica-1");
    insta::assert_snapshot!(world.facts("master", |facts| facts.in_recovery = true).plan(), @"replica-1: remember that replica-1 was not promoted, because the primary answers: master does not; writes that only it has would be lost; master stays the primary");
}

/// The request was sent.
fn sent(world: World) -> World {
    let sent = Change::Requested {
        id: 1,
        loss: Loss::Nothing,
        at: world.now,
    };
    world.remember(|memory| memory.apply(&sent))
}

#[test]
fn after_the_request_there_is_only_forward() {
    insta::assert_snapshot!(sent(stopped()).plan(), @r"
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    replica-1: waiting, its promotion is under way
    ");
    insta::assert_snapshot!(sent(stopped()).later(2).plan(), @"replica-1: promote, because master is down, and it is not the primary yet");
    let unclean = stopped().control("master", Seen::Known(control(ControlState::InProduction, HERE, 1)));
    insta::assert_snapshot!(sent(unclean).later(60).plan(), @"replica-1: promote, because master is down, and it is not the primary yet");
}

#[test]
fn an_old_primary_that_somebody_started_after_the_request_goes_down_again() {
    let now = stopped().now;
    let started = || {
        sent(stopped()).container("master", |c| {
            c.state = RunState::Running;
            c.started_at = now;
        })
    };
    insta::assert_snapshot!(started().down("master", Down::StartingUp, "recovery").plan(), @"master: send SIGKILL, because somebody started it while replica-1 takes over, and two must not accept writes");
    insta::assert_snapshot!(started().container("master", |c| c.state = RunState::Paused).plan(), @"master: send SIGKILL, because somebody started it while replica-1 takes over, and two must not accept writes");
    let writes = sent(World::new(1).healthy().promoting("replica-1"));
    insta::assert_snapshot!(writes.plan(), @"master: send SIGKILL, because somebody started it while replica-1 takes over, and two must not accept writes");
    let follows = writes.facts("master", |facts| facts.in_recovery = true);
    insta::assert_snapshot!(follows.plan(), @r"
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    replica-1: waiting, its promotion is under way
    ");
    let between = sent(stopped()).container("master", |c| c.state = RunState::Between);
    insta::assert_snapshot!(between.plan(), @"master: waiting, its container is between two states");
}

#[test]
fn a_target_that_died_after_the_request_goes_on() {
    let died = || sent(target_died(ControlState::InArchiveRecovery));
    insta::assert_snapshot!(died().plan(), @r"
    replica-1: disconnect from network pg-svc, because it gets its names when it streams
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-1: remember that replica-1 is being started, because a start that leads nowhere is not repeated at once
    replica-1: start container, because its promotion was requested, and goes on: it was killed (exit code 137)
    ");
    let again = |count| {
        let last = died().now;
        died().remember(|m| _ = m.starts.insert("replica-1".to_owned(), Starts { count, last }))
    };
    insta::assert_snapshot!(again(2).plan(), @"replica-1: waiting, the next start is tried in 1 s");
    insta::assert_snapshot!(again(3).plan(), @"replica-1: remember that replica-1 was not promoted, because replica-1 died before it was promoted; master stays the primary");
}

/// `replica-2` has received what `replica-1` has not.
fn overtaken() -> World {
    World::new(2)
        .healthy()
        .facts("replica-2", |facts| facts.receive_lsn = Lsn(0x578))
        .promoting("replica-1")
        .stop("master")
        .control("master", Seen::Known(control(ControlState::ShutDown, Lsn(0x540), 1)))
        .refresh()
}

#[test]
fn a_target_catches_up_from_a_replica_that_has_more() {
    insta::assert_snapshot!(overtaken().plan(), @r"
    replica-1: remember that it catches up from replica-2 first, because replica-2 has received up to 0/578, replica-1 up to 0/500
    replica-2: create replication slot replica_1, because replica-1 catches up from it
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because replica-2 has received up to 0/578, replica-1 up to 0/500
    replica-1: reload the configuration, because its files were delivered
    ");
    insta::assert_snapshot!(overtaken().forced().plan(), @r"
    replica-1: remember that it catches up from replica-2 first, because replica-2 has received up to 0/578, replica-1 up to 0/500
    replica-2: create replication slot replica_1, because replica-1 catches up from it
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because replica-2 has received up to 0/578, replica-1 up to 0/500
    replica-1: reload the configuration, because its files were delivered
    ");
    let follows = || {
        let mut world = overtaken().remember(|memory| {
            let via = "replica-2".to_owned();
            memory.apply(&Change::CatchUp { id: 1, via });
        });
        world.memory.primary = Some("replica-2".to_owned());
        world = world.refresh();
        world.memory.primary = Some("master".to_owned());
        world.facts("replica-2", |facts| {
            facts.in_recovery = true;
            facts.slots.insert("replica_1".to_owned(), slot("reserved", true));
        })
    };
    insta::assert_snapshot!(follows().plan(), @"replica-1: waiting, it catches up first: replica-2 has received up to 0/578, replica-1 up to 0/500");
    insta::assert_snapshot!(follows().later(31).plan(), @"replica-1: remember that replica-1 was not promoted, because it has replayed up to 0/500, and master stopped at 0/540; master stays the primary");
    insta::assert_snapshot!(follows().forced().later(31).plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because fenced: whoever starts it gets a replica, now that replica-1 takes over
    master: remember that master is fenced, because its role file says replica
    replica-1: remember that its promotion is requested, because from now on there is only forward
    replica-1: promote, because master is down; 64 bytes of the log that master was seen to have are lost, and what it wrote after it was last looked at
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    replica-1: create replication slot master, because master will follow it
    replica-1: create replication slot replica_2, because replica-2 will follow it
    ");
    insta::assert_snapshot!(follows().facts("replica-1", |f| (f.lsn, f.receive_lsn) = (Lsn(0x578), Lsn(0x578))).plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because fenced: whoever starts it gets a replica, now that replica-1 takes over
    master: remember that master is fenced, because its role file says replica
    replica-1: remember that its promotion is requested, because from now on there is only forward
    replica-1: promote, because master is down and it has everything
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    replica-1: create replication slot master, because master will follow it
    replica-1: create replication slot replica_2, because replica-2 will follow it
    ");
}

#[test]
fn a_target_promoted_by_hand_while_the_old_primary_serves_does_not_take_over() {
    let world = World::new(1).healthy().promoting("replica-1");
    let both = world.facts("replica-1", |facts| {
        facts.in_recovery = false;
        facts.timeline = 2;
    });
    insta::assert_snapshot!(both.plan(), @"replica-1: remember that replica-1 was not promoted, because somebody promoted replica-1 by hand while master runs; master stays the primary");
}

#[test]
fn a_switchover_ends_when_a_third_member_accepts_writes() {
    let world = World::new(2).healthy().promoting("replica-1").stop("master");
    let third = world.facts("replica-2", |facts| {
        facts.in_recovery = false;
        facts.timeline = 2;
    });
    insta::assert_snapshot!(third.plan(), @"replica-1: remember that replica-1 was not promoted, because replica-2 accepts writes; master stays the primary");
}

#[test]
fn a_target_promoted_by_hand_does_not_take_over_while_nobody_knows_of_the_old_primary() {
    let world = World::new(1).healthy().promoting("replica-1");
    let silent = world.down("master", Down::NoAnswer, "it broke off");
    let promoted = silent.facts("replica-1", |facts| {
        facts.in_recovery = false;
        facts.timeline = 2;
    });
    insta::assert_snapshot!(promoted.plan(), @"replica-1: remember that replica-1 was not promoted, because somebody promoted replica-1 by hand while master runs; master stays the primary");
}

#[test]
fn a_primary_that_nobody_asked_to_stop_is_not_killed_for_its_silence() {
    let world = World::new(1)
        .healthy()
        .promoting("replica-1")
        .down("master", Down::NoAnswer, "timeout")
        .edit(|spec| spec.stop_grace_period = "2s".to_owned());
    let silent = world.since(&observe::no_answer("master"), 20);
    assert!(!silent.plan().contains("SIGKILL"), "{}", silent.plan());
    let asked = silent.remember(|memory| {
        memory
            .promotion
            .iter_mut()
            .for_each(|p| p.stopping_since = Some(super::world::NOW - 3));
    });
    assert!(asked.plan().contains("SIGKILL"), "{}", asked.plan());
}

#[test]
fn a_shutdown_that_gets_on_is_not_cut_off_and_one_that_waits_is() {
    let world = World::new(1)
        .healthy()
        .promoting("replica-1")
        .edit(|spec| spec.stop_grace_period = "2s".to_owned())
        .remember(|memory| {
            memory
                .promotion
                .iter_mut()
                .for_each(|p| p.stopping_since = Some(super::world::NOW - 20));
        });
    let with = |change: fn(&mut crate::model::process::Vitals)| {
        let mut vitals = vitals();
        change(&mut vitals);
        let seen = world.clone().silent("master", still_for(0, &vitals));
        seen.down("master", Down::ShuttingDown, "the database system is shutting down")
    };
    let writes = with(|vitals| vitals.in_disk_sleep = 1);
    assert!(
        !writes.plan().contains("SIGKILL") && writes.plan().contains("gets on: "),
        "{}",
        writes.plan()
    );
    assert!(writes.forced().plan().contains("SIGKILL"));
    let waits = with(|_| {});
    assert!(waits.plan().contains("SIGKILL"), "{}", waits.plan());
}

#[test]
fn a_target_that_shuts_the_agent_out_is_known_by_its_control_file() {
    let shut = |world: World, state| {
        let world = world.down("replica-1", Down::PasswordRejected, "password authentication failed");
        world.control("replica-1", Seen::Known(control(state, Lsn(0x578), 1)))
    };
    let standby = ControlState::InArchiveRecovery;
    insta::assert_snapshot!(shut(stopped(), standby).plan(), @"replica-1: remember that replica-1 was not promoted, because replica-1 does not let the agent in: password authentication failed; master stays the primary");
    insta::assert_snapshot!(shut(sent(stopped()), standby).later(2).plan(), @"replica-1: promote through its socket, because master is down, and it does not let the agent in: password authentication failed");
    insta::assert_snapshot!(shut(sent(stopped()), ControlState::InProduction).plan(), @"replica-1: remember that replica-1 is the primary, because replica-1 is the primary");
}

#[test]
fn a_target_that_takes_long_to_come_up_does_not_keep_the_old_primary_down() {
    let world = stopped().down("replica-1", Down::StartingUp, "the database system is starting up");
    let world = world.control(
        "replica-1",
        Seen::Known(control(ControlState::InArchiveRecovery, Lsn(0x578), 1)),
    );
    let world = world.since(&observe::no_answer("replica-1"), 31);
    insta::assert_snapshot!(world.plan(), @"replica-1: remember that replica-1 was not promoted, because replica-1 does not answer: the database system is starting up; master stays the primary");
}
