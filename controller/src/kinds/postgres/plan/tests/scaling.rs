//! Members beyond the wanted number leave; the primary never does.

use super::world::{HERE, World, control};
use crate::kinds::postgres::spec::OnScaleDown;
use crate::model::container::RunState;
use crate::model::postgres::{ControlState, Down};
use crate::model::{Lsn, Seen};

fn fewer(replicas: u32, kept: OnScaleDown) -> World {
    World::new(2).healthy().edit(|spec| {
        spec.replicas = replicas;
        spec.storage.on_scale_down = kept;
    })
}

#[test]
fn replicas_beyond_the_count_leave_and_their_volumes_stay() {
    let world = fewer(1, OnScaleDown::Keep);
    insta::assert_snapshot!(world.plan(), @r"
    replica-2: stop container (60 s grace), because spec.replicas is 1
    replica-2: remove container, because spec.replicas is 1
    ");
    insta::assert_snapshot!(fewer(0, OnScaleDown::Keep).plan(), @r"
    replica-1: stop container (60 s grace), because spec.replicas is 0
    replica-1: remove container, because spec.replicas is 0
    replica-2: stop container (60 s grace), because spec.replicas is 0
    replica-2: remove container, because spec.replicas is 0
    ");
}

#[test]
fn the_slot_of_a_member_that_left_is_dropped_when_nobody_uses_it() {
    insta::assert_snapshot!(fewer(1, OnScaleDown::Keep).remove("replica-2").plan(), @"master: drop replication slot replica_2, because no replica uses it, and it would hold WAL for ever");
}

#[test]
fn the_primary_stays_whatever_its_number() {
    let world = World::new(2).healthy_with("replica-5");
    insta::assert_snapshot!(world.plan(), @"nothing to do");
    let world = world.edit(|spec| spec.replicas = 0);
    insta::assert_snapshot!(world.plan(), @r"
    master: stop container (60 s grace), because spec.replicas is 0
    master: remove container, because spec.replicas is 0
    replica-1: stop container (60 s grace), because spec.replicas is 0
    replica-1: remove container, because spec.replicas is 0
    ");
}

#[test]
fn nobody_leaves_while_the_primary_does_not_answer() {
    let world = fewer(1, OnScaleDown::Delete).down("master", Down::StartingUp, "recovering");
    insta::assert_snapshot!(world.plan(), @"master: waiting, its server is starting: recovering");
}

#[test]
fn a_proved_copy_is_deleted_when_the_manifest_says_so() {
    let world = fewer(1, OnScaleDown::Delete);
    insta::assert_snapshot!(world.plan(), @r"
    replica-2: remember that volume pg-replica-2-g1 is no longer used, because spec.replicas is 1
    replica-2: stop container (60 s grace), because spec.replicas is 1
    replica-2: remove container, because spec.replicas is 1
    ");
    let retired = world.next();
    let left = retired.actions().fold(world.remove("replica-2"), |world, action| {
        world.remember(|memory| {
            if let crate::model::plan::Op::Remember(change) = &action.op {
                memory.apply(change);
            }
        })
    });
    insta::assert_snapshot!(left.plan(), @r"
    master: drop replication slot replica_2, because no replica uses it, and it would hold WAL for ever
    pg-replica-2-g1: remove volume pg-replica-2-g1, because spec.replicas is 1, and it held nothing that the primary does not have
    pg-replica-2-g1: remember that volume pg-replica-2-g1 is no longer retired, because it is no longer retired
    ");
}

#[test]
fn a_volume_that_is_not_proved_to_be_a_copy_is_kept_against_the_manifest() {
    // The primary goes on while one server is asked after the other: what counts is where a stopped member stands.
    let ahead = fewer(1, OnScaleDown::Delete).facts("replica-2", |facts| facts.receive_lsn = Lsn(0x501));
    insta::assert_snapshot!(ahead.plan(), @"replica-2: stop container (60 s grace), because spec.replicas is 1");
    let stopped = fewer(1, OnScaleDown::Delete).stop("replica-2").control(
        "replica-2",
        Seen::Known(control(ControlState::ShutDownInRecovery, Lsn(0x501), 1)),
    );
    insta::assert_snapshot!(stopped.plan(), @r"
    master: drop replication slot replica_2, because no replica uses it, and it would hold WAL for ever
    replica-2: remember that volume pg-replica-2-g1 is no longer used, because spec.replicas is 1
    replica-2: remove container, because spec.replicas is 1
    replica-2: blocked, its volume pg-replica-2-g1 is kept although spec.storage.onScaleDown is Delete: it is not proved that the primary has all its data
    ");
    let unknown = fewer(1, OnScaleDown::Delete)
        .stop("replica-2")
        .control("replica-2", Seen::Unknown("the archive is truncated".to_owned()));
    insta::assert_snapshot!(unknown.plan(), @r"
    master: drop replication slot replica_2, because no replica uses it, and it would hold WAL for ever
    replica-2: remember that volume pg-replica-2-g1 is no longer used, because spec.replicas is 1
    replica-2: remove container, because spec.replicas is 1
    replica-2: blocked, its volume pg-replica-2-g1 is kept although spec.storage.onScaleDown is Delete: it is not proved that the primary has all its data
    ");
}

#[test]
fn what_a_stopped_standby_of_an_older_timeline_received_is_not_known() {
    let on_older = |timeline| {
        fewer(1, OnScaleDown::Delete)
            .facts("master", |facts| {
                facts.timeline = 2;
                facts.history = vec![(1, HERE)];
            })
            .stop("replica-2")
            .control(
                "replica-2",
                Seen::Known(control(ControlState::ShutDownInRecovery, Lsn(0x300), timeline)),
            )
            .plan()
    };
    assert!(on_older(1).contains("it is not proved"));
    assert!(!on_older(2).contains("it is not proved"));
}

#[test]
fn a_frozen_member_is_thawed_to_leave() {
    let world = fewer(1, OnScaleDown::Keep).container("replica-2", |c| c.state = RunState::Paused);
    insta::assert_snapshot!(world.down("replica-2", Down::NoAnswer, "paused").plan(), @r"
    replica-2: unpause container, because a frozen container cannot stop
    replica-2: stop container (60 s grace), because spec.replicas is 1
    replica-2: remove container, because spec.replicas is 1
    ");
    let between = fewer(1, OnScaleDown::Keep).container("replica-2", |c| c.state = RunState::Between);
    insta::assert_snapshot!(between.down("replica-2", Down::NoAnswer, "between").plan(), @"replica-2: waiting, its container is between two states");
}

#[test]
fn a_replica_that_comes_back_uses_its_old_volume() {
    let world = World::new(2)
        .healthy()
        .remove("replica-2")
        .edit(|spec| spec.replicas = 2);
    insta::assert_snapshot!(world.plan(), @"replica-2: create container pg-replica-2, because it is missing");
}
