//! A switchover, step by step, and a forced promotion.

use super::world::{HERE, World, control, slot};
use crate::kinds::postgres::memory::Change;
use crate::kinds::postgres::observe;
use crate::model::container::RunState;
use crate::model::plan::Op;
use crate::model::postgres::{ControlState, Down};
use crate::model::{Lsn, Seen};

fn switchover() -> World {
    World::new(2).healthy().promoting("replica-1")
}

/// The old primary is down in good order; `replica-1` has replayed beyond its last record.
fn stopped() -> World {
    switchover()
        .stop("master")
        .facts("replica-1", |facts| facts.lsn = Lsn(0x578))
}

#[test]
fn first_the_old_primary_is_fenced_and_writes_a_checkpoint() {
    insta::assert_snapshot!(switchover().plan(), @r"
    replica-1: create replication slot master, because master will follow it
    replica-1: create replication slot replica_2, because replica-2 will follow it
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because fenced: whoever starts it gets a replica, now that replica-1 takes over
    master: remember that master is fenced, because its role file says replica
    master: checkpoint, because the checkpoint of its shutdown is then a short one
    master: remember that its checkpoint is written, because it can be stopped
    ");
    assert!(switchover().next().exclusive, "nothing else happens meanwhile");
}

fn fenced() -> World {
    switchover().remember(|memory| memory.apply(&Change::Fenced("master".to_owned())))
}

/// All that may take long is done.
fn stoppable(world: World) -> World {
    world.remember(|memory| memory.apply(&Change::Checkpointed(1)))
}

#[test]
fn when_it_has_written_its_checkpoint_it_is_stopped() {
    insta::assert_snapshot!(stoppable(fenced()).plan(), @r"
    replica-1: create replication slot master, because master will follow it
    replica-1: create replication slot replica_2, because replica-2 will follow it
    master: remember that it is being stopped, because replica-1 has all that it needs to take over
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    master: send SIGINT, because replica-1 takes over
    ");
    let stops = |world: &World| world.plan().contains("master: send SIGINT");
    assert!(!stops(&stoppable(switchover())), "it is not fenced");
    assert!(!stops(&fenced()), "its checkpoint is not written");
    let of_another = fenced().remember(|memory| memory.apply(&Change::Checkpointed(2)));
    assert!(!stops(&of_another), "that was asked for by another promotion");
    assert!(!stops(&fenced().forced().later(10)));
    let without = fenced().forced().later(11);
    assert!(stops(&without), "a sick disk may never end it");
    let (id, at) = (1, without.now);
    let begun = without.remember(|memory| memory.apply(&Change::Stopping { id, at }));
    assert!(stops(&begun), "its stop has begun, and a step of it failed");
}

#[test]
fn what_changed_during_the_checkpoint_calls_it_off() {
    let third = stoppable(fenced()).facts("replica-2", |facts| {
        facts.in_recovery = false;
        facts.timeline = 2;
    });
    insta::assert_snapshot!(third.plan(), @"replica-1: remember that replica-1 was not promoted, because replica-2 accepts writes; master stays the primary");
    let lags = stoppable(fenced()).cut_off("replica-1", 1);
    assert!(lags.plan().contains("replica-1 was not promoted"), "{}", lags.plan());
}

#[test]
fn a_primary_that_cannot_be_asked_to_stop_keeps_its_role() {
    assert!(switchover().later(120).plan().contains("master: deliver"));
    insta::assert_snapshot!(switchover().later(121).plan(), @"replica-1: remember that replica-1 was not promoted, because master could not be asked to stop within 120 s; master stays the primary");
    assert!(switchover().forced().later(121).plan().contains("master: deliver"));
    // A long checkpoint is waited for, and does not count afterwards.
    assert!(fenced().later(900).plan().contains("master: checkpoint"));
    insta::assert_snapshot!(fenced().later(901).plan(), @"replica-1: remember that replica-1 was not promoted, because master could not be asked to stop within 900 s; master stays the primary");
    let begun = stoppable(fenced()).later(600);
    let (id, at) = (1, begun.now);
    let begun = begun.remember(|memory| memory.apply(&Change::Stopping { id, at }));
    assert!(begun.clone().later(120).plan().contains("master: send SIGINT"));
    assert!(begun.later(121).plan().contains("replica-1 was not promoted"));
}

#[test]
fn its_shutdown_is_waited_for() {
    let world = switchover().down("master", Down::ShuttingDown, "the database system is shutting down");
    insta::assert_snapshot!(world.plan(), @"master: waiting, its fast shutdown is under way");
    insta::assert_snapshot!(world.clone().since(&observe::no_answer("master"), 60).plan(), @"master: waiting, its fast shutdown is under way");
    insta::assert_snapshot!(world.since(&observe::no_answer("master"), 61).plan(), @r"
    master: remember that it is being killed, because it has been stopping for 61 s, longer than spec.stopGracePeriod
    master: send SIGKILL, because it has been stopping for 61 s, longer than spec.stopGracePeriod
    ");
}

/// Its server has shut down; its container has not ended yet.
fn ending() -> World {
    fenced()
        .down("master", Down::ShuttingDown, "it has shut down")
        .control("master", Seen::Known(control(ControlState::ShutDown, HERE, 1)))
        .facts("replica-1", |facts| facts.lsn = Lsn(0x578))
}

#[test]
fn whose_server_has_shut_down_is_not_waited_for_until_its_container_ends() {
    insta::assert_snapshot!(ending().plan(), @r"
    replica-1: remember that its promotion is requested, because from now on there is only forward
    replica-1: promote, because master is down and it has everything
    ");
    let waits = "master: waiting, its fast shutdown is under way";
    let stops = ending().control("master", Seen::Known(control(ControlState::InProduction, HERE, 1)));
    assert_eq!(stops.plan().trim(), waits);
    let unread = ending().control("master", Seen::Unknown("the engine did not answer".to_owned()));
    assert_eq!(unread.plan().trim(), waits);
    let lags = ending().facts("replica-1", |facts| facts.lsn = HERE);
    assert_eq!(lags.later(31).plan().trim(), waits, "its senders are still at work");
    let open = ending().remember(|memory| memory.promotion.as_mut().expect("it is under way").fenced = false);
    assert_eq!(
        open.plan().trim(),
        waits,
        "whoever started it would get a second primary"
    );
    let again = ending();
    let now = again.now;
    let again = again.container("master", |container| container.started_at = now);
    assert_eq!(again.plan().trim(), waits, "it is about to start");
}

#[test]
fn the_target_is_promoted_when_it_has_everything() {
    insta::assert_snapshot!(stopped().plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because fenced: whoever starts it gets a replica, now that replica-1 takes over
    master: remember that master is fenced, because its role file says replica
    replica-1: remember that its promotion is requested, because from now on there is only forward
    replica-1: promote, because master is down and it has everything
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    replica-1: create replication slot master, because master will follow it
    replica-1: create replication slot replica_2, because replica-2 will follow it
    ");
    let is_fenced = stopped().remember(|memory| memory.apply(&Change::Fenced("master".to_owned())));
    insta::assert_snapshot!(is_fenced.plan(), @r"
    replica-1: remember that its promotion is requested, because from now on there is only forward
    replica-1: promote, because master is down and it has everything
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    ");
}

#[test]
fn a_target_that_lags_is_waited_for_and_then_given_up() {
    let further = control(ControlState::ShutDown, Lsn(0x540), 1);
    let lags = stopped()
        .facts("replica-1", |facts| facts.lsn = HERE)
        .control("master", Seen::Known(further));
    insta::assert_snapshot!(lags.plan(), @"replica-1: waiting, it has replayed up to 0/500, and master stopped at 0/540");
    insta::assert_snapshot!(lags.clone().later(30).plan(), @"replica-1: waiting, it has replayed up to 0/500, and master stopped at 0/540");
    insta::assert_snapshot!(lags.later(31).plan(), @"replica-1: remember that replica-1 was not promoted, because it has replayed up to 0/500, and master stopped at 0/540; master stays the primary");
}

#[test]
fn a_target_that_lacks_nothing_but_the_last_record_takes_over_when_it_will_not_come() {
    // No session lived when it was written: every commit lies before it.
    let lacks = stopped().facts("replica-1", |facts| facts.lsn = HERE);
    insta::assert_snapshot!(lacks.plan().lines().nth(3).unwrap_or_default(), @"replica-1: promote, because master is down and it has everything");
    let streams = lacks
        .clone()
        .facts("replica-1", |facts| facts.receiver_streaming = true);
    insta::assert_snapshot!(streams.plan(), @"replica-1: waiting, it has replayed up to 0/500, and master stopped at 0/500");
    let has_not_replayed = lacks.facts("replica-1", |facts| facts.receive_lsn = Lsn(0x578));
    insta::assert_snapshot!(has_not_replayed.plan(), @"replica-1: waiting, it has replayed up to 0/500, and master stopped at 0/500");
}

#[test]
fn a_target_on_a_new_timeline_is_the_primary() {
    let promoted = |left: Lsn| {
        stopped().facts("replica-1", |facts| {
            facts.in_recovery = false;
            facts.timeline = 2;
            facts.history = vec![(1, left)];
        })
    };
    let has_all = promoted(Lsn(0x578));
    insta::assert_snapshot!(has_all.plan(), @"replica-1: remember that replica-1 is the primary, because replica-1 is the primary");
    let lacks = "replica-1: remember that replica-1 was not promoted, because somebody promoted replica-1 by hand, and nobody can tell whether it has all of master's writes; master stays the primary";
    assert_eq!(promoted(HERE).plan().trim(), lacks);
    let unclean = has_all.control("master", Seen::Known(control(ControlState::InProduction, HERE, 1)));
    assert_eq!(unclean.plan().trim(), lacks);
    insta::assert_snapshot!(unclean.forced().plan(), @"replica-1: remember that replica-1 is the primary, because replica-1 is the primary");
}

#[test]
fn afterwards_the_old_primary_follows_and_slots_are_made() {
    let plan = stopped().facts("replica-1", |facts| {
        facts.in_recovery = false;
        facts.timeline = 2;
        facts.history = vec![(1, Lsn(0x578))];
    });
    let change = plan.next().actions().find_map(|a| match &a.op {
        Op::Remember(change) => Some(change.clone()),
        Op::Engine(_) | Op::Sql(..) | Op::Listen(_) | Op::Grafana(..) => None,
    });
    let world = plan.remember(|memory| memory.apply(&change.expect("it is remembered")));
    assert_eq!(
        (world.memory.primary.as_deref(), world.memory.term),
        (Some("replica-1"), 2)
    );
    insta::assert_snapshot!(world.plan(), @r"
    master: disconnect from network pg-svc, because it gets its names when it streams
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was stopped
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because postgresql.conf, role differ from what the manifest asks for
    replica-1: reload the configuration, because its files changed
    replica-2: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because postgresql.conf differ from what the manifest asks for
    replica-2: reload the configuration, because its files changed
    replica-1: create replication slot master, because master has none, and the WAL that it needs could be recycled
    replica-1: create replication slot replica_2, because replica-2 has none, and the WAL that it needs could be recycled
    replica-1: disconnect from network pg-svc, because it is the primary
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it is the primary
    replica-2: waiting, it does not stream from replica-1 yet
    ");
}

#[test]
fn conditions_are_looked_at_again_before_the_stop() {
    let world = switchover().cut_off("replica-1", 1);
    insta::assert_snapshot!(world.plan(), @"replica-1: remember that replica-1 was not promoted, because the target streams: not connected; master stays the primary");
    insta::assert_snapshot!(switchover().facts("replica-1", |f| f.replay_paused = true).plan(), @"replica-1: remember that replica-1 was not promoted, because its replay is not paused: it is paused; master stays the primary");
    insta::assert_snapshot!(switchover().facts("replica-1", |f| f.timeline = 3).plan(), @"replica-1: remember that replica-1 was not promoted, because the target is on the primary's timeline: 3 and 1; master stays the primary");
}

#[test]
fn a_rolled_back_promotion_starts_the_old_primary_again() {
    let world = switchover().kill("master");
    insta::assert_snapshot!(world.plan(), @"replica-1: remember that replica-1 was not promoted, because master did not stop cleanly; master stays the primary");
    let back = world.remember(|memory| memory.promotion = None);
    insta::assert_snapshot!(back.plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was killed (exit code 137)
    ");
}

#[test]
fn a_forced_promotion_overrules_what_can_be_overruled() {
    let lags = switchover().forced().cut_off("replica-1", 1);
    insta::assert_snapshot!(lags.plan(), @r"
    replica-1: create replication slot master, because master will follow it
    replica-1: create replication slot replica_2, because replica-2 will follow it
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because fenced: whoever starts it gets a replica, now that replica-1 takes over
    master: remember that master is fenced, because its role file says replica
    master: checkpoint, because the checkpoint of its shutdown is then a short one
    master: remember that its checkpoint is written, because it can be stopped
    ");
    insta::assert_snapshot!(lags.facts("replica-1", |facts| facts.replay_paused = true).plan(), @"replica-1: remember that replica-1 was not promoted, because its replay is not paused: it is paused; master stays the primary");
}

#[test]
fn a_forced_promotion_kills_a_silent_primary_and_not_before_it_had_a_moment() {
    let world = switchover().forced().down("master", Down::NoAnswer, "timeout");
    insta::assert_snapshot!(world.clone().since(&observe::no_answer("master"), 2).plan(), @"master: waiting, it does not answer (timeout), and has to before it is stopped");
    insta::assert_snapshot!(world.since(&observe::no_answer("master"), 3).plan(), @"master: send SIGKILL, because it does not answer (timeout), and must be known to be down before replica-1 takes over");
}

#[test]
fn a_forced_promotion_needs_no_proof_but_a_fence() {
    insta::assert_snapshot!(switchover().forced().kill("master").plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because fenced: whoever starts it gets a replica, now that replica-1 takes over
    master: remember that master is fenced, because its role file says replica
    replica-1: remember that its promotion is requested, because from now on there is only forward
    replica-1: promote, because master is down; nothing that master was seen to have is lost, only what it wrote after it was last looked at
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    replica-1: create replication slot master, because master will follow it
    replica-1: create replication slot replica_2, because replica-2 will follow it
    ");
    insta::assert_snapshot!(switchover().forced().remove("master").plan(), @r"
    replica-1: remember that its promotion is requested, because from now on there is only forward
    replica-1: promote, because master is down; nothing that master was seen to have is lost, only what it wrote after it was last looked at
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    replica-1: create replication slot master, because master will follow it
    replica-1: create replication slot replica_2, because replica-2 will follow it
    ");
    let between = switchover()
        .forced()
        .container("master", |c| c.state = RunState::Between);
    insta::assert_snapshot!(between.plan(), @"master: waiting, its container is between two states");
    let frozen = switchover()
        .forced()
        .container("master", |c| c.state = RunState::Paused);
    insta::assert_snapshot!(frozen.down("master", Down::NoAnswer, "paused").plan(), @"master: unpause container, because it is paused, and has to be known to be down");
}

#[test]
fn the_manifest_names_the_primary() {
    let named = World::new(2)
        .healthy()
        .edit(|spec| spec.primary = Some("replica-2".to_owned()));
    insta::assert_snapshot!(named.plan(), @"replica-2: remember that replica-2 is to be promoted, because spec.primary names it");
    insta::assert_snapshot!(named.clone().cut_off("replica-2", 1).plan(), @r"
    replica-2: waiting, it does not stream from master yet
    replica-2: waiting, spec.primary names it; it cannot take over yet: the target streams: not connected
    ");
    let busy = named.facts("master", |facts| {
        facts.slots.insert("master".to_owned(), slot("reserved", false));
    });
    insta::assert_snapshot!(busy.plan(), @r"
    master: drop replication slot master, because no replica uses it, and it would hold WAL for ever
    replica-2: waiting, spec.primary names it; it takes over when what is being done is done
    ");
}

#[test]
fn the_manifests_wish_is_tried_again_after_a_while() {
    let failed = |secs| {
        let mut world = World::new(1).healthy().promoting("replica-1").kill("master");
        let plan = world.next();
        let changes = plan.actions().filter_map(|a| match &a.op {
            Op::Remember(change @ Change::Promoted(_)) => Some(change.clone()),
            Op::Remember(_) | Op::Listen(_) | Op::Grafana(..) | Op::Engine(_) | Op::Sql(..) => None,
        });
        let changes: Vec<Change> = changes.collect();
        world = World::new(1)
            .healthy()
            .edit(|spec| spec.primary = Some("replica-1".to_owned()));
        changes.iter().for_each(|change| world.memory.apply(change));
        world.later(secs).plan()
    };
    insta::assert_snapshot!(failed(29), @"replica-1: waiting, spec.primary names it; the last try failed: master did not stop cleanly; master stays the primary, and does not serve at present");
    insta::assert_snapshot!(failed(30), @"replica-1: remember that replica-1 is to be promoted, because spec.primary names it");
}

#[test]
fn the_manifests_primary_is_not_promoted_over_a_dead_one() {
    let world = World::new(1)
        .healthy()
        .edit(|spec| spec.primary = Some("replica-1".to_owned()));
    insta::assert_snapshot!(world.kill("master").plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was killed (exit code 137)
    replica-1: waiting, spec.primary names it; it takes over when what is being done is done
    ");
}

#[test]
fn a_clean_stop_in_recovery_proves_nothing() {
    let world = stopped().control(
        "master",
        Seen::Known(control(ControlState::ShutDownInRecovery, HERE, 1)),
    );
    insta::assert_snapshot!(world.plan(), @"replica-1: remember that replica-1 was not promoted, because master did not stop cleanly; master stays the primary");
}

/// Somebody promoted replica-2 by hand, and started it again as a replica since.
fn strayed(world: World) -> World {
    world.facts("replica-2", |facts| facts.timeline = 2)
}

#[test]
fn nobody_takes_over_beside_one_that_left_on_a_timeline_that_would_be_taken_for_the_new_one() {
    let off = "replica-1: remember that replica-1 was not promoted, because replica-2 is on timeline 2 of its own; master stays the primary";
    assert_eq!(strayed(stoppable(fenced())).plan().trim(), off);
    assert_eq!(strayed(stopped()).plan().trim(), off);
    let down = stopped().kill("replica-2").control(
        "replica-2",
        Seen::Known(control(ControlState::ShutDownInRecovery, HERE, 2)),
    );
    assert_eq!(down.plan().trim(), off);
    let forced = strayed(stopped())
        .forced()
        .facts("replica-1", |facts| facts.lsn = Lsn(0x578));
    let plan = forced.plan();
    let at = |text: &str| plan.find(text).unwrap_or_else(|| panic!("{text} is not in\n{plan}"));
    assert!(
        at("replica-2: remember that replica-2 gets a new volume in place of pg-replica-2-g1")
            < at("replica-1: promote,"),
        "{plan}"
    );
}
