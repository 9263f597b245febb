//! What goes on inside a container: the entry point as `start.sh` has it, and PostgreSQL from start to stop.

use std::collections::BTreeMap;

use reconciler::kinds::postgres::conf::REFUSED_NAMES;
use reconciler::model::postgres::ControlState;

use super::catalog::Catalog;
use super::checkpoint::CHECKPOINT_BYTES;
use super::conf;
use super::container::{By, Phase, Process, Server};
use super::volume::{Content, ControlFile, Data};
use super::wal::Kind;
use super::world::World;

/// Where every log begins.
const FIRST_LSN: u64 = 0x0100_0000;
/// `wal_sender_timeout`.
pub const SENDER_TIMEOUT: u64 = 60_000;

impl World {
    /// A container's process starts.
    pub fn launch(&mut self, at: usize, by: By) {
        self.check_start(at, by);
        let until = self.now + self.takes((5, 30));
        self.serial += 1;
        self.containers[at].process = Some(Process {
            serial: self.serial,
            phase: Phase::Entry,
            begun: self.now,
            until,
            kill_at: None,
            is_frozen: false,
            errors_until: 0,
            hangs: false,
            turned_at: self.now,
            slow_since: 0,
            slow_until: 0,
            silent_since: None,
            by,
            server: Server::default(),
        });
    }

    fn turn(&mut self, at: usize, phase: Phase, range: (u64, u64)) {
        let until = self.now + self.takes(range);
        if let Some(process) = &mut self.containers[at].process {
            process.phase = phase;
            process.begun = self.now;
            process.until = until;
            // `pg_isready` fails while there is no server, but for a seed, which the health check knows of.
            let is_silent = matches!(process.phase, Phase::Initialising | Phase::Starting);
            process.silent_since = is_silent.then_some(self.now);
        }
    }

    /// What is due in a container happens.
    pub fn progress(&mut self, at: usize) {
        let Some(process) = &self.containers[at].process else {
            return;
        };
        if process.kill_at.is_some_and(|kill_at| kill_at <= self.now) {
            return self.exit(at, 137, "the engine killed it");
        }
        match process.phase.clone() {
            Phase::Entry => self.enter(at),
            Phase::Initialising => self.initialised(at),
            Phase::Seeding { source, .. } => self.seeded(at, source),
            Phase::Starting => self.started(at),
            Phase::Stopping => self.stopped(at),
            Phase::Ending => self.ended(at),
            Phase::Up => self.happens(at),
        }
    }

    fn fail(&mut self, at: usize, code: i64, line: &str) {
        self.containers[at].say(line.to_owned());
        self.exit(at, code, line);
    }

    /// PostgreSQL's words for a standby with smaller limits than its primary had.
    fn fail_for_limits(&mut self, at: usize, own: &BTreeMap<String, i64>) {
        let needed = self
            .data(at)
            .map(|data| self.limits[data.limits].clone())
            .unwrap_or_default();
        self.containers[at].say("FATAL:  recovery aborted because of insufficient parameter settings".to_owned());
        let short = needed
            .iter()
            .find(|(name, least)| own.get(*name).is_some_and(|has| has < *least));
        let detail = short.map(|(name, least)| {
            let has = own.get(name).copied().unwrap_or_default();
            format!(
                "DETAIL:  {name} = {has} is a lower setting than on the primary server, where its value was {least}."
            )
        });
        self.fail(at, 1, &detail.unwrap_or_default());
    }

    fn enter(&mut self, at: usize) {
        let role = self.containers[at].text("role").to_owned();
        let Some(volume) = self.volume(self.containers[at].volume()) else {
            return self.fail(at, 1, "the volume is gone");
        };
        let content = &mut self.volumes[volume].content;
        let has_data = content.data().is_some();
        let is_empty = matches!(content, Content::Empty | Content::Partial);
        match role.as_str() {
            "bootstrap" | "replica" if !has_data && !is_empty => {
                self.fail(at, 80, "reconciler: the data directory is damaged");
            }
            "bootstrap" if !has_data => {
                *content = Content::Partial;
                self.turn(at, Phase::Initialising, self.pace.initdb);
            }
            "primary" if !has_data => {
                self.fail(at, 79, "reconciler: a primary is never initialised empty");
            }
            "replica" if !has_data => self.begin_seed(at),
            "bootstrap" => self.boot(at),
            "primary" | "replica" => {
                if let Some(data) = content.data_mut() {
                    data.is_standby = role == "replica";
                }
                self.boot(at);
            }
            _ => self.fail(at, 78, "reconciler: no role was delivered; refusing to start"),
        }
    }

