//! The host: an engine, its objects, the servers in its containers, and the clients. Time is in milliseconds and goes on
//! only when somebody asks what is now; until then nothing has to be worked out.

use std::collections::BTreeMap;
use std::rc::Rc;

use reconciler::model::SecretRef;
use reconciler::model::container::{Health, RunState};
use reconciler::model::plan::EngineOp;

use super::catalog::Catalog;
use super::clients::Clients;
use super::container::{Container, Phase};
use super::engine::observed;
use super::faults::Faults;
use super::invariants::{Glimpse, Watch};
use super::network::Network;
use super::rng::Rng;
use super::secrets::Passwords;
use super::story::Story;
use super::volume::{Data, Volume};
use super::wal::Wal;

/// The time at which every story begins, in seconds since the epoch.
pub const EPOCH: i64 = 1_700_000_000;

/// How long things take in one world, as ranges in ms, and how large they are.
#[derive(Debug, Clone)]
pub struct Pace {
    /// From the start of a container to its server's first answer.
    pub start: (u64, u64),
    /// `initdb`.
    pub initdb: (u64, u64),
    /// A base backup.
    pub seed: (u64, u64),
    /// A clean stop.
    pub stop: (u64, u64),
    /// From the shutdown checkpoint to the end of the container.
    pub ending: (u64, u64),
    /// The recovery after a crash.
    pub recovery: (u64, u64),
    /// A promotion.
    pub promotion: (u64, u64),
    /// Until a record arrives, and until it is replayed.
    pub lag: (u64, u64),
    /// Between checkpoints, and until the first one after a promotion.
    pub checkpoint: (u64, u64),
    /// Between the clients' writes.
    pub tick: u64,
    /// `wal_segment_size`, in bytes: the log goes in pieces of it.
    pub segment: u64,
}

impl Pace {
    /// A machine with little to do; segments are as large as PostgreSQL makes them unless it is told.
    pub const CALM: Pace = Pace {
        start: (150, 500),
        initdb: (300, 1_500),
        seed: (200, 1_500),
        stop: (20, 200),
        ending: (1, 150),
        recovery: (0, 800),
        promotion: (20, 120),
        lag: (0, 10),
        checkpoint: (300, 40_000),
        tick: 40,
        segment: 16 << 20,
    };
}

/// An agent of the host, with a state directory of its own.
#[derive(Debug, Default)]
pub struct Inhabitant {
    /// The passwords in its state directory.
    pub passwords: Rc<Passwords>,
    /// Whether its process runs.
    pub lives: bool,
    /// Whether nobody starts it.
    pub is_held: bool,
    /// Whether it cannot be started, because another one is taking what was its own.
    pub is_restrained: bool,
}

/// The host.
#[derive(Debug)]
pub struct World {
    /// The time.
    pub now: u64,
    /// Chance.
    pub rng: Rng,
    /// How long things take.
    pub pace: Pace,
    /// All logs.
    pub wal: Wal,
    /// All states of databases' insides.
    pub catalogs: Vec<Catalog>,
    /// All limits that a primary ever had.
    pub limits: Vec<BTreeMap<String, i64>>,
    /// Containers, ours and others.
    pub containers: Vec<Container>,
    /// Volumes, ours and others.
    pub volumes: Vec<Volume>,
    /// Networks, ours and others.
    pub networks: Vec<Network>,
    /// The passwords that the agent knows which calls at present.
    pub passwords: Rc<Passwords>,
    /// All passwords that were ever made, by where they are kept.
    pub made: BTreeMap<SecretRef, Vec<String>>,
    /// An image that the engine does not have, and no registry.
    pub missing_image: Option<String>,
    /// The agents.
    pub agents: [Inhabitant; 2],
    /// The volumes that are claims, by name: their labels.
    pub claims: BTreeMap<String, BTreeMap<String, String>>,
    /// Calls of an agent that has died since.
    under_way: Vec<UnderWay>,
    /// Until when the engine answers nobody.
    pub engine_down_until: u64,
    /// Until when everybody on the host waits for a CPU.
    pub pressed_until: u64,
    /// Containers whose port another program of the host has, and until when: they cannot be started.
    pub ports_taken: BTreeMap<String, u64>,
    /// When the agent hears of what happened on the engine.
    pub news: Vec<u64>,
    /// The clients.
    pub clients: Clients,
    /// What goes wrong.
    pub faults: Faults,
    /// What happened.
    pub story: Story,
    /// What must never happen, and whether it did.
    pub watch: Watch,
    /// How many things were made.
    pub serial: u64,
    next_tick: u64,
}

/// A call that the engine is about, whose caller has died.
#[derive(Debug)]
struct UnderWay {
    /// When it will be done.
    due: u64,
    op: EngineOp,
    /// The passwords of the caller.
    passwords: Rc<Passwords>,
    /// What the caller knew when it called: what it did is judged by that.
    known: BTreeMap<String, Glimpse>,
}

impl World {
    /// An empty host.
    pub fn new(mut rng: Rng, pace: Pace, tells: bool) -> Self {
        let faults = Faults::new(&mut rng);
        World {
            now: 0,
            rng,
            pace,
            wal: Wal::default(),
            catalogs: Vec::new(),
            limits: Vec::new(),
            containers: Vec::new(),
            volumes: Vec::new(),
            networks: Vec::new(),
            passwords: Rc::default(),
            made: BTreeMap::new(),
            missing_image: None,
            agents: Default::default(),
            claims: BTreeMap::new(),
            engine_down_until: 0,
            pressed_until: 0,
            under_way: Vec::new(),
            ports_taken: BTreeMap::new(),
            news: Vec::new(),
            clients: Clients::default(),
            faults,
            story: Story::new(tells),
            watch: Watch::default(),
            serial: 0,
            next_tick: 0,
        }
    }

