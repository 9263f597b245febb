//! What befalls a world from outside: deaths, freezes, removals, and what people do behind the agent's back.

use std::collections::BTreeMap;

use reconciler::host::FailureKind;
use reconciler::model::container::{ContainerObserved, Health, Limits, NamedObserved, RunState};
use reconciler::model::labels;
use reconciler::model::plan::EngineOp;

use super::container::{By, Container};
use super::engine::failed;
use super::volume::{Content, Volume};
use super::wal::Kind;
use super::wal::Place;
use super::world::World;

/// A slot that is somebody's own, whatever it is called: no cluster here ever has so many members.
pub const FOREIGN_SLOT: &str = "replica_7";

/// What befalls a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accident {
    /// Somebody, or the kernel, kills its processes.
    Killed,
    /// The kernel kills it for want of memory.
    OutOfMemory,
    /// Its server ends with an error.
    Crashed,
    /// `docker stop`.
    Stopped,
    /// `docker start`.
    Started,
    /// `docker restart`.
    Restarted,
    /// `docker pause`.
    Paused,
    /// `docker rm -f`.
    Removed,
    /// `docker rm -f` and `docker volume rm`.
    VolumeRemoved,
    /// `docker network disconnect`.
    Disconnected,
    /// SIGSTOP.
    Frozen,
    /// SIGCONT.
    Thawed,
    /// Its processes wait for each other, for ever.
    Hung,
    /// Too busy to answer for a while.
    Slow,
    /// Answers everybody who logs in with an error for a while.
    Full,
    /// Far behind for as long as its server lives.
    Lagging,
    /// Files of its data directory are gone.
    Damaged,
    /// `ALTER SYSTEM`.
    Altered,
    /// `pg_drop_replication_slot` of a slot of somebody's.
    SlotDropped,
    /// `pg_promote()` by hand.
    PromotedByHand,
    /// `pg_wal_replay_pause()`, and after a while `pg_wal_replay_resume()`.
    ReplayPaused,
    /// A lot is written at once.
    Bulk,
    /// The superuser gets another password.
    PasswordChanged,
    /// `docker rename`.
    Renamed,
    /// `docker run -v` of its volume, by somebody else.
    Occupied,
    /// Somebody makes a container with all that it has, labels included.
    Copied,
    /// The same, and starts it.
    CopyRuns,
    /// Somebody makes a physical slot of a name that a member's might have.
    SlotMade,
    /// An archiver of somebody's that receives its log is frozen.
    ArchiverFrozen,
}

impl World {
    /// Puts what is not ours on the host.
    pub fn add_neighbours(&mut self) {
        let named = |name: &str| NamedObserved {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            ..NamedObserved::default()
        };
        self.volumes.push(Volume {
            seen: named("other-data"),
            content: Content::Empty,
        });
        self.add_network(named("other"));
        let serial = self.next_serial();
        self.containers.push(Container {
            serial,
            seen: ContainerObserved {
                id: "other-id".to_owned(),
                name: "other".to_owned(),
                labels: BTreeMap::new(),
                state: RunState::Exited,
                exit_code: 0,
                error: String::new(),
                oom_killed: false,
                started_at: 0,
                finished_at: 0,
                health: Health::Pending,
                networks: BTreeMap::new(),
                aliases: BTreeMap::new(),
                volumes: vec!["other-data".to_owned()],
                limits: Limits::default(),
            },
            files: BTreeMap::new(),
            process: None,
            log: Vec::new(),
            probe_ms: 0,
            is_published: false,
        });
        self.watch.foreign = self.foreign();
    }

    /// The containers of members.
    pub fn members(&self) -> Vec<usize> {
        let all = 0..self.containers.len();
        all.filter(|at| !self.containers[*at].member().is_empty() && !self.containers[*at].is_copy())
            .collect()
    }

    /// The container of a member.
    pub fn member(&self, member: &str) -> Option<usize> {
        let mut all = self.containers.iter();
        all.position(|one| one.member() == member && !one.is_copy())
    }

