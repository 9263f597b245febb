//! Who receives a server's log and does not get on: standbys that are frozen, and an archiver of somebody's. A server that shuts
//! down waits for them.

use reconciler::model::Lsn;
use reconciler::model::plan::EngineOp;
use reconciler::model::postgres::Receiver;

use super::container::Phase;
use super::engine::Done;
use super::server::SENDER_TIMEOUT;
use super::world::World;

/// What the kernels between two programs hold, in bytes: so much is sent although nobody reads it.
const SOCKET: u64 = 4_096;
/// How long a shutdown may be held up until whoever kills the server has not tried what helps, in ms.
const PATIENCE: u64 = 15_000;

/// An archiver that is frozen. It holds no slot, and its server never times it out.
#[derive(Debug, Clone, Copy)]
pub struct Stranger {
    /// The process of its sender.
    pub pid: i32,
    /// Where the log ended when it was frozen.
    pub at: u64,
    /// Whether its sender was asked to end, and is stuck in telling it so.
    pub is_asked: bool,
}

impl World {
    /// An archiver connects to a server, and is frozen.
    pub fn add_stranger(&mut self, at: usize) {
        let end = self.data(at).map_or(0, |data| self.wal.end(data.place));
        let pid = i32::try_from(self.next_serial()).unwrap_or(i32::MAX);
        if let Some(server) = self.containers[at].up_mut() {
            server.strangers.push(Stranger {
                pid,
                at: end,
                is_asked: false,
            });
        }
    }

    /// Standbys that stream from a server and get no time, with the end of what they have.
    fn sleepers(&self, at: usize) -> Vec<(usize, u64)> {
        let serial = self.containers[at].serial;
        let all = 0..self.containers.len();
        let sleep = all.filter(|other| {
            let streams = self.link(*other).is_some_and(|link| link.source == serial);
            streams && !self.containers[*other].is_awake()
        });
        sleep
            .map(|other| (other, self.data(other).map_or(0, |data| self.wal.end(data.place))))
            .collect()
    }

    /// Whether one that receives has something in the way, of a log that ends here.
    fn is_stuck(&self, at: usize, has: u64) -> bool {
        let end = self.data(at).map_or(0, |data| self.wal.end(data.place));
        end > has + SOCKET
    }

    /// Whether a server that shuts down waits before its last checkpoint for one that does not get on.
    pub fn is_held_up(&self, at: usize) -> bool {
        let Some(process) = &self.containers[at].process else {
            return false;
        };
        let is_timed_out = self.now.saturating_sub(process.begun) >= SENDER_TIMEOUT;
        let sleepers = self.sleepers(at);
        let is_waiting = |has: u64| self.is_stuck(at, has);
        !is_timed_out && sleepers.iter().any(|(_, has)| is_waiting(*has))
            || process.server.strangers.iter().any(|stranger| is_waiting(stranger.at))
    }

    /// A server whose shutdown only waits for receivers is killed.
    pub fn check_patience(&mut self, at: usize) {
        let begun = self.containers[at]
            .process
            .as_ref()
            .filter(|process| process.phase == Phase::Stopping)
            .map(|process| process.begun);
        if begun.is_some_and(|begun| self.now - begun > PATIENCE) && self.is_held_up(at) {
            let name = self.containers[at].seen.name.clone();
            self.violated(&format!(
                "{name} is killed although its shutdown only waits for receivers of its log"
            ));
        }
    }

    /// What the server says of those who receive its log and are stuck, or are nobody's.
    pub fn receivers_of(&self, at: usize) -> Vec<Receiver> {
        let end = self.data(at).map_or(0, |data| self.wal.end(data.place));
        let receiver = |pid: i32, name: String, role: &str, has: u64| Receiver {
            pid,
            name,
            role: role.to_owned(),
            address: "10.9.9.9".to_owned(),
            state: "streaming".to_owned(),
            sent_lsn: Lsn(end.min(has + SOCKET)),
            confirmed_lsn: Lsn(has),
            reply_secs: Some(60),
            ..Receiver::default()
        };
        let sleepers = self.sleepers(at).into_iter().map(|(other, has)| {
            let container = &self.containers[other];
            let pid = i32::try_from(container.serial).unwrap_or(i32::MAX);
            receiver(pid, container.member().to_owned(), "replicator", has)
        });
        let strangers = self.containers[at]
            .up()
            .into_iter()
            .flat_map(|server| &server.strangers);
        let strangers = strangers.map(|one| receiver(one.pid, "archiver".to_owned(), "backup", one.at));
        sleepers.chain(strangers).collect()
    }

    /// Senders of a server are asked to end: these processes', or all.
    pub fn end_senders(&mut self, at: usize, pids: Option<&[i32]>) {
        let is_meant = |pid: i32| pids.is_none_or(|pids| pids.contains(&pid));
        let sleepers = self.sleepers(at);
        for (other, _) in sleepers {
            if is_meant(i32::try_from(self.containers[other].serial).unwrap_or(i32::MAX)) {
                self.cut_link(other);
            }
        }
        let end = self.data(at).map_or(0, |data| self.wal.end(data.place));
        if let Some(process) = &mut self.containers[at].process {
            process.server.strangers.retain_mut(|one| {
                let is_over = is_meant(one.pid) && (one.is_asked || end <= one.at + SOCKET);
                one.is_asked |= is_meant(one.pid);
                !is_over
            });
        }
    }

    /// The agent ends what holds a shutdown up; it sends its signal twice.
    pub fn end_all_senders(&mut self, container: &str, op: &EngineOp) -> Done {
        let at = self.inside(container, op)?;
        for _ in 0..2 {
            self.end_senders(at, None);
        }
        Ok(())
    }
}
