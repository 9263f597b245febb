//! A container and the process in it.

use std::collections::BTreeMap;

use reconciler::model::container::{ContainerObserved, ContainerSpec, HealthSpec, RunState};
use reconciler::model::labels;

use super::conf::Conf;
use super::receivers::Stranger;
use super::wal::Place;

/// A container.
#[derive(Debug)]
pub struct Container {
    /// Tells it from an earlier one of its name.
    pub serial: u64,
    /// As the engine shows it.
    pub seen: ContainerObserved,
    /// Delivered files by name.
    pub files: BTreeMap<String, File>,
    /// What runs in it.
    pub process: Option<Process>,
    /// The last lines of its log.
    pub log: Vec<String>,
    /// How long probes have to fail until it is unhealthy, in ms.
    pub probe_ms: u64,
    /// Whether its port is published.
    pub is_published: bool,
}

/// How long probes of a container have to fail until it is unhealthy, in ms; for ever without a probe.
pub fn probe_ms(spec: &ContainerSpec) -> u64 {
    let until = |health: &HealthSpec| health.interval_secs * 1000 * u64::from(health.retries);
    spec.health.as_ref().map_or(u64::MAX, until)
}

/// A delivered file.
#[derive(Debug, Clone)]
pub struct File {
    /// Its text, with tokens in place of secrets.
    pub text: String,
    /// What the server would say its hash is.
    pub hash: String,
    /// The secrets that it holds.
    pub secrets: BTreeMap<String, String>,
    /// Grows with every delivery of it that changed it.
    pub version: u64,
}

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The agent.
    Agent,
    /// Somebody else.
    User,
}

/// What a process is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// The entry point reads its role.
    Entry,
    /// `initdb`.
    Initialising,
    /// `pg_basebackup`.
    Seeding {
        /// The container that it copies from, by serial.
        source: u64,
        /// The slot that it streams through.
        slot: String,
    },
    /// PostgreSQL recovers.
    Starting,
    /// PostgreSQL answers.
    Up,
    /// PostgreSQL stops.
    Stopping,
    /// Its shutdown checkpoint is written; its WAL senders and the engine's own cleaning up remain.
    Ending,
}

/// What runs in a container.
#[derive(Debug)]
pub struct Process {
    /// No other process has it.
    pub serial: u64,
    /// What it is doing.
    pub phase: Phase,
    /// When it began that.
    pub begun: u64,
    /// When it is done with that.
    pub until: u64,
    /// When the engine kills it, if it does.
    pub kill_at: Option<u64>,
    /// Whether somebody sent it a SIGSTOP.
    pub is_frozen: bool,
    /// Until when it answers everybody who logs in with an error.
    pub errors_until: u64,
    /// Whether it waits for itself, for ever.
    pub hangs: bool,
    /// When it was frozen last, or thawed, or started.
    pub turned_at: u64,
    /// Since when it has been too busy to answer, and until when.
    pub slow_since: u64,
    pub slow_until: u64,
    /// Since when probes fail.
    pub silent_since: Option<u64>,
    /// Who started it.
    pub by: By,
    /// The server.
    pub server: Server,
}

/// A PostgreSQL server.
#[derive(Debug, Default)]
pub struct Server {
    /// Whether it is a standby.
    pub in_recovery: bool,
    /// Settings at the start.
    pub at_start: Conf,
    /// Settings of the last load.
    pub loaded: Conf,
    /// The version of the file at the last load.
    pub loaded_version: u64,
    /// Its stream.
    pub link: Option<Link>,
    /// When it tries to stream again.
    pub retry_at: u64,
    /// Whether it has streamed since it started.
    pub has_streamed: bool,
    /// Whether something came with a stream since it started. From then on it asks for what follows its last record.
    pub has_received: bool,
    /// Whether somebody paused the replay.
    pub replay_paused: bool,
    /// Whether it takes writes although a user has named another member the primary since.
    pub is_overruled: bool,
    /// Whether its limits are too small to go on replaying.
    pub is_stuck: bool,
    /// When a requested promotion is done.
    pub promoted_at: Option<u64>,
    /// Who asked for it.
    pub promoted_by: Option<By>,
    /// When the next checkpoint is.
    pub checkpoint_at: u64,
    /// How long a record is under way to it, in ms.
    pub receive_lag: u64,
    /// How long it takes to replay one, in ms.
    pub replay_lag: u64,
    /// Others that receive its log and are frozen.
    pub strangers: Vec<Stranger>,
    /// Rows whose commits wait for standbys, as the log's end with each.
    pub waiting: Vec<Place>,
}