    /// The engine stops, with all its containers, and comes back after a while. Nothing restarts by itself.
    pub fn restart_engine(&mut self, down_ms: u64) {
        self.tell("accident", || {
            format!("the engine restarts, and is down for {down_ms} ms")
        });
        self.engine_down_until = self.now + down_ms;
        for at in self.members() {
            self.exit(at, 137, "the engine went down");
        }
        self.end_all_beside();
    }

    /// The engine answers nobody for a while.
    pub fn stall_engine(&mut self, down_ms: u64) {
        self.tell("accident", || format!("the engine answers nobody for {down_ms} ms"));
        self.engine_down_until = self.now + down_ms;
    }

    /// Something befalls a member. Nothing, if it cannot.
    pub fn befall(&mut self, at: usize, accident: Accident) {
        let name = self.containers[at].seen.name.clone();
        let is_standby = self.containers[at].up().map(|server| server.in_recovery);
        self.tell("accident", || format!("{name}: {accident:?}"));
        match accident {
            Accident::Killed => self.exit(at, 137, "somebody killed it"),
            Accident::OutOfMemory => {
                self.exit(at, 137, "out of memory");
                self.containers[at].seen.oom_killed = self.containers[at].seen.state == RunState::Exited;
            }
            Accident::Crashed => {
                self.containers[at].say("PANIC:  something is broken".to_owned());
                self.exit(at, 1, "PANIC");
            }
            Accident::Stopped => self.by_hand(&name, |world, _| world.stop(&name, 10)),
            Accident::Started => self.by_hand(&name, |world, op| world.start(&name, By::User, op)),
            Accident::Restarted => {
                self.exit(at, 137, "somebody restarts it");
                self.by_hand(&name, |world, op| world.start(&name, By::User, op));
            }
            Accident::Paused if self.containers[at].seen.state == RunState::Running => {
                self.containers[at].seen.state = RunState::Paused;
                self.event();
            }
            Accident::Removed => self.remove_by_hand(at),
            Accident::VolumeRemoved => {
                let volume = self.containers[at].volume().to_owned();
                self.remove_by_hand(at);
                self.remove_volume_by_hand(&volume);
            }
            Accident::Disconnected => {
                self.containers[at].seen.networks.clear();
                self.containers[at].seen.aliases.clear();
            }
            Accident::Frozen | Accident::Thawed => self.freeze(at, accident == Accident::Frozen, false),
            Accident::Hung => self.freeze(at, true, true),
            Accident::Slow => {
                let longest = if self.rng.chance(200) { 300_000 } else { 20_000 };
                let until = self.now + self.rng.between((1_000, longest));
                self.slow_down(at, until);
            }
            Accident::Full => self.fill_up(at),
            Accident::Lagging => self.lag_behind(at),
            Accident::Damaged => self.damage(at),
            Accident::Altered => self.alter_system(at),
            Accident::SlotDropped => self.drop_some_slot(at),
            Accident::PromotedByHand if is_standby == Some(true) => self.promote(at, By::User),
            Accident::ReplayPaused => {
                if let Some(server) = self.containers[at].up_mut() {
                    server.replay_paused = server.in_recovery && !server.replay_paused;
                }
            }
            Accident::Bulk if is_standby == Some(false) => {
                let bytes = self.rng.between((64 << 20, 900 << 20));
                self.write(at, bytes, Kind::Row);
            }
            Accident::PasswordChanged if is_standby == Some(false) => self.change_password(at),
            Accident::Renamed => self.rename_by_hand(at),
            Accident::Occupied => self.run_beside(at),
            Accident::Copied | Accident::CopyRuns => self.copy_by_hand(at, accident == Accident::CopyRuns),
            Accident::ArchiverFrozen => self.add_stranger(at),
            Accident::SlotMade => self.make_foreign_slot(at),
            Accident::Paused | Accident::PromotedByHand | Accident::Bulk | Accident::PasswordChanged => {}
        }
        self.check();
    }

    fn make_foreign_slot(&mut self, at: usize) {
        if self.containers[at].up().is_some() {
            self.create_slot(at, FOREIGN_SLOT);
        }
    }

    fn lag_behind(&mut self, at: usize) {
        let lag = self.rng.between((500, 20_000));
        if let Some(server) = self.containers[at].up_mut() {
            server.replay_lag = lag;
        }
    }

