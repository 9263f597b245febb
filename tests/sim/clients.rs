//! Clients. Each writes rows without a pause to whatever member takes them: none of them knows who the primary is. A row
//! counts as acknowledged when its server says so, and then nobody may lose it.

use std::collections::BTreeMap;

use reconciler::model::labels;

use super::conf;
use super::container::{By, Container};
use super::volume::Volume;
use super::wal::{Kind, Place};
use super::world::World;

/// How many ticks in a thousand bring a row.
const ROWS_PER_MILLE: u64 = 700;

/// What the clients were told.
#[derive(Debug, Default)]
pub struct Clients {
    /// Acknowledged rows by branch of the log, as the log's length with the row, in order.
    pub acknowledged: BTreeMap<usize, Vec<u32>>,
    /// How many rows somebody gave up on the clients' behalf, by a forced promotion or by destroying the last copy.
    pub given_up: u64,
    /// How many rows were acknowledged.
    pub rows: u64,
    /// Whether they write only when they are told to.
    pub are_idle: bool,
}

impl Clients {
    /// The acknowledged rows that a log does not have.
    pub fn missing(&self, world: &World, place: Place) -> u64 {
        let lists = self.acknowledged.iter();
        lists.map(|(branch, rows)| missing(world, place, *branch, rows)).sum()
    }

    /// How many bytes the acknowledged rows that a log does not have take up in the logs that they are in.
    pub fn missing_bytes(&self, world: &World, place: Place) -> u64 {
        let lists = self.acknowledged.iter();
        let bytes = lists.map(|(branch, rows)| {
            let lost = usize::try_from(missing(world, place, *branch, rows)).unwrap_or(0);
            let lost = &rows[rows.len() - lost..];
            let record = |count: &u32| {
                let whole = Place {
                    branch: *branch,
                    count: *count,
                };
                world.wal.record(whole, count - 1)
            };
            match (lost.first().and_then(record), lost.last().and_then(record)) {
                (Some(first), Some(last)) => last.end - first.start,
                _ => 0,
            }
        });
        bytes.sum()
    }
}

fn missing(world: &World, place: Place, branch: usize, rows: &[u32]) -> u64 {
    let has = |count: &u32| world.wal.contains(place, Place { branch, count: *count });
    // Who has the last one has all before it.
    rows.iter().rev().take_while(|count| !has(count)).count() as u64
}

impl Container {
    /// Whether clients reach it: it runs, it is on a network, and its port is published or its name resolves there.
    pub fn is_reached(&self) -> bool {
        self.is_awake() && self.is_connected() && !self.member().is_empty()
    }

    /// Who made it a writer.
    pub fn writer_by(&self) -> By {
        let process = self.process.as_ref();
        process.map_or(By::Agent, |process| process.server.promoted_by.unwrap_or(process.by))
    }
}

impl World {
    /// A moment of replication, and of the clients' work.
    pub fn tick(&mut self) {
        self.stream();
        for at in 0..self.containers.len() {
            let container = &self.containers[at];
            if self.clients.are_idle || !container.accepts_writes() || !container.is_reached() {
                continue;
            }
            if self.rng.chance(ROWS_PER_MILLE) {
                self.insert(at);
            }
        }
        for at in 0..self.containers.len() {
            if self.containers[at]
                .up()
                .is_some_and(|server| !server.waiting.is_empty())
            {
                self.release(at);
            }
        }
    }

    /// A client writes a row.
    pub fn insert(&mut self, at: usize) {
        let bytes = self.rng.between((0x40, 0x2000));
        self.write(at, bytes, Kind::Row);
        if let Some(place) = self.data(at).map(|data| data.place) {
            self.commit(at, place);
        }
    }

    /// How many rows a server shows.
    pub fn rows(&self, at: usize) -> u64 {
        let Some(data) = self.data(at) else {
            return 0;
        };
        let seen = (0..data.replayed).filter_map(|count| self.wal.record(data.place, count));
        seen.filter(|record| record.kind == Kind::Row).count() as u64
    }

    /// A client commits a row: the answer comes at once, or when enough standbys have it.
    fn commit(&mut self, at: usize, place: Place) {
        let Some(server) = self.containers[at].up_mut() else {
            return;
        };
        let names = server.loaded.get("synchronous_standby_names");
        match names.and_then(|names| conf::voters(names)) {
            Some(_) => server.waiting.push(place),
            None => self.acknowledge(at, place),
        }
    }

