//! What cannot be derived from the manifests, the engine and the databases, and so is kept on disk per cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::spec::Scalar;
use crate::model::Lsn;

mod history;
mod promotion;
mod reseed;
mod sync;
mod trials;

pub use history::{HistoryChange, HistoryState, Noted, WentBack};
pub use promotion::{Loss, Promotion, PromotionResult};
pub use reseed::{Method, Reseed, ReseedState, Retired};
pub use sync::{Heir, ReadBack, SyncChange, SyncState};
pub use trials::{StartCheck, TrialChange, Trials, Tried};

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
    /// What the server has for those where the manifest says nothing.
    pub defaults: BTreeMap<String, i64>,
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
    /// What is known of configurations beside the accepted one.
    pub trials: Trials,
    /// What is known of the log that all members share.
    pub history: HistoryState,
    /// Members that the agent makes slots for, or made them for before they left.
    pub slots_of: BTreeSet<String>,
    /// Whether replicas keep copies of the primary's logical slots.
    pub syncs_slots: bool,
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
    /// A container is about to be started, with the configuration of this hash.
    Started(String, i64, String),
    /// A member works again.
    Works(String, i64),
    /// A member gets a new volume.
    Reseed(Reseed),
    /// A rewind has filled a member's new volume.
    Filled(String),
    /// A member's rewind cannot be done, and why: the new volume is filled by a clone.
    NoRewind(String, String),
    /// A member's rewind, which began then, was cut off.
    RewindCut(String, i64),
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
    /// The old primary is stopped when those who receive its log have caught up, or have had their time.
    Awaits {
        /// The promotion's number.
        id: u64,
        /// Since when, in seconds since the epoch.
        at: i64,
    },
    /// The old primary is about to be killed, because it does not stop in time for the promotion of this number.
    Killed(u64),
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
    /// What the server has where the manifest says nothing.
    Defaults(BTreeMap<String, i64>),
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
    /// A configuration is tried, or was.
    Trial(TrialChange),
    /// What is known of the log that all members share.
    History(HistoryChange),
    /// The agent makes slots for these members.
    SlotsOf(BTreeSet<String>),
    /// No slot is left of a member that left.
    NoSlotOf(String),
    /// Whether replicas keep copies of the primary's logical slots.
    SyncSlots(bool),
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
                self.history = HistoryState::default();
                self.system_identifier = Some(system_identifier);
                self.generations = generations;
                self.sync = SyncState::adopted();
            }
            Change::Started(member, at, settings) => self.start(member, at, settings),
            Change::Works(member, at) => {
                self.starts.remove(&member);
                self.start_succeeded(&member);
                self.change_reseed(&member, |state| state.ended = Some(at));
            }
            change @ (Change::Reseed(_)
            | Change::Filled(_)
            | Change::NoRewind(..)
            | Change::RewindCut(..)
            | Change::TryAgain(_)
            | Change::Retire(..)
            | Change::Release(..)
            | Change::Forget(_)) => self.refill(change),
            change @ (Change::Promote(_)
            | Change::Fenced(_)
            | Change::Checkpointed(_)
            | Change::Stopping { .. }
            | Change::Awaits { .. }
            | Change::Killed(_)
            | Change::CatchUp { .. }
            | Change::Requested { .. }
            | Change::Promoted(_)) => self.promote(change),
            Change::HighWater(timeline, lsn) => self.high_water = Some((timeline, lsn)),
            Change::Floor(values, lsn) => {
                self.floor = values;
                self.floor_lsn = lsn;
            }
            Change::Defaults(values) => self.defaults = values,
            Change::Accept(settings) => self.accept(settings),
            Change::Reject(rejected) => self.reject(rejected),
            Change::Restart(member, at) => {
                self.restarts.insert(member, at);
            }
            Change::Extensions(generation) => self.extensions_generation = generation,
            Change::Sync(change) => self.sync.apply(change),
            Change::Trial(change) => self.try_out(change),
            Change::History(change) => {
                if matches!(change, HistoryChange::GiveUp { .. } | HistoryChange::WentBack { .. }) {
                    self.high_water = None;
                }
                self.history.apply(change);
            }
            Change::SlotsOf(members) => self.slots_of.extend(members),
            Change::NoSlotOf(member) => self.slots_of.retain(|known| *known != member),
            Change::SyncSlots(is_wanted) => self.syncs_slots = is_wanted,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Bootstrap(primary) => write!(f, "{primary} is the first primary"),
            Change::Initialised(id) => write!(f, "the data has system identifier {id}"),
            Change::Adopt { primary, .. } => write!(f, "{primary} is the primary"),
            Change::Started(member, ..) => write!(f, "{member} is being started"),
            Change::Works(member, _) => write!(f, "{member} works"),
            Change::Reseed(decision) => {
                let Reseed { member, volume, .. } = decision;
                write!(f, "{member} gets a new volume in place of {volume}")
            }
            Change::Filled(member) => write!(f, "the new volume of {member} is filled"),
            Change::NoRewind(member, _) => write!(f, "{member} cannot be rewound and is cloned"),
            Change::RewindCut(member, _) => write!(f, "the rewind of {member} was cut off"),
            Change::TryAgain(member) => write!(f, "the seed of {member} is tried again at once"),
            Change::Retire(volume, _) => write!(f, "volume {volume} is no longer used"),
            Change::Release(volume, _) => write!(f, "volume {volume} is to be removed"),
            Change::Forget(volume) => write!(f, "volume {volume} is no longer retired"),
            Change::Promote(p) => write!(f, "{} is to be promoted", p.to),
            Change::Fenced(member) => write!(f, "{member} is fenced"),
            Change::Checkpointed(_) => write!(f, "its checkpoint is written"),
            Change::Stopping { .. } => write!(f, "it is being stopped"),
            Change::Awaits { .. } => write!(f, "it waits for receivers of its log"),
            Change::Killed(_) => write!(f, "it is being killed"),
            Change::CatchUp { via, .. } => write!(f, "it catches up from {via} first"),
            Change::Requested { .. } => write!(f, "its promotion is requested"),
            Change::HighWater(timeline, lsn) => write!(f, "its log has come to {lsn} on timeline {timeline}"),
            Change::Promoted(r) if r.succeeded => write!(f, "{} is the primary", r.to),
            Change::Promoted(r) => write!(f, "{} was not promoted", r.to),
            Change::Floor(..) => write!(f, "replicas need the primary's limits"),
            Change::Defaults(_) => write!(f, "the server's own defaults"),
            Change::Accept(_) => write!(f, "the new configuration is valid"),
            Change::Reject(_) => write!(f, "the new configuration is invalid"),
            Change::Restart(member, _) => write!(f, "{member} is to be restarted"),
            Change::Extensions(_) => write!(f, "the extensions exist"),
            Change::Sync(change) => write!(f, "{change}"),
            Change::Trial(change) => write!(f, "{change}"),
            Change::History(change) => write!(f, "{change}"),
            Change::SlotsOf(members) => {
                let members: Vec<&str> = members.iter().map(String::as_str).collect();
                write!(f, "the slots of {} are the agent's own", members.join(", "))
            }
            Change::NoSlotOf(member) => write!(f, "no slot is left of {member}"),
            Change::SyncSlots(true) => write!(f, "replicas keep copies of logical slots"),
            Change::SyncSlots(false) => write!(f, "replicas keep no copies of logical slots"),
        }
    }
}

#[cfg(test)]
mod tests;
