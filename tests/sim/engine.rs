//! What the engine does when it is called.

use std::collections::BTreeMap;

use reconciler::host::{FailureKind, HostError, Secrets};
use reconciler::model::container::{
    ContainerObserved, ContainerSpec, Health, NamedObserved, NamedSpec, RunState, short_hash,
};
use reconciler::model::plan::{Delivery, EngineOp};
use reconciler::model::postgres::{RoleAttributes, RoleChange};
use reconciler::model::{SecretRef, labels};

use super::conf;
use super::container::{self, By, Container, File, Phase};
use super::world::World;

/// What a call comes to.
pub type Done = Result<(), HostError>;

/// A failure in the engine's words.
pub fn failed(kind: FailureKind, what: impl ToString, why: impl Into<String>) -> HostError {
    HostError::new(kind, what.to_string(), why)
}

impl World {
    /// Carries out one call, as far as it is done when it returns: a stop only begins.
    pub fn carry_out(&mut self, op: &EngineOp) -> Done {
        self.check_touch(op);
        match op {
            EngineOp::PullImage(_) => Ok(()),
            EngineOp::CreateNetwork(spec) => self.create_network(spec, op),
            EngineOp::RemoveNetwork(key) => self.remove_network(key, op),
            EngineOp::CreateVolume(spec) => self.create_volume(spec),
            EngineOp::RemoveVolume(name) => self.remove_volume(name, op),
            EngineOp::CreateContainer(spec) => self.create_container(spec, op),
            EngineOp::Deliver(delivery) => self.deliver(delivery, op),
            EngineOp::Start(container) => self.start(container, By::Agent, op),
            EngineOp::Signal { container, signal } => self.signal(container, signal, op),
            EngineOp::Stop { container, grace_secs } => self.stop(container, *grace_secs),
            EngineOp::RemoveContainer(container) => self.remove_container(container, op),
            EngineOp::Rename { container, name } => self.rename(container, name, op),
            EngineOp::Connect {
                container,
                network,
                aliases,
            } => self.attach(container, network, aliases, op),
            EngineOp::Disconnect { container, network } => {
                if let Some(at) = self.find(container) {
                    self.containers[at].seen.networks.remove(network);
                    self.containers[at].seen.aliases.remove(network);
                }
                Ok(())
            }
            EngineOp::Unpause(container) => {
                let at = self.there(container, op)?;
                if self.containers[at].seen.state == RunState::Paused {
                    self.start_of(at, By::Agent, op)?;
                    self.containers[at].seen.state = RunState::Running;
                    self.event();
                }
                Ok(())
            }
            EngineOp::UpdateLimits { container, limits } => {
                let at = self.there(container, op)?;
                self.containers[at].seen.limits = limits.clone();
                Ok(())
            }
            EngineOp::CheckFiles(_) | EngineOp::RemoveFiles { .. } | EngineOp::ResetAdmin { .. } => Ok(()),
            EngineOp::CheckConfig(check) => {
                self.inside(&check.container, op)?;
                match conf::complaint(&conf::parse(&check.text)) {
                    Some(complaint) => Err(failed(FailureKind::Invalid, op, complaint)),
                    None => Ok(()),
                }
            }
            EngineOp::RecoverPasswords {
                containers, passwords, ..
            } => self.recover_passwords(containers, passwords, op),
            EngineOp::PromoteInside(container) => self.promote_inside(container, op),
            EngineOp::EndSenders { container, .. } => self.end_all_senders(container, op),
            EngineOp::ResetPassword {
                container,
                role,
                password,
            } => self.reset_password(container, role, password, op),
        }
    }

    fn recover_passwords(
        &mut self,
        containers: &[String],
        passwords: &BTreeMap<String, SecretRef>,
        op: &EngineOp,
    ) -> Done {
        for (role, secret) in passwords {
            let mut found = None;
            for container in containers {
                let at = self.there(container, op)?;
                found = found.or_else(|| self.held_in(at, role));
            }
            match (self.passwords.peek(secret)?, found) {
                (Some(_), _) => {}
                (None, Some(found)) => self.passwords.keep(secret, &found)?,
                (None, None) => drop(self.make_password(secret)?),
            }
        }
        Ok(())
    }

    fn reset_password(&mut self, container: &str, role: &str, password: &SecretRef, op: &EngineOp) -> Done {
        let at = self.inside(container, op)?;
        if !self.containers[at].accepts_writes() {
            return Err(failed(FailureKind::Other, op, "it is read-only or does not answer"));
        }
        let password = self.passwords.reveal(password)?;
        self.alter_role(at, role, password);
        Ok(())
    }

