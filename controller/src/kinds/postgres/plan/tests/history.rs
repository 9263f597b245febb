//! Older copies: of a primary that is to be started, of one that serves, and what becomes of replicas that have more.

use super::world::{HERE, NOW, World, control, slot};
use crate::kinds::Request;
use crate::kinds::postgres::memory::{Change, HistoryChange, Noted};
use crate::kinds::postgres::observe::{Source, Standing, not_streaming};
use crate::kinds::postgres::request;
use crate::model::plan::Op;
use crate::model::postgres::ControlState;
use crate::model::wal::{Mark, Place, Proof};
use crate::model::{Lsn, Seen};

const OLD: Lsn = Lsn(0x400);

fn mark(lsn: Lsn) -> Mark {
    Mark {
        place: Place::new(1, lsn),
        hash: "abc".to_owned(),
    }
}

fn other(lsn: Lsn) -> Mark {
    Mark {
        hash: "other".to_owned(),
        ..mark(lsn)
    }
}

/// A primary that was killed, of which `by` knows that its log had come to where all others are.
fn killed(replicas: u32, by: Source, proof: Seen<Proof>) -> World {
    let mut world = World::new(replicas).healthy().kill("master");
    let older = control(ControlState::InProduction, OLD, 1);
    world = world.control("master", Seen::Known(older));
    world.observed.standing = Some(Standing::new(mark(HERE), by, proof, (String::new(), older)));
    world
}

fn serving(facts: impl FnOnce(&mut crate::model::postgres::PgFacts)) -> World {
    let noted = Noted {
        mark: mark(HERE),
        at: NOW - 1,
    };
    let world = World::new(2).healthy();
    world
        .remember(|memory| memory.history.noted = Some(noted))
        .facts("master", facts)
}

fn ask(world: &World, member: &str, force: bool) -> crate::kinds::Reply<Change> {
    let request = Request::Promote {
        member: member.to_owned(),
        force,
        dry_run: false,
    };
    request::answer(&world.view(), &request)
}

#[test]
fn a_primary_whose_log_is_whole_starts_at_once() {
    let plan = killed(1, Source::Replica("replica-1".to_owned()), Seen::Known(Proof::Holds)).plan();
    assert!(plan.contains("master: start container"), "{plan}");
    assert!(!plan.contains("confirmation"), "{plan}");
}

