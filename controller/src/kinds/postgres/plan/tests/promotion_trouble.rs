//! A promotion whose members die on the way. Until the request every failure rolls back; after it there is only forward,
//! unless the target is seen to have died without having been promoted.

use super::world::{HERE, World, control};
use crate::kinds::postgres::observe;
use crate::model::container::RunState;
use crate::model::postgres::{ControlState, Down};
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
    replica-1: promote, because master is down and the promotion is forced
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
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
    replica-1: promote, because master is down and the promotion is forced
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    ");
}

#[test]
fn an_old_primary_that_fell_silent_rolls_back_after_a_while() {
    let world = World::new(1)
        .healthy()
        .promoting("replica-1")
        .down("master", Down::NoAnswer, "timeout");
    insta::assert_snapshot!(world.plan(), @"master: waiting, its fast shutdown is under way");
    insta::assert_snapshot!(world.later(31).plan(), @"replica-1: remember that replica-1 was not promoted, because master does not answer any more: timeout; master stays the primary");
}

#[test]
fn a_target_that_died_before_its_promotion_rolls_back() {
    insta::assert_snapshot!(target_died(ControlState::InArchiveRecovery).plan(), @"replica-1: remember that replica-1 was not promoted, because replica-1 died before it was promoted; master stays the primary");
    insta::assert_snapshot!(target_died(ControlState::ShutDownInRecovery).forced().plan(), @"replica-1: remember that replica-1 was not promoted, because replica-1 died before it was promoted; master stays the primary");
}

#[test]
fn a_target_that_died_after_its_promotion_is_the_primary() {
    insta::assert_snapshot!(target_died(ControlState::InProduction).plan(), @"replica-1: remember that replica-1 is the primary, because replica-1 was promoted and then stopped");
    insta::assert_snapshot!(target_died(ControlState::ShutDown).plan(), @"replica-1: remember that replica-1 is the primary, because replica-1 was promoted and then stopped");
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
    insta::assert_snapshot!(world.since(&observe::no_answer("replica-1"), 31).plan(), @"replica-1: send SIGKILL, because it does not answer, and whether it was promoted can only be told when it is down");
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
