//! What is remembered of synchronous replication: every set that commits may have waited for.
//!
//! A set never changes at an instant: the file, the server's processes and the replicas follow one after the other, and the
//! agent may die between any two. So a new set is remembered before it is delivered, and an old one until the new one is
//! known to be in force alone and its own voters have flushed what the old one acknowledged.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::quorum::SyncSet;
use crate::model::Lsn;

/// What is remembered of synchronous replication.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncState {
    /// The set in the primary's file; `None` until the first one was decided on.
    pub intended: Option<SyncSet>,
    /// Sets that may still be in force, or whose writes the intended one does not cover yet.
    pub possible: Vec<SyncSet>,
    /// The sets that the member to be promoted starts with. It acknowledges nothing before it is the primary; from the
    /// request on nobody else is promoted until it is known whether it was.
    pub heir: Option<Heir>,
    /// Whether an acknowledged write is promised to be on every member that is ever promoted unforced.
    pub promised: bool,
    /// Whether the record was lost, so that nobody knows what was promised.
    pub adopted: bool,
    /// The primary was seen to run with the intended set.
    pub read_back: Option<ReadBack>,
}

/// The sets of a member that is to be promoted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heir {
    /// What its file says.
    pub rendered: SyncSet,
    /// What its server runs with.
    pub running: SyncSet,
}

/// The primary was seen to run with the intended set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBack {
    /// When, in seconds since the epoch.
    pub at: i64,
    /// Where its log stood once every one of its processes had it too: older writes may have been acknowledged otherwise.
    pub lsn: Option<Lsn>,
}

/// A change of what is remembered of synchronous replication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyncChange {
    /// A set is about to be delivered to the primary.
    Intend(SyncSet),
    /// A set was found in force, or may be.
    Possible(SyncSet),
    /// A member is about to be promoted, and starts with these.
    Heir(Heir),
    /// The primary runs with the intended set.
    ReadBack(SyncSet, ReadBack),
    /// The set is in force alone, and covers all that was acknowledged before.
    Settled(SyncSet),
    /// Commits wait for nobody, and nothing is promised any more.
    Off,
}

impl SyncState {
    /// The record was lost: a promise may have been given, and nobody knows which.
    pub fn adopted() -> Self {
        SyncState {
            adopted: true,
            ..SyncState::default()
        }
    }

    /// Every set under which the primary may have acknowledged a write.
    pub fn sets(&self) -> Vec<SyncSet> {
        self.possible.iter().chain(&self.intended).cloned().collect()
    }

    /// Whether the intended set is in force alone.
    pub fn is_settled(&self) -> bool {
        self.promised && !self.adopted && self.possible.is_empty()
    }

    /// Whether a member's acknowledgement may have counted, or may count.
    pub fn counts(&self, member: &str) -> bool {
        self.sets()
            .iter()
            .any(|set| set.voters.iter().any(|voter| voter == member))
    }

    /// Applies a change. One that was decided for another set than the intended one comes too late, and does nothing.
    pub fn apply(&mut self, change: SyncChange) {
        match change {
            SyncChange::Intend(set) => {
                self.replace(set);
            }
            SyncChange::Possible(set) => {
                self.keep(set);
                self.read_back = None;
            }
            SyncChange::Heir(heir) => self.heir = Some(heir),
            SyncChange::ReadBack(set, read_back) => {
                if self.intended.as_ref() == Some(&set) {
                    self.read_back = Some(read_back);
                }
            }
            SyncChange::Settled(set) => {
                if self.intended.as_ref() == Some(&set) {
                    self.possible.clear();
                    self.read_back = None;
                    self.promised = true;
                    self.adopted = false;
                }
            }
            SyncChange::Off => *self = SyncState::default(),
        }
    }

    /// A promotion ended. The new primary runs with what its file said; what the old one acknowledged is covered by that
    /// only when others have caught up.
    pub fn promoted(&mut self, succeeded: bool) {
        let heir = self.heir.take();
        if !succeeded {
            return;
        }
        match heir {
            Some(heir) => {
                self.keep(heir.running);
                self.replace(heir.rendered);
            }
            // It was promoted by somebody else: nobody knows what it ran with.
            None if self.promised => {
                if let Some(old) = self.intended.take() {
                    self.keep(old);
                }
                self.keep(SyncSet::nobody());
                self.read_back = None;
            }
            None => self.intended = None,
        }
    }

    fn replace(&mut self, set: SyncSet) {
        if self.intended.as_ref() == Some(&set) {
            return;
        }
        self.possible.retain(|known| *known != set);
        if let Some(old) = self.intended.replace(set) {
            self.keep(old);
        }
        self.read_back = None;
    }

    fn keep(&mut self, set: SyncSet) {
        if !self.possible.contains(&set) && self.intended.as_ref() != Some(&set) {
            self.possible.push(set);
        }
    }
}

impl fmt::Display for SyncChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SyncChange::Intend(set) => write!(f, "commits are to wait for {set}"),
            SyncChange::Possible(set) => write!(f, "commits may have waited for {set}"),
            SyncChange::Heir(heir) => write!(f, "its commits wait for {}", heir.rendered),
            SyncChange::ReadBack(set, read_back) => match read_back.lsn {
                None => write!(f, "its commits wait for {set} by now"),
                Some(lsn) => write!(f, "what was acknowledged up to {lsn} has to reach {set}"),
            },
            SyncChange::Settled(set) => write!(f, "commits wait for {set}"),
            SyncChange::Off => write!(f, "commits wait for no replica, as asked"),
        }
    }
}

#[cfg(test)]
mod tests;