/// The stream that a standby receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The container that it comes from, by serial.
    pub source: u64,
    /// The slot.
    pub slot: String,
    /// The connection string that it was made with.
    pub conninfo: String,
}

impl Container {
    /// The member that it is.
    pub fn member(&self) -> &str {
        self.seen.labels.get(labels::MEMBER).map_or("", String::as_str)
    }

    /// The volume with its data.
    pub fn volume(&self) -> &str {
        self.seen.volumes.first().map_or("", String::as_str)
    }

    /// A delivered file's text.
    pub fn text(&self, file: &str) -> &str {
        self.files.get(file).map_or("", |file| file.text.trim())
    }

    /// What the server says of the files that it was asked for.
    pub fn hashes(&self, names: &[String]) -> BTreeMap<String, String> {
        let found = names.iter().filter_map(|name| Some((name, self.files.get(name)?)));
        found.map(|(name, file)| (name.clone(), file.hash.clone())).collect()
    }

    /// The version of the delivered configuration.
    pub fn conf_version(&self) -> u64 {
        let version = |name: &str| self.files.get(name).map_or(0, |file| file.version);
        version("postgresql.conf").max(version("pg_hba.conf"))
    }

    /// Whether its processes get any time.
    pub fn is_awake(&self) -> bool {
        self.seen.state == RunState::Running && self.process.as_ref().is_some_and(|process| !process.is_frozen)
    }

    /// The server, if it answers.
    pub fn up(&self) -> Option<&Server> {
        let process = self.process.as_ref().filter(|process| process.phase == Phase::Up)?;
        Some(&process.server)
    }

    /// The server, if it answers.
    pub fn up_mut(&mut self) -> Option<&mut Server> {
        let process = self.process.as_mut().filter(|process| process.phase == Phase::Up)?;
        Some(&mut process.server)
    }

    /// Whether its server would take a client's write, could the client reach it.
    pub fn accepts_writes(&self) -> bool {
        self.is_awake() && self.up().is_some_and(|server| !server.in_recovery)
    }

    /// Whether it is on a network that works: without one neither names nor published ports lead to it.
    pub fn is_connected(&self) -> bool {
        self.seen.networks.values().any(|address| !address.is_empty())
    }

    /// Adds a line to the log.
    pub fn say(&mut self, line: String) {
        if self.log.last() != Some(&line) {
            self.log.push(line);
        }
        if self.log.len() > 24 {
            self.log.drain(..12);
        }
    }

    /// When something happens in it by itself.
    pub fn due(&self) -> u64 {
        let runs = matches!(self.seen.state, RunState::Running | RunState::Paused);
        let Some(process) = self.process.as_ref().filter(|_| runs) else {
            return u64::MAX;
        };
        let kill_at = process.kill_at.unwrap_or(u64::MAX);
        if process.is_frozen || self.seen.state == RunState::Paused {
            return kill_at;
        }
        let own = match process.phase {
            Phase::Up => {
                let promoted_at = process.server.promoted_at.unwrap_or(u64::MAX);
                promoted_at.min(process.server.checkpoint_at)
            }
            Phase::Entry
            | Phase::Initialising
            | Phase::Seeding { .. }
            | Phase::Starting
            | Phase::Stopping
            | Phase::Ending => process.until,
        };
        own.min(kill_at)
    }
}
