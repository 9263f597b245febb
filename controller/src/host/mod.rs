//! Ports to the outside. The only rooms that name the Docker, PostgreSQL and file crates; reads and writes are separate
//! traits, so that the compiler keeps observing from writing. No decision lives here.

pub mod agents;
pub mod docker;
pub mod grafana;
pub mod http;
pub mod postgres;
pub mod real;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use serde_json::Value;

pub use self::agents::{AgentRead, Restraint};
use crate::model::container::Objects;
use crate::model::grafana::{GrafanaOp, GrafanaQuestion, GrafanaSeen, GrafanaTarget};
use crate::model::holder::Holder;
use crate::model::plan::{EngineOp, SqlTarget};
use crate::model::postgres::{PgQuestion, Server, SqlOp};
use crate::model::process::Vitals;
use crate::model::wal::{LogQuestion, Proof};
use crate::model::{SecretRef, Seen};

/// What to list of the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// The uid whose objects are listed.
    pub uid: String,
    /// The images whose facts are wanted.
    pub images: Vec<String>,
    /// Whether foreign objects are listed too. It costs a full list, so only when something is to be made.
    pub neighbours: bool,
    /// Whether somebody waits for the answer while containers stop and start: then what was seen within the last second and
    /// is not listed otherwise now need not be looked at anew.
    pub brisk: bool,
}

/// Looks at the engine.
#[expect(async_fn_in_trait, reason = "one thread: futures need not be Send")]
pub trait EngineRead {
    /// The objects of one resource. An error means that nothing is known.
    async fn objects(&self, ask: &Ask) -> Result<Objects, HostError>;
    /// The uids, kinds and names of all resources that have objects on this engine, as their labels say.
    async fn owners(&self) -> Result<Vec<Owner>, HostError>;
    /// The containers whose processes may touch volumes, by name or through a directory of the host, whoever's they are.
    async fn holders(&self, volumes: &[String]) -> Seen<Vec<Holder>>;
    /// The labels of a volume; `None` if there is none of that name. An error means that nothing is known.
    async fn volume_labels(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, HostError>;
    /// A file of a container, running or not; at most 1 MiB.
    async fn read_file(&self, container: &str, path: &str) -> Seen<Vec<u8>>;
    /// A part of a file of a container, running or not; less where the file ends before. Without the engine's help it costs
    /// no more than that part.
    async fn read_part(&self, container: &str, path: &str, offset: u64, length: u64) -> Seen<Vec<u8>> {
        let _ = (offset, length);
        Seen::Unknown(format!("{path} of {container} cannot be seen"))
    }

    /// What the write-ahead log of a PostgreSQL that does not run says of a mark. Absent when there is no such log.
    async fn log(&self, container: &str, question: &LogQuestion) -> Seen<Proof> {
        let read = async |path: &str, offset, length| {
            let path = format!("{}/{path}", question.pgdata);
            self.read_part(container, &path, offset, length).await
        };
        postgres::wal::prove(question, read).await
    }

    /// All files below a directory of a container, running or not, by their paths below it; at most 8 MiB.
    async fn read_files(&self, container: &str, directory: &str) -> Seen<BTreeMap<String, Vec<u8>>> {
        Seen::Unknown(format!("{directory} of {container} cannot be seen"))
    }

    /// The symbolic links in a directory of a container, running or not, with what they lead to.
    async fn links(&self, container: &str, directory: &str) -> Seen<BTreeMap<String, String>> {
        Seen::Unknown(format!("{directory} of {container} cannot be seen"))
    }

    /// The last lines of a container's log.
    async fn log_tail(&self, container: &str, lines: u32) -> Seen<String>;
    /// What the processes of a running container are doing. Costs more than a look at the container.
    async fn process(&self, container: &str) -> Seen<Vitals> {
        Seen::Unknown(format!("the processes of {container} cannot be seen"))
    }

    /// The bytes that volumes take, as far as that can be told.
    async fn volume_bytes(&self, volumes: &[String]) -> BTreeMap<String, u64> {
        let _ = volumes;
        BTreeMap::new()
    }
}

/// Changes the engine.
#[expect(async_fn_in_trait, reason = "one thread: futures need not be Send")]
pub trait EngineWrite {
    /// Carries out one call. Idempotent where the engine lets it be: what is already so is no error.
    async fn engine(&self, op: &EngineOp) -> Result<(), HostError>;
}

/// Looks at a database.
#[expect(async_fn_in_trait, reason = "one thread: futures need not be Send")]
pub trait PostgresRead {
    /// Asks one server. Never takes longer than its deadline.
    async fn server(&self, target: &SqlTarget, question: &PgQuestion) -> Server;
}

/// Changes a database.
#[expect(async_fn_in_trait, reason = "one thread: futures need not be Send")]
pub trait PostgresWrite {
    /// Carries out one statement.
    async fn sql(&self, target: &SqlTarget, op: &SqlOp) -> Result<(), HostError>;
}

/// Looks at what runs in our own containers by HTTP.
#[expect(async_fn_in_trait, reason = "one thread: futures need not be Send")]
pub trait WebRead {
    /// The JSON of a path at an address and port. Absent when the server says that there is none; never takes longer than
    /// its deadline.
    async fn get(&self, authority: &str, path: &str) -> Seen<Value> {
        Seen::Unknown(format!("{authority}{path} cannot be seen"))
    }
}

/// The addresses at which the agent itself is asked for its metrics.
#[expect(async_fn_in_trait, reason = "one thread: futures need not be Send")]
pub trait Doors {
    /// Those that are open; the one of the command line first.
    fn open_doors(&self) -> Vec<SocketAddr> {
        Vec::new()
    }

