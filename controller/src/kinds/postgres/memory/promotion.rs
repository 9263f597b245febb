//! What is remembered of a promotion: the intent, how far it is known to have come, and how it ended.

use serde::{Deserialize, Serialize};

use super::{Change, Memory};

/// A promotion: the intent, from which every pass works out the next step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Promotion {
    /// Its number, so that a caller can tell whether it is still the same.
    pub id: u64,
    /// The primary when it was requested.
    pub from: String,
    /// The member to promote.
    pub to: String,
    /// The timeline when it was requested: one beyond it on `to` means done.
    pub start_timeline: u32,
    /// Whether writes that only the old primary has may be lost.
    pub forced: bool,
    /// Whether nobody asked for it: the old primary was seen to be beyond help.
    pub automatic: bool,
    /// Whether the old primary's container holds the role of a replica already.
    pub fenced: bool,
    /// Whether the old primary has written a checkpoint since, while it still served.
    pub checkpointed: bool,
    /// Since when its stop waits for those who receive its log, in seconds since the epoch; `None` before.
    pub awaits_since: Option<i64>,
    /// When its stop began, in seconds since the epoch; `None` before.
    pub stopping_since: Option<i64>,
    /// Whether it was killed, because it did not stop in time.
    pub killed: bool,
    /// The replica that has received more than `to`, which catches up from it first.
    pub via: Option<String>,
    /// Whether `to` was asked to open its data for writing. Written down before it is asked: from then on the old primary
    /// is never started as one again.
    pub requested: bool,
    /// When it was asked, in seconds since the epoch.
    pub sent_at: i64,
    /// What of the old primary's writes `to` does not have.
    pub loss: Option<Loss>,
    /// When the promotion began, in seconds since the epoch.
    pub requested_at: i64,
}

/// What a promotion loses of the old primary's writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// Nothing: the old primary's own control file proves it.
    Nothing,
    /// Bytes of write-ahead log that the old primary was seen to have and the target does not.
    Seen {
        /// How many.
        bytes: u64,
        /// By how much the old primary may have moved on before it was noted down.
        slack: u64,
    },
    /// Bytes of write-ahead log that the old primary was seen to have and the target does not. None of it was acknowledged
    /// by whoever waited for replicas: those that are needed for that prove it.
    Unacknowledged {
        /// How many.
        bytes: u64,
    },
    /// The old primary's position is not known.
    Unknown,
}

impl Loss {
    /// The bytes that are known to be lost; `None` when nobody can tell.
    pub fn bytes(self) -> Option<u64> {
        match self {
            Loss::Nothing | Loss::Unacknowledged { .. } => Some(0),
            Loss::Seen { bytes, .. } => Some(bytes),
            Loss::Unknown => None,
        }
    }

    /// In words that a user reads, about what `from` wrote.
    pub fn told(self, from: &str) -> String {
        match self {
            Loss::Nothing => "nothing acknowledged was lost".to_owned(),
            Loss::Seen { bytes: 0, slack: 0 } => {
                format!("nothing that {from} was seen to have is lost, only what it wrote after it was last looked at")
            }
            Loss::Seen { bytes, slack: 0 } => format!(
                "{bytes} bytes of the log that {from} was seen to have are lost, and what it wrote after it was last looked at"
            ),
            Loss::Seen { bytes, slack } => format!(
                "{bytes} bytes of the log that {from} was noted to have are lost, up to {slack} bytes that it wrote after the \
                 note, and what it wrote after it was last looked at"
            ),
            Loss::Unacknowledged { bytes: 0 } => {
                "nothing that was acknowledged after waiting for replicas is lost".to_owned()
            }
            Loss::Unacknowledged { bytes } => format!(
                "nothing that was acknowledged after waiting for replicas is lost; the last {bytes} bytes of {from}'s log were \
                 not acknowledged yet, and are gone"
            ),
            Loss::Unknown => {
                format!("what {from} wrote and this member did not receive is lost; how much that is, nobody can tell")
            }
        }
    }
}

