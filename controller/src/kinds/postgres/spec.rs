//! `PostgresCluster`: what a user writes. The doc comments are the schema's descriptions and the text of
//! `reconciler explain`; the `format` names are checked by the manifest's loader.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod creation;
mod failover;
mod host;
mod replication;
mod storage;

pub use creation::{ExactExtension, Extension, Initdb, LocaleProvider};
pub use failover::{Failover, FailoverMode};
pub use host::{Logging, Networks, subnet_problem};
pub use replication::{Durability, Replication, ReplicationMode};
pub use storage::{OnScaleDown, Quarantine, ReseedMethod, Storage};

/// A PostgreSQL primary and its streaming replicas, each in a container of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostgresCluster {
    /// The image: `postgres:15` to `postgres:19` or `-alpine`, or one that keeps their contract.
    #[schemars(extend("format" = "image", "examples" = ["postgres:17"]))]
    pub image: String,
    /// When to pull the image.
    #[serde(default)]
    pub pull_policy: PullPolicy,
    /// How many streaming replicas the primary has.
    #[serde(default)]
    #[schemars(range(min = 0, max = 32))]
    pub replicas: u32,
    /// The name of the first member, the one that starts as the primary. Names stay, roles move.
    #[serde(default = "master")]
    #[schemars(extend("format" = "dns-label"))]
    pub primary_name: String,
    /// The member that shall be the primary. Editing it is a planned switchover. Without it, `reconciler promote` decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["replica-1"]))]
    pub primary: Option<String>,
    /// Where the members are reached from the host.
    #[serde(default)]
    pub ports: Ports,
    /// Parameters of postgresql.conf. Those that replication and identity rest on are refused by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, Scalar>,
    /// Lines of pg_hba.conf, after those that replication and the agent need and before the default for password logins.
    #[serde(default)]
    #[schemars(extend("examples" = [["host all all 10.0.0.0/8 scram-sha-256"]]))]
    pub hba: Vec<String>,
    /// Databases that exist; one that leaves the list is not dropped.
    #[serde(default)]
    pub databases: Vec<Database>,
    /// Roles that exist with these attributes; one that leaves the list is not dropped.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// How the data of a new cluster is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initdb: Option<Initdb>,
    /// A folder with scripts (`*.sh`, `*.sql`, `*.sql.gz`), relative to the manifest, that run once in a new cluster, in the
    /// order of their names, before anybody can reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["init"]))]
    pub init_scripts: Option<String>,
    /// The password of the superuser `postgres`; generated when it is not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superuser: Option<PasswordHolder>,
    /// The data volumes.
    #[serde(default)]
    pub storage: Storage,
    /// What each member may use of the host.
    #[serde(default)]
    pub resources: Resources,
    /// How long a member may take for its fast shutdown before it is killed.
    #[serde(default = "stop_grace")]
    #[schemars(extend("format" = "duration", "examples" = ["60s"]))]
    pub stop_grace_period: String,
    /// How replicas follow.
    #[serde(default)]
    pub replication: Replication,
    /// What happens when the primary cannot be brought back where it is.
    #[serde(default)]
    pub failover: Failover,
    /// How changes that need a restart reach the members.
    #[serde(default)]
    pub update_strategy: UpdateStrategy,
    /// When a member whose server no longer answers is restarted.
    #[serde(default)]
    pub health: HealthCheck,
    /// The networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Networks>,
    /// Where the members' output goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Labels for containers, volumes and the network, beside our own.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// When to pull an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// Only when the engine does not have it.
    #[default]
    IfNotPresent,
    /// Before a change of the manifest replaces a container. One that was lost is made again from the image that is there:
    /// a registry that is down must not keep a database down.
    Always,
    /// Never: a missing image is an obstacle.
    Never,
}

/// Where the members are reached from the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ports {
    /// The host's address that the ports are bound to.
    #[serde(default = "loopback")]
    #[schemars(extend("format" = "ip"))]
    pub address: String,
    /// The first member's port; each further member has the next one. Without it nothing is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65500))]
    pub base: Option<u16>,
    /// Ports of single members, where they differ from the sequence.
    #[serde(default)]
    #[schemars(inner(range(min = 1, max = 65535)))]
    pub members: BTreeMap<String, u16>,
}

