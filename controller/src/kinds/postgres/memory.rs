//! What cannot be derived from the manifests, the engine and the databases, and so is kept on disk per cluster.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::spec::Scalar;
use crate::model::Lsn;

mod promotion;
mod reseed;
mod sync;

pub use promotion::{Loss, Promotion, PromotionResult};
pub use reseed::{Method, Reseed, ReseedState, Retired};
pub use sync::{Heir, ReadBack, SyncChange, SyncState};

/// The durable memory of one cluster.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The member that is the primary; it alone is ever started read-write.
    pub primary: Option<String>,
    /// The identity of the data; `None` until the first start was seen to succeed.
    pub system_identifier: Option<u64>,
    /// Grows with every change of the primary.
    pub term: u64,
    /// The generation of each member's volume; 1 where nothing is said.
    pub generations: BTreeMap<String, u32>,
    /// Volumes that were replaced by a re-seed.
    pub retired: BTreeMap<String, Retired>,
    /// The last re-seed of each member.
    pub reseeds: BTreeMap<String, ReseedState>,
    /// The promotion in progress.
    pub promotion: Option<Promotion>,
    /// How the last promotion ended.
    pub last_promotion: Option<PromotionResult>,
    /// The newest known position of the primary, with its timeline. Noted down when it has moved far enough.
    pub high_water: Option<(u32, Lsn)>,
    /// The primary's running values that no standby may go below, and the position at which they were seen.
    pub floor: BTreeMap<String, i64>,
    /// Where the primary's log stood when `floor` was seen.
    pub floor_lsn: Lsn,
    /// Starts in a row that did not lead to a working member.
    pub starts: BTreeMap<String, Starts>,
    /// Requested restarts by member: when, in seconds since the epoch.
    pub restarts: BTreeMap<String, i64>,
    /// The last configuration that a server accepted.
    pub accepted: Option<Settings>,
    /// The configuration that a server refused last.
    pub rejected: Option<Rejected>,
    /// The spec generation whose extensions were seen to exist.
    pub extensions_generation: u64,
    /// What commits may have waited for.
    pub sync: SyncState,
}

/// Starts in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Starts {
    /// How many.
    pub count: u32,
    /// The last one, in seconds since the epoch.
    pub last: i64,
}

/// What of the manifest ends up in the server's files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Lines of postgresql.conf.
    pub parameters: BTreeMap<String, Scalar>,
    /// Lines of pg_hba.conf.
    pub hba: Vec<String>,
}

/// A configuration that a server refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// What was refused.
    pub settings: Settings,
    /// The server's own words.
    pub message: String,
}

/// A change of memory, decided by the planner and written by the executor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// The first member is about to be initialised.
    Bootstrap(String),
    /// The data was seen: this is its identity.
    Initialised(u64),
    /// An existing cluster was recognised.
    Adopt {
        /// Its primary.
        primary: String,
        /// Its identity.
        system_identifier: u64,
        /// The generation of each member's newest volume.
        generations: BTreeMap<String, u32>,
    },
    /// A container is about to be started.
    Started(String, i64),
    /// A member works again.
    Works(String, i64),
    /// A member gets a new volume.
    Reseed(Reseed),
    /// A rewind has filled a member's new volume.
    Filled(String),
    /// A member's rewind cannot be done, and why: the new volume is filled by a clone.
    NoRewind(String, String),
    /// A member's seed is worth a new try at once.
    TryAgain(String),
    /// A volume is no longer used.
    Retire(String, Retired),
    /// Somebody asked for the removal of a volume.
    Release(String, Retired),
    /// A retired volume is gone, or in use again.
    Forget(String),
    /// A promotion begins.
    Promote(Promotion),
    /// The old primary's container holds the role of a replica.
    Fenced(String),
    /// The old primary has written the checkpoint that the promotion of this number asked for.
    Checkpointed(u64),
    /// The old primary is about to be asked to stop.
    Stopping {
        /// The promotion's number.
        id: u64,
        /// When, in seconds since the epoch.
        at: i64,
    },
    /// The target of a promotion catches up from another replica first.
    CatchUp {
        /// The promotion's number.
        id: u64,
        /// The replica that has received more.
        via: String,
    },
    /// The target is about to be asked to open its data for writing.
    Requested {
        /// The promotion's number.
        id: u64,
        /// What it does not have.
        loss: Loss,
        /// When, in seconds since the epoch.
        at: i64,
    },
    /// A promotion ended.
    Promoted(PromotionResult),
    /// The primary's log has come this far, on this timeline.
    HighWater(u32, Lsn),
    /// The primary's running values.
    Floor(BTreeMap<String, i64>, Lsn),
    /// A server accepted this configuration.
    Accept(Settings),
    /// A server refused this configuration.
    Reject(Rejected),
    /// A member shall be restarted.
    Restart(String, i64),
    /// The extensions of this spec generation exist.
    Extensions(u64),
    /// What commits wait for.
    Sync(SyncChange),
}

