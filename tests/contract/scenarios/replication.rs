//! A primary and its replica: the copy, the stream, the clean stop, the change of roles.

use reconciler::kinds::postgres::conf;
use reconciler::kinds::postgres::desired::Role;
use reconciler::kinds::postgres::quorum::{Method, SyncSet};
use reconciler::model::postgres::{ControlState, PgFacts, SqlOp};

use crate::ground::{Blow, Ground, Host, files_that_wait};

pub async fn a_replica_is_seeded_and_streams_through_its_slot<H: Host>(ground: &Ground<H>) {
    ground.primary().await;
    ground.write("master", 50).await;
    ground.sql("master", SqlOp::Role(ground.replicator())).await.unwrap();
    let slot = conf::slot_name("replica-1");
    ground.sql("master", SqlOp::CreateSlot(slot.clone())).await.unwrap();
    ground.make("replica-1").await;
    ground.start_as("replica-1", Role::Replica, "master").await;
    let replica = ground.streams("replica-1").await;
    let shows = |facts: &PgFacts| facts.slots[&slot].active && facts.standbys.contains_key("replica-1");
    let primary = ground.facts("master", "it shows its standby", shows).await;
    assert_eq!(primary.standbys["replica-1"].state, "streaming");
    assert_eq!(primary.standbys["replica-1"].sync_state, "async");
    assert_eq!(primary.system_identifier, replica.system_identifier);
    assert_eq!(replica.timeline, 1);
    assert!(primary.base_backups.is_empty(), "the copy is over");
    ground.write("master", 50).await;
    ground
        .until("the rows arrive", async || {
            (ground.rows("replica-1").await == 100).then_some(())
        })
        .await;
    let error = ground.sql("replica-1", SqlOp::Role(ground.replicator())).await;
    assert!(error.is_err(), "a replica takes no writes");

    // Killed and started again it goes on where it was; the slot waits for it.
    ground.befall("replica-1", Blow::Kill).await;
    ground.ended("replica-1").await;
    assert_eq!(ground.control("replica-1").await.state, ControlState::InArchiveRecovery);
    let waits = |facts: &PgFacts| !facts.slots[&slot].active;
    let primary = ground.facts("master", "the slot is free", waits).await;
    assert_ne!(primary.slots[&slot].wal_status, "lost");
    ground.write("master", 10).await;
    ground.start("replica-1").await;
    ground.streams("replica-1").await;
    ground
        .until("the rows arrive", async || {
            (ground.rows("replica-1").await == 110).then_some(())
        })
        .await;
    ground.signal("replica-1", "SIGINT").await.unwrap();
    assert_eq!(ground.ended("replica-1").await.exit_code, 0);
    let control = ground.control("replica-1").await;
    assert_eq!(control.state, ControlState::ShutDownInRecovery);
    assert_eq!(control.timeline, 1);
}

pub async fn a_clean_stop_is_seen_and_a_standby_has_all_of_it<H: Host>(ground: &Ground<H>) {
    ground.pair().await;
    ground.write("master", 200).await;
    let before = ground.up("master").await;
    ground.signal("master", "SIGINT").await.unwrap();
    assert_eq!(ground.ended("master").await.exit_code, 0);
    let control = ground.control("master").await;
    assert_eq!(control.state, ControlState::ShutDown);
    assert_eq!(
        (control.timeline, control.system_identifier),
        (1, before.system_identifier)
    );
    assert!(control.checkpoint >= before.lsn, "the last record of all");
    let beyond = |facts: &PgFacts| facts.lsn > control.checkpoint;
    let replica = ground
        .facts("replica-1", "it has replayed the shutdown checkpoint", beyond)
        .await;
    assert!(replica.in_recovery && !replica.receiver_streaming);
    assert_eq!(ground.rows("replica-1").await, 200);
    ground.start_as("master", Role::Primary, "master").await;
    ground.up("master").await;
    ground.streams("replica-1").await;
}

