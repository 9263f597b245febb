//! Against real servers, for which the environment names a primary, its standby and the superuser's password:
//! `PG_PRIMARY=172.18.0.2 PG_STANDBY=172.18.0.3 PG_PASSWORD=... cargo test -- --ignored --test-threads=1 host::postgres`.
//! The primary is left as it was, except for what is named `reconciler_test...`.

use std::future::Future;
use std::rc::Rc;
use std::time::Instant;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

use super::*;
use crate::host::FailureKind;
use crate::model::SecretRef;
use crate::model::postgres::{Down, RoleAttributes};

struct Fixed;

impl Secrets for Fixed {
    fn reveal(&self, secret: &SecretRef) -> Result<String, HostError> {
        let SecretRef::Env(name) = secret else {
            return Ok("made".to_owned());
        };
        std::env::var(name).map_err(|e| HostError::new(FailureKind::NotFound, format!("read {name}"), e.to_string()))
    }

    fn peek(&self, secret: &SecretRef) -> Result<Option<String>, HostError> {
        self.reveal(secret).map(Some)
    }
}

fn target(variable: &str) -> SqlTarget {
    SqlTarget {
        container: variable.to_owned(),
        address: std::env::var(variable).expect("the address of a server"),
        port: 5432,
        password: SecretRef::Env("PG_PASSWORD".to_owned()),
    }
}

fn question() -> PgQuestion {
    let made = SecretRef::File(String::new());
    PgQuestion {
        directory: "/etc/reconciler".to_owned(),
        files: vec![
            "postgresql.conf".to_owned(),
            "pg_hba.conf".to_owned(),
            "absent".to_owned(),
        ],
        passwords: BTreeMap::from([
            ("postgres".to_owned(), SecretRef::Env("PG_PASSWORD".to_owned())),
            ("reconciler_test".to_owned(), made),
        ]),
        look_into: vec!["reconciler_test".to_owned(), "absent".to_owned()],
    }
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, future)
}

async fn facts_of(servers: &Postgres, target: &SqlTarget) -> PgFacts {
    match servers.server(target, &question()).await {
        Server::Up(facts) => *facts,
        Server::Down(down, why) => panic!("{down:?}: {why}"),
    }
}

#[test]
#[ignore = "needs a primary and a standby"]
fn tells_a_primary_from_its_standby() {
    run(async {
        let servers = Postgres::new(Rc::new(Fixed));
        let primary = facts_of(&servers, &target("PG_PRIMARY")).await;
        let standby = facts_of(&servers, &target("PG_STANDBY")).await;
        println!("{primary:#?}\n{standby:#?}");
        assert!(!primary.in_recovery && standby.in_recovery && standby.receiver_streaming);
        assert_eq!(primary.system_identifier, standby.system_identifier);
        assert_eq!(primary.timeline, standby.timeline);
        assert_eq!(primary.history.len() + 1, primary.timeline as usize);
        assert_eq!(primary.file_hashes.len(), 2);
        assert_eq!(primary.standbys.values().filter(|s| s.state == "streaming").count(), 1);
        assert_eq!(primary.slots.values().filter(|slot| slot.active).count(), 1);
        assert_eq!(primary.roles["postgres"].password_fits, Some(true));
        assert!(primary.standby_floor.len() == 5 && standby.standbys.is_empty());
        assert!(primary.conf_errors.is_empty() && !primary.reload_due && !standby.reload_due);
    });
}

#[test]
#[ignore = "needs a primary and a standby"]
fn carries_out_every_statement_and_repeats_it_without_harm() {
    run(async {
        let servers = Postgres::new(Rc::new(Fixed));
        let target = target("PG_PRIMARY");
        for op in statements() {
            for _ in 0..2 {
                servers.sql(&target, &op).await.unwrap_or_else(|e| panic!("{e}"));
            }
        }
        let facts = facts_of(&servers, &target).await;
        let role = &facts.roles["reconciler_test"];
        assert_eq!(
            (role.password_fits, role.member_of.as_slice()),
            (Some(true), &["reconciler_test_group".to_owned()][..])
        );
        assert!(role.attributes.login && !role.attributes.createdb && role.attributes.connection_limit == 7);
        assert_eq!(facts.databases["reconciler_test"], "reconciler_test_group");
        assert!(facts.extensions["reconciler_test"].contains(&"plpgsql".to_owned()));
        assert!(!facts.extensions.contains_key("absent"));
        assert!(!facts.slots.contains_key("reconciler_test"));

        let op = SqlOp::CreateExtension {
            database: "reconciler_test".to_owned(),
            name: "no \"such'".to_owned(),
        };
        let error = servers.sql(&target, &op).await.expect_err("there is no such extension");
        println!("{error}");
        assert_eq!(error.kind, FailureKind::Invalid);
        // Our own session outlives the end of all clients.
        servers.sql(&target, &SqlOp::TerminateClients).await.expect("ended");
    });
}

