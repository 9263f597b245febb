//! Replication slots of other kinds than members' own.

use serde::{Deserialize, Serialize};

use super::super::lsn::Lsn;

/// What a server says of one logical slot (`pg_replication_slots`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogicalSlot {
    /// What decodes the changes.
    pub plugin: String,
    /// The database whose changes it gives.
    pub database: String,
    /// Whether a receiver uses it now.
    pub active: bool,
    /// Whether it ends with its session; of a synced one, that it is not whole yet.
    pub temporary: bool,
    /// Whether standbys are to have it too (PostgreSQL 17 and later).
    pub failover: bool,
    /// Whether it is a standby's copy of its primary's.
    pub synced: bool,
    /// Why it is of no use any more, such as `wal_removed` or `idle_timeout`; empty while it is.
    pub invalidation: String,
    /// What its receiver has confirmed.
    pub confirmed_lsn: Lsn,
    /// Bytes of WAL between what it still needs and the end.
    pub held_bytes: u64,
}

impl LogicalSlot {
    /// Whether a receiver can go on with it.
    pub fn is_whole(&self) -> bool {
        !self.temporary && self.invalidation.is_empty()
    }
}
