//! A server that answers with an error: it is alive, and may serve others.

use super::world::{HERE, World, control};
use crate::kinds::postgres::observe;
use crate::model::Seen;
use crate::model::container::Health;
use crate::model::postgres::{ControlState, Down, Maintenance, Server};

const FULL: &str = "it answers, with an error: sorry, too many clients already (53300)";

/// Its stream, if it has one, goes on.
fn errs(world: World, member: &str, secs: i64) -> World {
    world
        .seen(member, |seen| seen.server = Server::Down(Down::Errors, FULL.to_owned()))
        .since(&observe::no_answer(member), secs)
}

fn stopped() -> World {
    World::new(1).healthy().promoting("replica-1").stop("master")
}

#[test]
fn it_is_never_killed_and_keeps_its_names() {
    let world = errs(World::new(1).healthy(), "replica-1", 9);
    insta::assert_snapshot!(world.plan(), @"replica-1: waiting, it answers, with an error: sorry, too many clients already (53300)");
    let unhealthy = |world: World, member: &str| world.container(member, |c| c.health = Health::Unhealthy);
    let replica = unhealthy(errs(World::new(1).healthy(), "replica-1", 600), "replica-1");
    insta::assert_snapshot!(replica.plan(), @"replica-1: blocked, it answers, with an error: sorry, too many clients already (53300)");
    let primary = unhealthy(errs(World::new(1).healthy(), "master", 600), "master");
    insta::assert_snapshot!(primary.plan(), @"master: blocked, it answers, with an error: sorry, too many clients already (53300)");
}

#[test]
fn its_files_reach_it_now_and_then() {
    let plan = |secs| errs(World::new(1).healthy(), "replica-1", secs).plan();
    let delivers = |secs| plan(secs).contains("deliver");
    let found: Vec<i64> = (0..80).filter(|secs| delivers(*secs)).collect();
    assert_eq!(found, [10, 11, 40, 41, 70, 71]);
    let unknown = errs(World::new(1).healthy(), "master", 10).remember(|memory| memory.primary = None);
    assert!(!unknown.plan().contains("deliver"), "{}", unknown.plan());
}

#[test]
fn a_switchover_waits_for_a_primary_with_errors_and_then_rolls_back() {
    let world = |secs| errs(World::new(1).healthy().promoting("replica-1"), "master", secs);
    insta::assert_snapshot!(world(5).plan(), @"master: waiting, it answers, with an error: sorry, too many clients already (53300); it has to be asked before it is stopped");
    insta::assert_snapshot!(world(31).plan(), @"replica-1: remember that replica-1 was not promoted, because master cannot be asked: it answers, with an error: sorry, too many clients already (53300); master stays the primary");
}

#[test]
fn by_force_a_primary_with_errors_is_stopped_and_not_killed() {
    let forced = |secs| errs(World::new(1).healthy().promoting("replica-1").forced(), "master", secs);
    insta::assert_snapshot!(forced(100).plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because fenced: whoever starts it gets a replica, now that replica-1 takes over
    master: remember that master is fenced, because its role file says replica
    ");
    let fenced = |asked: Option<i64>| {
        let world = forced(100);
        let now = world.now;
        world.remember(|memory| {
            let promotion = memory.promotion.as_mut().expect("there is one");
            promotion.fenced = true;
            promotion.stopping_since = asked.map(|secs| now - secs);
        })
    };
    insta::assert_snapshot!(fenced(None).plan(), @r"
    master: remember that it is being stopped, because replica-1 has all that it needs to take over
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    master: send SIGINT, because replica-1 takes over
    ");
    insta::assert_snapshot!(fenced(Some(1)).plan(), @"master: waiting, its fast shutdown is under way");
    insta::assert_snapshot!(fenced(Some(99)).plan(), @r"
    master: remember that it is being killed, because it has been stopping for 99 s, longer than spec.stopGracePeriod
    master: send SIGKILL, because it has been stopping for 99 s, longer than spec.stopGracePeriod
    ");
}

#[test]
fn a_target_with_errors_rolls_an_unrequested_promotion_back_and_holds_up_a_requested_one() {
    let standby = Seen::Known(control(ControlState::InArchiveRecovery, HERE, 1));
    let writable = Seen::Known(control(ControlState::InProduction, HERE, 2));
    let world = |secs, control: &Seen<_>| errs(stopped(), "replica-1", secs).control("replica-1", control.clone());
    insta::assert_snapshot!(world(4, &standby).plan(), @"replica-1: waiting, it answers, with an error: sorry, too many clients already (53300); whether it was promoted is not known yet");
    insta::assert_snapshot!(world(5, &standby).plan(), @"replica-1: remember that replica-1 was not promoted, because replica-1 cannot be asked: it answers, with an error: sorry, too many clients already (53300); master stays the primary");
    insta::assert_snapshot!(world(5, &writable).plan(), @"replica-1: remember that replica-1 was not promoted, because somebody promoted replica-1 by hand, and nobody can tell whether it has all of master's writes; master stays the primary");
    insta::assert_snapshot!(world(600, &Seen::Unknown("no".to_owned())).plan(), @"replica-1: waiting, it answers, with an error: sorry, too many clients already (53300); whether it was promoted is not known yet");
    let requested = |world: World, sent_ago| {
        let now = world.now;
        world.remember(|memory| {
            let promotion = memory.promotion.as_mut().expect("there is one");
            promotion.requested = true;
            promotion.sent_at = now - sent_ago;
        })
    };
    insta::assert_snapshot!(requested(world(600, &standby), 1).plan(), @"replica-1: waiting, it does not answer, and whether it was promoted cannot be told");
    insta::assert_snapshot!(requested(world(600, &standby), 2).plan(), @"replica-1: promote through its socket, because master is down, and it cannot be asked: it answers, with an error: sorry, too many clients already (53300)");
    insta::assert_snapshot!(requested(world(600, &writable), 2).plan(), @"replica-1: remember that replica-1 is the primary, because replica-1 is the primary");
}

#[test]
fn what_the_agents_own_roles_and_its_database_lack_is_put_back_once() {
    let expired = |role: &str| {
        World::new(0).healthy().facts("master", |facts| {
            facts.roles.get_mut(role).expect("the role").has_expired = true;
        })
    };
    insta::assert_snapshot!(expired("replicator").plan(), @"master: alter role replicator, because its password was only valid until a time that is past");
    insta::assert_snapshot!(expired("postgres").plan(), @"master: alter role postgres, because its password was only valid until a time that is past");
    let locked = World::new(0).healthy().facts("master", |facts| {
        let role = facts.roles.get_mut("postgres").expect("the role");
        role.attributes.login = false;
        role.attributes.connection_limit = 0;
    });
    insta::assert_snapshot!(locked.plan(), @"master: alter role postgres, because it lacks what the agent needs of it");
    let database = |maintenance| {
        World::new(0)
            .healthy()
            .facts("master", |facts| facts.maintenance = maintenance)
    };
    insta::assert_snapshot!(database(Maintenance::Missing).plan(), @"master: create database postgres, because somebody dropped it, and the agent, pg_rewind and exporters connect to it");
    insta::assert_snapshot!(database(Maintenance::Closed).plan(), @"master: let database postgres take connections, because it takes no connections, and the agent, pg_rewind and exporters need one");
}
