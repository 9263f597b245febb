//! Renders `postgresql.conf` and `pg_hba.conf`, and knows which parameters are not the user's to set.
//! Source of the rules: PostgreSQL 17 documentation, chapters 19 (configuration) and 26.4 (hot standby).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::spec::Scalar;
use crate::model::container::short_hash;

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

/// Parameters that replication or identity rest on, and why they are not the manifest's to set.
const REFUSED: [(&str, &str); 34] = [
    ("archive_cleanup_command", "recovery is steered by the agent"),
    ("cluster_name", "the agent names every member by it"),
    ("config_file", "the agent delivers the configuration"),
    ("data_directory", "the data lives in the member's own volume"),
    ("external_pid_file", "the container's process is the server"),
    ("hba_file", "write the lines under `spec.hba`"),
    ("ident_file", "the agent delivers the configuration"),
    (
        "listen_addresses",
        "members must reach each other; bind the host's side with `spec.ports.address`",
    ),
    ("max_slot_wal_keep_size", "set `spec.replication.maxSlotWalKeepSize`"),
    (
        "port",
        "inside a container it is always 5432; set the host's side with `spec.ports`",
    ),
    ("primary_conninfo", "it follows the primary"),
    ("primary_slot_name", "every replica has a slot of its own"),
    ("promote_trigger_file", "`reconciler promote` promotes"),
    (
        "reconciler.revision",
        "the agent tells by it which files a server has read",
    ),
    ("recovery_end_command", "recovery is steered by the agent"),
    ("recovery_min_apply_delay", "a delayed replica could not take over"),
    ("recovery_target", "recovery is steered by the agent"),
    ("recovery_target_action", "recovery is steered by the agent"),
    ("recovery_target_inclusive", "recovery is steered by the agent"),
    ("recovery_target_lsn", "recovery is steered by the agent"),
    ("recovery_target_name", "recovery is steered by the agent"),
    ("recovery_target_time", "recovery is steered by the agent"),
    (
        "recovery_target_timeline",
        "replicas must follow their primary onto its new timeline",
    ),
    ("recovery_target_xid", "recovery is steered by the agent"),
    ("restore_command", "recovery is steered by the agent"),
    (
        "restart_after_crash",
        "a server that stays down after a crash could not heal",
    ),
    (
        "ssl_passphrase_command",
        "it runs a program before the server can be watched",
    ),
    ("stats_temp_directory", "PostgreSQL 15 dropped it"),
    ("synchronous_standby_names", "the agent keeps the names"),
    ("transaction_read_only", "a primary must accept writes"),
    ("default_transaction_read_only", "a primary must accept writes"),
    (
        "unix_socket_directories",
        "the agent and the health check use the default socket",
    ),
    ("wal_retrieve_retry_interval", "a long one delays promotions by seconds"),
    ("zero_damaged_pages", "it destroys data silently"),
];

/// Why `name` with `value` cannot be set, if it cannot.
pub fn refusal(name: &str, value: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == lower) {
        return Some((*why).to_owned());
    }
    let value = value.trim().trim_matches('\'').to_ascii_lowercase();
    match (lower.as_str(), value.as_str()) {
        ("wal_level", "minimal") => Some("replicas need `replica` or `logical`".to_owned()),
        ("hot_standby", "off" | "false" | "no" | "0") => {
            Some("a replica that answers no SQL cannot be watched".to_owned())
        }
        ("full_page_writes" | "fsync", "off" | "false" | "no" | "0") => {
            Some("a crash would then corrupt the data".to_owned())
        }
        _ => None,
    }
}

/// Whether `name` is a well-formed parameter name, an extension's `prefix.name` included.
pub fn is_parameter_name(name: &str) -> bool {
    let word = |w: &str| {
        w.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && w.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
    };
    let mut parts = name.split('.');
    let first = parts.next().is_some_and(word);
    let second = parts.next().is_none_or(word);
    first && second && parts.next().is_none()
}

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
}

/// Renders `postgresql.conf`. Equal inputs give equal bytes, so that a hash tells whether it was edited.
pub fn postgresql_conf(parameters: &BTreeMap<String, Scalar>, frame: &Frame) -> String {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |name: &str, value: &str| settings.insert(name.to_ascii_lowercase(), quote(value));
    if let Some(names) = &frame.sync_names {
        set("synchronous_standby_names", names);
        // Commits that wait when the names change go on at a replica's next answer, which an idle one gives this often.
        set("wal_receiver_status_interval", "1s");
    }
    for (name, value) in parameters {
        set(name, value.0.trim().trim_matches('\''));
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
        set("primary_conninfo", &conninfo(following));
        set("primary_slot_name", &slot_name(&following.member));
    }
    let mut text = String::from("# Written by reconciler. An edit here is put back: change the manifest instead.\n");
    for (name, value) in settings {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} = {value}");
    }
    text
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

/// Renders `pg_hba.conf`. The first line that matches decides, so ours come first.
pub fn pg_hba_conf(lines: &[String]) -> String {
    let mut text = format!(
        "# Written by reconciler. An edit here is put back: change the manifest instead.\n\
         # The agent and the health check, through the socket inside the container:\n\
         local all {SUPERUSER} peer\n\
         # Replicas and the agent, from the cluster's own network:\n\
         host replication {REPLICATOR} samenet scram-sha-256\n\
         host all {SUPERUSER} samenet scram-sha-256\n"
    );
    if !lines.is_empty() {
        text.push_str("# From the manifest:\n");
    }
    for line in lines {
        text.push_str(line.trim());
        text.push('\n');
    }
    text.push_str("# Everybody else, with a password:\n");
    text.push_str("local all all scram-sha-256\n");
    text.push_str("host all all all scram-sha-256\n");
    text
}

/// Checks one line of pg_hba.conf as far as it can be without a server (documentation, 21.1).
pub fn hba_problem(line: &str) -> Option<String> {
    const METHODS: [&str; 12] = [
        "trust",
        "reject",
        "scram-sha-256",
        "md5",
        "password",
        "gss",
        "sspi",
        "ident",
        "peer",
        "ldap",
        "radius",
        "cert",
    ];
    let fields: Vec<&str> = line.split_whitespace().collect();
    let kind = fields.first()?;
    if line.contains(['\n', '\r']) {
        return Some("one entry is one line".to_owned());
    }
    let method_at: &[usize] = match *kind {
        "local" => &[3],
        "host" | "hostssl" | "hostnossl" | "hostgssenc" | "hostnogssenc" => &[4, 5],
        other => {
            return Some(format!(
                "`{other}` is no record type; it is local, host, hostssl, hostnossl, hostgssenc or hostnogssenc"
            ));
        }
    };
    let mut found = method_at.iter().filter_map(|at| fields.get(*at));
    if found.clone().any(|m| METHODS.contains(m) || *m == "pam") {
        return None;
    }
    match found.next_back() {
        None if *kind == "local" => Some("expected: local DATABASE USER METHOD".to_owned()),
        None => Some(format!("expected: {kind} DATABASE USER ADDRESS METHOD")),
        Some(method) => Some(format!(
            "`{method}` is no authentication method, such as scram-sha-256, cert or reject"
        )),
    }
}

fn quote(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('\'', "''");
    format!("'{escaped}'")
}

#[cfg(test)]
mod tests;
