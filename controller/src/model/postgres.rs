//! What is seen of a PostgreSQL server, and the statements that are sent to one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::lsn::Lsn;
use super::secret::SecretRef;
use super::wal::{Mark, Place};

mod receiver;
mod slot;
mod statement;

pub use receiver::Receiver;
pub use slot::LogicalSlot;
pub use statement::{RoleChange, SqlOp};

/// What came of asking a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Server {
    /// It answered.
    Up(Box<PgFacts>),
    /// It did not; the text is in words that a user reads.
    Down(Down, String),
}

/// What is said of a server whose port nobody listens at.
pub const PORT_CLOSED: &str = "its port is not open yet";

/// Why a server did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Down {
    /// There is no process to ask.
    NotRunning,
    /// It said that it is starting up or recovering (SQLSTATE 57P03), or its port is not open yet.
    StartingUp,
    /// It said that it is shutting down (SQLSTATE 57P01, 57P03).
    ShuttingDown,
    /// It does not accept the superuser's password (SQLSTATE 28P01, 28000).
    PasswordRejected,
    /// Nobody here knows the superuser's password any more.
    PasswordUnknown,
    /// It answers whoever logs in or asks with an error. It is alive, and may serve others.
    Errors,
    /// It did not answer in time, or broke off.
    NoAnswer,
}

impl Server {
    /// What it answered.
    pub fn facts(&self) -> Option<&PgFacts> {
        match self {
            Server::Up(facts) => Some(facts),
            Server::Down(..) => None,
        }
    }
}

/// What is asked of a server beyond its own state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PgQuestion {
    /// The directory of the delivered files, and their names.
    pub directory: String,
    /// The delivered files that are hashed.
    pub files: Vec<String>,
    /// Passwords that roles shall have, to be held against their verifiers.
    pub passwords: BTreeMap<String, SecretRef>,
    /// Databases to look into for extensions; each costs a connection, so not in every pass.
    pub look_into: Vec<String>,
    /// Whether to measure the data and the log; it looks at every file, so not in every pass.
    pub sizes: bool,
    /// A place that its log is known to have come to, to be held against what it has there now.
    #[serde(default)]
    pub mark: Option<Mark>,
    /// Places of which is asked whether a record of its log ends there.
    #[serde(default)]
    pub places: Vec<Place>,
}

