//! The record of who is the primary is lost: the world has to say, and where it does not, somebody is asked.

use super::world::{HERE, World, control};
use crate::kinds::postgres::memory::Memory;
use crate::model::Seen;
use crate::model::postgres::{ControlState, Down};

fn forgetful(world: World) -> World {
    world.remember(|memory| *memory = Memory::default())
}

fn role(world: World, member: &str, word: &str) -> World {
    world.seen(member, |m| m.role = Seen::Known(word.to_owned()))
}

/// Two members whose control files both say that they were primaries.
fn two_former_primaries() -> World {
    let world = World::new(2)
        .healthy()
        .kill("master")
        .kill("replica-1")
        .kill("replica-2");
    world.control("replica-1", Seen::Known(control(ControlState::InProduction, HERE, 1)))
}

#[test]
fn the_single_writable_member_is_adopted_with_the_newest_volumes() {
    let world = World::new(1)
        .remember(|memory| {
            memory.generations.insert("replica-1".to_owned(), 3);
        })
        .healthy();
    let world = forgetful(world);
    insta::assert_snapshot!(world.plan(), @"master: remember that master is the primary, because it is the only member that accepts writes");
    assert!(format!("{:?}", world.next().chains).contains(r#"{"master": 1, "replica-1": 3}"#));
}

#[test]
fn a_stopped_primary_is_told_by_its_control_file() {
    insta::assert_snapshot!(forgetful(World::new(1).healthy().stop("master").stop("replica-1")).plan(), @"master: remember that master is the primary, because it is the only member that was a primary when it stopped");
    insta::assert_snapshot!(forgetful(World::new(1).healthy().kill("master")).plan(), @"master: remember that master is the primary, because it is the only member that was a primary when it stopped");
}

#[test]
fn a_running_primary_wins_over_a_stopped_former_one() {
    insta::assert_snapshot!(forgetful(World::new(1).healthy_with("replica-1").ended("master", 0, ControlState::ShutDown)).plan(), @"replica-1: remember that replica-1 is the primary, because it is the only member that accepts writes");
}

#[test]
fn a_running_primary_beside_one_that_died_as_the_primary_is_asked_about() {
    let died = || {
        forgetful(
            World::new(1)
                .healthy_with("replica-1")
                .ended("master", 137, ControlState::InProduction),
        )
    };
    let adopts = |world: World| world.plan().contains("remember that replica-1 is the primary");
    assert!(
        !adopts(role(died(), "master", "primary")),
        "somebody may have promoted replica-1 by hand"
    );
    let unknown = died().seen("master", |m| m.role = Seen::Absent);
    assert!(!adopts(unknown), "what it was to be is not known");
    assert!(adopts(role(died(), "master", "replica")), "it was fenced");
}

#[test]
fn of_two_former_primaries_the_delivered_role_decides() {
    insta::assert_snapshot!(forgetful(two_former_primaries()).plan(), @"master: remember that master is the primary, because it is the only member that was a primary when it stopped");
    let fenced = role(
        role(two_former_primaries(), "master", "replica"),
        "replica-1",
        "primary",
    );
    insta::assert_snapshot!(forgetful(fenced).plan(), @"replica-1: remember that replica-1 is the primary, because it is the only member that was a primary when it stopped");
}

#[test]
fn two_former_primaries_that_nothing_tells_apart_are_asked_about() {
    let both = role(two_former_primaries(), "replica-1", "primary");
    insta::assert_snapshot!(forgetful(both).plan(), @"pg: needs your confirmation, the record of who is the primary is missing, and the members do not tell: look at them (`reconciler status`, `reconciler logs`), then name one with `reconciler promote MEMBER --force`");
    let neither = role(two_former_primaries(), "master", "replica");
    insta::assert_snapshot!(forgetful(neither).plan(), @"pg: needs your confirmation, the record of who is the primary is missing, and the members do not tell: look at them (`reconciler status`, `reconciler logs`), then name one with `reconciler promote MEMBER --force`");
}

#[test]
fn two_writable_members_are_asked_about() {
    let world = World::new(1)
        .healthy()
        .facts("replica-1", |facts| facts.in_recovery = false);
    insta::assert_snapshot!(forgetful(world).plan(), @"pg: needs your confirmation, the record of who is the primary is missing, and the members do not tell: look at them (`reconciler status`, `reconciler logs`), then name one with `reconciler promote MEMBER --force`");
}

#[test]
fn replicas_alone_do_not_make_a_primary() {
    insta::assert_snapshot!(forgetful(World::new(1).healthy().lose("master")).plan(), @"pg: needs your confirmation, the record of who is the primary is missing, and the members do not tell: look at them (`reconciler status`, `reconciler logs`), then name one with `reconciler promote MEMBER --force`");
}

#[test]
fn nobody_is_trusted_before_everybody_was_seen() {
    let unreadable = World::new(1)
        .healthy()
        .kill("replica-1")
        .control("replica-1", Seen::Unknown("the archive is truncated".to_owned()));
    insta::assert_snapshot!(forgetful(unreadable).plan(), @"replica-1: waiting, the record of who is the primary is missing, and every member has to be seen before one is trusted");
    let silent = World::new(1).healthy().down("replica-1", Down::NoAnswer, "timeout");
    insta::assert_snapshot!(forgetful(silent).plan(), @r"
    replica-1: waiting, the record of who is the primary is missing, and every member has to be seen before one is trusted
    replica-1: waiting, its server does not answer: timeout
    ");
}

#[test]
fn passwords_that_were_lost_with_the_record_are_taken_from_one_member() {
    let world = World::new(1)
        .healthy()
        .down("master", Down::PasswordUnknown, "no password is known")
        .down("replica-1", Down::PasswordUnknown, "no password is known");
    insta::assert_snapshot!(forgetful(world).plan(), @"master: recover lost passwords, because no password is known");
}

#[test]
fn passwords_that_are_refused_are_made_anew() {
    let world = World::new(1)
        .healthy()
        .down("master", Down::PasswordRejected, "password authentication failed")
        .down("replica-1", Down::PasswordRejected, "password authentication failed");
    insta::assert_snapshot!(forgetful(world).plan(), @r"
    master: reset the password of role postgres, because password authentication failed
    replica-1: reset the password of role postgres, because password authentication failed
    ");
}

#[test]
fn volumes_without_containers_are_looked_into_without_a_start() {
    insta::assert_snapshot!(forgetful(World::new(1).healthy().remove("master").remove("replica-1")).plan(), @r"
    master: create container pg-master, because its data has to be looked at, without starting it, to tell who was the primary
    replica-1: create container pg-replica-1, because its data has to be looked at, without starting it, to tell who was the primary
    ");
    let mut without_network = World::new(0).healthy().remove("master");
    without_network.observed.objects.networks.clear();
    insta::assert_snapshot!(forgetful(without_network).plan(), @r"
    pg-net: create network pg-net, because it is missing
    pg-svc: create network pg-svc, because applications reach the cluster through it, by role names
    ");
}

#[test]
fn empty_volumes_are_a_new_cluster() {
    let world = World::new(0)
        .healthy()
        .ended("master", 0, ControlState::ShutDown)
        .control("master", Seen::Absent);
    insta::assert_snapshot!(forgetful(world).plan(), @"master: remember that master is the first primary, because the cluster does not exist yet");
}

#[test]
fn a_volume_that_was_restored_by_hand_does_not_look_like_a_new_cluster() {
    let mut world = World::new(1).healthy().ended("master", 0, ControlState::ShutDown);
    world.observed.objects.volumes.clear();
    insta::assert_snapshot!(forgetful(world).plan(), @"master: remember that master is the primary, because it is the only member that was a primary when it stopped");
}

#[test]
fn a_replica_that_refuses_the_password_is_known_by_its_control_file() {
    let world = World::new(1).healthy().kill("master");
    let world = world.down("replica-1", Down::PasswordRejected, "password authentication failed");
    let replica = world.control(
        "replica-1",
        Seen::Known(control(ControlState::InArchiveRecovery, HERE, 1)),
    );
    insta::assert_snapshot!(forgetful(replica).plan(), @"master: remember that master is the primary, because it is the only member that was a primary when it stopped");
}
