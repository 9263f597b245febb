//! What is remembered of re-seeds: the one that a member is in, and the volumes that were replaced.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Change, Memory};

/// How a new volume is filled. Both ways leave the old one as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// By a base backup of the primary.
    #[default]
    Clone,
    /// By a copy of the old volume, in which `pg_rewind` undoes what the primary does not have.
    Rewind,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Clone => "clone",
            Method::Rewind => "rewind",
        })
    }
}

/// The last re-seed of a member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReseedState {
    /// Why.
    pub reason: String,
    /// How the new volume is filled.
    pub method: Method,
    /// The volume that is replaced, which a rewind copies.
    pub from: String,
    /// When it was decided, in seconds since the epoch.
    pub since: i64,
    /// Whether the rewind is done: from then on the member has no use for the old volume.
    pub filled: bool,
    /// Rewinds that began and were cut off.
    pub cuts: u32,
    /// When the last of them began, in seconds since the epoch.
    pub cut_at: i64,
    /// Why a rewind is out of the question, if one failed.
    pub no_rewind: Option<String>,
    /// New volumes in a row none of which ever came to stream.
    pub rounds: u32,
    /// When the member streamed from its new volume, in seconds since the epoch.
    pub ended: Option<i64>,
}

impl ReseedState {
    /// Whether it is under way.
    pub fn is_active(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether the new volume is still to be filled from the old one.
    pub fn rewinds(&self) -> bool {
        self.is_active() && self.method == Method::Rewind && !self.filled
    }
}

/// A decision to give a member a new volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reseed {
    /// The member.
    pub member: String,
    /// The volume that is replaced.
    pub volume: String,
    /// Why.
    pub reason: String,
    /// Whether all that the old volume holds is on the primary too.
    pub proved_copy: bool,
    /// How the new one is filled.
    pub method: Method,
    /// When it was decided, in seconds since the epoch.
    pub at: i64,
}

/// A volume that was replaced by a re-seed, or whose member is not wanted any more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Retired {
    /// The member that it belonged to.
    pub member: String,
    /// Why it was replaced.
    pub reason: String,
    /// Whether all that it holds was proved to be on the primary too. Only such a volume is ever removed unasked.
    pub proved_copy: bool,
    /// Whether it is held in quarantine for a while although it is a copy.
    pub quarantined: bool,
    /// Since when, in seconds since the epoch.
    pub since: i64,
    /// Whether somebody who was told what is lost asked for its removal.
    pub released: bool,
}

impl Memory {
    /// The re-seed that a member is in.
    pub fn reseed(&self, member: &str) -> Option<&ReseedState> {
        self.reseeds.get(member).filter(|state| state.is_active())
    }

    /// Whether a member's new volume is to be filled by a rewind, and from which volume.
    pub fn rewind_source(&self, member: &str) -> Option<&str> {
        self.reseed(member)
            .filter(|state| state.rewinds())
            .map(|state| state.from.as_str())
    }

    /// Applies a change that concerns volumes and what fills them.
    pub(super) fn refill(&mut self, change: Change) {
        match change {
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
            Change::RewindCut(member, at) => self.change_reseed(&member, |state| {
                state.cuts += 1;
                state.cut_at = at;
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
            _ => {}
        }
    }

    fn begin_reseed(&mut self, decision: Reseed) {
        let next = self.generation(&decision.member) + 1;
        let before = self.reseed(&decision.member);
        let state = ReseedState {
            reason: decision.reason.clone(),
            method: decision.method,
            from: decision.volume.clone(),
            since: decision.at,
            rounds: before.map_or(1, |before| before.rounds + 1),
            no_rewind: before.and_then(|before| before.no_rewind.clone()),
            ..ReseedState::default()
        };
        self.generations.insert(decision.member.clone(), next);
        self.starts.remove(&decision.member);
        self.history.diverged.remove(&decision.member);
        self.reseeds.insert(decision.member.clone(), state);
        let retired = Retired {
            member: decision.member,
            reason: decision.reason,
            proved_copy: decision.proved_copy,
            quarantined: true,
            since: decision.at,
            released: false,
        };
        self.retired.insert(decision.volume, retired);
    }

    pub(super) fn change_reseed(&mut self, member: &str, change: impl FnOnce(&mut ReseedState)) {
        if let Some(state) = self.reseeds.get_mut(member).filter(|state| state.is_active()) {
            change(state);
        }
    }
}
