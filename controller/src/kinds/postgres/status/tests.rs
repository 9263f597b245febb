//! What is told of a cluster, reason by reason and word by word.

use super::status;
use crate::kinds::postgres::memory::{PromotionResult, Rejected, Retired, Starts};
use crate::kinds::postgres::observe;
use crate::kinds::postgres::observe::Fill;
use crate::kinds::postgres::plan::tests::world::{NOW, World};
use crate::model::container::{Health, RunState};
use crate::model::postgres::{ControlState, Down};
use crate::model::status::{READY, Status};
use crate::model::{Lsn, Seen};

fn of(world: &World) -> Status {
    status(&world.view(), &world.next())
}

fn condition(world: &World, kind: &str) -> String {
    let status = of(world);
    let found = status.condition(kind).expect("the condition is told");
    format!("{:?} {}: {}", found.status, found.reason, found.message)
}

fn ready(world: &World) -> String {
    condition(world, READY)
}

fn word(world: &World, member: &str) -> String {
    let members = of(world).members;
    let found = members.into_iter().find(|m| m.name == member);
    found.expect("the member is told").state
}

#[test]
fn a_healthy_cluster_is_ready_and_says_how_many_stream() {
    insta::assert_snapshot!(ready(&World::new(0).healthy()), @"True AllMembersReady: the primary answers; there are no replicas");
    insta::assert_snapshot!(ready(&World::new(1).healthy()), @"True AllMembersReady: the primary answers and its replica streams");
    insta::assert_snapshot!(ready(&World::new(3).healthy()), @"True AllMembersReady: the primary answers and 3 replicas stream");
}

#[test]
fn what_needs_somebody_comes_before_what_comes_by_itself() {
    insta::assert_snapshot!(ready(&World::new(1).healthy().lose("master")), @"False NeedsConfirmation: master: its volume pg-master-g1 is gone. It is not initialised empty, because the data is also on replica-1. To go on: `reconciler promote replica-1 --force`, which lacks 0 bytes of the log that master was seen to have");
    let looping = World::new(1).healthy().kill("replica-1").remember(|memory| {
        memory
            .starts
            .insert("replica-1".to_owned(), Starts { count: 9, last: NOW });
    });
    insta::assert_snapshot!(ready(&looping), @"False CrashLooping: replica-1: it failed to start several times; it was killed (exit code 137)");
}

#[test]
fn a_cluster_with_a_member_missing_is_not_ready() {
    insta::assert_snapshot!(ready(&World::new(2).healthy().kill("replica-1")), @"False MembersNotReady: 1 of 3 members are not ready: replica-1");
    insta::assert_snapshot!(ready(&World::new(1).healthy().cut_off("replica-1", 1)), @"False MembersNotReady: 1 of 2 members are not ready: replica-1");
    let lags = World::new(1)
        .healthy()
        .facts("master", |facts| facts.lsn = Lsn(0x500 + (65 << 20)));
    insta::assert_snapshot!(ready(&lags), @"False MembersNotReady: 1 of 2 members are not ready: replica-1");
}

#[test]
fn a_cluster_on_its_way_says_what_is_next() {
    insta::assert_snapshot!(ready(&World::new(1).healthy().parameter("work_mem", "64MB")), @"False Progressing: pg: check the new configuration, because spec.parameters or spec.hba changed");
    let waits = World::new(1)
        .healthy()
        .edit(|spec| spec.primary = Some("replica-1".to_owned()));
    let failed = PromotionResult {
        id: 1,
        to: "replica-1".to_owned(),
        succeeded: false,
        message: "master did not stop cleanly".to_owned(),
        at: NOW - 1,
        ..PromotionResult::default()
    };
    let waits = waits.remember(|memory| memory.last_promotion = Some(failed));
    insta::assert_snapshot!(ready(&waits), @"False Progressing: replica-1: waiting, spec.primary names it; the last try failed: master did not stop cleanly");
    insta::assert_snapshot!(condition(&waits, "LastPromotionSucceeded"), @"False RolledBack: master did not stop cleanly");
}

#[test]
fn the_primarys_condition_says_why_it_takes_no_writes() {
    let kind = "PrimaryAvailable";
    let world = World::new(1).healthy();
    insta::assert_snapshot!(condition(&world, kind), @"True AcceptsWrites: master accepts writes");
    insta::assert_snapshot!(condition(&world.clone().down("master", Down::StartingUp, "it recovers"), kind), @"False NoAnswer: master: it recovers");
    insta::assert_snapshot!(condition(&world.clone().facts("master", |f| f.in_recovery = true), kind), @"False NotPromoted: master runs as a replica");
    insta::assert_snapshot!(condition(&world.clone().lose("master"), kind), @"False Missing: master has no container");
    insta::assert_snapshot!(condition(&world.remember(|memory| memory.primary = None), kind), @"False NoPrimary: no member is recorded as the primary");
}

#[test]
fn the_replicas_condition_names_those_that_do_not_stream() {
    let kind = "ReplicasStreaming";
    insta::assert_snapshot!(condition(&World::new(2).healthy(), kind), @"True AllStream: 2 of 2 stream");
    insta::assert_snapshot!(condition(&World::new(2).healthy().kill("replica-2"), kind), @"False NotAllStream: replica-2 is exited (137)");
}

