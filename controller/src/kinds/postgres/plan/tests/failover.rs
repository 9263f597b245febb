//! A primary that cannot be brought back: who takes over unasked, and when nobody does.

use super::world::{HERE, World, control};
use crate::kinds::postgres::memory::{Change, PromotionResult, Starts};
use crate::kinds::postgres::observe;
use crate::kinds::postgres::spec::{FailoverMode, ReplicationMode};
use crate::model::container::{Disk, RunState};
use crate::model::plan::Op;
use crate::model::postgres::{ControlState, Down};
use crate::model::{Lsn, Seen};

fn automatic() -> World {
    World::new(2)
        .healthy()
        .edit(|spec| spec.failover.mode = FailoverMode::Automatic)
        .since(&observe::not_serving("master"), 0)
}

fn failed_starts(count: u32) -> impl FnOnce(&mut crate::kinds::postgres::memory::Memory) {
    move |memory| {
        let last = super::world::NOW - 600;
        memory.starts.insert("master".to_owned(), Starts { count, last });
    }
}

fn looping() -> World {
    automatic()
        .ended("master", 1, ControlState::InProduction)
        .log("master", "FATAL:  database files are incompatible with server")
        .remember(failed_starts(3))
}

fn promotes(world: &World) -> bool {
    let plan = world.next();
    plan.actions().any(|a| matches!(a.op, Op::Remember(Change::Promote(_))))
}

#[test]
fn a_lost_primary_is_replaced_by_the_replica_that_has_most() {
    insta::assert_snapshot!(automatic().lose("master").plan(), @"master: remember that replica-1 is to be promoted, because its volume pg-master-g1 is gone; replica-1 takes over: nothing that master was seen to have is lost, only what it wrote after it was last looked at");
    let ahead = automatic()
        .facts("replica-2", |f| f.receive_lsn = Lsn(0x600))
        .lose("master");
    insta::assert_snapshot!(ahead.plan(), @"master: remember that replica-2 is to be promoted, because its volume pg-master-g1 is gone; replica-2 takes over: nothing that master was seen to have is lost, only what it wrote after it was last looked at");
}

#[test]
fn without_anybody_to_ask_a_lost_primary_is_asked_about() {
    let asked = World::new(2).healthy().lose("master");
    assert!(!promotes(&asked));
    insta::assert_snapshot!(asked.plan(), @"master: needs your confirmation, its volume pg-master-g1 is gone. It is not initialised empty, because the data is also on replica-1 and replica-2. To go on: `reconciler promote replica-1 --force`, which lacks 0 bytes of the log that master was seen to have");
}