    fn fill_up(&mut self, at: usize) {
        let until = self.now + self.rng.between((1_000, 90_000));
        if let Some(process) = &mut self.containers[at].process {
            process.errors_until = until;
        }
    }

    fn alter_system(&mut self, at: usize) {
        const CHOICES: [(&str, &str); 4] = [
            ("work_mem", "64MB"),
            ("primary_conninfo", "host=x"),
            ("max_connections", "7"),
            // No server starts with it, and no manifest here names it for long.
            ("shared_buffers", "900GB"),
        ];
        let (name, value) = *self.rng.pick(&CHOICES).unwrap_or(&CHOICES[0]);
        if let Some(data) = self.data_mut(at) {
            data.auto_conf.insert(name.to_owned(), value.to_owned());
        }
    }

    fn change_password(&mut self, at: usize) {
        self.change_catalog(at, |catalog| {
            if let Some(role) = catalog.roles.get_mut("postgres") {
                role.password = "somebody's own".to_owned();
            }
        });
    }

    fn by_hand(&mut self, name: &str, act: impl FnOnce(&mut World, &EngineOp) -> super::engine::Done) {
        // Only its words are used, in an error that nobody reads.
        let op = EngineOp::Start(name.to_owned());
        let done = act(self, &op).map_err(|error| failed(FailureKind::Other, "do it by hand", error.to_string()));
        if let Err(error) = done {
            self.tell("accident", || error.to_string());
        }
    }

    fn remove_by_hand(&mut self, at: usize) {
        self.exit(at, 137, "somebody removes it");
        self.containers.remove(at);
        self.event();
    }

    /// Somebody destroys a volume that no container uses.
    pub fn remove_volume_by_hand(&mut self, name: &str) {
        if self
            .containers
            .iter()
            .any(|one| one.seen.volumes.iter().any(|volume| volume == name))
        {
            // The engine does not destroy what a container has.
            return;
        }
        if let Some(volume) = self.volume(name) {
            self.volumes.remove(volume);
            self.give_up_what_is_gone();
        }
    }

    fn damage(&mut self, at: usize) {
        let Some(volume) = self.volume(self.containers[at].volume()) else {
            return;
        };
        self.volumes[volume].content = Content::Damaged;
        self.containers[at].say("PANIC:  could not open file \"global/pg_filenode.map\"".to_owned());
        self.exit(at, 1, "its files are gone");
        self.give_up_what_is_gone();
    }

    fn give_up_what_is_gone(&mut self) {
        let data = self.volumes.iter().filter_map(|volume| volume.content.data());
        let places: Vec<Place> = data.map(|data| data.place).collect();
        self.give_up_beyond(&places);
    }

    fn drop_some_slot(&mut self, at: usize) {
        let Some(data) = self.data(at) else {
            return;
        };
        let names: Vec<String> = data.slots.keys().cloned().collect();
        let Some(slot) = self.rng.pick(&names).cloned() else {
            return;
        };
        if let Some(user) = self.user_of(self.containers[at].serial, &slot) {
            self.cut_link(user);
        }
        if let Some(data) = self.data_mut(at) {
            data.slots.remove(&slot);
        }
    }
}

impl World {
    /// Whether the volume of another member that a manifest with so many replicas asks for holds all that a container's
    /// volume does.
    pub fn has_other_copy(&self, at: usize, replicas: u64) -> bool {
        let wanted = |member: &str| match member.strip_prefix("replica-") {
            Some(number) => number.parse().is_ok_and(|number: u64| number <= replicas),
            None => replicas > 0,
        };
        let own = self.containers[at].volume();
        let Some(data) = self.data(at) else {
            return true;
        };
        let part = self.wal.last_data(data.place);
        let mut others = self.volumes.iter().filter(|volume| {
            let member = volume.seen.labels.get(labels::MEMBER);
            volume.seen.name != own && member.is_some_and(|member| wanted(member))
        });
        others.any(|volume| {
            let other = volume.content.data();
            other.is_some_and(|other| self.wal.contains(other.place, part))
        })
    }
}
