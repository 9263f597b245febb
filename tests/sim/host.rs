//! The world as the agent sees it: through the `host` traits, one call at a time, each of which takes its time and may go
//! wrong.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use reconciler::host::{
    Ask, Doors, EngineRead, EngineWrite, FailureKind, GrafanaRead, GrafanaWrite, HostError, Owner, PostgresRead,
    PostgresWrite, WebRead,
};
use reconciler::model::Seen;
use reconciler::model::container::{Objects, ProcessState, RunState};
use reconciler::model::holder::Holder;
use reconciler::model::plan::{EngineOp, SqlTarget};
use reconciler::model::postgres::{Down, PgQuestion, Server, SqlOp};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::engine::failed;
use super::faults::Fate;
use super::invariants::Glimpse;
use super::listing;
use super::world::World;

/// The world and the signals that go with it. Cheap to clone: all clones are one.
#[derive(Debug, Clone)]
pub struct SimHost(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    world: RefCell<World>,
    start: Instant,
    /// Something was done whose consequences may be due earlier than what was waited for.
    changed: Notify,
    /// The agent dies.
    crash: Notify,
    /// How many calls of the agent changed something.
    writes: RefCell<u64>,
}

impl SimHost {
    /// A host that begins to exist now.
    pub fn new(world: World) -> Self {
        SimHost(Rc::new(Inner {
            world: RefCell::new(world),
            start: Instant::now(),
            changed: Notify::new(),
            crash: Notify::new(),
            writes: RefCell::new(0),
        }))
    }

    /// When the host began to exist.
    pub fn start(&self) -> Instant {
        self.0.start
    }

    /// How many calls of the agent changed something, or tried to.
    pub fn writes(&self) -> u64 {
        *self.0.writes.borrow()
    }

