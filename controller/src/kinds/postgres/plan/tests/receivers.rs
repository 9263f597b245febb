//! Receivers of the primary's log that could hold its stop up.

use super::world::World;
use crate::kinds::Request;
use crate::kinds::postgres::memory::Change;
use crate::kinds::postgres::observe;
use crate::kinds::postgres::request;
use crate::model::Lsn;
use crate::model::postgres::{Down, Receiver};

const BEHIND: u64 = 38_000_000;

/// An archiver of somebody's, so many bytes behind.
fn archiver(bytes: u64) -> Receiver {
    Receiver {
        pid: 110,
        name: "arch".to_owned(),
        role: "backup".to_owned(),
        address: "10.9.9.9".to_owned(),
        state: "streaming".to_owned(),
        sent_lsn: Lsn(0x1000_0000 - bytes),
        confirmed_lsn: Lsn(0),
        reply_secs: Some(40),
        ..Receiver::default()
    }
}

/// A member's stream that is as far behind.
fn member(name: &str, bytes: u64) -> Receiver {
    Receiver {
        pid: 120,
        name: name.to_owned(),
        role: "replicator".to_owned(),
        address: "10.0.0.3".to_owned(),
        ..archiver(bytes)
    }
}

/// A switchover that could stop the primary now, with receivers that have not moved for so long.
fn stoppable(receivers: &[Receiver], stand_secs: i64) -> World {
    let mut world = World::new(2).healthy().facts("master", |facts| {
        (facts.lsn, facts.flush_lsn) = (Lsn(0x1000_0000), Lsn(0x1000_0000));
        facts.receivers = receivers.to_vec();
        facts
            .slots
            .insert("master".to_owned(), super::world::slot("reserved", false));
    });
    for replica in ["replica-1", "replica-2"] {
        world = world.facts(replica, |facts| {
            (facts.lsn, facts.receive_lsn) = (Lsn(0x1000_0000), Lsn(0x1000_0000));
            for slot in ["master", "replica_1", "replica_2"] {
                facts
                    .slots
                    .insert(slot.to_owned(), super::world::slot("reserved", false));
            }
        });
    }
    for receiver in receivers {
        world = world.since(&observe::stands_still(receiver), stand_secs);
    }
    world.promoting("replica-1").remember(|memory| {
        memory.apply(&Change::Fenced("master".to_owned()));
        memory.apply(&Change::Checkpointed(1));
    })
}

/// It has waited for receivers for so long.
fn waited(world: World, secs: i64) -> World {
    let at = world.now - secs;
    world.remember(|memory| memory.apply(&Change::Awaits { id: 1, at }))
}

fn stops(world: &World) -> bool {
    world.plan().contains("master: send SIGINT")
}

#[test]
fn who_is_behind_gets_its_time_and_is_cut_off_then() {
    let behind = stoppable(&[archiver(BEHIND)], 0);
    insta::assert_snapshot!(behind.plan(), @"master: remember that it waits for receivers of its log, because arch (role backup, from 10.9.9.9) is 38000000 bytes behind, last reply 40 s ago; what is not there after 2 s is not waited for");
    insta::assert_snapshot!(waited(behind.clone(), 2).plan(), @"master: waiting, it is stopped when its receivers have caught up: arch (role backup, from 10.9.9.9) is 38000000 bytes behind, last reply 40 s ago");
    let cut = "master: end a WAL sender, because arch (role backup, from 10.9.9.9) is 38000000 bytes behind, last reply 40 s ago, and would keep it from stopping";
    assert_eq!(waited(behind.clone(), 3).plan().trim(), cut);
    assert!(stops(&waited(behind, 5)), "it comes back again and again");
    let frozen = stoppable(&[archiver(BEHIND)], 2);
    assert_eq!(waited(frozen, 0).plan().trim(), cut, "it has had its time already");
    let little = stoppable(&[archiver(500)], 2);
    assert!(
        waited(little, 0).plan().contains("end a WAL sender"),
        "it does not move"
    );
}

#[test]
fn who_gets_on_is_not_cut_off() {
    assert!(stops(&stoppable(&[], 0)));
    assert!(stops(&stoppable(&[archiver(0)], 0)));
    assert!(
        stops(&stoppable(&[archiver(1_000_000)], 0)),
        "it has the rest in a moment"
    );
    let backup = Receiver {
        state: "backup".to_owned(),
        ..archiver(BEHIND)
    };
    assert!(stops(&stoppable(&[backup], 60)), "it ends when it is asked to");
    // A subscriber confirms when it is asked, and is alive.
    let subscriber = Receiver {
        is_logical: true,
        sent_lsn: Lsn(0x1000_0000),
        confirmed_lsn: Lsn(0x1000_0000 - 500),
        reply_secs: Some(4),
        ..archiver(0)
    };
    assert!(stops(&stoppable(std::slice::from_ref(&subscriber), 4)));
    let silent = Receiver {
        reply_secs: Some(40),
        ..subscriber
    };
    assert!(!stops(&stoppable(&[silent], 40)));
}

#[test]
fn of_the_clusters_own_only_a_frozen_one_is_cut_off_and_never_the_heir() {
    assert!(
        stops(&stoppable(&[member("replica-2", BEHIND)], 0)),
        "it goes on from the heir"
    );
    let frozen = waited(stoppable(&[member("replica-2", BEHIND)], 2), 0);
    assert!(frozen.plan().contains("end a WAL sender"), "{}", frozen.plan());
    assert!(
        stops(&stoppable(&[member("replica-1", BEHIND)], 60)),
        "it has to have everything"
    );
    // Its name alone makes nobody a member.
    let named = Receiver {
        role: "backup".to_owned(),
        ..member("replica-1", BEHIND)
    };
    assert!(!stops(&stoppable(&[named], 0)));
}

#[test]
fn a_shutdown_that_is_held_up_is_helped_before_anybody_is_killed() {
    let stopping = |secs| {
        World::new(2)
            .healthy()
            .promoting("replica-1")
            .down("master", Down::ShuttingDown, "the database system is shutting down")
            .since(&observe::no_answer("master"), secs)
    };
    let help = "master: end the WAL senders that hold its shutdown up";
    assert!(!stopping(1).plan().contains(help), "most shutdowns are over by then");
    assert!(stopping(2).plan().contains(help) && stopping(4).plan().contains(help));
    assert!(!stopping(5).plan().contains(help), "something else holds it up");
    let restarted = World::new(2)
        .healthy()
        .down("master", Down::ShuttingDown, "the database system is shutting down")
        .since(&observe::no_answer("master"), 2);
    assert!(restarted.plan().contains(help), "{}", restarted.plan());
}

#[test]
fn they_are_told_before_a_promotion() {
    let mut world = stoppable(&[archiver(BEHIND), member("replica-2", 0)], 0);
    world.memory.promotion = None;
    let ask = Request::Promote {
        member: "replica-1".to_owned(),
        force: false,
        dry_run: true,
    };
    let reply = request::answer(&world.view(), &ask);
    let check = reply
        .checks
        .iter()
        .find(|check| check.name.contains("receiver"))
        .expect("a check");
    assert!(reply.accepted && check.holds);
    insta::assert_snapshot!(check.found, @"arch (role backup, from 10.9.9.9) is 38000000 bytes behind, last reply 40 s ago: cut off unless it catches up within 2 s");
}