/// A server that answers SQL.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PgFacts {
    /// The identity that `initdb` gave to the cluster; copies share it.
    pub system_identifier: u64,
    /// Whether it is a standby (in recovery) now.
    pub in_recovery: bool,
    /// The timeline that it writes or follows.
    pub timeline: u32,
    /// Whether a primary's control file still names the timeline before its promotion, for want of a checkpoint since.
    pub checkpoint_due: bool,
    /// A primary's insert position; a standby's replay position.
    pub lsn: Lsn,
    /// A standby's received position; nothing while it still reads its own log after a start.
    pub receive_lsn: Lsn,
    /// A primary's position on its own disk.
    pub flush_lsn: Lsn,
    /// That position with its contents' hash.
    #[serde(default)]
    pub mark: Option<Mark>,
    /// The place of the mark that was asked for with what its log has there; `None` where it no longer has that part.
    #[serde(default)]
    pub found_mark: Option<Mark>,
    /// Of the places that were asked for, whether a record of its log ends there; by the place's words.
    #[serde(default)]
    pub boundaries: BTreeMap<String, bool>,
    /// What a standby has to replay before its data are whole; the end of a record that it has had.
    #[serde(default)]
    pub min_recovery_lsn: Lsn,
    /// What its commits wait for, as it runs: `synchronous_standby_names`.
    pub sync_names: String,
    /// Whether an administrator paused the replay.
    pub replay_paused: bool,
    /// Whether the WAL receiver streams now.
    pub receiver_streaming: bool,
    /// Seconds since the last replayed commit, 0 when all that was received is replayed.
    pub replay_lag_secs: i64,
    /// Full server version, `server_version_num`.
    pub version: u32,
    /// The SHA-256 of each delivered file, as the server reads it now; a missing file is missing here.
    pub file_hashes: BTreeMap<String, String>,
    /// The delivered files with a mark that does not fit the text before it: somebody else has written in them.
    pub files_edited: BTreeSet<String>,
    /// Whether a delivered file changed after the server last loaded its configuration.
    pub reload_due: bool,
    /// Parameters that the server says wait for a restart. It goes on saying so after an edit was taken back.
    pub pending_restart: Vec<String>,
    /// The parameters that our file sets, and those that wait for a restart, by name in lower case.
    pub running: BTreeMap<String, Running>,
    /// Parameters set by `ALTER SYSTEM`, with their values.
    pub auto_conf: BTreeMap<String, String>,
    /// The running values of the parameters that a standby must have at least as large as its primary.
    pub standby_floor: BTreeMap<String, i64>,
    /// The values that those have where nobody sets them; only when sizes were asked for.
    pub floor_defaults: BTreeMap<String, i64>,
    /// Whether the last reload of `pg_hba.conf` or the configuration found errors, in words.
    pub conf_errors: Vec<String>,
    /// What the server remarks on in lines that it takes, in words.
    pub conf_remarks: Vec<String>,
    /// What the entry point has set aside of what `ALTER SYSTEM` had set, because no server started with it.
    pub set_aside: Vec<String>,
    /// How many replication slots, logical ones among them, and prepared transactions it has.
    pub holds: (u64, u64, u64),
    /// A primary's standbys, by `application_name`.
    pub standbys: BTreeMap<String, StandbyFacts>,
    /// Who receives its log, standbys and others.
    pub receivers: Vec<Receiver>,
    /// Its physical replication slots, by name.
    pub slots: BTreeMap<String, SlotFacts>,
    /// Its logical replication slots, by name.
    pub logical: BTreeMap<String, LogicalSlot>,
    /// The physical slots that its logical receivers must not get ahead of, as it runs: `synchronized_standby_slots`.
    pub standby_slots: Vec<String>,
    /// Base backups in progress: bytes sent and bytes in total (0 while it is not known).
    pub base_backups: BTreeMap<String, (u64, u64)>,
    /// Its roles, by name.
    pub roles: BTreeMap<String, RoleFacts>,
    /// Where its tablespaces lie, by name.
    pub tablespaces: BTreeMap<String, String>,
    /// Its databases and their owners.
    pub databases: BTreeMap<String, String>,
    /// What is wrong with the database `postgres`, which tools connect to that are told of no other.
    #[serde(default)]
    pub maintenance: Maintenance,
    /// Extensions by database; only for databases that were looked into in this pass.
    pub extensions: BTreeMap<String, BTreeMap<String, ExtensionFacts>>,
    /// The history of its timeline: for each ancestor, where the next one branched off.
    pub history: Vec<(u32, Lsn)>,
    /// Whether `pg_rewind` can work on its data: it has checksums or logs hint bits, and logs full pages.
    pub can_rewind: bool,
    /// How much it holds; only when that was asked for.
    pub sizes: Option<Sizes>,
    /// How its data was made; only when sizes were asked for.
    pub made: Option<Made>,
}

/// What is wrong with the database `postgres`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Maintenance {
    /// Nothing.
    #[default]
    Fine,
    /// Somebody dropped it.
    Missing,
    /// It takes no connections.
    Closed,
}

/// How data was made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Made {
    /// The character set.
    pub encoding: String,
    /// The locale of the C library.
    pub locale: String,
    /// `libc`, `icu` or `builtin`.
    pub provider: String,
    /// The locale of the provider; empty for `libc`.
    pub icu_locale: String,
    /// Whether blocks have checksums.
    pub checksums: bool,
}

/// An extension in a database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExtensionFacts {
    /// Its version.
    pub version: String,
    /// The schema that it is in.
    pub schema: String,
    /// Whether it can be moved to another one.
    pub is_relocatable: bool,
}

/// How a parameter runs (`pg_settings`), and what our file says of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Running {
    /// Its value in our file, as the server reads it; `None` where it does not stand there.
    pub file: Option<String>,
    /// Its value, in `unit`.
    pub setting: String,
    /// The unit, such as `8kB`; empty without one.
    pub unit: String,
    /// `bool`, `enum`, `integer`, `real` or `string`.
    pub vartype: String,
    /// When it can change: `postmaster` for at a start only.
    pub context: String,
    /// Where its value is from, such as `configuration file` or `client`.
    pub source: String,
    /// Whether that file is ours.
    pub is_ours: bool,
    /// Whether the server says that it waits for a restart.
    pub is_pending: bool,
}

