//! Whether a member's data can follow the primary as it is.

use super::world::{HERE, World, control};
use crate::kinds::postgres::observe;
use crate::model::postgres::{ControlState, Down};
use crate::model::{Lsn, Seen};

/// `replica-1` took over on timeline 2, which left timeline 1 at 0/500; `master` was the primary before and is down.
fn switched() -> World {
    World::new(1)
        .healthy_with("replica-1")
        .facts("replica-1", |facts| {
            facts.timeline = 2;
            facts.lsn = Lsn(0x900);
            facts.history = vec![(1, HERE)];
        })
        .stop("master")
}

fn former(state: ControlState, checkpoint: u64, timeline: u32) -> World {
    switched().control("master", Seen::Known(control(state, Lsn(checkpoint), timeline)))
}

#[test]
fn a_former_primary_that_stopped_cleanly_before_the_branch_point_follows() {
    insta::assert_snapshot!(former(ControlState::ShutDown, 0x4f0, 1).plan(), @r"
    master: disconnect from network pg-svc, because it gets its names when it streams
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was stopped
    ");
}

#[test]
fn a_former_primary_that_wrote_beyond_the_branch_point_is_seeded_anew_and_its_volume_kept() {
    let world = former(ControlState::ShutDown, 0x500, 1);
    insta::assert_snapshot!(world.plan(), @"master: remember that master gets a new volume in place of pg-master-g1, because it cannot follow the primary: it wrote up to 0/500 on timeline 1, which the primary left at 0/500");
    assert!(format!("{:?}", world.next().chains).contains("proved_copy: false"));
}

#[test]
fn a_former_primary_that_did_not_stop_cleanly_is_seeded_anew_and_its_volume_kept() {
    let world = former(ControlState::InProduction, 0x100, 1);
    insta::assert_snapshot!(world.plan(), @"master: remember that master gets a new volume in place of pg-master-g1, because it cannot follow the primary: it was a primary and did not stop cleanly, so it may hold writes that nobody else has");
    assert!(format!("{:?}", world.next().chains).contains("proved_copy: false"));
}

#[test]
fn a_former_primary_of_an_unknown_timeline_is_seeded_anew() {
    insta::assert_snapshot!(former(ControlState::ShutDown, 0x100, 7).plan(), @"master: remember that master gets a new volume in place of pg-master-g1, because it cannot follow the primary: it was a primary on timeline 7, which is not in the present primary's past");
    // On the primary's own timeline two members wrote: that is no past either.
    insta::assert_snapshot!(former(ControlState::ShutDown, 0x100, 2).plan(), @"master: remember that master gets a new volume in place of pg-master-g1, because it cannot follow the primary: it was a primary on timeline 2, which is not in the present primary's past");
}

#[test]
fn a_former_primary_waits_until_the_present_one_answers() {
    let world = former(ControlState::ShutDown, 0x4f0, 1);
    let world = world.down("replica-1", crate::model::postgres::Down::StartingUp, "recovering");
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: waiting, its server is starting: recovering
    master: waiting, it was a primary, and whether it can follow depends on the present one, which does not answer
    ");
}

#[test]
fn nothing_is_decided_on_a_control_file_that_cannot_be_read() {
    let world = switched().control("master", Seen::Unknown("the archive is truncated".to_owned()));
    insta::assert_snapshot!(world.plan(), @"master: waiting, its control file cannot be read");
}

#[test]
fn an_empty_volume_is_seeded_by_the_start() {
    insta::assert_snapshot!(switched().control("master", Seen::Absent).plan(), @r"
    master: disconnect from network pg-svc, because it gets its names when it streams
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was stopped
    ");
}

#[test]
fn a_running_replica_ahead_on_the_primarys_own_timeline_is_seeded_anew() {
    let world = World::new(1)
        .healthy()
        .cut_off("replica-1", 5)
        .facts("replica-1", |facts| facts.receive_lsn = Lsn(0x501));
    insta::assert_snapshot!(world.plan(), @"replica-1: remember that replica-1 gets a new volume in place of pg-replica-1-g1, because it cannot follow the primary: it is at 0/501 on the primary's own timeline, ahead of the primary's 0/500");
}

#[test]
fn a_running_replica_beyond_the_branch_point_is_seeded_anew() {
    let behind = |lsn| {
        World::new(1)
            .healthy()
            .cut_off("replica-1", 5)
            .facts("master", |facts| {
                facts.timeline = 2;
                facts.lsn = Lsn(0x900);
                facts.history = vec![(1, HERE)];
            })
            .facts("replica-1", |facts| facts.lsn = Lsn(lsn))
    };
    insta::assert_snapshot!(behind(0x501).plan(), @"replica-1: remember that replica-1 gets a new volume in place of pg-replica-1-g1, because it cannot follow the primary: it is at 0/501 on timeline 1, which the primary left at 0/500");
    insta::assert_snapshot!(behind(0x500).plan(), @"replica-1: waiting, it has not streamed for 5 s; its log does not say why");
}

#[test]
fn a_running_replica_on_a_strange_timeline_is_seeded_anew() {
    let on = |timeline| {
        World::new(1)
            .healthy()
            .cut_off("replica-1", 5)
            .facts("master", |facts| facts.timeline = 3)
            .facts("replica-1", |facts| facts.timeline = timeline)
    };
    insta::assert_snapshot!(on(2).plan(), @"replica-1: remember that replica-1 gets a new volume in place of pg-replica-1-g1, because it cannot follow the primary: it follows timeline 2, which is not in the primary's past");
    insta::assert_snapshot!(on(4).plan(), @"replica-1: remember that replica-1 gets a new volume in place of pg-replica-1-g1, because it cannot follow the primary: it is on timeline 4, beyond the primary's 3");
}

#[test]
fn a_diverged_replica_is_never_a_proved_copy() {
    let world = World::new(1)
        .healthy()
        .cut_off("replica-1", 5)
        .facts("replica-1", |facts| facts.timeline = 4);
    assert!(format!("{:?}", world.next().chains).contains("proved_copy: false"));
}

#[test]
fn a_replica_that_streams_with_more_than_its_primary_ever_had_is_seeded_anew() {
    let had = |at: u64| {
        let mut world = World::new(1).healthy();
        let before = (1, Lsn(at));
        world.observed.reached_before.insert("replica-1".to_owned(), before);
        world
    };
    let plan = had(0x501).plan();
    assert!(
        plan.contains("it was at 0/501 on the primary's own timeline, ahead of the primary's 0/500"),
        "{plan}"
    );
    assert!(format!("{:?}", had(0x501).next().chains).contains("proved_copy: false"));
    insta::assert_snapshot!(had(0x500).plan(), @"nothing to do");
}

#[test]
fn a_replica_whose_server_misses_a_file_at_every_login_is_damaged() {
    let why = "could not open file \"global/pg_filenode.map\": No such file or directory";
    let silent = |secs| {
        World::new(1)
            .healthy()
            .down("replica-1", Down::NoAnswer, why)
            .since(&observe::no_answer("replica-1"), secs)
            .plan()
    };
    assert!(silent(5).contains("its data directory is damaged"), "{}", silent(5));
    assert!(!silent(4).contains("damaged"), "{}", silent(4));
    let primary = World::new(1).healthy().down("master", Down::NoAnswer, why);
    let primary = primary.since(&observe::no_answer("master"), 60).plan();
    assert!(!primary.contains("new volume"), "{primary}");
}