pub async fn a_promotion_begins_a_timeline_and_the_old_primary_follows<H: Host>(ground: &Ground<H>) {
    ground.pair().await;
    ground.write("master", 20).await;
    ground.signal("master", "SIGINT").await.unwrap();
    ground.ended("master").await;
    let end = ground.control("master").await.checkpoint;
    let all = |facts: &PgFacts| facts.lsn > end;
    ground.facts("replica-1", "it has everything", all).await;
    for _ in 0..2 {
        ground.sql("replica-1", SqlOp::Promote).await.unwrap();
    }
    let promoted = ground
        .facts("replica-1", "it is the primary", |facts| !facts.in_recovery)
        .await;
    assert_eq!(promoted.timeline, 2);
    let [(1, branch)] = promoted.history[..] else {
        panic!("{:?}", promoted.history);
    };
    assert!(branch > end, "it branched off behind the last record: {branch} {end}");
    ground.write("replica-1", 5).await;
    assert_eq!(ground.rows("replica-1").await, 25);
    ground.sql("replica-1", SqlOp::Checkpoint).await.unwrap();
    let slot = conf::slot_name("master");
    ground.sql("replica-1", SqlOp::CreateSlot(slot)).await.unwrap();

    ground.start_as("master", Role::Replica, "replica-1").await;
    let follows = ground.streams("master").await;
    assert_eq!(follows.system_identifier, promoted.system_identifier);
    ground
        .facts("master", "it is on the new timeline", |facts| facts.timeline == 2)
        .await;
    ground
        .until("the rows arrive", async || {
            (ground.rows("master").await == 25).then_some(())
        })
        .await;

    // After its checkpoint even a kill leaves the new timeline in its control file.
    ground.befall("replica-1", Blow::Kill).await;
    ground.ended("replica-1").await;
    let control = ground.control("replica-1").await;
    assert_eq!((control.state, control.timeline), (ControlState::InProduction, 2));
}

pub async fn a_slot_in_use_is_not_dropped<H: Host>(ground: &Ground<H>) {
    ground.pair().await;
    let slot = conf::slot_name("replica-1");
    let in_use = |facts: &PgFacts| facts.slots[&slot].active;
    ground.facts("master", "the slot is used", in_use).await;
    assert!(ground.sql("master", SqlOp::DropSlot(slot.clone())).await.is_err());
    ground.streams("replica-1").await;
    ground.befall("replica-1", Blow::Kill).await;
    ground.ended("replica-1").await;
    let free = |facts: &PgFacts| !facts.slots[&slot].active;
    ground.facts("master", "the slot is free", free).await;
    ground.sql("master", SqlOp::DropSlot(slot)).await.unwrap();
    assert!(ground.up("master").await.slots.is_empty());
}

pub async fn commits_wait_for_the_standbys_that_are_named<H: Host>(ground: &Ground<H>) {
    ground.pair().await;
    assert_eq!(ground.up("master").await.sync_names, "");
    for (method, state) in [(Method::Any, "quorum"), (Method::First, "sync")] {
        let set = SyncSet {
            voters: vec!["replica-1".to_owned()],
            number: 1,
            method,
        };
        let roles = (Role::Primary, "master");
        let files = files_that_wait(&ground.cluster, "master", roles, Some(set.names()));
        ground.deliver("master", files).await;
        ground.sql("master", SqlOp::Reload).await.unwrap();
        let waits = |facts: &PgFacts| {
            let standby = facts.standbys.get("replica-1");
            facts.sync_names == set.names() && standby.is_some_and(|standby| standby.sync_state == state)
        };
        let before = ground.facts("master", "commits wait", waits).await;
        assert_eq!(SyncSet::parse(&before.sync_names), Some(set.clone()));
        ground.write("master", 10).await;
        // Acknowledged is flushed by who was named: whoever looks now sees it there.
        let after = ground.up("master").await;
        assert!(after.standbys["replica-1"].flush_lsn > before.lsn, "{after:?}");
    }
    let files = files_that_wait(
        &ground.cluster,
        "master",
        (Role::Primary, "master"),
        Some(String::new()),
    );
    ground.deliver("master", files).await;
    ground.sql("master", SqlOp::Reload).await.unwrap();
    let freely = |facts: &PgFacts| facts.sync_names.is_empty() && facts.standbys["replica-1"].sync_state == "async";
    ground.facts("master", "commits wait for nobody", freely).await;
}
