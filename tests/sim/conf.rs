//! What a server makes of `postgresql.conf`.

use std::collections::BTreeMap;

use reconciler::kinds::postgres::conf::STANDBY_FLOOR;
use reconciler::model::postgres::Running;

/// Settings by name.
pub type Conf = BTreeMap<String, String>;

/// Settings that only a restart puts in force, as far as the manifests here set them.
const AT_START: [&str; 7] = [
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
    "shared_buffers",
    "wal_level",
];

/// Reads the lines that the agent writes.
pub fn parse(text: &str) -> Conf {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(" = "));
    pairs
        .map(|(name, value)| {
            let quoted = value.trim().strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            let value = quoted.unwrap_or(value).replace("''", "'").replace("\\\\", "\\");
            (name.to_owned(), value)
        })
        .collect()
}

/// Why a server would refuse to load it.
pub fn complaint(conf: &Conf) -> Option<String> {
    let wrong = conf.iter().find(|(_, value)| value.as_str() == "lots")?;
    Some(format!("invalid value for parameter \"{}\": \"{}\"", wrong.0, wrong.1))
}

/// Why a server would not start with it, which no check tells: it asks the host for more than that has.
pub fn obstacle(conf: &Conf) -> Option<String> {
    let wrong = conf.values().any(|value| value == "900GB");
    complaint(conf)
        .or_else(|| wrong.then(|| "could not map anonymous shared memory: Cannot allocate memory".to_owned()))
}

/// The settings that wait for a restart: in the file they are not what they were at the start.
pub fn pending(at_start: &Conf, loaded: &Conf) -> Vec<String> {
    let differs = AT_START
        .iter()
        .filter(|name| at_start.get(**name) != loaded.get(**name));
    differs.map(|name| (*name).to_owned()).collect()
}

/// How the parameters of the file run.
pub fn running(at_start: &Conf, loaded: &Conf) -> BTreeMap<String, Running> {
    let names = loaded
        .keys()
        .chain(at_start.keys())
        .filter(|name| loaded.contains_key(*name) || AT_START.contains(&name.as_str()));
    let pending = pending(at_start, loaded);
    let row = |name: &String| {
        let is_at_start = AT_START.contains(&name.as_str());
        let runs = if is_at_start { at_start } else { loaded };
        Running {
            file: loaded.get(name).cloned(),
            setting: runs.get(name).cloned().unwrap_or_default(),
            vartype: "string".to_owned(),
            context: if is_at_start { "postmaster" } else { "sighup" }.to_owned(),
            source: "configuration file".to_owned(),
            is_ours: true,
            is_pending: pending.contains(name),
            ..Running::default()
        }
    };
    names.map(|name| (name.clone(), row(name))).collect()
}

/// The limits that a standby must have at least as large as its primary.
pub fn limits(conf: &Conf) -> BTreeMap<String, i64> {
    let value = |name: &str| conf.get(name)?.parse().ok();
    STANDBY_FLOOR
        .iter()
        .map(|(name, default)| ((*name).to_owned(), value(name).unwrap_or(*default)))
        .collect()
}

/// A word of a connection string.
pub fn word<'a>(conninfo: &'a str, key: &str) -> Option<&'a str> {
    let mut words = conninfo.split_whitespace();
    words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

/// A size in megabytes, as the agent writes it, in bytes.
pub fn megabytes(conf: &Conf, name: &str) -> Option<u64> {
    let text = conf.get(name)?.strip_suffix("MB")?;
    text.parse::<u64>().ok().map(|mb| mb << 20)
}

/// What commits wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voters {
    /// Whether the first ones of the list count, and not any.
    pub are_ordered: bool,
    /// How many of them have to have a commit.
    pub number: usize,
    /// Their names.
    pub names: Vec<String>,
}

/// Reads `synchronous_standby_names`; `None` when commits wait for nobody.
pub fn voters(text: &str) -> Option<Voters> {
    let (head, list) = text.split_once('(')?;
    let mut words = head.split_whitespace();
    let are_ordered = words.next()?.eq_ignore_ascii_case("first");
    let number = words.next()?.parse().ok()?;
    let names = list.trim_end().trim_end_matches(')').split(',');
    Some(Voters {
        are_ordered,
        number,
        names: names.map(|name| name.trim().trim_matches('"').to_owned()).collect(),
    })
}
