//! Containers, volumes and networks: as they are wanted, and as the engine shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::holder::Holder;
use super::secret::SecretRef;
use super::seen::Seen;

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// The host's address that it is bound to.
    pub address: String,
    /// The port on the host.
    pub host: u16,
    /// The port in the container.
    pub container: u16,
}

/// A health check that the engine runs inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSpec {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Seconds between probes.
    pub interval_secs: u64,
    /// Seconds that one probe may take.
    pub timeout_secs: u64,
    /// Failures in a row until the container is unhealthy.
    pub retries: u32,
}

/// What can be changed on a running container, and so does not take part in the hash.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// CPUs in units of 10⁻⁹ CPU; 0 is unlimited.
    pub nano_cpus: i64,
    /// Memory in bytes; 0 is unlimited.
    pub memory_bytes: i64,
}

/// A volume that is only read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// The volume.
    pub volume: NamedSpec,
    /// Where it is mounted.
    pub mount: String,
}

/// A container as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// The container's name; also its host name and DNS name on the network.
    pub name: String,
    /// The image reference, as the manifest says it.
    pub image: String,
    /// The user that the process runs as; empty for the image's own.
    pub user: String,
    /// Replaces the image's entry point.
    pub entrypoint: Vec<String>,
    /// Environment, never with a secret in it.
    pub env: BTreeMap<String, String>,
    /// The users' labels and ours, without the hash.
    pub labels: BTreeMap<String, String>,
    /// The data volume; none for what keeps nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<NamedSpec>,
    /// Where the data volume is mounted.
    pub mount: String,
    /// A volume of the same member that is mounted beside it, to be read only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceSpec>,
    /// The network that it is attached to.
    pub network: String,
    /// Further DNS names on that network.
    pub aliases: Vec<String>,
    /// Published ports.
    pub ports: Vec<PortSpec>,
    /// `/dev/shm` in bytes; 0 for the engine's default.
    pub shm_bytes: i64,
    /// The signal that asks it to stop.
    pub stop_signal: String,
    /// Seconds that it may take to stop.
    pub stop_grace_secs: i64,
    /// The health check; none keeps the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSpec>,
    /// CPU and memory.
    pub limits: Limits,
    /// Where its output goes; none for the engine's own driver, bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<LogSpec>,
}

/// Where a container's output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpec {
    /// The engine's log driver; empty for the engine's own.
    pub driver: String,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
}

impl ContainerSpec {
    /// A short hash of all that cannot be changed on a running container. Equal hashes: no need to recreate.
    pub fn hash(&self) -> String {
        let fixed = ContainerSpec {
            limits: Limits::default(),
            ..self.clone()
        };
        // A struct of strings and numbers always serialises; the fallback would only force a recreate.
        let text = serde_json::to_vec(&fixed).unwrap_or_default();
        short_hash(&text)
    }
}

/// The first 12 hexadecimal digits of the SHA-256 of `bytes`.
pub fn short_hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().take(6).map(|b| format!("{b:02x}")).collect()
}

/// A secret to be put into a file's text in place of `token`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placeholder {
    /// The text that is replaced.
    pub token: String,
    /// What it is replaced with.
    pub secret: SecretRef,
    /// Whether it is made if there is none yet: only where nobody can have it.
    pub make: bool,
    /// How it is written there.
    pub escape: Escape,
}

/// How a secret is written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Escape {
    /// As it is.
    None,
    /// With a backslash before `\` and `:`, as in PostgreSQL's password file.
    Pgpass,
    /// As the inside of a JSON string.
    Json,
}

/// A file that is delivered into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSpec {
    /// The path relative to the directory of delivery.
    pub name: String,
    /// The permission bits.
    pub mode: u32,
    /// The text, with tokens in place of secrets.
    pub text: String,
    /// The secrets that it holds.
    pub secrets: Vec<Placeholder>,
}

impl FileSpec {
    /// A file without secrets, readable by all.
    pub fn plain(name: &str, text: String) -> Self {
        FileSpec {
            name: name.to_owned(),
            mode: 0o644,
            text,
            secrets: Vec::new(),
        }
    }
}

/// A volume or a network as it is wanted: a name and labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedSpec {
    /// The object's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A volume or a network as the engine shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NamedObserved {
    /// The object's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// A network's address of the host; empty where there is none.
    #[serde(default)]
    pub gateway: String,
}

