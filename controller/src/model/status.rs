//! What is told to the user: conditions, members, events. The field names are Kubernetes' own where it has one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The three values of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It cannot be told.
    Unknown,
}

/// One aspect of a resource's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The aspect, in CamelCase; `Ready` sums up.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: Truth,
    /// Why, in one CamelCase word.
    pub reason: String,
    /// Why, in words that a user reads.
    pub message: String,
    /// When `status` last changed, in seconds since the epoch.
    pub last_transition_time: i64,
}

impl Condition {
    /// Whether it is known to hold.
    pub fn is_true(&self) -> bool {
        self.status == Truth::True
    }
}

/// The type of the condition that sums up.
pub const READY: &str = "Ready";

/// Something that happened, with repetitions counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// A number that grows with every change of any event of the resource.
    pub sequence: u64,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, in one CamelCase word.
    pub reason: String,
    /// What was found and done, in words that a user reads.
    pub message: String,
    /// How often.
    pub count: u64,
    /// The first time, in seconds since the epoch.
    pub first_time: i64,
    /// The last time, in seconds since the epoch.
    pub last_time: i64,
}

/// One member of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Its name.
    pub name: String,
    /// `primary` or `replica`; empty when it is not known.
    pub role: String,
    /// What it is doing, in a word or two.
    pub state: String,
    /// Whether it does what its role asks for.
    pub ready: bool,
    /// Whether commits wait for it: `sync`, `quorum`, `potential`; nothing when they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_state: Option<String>,
    /// The timeline that it writes or follows.
    pub timeline: Option<u32>,
    /// Its position in the write-ahead log.
    pub lsn: Option<String>,
    /// How many bytes it is behind its primary.
    pub lag_bytes: Option<u64>,
    /// How many seconds of commits it is behind its primary.
    pub lag_seconds: Option<i64>,
    /// Its published address.
    pub address: String,
    /// The container's name.
    pub container: String,
    /// The data volume's name.
    pub volume: String,
    /// How many bytes of WAL its slot holds on the primary.
    #[serde(default)]
    pub slot_held_bytes: Option<u64>,
    /// New volumes in a row that never came to stream, without the one that is being filled.
    #[serde(default)]
    pub seed_failures: u32,
    /// Bytes done and bytes in total, while it is being seeded.
    pub progress: Option<(u64, u64)>,
    /// Seconds until it is seeded, at the pace so far.
    #[serde(default)]
    pub eta_seconds: Option<u64>,
}

/// One volume of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeStatus {
    /// Its name.
    pub name: String,
    /// The member that it is or was of.
    pub member: String,
    /// Its number among the member's volumes.
    pub generation: Option<u32>,
    /// `in use`, `quarantined`, `kept` or `being removed`.
    pub state: String,
    /// The bytes that it takes, where that was measured.
    pub bytes: Option<u64>,
    /// Why it is not used any more.
    pub reason: String,
    /// Since when, in seconds since the epoch.
    pub since: Option<i64>,
    /// When it goes by itself, in seconds since the epoch; one that may hold the last copy of anything never does.
    pub until: Option<i64>,
}

/// One replication slot of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotStatus {
    /// Its name.
    pub name: String,
    /// The member that it is on.
    pub member: String,
    /// Whether the agent made it, for one of the members.
    pub is_own: bool,
    /// `physical` or `logical`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What decodes the changes of a logical one.
    pub plugin: String,
    /// The database of a logical one.
    pub database: String,
    /// Whether a receiver uses it now.
    pub active: bool,
    /// Whether it ends with its session; of a copy, that it is not whole yet.
    pub temporary: bool,
    /// Whether standbys are to have copies of it.
    pub failover: bool,
    /// Whether it is a copy of its primary's.
    pub synced: bool,
    /// What became of the WAL that it holds, of a physical one: `reserved`, `extended`, `unreserved`, `lost`.
    pub wal_status: String,
    /// Why it is of no use any more; empty while it is.
    pub invalidation: String,
    /// What the receiver of a logical one has confirmed.
    pub confirmed_lsn: Option<String>,
    /// How many bytes of WAL it holds.
    pub held_bytes: u64,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationResult {
    /// Its number; grows.
    pub id: u64,
    /// Whether it reached its goal.
    pub succeeded: bool,
    /// Bytes of the write-ahead log that are known to be lost by it; absent when nobody can tell.
    pub lost_bytes: Option<u64>,
    /// What happened, in words that a user reads.
    pub message: String,
    /// When it ended, in seconds since the epoch.
    pub at: i64,
}

/// The state of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The generation of the spec that the last pass worked towards.
    pub observed_generation: u64,
    /// The conditions, `Ready` first.
    pub conditions: Vec<Condition>,
    /// The members.
    pub members: Vec<MemberStatus>,
    /// The operation in progress and its next step.
    pub operation: Option<String>,
    /// How the last operation ended.
    pub last_operation: Option<OperationResult>,
    /// What the last plan waits for or is blocked by.
    pub notes: Vec<String>,
    /// Facts worth a line each, such as where a generated password is.
    pub facts: BTreeMap<String, String>,
    /// The volumes, those that are not used any more included.
    #[serde(default)]
    pub volumes: Vec<VolumeStatus>,
    /// The replication slots of all members that answer.
    #[serde(default)]
    pub slots: Vec<SlotStatus>,
    /// Bytes free and bytes in total of the file system that the volumes are on, where that can be seen.
    #[serde(default)]
    pub disk: Option<(u64, u64)>,
}

impl Status {
    /// The condition of a type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.kind == kind)
    }

    /// Whether the resource is ready.
    pub fn is_ready(&self) -> bool {
        self.condition(READY).is_some_and(|c| c.status == Truth::True)
    }
}

/// A condition before it is known since when it holds.
pub fn condition(kind: &str, holds: bool, reason: &str, message: impl Into<String>) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: if holds { Truth::True } else { Truth::False },
        reason: reason.to_owned(),
        message: message.into(),
        last_transition_time: 0,
    }
}

/// Dates `next` with the time of its last flip: kept from `before` while the status is the same, `now` otherwise.
pub fn date_conditions(next: &mut [Condition], before: &[Condition], now: i64) {
    for condition in next {
        condition.last_transition_time = before
            .iter()
            .find(|old| old.kind == condition.kind && old.status == condition.status)
            .map_or(now, |old| old.last_transition_time);
    }
}

/// A number of bytes, such as `1.5 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut tenths = count.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_are_printed_in_the_unit_that_fits() {
        let printed: Vec<String> = [0, 1023, 1024, 1536, 1 << 20, 5 << 30].map(bytes).to_vec();
        assert_eq!(printed, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "5.0 GiB"]);
    }
}