    fn initialised(&mut self, at: usize) {
        let place = self.wal.root(FIRST_LSN);
        let container = &self.containers[at];
        let password = container.files.get("superuser.password");
        let password = password.and_then(|file| file.secrets.values().next().cloned());
        self.catalogs.push(Catalog::new(&password.unwrap_or_default()));
        self.limits.push(BTreeMap::new());
        let data = Data {
            system_identifier: 7_000_000_000 + self.next_serial(),
            place,
            replayed: 0,
            timeline: 1,
            control: ControlFile {
                state: ControlState::ShutDown,
                checkpoint: FIRST_LSN,
                timeline: 1,
            },
            last_checkpoint: (FIRST_LSN, 1),
            is_standby: false,
            slots: BTreeMap::new(),
            auto_conf: BTreeMap::new(),
            catalog: self.catalogs.len() - 1,
            limits: self.limits.len() - 1,
            oldest: FIRST_LSN,
            min_recovery: 0,
        };
        if let Some(volume) = self.volume(self.containers[at].volume()) {
            self.volumes[volume].content = Content::Data(Box::new(data));
        }
        self.boot(at);
    }

    /// PostgreSQL starts on the data that is there.
    pub fn boot(&mut self, at: usize) {
        if !self.containers[at].files.contains_key("postgresql.conf") {
            return self.fail(at, 1, "postgres: could not access the server configuration file");
        }
        let loaded = conf::parse(self.containers[at].text("postgresql.conf"));
        self.containers[at].say("LOG:  starting PostgreSQL".to_owned());
        self.set_aside(at, &loaded);
        if let Some(complaint) = conf::obstacle(&loaded) {
            self.fails_with_ours(at);
            return self.fail(at, 1, &format!("FATAL:  {complaint}"));
        }
        let altered = self.data(at).map(|data| data.auto_conf.clone()).unwrap_or_default();
        if let Some(complaint) = conf::obstacle(&altered) {
            return self.fail(at, 1, &format!("FATAL:  {complaint}"));
        }
        let version = self.containers[at].conf_version();
        let lag = (self.takes(self.pace.lag), self.takes(self.pace.lag));
        let Some(data) = self.data_mut(at) else {
            return;
        };
        let is_clean = matches!(
            data.control.state,
            ControlState::ShutDown | ControlState::ShutDownInRecovery
        );
        let in_recovery = data.is_standby;
        if in_recovery {
            data.control.state = ControlState::InArchiveRecovery;
        } else if !is_clean {
            data.control.state = ControlState::InCrashRecovery;
        }
        let (low, high) = self.pace.start;
        let recovery = if is_clean { 0 } else { self.takes(self.pace.recovery) };
        self.turn(at, Phase::Starting, (low + recovery, high + recovery));
        if let Some(process) = &mut self.containers[at].process {
            process.server = Server {
                in_recovery,
                at_start: loaded.clone(),
                loaded,
                loaded_version: version,
                checkpoint_at: u64::MAX,
                receive_lag: lag.0,
                replay_lag: lag.1,
                ..Server::default()
            };
        }
    }

    /// The entry point takes back what is the agent's to set; after a start that failed it looks at what `ALTER SYSTEM` has set, as `start.sh` does.
    fn set_aside(&mut self, at: usize, ours: &conf::Conf) {
        let is_suspicious = !self.containers[at].text("suspicion").is_empty();
        if let Some(data) = self.data_mut(at) {
            data.auto_conf.retain(|name, value| {
                let alone = conf::Conf::from([(name.clone(), value.clone())]);
                let works = !ours.contains_key(name) && conf::obstacle(&alone).is_none();
                !REFUSED_NAMES.contains(&name.as_str()) && (works || !is_suspicious)
            });
        }
    }