/// One of several networks of ours that have the same name. Docker's check for duplicates is best effort ("not guaranteed
/// to catch all name collisions", Engine API 1.41, `CheckDuplicate`): two calls that cross make two networks, and by that
/// name no container starts or joins any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namesake {
    /// The engine's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The containers that are attached to it, ours and others, by name.
    pub guests: Vec<String>,
}

/// What an engine says a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunState {
    /// Made, never started.
    Created,
    /// Its process runs.
    Running,
    /// Its processes are frozen by the engine.
    Paused,
    /// Its process ended.
    Exited,
    /// Something else (restarting, removing, dead): nothing is decided on it.
    Between,
}

/// What the engine's health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// There is none, or it has not come to a result.
    Pending,
    /// The last probe passed.
    Healthy,
    /// The configured number of probes failed in a row.
    Unhealthy,
}

/// A container as the engine shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerObserved {
    /// The engine's id of it.
    pub id: String,
    /// Its name, without the leading slash.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    pub state: RunState,
    /// The exit code of the process that ended last.
    pub exit_code: i64,
    /// What the engine said when it could not start it; empty if it could.
    pub error: String,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// When the process was started, in seconds since the epoch; 0 if never.
    pub started_at: i64,
    /// When the process ended, in seconds since the epoch; 0 if never.
    pub finished_at: i64,
    /// What the health check says.
    pub health: Health,
    /// Addresses by network name; an empty address while it does not run.
    pub networks: BTreeMap<String, String>,
    /// The DNS names that it was given, by network name; the engine's own are not among them.
    pub aliases: BTreeMap<String, BTreeSet<String>>,
    /// The names of the volumes that it mounts.
    pub volumes: Vec<String>,
    /// CPU and memory, as the engine applies them.
    pub limits: Limits,
}

/// A container that is not ours, reduced to what can be in our way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// The host ports that it publishes now.
    pub host_ports: Vec<u16>,
}

/// What an image says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// The engine's id of it.
    pub id: String,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// The paths that it declares as volumes.
    pub volumes: Vec<String>,
}

/// All of one resource's objects, as the engine shows them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Objects {
    /// Containers that carry the resource's uid.
    pub containers: Vec<ContainerObserved>,
    /// Those of them that carry the label of a member and not its name: somebody renamed or copied them.
    #[serde(default)]
    pub misnamed: Vec<ContainerObserved>,
    /// Who has the resource's volumes mounted; looked up only when something is to be made or started, or once in a while.
    #[serde(default)]
    pub holders: Seen<Vec<Holder>>,
    /// Volumes that carry the resource's uid.
    pub volumes: Vec<NamedObserved>,
    /// The ports of the host that each container has for itself when it runs, by its name.
    #[serde(default)]
    pub published: BTreeMap<String, Vec<u16>>,
    /// The volume that is the resource's claim. It is not among the others.
    #[serde(default)]
    pub claim: Option<NamedObserved>,
    /// Networks that carry the resource's uid, one of each name.
    pub networks: Vec<NamedObserved>,
    /// Those of them that share their name with another one of ours, the oldest first; none on a healthy host.
    pub namesakes: Vec<Namesake>,
    /// The foreign objects in the way of what is wanted; looked up only when something is to be made.
    pub neighbours: Vec<Neighbour>,
    /// Names of foreign volumes, looked up together with the neighbours.
    pub foreign_volumes: Vec<String>,
    /// Names of foreign networks, looked up together with the neighbours.
    pub foreign_networks: Vec<String>,
    /// The images that were asked for, by the reference that the manifest says.
    pub images: BTreeMap<String, Seen<ImageFacts>>,
    /// The file system that holds the volumes.
    pub disk: Seen<Disk>,
}

impl Objects {
    /// What an image says of itself; unknown when it was not asked for.
    pub fn image(&self, reference: &str) -> &Seen<ImageFacts> {
        static NOT_ASKED_FOR: LazyLock<Seen<ImageFacts>> = LazyLock::new(Seen::default);
        self.images.get(reference).unwrap_or(&NOT_ASKED_FOR)
    }

    /// The container of a name.
    pub fn container(&self, name: &str) -> Option<&ContainerObserved> {
        self.containers.iter().find(|container| container.name == name)
    }
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// A directory in it.
    pub path: String,
    /// Bytes that a member may still write.
    pub free_bytes: u64,
    /// All bytes of it.
    pub total_bytes: u64,
}
