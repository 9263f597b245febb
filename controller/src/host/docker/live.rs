//! A member's life on the real engine, every call at least once. What it makes carries a uid of its own, and goes.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::fixture::{Fixed, NAME, SOUND, UNSOUND, ask, config_check, container_spec, delivery, marks, named};
use super::{Docker, EngineEvent, Exec, READY, announce, observe};
use crate::host::{EngineRead, EngineWrite, FailureKind, HostError};
use crate::model::container::{Health, Limits, RunState};
use crate::model::plan::EngineOp;
use crate::model::{SecretRef, Seen};

struct Story {
    docker: Docker,
}

impl Story {
    async fn op(&self, op: EngineOp) -> Result<(), HostError> {
        let started = Instant::now();
        let result = self.docker.engine(&op).await;
        println!("{:>6} ms  {op}: {result:?}", started.elapsed().as_millis());
        result
    }

    async fn until(&self, what: &str, is_so: impl Fn(&crate::model::container::ContainerObserved) -> bool) {
        for _ in 0..150 {
            let objects = self.docker.objects(&ask(false)).await.unwrap();
            if objects.containers.first().is_some_and(&is_so) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let tail = self.docker.log_tail(NAME, 20).await;
        panic!("{what} never came: {tail:?}");
    }

    async fn sql(&self, statement: &str) -> String {
        let argv = ["psql", "-XAtc", statement];
        let exec = Exec {
            argv: &argv,
            user: "postgres",
            ..Exec::default()
        };
        self.docker.exec(NAME, exec).await.unwrap().stdout.trim().to_owned()
    }

    async fn clean(&self) {
        let stop = EngineOp::Stop {
            container: NAME.to_owned(),
            grace_secs: 5,
        };
        self.op(stop).await.unwrap();
        for name in [NAME, "reconciler-live-2"] {
            self.op(EngineOp::RemoveContainer(name.to_owned())).await.unwrap();
            self.op(EngineOp::RemoveVolume(name.to_owned())).await.unwrap();
        }
        self.op(EngineOp::RemoveNetwork(NAME.to_owned())).await.unwrap();
    }

    async fn makes_all_twice(&self) {
        for _ in 0..2 {
            self.op(EngineOp::CreateNetwork(named())).await.unwrap();
            self.op(EngineOp::CreateVolume(named())).await.unwrap();
            self.op(EngineOp::CreateContainer(Box::new(container_spec(NAME))))
                .await
                .unwrap();
        }
        let made = observe::inspect(&self.docker, NAME).await.unwrap().unwrap();
        let logging = made.host_config.and_then(|host| host.log_config).unwrap_or_default();
        if logging.typ.as_deref() == Some("json-file") {
            assert_eq!(logging.config.unwrap_or_default()["max-size"], "10m");
        }
        let mut other = container_spec(NAME);
        other.stop_signal = "SIGTERM".to_owned();
        let error = self.op(EngineOp::CreateContainer(Box::new(other))).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Conflict);
        let mut foreign = named();
        foreign.labels = marks("reconciler-live-other");
        for op in [
            EngineOp::CreateVolume(foreign.clone()),
            EngineOp::CreateNetwork(foreign),
        ] {
            assert_eq!(self.op(op).await.unwrap_err().kind, FailureKind::Conflict);
        }
        let mut lost = container_spec("reconciler-live-3");
        lost.volume.as_mut().unwrap().name = "reconciler-no-such-volume".to_owned();
        let error = self.op(EngineOp::CreateContainer(Box::new(lost))).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::NotFound);
    }

    async fn starts(&self) {
        assert_eq!(self.docker.read_file(NAME, "/etc/reconciler/role").await, Seen::Absent);
        self.op(EngineOp::Deliver(delivery("bootstrap"))).await.unwrap();
        let role = self.docker.read_file(NAME, "/etc/reconciler/role").await;
        assert_eq!(role, Seen::Known(b"bootstrap\n".to_vec()));
        assert!(
            self.docker
                .read_file("reconciler-none", "/etc/passwd")
                .await
                .unknown()
                .is_some()
        );
        assert!(self.docker.read_file(NAME, "/etc").await.unknown().is_some());
        self.op(EngineOp::Start(NAME.to_owned())).await.unwrap();
        self.op(EngineOp::Start(NAME.to_owned())).await.unwrap();
        self.until("health", |c| c.health == Health::Healthy).await;
        let objects = self.docker.objects(&ask(true)).await.unwrap();
        let image = objects.image(&ask(true).images[0]).known();
        assert!(image.unwrap().env.contains_key("PG_MAJOR"));
        assert!(objects.foreign_networks.contains(&"bridge".to_owned()));
        let owners = self.docker.owners().await.unwrap();
        assert!(
            owners
                .iter()
                .any(|owner| owner.uid == NAME && owner.kind == "PostgresCluster")
        );
        let listing = "stat -c '%n %U %a %y' /etc/reconciler /etc/reconciler/*";
        let argv = ["sh", "-c", listing];
        let exec = Exec {
            argv: &argv,
            ..Exec::default()
        };
        println!("{}", self.docker.exec(NAME, exec).await.unwrap().stdout);
    }

    async fn checks_configurations(&self) {
        for (text, hba) in SOUND {
            self.op(config_check(text, hba)).await.unwrap();
        }
        for (text, hba, words) in UNSOUND {
            let error = self.op(config_check(text, hba)).await.unwrap_err();
            assert!(
                error.kind == FailureKind::Invalid && error.why.contains(words),
                "{text}{hba}: {error}"
            );
        }
        // A primary is left as it is.
        self.op(EngineOp::PromoteInside(NAME.to_owned())).await.unwrap();
        self.op(EngineOp::ResetPassword {
            container: NAME.to_owned(),
            role: "postgres".to_owned(),
            password: SecretRef::Env("P".to_owned()),
        })
        .await
        .unwrap();
        let verifier = self
            .sql("SELECT left(rolpassword, 18) FROM pg_authid WHERE rolname = 'postgres'")
            .await;
        assert_eq!(verifier, "SCRAM-SHA-256$4096");
        let (_, rest) = self.docker.logs_text().await;
        assert!(!rest.contains("SCRAM-SHA-256$"), "the log shows a verifier");
    }

    async fn changes_limits(&self) {
        for (nano_cpus, memory_bytes) in [
            (1_000_000_000, 512 << 20),
            (250_000_000, 200 << 20),
            (0, 0),
            (0, 300 << 20),
        ] {
            let limits = Limits {
                nano_cpus,
                memory_bytes,
            };
            let op = EngineOp::UpdateLimits {
                container: NAME.to_owned(),
                limits: limits.clone(),
            };
            self.op(op).await.unwrap();
            self.until("limits", |c| c.limits == limits).await;
        }
    }

    async fn meets_a_taken_port(&self) {
        let mut second = container_spec("reconciler-live-2");
        (second.network, second.labels) = (NAME.to_owned(), marks(NAME));
        second.volume.as_mut().unwrap().labels = marks(NAME);
        let volume = second.volume.clone().unwrap();
        self.op(EngineOp::CreateVolume(volume)).await.unwrap();
        for port in [55432, 55433] {
            let _held = std::net::TcpListener::bind("127.0.0.1:55433").unwrap();
            second.ports[0].host = port;
            self.op(EngineOp::CreateContainer(Box::new(second.clone())))
                .await
                .unwrap();
            let error = self.op(EngineOp::Start(second.name.clone())).await.unwrap_err();
            assert_eq!(error.kind, FailureKind::Conflict);
            self.op(EngineOp::RemoveContainer(second.name.clone())).await.unwrap();
        }
    }

    /// Pauses and cuts off by hand, as an operator would.
    async fn mends(&self) {
        let by_hand = self.docker.client().await.unwrap();
        by_hand.pause_container(NAME).await.unwrap();
        self.until("the pause", |c| c.state == RunState::Paused).await;
        for _ in 0..2 {
            self.op(EngineOp::Unpause(NAME.to_owned())).await.unwrap();
        }
        let cut = bollard::models::NetworkDisconnectRequest {
            container: NAME.to_owned(),
            force: Some(true),
        };
        by_hand.disconnect_network(NAME, cut).await.unwrap();
        self.until("the cut", |c| c.networks.is_empty()).await;
        for _ in 0..2 {
            let connect = EngineOp::Connect {
                container: NAME.to_owned(),
                network: NAME.to_owned(),
                aliases: vec!["a".to_owned()],
            };
            self.op(connect).await.unwrap();
        }
        self.until("an address", |c| c.networks.get(NAME).is_some_and(|a| !a.is_empty()))
            .await;
        assert!(self.op(EngineOp::PullImage("postgres:99".to_owned())).await.is_err());
    }

    /// A file that is there already is not written again; one that differs is.
    async fn delivers_what_is_missing(&self) {
        let changed = "stat -c %y /etc/reconciler/role";
        let before = self.inside(changed).await;
        self.op(EngineOp::Deliver(delivery("bootstrap"))).await.unwrap();
        assert_eq!(self.inside(changed).await, before);
        for edit in [
            "echo replica >/etc/reconciler/role",
            "chmod 644 /etc/reconciler/superuser.password",
        ] {
            self.inside(edit).await;
            self.op(EngineOp::Deliver(delivery("bootstrap"))).await.unwrap();
            let seen = "cat /etc/reconciler/role; stat -c %a /etc/reconciler/superuser.password";
            assert_eq!(self.inside(seen).await, "bootstrap\n600\n");
        }
    }

    async fn inside(&self, script: &str) -> String {
        let argv = ["sh", "-c", script];
        let exec = Exec {
            argv: &argv,
            user: "root",
            ..Exec::default()
        };
        self.docker.exec(NAME, exec).await.unwrap().stdout
    }

    /// What this host knew of a dead container's address is forgotten, and a started one tells it by itself.
    async fn says_where_it_is(&self, address: &str) {
        let is_known = || {
            let table = std::fs::read_to_string("/proc/net/arp").unwrap();
            let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
            rows.any(|row| row[0] == address && row[2] == "0x2")
        };
        announce::prepare(&self.docker, NAME).await;
        assert!(!is_known(), "{address} is still known");
        self.op(EngineOp::Start(NAME.to_owned())).await.unwrap();
        for _ in 0..100 {
            if is_known() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nobody was told where {address} is");
    }

    async fn spares_itself(&self) {
        let id = self.docker.objects(&ask(false)).await.unwrap().containers.remove(0).id;
        let inside = Story {
            docker: Docker {
                own_id: Some(id),
                ..Docker::connect(None, Rc::new(Fixed)).unwrap()
            },
        };
        let stop = EngineOp::Stop {
            container: NAME.to_owned(),
            grace_secs: 20,
        };
        for op in [stop, EngineOp::RemoveContainer(NAME.to_owned())] {
            assert_eq!(inside.op(op).await.unwrap_err().kind, FailureKind::Invalid);
        }
    }

    async fn ends(&self) {
        let name = || NAME.to_owned();
        let seen = self.docker.objects(&ask(false)).await.unwrap();
        let address = seen.containers[0].networks[NAME].clone();
        let in_use = [
            EngineOp::RemoveContainer(name()),
            EngineOp::RemoveVolume(name()),
            EngineOp::RemoveNetwork(name()),
        ];
        for op in in_use {
            assert_eq!(self.op(op).await.unwrap_err().kind, FailureKind::Conflict);
        }
        let stop = EngineOp::Stop {
            container: name(),
            grace_secs: 20,
        };
        self.op(stop).await.unwrap();
        self.until("a clean end", |c| c.state == RunState::Exited && c.exit_code == 0)
            .await;
        self.op(EngineOp::Start(name())).await.unwrap();
        for _ in 0..2 {
            let kill = EngineOp::Signal {
                container: name(),
                signal: "SIGKILL".to_owned(),
            };
            self.op(kill).await.unwrap();
            self.until("the end", |c| c.state == RunState::Exited && c.exit_code == 137)
                .await;
        }
        self.says_where_it_is(&address).await;
        let kill = EngineOp::Signal {
            container: name(),
            signal: "SIGKILL".to_owned(),
        };
        self.op(kill).await.unwrap();
        self.until("the end", |c| c.state == RunState::Exited).await;
        let control = "/var/lib/postgresql/data/pgdata/global/pg_control";
        let read = self.docker.read_file(NAME, control).await;
        assert_eq!(read.known().map(Vec::len), Some(8192));
        assert!(
            self.docker
                .log_tail(NAME, 5)
                .await
                .known()
                .is_some_and(|text| !text.is_empty())
        );
    }
}

