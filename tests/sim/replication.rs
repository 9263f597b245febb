//! Streams: walreceivers, replay, slots and what they hold.

use reconciler::model::Lsn;

use super::conf;
use super::container::{Link, Phase};
use super::server::SENDER_TIMEOUT;
use super::volume::Slot;
use super::wal::Kind;
use super::world::World;

/// `wal_retrieve_retry_interval`, as the agent sets it.
const RETRY: u64 = 100;

impl World {
    /// The stream that a container's server receives.
    pub fn link(&self, at: usize) -> Option<&Link> {
        self.containers[at].process.as_ref()?.server.link.as_ref()
    }

    /// The container that a name leads to from another container.
    fn resolve(&self, from: usize, host: &str) -> Option<usize> {
        let networks = &self.containers[from].seen.networks;
        let ours = networks.iter().filter(|(_, address)| !address.is_empty());
        let names: Vec<&String> = ours.map(|(name, _)| name).collect();
        self.containers.iter().position(|other| {
            names.iter().any(|network| {
                let is_there = other
                    .seen
                    .networks
                    .get(*network)
                    .is_some_and(|address| !address.is_empty());
                let is_called = other.seen.name == host
                    || other
                        .seen
                        .aliases
                        .get(*network)
                        .is_some_and(|aliases| aliases.contains(host));
                is_there && is_called
            })
        })
    }

    /// The server that a replica reaches by a connection string, or the complaint.
    pub fn sender(&self, at: usize, conninfo: &str, slot: &str) -> Result<usize, String> {
        let host = conf::word(conninfo, "host").unwrap_or_default();
        let refused = |why: &str| format!("FATAL:  could not connect to the primary server: host \"{host}\": {why}");
        let source = self
            .resolve(at, host)
            .ok_or_else(|| refused("Name or service not known"))?;
        if source == at || !self.containers[source].is_awake() || self.containers[source].up().is_none() {
            return Err(refused("Connection refused"));
        }
        let data = self.data(source).ok_or_else(|| refused("Connection refused"))?;
        let role = self.catalogs[data.catalog].roles.get("replicator");
        let known = self.containers[at]
            .files
            .get("pgpass")
            .and_then(|file| file.secrets.get("{replicator}"));
        let fits = role
            .is_some_and(|role| role.attributes.login && role.attributes.replication && Some(&role.password) == known);
        if !fits {
            return Err(refused(
                "FATAL:  password authentication failed for user \"replicator\"",
            ));
        }
        let serial = self.containers[source].serial;
        let could_not = |why: String| format!("FATAL:  could not start WAL streaming: ERROR:  {why}");
        match data.slots.get(slot) {
            None => return Err(could_not(format!("replication slot \"{slot}\" does not exist"))),
            Some(slot) if slot.is_lost => {
                return Err(could_not("requested WAL segment has already been removed".to_owned()));
            }
            Some(_) => {}
        }
        if self.user_of(serial, slot).is_some_and(|user| user != at) {
            return Err(could_not(format!("replication slot \"{slot}\" is active for PID 1")));
        }
        Ok(source)
    }

    /// Who streams through a slot.
    pub fn user_of(&self, serial: u64, slot: &str) -> Option<usize> {
        (0..self.containers.len()).find(|at| {
            let streams = self
                .link(*at)
                .is_some_and(|link| link.source == serial && link.slot == slot);
            let seeds = self.containers[*at].process.as_ref().is_some_and(|process| {
                matches!(&process.phase, Phase::Seeding { source, slot: used } if *source == serial && used == slot)
            });
            streams || seeds
        })
    }

    /// All streams go on by one step.
    pub fn stream(&mut self) {
        for at in 0..self.containers.len() {
            let container = &self.containers[at];
            let Some(process) = &container.process else {
                continue;
            };
            match &process.phase {
                Phase::Seeding { source, .. } if container.is_awake() => {
                    let is_there = self.by_serial(*source).is_some_and(|source| {
                        self.containers[source].up().is_some() && self.containers[source].is_connected()
                    });
                    if !is_there || !container.is_connected() {
                        self.seed_fails(at, "the server closed the connection unexpectedly");
                    }
                }
                Phase::Up if process.server.in_recovery && container.is_awake() => self.follow(at),
                Phase::Entry | Phase::Initialising | Phase::Starting | Phase::Stopping | Phase::Ending => {}
                Phase::Seeding { .. } | Phase::Up => {}
            }
        }
    }

