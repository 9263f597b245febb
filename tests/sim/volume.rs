//! Volumes and the data directories in them.

use std::collections::BTreeMap;

use reconciler::host::FailureKind;
use reconciler::model::container::{NamedObserved, NamedSpec};
use reconciler::model::plan::EngineOp;
use reconciler::model::postgres::ControlState;
use reconciler::model::{claim, labels};

use super::engine::{Done, failed, observed};
use super::wal::Place;
use super::world::World;

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
    /// What a standby had replayed when its last life ended.
    pub min_recovery: u64,
}

impl World {
    /// Makes a volume, or hands out the one that there is.
    pub fn create_volume(&mut self, spec: &NamedSpec) -> Done {
        if claim::is_claim(&spec.labels) {
            // Who asks for it again gets what is there.
            self.claims
                .entry(spec.name.clone())
                .or_insert_with(|| spec.labels.clone());
            return Ok(());
        }
        if let Some(at) = self.volume(&spec.name) {
            let found = self.volumes[at].seen.labels.get(labels::UID);
            if found == spec.labels.get(labels::UID) {
                return Ok(());
            }
            let what = format!("create volume {}", spec.name);
            return Err(failed(FailureKind::Conflict, what, "it belongs to somebody else"));
        }
        self.volumes.push(Volume {
            seen: observed(spec),
            content: Content::Empty,
        });
        self.volumes.sort_by(|a, b| a.seen.name.cmp(&b.seen.name));
        Ok(())
    }

    /// Removes a volume that nobody mounts.
    pub fn remove_volume(&mut self, name: &str, op: &EngineOp) -> Done {
        if self.claims.remove(name).is_some() {
            return Ok(());
        }
        let Some(at) = self.volume(name) else {
            return Ok(());
        };
        if self
            .containers
            .iter()
            .any(|one| one.seen.volumes.iter().any(|volume| volume == name))
        {
            return Err(failed(FailureKind::Conflict, op, "volume is in use"));
        }
        self.check_destruction(at);
        self.volumes.remove(at);
        Ok(())
    }
}
