//! What is remembered of the log that all members share: how far it is known to have come and what it contains there, what
//! of it somebody gave up, and whose data do not belong to it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Memory;
use crate::model::wal::{Mark, Place};

/// What is remembered of the log that all members share.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryState {
    /// A place that the primary's log was seen to have come to on its disk. `None` until the present primary was seen.
    pub noted: Option<Noted>,
    /// What is known of the log beyond the primary's own, up to here, and was given up by whoever had it started all the same.
    pub given_up: Option<Place>,
    /// Replicas that hold, or may hold, what the primary never had, and why that is known. They get new volumes.
    pub diverged: BTreeMap<String, String>,
    /// The primary was found to serve without what it once had.
    pub went_back: Option<WentBack>,
}

/// A mark of the primary's log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Noted {
    /// The mark.
    pub mark: Mark,
    /// When it was seen, in seconds since the epoch.
    pub at: i64,
}

/// A primary that serves and has lost a part of its log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WentBack {
    /// What was found, in words that a user reads.
    pub message: String,
    /// When, in seconds since the epoch.
    pub at: i64,
}

/// A change of what is remembered of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HistoryChange {
    /// The primary's log has come this far on its disk.
    Note(Noted),
    /// Somebody wants the primary to be started although its log is known to have come further once.
    GiveUp {
        /// The primary.
        primary: String,
        /// Up to where.
        until: Place,
        /// Replicas that may hold what is given up, and why that is known.
        replicas: BTreeMap<String, String>,
    },
    /// A replica holds, or may hold, what the primary never had.
    Diverged {
        /// The replica.
        member: String,
        /// Why that is known.
        reason: String,
    },
    /// The primary serves and has lost a part of its log.
    WentBack {
        /// What was found.
        found: WentBack,
        /// Replicas that may hold what it lost, and why that is known.
        replicas: BTreeMap<String, String>,
    },
}

impl HistoryState {
    /// Applies a change.
    pub fn apply(&mut self, change: HistoryChange) {
        match change {
            HistoryChange::Note(noted) => {
                self.noted = Some(noted);
                self.given_up = None;
            }
            HistoryChange::GiveUp { until, replicas, .. } => {
                self.given_up = self.given_up.max(Some(until));
                self.diverged.extend(replicas);
            }
            HistoryChange::Diverged { member, reason } => {
                self.diverged.entry(member).or_insert(reason);
            }
            HistoryChange::WentBack { found, replicas } => {
                self.noted = None;
                self.given_up = None;
                self.went_back = Some(found);
                for (member, reason) in replicas {
                    self.diverged.entry(member).or_insert(reason);
                }
            }
        }
    }
}

impl Memory {
    /// Why a member's data are known not to belong to the primary's log, if they do not.
    pub fn diverged(&self, member: &str) -> Option<&str> {
        self.history.diverged.get(member).map(String::as_str)
    }
}

impl fmt::Display for HistoryChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HistoryChange::Note(noted) => write!(f, "its log has come to {} on its disk", noted.mark.place),
            HistoryChange::GiveUp { primary, until, .. } => {
                write!(
                    f,
                    "{primary} is to be started as it is, and what was written up to {until} is given up"
                )
            }
            HistoryChange::Diverged { member, .. } => write!(f, "{member} does not have the primary's history"),
            HistoryChange::WentBack { .. } => write!(f, "it serves without what it once had"),
        }
    }
}