impl Default for Ports {
    fn default() -> Self {
        Ports {
            address: loopback(),
            base: None,
            members: BTreeMap::new(),
        }
    }
}

/// A parameter's value. Any scalar is taken as it is written: `on`, `256MB`, `100`, `0.9`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Scalar(#[schemars(extend("x-scalar" = true))] pub String);

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Database {
    /// Its name.
    #[schemars(extend("format" = "identifier"))]
    pub name: String,
    /// The role that owns it; `postgres` when not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "identifier"))]
    pub owner: Option<String>,
    /// Extensions that are created in it; one that leaves the list is not dropped.
    #[serde(default)]
    pub extensions: Vec<Extension>,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "PostgreSQL's own list of attributes")]
pub struct Role {
    /// Its name.
    #[schemars(extend("format" = "identifier"))]
    pub name: String,
    /// Whether it may log in.
    #[serde(default = "yes")]
    pub login: bool,
    /// Whether it bypasses all permission checks.
    #[serde(default)]
    pub superuser: bool,
    /// Whether it may create databases.
    #[serde(default)]
    pub createdb: bool,
    /// Whether it may create roles.
    #[serde(default)]
    pub createrole: bool,
    /// Whether it may stream replication.
    #[serde(default)]
    pub replication: bool,
    /// How many connections it may have at once; -1 is unlimited.
    #[serde(default = "unlimited")]
    #[schemars(range(min = -1))]
    pub connection_limit: i32,
    /// Roles that it is a member of.
    #[serde(default)]
    pub member_of: Vec<String>,
    /// Where its password comes from; generated when it may log in and nothing is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_from: Option<PasswordFrom>,
}

/// A role whose password can be named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasswordHolder {
    /// Where the password comes from.
    pub password_from: PasswordFrom,
}

/// Where a password comes from: exactly one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasswordFrom {
    /// A file on the host whose first line is the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// An environment variable of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
}

/// What each member may use of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// CPUs, such as `2`, `1.5` or `500m`; changed without restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "cpus", "x-scalar" = true))]
    pub cpu: Option<String>,
    /// Memory, such as `2GiB`; changed without restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "bytes", "x-scalar" = true))]
    pub memory: Option<String>,
    /// Shared memory for parallel queries (`/dev/shm`).
    #[serde(default = "shm")]
    #[schemars(extend("format" = "bytes", "x-scalar" = true))]
    pub shm: String,
}

impl Default for Resources {
    fn default() -> Self {
        Resources {
            cpu: None,
            memory: None,
            shm: shm(),
        }
    }
}

/// How changes that need a restart reach the members. Replicas always come first, one at a time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateStrategy {
    /// What happens to the primary.
    #[serde(default)]
    pub primary: PrimaryUpdate,
}

/// What happens to the primary when it has to restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum PrimaryUpdate {
    /// It restarts where it is.
    #[default]
    InPlace,
    /// A replica that already has the change takes over first.
    Switchover,
}

/// When a member whose server no longer answers is restarted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// Time between the engine's probes.
    #[serde(default = "probe_interval")]
    #[schemars(extend("format" = "duration"))]
    pub interval: String,
    /// Failures in a row until a member counts as unhealthy. It is restarted when SQL gets no answer either.
    #[serde(default = "probe_retries")]
    #[schemars(range(min = 1, max = 100))]
    pub retries: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        HealthCheck {
            interval: probe_interval(),
            retries: probe_retries(),
        }
    }
}

fn master() -> String {
    "master".to_owned()
}

fn loopback() -> String {
    // A database that listens to the world because nobody said otherwise is how data gets stolen.
    "127.0.0.1".to_owned()
}

fn stop_grace() -> String {
    // The engine's own 10 s and then SIGKILL would turn a long shutdown checkpoint into a crash.
    "60s".to_owned()
}

fn shm() -> String {
    // The engine's 64 MiB is too small for parallel hash joins.
    "256MiB".to_owned()
}

fn probe_interval() -> String {
    "10s".to_owned()
}

fn probe_retries() -> u32 {
    3
}

fn yes() -> bool {
    true
}

fn unlimited() -> i32 {
    -1
}
