//! One cluster's objects on the simulated host.

use std::collections::{BTreeMap, BTreeSet};

use reconciler::kinds::postgres::conf;
use reconciler::model::container::{
    ContainerObserved, ContainerSpec, Health, NamedObserved, NamedSpec, Neighbour, Objects, RunState, short_hash,
};
use reconciler::model::plan::Delivery;
use reconciler::model::postgres::{RoleAttributes, RoleFacts, SqlOp};
use reconciler::model::{Seen, labels};

/// The identity of all simulated data.
pub const SYSTEM_IDENTIFIER: u64 = 7_000_000_000_000_000_001;
/// `DBState` of `pg_control.h`: a standby that was killed.
const IN_ARCHIVE_RECOVERY: u32 = 5;
/// `PG_CONTROL_VERSION` of PostgreSQL 17.
const CONTROL_VERSION: u32 = 1300;

/// One cluster's objects, and what its databases hold.
#[derive(Debug, Default)]
pub struct Realm {
    /// Its containers by name.
    pub machines: BTreeMap<String, Machine>,
    /// The primary's roles.
    pub roles: BTreeMap<String, RoleFacts>,
    /// Its databases and their owners.
    pub databases: BTreeMap<String, String>,
    /// Extensions by database.
    pub extensions: BTreeMap<String, Vec<String>>,
    /// The primary's slots.
    pub slots: BTreeSet<String>,
    volumes: Vec<NamedObserved>,
    networks: Vec<NamedObserved>,
    /// The volumes that hold data.
    filled: BTreeSet<String>,
}

/// One container.
#[derive(Debug)]
pub struct Machine {
    /// As the engine shows it.
    pub seen: ContainerObserved,
    /// The delivered files: text and hash.
    pub files: BTreeMap<String, (String, String)>,
    /// The values of the standby's floor that the running server was started with.
    pub floor: BTreeMap<String, i64>,
    /// Whether a file was delivered after the server last read them.
    pub is_reload_due: bool,
    network: String,
}

impl Machine {
    /// Whether its server runs.
    pub fn runs(&self) -> bool {
        self.seen.state == RunState::Running
    }

    /// Whether its server is a standby.
    pub fn is_standby(&self) -> bool {
        self.text("role").trim() == "replica"
    }

    /// The member that it is.
    pub fn member(&self) -> &str {
        self.seen.labels.get(labels::MEMBER).map_or("", String::as_str)
    }

    fn text(&self, file: &str) -> &str {
        self.files.get(file).map_or("", |(text, _)| text)
    }
}

impl Realm {
    /// As the engine lists them.
    pub fn objects(&self) -> Objects {
        Objects {
            containers: self.machines.values().map(|machine| machine.seen.clone()).collect(),
            volumes: self.volumes.clone(),
            networks: self.networks.clone(),
            ..Objects::default()
        }
    }

    /// Adds itself to another cluster's list, as what is foreign there.
    pub fn stand_beside(&self, objects: &mut Objects) {
        let names = |named: &[NamedObserved]| -> Vec<String> { named.iter().map(|one| one.name.clone()).collect() };
        objects.foreign_volumes.extend(names(&self.volumes));
        objects.foreign_networks.extend(names(&self.networks));
        objects.neighbours.extend(self.machines.keys().map(|name| Neighbour {
            name: name.clone(),
            image: "postgres:17".to_owned(),
            host_ports: Vec::new(),
        }));
    }

    /// Makes a network.
    pub fn add_network(&mut self, spec: &NamedSpec) {
        self.networks.push(observed(spec));
    }

    /// Makes a volume.
    pub fn add_volume(&mut self, spec: &NamedSpec) {
        self.volumes.push(observed(spec));
    }

    /// Makes a container.
    pub fn add_container(&mut self, spec: &ContainerSpec) {
        let mut labels = spec.labels.clone();
        labels.insert(labels::SPEC_HASH.to_owned(), spec.hash());
        let machine = Machine {
            seen: ContainerObserved {
                id: spec.name.clone(),
                name: spec.name.clone(),
                labels,
                state: RunState::Created,
                exit_code: 0,
                error: String::new(),
                oom_killed: false,
                started_at: 0,
                finished_at: 0,
                health: Health::Pending,
                networks: BTreeMap::from([(spec.network.clone(), String::new())]),
                aliases: BTreeMap::new(),
                volumes: spec.volume.iter().map(|volume| volume.name.clone()).collect(),
                limits: spec.limits.clone(),
            },
            files: BTreeMap::new(),
            floor: BTreeMap::new(),
            is_reload_due: false,
            network: spec.network.clone(),
        };
        self.machines.insert(spec.name.clone(), machine);
    }

    /// Puts files into a container.
    pub fn deliver(&mut self, delivery: &Delivery) -> Option<()> {
        let machine = self.machines.get_mut(&delivery.container)?;
        for file in &delivery.files {
            let hash = short_hash(file.text.as_bytes());
            machine.files.insert(file.name.clone(), (file.text.clone(), hash));
        }
        machine.is_reload_due = machine.runs();
        Some(())
    }

