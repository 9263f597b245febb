//! Who must have every acknowledged write: sets of voters, and the proof that one member has what any of them may have
//! acknowledged. Pure arithmetic; it knows nothing of a cluster.
//!
//! A commit is acknowledged when `number` of a set's voters have flushed it. A write that the target lacks was therefore
//! flushed by `number` voters that are ahead of the target. Where fewer voters than that can be ahead (those that are
//! known to be, and those that cannot be asked), there is no such write. That is R + W > N, made sharp by what is known.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Lsn;

/// Which voters a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Method {
    /// Any of them: the fastest decide.
    #[default]
    Any,
    /// The first of those that stream, in the order of the members.
    First,
}

/// What `synchronous_standby_names` says: a commit waits for `number` of `voters`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct SyncSet {
    /// The members that are asked, in the order of preference.
    pub voters: Vec<String>,
    /// How many of them have to have flushed a commit.
    pub number: u32,
    /// Which of them.
    pub method: Method,
}

impl SyncSet {
    /// The set under which commits wait for nobody.
    pub fn nobody() -> Self {
        SyncSet::default()
    }

    /// Whether commits wait for nobody.
    pub fn is_nobody(&self) -> bool {
        self.number == 0 || self.voters.is_empty()
    }

    /// The value of `synchronous_standby_names`; empty when commits wait for nobody.
    pub fn names(&self) -> String {
        if self.is_nobody() {
            return String::new();
        }
        let method = match self.method {
            Method::Any => "ANY",
            Method::First => "FIRST",
        };
        let voters: Vec<String> = self.voters.iter().map(|v| format!("\"{v}\"")).collect();
        format!("{method} {} ({})", self.number, voters.join(", "))
    }

    /// Reads a value as [`SyncSet::names`] writes it. Anything else is not ours, and `None`.
    pub fn parse(names: &str) -> Option<Self> {
        if names.trim().is_empty() {
            return Some(SyncSet::nobody());
        }
        let (head, voters) = names.trim().strip_suffix(')')?.split_once('(')?;
        let (method, number) = head.trim().split_once(' ')?;
        let set = SyncSet {
            voters: voters
                .split(',')
                .map(|voter| Some(voter.trim().strip_prefix('"')?.strip_suffix('"')?.to_owned()))
                .collect::<Option<_>>()?,
            number: number.trim().parse().ok()?,
            method: match method {
                "ANY" => Method::Any,
                "FIRST" => Method::First,
                _ => return None,
            },
        };
        (!set.is_nobody()).then_some(set)
    }
}

impl fmt::Display for SyncSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_nobody() {
            return write!(f, "no replica");
        }
        let voters = self.voters.join(", ");
        match self.method {
            _ if self.voters.len() == 1 => write!(f, "{voters}"),
            _ if self.voters.len() == self.number as usize => write!(f, "all of {voters}"),
            Method::Any => write!(f, "any {} of {voters}", self.number),
            Method::First => write!(f, "the first {} of {voters} that stream", self.number),
        }
    }
}

/// How far a member's log reaches. A newer timeline began where the older one ended for everybody who matters, so the
/// timeline counts first.
pub type Reach = (u32, Lsn);

/// Why it is not proved that a member has every acknowledged write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// In words that a user reads.
    pub why: String,
    /// The member that has everything; the target has it too, once it has caught up from there.
    pub ahead: Option<String>,
}

/// Proves that `target` has every write that any of `sets` can have acknowledged. `known` is how far the log of each
/// member reaches that could be asked *after* the old primary was known to be down.
pub fn prove(sets: &[SyncSet], known: &BTreeMap<String, Reach>, target: &str) -> Result<(), Lack> {
    let Some(reach) = known.get(target) else {
        let why = format!("how far the log of {target} reaches is not known");
        return Err(Lack { why, ahead: None });
    };
    for set in sets {
        if set.is_nobody() {
            let why = "commits did not wait for a replica, so only the old primary has every acknowledged write";
            return Err(Lack {
                why: why.to_owned(),
                ahead: None,
            });
        }
        let number = set.number as usize;
        let unknown: Vec<&str> = set
            .voters
            .iter()
            .filter(|v| !known.contains_key(*v))
            .map(String::as_str)
            .collect();
        let further = set
            .voters
            .iter()
            .filter_map(|v| Some((known.get(v)?, v)))
            .filter(|(r, _)| *r > reach);
        let count = unknown.len() + further.clone().count();
        if count < number {
            continue;
        }
        if unknown.len() >= number {
            let why = format!(
                "commits waited for {set}, and {} cannot be asked what was acknowledged",
                unknown.join(" and ")
            );
            return Err(Lack { why, ahead: None });
        }
        // Whoever is furthest has what this set acknowledged; whether it satisfies the other sets is asked of it in turn.
        if let Some(((_, lsn), voter)) = further.max() {
            let why = format!("{voter} has received up to {lsn}, {target} up to {}", reach.1);
            let ahead = Some(voter.clone());
            return Err(Lack { why, ahead });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
