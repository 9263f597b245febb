//! A configuration that nothing is known of: tried by one, given to all, or taken back; and none that keeps a cluster down.

use super::world::{NOW, World};
use crate::kinds::postgres::memory::{Change, Settings, TrialChange};
use crate::model::postgres::{ControlState, Down};

/// The manifest's configuration was checked; another one runs.
fn checked(replicas: u32) -> World {
    let world = World::new(replicas).healthy().parameter("work_mem", "64MB");
    let wanted = world.cluster.settings();
    world.remember(|memory| memory.apply(&Change::Accept(wanted)))
}

fn given_to(world: World, member: &str) -> World {
    let hash = world.cluster.settings().hash();
    let first = Change::Trial(TrialChange::First(member.to_owned(), hash));
    world.remember(|memory| memory.apply(&first))
}

/// A member was started with what it is to have now, and its server ended by itself.
fn ends(world: World, member: &str, words: &str) -> World {
    let hash = world.view().settings_for(member).hash();
    let started = Change::Started(member.to_owned(), NOW, hash);
    let state = match member {
        "master" => ControlState::ShutDown,
        _ => ControlState::ShutDownInRecovery,
    };
    let log = format!("LOG:  starting PostgreSQL 17\nFATAL:  {words}\nLOG:  database system is shut down");
    world
        .remember(|memory| memory.apply(&started))
        .ended(member, 1, state)
        .container(member, |container| container.started_at = NOW)
        .seen(member, |seen| seen.log = log)
}

fn take(world: World) -> World {
    let changes: Vec<Change> = world
        .next()
        .actions()
        .filter_map(|action| match &action.op {
            crate::model::plan::Op::Remember(change) => Some(change.clone()),
            _ => None,
        })
        .collect();
    world.remember(|memory| changes.iter().for_each(|change| memory.apply(change)))
}

fn asks_for(world: &World, member: &str) -> Option<String> {
    let settings = world.view().settings_for(member);
    settings.parameters.get("work_mem").map(|value| value.0.clone())
}

#[test]
fn a_replica_gets_it_first_and_then_all_do() {
    let world = checked(2);
    let plan = world.plan();
    assert!(
        plan.contains("pg: remember that replica-1 gets the new configuration first"),
        "{plan}"
    );
    let world = take(world);
    let has: Vec<_> = ["master", "replica-1", "replica-2"]
        .map(|member| asks_for(&world, member))
        .into();
    assert_eq!(has, [None, Some("64MB".to_owned()), None]);
    let plan = world.plan();
    assert!(
        plan.contains("replica-1: deliver") && !plan.contains("master: deliver"),
        "{plan}"
    );
    // It runs there.
    let world = take(world.refresh());
    let plan = world.plan();
    assert!(
        plan.contains("master: deliver") && plan.contains("replica-2: deliver"),
        "{plan}"
    );
    assert!(world.memory.trials.previous.is_some());
    let world = take(world.refresh());
    assert!(world.memory.trials.previous.is_none());
    assert_eq!(world.plan().trim(), "nothing to do");
}

#[test]
fn what_the_first_one_does_not_start_with_is_taken_back_and_told() {
    let memory = "could not map anonymous shared memory";
    let world = take(ends(given_to(checked(1), "replica-1"), "replica-1", memory));
    // What `ALTER SYSTEM` has set may be why: the second start looks into that.
    assert_eq!(asks_for(&world, "replica-1").as_deref(), Some("64MB"));
    assert!(world.view().suspicion("replica-1").is_some());
    let world = ends(world, "replica-1", memory);
    let plan = world.plan();
    assert!(
        plan.contains("the last one that did is in force, because could not map anonymous shared memory"),
        "{plan}"
    );
    let world = take(world);
    assert_eq!(asks_for(&world, "replica-1"), None);
    let plan = world.plan();
    assert!(
        plan.contains("replica-1: start container") && plan.contains("pg: blocked, replica-1 did not start with it"),
        "{plan}"
    );
}

#[test]
fn a_server_that_cannot_read_its_files_gives_them_back() {
    let world = given_to(checked(0), "master").refresh();
    let world = world.facts("master", |facts| {
        facts.conf_errors.push("pg_hba.conf line 9: invalid".to_owned())
    });
    let world = take(world);
    assert_eq!(asks_for(&world, "master"), None);
    assert!(world.memory.rejected.is_some());
}

