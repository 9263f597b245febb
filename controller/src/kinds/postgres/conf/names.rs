//! Names of parameters, and those that are not the user's to set.

use super::value;

/// Parameters that replication or identity rest on, and why they are not the manifest's to set.
const REFUSED: [(&str, &str); 35] = [
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
    (
        "synchronized_standby_slots",
        "the agent keeps the names of the replicas that run",
    ),
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

/// The names of the parameters that are not the manifest's to set, whatever the value.
pub const REFUSED_NAMES: [&str; REFUSED.len()] = {
    let mut names = [""; REFUSED.len()];
    let mut at = 0;
    while at < REFUSED.len() {
        names[at] = REFUSED[at].0;
        at += 1;
    }
    names
};

/// Why `name` with `value` cannot be set, if it cannot.
pub fn refusal(name: &str, value: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == lower) {
        return Some((*why).to_owned());
    }
    let value = value::literal(value);
    let is_off = value::parse_bool(&value) == Some(false);
    let why = match lower.as_str() {
        "wal_level" if value.eq_ignore_ascii_case("minimal") => "replicas need `replica` or `logical`",
        "hot_standby" if is_off => "a replica that answers no SQL cannot be watched",
        "full_page_writes" | "fsync" if is_off => "a crash would then corrupt the data",
        _ => return None,
    };
    Some(why.to_owned())
}

/// Whether a configuration file may hold a parameter of this name, an extension's `prefix.name` included (PostgreSQL's
/// `guc-file.l`: `ID` and `QUALIFIED_ID`, in which every letter beyond ASCII counts as one).
pub fn is_parameter_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let word = |w: &str| w.starts_with(letter) && w.chars().all(|c| letter(c) || c.is_ascii_digit());
    let mut parts = name.split('.');
    let first = parts.next().is_some_and(word);
    let second = parts.next().is_none_or(word);
    first && second && parts.next().is_none()
}
