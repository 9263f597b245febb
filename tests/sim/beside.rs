//! Containers that somebody else has on a member's volume, members that somebody renamed, and copies of them. The engine
//! mounts a volume as often as it is asked to; what keeps a second process off it is the agent, here as on a real engine:
//! the last look right before a container is made or started belongs to the agent's call.
//!
//! No server runs in them here: that they have the volume is enough.

use reconciler::host::FailureKind;
use reconciler::model::container::{ContainerObserved, Health, RunState};
use reconciler::model::holder::{self, Holder, LIVING};
use reconciler::model::labels;
use reconciler::model::plan::EngineOp;

use super::container::{By, Container};
use super::engine::{Done, failed};
use super::world::World;

/// How a stranger's name begins.
const STRANGER: &str = "stranger-";
/// How a copy's name ends.
const COPY: &str = "-copy";
/// How long the agent may go on with what it began before it was told that somebody else has a volume, in ms.
const UNDER_WAY: u64 = 15_000;

impl Container {
    /// Whether somebody made it beside a member's own, with the same labels.
    pub fn is_copy(&self) -> bool {
        !self.member().is_empty() && self.seen.name.ends_with(COPY)
    }

    /// Whether somebody else runs it on a member's volume.
    pub fn is_stranger(&self) -> bool {
        self.seen.name.starts_with(STRANGER)
    }

    fn state(&self) -> &'static str {
        match self.seen.state {
            RunState::Created => "created",
            RunState::Running => "running",
            RunState::Paused => "paused",
            RunState::Exited => "exited",
            RunState::Between => "restarting",
        }
    }
}

impl World {
    /// Who has volumes mounted, as the engine lists it.
    pub fn holders(&self, volumes: &[String]) -> Vec<Holder> {
        let living = self.containers.iter().filter(|one| LIVING.contains(&one.state()));
        let all = living.flat_map(|one| {
            let mounted = one.seen.volumes.iter().filter(|volume| volumes.contains(volume));
            mounted.map(|volume| Holder {
                volume: volume.clone(),
                id: one.seen.id.clone(),
                container: one.seen.name.clone(),
                image: "other".to_owned(),
                state: one.state().to_owned(),
                writes: true,
                through: None,
            })
        });
        all.collect()
    }

    /// The agent is told who has volumes mounted.
    pub fn tell_holders(&mut self, volumes: &[String]) -> Vec<Holder> {
        let holders = self.holders(volumes);
        let writers = holders.iter().filter(|holder| holder.writes);
        let told = writers.map(|holder| (holder.volume.clone(), holder.container.clone()));
        let before = std::mem::take(&mut self.watch.told_beside);
        self.watch.told_beside = told
            .map(|key| {
                let since = before.get(&key).copied().unwrap_or(self.now);
                (key, since)
            })
            .collect();
        holders
    }

    /// The last look before a process of a container gets its volumes.
    pub fn look_once_more(&mut self, own: &str, volumes: &[String], op: &EngineOp) -> Done {
        let known = self.watch.told_beside.iter();
        let mut known = known.filter(|((volume, other), since)| {
            volumes.contains(volume) && other != own && self.now - **since > UNDER_WAY
        });
        if let Some(((volume, other), _)) = known.next() {
            let text = format!("{own} is to start on {volume} although the agent was told that {other} has it");
            self.violated(&text);
        }
        let holders = self.holders(volumes);
        let mut found = volumes
            .iter()
            .filter_map(|volume| holder::in_the_way(&holders, volume, own));
        match found.next() {
            Some(holder) => Err(failed(FailureKind::Conflict, op, holder.obstacle())),
            None => Ok(()),
        }
    }

    /// A process gets its volumes: never the second one by the agent's doing.
    pub fn check_volumes(&mut self, at: usize) {
        let own = &self.containers[at];
        let other = self.containers.iter().enumerate().find(|(other, one)| {
            let is_alive = LIVING.contains(&one.state());
            *other != at && is_alive && one.seen.volumes.iter().any(|volume| own.seen.volumes.contains(volume))
        });
        if let Some((_, other)) = other {
            let text = format!(
                "{} is started on the volume that {} has mounted",
                own.seen.name, other.seen.name
            );
            self.violated(&text);
        }
    }

    /// The agent is about to do something to a container: to none that is not its own, and to no copy but to give it the name
    /// of a member that is gone.
    pub fn check_touch(&mut self, op: &EngineOp) {
        let (container, is_rename) = match op {
            EngineOp::Start(container)
            | EngineOp::RemoveContainer(container)
            | EngineOp::Unpause(container)
            | EngineOp::PromoteInside(container)
            | EngineOp::Signal { container, .. }
            | EngineOp::Stop { container, .. }
            | EngineOp::Connect { container, .. }
            | EngineOp::Disconnect { container, .. }
            | EngineOp::UpdateLimits { container, .. } => (container, false),
            EngineOp::Deliver(delivery) => (&delivery.container, false),
            EngineOp::Rename { container, .. } => (container, true),
            _ => return,
        };
        let Some(at) = self.find(container) else {
            return;
        };
        let found = &self.containers[at];
        let is_ours = found.seen.labels.contains_key(labels::UID);
        if !is_ours || found.is_copy() && !is_rename && !self.watch.is_purging {
            let text = format!("{} is not the agent's to touch: {op}", found.seen.name);
            self.violated(&text);
        }
    }

