//! What a command gets for an answer.

use super::answer;
use crate::kinds::postgres::memory::{Change, Loss, Memory};
use crate::kinds::postgres::plan::promotion;
use crate::kinds::postgres::plan::tests::world::{HERE, NOW, SYSTEM, World, control};
use crate::kinds::{Reply, Request};
use crate::model::postgres::{ControlState, Down};
use crate::model::{Lsn, Seen};

fn ask(world: &World, member: &str, force: bool, dry_run: bool) -> Reply<Change> {
    let member = member.to_owned();
    answer(&world.view(), &Request::Promote { member, force, dry_run })
}

fn promote(world: &World, member: &str) -> Reply<Change> {
    ask(world, member, false, false)
}

fn force(world: &World, member: &str) -> Reply<Change> {
    ask(world, member, true, false)
}

fn forgetful(world: World) -> World {
    world.remember(|memory| *memory = Memory::default())
}

fn manual_failover() -> World {
    World::new(1).healthy().kill("master").facts("replica-1", |facts| {
        facts.in_recovery = false;
        facts.timeline = 2;
    })
}

#[test]
fn a_promotion_is_an_intent_with_a_number_and_a_timeline() {
    let reply = promote(&World::new(1).healthy(), "replica-1");
    insta::assert_snapshot!(reply.message, @"replica-1 takes over from master");
    let [Change::Promote(promotion)] = reply.changes.as_slice() else {
        panic!("one change: {:?}", reply.changes);
    };
    assert_eq!(
        (promotion.id, promotion.start_timeline, promotion.forced),
        (1, 1, false)
    );
    assert!(reply.checks.iter().all(|check| check.holds));
}