    /// Draws how long something takes.
    pub fn takes(&mut self, range: (u64, u64)) -> u64 {
        self.rng.between(range)
    }

    /// Tells what happened.
    pub fn tell(&mut self, actor: &str, text: impl FnOnce() -> String) {
        self.story.tell(self.now, actor, text);
    }

    /// Lets time pass.
    pub fn advance(&mut self, to: u64) {
        loop {
            let next = self.next_due().min(self.next_tick).max(self.now);
            if next > to {
                break;
            }
            self.now = next;
            for at in 0..self.containers.len() {
                while self.containers[at].due() <= self.now {
                    self.progress(at);
                }
            }
            self.finish();
            if self.next_tick <= self.now {
                self.next_tick = self.now + self.pace.tick;
                self.tick();
            }
            self.check();
        }
        self.now = self.now.max(to);
    }

    /// When something happens next that the agent may see.
    pub fn next_due(&self) -> u64 {
        let due = self.containers.iter().map(Container::due);
        let under_way = self.under_way.iter().map(|call| call.due);
        due.chain(under_way).min().unwrap_or(u64::MAX)
    }

    /// The engine will do this in a while, whoever is there to see it.
    pub fn postpone(&mut self, op: EngineOp) {
        let due = self.now + self.rng.between((1, 2500));
        let known = self.watch.glimpses.clone();
        let passwords = Rc::clone(&self.passwords);
        self.under_way.push(UnderWay {
            due,
            op,
            passwords,
            known,
        });
    }

    /// The engine gets done what it was about.
    fn finish(&mut self) {
        let now = self.now;
        while let Some(at) = self.under_way.iter().position(|call| call.due <= now) {
            let UnderWay {
                op, known, passwords, ..
            } = self.under_way.swap_remove(at);
            if self.is_engine_down() {
                continue;
            }
            self.tell("engine", || {
                format!("gets done what an agent that is dead asked for: {op}")
            });
            if let EngineOp::Deliver(delivery) = &op {
                self.watch.overtaken.insert(delivery.container.clone());
            }
            let known_since = std::mem::replace(&mut self.watch.glimpses, known);
            let passwords = std::mem::replace(&mut self.passwords, passwords);
            // Whoever asked is not there to hear how it went.
            let _ = match &op {
                EngineOp::CreateNetwork(spec) => {
                    self.add_network(observed(spec));
                    Ok(())
                }
                op => self.carry_out(op),
            };
            self.watch.glimpses = known_since;
            self.passwords = passwords;
        }
    }

    /// Whether the engine answers nobody.
    pub fn is_engine_down(&self) -> bool {
        self.now < self.engine_down_until
    }

    /// The agent is to hear that something happened.
    pub fn event(&mut self) {
        let at = self.now + self.rng.between((5, 40));
        if at >= self.engine_down_until {
            self.news.push(at);
        }
    }

    /// A container by name or id.
    pub fn find(&self, container: &str) -> Option<usize> {
        let mut all = self.containers.iter();
        all.position(|one| one.seen.name == container || one.seen.id == container)
    }

    /// A container by serial.
    pub fn by_serial(&self, serial: u64) -> Option<usize> {
        self.containers.iter().position(|one| one.serial == serial)
    }

    /// A volume by name.
    pub fn volume(&self, name: &str) -> Option<usize> {
        self.volumes.iter().position(|volume| volume.seen.name == name)
    }

    /// The data directory of a container.
    pub fn data(&self, at: usize) -> Option<&Data> {
        let volume = self.volume(self.containers[at].volume())?;
        self.volumes[volume].content.data()
    }

    /// The data directory of a container.
    pub fn data_mut(&mut self, at: usize) -> Option<&mut Data> {
        let volume = self.volume(self.containers[at].volume())?;
        self.volumes[volume].content.data_mut()
    }

    /// What the engine's health check says of a container at present.
    pub fn health(&self, at: usize) -> Health {
        let container = &self.containers[at];
        let Some(process) = container
            .process
            .as_ref()
            .filter(|_| container.seen.state == RunState::Running)
        else {
            return container.seen.health;
        };
        let slow_since = (process.slow_until > self.now).then_some(process.slow_since);
        let since = process.silent_since.into_iter().chain(slow_since).min();
        let since = since.filter(|since| *since <= self.now);
        match (since, &process.phase) {
            (Some(since), _) if self.now - since >= container.probe_ms => Health::Unhealthy,
            (Some(_), _) => Health::Pending,
            (None, Phase::Up | Phase::Seeding { .. }) => Health::Healthy,
            (None, _) => Health::Pending,
        }
    }

    /// A process ends.
    pub fn exit(&mut self, at: usize, code: i64, cause: &str) {
        let now = self.seconds();
        let replayed = self
            .data(at)
            .map(|data| self.wal.end(self.wal.cut(data.place, data.replayed)));
        if let (Some(data), Some(replayed)) = (self.data_mut(at), replayed)
            && data.is_standby
        {
            data.min_recovery = replayed;
        }
        let container = &mut self.containers[at];
        if container.process.take().is_none() {
            return;
        }
        container.seen.state = RunState::Exited;
        container.seen.exit_code = code;
        container.seen.finished_at = now;
        for address in container.seen.networks.values_mut() {
            address.clear();
        }
        let name = container.seen.name.clone();
        self.tell(&name, || format!("ended with exit code {code}: {cause}"));
        self.event();
    }

    /// Seconds since the epoch.
    pub fn seconds(&self) -> i64 {
        EPOCH.saturating_add_unsigned(self.now / 1000)
    }

    /// A number that no other thing has.
    pub fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}