#[test]
fn where_nobody_answers_the_manifests_and_the_last_one_are_started_in_turn() {
    // What ran last does not start any more; the manifest says something else, which nobody can check.
    let world = World::new(0).healthy().parameter("work_mem", "64MB");
    assert_eq!(asks_for(&world.clone().stop("master"), "master"), None);
    let world = ends(world, "master", "could not load pg_hba.conf");
    let world = take(world);
    assert_eq!(asks_for(&world, "master").as_deref(), Some("64MB"));
    assert!(
        world.plan().contains("master: start container"),
        "at once: {}",
        world.plan()
    );
    let world = take(ends(world, "master", "something else"));
    assert_eq!(asks_for(&world, "master"), None);
    assert!(world.view().suspicion("master").is_some());
}

#[test]
fn an_edit_ends_the_wait_for_the_next_try() {
    let world = ends(World::new(0).healthy(), "master", "could not load pg_hba.conf");
    let world = take(world).remember(|memory| {
        memory.starts.entry("master".to_owned()).or_default().count = 9;
    });
    assert!(world.plan().contains("the next start is tried in"), "{}", world.plan());
    let edited = world.parameter("work_mem", "64MB");
    assert!(edited.plan().contains("master: start container"), "{}", edited.plan());
}

#[test]
fn what_the_data_is_to_blame_for_is_not_the_configurations() {
    let world = given_to(checked(0), "master");
    for words in [
        "x\nPANIC:  could not locate a valid checkpoint record",
        "No space left on device",
    ] {
        let world = take(ends(world.clone(), "master", words));
        assert!(world.memory.rejected.is_none(), "{words}");
    }
}

#[test]
fn one_that_runs_and_lets_nobody_in_is_given_its_files_without_being_asked() {
    let why = "could not access file \"nope\": No such file or directory";
    let world = World::new(0).healthy().down("master", Down::NoAnswer, why);
    let plan = world.plan();
    assert!(
        plan.contains("master: deliver") && plan.contains("master: send SIGHUP"),
        "{plan}"
    );
    // It judges all the same: a program of its image does, without SQL.
    let plan = world.parameter("work_mem", "64MB").plan();
    assert!(plan.contains("pg: check the new configuration"), "{plan}");
}

#[test]
fn an_old_record_knows_one_configuration() {
    let old: crate::kinds::postgres::memory::Memory =
        serde_json::from_str(r#"{"primary": "master", "accepted": {"parameters": {"work_mem": "8MB"}, "hba": []}}"#)
            .expect("an old record");
    assert_eq!(old.trials.proven, None);
    assert_ne!(old.accepted.unwrap_or_default().hash(), Settings::default().hash());
}

#[test]
fn a_replica_that_comes_up_is_waited_for_before_the_primary_tries() {
    let hash = Settings::default().hash();
    let world = checked(1).down("replica-1", Down::StartingUp, "the database system is starting up");
    let started = Change::Started("replica-1".to_owned(), NOW, hash);
    let world = world.remember(|memory| memory.apply(&started));
    let plan = world.plan();
    assert!(
        plan.contains("replica-1 is to get the new configuration first") && !plan.contains("master gets the new"),
        "{plan}"
    );
    let plan = world.later(61).plan();
    assert!(plan.contains("master gets the new configuration first"), "{plan}");
}

#[test]
fn who_is_killed_again_and_again_is_not_proof_against_a_configuration() {
    let world = given_to(checked(1), "replica-1");
    let hash = world.view().settings_for("replica-1").hash();
    let started = Change::Started("replica-1".to_owned(), NOW, hash);
    let world = world.remember(|memory| (0..9).for_each(|_| memory.apply(&started)));
    let killed = world.clone().kill("replica-1");
    assert!(take(killed).memory.rejected.is_none());
    let starved = world.kill("replica-1");
    let starved = starved.container("replica-1", |container| container.oom_killed = true);
    assert!(take(starved).memory.rejected.is_some());
}

#[test]
fn an_edit_before_the_first_configuration_is_known_is_tried_all_the_same() {
    let world = World::new(1);
    let begun = world.cluster.settings();
    let started = |world: World| {
        let begins = world.view().begins_with(&begun).expect("the first start of all");
        world.remember(|memory| memory.apply(&begins))
    };
    let world = started(world).healthy().remember(|memory| memory.accepted = None);
    let world = world.parameter("work_mem", "lots");
    assert_eq!(
        asks_for(&world, "replica-1"),
        None,
        "nobody gets what nobody has checked"
    );
    let wanted = world.cluster.settings();
    let world = world.remember(|memory| memory.apply(&Change::Accept(wanted)));
    assert_eq!(world.memory.trials.proven.as_ref(), Some(&begun));
}