    /// Commits that enough standbys have are answered.
    fn release(&mut self, at: usize) {
        let Some(server) = self.containers[at].up() else {
            return;
        };
        let names = server.loaded.get("synchronous_standby_names");
        let voters = names.and_then(|names| conf::voters(names));
        let serial = self.containers[at].serial;
        let waiting = server.waiting.clone();
        let is_released = |place: &Place| {
            let Some(voters) = &voters else {
                return true;
            };
            let connected = voters.names.iter().filter_map(|name| self.standby(serial, name));
            let has = |standby: usize| {
                self.data(standby)
                    .is_some_and(|data| self.wal.contains(data.place, *place))
            };
            if voters.are_ordered {
                let first: Vec<usize> = connected.take(voters.number).collect();
                first.len() == voters.number && first.into_iter().all(has)
            } else {
                connected.filter(|standby| has(*standby)).count() >= voters.number
            }
        };
        let released = waiting.iter().take_while(|place| is_released(place)).count();
        if let Some(server) = self.containers[at].up_mut() {
            server.waiting.drain(..released);
        }
        for place in waiting.into_iter().take(released) {
            self.acknowledge(at, place);
        }
    }

    /// The standby that streams from a container under a name.
    fn standby(&self, serial: u64, name: &str) -> Option<usize> {
        (0..self.containers.len()).find(|at| {
            let link = self.link(*at).filter(|link| link.source == serial);
            link.is_some_and(|link| conf::word(&link.conninfo, "application_name") == Some(name))
        })
    }

    /// A row is acknowledged. What a server acknowledges that a user made a second primary is the user's own affair,
    /// and so is what one acknowledges that a user has overruled, until it is fenced.
    fn acknowledge(&mut self, at: usize, place: Place) {
        let own = self.containers[at].member();
        let is_second = self
            .newest_volumes()
            .into_iter()
            .filter(|(member, _)| *member != own)
            .any(|(_, volume)| volume.content.data().is_some_and(|data| !data.is_standby));
        let is_overruled = self.containers[at].up().is_some_and(|server| server.is_overruled);
        if is_overruled || self.containers[at].writer_by() == By::User && is_second {
            return;
        }
        self.clients.rows += 1;
        let rows = self.clients.acknowledged.entry(place.branch).or_default();
        rows.push(place.count);
    }

    /// Each member's volume; those that were replaced are not among them.
    fn newest_volumes(&self) -> BTreeMap<&str, &Volume> {
        let mut newest: BTreeMap<&str, &Volume> = BTreeMap::new();
        let generation = |volume: &Volume| {
            let number = volume.seen.labels.get(labels::GENERATION);
            number.and_then(|number| number.parse::<u32>().ok())
        };
        for volume in &self.volumes {
            let Some(member) = volume.seen.labels.get(labels::MEMBER) else {
                continue;
            };
            let present = newest.entry(member).or_insert(volume);
            if generation(volume) > generation(present) {
                *present = volume;
            }
        }
        newest
    }

    /// The members that clients reach and that take writes.
    pub fn writers(&self) -> Vec<usize> {
        let all = 0..self.containers.len();
        all.filter(|at| self.containers[*at].accepts_writes() && self.containers[*at].is_reached())
            .collect()
    }

    /// Somebody made a second writer by hand, and now the record of which was the primary is lost: whichever is taken, the
    /// rows of the other are the user's own affair.
    pub fn give_up_beside_a_second_writer(&mut self) {
        let by_user =
            |at: &usize| self.containers[*at].accepts_writes() && self.containers[*at].writer_by() == By::User;
        let Some(second) = (0..self.containers.len()).find(by_user) else {
            return;
        };
        if let Some(place) = self.data(second).map(|data| data.place) {
            self.give_up_beyond(&[place]);
        }
        for other in (0..self.containers.len()).filter(|other| *other != second) {
            if let Some(process) = &mut self.containers[other].process {
                process.server.is_overruled = !process.server.in_recovery;
            }
        }
    }

    /// Rows that only logs have that are not among these are given up: somebody confirmed it, or destroyed them.
    pub fn give_up_beyond(&mut self, kept: &[Place]) {
        let mut acknowledged = std::mem::take(&mut self.clients.acknowledged);
        for (branch, rows) in &mut acknowledged {
            let lost = kept.iter().map(|place| missing(self, *place, *branch, rows)).min();
            let lost = lost.unwrap_or(rows.len() as u64);
            rows.truncate(rows.len() - usize::try_from(lost).unwrap_or(0));
            self.clients.given_up += lost;
        }
        acknowledged.retain(|_, rows| !rows.is_empty());
        self.clients.acknowledged = acknowledged;
    }
}