    fn follow(&mut self, at: usize) {
        let Some(server) = self.containers[at].up() else {
            return;
        };
        if let Some(link) = server.link.clone() {
            match self
                .by_serial(link.source)
                .filter(|source| self.holds(at, *source, &link))
            {
                Some(source) => self.receive(at, source, false),
                None => self.cut_link(at),
            }
        } else if server.retry_at <= self.now {
            self.connect(at);
        }
        self.replay(at, false);
    }

    /// Whether an established stream goes on.
    fn holds(&self, at: usize, source: usize, link: &Link) -> bool {
        let container = &self.containers[source];
        let (Some(process), Some(own)) = (&container.process, self.containers[at].up()) else {
            return false;
        };
        let is_serving = matches!(process.phase, Phase::Up | Phase::Stopping | Phase::Ending);
        let conninfo = own.loaded.get("primary_conninfo");
        // A frozen sender is noticed only after a while.
        let is_alive = container.is_awake() || self.now.saturating_sub(process.begun) < SENDER_TIMEOUT;
        is_serving
            && is_alive
            && container.is_connected()
            && self.containers[at].is_connected()
            && conninfo == Some(&link.conninfo)
    }

    /// Ends a stream.
    pub fn cut_link(&mut self, at: usize) {
        let retry_at = self.now + RETRY;
        if let Some(server) = self.containers[at].up_mut() {
            server.link = None;
            server.retry_at = retry_at;
        }
    }

    fn connect(&mut self, at: usize) {
        let Some(server) = self.containers[at].up_mut() else {
            return;
        };
        server.retry_at = self.now + RETRY;
        // From its first request on it says how much it has, answered or not.
        server.has_streamed = true;
        let setting = |name: &str| server.loaded.get(name).cloned().unwrap_or_default();
        let (conninfo, slot) = (setting("primary_conninfo"), setting("primary_slot_name"));
        let agreed = self
            .sender(at, &conninfo, &slot)
            .and_then(|source| self.agree(at, source).map(|()| source));
        match agreed {
            Ok(source) => {
                let serial = self.containers[source].serial;
                let timeline = self.data(source).map_or(0, |data| data.timeline);
                if let Some(data) = self.data_mut(at) {
                    data.timeline = data.timeline.max(timeline);
                }
                if let Some(server) = self.containers[at].up_mut() {
                    server.link = Some(Link {
                        source: serial,
                        slot,
                        conninfo,
                    });
                }
                let from = self.containers[source].seen.name.clone();
                let name = self.containers[at].seen.name.clone();
                self.tell(&name, || format!("streams from {from}"));
                self.receive(at, source, false);
            }
            Err(complaint) => self.containers[at].say(complaint),
        }
    }

    /// Whether a sender has the log that a standby asks for, by the numbers alone, as PostgreSQL looks at it.
    fn agree(&self, at: usize, source: usize) -> Result<(), String> {
        let (Some(own), Some(theirs)) = (self.data(at), self.data(source)) else {
            return Err("FATAL:  could not connect to the primary server".to_owned());
        };
        if own.system_identifier != theirs.system_identifier {
            return Err("FATAL:  database system identifier differs between the primary and standby".to_owned());
        }
        let (start, end) = (self.wal.end(own.place), self.wal.end(theirs.place));
        let could_not = |why: String| Err(format!("FATAL:  could not start WAL streaming: ERROR:  {why}"));
        let present = self.wal.timeline(theirs.place);
        let own_timeline = own.timeline;
        if own_timeline == present {
            // It asks from the start of the segment that its log ends in (`RequestXLogStreaming`), so that one that is
            // ahead within a segment is served.
            let asked = start / self.pace.segment * self.pace.segment;
            if asked > end {
                let (start, end) = (Lsn(asked), Lsn(end));
                return could_not(format!(
                    "requested starting point {start} is ahead of the WAL flush position of this server {end}"
                ));
            }
        } else {
            let history = self.wal.history(theirs.place);
            match history.iter().find(|(timeline, _)| *timeline == own_timeline) {
                Some((_, left)) if start <= *left => {}
                _ => {
                    return could_not(format!(
                        "requested starting point {} on timeline {own_timeline} is not in this server's history",
                        Lsn(start)
                    ));
                }
            }
        }
        if start < theirs.oldest {
            return could_not(format!(
                "requested WAL segment of {} has already been removed",
                Lsn(start)
            ));
        }
        Ok(())
    }