    /// Starts a container; its server is up at once.
    pub fn start(&mut self, container: &str) -> Option<()> {
        let machine = self.machines.get_mut(container)?;
        machine.seen.state = RunState::Running;
        machine.seen.health = Health::Healthy;
        machine.seen.exit_code = 0;
        machine
            .seen
            .networks
            .insert(machine.network.clone(), "10.0.0.2".to_owned());
        machine.is_reload_due = false;
        machine.floor = floor(machine.text("postgresql.conf"));
        self.filled.extend(machine.seen.volumes.iter().cloned());
        if machine.text("role").trim() == "bootstrap" {
            self.databases.insert("postgres".to_owned(), "postgres".to_owned());
            self.roles.insert("postgres".to_owned(), superuser());
        }
        Some(())
    }

    /// Ends a container's process.
    pub fn end(&mut self, container: &str, exit_code: i64) -> Option<()> {
        let machine = self.machines.get_mut(container)?;
        machine.seen.state = RunState::Exited;
        machine.seen.exit_code = exit_code;
        machine.seen.networks.insert(machine.network.clone(), String::new());
        Some(())
    }

    /// Attaches a container to a network under names.
    pub fn attach(&mut self, container: &str, network: &str, aliases: &[String]) -> Option<()> {
        let seen = &mut self.machines.get_mut(container)?.seen;
        seen.networks.insert(network.to_owned(), "10.0.1.2".to_owned());
        seen.aliases
            .insert(network.to_owned(), aliases.iter().cloned().collect());
        Some(())
    }

    /// Detaches a container from a network.
    pub fn detach(&mut self, container: &str, network: &str) -> Option<()> {
        let seen = &mut self.machines.get_mut(container)?.seen;
        seen.networks.remove(network);
        seen.aliases.remove(network);
        Some(())
    }

    /// Removes a container; its volume stays.
    pub fn remove(&mut self, container: &str) -> Option<()> {
        self.machines.remove(container).map(|_| ())
    }

    /// A file of a container that does not run.
    pub fn read_file(&self, container: &str, path: &str) -> Seen<Vec<u8>> {
        let Some(machine) = self.machines.get(container) else {
            return Seen::Absent;
        };
        let name = path.rsplit('/').next().unwrap_or(path);
        if name == "pg_control" {
            let is_filled = machine.seen.volumes.iter().any(|volume| self.filled.contains(volume));
            return if is_filled {
                Seen::Known(control())
            } else {
                Seen::Absent
            };
        }
        machine
            .files
            .get(name)
            .map_or(Seen::Absent, |(text, _)| Seen::Known(text.clone().into_bytes()))
    }

    /// Carries out a statement; `None` for one that is not modelled.
    pub fn sql(&mut self, container: &str, op: &SqlOp) -> Option<()> {
        match op {
            SqlOp::Checkpoint => {}
            SqlOp::Reload => self.machines.get_mut(container)?.is_reload_due = false,
            SqlOp::CreateSlot(slot) => {
                self.slots.insert(slot.clone());
            }
            SqlOp::DropSlot(slot) => {
                self.slots.remove(slot);
            }
            SqlOp::Role(change) => {
                let facts = RoleFacts {
                    attributes: change.attributes,
                    password_fits: Some(true),
                    member_of: change.grant.clone(),
                    has_expired: false,
                };
                self.roles.insert(change.name.clone(), facts);
            }
            SqlOp::CreateDatabase { name, owner } | SqlOp::DatabaseOwner { name, owner } => {
                self.databases.insert(name.clone(), owner.clone());
            }
            SqlOp::CreateExtension { database, name, .. } => {
                self.extensions.entry(database.clone()).or_default().push(name.clone());
            }
            SqlOp::UpdateExtension { .. } | SqlOp::MoveExtension { .. } => {}
            SqlOp::Many(ops) => {
                for op in ops {
                    self.sql(container, op)?;
                }
            }
            SqlOp::Promote
            | SqlOp::ResumeReplay
            | SqlOp::ResetParameter(_)
            | SqlOp::OpenDatabase(_)
            | SqlOp::TerminateClients
            | SqlOp::EndSenders(_) => {
                return None;
            }
        }
        Some(())
    }
}

fn observed(spec: &NamedSpec) -> NamedObserved {
    NamedObserved {
        name: spec.name.clone(),
        labels: spec.labels.clone(),
        ..NamedObserved::default()
    }
}

fn superuser() -> RoleFacts {
    RoleFacts {
        attributes: RoleAttributes {
            login: true,
            superuser: true,
            createdb: true,
            createrole: true,
            replication: true,
            connection_limit: -1,
        },
        password_fits: Some(true),
        member_of: Vec::new(),
        has_expired: false,
    }
}

/// The floor's values as a server that is started with this configuration has them.
fn floor(postgresql_conf: &str) -> BTreeMap<String, i64> {
    let settings: BTreeMap<&str, &str> = postgresql_conf
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .collect();
    let value = |name: &str| settings.get(name)?.trim_matches('\'').parse().ok();
    conf::STANDBY_FLOOR
        .iter()
        .map(|(name, default)| ((*name).to_owned(), value(name).unwrap_or(*default)))
        .collect()
}

/// The control file of a killed standby, as far as it is read.
fn control() -> Vec<u8> {
    let mut bytes = vec![0; 512];
    bytes[..8].copy_from_slice(&SYSTEM_IDENTIFIER.to_le_bytes());
    bytes[8..12].copy_from_slice(&CONTROL_VERSION.to_le_bytes());
    bytes[16..20].copy_from_slice(&IN_ARCHIVE_RECOVERY.to_le_bytes());
    bytes[48] = 1;
    bytes
}
