//! One server: from nothing to its answers, its files, its death.

use std::time::Duration;

use reconciler::kinds::postgres::conf;
use reconciler::kinds::postgres::desired::{self, Role};
use reconciler::kinds::postgres::spec::Scalar;
use reconciler::model::SecretRef;
use reconciler::model::container::{FileSpec, RunState};
use reconciler::model::plan::{EngineOp, SqlTarget};
use reconciler::model::postgres::{ControlState, Down, PgFacts, RoleAttributes, RoleChange, Server, SqlOp};
use reconciler::model::process::{ProcessState, Vitals};

use crate::ground::{Blow, Ground, Host, files};

/// Whether a server reads the files that were delivered.
fn fits(facts: &PgFacts, files: &[FileSpec]) -> bool {
    let wanted = desired::watched_hashes(files);
    let seen = &facts.file_hashes;
    let same = |(name, hash): (&String, &String)| seen.get(name).is_some_and(|seen| seen.starts_with(hash));
    seen.len() == wanted.len() && wanted.iter().all(same) && facts.files_edited.is_empty()
}

pub async fn a_primary_comes_up_from_nothing<H: Host>(ground: &Ground<H>) {
    ground.make("master").await;
    ground.start_as("master", Role::Bootstrap, "master").await;
    // Until it answers it says that it is starting, whatever it is doing; or, on a busy machine, nothing in time.
    let facts = loop {
        match ground.server("master").await {
            Server::Up(facts) => break facts,
            Server::Down(Down::StartingUp | Down::NoAnswer, _) => {}
            Server::Down(down, why) => panic!("{down:?}: {why}"),
        }
        ground.host.rest(Duration::from_millis(5)).await;
    };
    assert!(!facts.in_recovery && facts.timeline == 1 && facts.system_identifier != 0);
    assert!(facts.history.is_empty() && facts.slots.is_empty() && facts.standbys.is_empty());
    assert!(facts.lsn.0 > 0 && facts.pending_restart.is_empty() && facts.conf_errors.is_empty());
    let files = ground.files("master", Role::Bootstrap, "master");
    assert!(fits(&facts, &files), "{:?}", facts.file_hashes);
    assert!(!facts.reload_due && facts.auto_conf.is_empty());
    assert_eq!(facts.standby_floor["max_connections"], 30);
    assert!(facts.roles["postgres"].attributes.superuser);
    // Started again it is the same: nothing is initialised twice.
    ground.start("master").await;
    ground.write("master", 3).await;
    ground.signal("master", "SIGINT").await.unwrap();
    assert_eq!(ground.ended("master").await.exit_code, 0);
    ground.start("master").await;
    let again = ground.up("master").await;
    assert_eq!(again.system_identifier, facts.system_identifier);
    assert_eq!(ground.rows("master").await, 3);
}

pub async fn delivered_files_are_seen_and_a_reload_puts_them_in_force<H: Host>(ground: &Ground<H>) {
    let before = ground.primary().await;
    let edited = |parameter: &str, value: &str| {
        let mut cluster = ground.cluster.clone();
        let parameters = &mut cluster.spec.parameters;
        parameters.insert(parameter.to_owned(), Scalar(value.to_owned()));
        files(&cluster, "master", Role::Primary, "master")
    };
    let files = edited("work_mem", "5MB");
    // Within the second of the last load: times, which have whole seconds, do not tell it.
    ground.sql("master", SqlOp::Reload).await.unwrap();
    // A session reads the files itself, at its first command after the reload.
    ground.up("master").await;
    ground.deliver("master", files.clone()).await;
    let delivered = ground.up("master").await;
    assert!(delivered.reload_due, "the server has not read it");
    assert_ne!(delivered.file_hashes, before.file_hashes);
    assert!(fits(&delivered, &files), "{:?}", delivered.file_hashes);
    ground.sql("master", SqlOp::Reload).await.unwrap();
    let loaded = ground
        .facts("master", "it has read it", |facts| !facts.reload_due)
        .await;
    assert!(loaded.pending_restart.is_empty());

    ground.deliver("master", edited("max_connections", "40")).await;
    ground.sql("master", SqlOp::Reload).await.unwrap();
    let waits = ground
        .facts("master", "it waits", |facts| !facts.pending_restart.is_empty())
        .await;
    assert_eq!(waits.pending_restart, ["max_connections"]);
    assert_eq!(waits.standby_floor["max_connections"], 30, "the running value counts");
    ground.signal("master", "SIGINT").await.unwrap();
    ground.ended("master").await;
    ground.start("master").await;
    let restarted = ground.up("master").await;
    assert!(restarted.pending_restart.is_empty());
    assert_eq!(restarted.standby_floor["max_connections"], 40);
}

pub async fn a_killed_primary_says_so_and_comes_back_with_every_row<H: Host>(ground: &Ground<H>) {
    let before = ground.primary().await;
    ground.write("master", 100).await;
    ground.befall("master", Blow::Kill).await;
    let container = ground.ended("master").await;
    assert_eq!(container.exit_code, 137);
    assert!(container.finished_at >= container.started_at && container.started_at > 0);
    let control = ground.control("master").await;
    assert_eq!(control.state, ControlState::InProduction);
    assert_eq!(control.system_identifier, before.system_identifier);
    assert_eq!(control.timeline, 1);
    ground.start_as("master", Role::Primary, "master").await;
    let after = ground.up("master").await;
    assert!(!after.in_recovery && after.timeline == 1);
    assert!(after.lsn >= before.lsn);
    assert_eq!(ground.rows("master").await, 100);
}