#[test]
fn a_dry_run_only_looks() {
    let world = World::new(1).healthy();
    let reply = ask(&world, "replica-1", false, true);
    assert!(reply.accepted && reply.changes.is_empty());
    insta::assert_snapshot!(reply.message, @"replica-1 would take over from master; nothing acknowledged would be lost");
    let names: Vec<&str> = reply.checks.iter().map(|check| check.name.as_str()).collect();
    insta::assert_snapshot!(names.join("\n"), @r"
    the target is a replica of this cluster
    the primary answers
    the target answers
    the target is a replica
    the target's data is this cluster's
    the target is not about to be seeded anew
    the target has the primary's history
    there is a single primary
    no other replica is on a timeline of its own
    the target has a WAL sender for every replica
    the target streams
    the target is on the primary's timeline
    its receive lag is within spec.replication.maxLag
    its replay lag is within spec.replication.maxLag
    its replay is not paused
    no replica is being seeded
    the target's slot exists
    every logical slot of the primary outlasts it
    no receiver of the log keeps it from stopping
    ");
    let dead = world.kill("master");
    insta::assert_snapshot!(ask(&dead, "replica-1", true, true).message, @"replica-1 would take over from master, which does not answer; what was written after 0/500 and did not reach it would be lost: 0 bytes of what it was seen to have");
}

#[test]
fn everything_that_does_not_hold_is_told_at_once_with_the_way_round() {
    let world = World::new(1).healthy().cut_off("replica-1", 5);
    let reply = promote(&world, "replica-1");
    assert!(!reply.accepted && reply.changes.is_empty());
    insta::assert_snapshot!(reply.message, @"the target streams does not hold (not connected). `--force` promotes all the same, and what the target has not received is lost");
    let paused = world.facts("replica-1", |facts| facts.replay_paused = true);
    insta::assert_snapshot!(promote(&paused, "replica-1").message, @"the target streams does not hold (not connected); its replay is not paused does not hold (it is paused)");
}

#[test]
fn a_dead_primary_is_replaced_by_force_only() {
    let world = World::new(1).healthy().kill("master");
    insta::assert_snapshot!(promote(&world, "replica-1").message, @"the primary answers does not hold (master does not; writes that only it has would be lost). `--force` promotes all the same, and what the target has not received is lost");
    let reply = force(&world, "replica-1");
    assert!(matches!(reply.changes.as_slice(), [Change::Promote(p)] if p.forced));
}

#[test]
fn force_does_not_overrule_what_would_destroy() {
    let silent = World::new(1).healthy().down("replica-1", Down::NoAnswer, "timeout");
    insta::assert_snapshot!(force(&silent, "replica-1").message, @"the target answers does not hold (replica-1 does not)");
    let foreign = World::new(1)
        .healthy()
        .facts("replica-1", |f| f.system_identifier = SYSTEM + 1);
    insta::assert_snapshot!(force(&foreign, "replica-1").message, @"the target's data is this cluster's does not hold (system identifier 7002)");
    let given_up = World::new(1).healthy().remember(|memory| {
        memory.generations.insert("replica-1".to_owned(), 2);
    });
    insta::assert_snapshot!(force(&given_up, "replica-1").message, @"the target is not about to be seeded anew does not hold (its volume was given up for pg-replica-1-g2)");
}

#[test]
fn who_is_no_member_is_told_who_is() {
    insta::assert_snapshot!(promote(&World::new(1).healthy(), "replica-7").message, @"the target is a replica of this cluster does not hold (the members are master, replica-1); the target answers does not hold (replica-7 does not)");
}

#[test]
fn the_primary_is_the_primary_already() {
    let reply = promote(&World::new(1).healthy(), "master");
    assert!(reply.accepted && reply.changes.is_empty());
    insta::assert_snapshot!(reply.message, @"master is the primary already");
}

#[test]
fn one_promotion_at_a_time() {
    let world = World::new(2).healthy().promoting("replica-1");
    let again = promote(&world, "replica-1");
    assert!(again.accepted && again.changes.is_empty(), "twice requested is one");
    let other = promote(&world, "replica-2");
    assert!(!other.accepted && other.changes.is_empty());
    insta::assert_snapshot!(other.message, @"the promotion of replica-1 is under way; one at a time");
}

#[test]
fn force_takes_the_place_of_a_promotion_that_has_not_sent_its_request() {
    let world = World::new(2).healthy().promoting("replica-1");
    let begun = |reply: super::Reply<Change>| match reply.changes.as_slice() {
        [Change::Promote(next)] => (next.id, next.to.clone(), next.forced),
        other => panic!("not one promotion: {other:?}"),
    };
    assert_eq!(begun(force(&world, "replica-1")), (2, "replica-1".to_owned(), true));
    assert_eq!(begun(force(&world, "replica-2")), (2, "replica-2".to_owned(), true));
    assert!(ask(&world, "replica-2", true, true).changes.is_empty());
    let sent = world.remember(|memory| memory.promotion.iter_mut().for_each(|p| p.requested = true));
    assert!(force(&sent, "replica-1").accepted && force(&sent, "replica-1").changes.is_empty());
    let other = force(&sent, "replica-2");
    assert!(!other.accepted && other.changes.is_empty());
    insta::assert_snapshot!(other.message, @"the promotion of replica-1 is under way and can only go forward any more");
}

#[test]
fn what_is_carried_out_too_late_is_not_remembered() {
    let mut world = World::new(2).healthy().promoting("replica-1");
    let sent = Change::Requested {
        id: 1,
        loss: Loss::Nothing,
        at: NOW,
    };
    assert!(world.memory.admits(&sent).is_ok());
    let instead = force(&world, "replica-2").changes.remove(0);
    assert!(world.memory.admits(&instead).is_ok());
    world.memory.apply(&instead);
    assert!(
        world.memory.admits(&sent).is_err(),
        "another promotion has taken its place"
    );
    let planned = promotion::begin(&world.view(), "master", "replica-1", false);
    assert!(world.memory.admits(&planned).is_err(), "one at a time");
    world.memory.apply(&Change::Requested {
        id: 2,
        loss: Loss::Nothing,
        at: NOW,
    });
    assert!(world.memory.admits(&instead).is_err(), "there is only forward");
}

#[test]
fn the_manifest_has_the_last_word() {
    let world = World::new(2)
        .healthy()
        .edit(|spec| spec.primary = Some("master".to_owned()));
    let reply = force(&world, "replica-1");
    assert!(!reply.accepted && reply.changes.is_empty());
    insta::assert_snapshot!(reply.message, @"the manifest says `primary: master`; write `primary: replica-1` there, and it is promoted");
}

#[test]
fn a_promotion_by_hand_is_confirmed_by_force() {
    assert!(!promote(&manual_failover(), "replica-1").accepted);
    let reply = force(&manual_failover(), "replica-1");
    assert!(matches!(reply.changes.as_slice(), [Change::Promoted(result)] if result.succeeded));
    insta::assert_snapshot!(reply.message, @"replica-1 accepts writes already; it is the recorded primary from now on");
    assert!(ask(&manual_failover(), "replica-1", true, true).changes.is_empty());
}

#[test]
fn foreign_or_given_up_data_is_not_confirmed_even_by_force() {
    let foreign = manual_failover().facts("replica-1", |facts| facts.system_identifier = SYSTEM + 1);
    assert!(force(&foreign, "replica-1").changes.is_empty());
    let given_up = manual_failover().remember(|memory| {
        memory.generations.insert("replica-1".to_owned(), 2);
    });
    assert!(force(&given_up, "replica-1").changes.is_empty());
}

#[test]
fn without_a_record_somebody_names_the_primary() {
    let world = forgetful(World::new(1).healthy().stop("master"));
    insta::assert_snapshot!(promote(&world, "master").message, @"there is no record of who is the primary; `--force` makes it master, and what only others have stays in their volumes");
    insta::assert_snapshot!(force(&world, "replica-9").message, @"replica-9 holds no data that could be looked at");
    assert!(ask(&world, "master", true, true).changes.is_empty());
    let reply = force(&world, "master");
    assert!(matches!(
        reply.changes.as_slice(),
        [Change::Adopt { primary, system_identifier: SYSTEM, .. }] if primary == "master"
    ));
}

#[test]
fn all_members_or_one_are_restarted() {
    let world = World::new(1).healthy();
    let restart = |member: Option<&str>| {
        let member = member.map(str::to_owned);
        answer(&world.view(), &Request::Restart { member })
    };
    insta::assert_snapshot!(restart(None).message, @"master, replica-1 will be restarted, replicas first, one at a time");
    assert_eq!(restart(None).changes.len(), 2);
    assert_eq!(restart(Some("replica-1")).changes.len(), 1);
    insta::assert_snapshot!(restart(Some("replica-4")).message, @"there is no member replica-4; the members are master, replica-1");
}

#[test]
fn without_a_primary_a_replica_that_has_less_than_another_is_not_promoted_unless_forced() {
    let world = World::new(2)
        .healthy()
        .kill("master")
        .facts("replica-2", |facts| facts.receive_lsn = Lsn(facts.lsn.0 + 4096));
    let reply = promote(&world, "replica-1");
    assert!(!reply.accepted);
    assert!(reply.message.contains("no other replica has more"), "{}", reply.message);
    assert!(
        !promote(&world, "replica-2")
            .message
            .contains("no other replica has more")
    );
    assert!(force(&world, "replica-1").accepted, "the user decides");
}

#[test]
fn a_member_that_lets_nobody_in_is_taken_as_it_is_when_nothing_is_left_of_the_primary() {
    let shut = |world: World| {
        let world = world.down("replica-1", Down::PasswordRejected, "password authentication failed");
        world.control(
            "replica-1",
            Seen::Known(control(ControlState::InArchiveRecovery, HERE, 1)),
        )
    };
    let reply = force(&shut(World::new(1).healthy().lose("master")), "replica-1");
    insta::assert_snapshot!(reply.message, @"replica-1 lets nobody in, and nothing is left of master; it is the recorded primary from now on");
    assert!(
        matches!(reply.changes.as_slice(), [Change::Promoted(result)] if result.succeeded && result.to == "replica-1")
    );
    let would = ask(&shut(World::new(1).healthy().lose("master")), "replica-1", true, true);
    assert!(would.accepted && would.changes.is_empty(), "{}", would.message);
    // Of who lets nobody in it is not known whether it has more than who answers.
    let reply = force(&shut(World::new(2).healthy().lose("master")), "replica-1");
    assert!(
        !reply.accepted && reply.message.contains("`reconciler promote replica-2 --force`"),
        "{}",
        reply.message
    );
    // While the primary could come back, it is not.
    let reply = force(&shut(World::new(1).healthy().kill("master")), "replica-1");
    assert!(!reply.accepted, "{}", reply.message);
}