    fn alter_role(&mut self, at: usize, role: &str, password: String) {
        self.change_catalog(at, |catalog| {
            let known = catalog.roles.get(role).map(|role| role.attributes);
            let change = RoleChange {
                name: role.to_owned(),
                create: false,
                attributes: known.unwrap_or(RoleAttributes::default()),
                password: None,
                grant: Vec::new(),
                never_expires: false,
            };
            catalog.change(&change, Some(password));
        });
    }

    /// A container that there has to be.
    pub fn there(&self, container: &str, op: &EngineOp) -> Result<usize, HostError> {
        self.find(container)
            .ok_or_else(|| failed(FailureKind::NotFound, op, format!("No such container: {container}")))
    }

    pub fn inside(&self, container: &str, op: &EngineOp) -> Result<usize, HostError> {
        let at = self.there(container, op)?;
        if !self.containers[at].is_awake() {
            return Err(failed(FailureKind::Other, op, "the container is not running"));
        }
        Ok(at)
    }

    fn create_container(&mut self, spec: &ContainerSpec, op: &EngineOp) -> Done {
        self.check_secrets(spec);
        let volume = spec.volume.as_ref().map(|volume| volume.name.clone());
        if volume.as_ref().is_some_and(|name| self.volume(name).is_none()) {
            return Err(failed(FailureKind::NotFound, op, "no such volume"));
        }
        let volumes: Vec<String> = volume.iter().cloned().collect();
        self.look_once_more(&spec.name, &volumes, op)?;
        let mut found = spec.labels.clone();
        found.insert(labels::SPEC_HASH.to_owned(), spec.hash());
        if let Some(at) = self.find(&spec.name) {
            if self.containers[at].seen.labels == found {
                return Ok(());
            }
            return Err(failed(FailureKind::Conflict, op, "the name is taken"));
        }
        let serial = self.next_serial();
        self.containers.push(Container {
            serial,
            seen: ContainerObserved {
                id: format!("{serial:08x}"),
                name: spec.name.clone(),
                labels: found,
                state: RunState::Created,
                exit_code: 0,
                error: String::new(),
                oom_killed: false,
                started_at: 0,
                finished_at: 0,
                health: Health::Pending,
                networks: BTreeMap::from([(spec.network.clone(), String::new())]),
                aliases: BTreeMap::from([(spec.network.clone(), spec.aliases.iter().cloned().collect())]),
                volumes: volume.into_iter().collect(),
                limits: spec.limits.clone(),
            },
            files: BTreeMap::new(),
            process: None,
            log: Vec::new(),
            probe_ms: container::probe_ms(spec),
            is_published: !spec.ports.is_empty(),
        });
        self.containers.sort_by(|a, b| a.seen.name.cmp(&b.seen.name));
        self.event();
        Ok(())
    }

    fn deliver(&mut self, delivery: &Delivery, op: &EngineOp) -> Done {
        let at = self.there(&delivery.container, op)?;
        for spec in &delivery.files {
            let mut secrets = BTreeMap::new();
            for placeholder in &spec.secrets {
                let password = match placeholder.make {
                    true => self.make_password(&placeholder.secret)?,
                    false if spec.name == "pgpass" => self.found_again(&placeholder.secret)?,
                    false => self.passwords.reveal(&placeholder.secret)?,
                };
                secrets.insert(placeholder.token.clone(), password);
            }
            let file = File {
                text: spec.text.clone(),
                hash: short_hash(spec.text.as_bytes()),
                secrets,
                version: self.next_serial(),
            };
            self.containers[at].files.insert(spec.name.clone(), file);
        }
        Ok(())
    }

    /// Starts a container.
    pub fn start(&mut self, container: &str, by: By, op: &EngineOp) -> Done {
        let at = self.there(container, op)?;
        match self.containers[at].seen.state {
            RunState::Running => return Ok(()),
            RunState::Paused => return Err(failed(FailureKind::Other, op, "cannot start a paused container")),
            RunState::Created | RunState::Exited | RunState::Between => {}
        }
        if self.volume(self.containers[at].volume()).is_none() {
            return Err(failed(FailureKind::NotFound, op, "its volume is gone"));
        }
        for network in self.containers[at].seen.networks.keys() {
            self.check_network(network, op)?;
        }
        self.bind_port(at, op)?;
        self.start_of(at, by, op)?;
        let (now, serial) = (self.seconds(), self.next_serial());
        let container = &mut self.containers[at];
        container.seen.state = RunState::Running;
        container.seen.error.clear();
        container.seen.exit_code = 0;
        container.seen.oom_killed = false;
        container.seen.started_at = now;
        container.seen.health = Health::Pending;
        for address in container.seen.networks.values_mut() {
            *address = format!("10.0.{}.{}", serial / 256 % 256, serial % 256);
        }
        self.launch(at, by);
        self.event();
        Ok(())
    }

