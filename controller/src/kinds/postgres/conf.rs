//! Renders `postgresql.conf` and `pg_hba.conf`, and knows which parameters are not the user's to set.
//! Source of the rules: PostgreSQL 17 documentation, chapters 19 (configuration) and 26.4 (hot standby).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::memory::Settings;
use super::spec::Scalar;
use crate::model::container::short_hash;

mod hba;
mod names;
pub mod value;

pub use hba::{named_line, pg_hba_conf, problem as hba_problem};
pub use names::{REFUSED_NAMES, is_parameter_name, refusal};

/// Where the delivered files live in a container.
pub const DIRECTORY: &str = "/etc/reconciler";
/// Where a member's old volume is mounted while its data is copied into a new one.
pub const OLD_DATA: &str = "/mnt/reconciler-old";
/// The role that replicas stream as.
pub const REPLICATOR: &str = "replicator";
/// The superuser that `initdb` makes.
pub const SUPERUSER: &str = "postgres";
/// PostgreSQL's port inside every container.
pub const PORT: u16 = 5432;

/// Parameters that a standby must have at least as large as its primary, with PostgreSQL's defaults
/// (documentation, 26.4.3: hot standby, administrator's overview).
pub const STANDBY_FLOOR: [(&str, i64); 5] = [
    ("max_connections", 100),
    ("max_locks_per_transaction", 64),
    ("max_prepared_transactions", 0),
    ("max_wal_senders", 10),
    ("max_worker_processes", 8),
];

/// Whom a standby follows, and by which slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Following {
    /// The primary's host name on the cluster's network.
    pub host: String,
    /// The standby's name, as the primary shows it.
    pub member: String,
}

/// What `postgresql.conf` says beyond the user's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// `cluster_name`, which shows in `ps` and in the log.
    pub title: String,
    /// Bytes of WAL that a slot may hold back.
    pub max_slot_wal_keep_bytes: u64,
    /// Whom to follow, for a standby.
    pub following: Option<Following>,
    /// Effective values of [`STANDBY_FLOOR`].
    pub floor: BTreeMap<String, i64>,
    /// `synchronous_standby_names`, in synchronous mode.
    pub sync_names: Option<String>,
    /// The physical slots that logical receivers must not get ahead of, where logical slots are copied to standbys.
    pub standby_slots: Option<Vec<String>>,
}

/// The value that a manifest gives to a parameter. PostgreSQL does not tell upper from lower case in names.
pub fn given<'a>(parameters: &'a BTreeMap<String, Scalar>, name: &str) -> Option<&'a str> {
    let found = parameters.iter().find(|(given, _)| given.eq_ignore_ascii_case(name))?;
    Some(found.1.0.as_str())
}

/// What `postgresql.conf` asks for, by name in lower case.
pub fn asked(parameters: &BTreeMap<String, Scalar>, frame: &Frame) -> BTreeMap<String, String> {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |name: &str, value: &str| settings.insert(name.to_ascii_lowercase(), value.to_owned());
    if let Some(names) = &frame.sync_names {
        set("synchronous_standby_names", names);
        // Commits that wait when the names change go on at a replica's next answer, which an idle one gives this often.
        set("wal_receiver_status_interval", "1s");
    }
    if frame.standby_slots.is_some() {
        // What the manifest says of these two counts.
        set("sync_replication_slots", "on");
        set("hot_standby_feedback", "on");
    }
    for (name, value) in parameters {
        set(name, &value::literal(&value.0));
    }
    for (name, value) in &frame.floor {
        set(name, &value.to_string());
    }
    set("listen_addresses", "*");
    set("cluster_name", &frame.title);
    set("hba_file", &format!("{DIRECTORY}/pg_hba.conf"));
    // PostgreSQL counts this one in MB and refuses fractions.
    let keep_mb = frame.max_slot_wal_keep_bytes.div_ceil(1 << 20);
    set("max_slot_wal_keep_size", &format!("{keep_mb}MB"));
    // A promotion request that meets a startup process asleep waits for this long (default 5 s).
    set("wal_retrieve_retry_interval", "100ms");
    if let Some(following) = &frame.following {
        // Only what copies logical slots connects to a database.
        let database = frame.standby_slots.as_ref().map_or("", |_| " dbname=postgres");
        set("primary_conninfo", &format!("{}{database}", conninfo(following)));
        set("primary_slot_name", &slot_name(&following.member));
    }
    if let Some(slots) = &frame.standby_slots {
        set("synchronized_standby_slots", &slots.join(","));
    }
    settings
}

/// Renders `postgresql.conf`. Equal inputs give equal bytes, so that a hash tells whether it was edited.
pub fn postgresql_conf(parameters: &BTreeMap<String, Scalar>, frame: &Frame) -> String {
    let mut text = String::from("# Written by reconciler. An edit here is put back: change the manifest instead.\n");
    for (name, value) in asked(parameters, frame) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} = {}", quote(&value));
    }
    text
}

/// What begins the line that tells what of the file is the manifest's.
const RECORD: &str = "# The manifest's part, for an agent that has lost its record: ";

/// The same with what of it is the manifest's: an agent that has lost its record tells an edit from what runs by it.
pub fn with_record(mut conf: String, settings: &Settings) -> String {
    // Maps and lists of strings always serialise.
    let json = serde_json::to_string(settings).unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = writeln!(conf, "{RECORD}{json}");
    conf
}

/// What of a file is the manifest's, if it tells.
pub fn recorded(conf: &str) -> Option<Settings> {
    let json = conf.lines().find_map(|line| line.strip_prefix(RECORD))?;
    serde_json::from_str(json).ok()
}

/// The same with a setting that changes whenever one of the two files does: a server that shows another value has not read
/// them. The times of files and loads, which have whole seconds, do not tell that of two changes within one.
pub fn with_revision(mut conf: String, hba: &str) -> String {
    let revision = short_hash(format!("{conf}{hba}").as_bytes());
    // Writing to a String cannot fail.
    let _ = writeln!(conf, "reconciler.revision = {}", quote(&revision));
    conf
}

/// The connection string of a base backup. The WAL that it streams beside the copy counts as flushed, but is gone with
/// the copy when that fails: under the standby's own name, commits that wait for the standby would be content with it.
pub fn seed_conninfo(following: &Following) -> String {
    conninfo(&Following {
        host: following.host.clone(),
        member: format!("{}.seed", following.member),
    })
}

/// The connection string of a standby.
pub fn conninfo(following: &Following) -> String {
    format!(
        "host={} port={PORT} user={REPLICATOR} application_name={} passfile={DIRECTORY}/pgpass \
         connect_timeout=5 keepalives_idle=10 keepalives_interval=5 keepalives_count=3",
        following.host, following.member
    )
}

/// The connection string of `pg_rewind`, which reads the primary's files and so is a superuser.
pub fn rewind_source(following: &Following) -> String {
    format!(
        "host={} port={PORT} user={SUPERUSER} dbname=postgres application_name={} passfile={DIRECTORY}/pgpass \
         connect_timeout=5 keepalives_idle=10 keepalives_interval=5 keepalives_count=3",
        following.host, following.member
    )
}

/// The slot of a member: PostgreSQL allows lower-case letters, digits and underscores.
pub fn slot_name(member: &str) -> String {
    member.replace('-', "_")
}

fn quote(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('\'', "''");
    format!("'{escaped}'")
}

#[cfg(test)]
mod tests;