impl Memory {
    /// The generation of a member's volume.
    pub fn generation(&self, member: &str) -> u32 {
        self.generations.get(member).copied().unwrap_or(1)
    }

    /// Applies a change.
    pub fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::Bootstrap(primary) => self.primary = Some(primary),
            Change::Initialised(id) => self.system_identifier = Some(id),
            Change::Adopt {
                primary,
                system_identifier,
                generations,
            } => {
                self.primary = Some(primary);
                self.high_water = None;
                self.system_identifier = Some(system_identifier);
                self.generations = generations;
                self.sync = SyncState::adopted();
            }
            Change::Started(member, at) => {
                let starts = self.starts.entry(member).or_default();
                starts.count = starts.count.saturating_add(1);
                starts.last = at;
            }
            Change::Works(member, at) => {
                self.starts.remove(&member);
                self.change_reseed(&member, |state| state.ended = Some(at));
            }
            Change::Reseed(decision) => self.begin_reseed(decision),
            Change::Filled(member) => {
                // What comes next is a first start.
                self.starts.remove(&member);
                self.change_reseed(&member, |state| state.filled = true);
            }
            Change::NoRewind(member, why) => self.change_reseed(&member, |state| {
                state.method = Method::Clone;
                state.no_rewind = Some(why);
            }),
            Change::TryAgain(member) => {
                self.starts.remove(&member);
                self.change_reseed(&member, |state| state.rounds = 0);
            }
            Change::Retire(volume, retired) | Change::Release(volume, retired) => {
                self.retired.insert(volume, retired);
            }
            Change::Forget(volume) => {
                self.retired.remove(&volume);
            }
            change @ (Change::Promote(_)
            | Change::Fenced(_)
            | Change::Checkpointed(_)
            | Change::Stopping { .. }
            | Change::CatchUp { .. }
            | Change::Requested { .. }
            | Change::Promoted(_)) => self.promote(change),
            Change::HighWater(timeline, lsn) => self.high_water = Some((timeline, lsn)),
            Change::Floor(values, lsn) => {
                self.floor = values;
                self.floor_lsn = lsn;
            }
            Change::Accept(settings) => {
                self.accepted = Some(settings);
                self.rejected = None;
                // A member that crashed on the old configuration deserves a prompt try with the new one.
                self.starts.clear();
            }
            Change::Reject(rejected) => self.rejected = Some(rejected),
            Change::Restart(member, at) => {
                self.restarts.insert(member, at);
            }
            Change::Extensions(generation) => self.extensions_generation = generation,
            Change::Sync(change) => self.sync.apply(change),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Bootstrap(primary) => write!(f, "{primary} is the first primary"),
            Change::Initialised(id) => write!(f, "the data has system identifier {id}"),
            Change::Adopt { primary, .. } => write!(f, "{primary} is the primary"),
            Change::Started(member, _) => write!(f, "{member} is being started"),
            Change::Works(member, _) => write!(f, "{member} works"),
            Change::Reseed(decision) => {
                let Reseed { member, volume, .. } = decision;
                write!(f, "{member} gets a new volume in place of {volume}")
            }
            Change::Filled(member) => write!(f, "the new volume of {member} is filled"),
            Change::NoRewind(member, _) => write!(f, "{member} cannot be rewound and is cloned"),
            Change::TryAgain(member) => write!(f, "the seed of {member} is tried again at once"),
            Change::Retire(volume, _) => write!(f, "volume {volume} is no longer used"),
            Change::Release(volume, _) => write!(f, "volume {volume} is to be removed"),
            Change::Forget(volume) => write!(f, "volume {volume} is no longer retired"),
            Change::Promote(p) => write!(f, "{} is to be promoted", p.to),
            Change::Fenced(member) => write!(f, "{member} is fenced"),
            Change::Checkpointed(_) => write!(f, "its checkpoint is written"),
            Change::Stopping { .. } => write!(f, "it is being stopped"),
            Change::CatchUp { via, .. } => write!(f, "it catches up from {via} first"),
            Change::Requested { .. } => write!(f, "its promotion is requested"),
            Change::HighWater(timeline, lsn) => write!(f, "its log has come to {lsn} on timeline {timeline}"),
            Change::Promoted(r) if r.succeeded => write!(f, "{} is the primary", r.to),
            Change::Promoted(r) => write!(f, "{} was not promoted", r.to),
            Change::Floor(..) => write!(f, "replicas need the primary's limits"),
            Change::Accept(_) => write!(f, "the new configuration is valid"),
            Change::Reject(_) => write!(f, "the new configuration is invalid"),
            Change::Restart(member, _) => write!(f, "{member} is to be restarted"),
            Change::Extensions(_) => write!(f, "the extensions exist"),
            Change::Sync(change) => write!(f, "{change}"),
        }
    }
}

#[cfg(test)]
mod tests;