    /// The engine binds a container's port, last of all that it does before the start (`daemon/start.go`, 20.10). What the
    /// process before ended with stays.
    fn bind_port(&mut self, at: usize, op: &EngineOp) -> Done {
        let until = self.ports_taken.get(&self.containers[at].seen.name);
        if until.is_none_or(|until| *until <= self.now) {
            return Ok(());
        }
        let why = "driver failed programming external connectivity on endpoint: port is already allocated";
        let seen = &mut self.containers[at].seen;
        seen.error = why.to_owned();
        if seen.exit_code == 0 {
            seen.exit_code = 128;
        }
        Err(failed(FailureKind::Conflict, op, why))
    }

    fn signal(&mut self, container: &str, signal: &str, op: &EngineOp) -> Done {
        let is_ending = matches!(signal, "SIGINT" | "SIGTERM" | "SIGQUIT" | "SIGKILL");
        let Some(at) = self.find(container) else {
            return match is_ending {
                true => Ok(()),
                false => Err(failed(FailureKind::NotFound, op, "it does not run")),
            };
        };
        match (self.containers[at].seen.state, signal) {
            // The kernel kills what is frozen, and the engine thaws it for that.
            (RunState::Running | RunState::Paused, "SIGKILL") => {
                self.check_patience(at);
                self.killed_by_agent(at);
                Ok(())
            }
            // It would be delivered with the thaw; nobody here waits for that.
            (RunState::Paused, _) => Ok(()),
            (RunState::Running, "SIGINT" | "SIGTERM") => {
                if self.containers[at].is_awake() {
                    self.interrupt(at);
                }
                Ok(())
            }
            (RunState::Running, _) => {
                self.load(at);
                Ok(())
            }
            (RunState::Created | RunState::Exited | RunState::Between, _) if is_ending => Ok(()),
            (RunState::Created | RunState::Exited | RunState::Between, _) => {
                Err(failed(FailureKind::NotFound, op, "it does not run"))
            }
        }
    }

    /// Asks a container to stop, and sees to it that it is killed when its grace is over.
    pub fn stop(&mut self, container: &str, grace_secs: i64) -> Done {
        let Some(at) = self.find(container) else {
            return Ok(());
        };
        match self.containers[at].seen.state {
            RunState::Running | RunState::Paused => {}
            RunState::Created | RunState::Exited | RunState::Between => return Ok(()),
        }
        let kill_at = self.now + grace_secs.unsigned_abs() * 1000;
        if let Some(process) = &mut self.containers[at].process {
            process.kill_at.get_or_insert(kill_at);
        }
        if self.containers[at].is_awake() {
            self.interrupt(at);
        }
        Ok(())
    }

    fn remove_container(&mut self, container: &str, op: &EngineOp) -> Done {
        let Some(at) = self.find(container) else {
            return Ok(());
        };
        if matches!(self.containers[at].seen.state, RunState::Running | RunState::Paused) {
            return Err(failed(
                FailureKind::Conflict,
                op,
                "you cannot remove a running container",
            ));
        }
        self.containers.remove(at);
        self.event();
        Ok(())
    }

    /// A server reads its configuration again.
    pub fn load(&mut self, at: usize) {
        let loaded = conf::parse(self.containers[at].text("postgresql.conf"));
        let version = self.containers[at].conf_version();
        if let Some(process) = &mut self.containers[at].process
            && matches!(process.phase, Phase::Up | Phase::Starting)
            && conf::complaint(&loaded).is_none()
        {
            process.server.loaded = loaded;
            process.server.loaded_version = version;
        }
    }
}

/// What the engine shows of what was made so.
pub fn observed(spec: &NamedSpec) -> NamedObserved {
    NamedObserved {
        name: spec.name.clone(),
        labels: spec.labels.clone(),
        ..NamedObserved::default()
    }
}