#[test]
fn an_older_copy_is_not_started_unasked_and_both_ways_are_told_with_their_cost() {
    let world = killed(
        1,
        Source::Replica("replica-1".to_owned()),
        Seen::Known(Proof::Ends(OLD)),
    );
    insta::assert_snapshot!(world.plan(), @r"
    master: remember that its log has come to 0/500 on timeline 1 on its disk, because an older copy of its data has to be told from them
    master: needs your confirmation, its data are an older copy: its log ends at 0/400, and replica-1 has it up to 0/500 on timeline 1. It is not started unasked. To go on: `reconciler promote replica-1 --force` makes replica-1 the primary, which has all that is known of; or `reconciler promote master --force` starts master as it is: 256 B of log, written within 100 s, is lost, and replicas that have it get new volumes, while their old ones are kept
    ");
    let alone = killed(0, Source::Seen(NOW - 7), Seen::Known(Proof::Ends(OLD)));
    insta::assert_snapshot!(alone.plan(), @r"
    master: remember that its log has come to 0/500 on timeline 1 on its disk, because an older copy of its data has to be told from them
    master: needs your confirmation, its data are an older copy: its log ends at 0/400, and the agent saw it at 0/500 on timeline 1, 7 s ago. It is not started unasked. To go on: `reconciler promote master --force` starts master as it is: 256 B of log, written within 93 s, is lost, and replicas that have it get new volumes, while their old ones are kept
    ");
    let other = killed(1, Source::Seen(NOW - 7), Seen::Known(Proof::Differs)).plan();
    assert!(other.contains("has other contents than it had before 0/500"), "{other}");
    assert!(other.contains("what only master has stays in its volume"), "{other}");
}

#[test]
fn a_log_that_cannot_be_read_starts_nobody() {
    let world = killed(
        0,
        Source::Seen(NOW - 7),
        Seen::Unknown("the engine did not answer".to_owned()),
    );
    insta::assert_snapshot!(world.plan(), @"master: waiting, whether its log is whole cannot be told: the engine did not answer");
    // Without a log PostgreSQL itself does not start.
    let world = killed(0, Source::Seen(NOW - 7), Seen::Absent);
    assert!(world.plan().contains("master: start container"));
}

#[test]
fn an_older_copy_is_started_by_force_once_and_who_has_more_gets_a_new_volume() {
    let mut world = killed(
        2,
        Source::Replica("replica-1".to_owned()),
        Seen::Known(Proof::Ends(OLD)),
    );
    world = world.facts("replica-2", |facts| {
        (facts.lsn, facts.receive_lsn) = (Lsn(0x3F0), Lsn(0x3F0))
    });
    let refused = ask(&world, "master", false);
    assert!(
        !refused.accepted && refused.message.contains("--force"),
        "{}",
        refused.message
    );
    let reply = ask(&world, "master", true);
    insta::assert_snapshot!(reply.message, @"master is started with an older copy of its data; what was written from 0/400 up to 0/500 on timeline 1 is lost");
    for change in &reply.changes {
        world.memory.apply(change);
    }
    assert_eq!(
        world.memory.last_promotion.as_ref().and_then(|last| last.lost_bytes),
        Some(0x100)
    );
    let plan = world.plan();
    assert!(
        plan.contains("master: start container") && !plan.contains("confirmation"),
        "{plan}"
    );
    // replica-2 has nothing that the copy has not.
    let held: Vec<&String> = world.memory.history.diverged.keys().collect();
    assert_eq!(held, ["replica-1"]);
    // Another copy, of which more is known than was given up.
    if let Some(standing) = &mut world.observed.standing {
        standing.known = mark(Lsn(0x600));
    }
    assert!(world.plan().contains("confirmation"));
}

#[test]
fn what_was_given_up_is_forgotten_once_the_primary_serves() {
    let place = Place::new(1, Lsn(0x900));
    let world = serving(|facts| {
        facts.mark = Some(mark(HERE));
        facts.found_mark = Some(other(HERE));
    });
    let mut world = world.remember(|memory| memory.history.given_up = Some(place));
    let notes = world.next();
    let note = notes.actions().find_map(|action| match &action.op {
        Op::Remember(change @ Change::History(HistoryChange::Note(_))) => Some(change.clone()),
        _ => None,
    });
    world.memory.apply(&note.expect("a note"));
    assert_eq!(world.memory.history.given_up, None);
}

#[test]
fn how_far_the_log_has_come_is_noted_every_few_seconds_and_not_while_it_stands() {
    let notes = |lsn, age| {
        let world = serving(|facts| facts.mark = Some(mark(lsn)));
        let world = world.remember(|memory| {
            memory.history.noted = Some(Noted {
                mark: mark(HERE),
                at: NOW - age,
            });
        });
        world.plan().contains("on its disk")
    };
    assert!(!notes(HERE, 60), "nothing was written");
    assert!(!notes(Lsn(0x600), 4), "it was noted just now");
    assert!(notes(Lsn(0x600), 5));
    assert!(notes(Lsn(0x600), -60), "the clock was set back");
}

#[test]
fn a_primary_that_serves_an_older_copy_is_told_of_and_its_replicas_get_new_volumes_one_by_one() {
    let behind = serving(|facts| facts.flush_lsn = OLD);
    insta::assert_snapshot!(behind.plan(), @"master: remember that it serves without what it once had, because its log had come to 0/500 on timeline 1 and is at 0/400: it serves an older copy of its data, and 256 B of log are gone");
    let mut other = serving(|facts| {
        facts.flush_lsn = Lsn(0x900);
        facts.lsn = Lsn(0x900);
        facts.found_mark = Some(other(HERE));
    });
    let plan = other.next();
    assert!(
        plan.to_string().contains("it has other contents before 0/500")
            || plan.to_string().contains("its log has other contents before 0/500"),
        "{plan}"
    );
    for action in plan.actions() {
        if let Op::Remember(change) = &action.op {
            other.memory.apply(change);
        }
    }
    let text = other.plan();
    assert!(
        text.contains("replica-1 gets a new volume in place of pg-replica-1-g1"),
        "{text}"
    );
    assert!(text.contains("replica-1 is re-seeded first"), "{text}");
    assert!(!other.view().replica_is_ready("replica-2"));
    let checks = ask(&other, "replica-2", false).checks;
    let check = checks
        .iter()
        .find(|check| check.name == "the target has the primary's history");
    assert!(check.is_some_and(|check| !check.holds));
    // It serves, and is not told of twice.
    assert!(!text.contains("serves without"), "{text}");
}

#[test]
fn an_answer_about_an_earlier_note_says_nothing_of_the_last() {
    let world = serving(|facts| facts.found_mark = Some(other(OLD)));
    assert!(!world.plan().contains("serves without"), "{}", world.plan());
}

#[test]
fn a_primary_that_still_has_what_was_noted_is_left_alone() {
    let world = serving(|facts| {
        facts.found_mark = Some(mark(HERE));
        facts.mark = Some(mark(HERE));
    });
    insta::assert_snapshot!(world.plan(), @"nothing to do");
    // It was promoted by hand from where it was: nothing is gone.
    let world = serving(|facts| {
        facts.timeline = 2;
        facts.history = vec![(1, HERE)];
    });
    assert!(!world.plan().contains("serves without"));
}

#[test]
fn a_record_that_ends_where_the_primary_has_none_ends_is_of_another_log() {
    let mut world = World::new(2).healthy();
    let fits = [(Place::new(1, OLD), true), (Place::new(1, Lsn(0x448)), false)];
    world.observed.fits.insert("replica-2".to_owned(), fits.into());
    let plan = world.plan();
    assert!(
        plan.contains("replica-2 gets a new volume in place of pg-replica-2-g1"),
        "{plan}"
    );
    assert!(
        plan.contains("a record of its log ends at 0/448 on timeline 1"),
        "{plan}"
    );
    assert!(plan.contains("replica-2: disconnect from network pg-svc"), "{plan}");
    // What is known now may not be seen again: it is remembered while another one is seeded.
    let busy = world.remember(|memory| {
        let reseed = crate::kinds::postgres::memory::ReseedState::default();
        memory.reseeds.insert("replica-1".to_owned(), reseed);
    });
    assert!(
        busy.plan()
            .contains("replica-2: remember that replica-2 does not have the primary's history"),
        "{}",
        busy.plan()
    );
}

#[test]
fn two_timelines_of_one_number_are_told_apart_by_where_they_began() {
    let world = World::new(1).healthy().facts("master", |facts| {
        facts.timeline = 2;
        facts.history = vec![(1, Lsn(0x300))];
    });
    let world = world.facts("replica-1", |facts| {
        facts.timeline = 2;
        facts.history = vec![(1, Lsn(0x380))];
    });
    let plan = world.plan();
    assert!(plan.contains("it began at 0/380, and the primary's at 0/300"), "{plan}");
}

#[test]
fn a_replica_whose_log_does_not_fit_gets_a_new_volume_and_at_the_end_of_both_it_does_not() {
    let line = "LOG:  record with incorrect prev-link 54/66643062 at 0/500\n";
    let world = |log: &str, flushed| {
        let world = World::new(1).healthy().cut_off("replica-1", 6);
        world
            .log("replica-1", log)
            .facts("master", |facts| (facts.lsn, facts.flush_lsn) = (flushed, flushed))
    };
    let stuck = world(&line.repeat(3), Lsn(0x900)).plan();
    assert!(
        stuck.contains("gets a new volume") && stuck.contains("record with incorrect prev-link"),
        "{stuck}"
    );
    let once = world(line, Lsn(0x900)).plan();
    assert!(
        once.contains("it has not streamed for 6 s; its log says: LOG:  record with incorrect"),
        "{once}"
    );
    assert!(!world(&line.repeat(3), HERE).plan().contains("gets a new volume"));
    let silent = World::new(1).healthy().cut_off("replica-1", 300).plan();
    assert!(
        silent.contains("it has not streamed for 300 s, and its log does not say why"),
        "{silent}"
    );
}

#[test]
fn postgresql_itself_pauses_the_replay_for_want_of_a_setting() {
    let world = World::new(1).healthy().facts("replica-1", |facts| {
        facts.replay_paused = true;
        facts.standby_floor.insert("max_connections".to_owned(), 50);
    });
    let plan = world.plan();
    let cause = "PostgreSQL itself has paused its replay, because max_connections is 50 here and 100 on the primary";
    assert!(
        plan.contains(&format!("replica-1: stop container (60 s grace), because {cause}")),
        "{plan}"
    );
    assert!(
        plan.contains("replica-1: start container") && !plan.contains("somebody paused"),
        "{plan}"
    );
    let by_hand = World::new(1)
        .healthy()
        .facts("replica-1", |facts| facts.replay_paused = true);
    assert!(by_hand.plan().contains("somebody paused its replay"));
}

#[test]
fn a_replica_that_streams_and_is_behind_is_looked_at_again() {
    let world = World::new(1).healthy().facts("master", |facts| {
        facts.slots.insert("replica_1".to_owned(), slot("reserved", true));
        if let Some(standby) = facts.standbys.get_mut("replica-1") {
            "catchup".clone_into(&mut standby.state);
        }
    });
    assert!(
        world
            .plan()
            .contains("replica-1: waiting, it streams, and is 0 B behind"),
        "{}",
        world.plan()
    );
    assert!(world.since(&not_streaming("replica-1"), 0).next().notes.len() == 1);
}