    /// Opens one more.
    async fn open_door(&self, address: SocketAddr) -> Result<(), HostError> {
        let why = "nobody listens here";
        Err(HostError::new(
            FailureKind::Invalid,
            format!("listen at {address}"),
            why,
        ))
    }
}

/// Looks at a Grafana.
#[expect(async_fn_in_trait, reason = "one thread: futures need not be Send")]
pub trait GrafanaRead {
    /// Looks at what is asked for. What cannot be seen is unknown, and says why.
    async fn grafana(&self, target: &GrafanaTarget, question: &GrafanaQuestion) -> GrafanaSeen {
        let _ = (target, question);
        GrafanaSeen::default()
    }
}

/// Changes a Grafana.
#[expect(async_fn_in_trait, reason = "one thread: futures need not be Send")]
pub trait GrafanaWrite {
    /// Carries out one call. [`FailureKind::Conflict`] when somebody else was faster.
    async fn change_grafana(&self, target: &GrafanaTarget, op: &GrafanaOp) -> Result<(), HostError> {
        let why = format!("there is no Grafana at {}", target.url);
        Err(HostError::new(FailureKind::Unreachable, op.to_string(), why))
    }
}

/// Fetches the bytes of secrets at the moment of use.
pub trait Secrets {
    /// The secret's bytes; an error if it does not exist. Using one makes none.
    fn reveal(&self, secret: &SecretRef) -> Result<String, HostError>;
    /// The secret's bytes, if it exists; makes none.
    fn peek(&self, secret: &SecretRef) -> Result<Option<String>, HostError>;
    /// The secret's bytes; a generated one is made and kept if there is none. Only for what does not exist yet, such as a role
    /// that is being created: a second password would lock those out who have the first.
    fn make(&self, secret: &SecretRef) -> Result<String, HostError> {
        self.reveal(secret)
    }

    /// Keeps a generated secret that was found again.
    fn keep(&self, secret: &SecretRef, value: &str) -> Result<(), HostError> {
        let _ = value;
        Err(HostError::new(
            FailureKind::Invalid,
            format!("keep {secret}"),
            "it is only read here",
        ))
    }
}

/// All that observing needs.
pub trait Reads: EngineRead + PostgresRead + WebRead + GrafanaRead + AgentRead + Doors {}
impl<T: EngineRead + PostgresRead + WebRead + GrafanaRead + AgentRead + Doors> Reads for T {}

/// All that executing needs.
pub trait Writes: EngineWrite + PostgresWrite + GrafanaWrite + Doors {}
impl<T: EngineWrite + PostgresWrite + GrafanaWrite + Doors> Writes for T {}

/// A resource as the labels on its objects name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// A call that failed: what was tried, and why it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostError {
    /// What was tried, on what.
    pub what: String,
    /// Why it failed, in the other side's words.
    pub why: String,
    /// What kind of failure it is, where that changes what is done next.
    pub kind: FailureKind,
}

/// Kinds of failure that change what is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The other side could not be reached: nothing is known of the outcome.
    Unreachable,
    /// The other side refused: a name or a port is taken.
    Conflict,
    /// What was acted on is not there.
    NotFound,
    /// The input is wrong, and will be wrong again.
    Invalid,
    /// Anything else.
    Other,
}

impl HostError {
    /// A failure of a kind.
    pub fn new(kind: FailureKind, what: impl Into<String>, why: impl Into<String>) -> Self {
        HostError {
            what: what.into(),
            why: why.into(),
            kind,
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.what, self.why)
    }
}

impl std::error::Error for HostError {}
