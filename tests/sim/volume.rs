//! Volumes and the data directories in them.

use std::collections::BTreeMap;

use reconciler::model::container::NamedObserved;
use reconciler::model::postgres::ControlState;

use super::wal::Place;

/// A volume.
#[derive(Debug, Clone)]
pub struct Volume {
    /// As the engine shows it.
    pub seen: NamedObserved,
    /// What lies in it.
    pub content: Content,
}

/// What lies in a volume.
#[derive(Debug, Clone)]
pub enum Content {
    /// Nothing.
    Empty,
    /// A data directory that is not whole and not under its name: `PGDATA.partial`.
    Partial,
    /// A data directory.
    Data(Box<Data>),
    /// A data directory that is not whole under its name.
    Damaged,
}

impl Content {
    /// The data directory.
    pub fn data(&self) -> Option<&Data> {
        match self {
            Content::Data(data) => Some(data),
            Content::Empty | Content::Partial | Content::Damaged => None,
        }
    }

    /// The data directory.
    pub fn data_mut(&mut self) -> Option<&mut Data> {
        match self {
            Content::Data(data) => Some(data),
            Content::Empty | Content::Partial | Content::Damaged => None,
        }
    }
}

/// What a stopped server's `pg_control` says.
#[derive(Debug, Clone, Copy)]
pub struct ControlFile {
    /// What it was doing.
    pub state: ControlState,
    /// Where its last checkpoint record begins.
    pub checkpoint: u64,
    /// The timeline of that checkpoint.
    pub timeline: u32,
}

/// A replication slot.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// The position from which it holds the log.
    pub restart: u64,
    /// Whether it gave up.
    pub is_lost: bool,
}

/// A data directory. All of it is on disk: what a killed server leaves behind.
#[derive(Debug, Clone)]
pub struct Data {
    /// What `initdb` called the cluster.
    pub system_identifier: u64,
    /// The log in `pg_wal`.
    pub place: Place,
    /// How many of its records are in the tables.
    pub replayed: u32,
    /// The newest timeline of which there is a file.
    pub timeline: u32,
    /// `pg_control`.
    pub control: ControlFile,
    /// The last checkpoint record among the replayed, and its timeline.
    pub last_checkpoint: (u64, u32),
    /// Whether `standby.signal` is there.
    pub is_standby: bool,
    /// `pg_replslot`.
    pub slots: BTreeMap<String, Slot>,
    /// `postgresql.auto.conf`.
    pub auto_conf: BTreeMap<String, String>,
    /// Roles, databases and extensions.
    pub catalog: usize,
    /// The primary's limits, as the log tells them.
    pub limits: usize,
    /// Where the oldest segment begins.
    pub oldest: u64,
}