    /// Gives a container another name.
    pub fn rename(&mut self, container: &str, name: &str, op: &EngineOp) -> Done {
        let Some(at) = self.find(container) else {
            return Err(failed(FailureKind::NotFound, op, "no such container"));
        };
        if self.containers[at].seen.name == name {
            return Ok(());
        }
        if self.find(name).is_some() {
            return Err(failed(FailureKind::Conflict, op, "the name is in use"));
        }
        self.watch.glimpses.remove(name);
        name.clone_into(&mut self.containers[at].seen.name);
        self.containers.sort_by(|a, b| a.seen.name.cmp(&b.seen.name));
        self.event();
        Ok(())
    }

    /// `docker rename`.
    pub fn rename_by_hand(&mut self, at: usize) {
        let name = self.containers[at].seen.name.clone();
        let new = format!("{name}-old");
        if !name.ends_with("-old") && self.find(&new).is_none() {
            // By whatever name: it is the one that the agent was told of.
            let told = std::mem::take(&mut self.watch.told_beside).into_iter();
            let renamed = |(volume, other): (String, String)| match other == name {
                true => (volume, new.clone()),
                false => (volume, other),
            };
            self.watch.told_beside = told.map(|(key, since)| (renamed(key), since)).collect();
            self.containers[at].seen.name = new;
            self.containers.sort_by(|a, b| a.seen.name.cmp(&b.seen.name));
            self.event();
        }
    }

    /// `docker run --rm -v VOLUME:...` of somebody else.
    pub fn run_beside(&mut self, at: usize) {
        let (serial, probe_ms) = (self.next_serial(), self.containers[at].probe_ms);
        let mut seen = self.containers[at].seen.clone();
        seen.id = format!("{serial:08x}");
        seen.name = format!("{STRANGER}{serial}");
        seen.labels.clear();
        seen.networks.clear();
        seen.aliases.clear();
        // Somebody may have frozen it.
        seen.state = match serial % 3 {
            0 => RunState::Paused,
            _ => RunState::Running,
        };
        if self.volume(self.containers[at].volume()).is_some() {
            self.add_beside(serial, seen, probe_ms);
        }
    }

    /// Somebody makes a container with all that a member's has, labels included, and perhaps starts it. It runs no server.
    pub fn copy_by_hand(&mut self, at: usize, is_running: bool) {
        let (serial, probe_ms) = (self.next_serial(), self.containers[at].probe_ms);
        let mut seen = self.containers[at].seen.clone();
        seen.id = format!("{serial:08x}");
        seen.name = format!("{}{COPY}", seen.name);
        seen.state = match is_running {
            true => RunState::Running,
            false => RunState::Created,
        };
        seen.health = Health::Pending;
        (seen.started_at, seen.finished_at, seen.exit_code) = (0, 0, 0);
        let is_there = self.volume(self.containers[at].volume()).is_some();
        if is_there && self.find(&seen.name).is_none() && !self.containers[at].is_copy() {
            let name = seen.name.clone();
            self.add_beside(serial, seen, probe_ms);
            if let (true, Some(at)) = (is_running, self.find(&name)) {
                // It runs something that answers nobody.
                self.launch(at, By::User);
                self.freeze(at, true, false);
            }
        }
    }

    fn add_beside(&mut self, serial: u64, seen: ContainerObserved, probe_ms: u64) {
        self.tell("user", || {
            format!("runs {} on {}", seen.name, seen.volumes.join(" and "))
        });
        self.containers.push(Container {
            serial,
            seen,
            files: Default::default(),
            process: None,
            log: Vec::new(),
            probe_ms,
            is_published: false,
        });
        self.containers.sort_by(|a, b| a.seen.name.cmp(&b.seen.name));
        self.event();
    }

    /// `docker stop`, of what somebody else runs or copied.
    pub fn stop_beside(&mut self, name: &str) {
        let Some(at) = self.find(name) else {
            return;
        };
        match self.containers[at].is_stranger() {
            true => drop(self.containers.remove(at)),
            false => self.exit(at, 137, "somebody stops it"),
        }
        self.event();
    }

    /// Whoever looks into the volume of a member that runs is done with it. Who is in the way of one that does not has to be
    /// told.
    pub fn leave_running_members_alone(&mut self) {
        let members = self.members().into_iter();
        let running = members.filter(|at| self.containers[*at].seen.state == RunState::Running);
        let volumes: Vec<String> = running.map(|at| self.containers[at].volume().to_owned()).collect();
        let done = self
            .containers
            .iter()
            .filter(|one| one.is_stranger() && volumes.iter().any(|v| v == one.volume()));
        let names: Vec<String> = done.map(|one| one.seen.name.clone()).collect();
        names.iter().for_each(|name| self.stop_beside(name));
    }

    /// All that somebody else runs ends: the engine did.
    pub fn end_all_beside(&mut self) {
        let all = self.containers.iter().filter(|one| one.is_stranger() || one.is_copy());
        let living = all.filter(|one| LIVING.contains(&one.state()));
        let names: Vec<String> = living.map(|one| one.seen.name.clone()).collect();
        names.iter().for_each(|name| self.stop_beside(name));
    }

    /// Who started a container's process.
    pub fn start_of(&mut self, at: usize, by: By, op: &EngineOp) -> Done {
        let (name, volumes) = (
            self.containers[at].seen.name.clone(),
            self.containers[at].seen.volumes.clone(),
        );
        if by == By::Agent {
            self.look_once_more(&name, &volumes, op)?;
            self.check_volumes(at);
        }
        Ok(())
    }
}
