//! Networks. The engine knows them by their ids; a name may lead to two of them, and then leads nowhere.

use reconciler::host::FailureKind;
use reconciler::model::container::{NamedObserved, NamedSpec, Namesake, RunState};
use reconciler::model::labels;
use reconciler::model::plan::EngineOp;

use super::engine::{Done, failed, observed};
use super::world::World;

/// A network. Of two with one name the older one has the containers that are attached by that name: while there are two,
/// nobody can be.
#[derive(Debug, Clone)]
pub struct Network {
    /// The engine's id of it.
    pub id: String,
    /// What the engine shows.
    pub seen: NamedObserved,
}

impl World {
    /// Makes a network that is not there.
    pub fn create_network(&mut self, spec: &NamedSpec, op: &EngineOp) -> Done {
        let found = self.networks.iter().find(|network| network.seen.name == spec.name);
        let owner = found.map(|network| network.seen.labels.get(labels::UID));
        match owner {
            None => self.add_network(observed(spec)),
            Some(owner) if owner == spec.labels.get(labels::UID) => {}
            Some(_) => return Err(failed(FailureKind::Conflict, op, "it belongs to somebody else")),
        }
        Ok(())
    }

    /// Makes a network, and a second one if there is one of that name: two calls have crossed.
    pub fn add_network(&mut self, seen: NamedObserved) {
        let id = format!("net{}", self.next_serial());
        self.networks.push(Network { id, seen });
    }

    /// Removes a network by name or id.
    pub fn remove_network(&mut self, key: &str, op: &EngineOp) -> Done {
        let found: Vec<usize> = (0..self.networks.len())
            .filter(|at| self.networks[*at].id == key || self.networks[*at].seen.name == key)
            .collect();
        match found[..] {
            [] => Ok(()),
            [at] if self.guests(at).is_empty() => {
                self.networks.remove(at);
                Ok(())
            }
            [_] => Err(failed(FailureKind::Conflict, op, "containers are still attached to it")),
            _ => Err(ambiguous(key, op)),
        }
    }

    /// Whether a container can be started on, or join, the network of this name.
    pub fn check_network(&self, name: &str, op: &EngineOp) -> Done {
        match self.networks.iter().filter(|one| one.seen.name == name).count() {
            0 => Err(failed(FailureKind::NotFound, op, "no such network")),
            1 => Ok(()),
            _ => Err(ambiguous(name, op)),
        }
    }

    /// The networks that share their name with another one of the same owner, the oldest first.
    pub fn namesakes(&self, is_ours: impl Fn(&NamedObserved) -> bool) -> Vec<Namesake> {
        let ours = || self.networks.iter().enumerate().filter(|(_, one)| is_ours(&one.seen));
        let shares = |name: &str| ours().filter(|(_, one)| one.seen.name == name).count() > 1;
        let namesake = |(at, one): (usize, &Network)| Namesake {
            id: one.id.clone(),
            name: one.seen.name.clone(),
            guests: self.guests(at),
        };
        ours().filter(|(_, one)| shares(&one.seen.name)).map(namesake).collect()
    }

    /// Attaches a container to a network.
    pub fn attach(&mut self, container: &str, network: &str, aliases: &[String], op: &EngineOp) -> Done {
        let at = self.there(container, op)?;
        let serial = self.next_serial();
        self.check_network(network, op)?;
        let container = &mut self.containers[at];
        if container.seen.networks.contains_key(network) {
            return Ok(());
        }
        let address = match container.seen.state {
            RunState::Running | RunState::Paused => format!("10.0.{}.{}", serial / 256 % 256, serial % 256),
            RunState::Created | RunState::Exited | RunState::Between => String::new(),
        };
        container.seen.networks.entry(network.to_owned()).or_insert(address);
        let aliases = aliases.iter().cloned().collect();
        container.seen.aliases.insert(network.to_owned(), aliases);
        Ok(())
    }

    fn guests(&self, at: usize) -> Vec<String> {
        let name = &self.networks[at].seen.name;
        let is_oldest = self.networks.iter().position(|one| one.seen.name == *name) == Some(at);
        let runs = |state: RunState| matches!(state, RunState::Running | RunState::Paused);
        let guests = self.containers.iter().map(|one| &one.seen);
        guests
            .filter(|one| is_oldest && runs(one.state) && one.networks.contains_key(name))
            .map(|one| one.name.clone())
            .collect()
    }
}

fn ambiguous(name: &str, op: &EngineOp) -> reconciler::host::HostError {
    failed(
        FailureKind::Other,
        op,
        format!("network {name} is ambiguous (2 matches found on name)"),
    )
}