#[test]
fn a_primary_that_only_died_is_started_where_it_is() {
    insta::assert_snapshot!(automatic().kill("master").plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was killed (exit code 137)
    ");
    assert!(!promotes(&automatic().remove("master")), "its volume is there");
    let starting = looping().container("master", |c| c.state = RunState::Running);
    assert!(
        !promotes(&starting.down("master", Down::StartingUp, "recovery")),
        "it recovers"
    );
    assert!(
        !promotes(&automatic().down("master", Down::NoAnswer, "timeout")),
        "it may run"
    );
}

#[test]
fn an_empty_or_damaged_volume_and_a_crash_loop_are_beyond_a_restart() {
    let ended = |code| automatic().ended("master", code, ControlState::InProduction);
    insta::assert_snapshot!(ended(79).plan(), @"master: remember that replica-1 is to be promoted, because its volume pg-master-g1 holds no data; replica-1 takes over: nothing that master was seen to have is lost, only what it wrote after it was last looked at");
    insta::assert_snapshot!(ended(80).plan(), @"master: remember that replica-1 is to be promoted, because its data directory is damaged; replica-1 takes over: nothing that master was seen to have is lost, only what it wrote after it was last looked at");
    insta::assert_snapshot!(looping().plan(), @"master: remember that replica-1 is to be promoted, because it failed to start several times; it ended with exit code 1: FATAL:  database files are incompatible with server; replica-1 takes over: nothing that master was seen to have is lost, only what it wrote after it was last looked at");
    assert!(
        !promotes(&looping().remember(failed_starts(2))),
        "a third start is tried"
    );
    let refused = looping().container("master", |c| {
        c.state = RunState::Created;
        c.error = "port is already allocated".to_owned();
    });
    insta::assert_snapshot!(refused.plan(), @"master: remember that replica-1 is to be promoted, because it failed to start several times; the engine could not start it: port is already allocated; replica-1 takes over: nothing that master was seen to have is lost, only what it wrote after it was last looked at");
}

#[test]
fn a_crash_loop_is_told_with_the_way_out_when_nobody_decides_alone() {
    let manual = looping().edit(|spec| spec.failover.mode = FailoverMode::Manual);
    insta::assert_snapshot!(manual.plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it ended with exit code 1: FATAL:  database files are incompatible with server
    master: blocked, it failed to start several times; it ended with exit code 1: FATAL:  database files are incompatible with server. It is tried again and again. Another takes over with `reconciler promote replica-1 --force`, which lacks 0 bytes of the log that master was seen to have
    ");
}

#[test]
fn the_delay_is_kept() {
    let slow = || automatic().edit(|spec| spec.failover.delay = "30s".to_owned());
    let lost = slow().since(&observe::not_serving("master"), 29).lose("master");
    insta::assert_snapshot!(lost.plan(), @"master: waiting, its volume pg-master-g1 is gone; a replica takes over in 1 s");
    assert!(promotes(
        &slow().since(&observe::not_serving("master"), 30).lose("master")
    ));
}

#[test]
fn nobody_takes_over_on_a_full_disk() {
    let full = looping().log(
        "master",
        "PANIC:  could not write to file: No space left on device\nlast words",
    );
    insta::assert_snapshot!(full.plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it ended with exit code 1: PANIC:  could not write to file: No space left on device
    master: blocked, no space is left for its volume pg-master-g1 (102400 MiB of 204800 MiB are free at /var/lib/docker/volumes): its log says: PANIC:  could not write to file: No space left on device. Free some, or enlarge the disk; it goes on by itself. Another member would not help, so none takes over
    ");
    let mut world = looping();
    world.observed.objects.disk = Seen::Known(Disk {
        path: "/var/lib/docker/volumes".to_owned(),
        free_bytes: 4096,
        total_bytes: 1 << 40,
    });
    assert!(!promotes(&world));
}

#[test]
fn a_laggard_does_not_take_over_unasked_and_the_bytes_are_said() {
    let behind = |bytes: u64| {
        let world = automatic().edit(|spec| spec.replication.max_lag = "1MiB".to_owned());
        world.facts("master", |f| f.lsn = Lsn(HERE.0 + bytes)).lose("master")
    };
    assert!(promotes(&behind(1 << 20)));
    insta::assert_snapshot!(behind((1 << 20) + 1).plan(), @"master: needs your confirmation, its volume pg-master-g1 is gone. It is not initialised empty, because the data is also on replica-1 and replica-2. Nobody takes over unasked: replica-1 lacks 1048577 bytes of its log, and spec.replication.maxLag is 1048576. To go on: `reconciler promote replica-1 --force`, which lacks 1048577 bytes of the log that master was seen to have");
}

#[test]
fn what_only_the_note_tells_counts_with_what_may_have_come_after_it() {
    let noted = |bytes: u64| {
        let mut world = automatic().edit(|spec| spec.replication.max_lag = "1MiB".to_owned());
        world = world.facts("master", |f| f.lsn = Lsn(HERE.0 + bytes)).lose("master");
        world.observed.high_water = None;
        world
    };
    assert!(promotes(&noted(3 << 18)));
    insta::assert_snapshot!(noted((3 << 18) + 1).plan(), @"master: needs your confirmation, its volume pg-master-g1 is gone. It is not initialised empty, because the data is also on replica-1 and replica-2. Nobody takes over unasked: replica-1 lacks 786433 bytes and up to 262144 more of its log, and spec.replication.maxLag is 1048576. To go on: `reconciler promote replica-1 --force`, which lacks 786433 bytes of master's log and up to 262144 more");
    let unknown = noted(0).remember(|memory| memory.high_water = None);
    insta::assert_snapshot!(unknown.plan(), @"master: needs your confirmation, its volume pg-master-g1 is gone. It is not initialised empty, because the data is also on replica-1 and replica-2. Nobody takes over unasked: how far its log had come is not known. To go on: `reconciler promote replica-1 --force`");
}

#[test]
fn nobody_takes_over_unasked_before_it_is_settled_whom_commits_waited_for() {
    let unsettled = automatic().edit(|spec| spec.replication.mode = ReplicationMode::Synchronous);
    assert!(promotes(&automatic().lose("master")));
    let lost = unsettled.lose("master");
    assert!(!promotes(&lost));
    let plan = lost.plan();
    assert!(
        plan.contains("Nobody takes over unasked: which replicas have every acknowledged write was not settled yet.")
    );
}

#[test]
fn a_replica_of_another_timeline_does_not_take_over_unasked() {
    let world = automatic().facts("master", |f| f.timeline = 2).lose("master");
    insta::assert_snapshot!(world.plan(), @"master: needs your confirmation, its volume pg-master-g1 is gone. It is not initialised empty, because the data is also on replica-1 and replica-2. Nobody takes over unasked: replica-1 is on timeline 1 and master was on 2, so what it lacks is not known. To go on: `reconciler promote replica-1 --force`");
    let ahead = automatic()
        .facts("replica-1", |f| f.timeline = 2)
        .facts("replica-2", |f| f.timeline = 2)
        .lose("master");
    assert!(!promotes(&ahead), "somebody else's timeline");
}

#[test]
fn a_replica_that_may_answer_yet_is_waited_for() {
    let silent = |secs| {
        automatic()
            .down("replica-2", Down::NoAnswer, "timeout")
            .since(&observe::no_answer("replica-2"), secs)
            .lose("master")
    };
    insta::assert_snapshot!(silent(9).plan(), @r"
    replica-2: disconnect from network pg-svc, because it has not answered for 9 s
    master: waiting, its volume pg-master-g1 is gone; replica-2 may have received most and does not answer yet
    replica-2: waiting, its server does not answer: timeout
    ");
    assert!(promotes(&silent(10)));
}

#[test]
fn stopped_replicas_of_a_lost_primary_are_started_and_then_one_takes_over() {
    let world = automatic().stop("replica-1").stop("replica-2").lose("master");
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: disconnect from network pg-svc, because it gets its names when it streams
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-1: remember that replica-1 is being started, because a start that leads nowhere is not repeated at once
    replica-1: start container, because it was stopped
    replica-2: disconnect from network pg-svc, because it gets its names when it streams
    replica-2: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-2: remember that replica-2 is being started, because a start that leads nowhere is not repeated at once
    replica-2: start container, because it was stopped
    master: waiting, its volume pg-master-g1 is gone; replica-1 may have received most and does not answer yet
    ");
}

#[test]
fn somebody_elses_container_or_volume_in_its_place_is_looked_at_first() {
    assert!(!promotes(&automatic().lose("master").neighbour("pg-master", &[])));
    let mut world = automatic().lose("master");
    world.observed.objects.foreign_volumes.push("pg-master-g1".to_owned());
    assert!(!promotes(&world));
}

#[test]
fn a_try_that_failed_is_not_repeated_at_once() {
    let failed = |at: i64| {
        let result = PromotionResult {
            to: "replica-1".to_owned(),
            message: "master runs again".to_owned(),
            at,
            ..PromotionResult::default()
        };
        automatic()
            .lose("master")
            .remember(|memory| memory.last_promotion = Some(result))
    };
    insta::assert_snapshot!(failed(super::world::NOW - 29).plan(), @"master: needs your confirmation, its volume pg-master-g1 is gone. It is not initialised empty, because the data is also on replica-1 and replica-2. Nobody takes over unasked: the last try with replica-1 failed: master runs again. To go on: `reconciler promote replica-1 --force`, which lacks 0 bytes of the log that master was seen to have");
    assert!(promotes(&failed(super::world::NOW - 30)));
}

/// After the decision.
fn decided(world: World) -> World {
    let plan = world.next();
    let change = plan.actions().find_map(|a| match &a.op {
        Op::Remember(change @ Change::Promote(_)) => Some(change.clone()),
        Op::Remember(_) | Op::Listen(_) | Op::Grafana(..) | Op::Engine(_) | Op::Sql(..) => None,
    });
    world.remember(|memory| memory.apply(&change.expect("somebody takes over")))
}

#[test]
fn the_rest_is_a_forced_promotion_and_the_loss_is_told() {
    let lost = decided(automatic().facts("master", |f| f.lsn = Lsn(0x700)).lose("master"));
    insta::assert_snapshot!(lost.plan(), @r"
    replica-1: remember that its promotion is requested, because from now on there is only forward
    replica-1: promote, because master is down; 512 bytes of the log that master was seen to have are lost, and what it wrote after it was last looked at
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    replica-1: create replication slot master, because master will follow it
    replica-1: create replication slot replica_2, because replica-2 will follow it
    ");
    let loops = decided(looping());
    insta::assert_snapshot!(loops.plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because fenced: whoever starts it gets a replica, now that replica-1 takes over
    master: remember that master is fenced, because its role file says replica
    replica-1: remember that its promotion is requested, because from now on there is only forward
    replica-1: promote, because master is down; nothing that master was seen to have is lost, only what it wrote after it was last looked at
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    replica-1: create replication slot master, because master will follow it
    replica-1: create replication slot replica_2, because replica-2 will follow it
    ");
    let sent = lost.next().actions().find_map(|a| match &a.op {
        Op::Remember(change @ Change::Requested { .. }) => Some(change.clone()),
        Op::Remember(_) | Op::Listen(_) | Op::Grafana(..) | Op::Engine(_) | Op::Sql(..) => None,
    });
    let over = lost
        .remember(|memory| memory.apply(&sent.expect("it is asked")))
        .facts("replica-1", |f| {
            f.in_recovery = false;
            f.timeline = 2;
        });
    insta::assert_snapshot!(over.plan(), @"replica-1: remember that replica-1 is the primary, because replica-1 is the primary; 512 bytes of the log that master was seen to have are lost, and what it wrote after it was last looked at");
    let ended = over.next().actions().find_map(|a| match &a.op {
        Op::Remember(Change::Promoted(result)) => Some((result.automatic, result.lost_bytes)),
        Op::Remember(_) | Op::Listen(_) | Op::Grafana(..) | Op::Engine(_) | Op::Sql(..) => None,
    });
    assert_eq!(ended, Some((true, Some(0x200))));
}

#[test]
fn a_primary_that_came_back_in_time_keeps_its_role() {
    let back = decided(looping()).container("master", |c| c.state = RunState::Running);
    insta::assert_snapshot!(back.plan(), @"replica-1: remember that replica-1 was not promoted, because master runs again; master stays the primary");
}

#[test]
fn a_promoted_server_is_checkpointed() {
    let world = World::new(0).healthy().facts("master", |f| f.checkpoint_due = true);
    insta::assert_snapshot!(world.plan(), @"master: checkpoint, because it was promoted, and its control file still names the timeline before");
}

#[test]
fn a_primary_that_works_has_failed_for_the_last_time() {
    let world = World::new(0).healthy().remember(failed_starts(3));
    insta::assert_snapshot!(world.plan(), @"master: remember that master works, because it serves");
}

#[test]
fn how_far_it_has_come_is_noted_when_it_has_moved_far_enough() {
    let moved = |bytes: u64| {
        let noted = |memory: &mut crate::kinds::postgres::memory::Memory| memory.high_water = Some((1, HERE));
        let world = World::new(0).healthy().facts("master", |f| f.lsn = Lsn(HERE.0 + bytes));
        world.remember(noted).plan()
    };
    assert_eq!(moved(16 << 20), "nothing to do\n");
    insta::assert_snapshot!(moved((16 << 20) + 1), @"pg: remember that its log has come to 0/1000501 on timeline 1, because what would be lost without it has to be known when it is gone");
}

#[test]
fn a_stopped_primarys_own_checkpoint_is_its_end() {
    let mut world = automatic().stop("master").remember(failed_starts(3));
    world = world.control("master", Seen::Known(control(ControlState::ShutDown, Lsn(0x900), 1)));
    world.observed.high_water = None;
    insta::assert_snapshot!(world.plan(), @"master: remember that replica-1 is to be promoted, because it failed to start several times; it was stopped; replica-1 takes over: 1024 bytes of the log that master was seen to have are lost, and what it wrote after it was last looked at");
}