    /// The world at present.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let result = self.see(act);
        self.0.changed.notify_one();
        result
    }

    /// The world at present, to look at.
    pub fn see<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let now = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut world = self.0.world.borrow_mut();
        world.advance(now);
        look(&mut world)
    }

    /// Ends the agent's life.
    pub fn crash(&self) {
        self.with(|world| world.tell("agent", || "dies".to_owned()));
        self.0.crash.notify_one();
    }

    /// Waits for the agent's death.
    pub async fn death(&self) {
        self.0.crash.notified().await;
    }

    async fn dies<T>(&self) -> T {
        self.crash();
        std::future::pending().await
    }

    /// Moves the world on whenever something is due in it, and hears the engine's events, for ever.
    pub async fn pump(&self, hear: impl Fn()) {
        loop {
            let next = self.see(|world| {
                let heard = world.news.iter().min().copied().unwrap_or(u64::MAX);
                world.next_due().min(heard)
            });
            let until = self.0.start + Duration::from_millis(next.min(1 << 40));
            tokio::select! {
                biased;
                () = self.0.changed.notified() => {}
                () = sleep_until(until) => {}
            }
            let news = self.see(|world| {
                let now = world.now;
                let before = world.news.len();
                world.news.retain(|at| *at > now);
                world.news.len() < before && !world.is_engine_down()
            });
            if news {
                hear();
            }
        }
    }

    async fn latency(&self, range: (u64, u64)) {
        let ms = self.see(|world| world.rng.between(range));
        sleep(Duration::from_millis(ms)).await;
    }

    /// A look at the engine: takes its time, and fails while the engine is down or when chance has it.
    async fn look<T>(&self, what: &str, see: impl FnOnce(&mut World) -> T) -> Result<T, HostError> {
        self.latency((5, 20)).await;
        let seen = self.see(|world| {
            let fails = world.faults.of_read(&mut world.rng);
            (!fails && !world.is_engine_down()).then(|| see(world))
        });
        seen.ok_or_else(|| failed(FailureKind::Unreachable, what, "the engine did not answer in time"))
    }

    /// A call that changes something.
    async fn call(
        &self,
        what: String,
        range: (u64, u64),
        op: Option<&EngineOp>,
        act: impl FnOnce(&mut World) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        *self.0.writes.borrow_mut() += 1;
        let fate = self.see(|world| world.faults.of_write(&mut world.rng));
        if fate == Fate::CrashBefore {
            return self.dies().await;
        }
        if let (Fate::CrashAmid, Some(op)) = (fate, op) {
            self.with(|world| world.postpone(op.clone()));
            return self.dies().await;
        }
        // What it does is judged by what the agent knew when it called.
        let known = self.see(|world| world.watch.glimpses.clone());
        self.latency(range).await;
        let act = |world: &mut World| {
            let since = std::mem::replace(&mut world.watch.glimpses, known);
            let done = act(world);
            world.watch.glimpses = since;
            done
        };
        let unreachable = || failed(FailureKind::Unreachable, &what, "the engine did not answer in time");
        let result = self.with(|world| match fate {
            Fate::Refused => Err(failed(FailureKind::Other, &what, "it went wrong")),
            _ => act(world),
        });
        match fate {
            Fate::CrashAfter | Fate::CrashAmid => self.dies().await,
            Fate::Lost => Err(unreachable()),
            Fate::Late => {
                sleep(Duration::from_secs(10)).await;
                Err(unreachable())
            }
            Fate::Fine | Fate::Refused | Fate::CrashBefore => result,
        }
    }

    /// Waits until a container has stopped. The engine goes on stopping it when nobody waits.
    async fn wait_for_stop(&self, container: &str) -> Result<(), HostError> {
        let serial = |world: &World| Some(world.containers[world.find(container)?].process.as_ref()?.serial);
        let stopping = self.see(|world| serial(world));
        loop {
            if self.see(|world| serial(world)).is_some_and(|now| Some(now) != stopping) {
                let what = format!("stop container {container}");
                return Err(failed(FailureKind::Other, what, "it still runs"));
            }
            let due = self.see(|world| {
                let at = world.find(container)?;
                let runs = world.containers[at].seen.state == RunState::Running;
                runs.then(|| {
                    (
                        world.containers[at].due().clamp(world.now + 1, world.now + 5_000),
                        world.is_engine_down(),
                    )
                })
            });
            match due {
                None => return Ok(()),
                Some((_, true)) => {
                    let what = format!("stop container {container}");
                    return Err(failed(
                        FailureKind::Unreachable,
                        what,
                        "the engine did not answer in time",
                    ));
                }
                Some((due, false)) => sleep_until(self.0.start + Duration::from_millis(due)).await,
            }
        }
    }
}

/// How long the engine takes, in ms.
fn duration(op: &EngineOp) -> (u64, u64) {
    match op {
        EngineOp::PullImage(_) => (200, 3000),
        EngineOp::Start(_) => (60, 250),
        EngineOp::RemoveContainer(_) => (20, 120),
        EngineOp::CheckConfig { .. } | EngineOp::CheckFiles(_) | EngineOp::ResetPassword { .. } => (40, 120),
        EngineOp::Signal { .. } | EngineOp::Stop { .. } => (1, 10),
        _ => (2, 20),
    }
}

impl WebRead for SimHost {}

impl Doors for SimHost {}

impl GrafanaRead for SimHost {}

impl GrafanaWrite for SimHost {}

impl EngineRead for SimHost {
    async fn objects(&self, ask: &Ask) -> Result<Objects, HostError> {
        self.look("list the containers", |world| listing::objects(world, ask))
            .await
    }

    async fn owners(&self) -> Result<Vec<Owner>, HostError> {
        self.look("list the containers", |world| listing::owners(world)).await
    }

    async fn holders(&self, volumes: &[String]) -> Seen<Vec<Holder>> {
        let looked = self.look("list who has volumes mounted", |world| world.tell_holders(volumes));
        looked
            .await
            .map_or_else(|error| Seen::Unknown(error.to_string()), Seen::Known)
    }