/// How a promotion ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PromotionResult {
    /// Its number.
    pub id: u64,
    /// The member that was to be promoted.
    pub to: String,
    /// Whether it is the primary now.
    pub succeeded: bool,
    /// Whether nobody had asked for it.
    pub automatic: bool,
    /// Bytes of the old primary's log that are known to be lost; `None` when nobody can tell.
    pub lost_bytes: Option<u64>,
    /// What happened, in words that a user reads.
    pub message: String,
    /// When it ended, in seconds since the epoch.
    pub at: i64,
}

impl Memory {
    /// Whether a change still belongs to what is going on. A plan is carried out a moment after it was made, and a command
    /// may have begun another promotion in between.
    pub fn admits(&self, change: &Change) -> Result<(), String> {
        let present = self.promotion.as_ref();
        let stale = |id: u64| match present {
            Some(promotion) if promotion.id == id => Ok(()),
            Some(promotion) => Err(format!("the promotion of {} has taken its place", promotion.to)),
            None => Err("that promotion is over".to_owned()),
        };
        match change {
            Change::Promote(next) => match present {
                Some(promotion) if promotion.requested => Err(format!(
                    "the promotion of {} can only go forward any more",
                    promotion.to
                )),
                Some(promotion) if !next.forced || next.automatic => {
                    Err(format!("the promotion of {} is under way", promotion.to))
                }
                Some(_) | None => Ok(()),
            },
            Change::Requested { id, .. }
            | Change::CatchUp { id, .. }
            | Change::Stopping { id, .. }
            | Change::Awaits { id, .. }
            | Change::Killed(id) => stale(*id),
            Change::Promoted(result) if present.is_some() => stale(result.id),
            _ => Ok(()),
        }
    }

    /// Applies a change that concerns a promotion.
    pub(super) fn promote(&mut self, change: Change) {
        match change {
            Change::Promote(promotion) => self.promotion = Some(promotion),
            Change::Fenced(member) => self.amend(|p| p.fenced |= p.from == member),
            // A checkpoint may outlast the promotion that asked for it.
            Change::Checkpointed(id) => self.amend(|p| p.checkpointed |= p.id == id),
            Change::Stopping { at, .. } => self.amend(|p| {
                p.stopping_since.get_or_insert(at);
            }),
            Change::Awaits { at, .. } => self.amend(|p| {
                p.awaits_since.get_or_insert(at);
            }),
            Change::Killed(_) => self.amend(|p| p.killed = true),
            Change::CatchUp { via, .. } => self.amend(|p| p.via = Some(via)),
            Change::Requested { loss, at, .. } => self.amend(|p| {
                p.requested = true;
                p.sent_at = at;
                p.loss = Some(loss);
            }),
            Change::Promoted(result) => self.promoted(result),
            _ => {}
        }
    }

    fn amend(&mut self, change: impl FnOnce(&mut Promotion)) {
        if let Some(promotion) = self.promotion.as_mut() {
            change(promotion);
        }
    }

    fn promoted(&mut self, result: PromotionResult) {
        let promotion = self.promotion.take();
        if result.succeeded {
            self.primary = Some(result.to.clone());
            self.term += 1;
            self.change_reseed(&result.to, |state| state.ended = Some(result.at));
            self.starts.remove(&result.to);
            // What was known of the old primary's log is not said of the new one's.
            self.history.noted = None;
            self.history.diverged.remove(&result.to);
            if let Some(promotion) = promotion {
                // As a replica it starts with a clean slate.
                self.starts.remove(&promotion.from);
                // Who has not followed onto the new timeline may lack writes that it holds.
                if let Some((timeline, _)) = self.high_water.as_mut() {
                    *timeline = promotion.start_timeline.saturating_add(1).max(*timeline);
                }
            }
        }
        self.sync.promoted(result.succeeded);
        self.last_promotion = Some(result);
    }
}