impl Docker {
    async fn logs_text(&self) -> (usize, String) {
        let (mut pieces, mut text) = (0, String::new());
        self.logs(NAME, None, false, |_, chunk| {
            pieces += 1;
            text.push_str(&String::from_utf8_lossy(chunk));
            ControlFlow::Continue(())
        })
        .await
        .unwrap();
        (pieces, text)
    }
}

#[tokio::test]
async fn every_call_does_what_it_says_on_a_real_engine() {
    let story = Story {
        docker: Docker::connect(None, Rc::new(Fixed)).unwrap(),
    };
    story.clean().await;
    let events: RefCell<Vec<EngineEvent>> = RefCell::default();
    let tell = async {
        story.makes_all_twice().await;
        story.starts().await;
        story.delivers_what_is_missing().await;
        story.checks_configurations().await;
        story.changes_limits().await;
        story.meets_a_taken_port().await;
        story.mends().await;
        story.spares_itself().await;
        story.ends().await;
        story.clean().await;
    };
    tokio::select! {
        ended = story.docker.watch(|event| events.borrow_mut().push(event)) => panic!("events ended: {ended:?}"),
        () = tell => {}
    }
    let events = events.into_inner();
    let actions: Vec<&str> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions.first(), Some(&READY));
    for expected in [
        "network connect",
        "container start",
        "container health_status: healthy",
        "container die",
        "container destroy",
        "volume destroy",
    ] {
        assert!(actions.contains(&expected), "no event {expected}");
    }
    // Other tests have containers too.
    let mut of_ours = events
        .iter()
        .filter(|event| event.name == NAME && event.action.starts_with("container "));
    assert!(of_ours.all(|event| event.uid.as_deref() == Some(NAME)));
}

#[tokio::test]
async fn an_engine_that_is_down_is_unreachable_and_may_come_later() {
    let docker = Docker::connect(Some("/nonexistent/docker.sock"), Rc::new(Fixed)).unwrap();
    let error = docker.ping().await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Unreachable);
    assert!(error.why.contains("is the Docker engine running?"), "{error}");
    assert!(docker.objects(&ask(true)).await.is_err());
    assert!(docker.watch(|_| {}).await.is_err());
}