fn statements() -> Vec<SqlOp> {
    let name = "reconciler_test".to_owned();
    let group = "reconciler_test_group".to_owned();
    let role = |name: &String, login, grant: &[String]| {
        SqlOp::Role(RoleChange {
            name: name.clone(),
            create: true,
            attributes: RoleAttributes {
                login,
                connection_limit: 7,
                ..RoleAttributes::default()
            },
            password: login.then(|| SecretRef::File(String::new())),
            grant: grant.to_vec(),
        })
    };
    vec![
        role(&group, false, &[]),
        role(&name, true, std::slice::from_ref(&group)),
        SqlOp::CreateDatabase {
            name: name.clone(),
            owner: name.clone(),
        },
        SqlOp::DatabaseOwner {
            name: name.clone(),
            owner: group,
        },
        SqlOp::CreateExtension {
            database: name.clone(),
            name: "plpgsql".to_owned(),
        },
        SqlOp::CreateSlot(name.clone()),
        SqlOp::DropSlot(name),
        SqlOp::ResetParameter("work_mem".to_owned()),
        SqlOp::Reload,
        SqlOp::Checkpoint,
        SqlOp::Promote,
        SqlOp::ResumeReplay,
    ]
}

#[test]
#[ignore = "needs a primary and a standby"]
fn a_pass_is_cheap() {
    run(async {
        let servers = Postgres::new(Rc::new(Fixed));
        let target = target("PG_PRIMARY");
        let question = PgQuestion {
            look_into: Vec::new(),
            ..question()
        };
        servers.server(&target, &question).await;
        let started = Instant::now();
        for _ in 0..200 {
            assert!(servers.server(&target, &question).await.facts().is_some());
        }
        let mean = started.elapsed() / 200;
        println!("{mean:?} per question");
        assert!(mean.as_millis() < 10, "{mean:?}");
    });
}

#[test]
fn a_port_that_nobody_listens_on_is_a_server_that_starts() {
    run(async {
        let servers = Postgres::new(Rc::new(Fixed));
        let target = SqlTarget {
            container: "none".to_owned(),
            address: "127.0.0.1".to_owned(),
            port: 1,
            password: SecretRef::File(String::new()),
        };
        let server = servers.server(&target, &PgQuestion::default()).await;
        assert_eq!(
            server,
            Server::Down(Down::StartingUp, "its port is not open yet".to_owned())
        );
        let error = servers.sql(&target, &SqlOp::Reload).await.expect_err("nobody is there");
        assert_eq!(error.kind, FailureKind::Unreachable);
    });
}

#[test]
#[ignore = "by hand"]
fn watch() {
    run(async {
        let servers = Postgres::new(Rc::new(Fixed));
        let target = target("PG_PRIMARY");
        let question = PgQuestion {
            look_into: Vec::new(),
            ..question()
        };
        let begun = Instant::now();
        let secs: u64 = std::env::var("SECS").expect("").parse().expect("");
        let mut last = String::new();
        while begun.elapsed().as_secs() < secs {
            let t = Instant::now();
            let s = match servers.server(&target, &question).await {
                Server::Up(f) => format!(
                    "up rec={} tli={} streaming={} reload_due={} pending={:?} errs={:?} auto={:?} bb={:?} standbys={:?} hashes={}",
                    f.in_recovery,
                    f.timeline,
                    f.receiver_streaming,
                    f.reload_due,
                    f.pending_restart,
                    f.conf_errors,
                    f.auto_conf,
                    f.base_backups.keys(),
                    f.standbys
                        .iter()
                        .map(|(n, s)| format!("{n}:{}", s.state))
                        .collect::<Vec<_>>(),
                    f.file_hashes.len()
                ),
                Server::Down(d, w) => format!("{d:?}: {w}"),
            };
            let took = t.elapsed();
            if s != last || took.as_millis() > 500 {
                println!("{:7.3} ({took:?}) {s}", begun.elapsed().as_secs_f64());
                last = s;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
}
