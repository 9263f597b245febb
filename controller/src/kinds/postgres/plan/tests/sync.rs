//! What commits wait for, and how that changes.

use serde_json::json;

use super::world::{HERE, NOW, World};
use crate::kinds::postgres::memory::{Change, ReadBack, SyncChange};
use crate::kinds::postgres::observe;
use crate::kinds::postgres::plan::sync;
use crate::kinds::postgres::quorum::SyncSet;
use crate::model::Lsn;
use crate::model::plan::Op;
use crate::model::postgres::{Down, Running, SqlOp};

pub fn set(number: u32, voters: &[&str]) -> SyncSet {
    SyncSet {
        voters: voters.iter().map(|v| (*v).to_owned()).collect(),
        number,
        ..SyncSet::default()
    }
}

/// A healthy cluster whose manifest asks for synchronous replication; nothing of it is in force yet.
pub fn asked(replicas: u32, replication: serde_json::Value) -> World {
    let mut world = World::new(replicas);
    let mut asked = replication;
    asked["mode"] = json!("synchronous");
    world = world.edit(|spec| spec.replication = serde_json::from_value(asked).expect("a valid spec"));
    world.healthy()
}

/// The same with a set in force, alone.
pub fn in_force(replicas: u32, replication: serde_json::Value, set: SyncSet) -> World {
    let world = asked(replicas, replication).remember(|memory| {
        memory.sync.apply(SyncChange::Intend(set.clone()));
        memory.sync.apply(SyncChange::Settled(set.clone()));
    });
    world.facts("master", |facts| facts.sync_names = set.names()).refresh()
}

fn two() -> World {
    in_force(2, json!({}), set(1, &["replica-1", "replica-2"]))
}

/// Applies what the plan remembers.
fn go_on(world: World) -> World {
    let plan = world.next();
    let changes: Vec<Change> = plan
        .actions()
        .filter_map(|action| match &action.op {
            Op::Remember(change) => Some(change.clone()),
            Op::Engine(_) | Op::Sql(..) | Op::Listen(_) | Op::Grafana(..) => None,
        })
        .collect();
    world.remember(|memory| changes.iter().for_each(|change| memory.apply(change)))
}

#[test]
fn what_is_in_force_stays_as_it_is() {
    assert_eq!(two().plan(), "nothing to do\n");
    let first = SyncSet {
        method: crate::kinds::postgres::quorum::Method::First,
        ..set(1, &["replica-1", "replica-2"])
    };
    assert_eq!(in_force(2, json!({"method": "first"}), first).plan(), "nothing to do\n");
}