    /// A standby receives what its sender has: all of it, or what has been under way long enough.
    pub fn receive(&mut self, at: usize, source: usize, all: bool) {
        let (Some(own), Some(theirs)) = (self.data(at), self.data(source)) else {
            return;
        };
        let (own, theirs) = (own.place, theirs.place);
        let lag = self.containers[at]
            .process
            .as_ref()
            .map_or(0, |process| process.server.receive_lag);
        let place = if self.wal.contains(theirs, own) {
            let mut count = own.count;
            while let Some(record) = self.wal.record(theirs, count)
                && (all || record.at + lag <= self.now)
            {
                count += 1;
            }
            self.wal.cut(theirs, count)
        } else {
            // The numbers agree and the content does not: what is there is neither the one nor the other.
            let end = self.wal.end(own);
            let missing = self.wal.end(theirs).saturating_sub(end);
            if missing == 0 {
                return;
            }
            // Only one that reads its log anew, which the stream has written over by then, gets over the seam.
            let has_received = self.containers[at].up().is_some_and(|server| server.has_received);
            if has_received {
                let seam = Lsn(end);
                self.containers[at].say(format!("LOG:  record with incorrect prev-link 54/66643062 at {seam}"));
                self.containers[at].say("LOG:  waiting for WAL to become available".to_owned());
                return self.cut_link(at);
            }
            let name = self.containers[at].seen.name.clone();
            self.tell(&name, || {
                format!("goes on from {} with another log than its own", Lsn(end))
            });
            self.wal.append(own, missing, Kind::Row, self.now)
        };
        let end = self.wal.end(place);
        let slot = self.link(at).map(|link| link.slot.clone()).unwrap_or_default();
        if let Some(data) = self.data_mut(at) {
            data.place = place;
        }
        if let Some(server) = self.containers[at].up_mut() {
            server.has_received = true;
        }
        if let Some(slot) = self.data_mut(source).and_then(|data| data.slots.get_mut(&slot)) {
            slot.restart = end;
        }
    }

    /// A server replays its log: all of it, or what it has had the time for.
    pub fn replay(&mut self, at: usize, all: bool) {
        let Some(process) = &self.containers[at].process else {
            return;
        };
        let server = &process.server;
        let (lag, is_held) = (
            server.receive_lag + server.replay_lag,
            server.replay_paused || server.is_stuck,
        );
        if is_held && !all {
            return;
        }
        let own = conf::limits(&server.at_start);
        let Some(data) = self.data(at) else {
            return;
        };
        let place = data.place;
        let (mut count, mut catalog, mut limits, mut last) =
            (data.replayed, data.catalog, data.limits, data.last_checkpoint);
        let mut is_stuck = false;
        while let Some(record) = self.wal.record(place, count)
            && (all || record.at + lag <= self.now)
        {
            match record.kind {
                Kind::Catalog(next) => catalog = next,
                Kind::Limits(next) => limits = next,
                Kind::Checkpoint => last = (record.start, self.wal.timeline(self.wal.cut(place, count + 1))),
                Kind::Row | Kind::NewTimeline => {}
            }
            count += 1;
        }
        if server.in_recovery {
            let needed = &self.limits[limits];
            is_stuck = needed
                .iter()
                .any(|(name, least)| own.get(name).is_some_and(|has| has < least));
        }
        if let Some(data) = self.data_mut(at) {
            (data.replayed, data.catalog, data.limits, data.last_checkpoint) = (count, catalog, limits, last);
        }
        if is_stuck && let Some(process) = &mut self.containers[at].process {
            process.server.is_stuck = true;
        }
    }

    /// What no slot holds goes, and a slot that holds too much gives up.
    pub fn recycle(&mut self, at: usize) {
        let Some(server) = self.containers[at].up() else {
            return;
        };
        let most = conf::megabytes(&server.loaded, "max_slot_wal_keep_size").unwrap_or(u64::MAX);
        let Some(data) = self.data(at) else {
            return;
        };
        let (end, segment) = (self.wal.end(data.place), self.pace.segment);
        let Some(data) = self.data_mut(at) else {
            return;
        };
        for slot in data.slots.values_mut() {
            slot.is_lost |= end - slot.restart > most;
        }
        let held = data
            .slots
            .values()
            .filter(|slot| !slot.is_lost)
            .map(|slot| slot.restart);
        let oldest = held.min().unwrap_or(u64::MAX).min(data.control.checkpoint);
        // Whole segments go: what precedes a checkpoint in its own one stays.
        data.oldest = data.oldest.max(oldest / segment * segment);
    }

    /// Makes a slot that holds the log from now on.
    pub fn create_slot(&mut self, at: usize, name: &str) {
        let Some(data) = self.data_mut(at) else {
            return;
        };
        let restart = data.control.checkpoint;
        data.slots.entry(name.to_owned()).or_insert(Slot {
            restart,
            is_lost: false,
        });
    }
}