    async fn read_file(&self, container: &str, path: &str) -> Seen<Vec<u8>> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let read = self.look("read a file", |world| {
            let Some(at) = world.find(container) else {
                return Seen::Absent;
            };
            if name != "pg_control" {
                let file = world.containers[at].files.get(name);
                return file.map_or(Seen::Absent, |file| Seen::Known(file.text.clone().into_bytes()));
            }
            let seen = &world.containers[at].seen;
            if matches!(seen.state, RunState::Created | RunState::Exited) {
                world.watch.glimpses.insert(seen.name.clone(), Glimpse::Stopped);
            }
            match world.data(at) {
                Some(data) => Seen::Known(super::facts::control(data)),
                None => Seen::Absent,
            }
        });
        read.await.unwrap_or_else(|error| Seen::Unknown(error.to_string()))
    }

    async fn process(&self, container: &str) -> Seen<ProcessState> {
        let read = self.look("look at the processes", |world| {
            let process = world
                .find(container)
                .and_then(|at| world.containers[at].process.as_ref());
            match process.map(|process| process.is_frozen) {
                None => Seen::Absent,
                Some(true) => Seen::Known(ProcessState::Stopped),
                Some(false) => Seen::Known(ProcessState::Alive),
            }
        });
        read.await.unwrap_or_else(|error| Seen::Unknown(error.to_string()))
    }

    async fn log_tail(&self, container: &str, lines: u32) -> Seen<String> {
        let read = self.look("read a log", |world| {
            let Some(at) = world.find(container) else {
                return Seen::Absent;
            };
            let log = &world.containers[at].log;
            let from = log.len().saturating_sub(lines as usize);
            Seen::Known(log[from..].join("\n"))
        });
        read.await.unwrap_or_else(|error| Seen::Unknown(error.to_string()))
    }
}

impl EngineWrite for SimHost {
    async fn engine(&self, op: &EngineOp) -> Result<(), HostError> {
        let done = self
            .call(op.to_string(), duration(op), Some(op), |world| {
                if world.is_engine_down() {
                    return Err(failed(
                        FailureKind::Unreachable,
                        op,
                        "nothing listens on the engine's socket",
                    ));
                }
                world.carry_out(op)
            })
            .await;
        match op {
            EngineOp::Stop { container, .. } if done.is_ok() => self.wait_for_stop(container).await,
            _ => done,
        }
    }
}

impl PostgresRead for SimHost {
    async fn server(&self, target: &SqlTarget, question: &PgQuestion) -> Server {
        self.latency((2, 10)).await;
        let answer = self.see(|world| {
            let fails = world.faults.of_read(&mut world.rng);
            let answer = match world.login(target) {
                _ if fails => Server::Down(Down::NoAnswer, "it broke off".to_owned()),
                Err((down, why)) => Server::Down(down, why),
                Ok(at) => match world.facts(at, question) {
                    Some(facts) => Server::Up(Box::new(facts)),
                    None => Server::Down(Down::NoAnswer, "it broke off".to_owned()),
                },
            };
            let glimpse = match &answer {
                Server::Up(facts) if facts.in_recovery => Glimpse::Standby,
                Server::Up(_) => Glimpse::Primary,
                Server::Down(Down::NoAnswer, _) => Glimpse::Unknown,
                Server::Down(..) => Glimpse::Busy,
            };
            if let Some(at) = world.find(&target.container) {
                let name = world.containers[at].seen.name.clone();
                world.watch.glimpses.insert(name, glimpse);
            }
            answer
        });
        if matches!(answer, Server::Down(Down::NoAnswer, _)) {
            sleep(Duration::from_millis(2_990)).await;
        }
        answer
    }
}

impl PostgresWrite for SimHost {
    async fn sql(&self, target: &SqlTarget, op: &SqlOp) -> Result<(), HostError> {
        self.call(op.to_string(), (1, 8), None, |world| world.run(target, op))
            .await
    }
}