pub async fn the_entry_point_refuses_what_would_destroy<H: Host>(ground: &Ground<H>) {
    ground.make("master").await;
    let mut files = ground.files("master", Role::Primary, "master");
    files.retain(|file| file.name != "role");
    ground.deliver("master", files).await;
    ground.start("master").await;
    assert_eq!(ground.ended("master").await.exit_code, 78, "no role");
    ground.start_as("master", Role::Primary, "master").await;
    assert_eq!(ground.ended("master").await.exit_code, 79, "a primary without data");
    ground.start_as("master", Role::Replica, "nobody").await;
    assert_eq!(ground.ended("master").await.exit_code, 81, "nobody to copy from");
    // None of that left anything behind that a bring-up would stumble over.
    ground.start_as("master", Role::Bootstrap, "master").await;
    assert!(!ground.up("master").await.in_recovery);
}

pub async fn who_does_not_answer_says_why<H: Host>(ground: &Ground<H>) {
    ground.make("master").await;
    ground.start_as("master", Role::Bootstrap, "master").await;
    let container = ground.cluster.container_name("master");
    let down = async |target: &_| match ground.ask(target).await {
        Server::Up(_) => None,
        Server::Down(down, _) => Some(down),
    };
    // Before anybody has logged in: a session that is open asks for no password any more.
    let mut target = ground.target("master").await;
    let password = target.password.clone();
    target.password = SecretRef::Generated {
        kind: "PostgresCluster".to_owned(),
        scope: ground.cluster.name.clone(),
        name: "nobody".to_owned(),
    };
    let answers = |wanted: Down, target: SqlTarget| async move {
        let look = async || (down(&target).await == Some(wanted)).then_some(());
        ground.until(&format!("it says {wanted:?}"), look).await;
    };
    answers(Down::PasswordUnknown, target.clone()).await;
    // It was delivered to the replicas' password file, so it is known; it is another role's.
    target.password = ground.cluster.replicator_password();
    answers(Down::PasswordRejected, target.clone()).await;
    target.password = password;
    assert_eq!(down(&target).await, None);

    ground.befall("master", Blow::Pause).await;
    let paused = ground.container("master").await.unwrap();
    assert_eq!(paused.state, RunState::Paused);
    assert_eq!(down(&target).await, Some(Down::NoAnswer));
    for _ in 0..2 {
        ground.engine(EngineOp::Unpause(container.clone())).await.unwrap();
    }
    ground.up("master").await;
    ground.befall("master", Blow::Freeze).await;
    let frozen = ground.container("master").await.unwrap();
    assert_eq!(frozen.state, RunState::Running, "the engine knows nothing of it");
    ground
        .until("its process is stopped", async || {
            let process = ground.host.process(&frozen.id).await;
            let is_stopped = |vitals: &Vitals| vitals.main == ProcessState::Stopped;
            process.known().is_some_and(is_stopped).then_some(())
        })
        .await;
    ground
        .until("it is silent", async || {
            (down(&target).await == Some(Down::NoAnswer)).then_some(())
        })
        .await;
    ground.signal("master", "SIGKILL").await.unwrap();
    assert_eq!(ground.ended("master").await.exit_code, 137);
    ground.start("master").await;
    ground.up("master").await;
}

pub async fn contents_are_made_once<H: Host>(ground: &Ground<H>) {
    ground.primary().await;
    let mut app = RoleChange {
        name: "app".to_owned(),
        create: true,
        attributes: RoleAttributes {
            login: true,
            connection_limit: 5,
            ..RoleAttributes::default()
        },
        password: None,
        grant: Vec::new(),
        never_expires: false,
    };
    for limit in [5, 7] {
        app.attributes.connection_limit = limit;
        ground.sql("master", SqlOp::Role(app.clone())).await.unwrap();
        let (name, owner) = ("shop".to_owned(), "app".to_owned());
        ground
            .sql("master", SqlOp::CreateDatabase { name, owner })
            .await
            .unwrap();
        let slot = conf::slot_name("replica-1");
        ground.sql("master", SqlOp::CreateSlot(slot)).await.unwrap();
        ground.sql("master", SqlOp::Checkpoint).await.unwrap();
    }
    let facts = ground.up("master").await;
    assert_eq!(
        facts.roles["app"].attributes, app.attributes,
        "a role that exists is altered"
    );
    assert_eq!(facts.databases["shop"], "app");
    assert!(!facts.slots["replica_1"].active);
    assert_eq!(facts.slots["replica_1"].wal_status, "reserved");
    let (name, owner) = ("shop".to_owned(), "postgres".to_owned());
    ground
        .sql("master", SqlOp::DatabaseOwner { name, owner })
        .await
        .unwrap();
    for _ in 0..2 {
        ground
            .sql("master", SqlOp::DropSlot("replica_1".to_owned()))
            .await
            .unwrap();
        // Neither has it anything to promote, nor to resume: it is as it should be.
        ground.sql("master", SqlOp::Promote).await.unwrap();
        ground.sql("master", SqlOp::ResumeReplay).await.unwrap();
    }
    let facts = ground.up("master").await;
    assert_eq!(facts.databases["shop"], "postgres");
    assert!(facts.slots.is_empty() && facts.timeline == 1);
}
