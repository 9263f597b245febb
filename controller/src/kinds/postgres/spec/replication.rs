//! How replicas follow, and what commits wait for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::quorum::Method;

/// How replicas follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Replication {
    /// Whether a commit waits for replicas.
    #[serde(default)]
    pub mode: ReplicationMode,
    /// Which replicas a synchronous commit waits for; `any` when not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// How many replicas have to have flushed a commit before it is acknowledged; 1 when not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    pub number: Option<u32>,
    /// What happens when fewer replicas stream; `required` when not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
    /// How many bytes a replica may be behind and still be called ready and be promoted.
    #[serde(default = "max_lag")]
    #[schemars(extend("format" = "bytes", "x-scalar" = true))]
    pub max_lag: String,
    /// How many bytes of WAL a slot may hold back before the primary gives it up, so that a dead replica cannot fill its disk.
    #[serde(default = "max_slot_wal")]
    #[schemars(extend("format" = "bytes", "x-scalar" = true))]
    pub max_slot_wal_keep_size: String,
    /// How long others who receive the primary's log, such as `pg_receivewal` and logical subscribers, get to catch up before a
    /// switchover stops the primary. Who has not by then is cut off, and can go on from the new primary.
    #[serde(default = "receiver_grace")]
    #[schemars(extend("format" = "duration", "examples" = ["2s"]))]
    pub receiver_grace_period: String,
}

impl Default for Replication {
    fn default() -> Self {
        Replication {
            mode: ReplicationMode::default(),
            method: None,
            number: None,
            durability: None,
            max_lag: max_lag(),
            max_slot_wal_keep_size: max_slot_wal(),
            receiver_grace_period: receiver_grace(),
        }
    }
}

/// Whether a commit waits for replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReplicationMode {
    /// It does not.
    #[default]
    Asynchronous,
    /// It does: what was acknowledged is on every member that is ever promoted without `--force`.
    Synchronous,
}

/// What happens to synchronous commits when fewer replicas stream than they wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Durability {
    /// They wait until enough replicas stream again. Nothing acknowledged is ever on fewer members.
    #[default]
    Required,
    /// After a few seconds they wait for those that are left, in the end for none. Then nobody is promoted unforced.
    Preferred,
}

impl Replication {
    /// Which replicas a commit waits for.
    pub fn method(&self) -> Method {
        self.method.unwrap_or_default()
    }

    /// How many replicas a commit waits for.
    pub fn number(&self) -> u32 {
        self.number.unwrap_or(1)
    }

    /// What happens when fewer stream.
    pub fn durability(&self) -> Durability {
        self.durability.unwrap_or_default()
    }
}

fn max_lag() -> String {
    "64MiB".to_owned()
}

fn max_slot_wal() -> String {
    "10GiB".to_owned()
}

fn receiver_grace() -> String {
    // The primary serves meanwhile; a receiver that is alive needs a fraction of it.
    "2s".to_owned()
}