#[test]
fn a_set_is_remembered_delivered_read_back_and_covers_what_came_before() {
    let world = asked(2, json!({}));
    insta::assert_snapshot!(world.plan(), @"master: remember that commits are to wait for any 1 of replica-1, replica-2, because these replicas stream");
    let world = go_on(world);
    insta::assert_snapshot!(world.plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because postgresql.conf differ from what the manifest asks for
    master: reload the configuration, because its files changed
    ");
    let names = set(1, &["replica-1", "replica-2"]).names();
    let world = world.facts("master", |facts| facts.sync_names = names).refresh();
    insta::assert_snapshot!(world.plan(), @r"
    master: checkpoint, because its checkpointer lets commits go by until it has read the names
    master: remember that its commits wait for any 1 of replica-1, replica-2 by now, because it was read back
    ");
    let world = go_on(world);
    assert!(
        sync::quorum(&world.view(), "replica-1").is_ok(),
        "nothing is promised yet"
    );
    insta::assert_snapshot!(world.plan(), @"master: waiting, all of its processes have to heed that commits wait for any 1 of replica-1, replica-2");
    let world = world.later(2).facts("master", |facts| facts.flush_lsn = Lsn(0x600));
    insta::assert_snapshot!(world.plan(), @"master: remember that what was acknowledged up to 0/600 has to reach any 1 of replica-1, replica-2, because older writes may have been acknowledged otherwise");
    let world = go_on(world).facts("master", |facts| facts.flush_lsn = Lsn(0x700));
    insta::assert_snapshot!(world.plan(), @"master: waiting, what was acknowledged up to 0/600 has to reach any 1 of replica-1, replica-2");
    let world = world.facts("master", |facts| {
        facts.standbys.get_mut("replica-2").expect("it streams").flush_lsn = Lsn(0x600);
    });
    insta::assert_snapshot!(world.plan(), @"master: remember that commits wait for any 1 of replica-1, replica-2, because what was acknowledged before, up to 0/600, has reached 1 of them");
    let world = go_on(world);
    assert_eq!(world.plan(), "nothing to do\n");
    assert!(world.memory.sync.is_settled());
}

#[test]
fn nothing_waits_before_enough_replicas_stream_for_the_first_time() {
    let world = asked(2, json!({"number": 2})).cut_off("replica-2", 1);
    insta::assert_snapshot!(world.plan(), @r"
    replica-2: waiting, it does not stream from master yet
    master: waiting, commits wait for replicas when 2 of them stream
    ");
}

#[test]
fn a_voter_that_is_gone_leaves_when_others_are_enough() {
    let gone = |secs| two().kill("replica-2").since(&observe::not_followed("replica-2"), secs);
    assert!(!gone(2).plan().contains("commits are to wait"));
    insta::assert_snapshot!(gone(3).plan(), @r"
    replica-2: disconnect from network pg-svc, because it gets its names when it streams
    replica-2: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-2: remember that replica-2 is being started, because a start that leads nowhere is not repeated at once
    replica-2: start container, because it was killed (exit code 137)
    master: remember that commits are to wait for replica-1, because these replicas stream
    ");
}

#[test]
fn required_commits_wait_for_whoever_is_missing() {
    let world = in_force(2, json!({"number": 2}), set(2, &["replica-1", "replica-2"]));
    let world = world.kill("replica-2").since(&observe::not_followed("replica-2"), 600);
    assert!(!world.plan().contains("commits are to wait"), "{}", world.plan());
    let one = in_force(1, json!({}), set(1, &["replica-1"]));
    let one = one.kill("replica-1").since(&observe::not_followed("replica-1"), 600);
    assert!(!one.plan().contains("commits are to wait"), "{}", one.plan());
}

#[test]
fn preferred_commits_wait_for_those_that_are_left_in_the_end_for_none() {
    let preferred = json!({"number": 2, "durability": "preferred"});
    let world = in_force(2, preferred, set(2, &["replica-1", "replica-2"]));
    let world = world.kill("replica-2").since(&observe::not_followed("replica-2"), 3);
    assert!(
        world
            .plan()
            .contains("commits are to wait for replica-1, because these replicas stream")
    );
    let world = world.kill("replica-1").since(&observe::not_followed("replica-1"), 3);
    assert!(
        world
            .plan()
            .contains("master: remember that commits are to wait for no replica, because no replica streams")
    );
    let world = go_on(world)
        .facts("master", |facts| facts.sync_names = String::new())
        .refresh();
    let world = go_on(world);
    assert_eq!(world.memory.sync.sets(), [SyncSet::nobody()]);
    let back = world.clone().later(1);
    assert!(
        sync::quorum(&back.view(), "replica-1").is_err(),
        "only the primary has everything"
    );
}

#[test]
fn a_replica_leaves_before_it_is_restarted() {
    let due = |world: World| {
        world.facts("replica-1", |facts| {
            facts.running.insert(
                "shared_buffers".to_owned(),
                Running {
                    context: "postmaster".to_owned(),
                    is_ours: true,
                    is_pending: true,
                    ..Running::default()
                },
            );
        })
    };
    insta::assert_snapshot!(due(two()).plan(), @r"
    master: remember that commits are to wait for replica-2, because replica-1 is to be restarted
    replica-1: waiting, it leaves the set that commits wait for first
    ");
    let left = due(in_force(2, json!({}), set(1, &["replica-2"])));
    assert!(left.plan().contains("replica-1: stop container"), "{}", left.plan());
    let only = due(in_force(1, json!({}), set(1, &["replica-1"])));
    assert!(
        only.plan().contains("replica-1: stop container"),
        "nobody else could be asked"
    );
}

#[test]
fn a_replica_that_is_scaled_away_leaves_first() {
    let world = two().edit(|spec| spec.replicas = 1);
    let plan = world.plan();
    assert!(plan.contains("commits are to wait for replica-1,"), "{plan}");
    assert!(
        plan.contains("replica-2: waiting, it leaves the set that commits wait for first"),
        "{plan}"
    );
    let left = in_force(2, json!({}), set(1, &["replica-1"])).edit(|spec| spec.replicas = 1);
    assert!(left.plan().contains("replica-2: stop container"), "{}", left.plan());
}

#[test]
fn what_somebody_else_set_counts_until_ours_has_settled_again() {
    let world = two().facts("master", |facts| facts.sync_names = String::new());
    insta::assert_snapshot!(world.plan(), @"master: remember that commits may have waited for no replica, because that is what it runs with");
    let world = go_on(world);
    assert!(sync::quorum(&world.view(), "replica-1").is_err());
    let names = set(1, &["replica-1", "replica-2"]).names();
    let healed = world.facts("master", |facts| facts.sync_names = names);
    assert!(
        healed.plan().contains("master: checkpoint, because its checkpointer"),
        "{}",
        healed.plan()
    );
}

#[test]
fn switched_off_it_is_forgotten_when_no_commit_waits() {
    let world = two().edit(|spec| spec.replication = Default::default()).refresh();
    insta::assert_snapshot!(world.plan(), @"master: remember that commits are to wait for no replica, because spec.replication.mode is asynchronous");
    let world = go_on(world);
    assert!(sync::quorum(&world.clone().kill("master").view(), "replica-1").is_err());
    let world = world
        .facts("master", |facts| facts.sync_names = String::new())
        .refresh();
    insta::assert_snapshot!(world.plan(), @"master: remember that commits wait for no replica, as asked, because spec.replication.mode is asynchronous");
    let world = go_on(world).refresh();
    assert_eq!(world.plan(), "nothing to do\n");
    assert!(sync::quorum(&world.view(), "replica-1").is_ok());
}

#[test]
fn a_lost_record_is_taken_from_what_runs() {
    let names = set(1, &["replica-1"]).names();
    let world = asked(2, json!({}))
        .facts("master", |facts| facts.sync_names = names)
        .remember(|memory| {
            memory.sync.adopted = true;
        });
    let world = world.refresh();
    assert!(
        sync::quorum(&world.view(), "replica-1").is_err(),
        "nobody knows what was promised"
    );
    insta::assert_snapshot!(world.plan(), @"master: remember that commits are to wait for replica-1, because that is what it runs with");
    insta::assert_snapshot!(go_on(world).plan(), @"master: remember that commits are to wait for any 1 of replica-1, replica-2, because these replicas stream");
}

#[test]
fn who_has_everything_is_asked_of_those_that_answer() {
    let killed = two().kill("master");
    assert!(sync::quorum(&killed.view(), "replica-1").is_ok());
    let silent = killed.clone().kill("replica-2");
    let lack = sync::quorum(&silent.view(), "replica-1").expect_err("replica-2 may have more");
    insta::assert_snapshot!(lack.why, @"commits waited for any 1 of replica-1, replica-2, and replica-2 cannot be asked what was acknowledged");
    let ahead = killed
        .clone()
        .facts("replica-2", |facts| facts.receive_lsn = Lsn(HERE.0 + 8));
    let lack = sync::quorum(&ahead.view(), "replica-1").expect_err("replica-2 has more");
    assert_eq!(lack.ahead.as_deref(), Some("replica-2"));
    assert!(sync::quorum(&ahead.view(), "replica-2").is_ok());
    let reading = killed.facts("replica-2", |facts| facts.receive_lsn = Lsn(0));
    assert!(
        sync::quorum(&reading.view(), "replica-1").is_err(),
        "it has not read its own log to the end"
    );
}

#[test]
fn what_a_new_primary_waits_for_is_known_before_it_is_one() {
    let world = two().promoting("replica-1").stop("master").facts("replica-1", |facts| {
        facts.lsn = Lsn(0x578);
        facts.sync_names = set(1, &["master", "replica-2"]).names();
    });
    let world = world.remember(|memory| memory.apply(&Change::Fenced("master".to_owned())));
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: remember that its commits wait for any 1 of master, replica-2, because what its commits wait for is known before it accepts any
    replica-1: remember that its promotion is requested, because from now on there is only forward
    replica-1: promote, because master is down and it has everything
    replica-1: disconnect from network pg-svc, because it takes over
    replica-1: connect to network pg-svc as pg-r, pg-rw, because it takes over
    ");
    // Asked once more, as after the agent's death; what its commits wait for is not decided twice.
    let plan = go_on(world).later(2).next();
    let is_promotion = |op: &Op<Change>| matches!(op, Op::Sql(_, SqlOp::Promote));
    assert!(plan.actions().any(|action| is_promotion(&action.op)), "{plan}");
}

#[test]
fn what_was_read_back_and_then_changed_is_read_back_anew() {
    let world = asked(2, json!({})).remember(|memory| {
        let wanted = set(1, &["replica-1", "replica-2"]);
        memory.sync.apply(SyncChange::Intend(wanted.clone()));
        memory
            .sync
            .apply(SyncChange::ReadBack(wanted, ReadBack { at: NOW, lsn: None }));
    });
    let world = world.refresh();
    insta::assert_snapshot!(world.plan(), @"master: remember that commits may have waited for no replica, because that is what it runs with");
}

/// `master` is beyond help, and was when its place was given to `replica-1` unasked.
fn failing_over() -> World {
    let world = two().promoting("replica-1").forced().lose("master");
    world.remember(|memory| {
        memory
            .promotion
            .iter_mut()
            .for_each(|promotion| promotion.automatic = true)
    })
}

#[test]
fn a_failover_asks_again_for_the_proof_when_the_primary_is_fenced() {
    assert!(failing_over().plan().contains("replica-1: promote"));
    let silent = failing_over().down("replica-2", Down::NoAnswer, "timeout");
    insta::assert_snapshot!(silent.plan(), @"replica-1: waiting, commits waited for any 1 of replica-1, replica-2, and replica-2 cannot be asked what was acknowledged");
    insta::assert_snapshot!(silent.later(600).plan(), @"replica-1: remember that replica-1 was not promoted, because commits waited for any 1 of replica-1, replica-2, and replica-2 cannot be asked what was acknowledged; master stays the primary");
    let demanded = two().promoting("replica-1").forced().lose("master");
    let demanded = demanded.down("replica-2", Down::NoAnswer, "timeout");
    assert!(demanded.plan().contains("replica-1: promote"), "{}", demanded.plan());
}