    fn started(&mut self, at: usize) {
        let Some(data) = self.data(at).cloned() else {
            return self.fail(at, 1, "FATAL:  could not open file \"global/pg_control\"");
        };
        let Some(process) = &self.containers[at].process else {
            return;
        };
        let own = conf::limits(&process.server.loaded);
        let in_recovery = process.server.in_recovery;
        self.replay(at, true);
        if self.containers[at]
            .process
            .as_ref()
            .is_some_and(|process| process.server.is_stuck)
        {
            return self.fail_for_limits(at, &own);
        }
        if !in_recovery {
            if data.control.state != ControlState::ShutDown {
                self.write(at, CHECKPOINT_BYTES, Kind::Checkpoint);
                self.note_checkpoint(at, ControlState::InProduction);
            }
            if self.limits[data.limits] != own {
                self.limits.push(own);
                let limits = self.limits.len() - 1;
                self.write(at, 0x60, Kind::Limits(limits));
            }
            if let Some(data) = self.data_mut(at) {
                data.control.state = ControlState::InProduction;
            }
            self.confirmed(at);
        }
        let next = self.now + self.takes(self.pace.checkpoint);
        if let Some(process) = &mut self.containers[at].process {
            process.phase = Phase::Up;
            process.silent_since = None;
            process.server.checkpoint_at = next;
        }
        let name = self.containers[at].seen.name.clone();
        let word = if in_recovery { "a standby" } else { "a primary" };
        self.tell(&name, || format!("answers as {word}"));
        if !in_recovery {
            self.check();
        }
    }

    /// Asks a server to stop as SIGINT does. What is no server yet and no seed does not listen.
    pub fn interrupt(&mut self, at: usize) {
        let Some(process) = &self.containers[at].process else {
            return;
        };
        match process.phase {
            Phase::Entry | Phase::Initialising | Phase::Stopping | Phase::Ending => {}
            Phase::Seeding { .. } => self.fail(at, 81, "reconciler: seeding was interrupted"),
            Phase::Starting => self.fail(at, 0, "the database system is shut down"),
            Phase::Up => {
                self.turn(at, Phase::Stopping, self.pace.stop);
                let name = self.containers[at].seen.name.clone();
                self.tell(&name, || "is stopping".to_owned());
            }
        }
    }

    fn stopped(&mut self, at: usize) {
        let in_recovery = self.containers[at]
            .process
            .as_ref()
            .is_some_and(|process| process.server.in_recovery);
        if in_recovery {
            if let Some(data) = self.data_mut(at) {
                data.control = ControlFile {
                    state: ControlState::ShutDownInRecovery,
                    checkpoint: data.last_checkpoint.0,
                    timeline: data.last_checkpoint.1,
                };
            }
            return self.exit(at, 0, "stopped");
        }
        if self.is_held_up(at) {
            let until = self.now + 100;
            if let Some(process) = &mut self.containers[at].process {
                process.until = until;
            }
            return;
        }
        self.write(at, CHECKPOINT_BYTES, Kind::Checkpoint);
        self.note_checkpoint(at, ControlState::ShutDown);
        self.turn(at, Phase::Ending, self.pace.ending);
        self.ship(at);
    }

    /// Sends what is left of the log to whoever is there to take it. Returns whether somebody is connected and is not.
    fn ship(&mut self, at: usize) -> bool {
        let serial = self.containers[at].serial;
        let linked = |other: &usize| self.link(*other).is_some_and(|link| link.source == serial);
        let standbys: Vec<usize> = (0..self.containers.len()).filter(linked).collect();
        let (awake, asleep): (Vec<usize>, Vec<usize>) = standbys
            .into_iter()
            .partition(|standby| self.containers[*standby].is_awake());
        for standby in awake {
            self.receive(standby, at, true);
        }
        !asleep.is_empty()
    }

    fn ended(&mut self, at: usize) {
        // Its WAL senders wait for whoever is connected and does not answer, up to wal_sender_timeout.
        let waits = self.ship(at);
        if let Some(process) = &mut self.containers[at].process
            && (waits && self.now - process.begun < SENDER_TIMEOUT || !process.server.strangers.is_empty())
        {
            process.until = self.now + 500;
            return;
        }
        self.exit(at, 0, "stopped");
    }

    /// What is due in a server that answers: the end of a promotion, a checkpoint.
    fn happens(&mut self, at: usize) {
        let next = self.now + self.takes(self.pace.checkpoint);
        let Some(server) = self.containers[at].up_mut() else {
            return;
        };
        if server.promoted_at.is_some_and(|promoted_at| promoted_at <= self.now) {
            server.promoted_at = None;
            return self.promoted(at);
        }
        server.checkpoint_at = next;
        if !server.in_recovery {
            self.checkpoint(at);
        }
    }
}