/// How much a server holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sizes {
    /// Bytes of all databases.
    pub data_bytes: u64,
    /// Bytes of the write-ahead log that it keeps.
    pub wal_bytes: u64,
}

impl PgFacts {
    /// The end of all that it has, replayed or only received, with its timeline: what it would go on from as a primary.
    pub fn reach(&self) -> (u32, Lsn) {
        (self.timeline, self.lsn.max(self.receive_lsn))
    }
}

/// What a primary says of one standby (`pg_stat_replication`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StandbyFacts {
    /// `streaming`, `catchup`, `startup`, `backup`.
    pub state: String,
    /// What it replayed.
    pub replay_lsn: Lsn,
    /// What it has on its disk.
    #[serde(default)]
    pub flush_lsn: Lsn,
    /// `async`, `sync`, `quorum`, `potential`.
    pub sync_state: String,
}

/// What a server says of one physical slot (`pg_replication_slots`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SlotFacts {
    /// Whether a receiver uses it now.
    pub active: bool,
    /// `reserved`, `extended`, `unreserved`, `lost`; empty when nothing is reserved yet.
    pub wal_status: String,
    /// Bytes of WAL between what it still needs and the end.
    #[serde(default)]
    pub held_bytes: u64,
    /// Bytes that may still be written until the WAL that it needs is given up; `None` without a limit.
    #[serde(default)]
    pub safe_bytes: Option<i64>,
    /// Why it was given up, where the server says so (PostgreSQL 17 and later); else empty.
    #[serde(default)]
    pub invalidation: String,
}

impl SlotFacts {
    /// Whether it was given up because nobody used it, and not because too much was written: no WAL need be gone.
    pub fn is_idle(&self) -> bool {
        self.invalidation == "idle_timeout"
    }
}

/// A role as `pg_authid` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RoleFacts {
    /// Its attributes.
    pub attributes: RoleAttributes,
    /// Whether its verifier fits the wanted password; `None` when none is wanted or known.
    pub password_fits: Option<bool>,
    /// The roles that it is a member of.
    pub member_of: Vec<String>,
    /// Whether its password was valid until a time that is past.
    #[serde(default)]
    pub has_expired: bool,
}

/// The attributes of a role that are kept as the manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "PostgreSQL's own list of attributes")]
pub struct RoleAttributes {
    /// `LOGIN`.
    pub login: bool,
    /// `SUPERUSER`.
    pub superuser: bool,
    /// `CREATEDB`.
    pub createdb: bool,
    /// `CREATEROLE`.
    pub createrole: bool,
    /// `REPLICATION`.
    pub replication: bool,
    /// `CONNECTION LIMIT`; -1 is unlimited.
    pub connection_limit: i32,
}

/// The state that `global/pg_control` of a stopped server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// The identity that `initdb` gave to the cluster.
    pub system_identifier: u64,
    /// `DBState` of `pg_control.h`.
    pub state: ControlState,
    /// Where the last checkpoint record starts.
    pub checkpoint: Lsn,
    /// The timeline of the last checkpoint; the old one until the first checkpoint after a promotion.
    pub timeline: u32,
    /// What a standby has replayed at least.
    pub min_recovery: Lsn,
    /// When it was written last, in seconds since the epoch.
    pub written_at: i64,
    /// How large the files of the log are.
    pub segment_bytes: u64,
}

/// `DBState` of PostgreSQL's `pg_control.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlState {
    /// Starting up.
    Startup,
    /// A primary that was stopped cleanly.
    ShutDown,
    /// A standby that was stopped cleanly.
    ShutDownInRecovery,
    /// Was stopping when it ended.
    ShuttingDown,
    /// Was recovering from a crash when it ended.
    InCrashRecovery,
    /// Was a standby when it ended.
    InArchiveRecovery,
    /// Was a primary when it ended.
    InProduction,
}

impl ControlState {
    /// Whether the data has not been opened for writing since it became a standby's. PostgreSQL notes that it is in
    /// production before the first session may write (`StartupXLOG` in `xlog.c`).
    pub fn is_standby(self) -> bool {
        matches!(self, ControlState::ShutDownInRecovery | ControlState::InArchiveRecovery)
    }
}
