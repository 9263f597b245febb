//! The world as the agent sees it: through the `host` traits, one call at a time, each of which takes its time and may go
//! wrong.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use reconciler::host::{
    Ask, Doors, EngineRead, EngineWrite, FailureKind, GrafanaRead, GrafanaWrite, HostError, Owner, WebRead,
};
use reconciler::model::Seen;
use reconciler::model::container::{Objects, RunState};
use reconciler::model::holder::Holder;
use reconciler::model::labels;
use reconciler::model::plan::EngineOp;
use reconciler::model::process::Vitals;
use reconciler::model::wal::{LogQuestion, Proof};
use reconciler::store::Shelf;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::engine::failed;
use super::faults::Fate;
use super::invariants::Glimpse;
use super::listing;
use super::world::World;

mod postgres;

/// The world and the signals that go with it, in the hands of one of its agents. Cheap to clone: all clones are one.
#[derive(Debug, Clone)]
pub struct SimHost(Rc<Inner>, usize);

#[derive(Debug)]
struct Inner {
    world: RefCell<World>,
    start: Instant,
    /// Something was done whose consequences may be due earlier than what was waited for.
    changed: Notify,
    /// An agent dies.
    crash: [Notify; 2],
    /// What the agents keep.
    shelves: [Shelf; 2],
    /// How many calls of the agent changed something.
    writes: RefCell<u64>,
}

impl SimHost {
    /// A host that begins to exist now.
    pub fn new(world: World) -> Self {
        let inner = Inner {
            world: RefCell::new(world),
            start: Instant::now(),
            changed: Notify::new(),
            crash: Default::default(),
            shelves: Default::default(),
            writes: RefCell::new(0),
        };
        SimHost(Rc::new(inner), 0)
    }

    /// The same world, in the hands of another agent.
    pub fn of(&self, agent: usize) -> Self {
        SimHost(Rc::clone(&self.0), agent)
    }

    /// What this agent keeps.
    pub fn shelf(&self) -> &Shelf {
        &self.0.shelves[self.1]
    }

    /// Which agent it is.
    pub fn number(&self) -> usize {
        self.1
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
        world.passwords = Rc::clone(&world.agents[self.1].passwords);
        look(&mut world)
    }

    /// Ends the agent's life.
    pub fn crash(&self) {
        self.with(|world| {
            world.tell("agent", || format!("{} dies", self.1));
            world.agents[self.1].lives = false;
        });
        self.0.crash[self.1].notify_one();
    }

    /// Waits for the agent's death.
    pub async fn death(&self) {
        self.0.crash[self.1].notified().await;
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
        let fate = self.see(|world| {
            world.check_claim(self.1, op);
            world.check_declared(op);
            if let Some(EngineOp::Deliver(delivery)) = op {
                let known = world.watch.glimpses.clone();
                world.watch.at_delivery.insert(delivery.container.clone(), known);
            }
            world.faults.of_write(&mut world.rng)
        });
        if fate == Fate::CrashBefore {
            return self.dies().await;
        }
        if let (Fate::CrashAmid, Some(op)) = (fate, op) {
            self.with(|world| match op {
                EngineOp::RemoveVolume(name) if world.claims.contains_key(name) => drop(world.carry_out(op)),
                EngineOp::CreateVolume(spec) if spec.labels.contains_key(labels::CLAIM) => drop(world.carry_out(op)),
                _ => world.postpone(op.clone()),
            });
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
        EngineOp::CheckConfig(_) | EngineOp::CheckFiles(_) | EngineOp::ResetPassword { .. } => (40, 120),
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

    async fn volume_labels(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, HostError> {
        let labels = |world: &mut World| {
            let volume = world.volume(name).map(|at| world.volumes[at].seen.labels.clone());
            world.claims.get(name).cloned().or(volume)
        };
        self.look("inspect the claim", labels).await
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

    async fn log(&self, container: &str, question: &LogQuestion) -> Seen<Proof> {
        let read = self.look("read a log of writes", |world| match world.find(container) {
            Some(at) => world.proof(at, &question.mark),
            None => Seen::Absent,
        });
        read.await.unwrap_or_else(|error| Seen::Unknown(error.to_string()))
    }

    async fn links(&self, container: &str, _: &str) -> Seen<BTreeMap<String, String>> {
        // Nobody makes tablespaces here.
        let read = self.look("read links", |world| match world.find(container).is_some() {
            true => Seen::Known(BTreeMap::new()),
            false => Seen::Absent,
        });
        read.await.unwrap_or_else(|error| Seen::Unknown(error.to_string()))
    }

    async fn process(&self, container: &str) -> Seen<Vitals> {
        let read = self.look("look at the processes", |world| {
            let vitals = world.find(container).and_then(|at| world.vitals(at));
            vitals.map_or(Seen::Absent, Seen::Known)
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