#[test]
fn the_configurations_condition_follows_it_from_the_manifest_to_the_members() {
    let kind = "ConfigurationApplied";
    let edited = World::new(1).healthy().parameter("work_mem", "64MB");
    insta::assert_snapshot!(condition(&World::new(1).healthy(), kind), @"True InForce: every member that answers runs the manifest's configuration");
    insta::assert_snapshot!(condition(&edited, kind), @"False Pending: the configuration is not checked yet");
    insta::assert_snapshot!(condition(&edited.clone().accepted(), kind), @"False RollingOut: master, replica-1 still to be changed");
    let settings = edited.cluster.settings();
    let message = "invalid value".to_owned();
    let rejected = edited.remember(|memory| memory.rejected = Some(Rejected { settings, message }));
    insta::assert_snapshot!(condition(&rejected, kind), @"False Rejected: invalid value; the old configuration stays in force");
}

#[test]
fn a_member_that_does_not_run_says_how_it_ended() {
    let world = World::new(1).healthy();
    assert_eq!(word(&world.clone().lose("replica-1"), "replica-1"), "missing");
    assert_eq!(word(&world.clone().stop("replica-1"), "replica-1"), "stopped");
    assert_eq!(word(&world.clone().kill("replica-1"), "replica-1"), "exited (137)");
    let created = world
        .clone()
        .stop("replica-1")
        .container("replica-1", |c| c.state = RunState::Created);
    assert_eq!(word(&created, "replica-1"), "created");
    let looping = world.ended("master", 1, ControlState::InProduction).remember(|memory| {
        memory
            .starts
            .insert("master".to_owned(), Starts { count: 3, last: NOW });
    });
    assert_eq!(word(&looping, "master"), "crash looping");
}

#[test]
fn a_running_member_says_what_it_does() {
    let world = World::new(1).healthy();
    assert_eq!(word(&world, "master"), "running");
    assert_eq!(word(&world, "replica-1"), "streaming");
    assert_eq!(
        word(&world.clone().cut_off("replica-1", 1), "replica-1"),
        "not streaming"
    );
    let state = |state| world.clone().container("master", |c| c.state = state);
    assert_eq!(word(&state(RunState::Paused), "master"), "paused");
    assert_eq!(word(&state(RunState::Between), "master"), "between states");
    let down = |down| word(&world.clone().down("master", down, "why"), "master");
    assert_eq!(down(Down::StartingUp), "starting");
    assert_eq!(down(Down::ShuttingDown), "stopping");
    assert_eq!(down(Down::PasswordRejected), "password rejected");
    assert_eq!(down(Down::PasswordUnknown), "password unknown");
    assert_eq!(down(Down::NoAnswer), "starting");
    let silent = world
        .clone()
        .down("master", Down::NoAnswer, "why")
        .since(&observe::no_answer("master"), 5);
    assert_eq!(word(&silent, "master"), "no answer");
    let unhealthy = silent.container("master", |c| c.health = Health::Unhealthy);
    assert_eq!(word(&unhealthy, "master"), "unhealthy");
}

#[test]
fn a_seed_shows_its_progress() {
    let mut world = World::new(1)
        .healthy()
        .down("replica-1", Down::StartingUp, "its port is not open yet");
    let fill = Fill {
        since: world.now - 5,
        from: 0,
        done: 10,
        total: 100,
    };
    world.observed.fills.insert("replica-1".to_owned(), fill);
    let status = of(&world);
    assert_eq!(status.members[1].progress, Some((10, 100)));
    assert_eq!(status.members[1].eta_seconds, Some(45));
    assert_eq!(status.members[1].state, "seeding");
    assert_eq!(
        status.operation.as_deref(),
        Some("seeding replica-1 (10 B of 100 B, about 45 s left)")
    );
}

#[test]
fn a_replica_says_how_far_it_is_behind() {
    let world = World::new(1).healthy().facts("master", |facts| facts.lsn = Lsn(0x540));
    let members = of(&world).members;
    assert_eq!((members[0].lag_bytes, members[1].lag_bytes), (None, Some(0x40)));
    assert!(members[1].ready, "within the limit");
}

#[test]
fn a_promotion_in_progress_says_its_next_step() {
    let world = World::new(1).healthy().promoting("replica-1");
    let lags = world
        .clone()
        .facts("replica-1", |facts| facts.lsn = Lsn(0x4F8))
        .stop("master");
    insta::assert_snapshot!(of(&lags).operation.unwrap_or_default(), @"switchover master -> replica-1: replica-1: waiting, it has replayed up to 0/4F8, and master stopped at 0/500");
    let waits = world.stop("master").forced().control("master", Seen::Absent);
    insta::assert_snapshot!(of(&waits).operation.unwrap_or_default(), @"forced promotion master -> replica-1: master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because fenced: whoever starts it gets a replica, now that replica-1 takes over");
}

#[test]
fn where_passwords_are_is_told_and_what_they_are_is_not() {
    let world = World::new(0).healthy().remember(|memory| {
        let retired = Retired {
            member: "replica-1".to_owned(),
            reason: "it accepted writes of its own".to_owned(),
            ..Retired::default()
        };
        memory.retired.insert("pg-replica-1-g1".to_owned(), retired);
    });
    let lines: Vec<String> = of(&world).facts.iter().map(|(k, v)| format!("{k}: {v}")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    password of postgres: secrets/PostgresCluster/pg/postgres in the state directory
    retired volume pg-replica-1-g1: it accepted writes of its own
    system identifier: 7001
    ");
}
