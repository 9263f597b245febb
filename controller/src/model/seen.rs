//! Three-valued observation: what was seen, what was seen to be missing, and what could not be seen.

use serde::{Deserialize, Serialize};

/// The result of looking at one thing. Nothing is destroyed, stopped or promoted on [`Seen::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seen<T> {
    /// It was seen, and this is it.
    Known(T),
    /// It was looked for where it would have to be, and it is not there.
    Absent,
    /// It could not be seen; the text says why, in words that a user reads.
    Unknown(String),
}

impl<T> Seen<T> {
    /// The value, if it was seen.
    pub fn known(&self) -> Option<&T> {
        match self {
            Seen::Known(value) => Some(value),
            Seen::Absent | Seen::Unknown(_) => None,
        }
    }

    /// Whether the thing is known to be missing. `false` for [`Seen::Unknown`]: missing data is not absence.
    pub fn is_absent(&self) -> bool {
        matches!(self, Seen::Absent)
    }

    /// Why it could not be seen, if so.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Seen::Unknown(why) => Some(why),
            Seen::Known(_) | Seen::Absent => None,
        }
    }
}

impl<T> Default for Seen<T> {
    /// Nothing was looked at yet, so nothing is known.
    fn default() -> Self {
        Seen::Unknown("not looked at".to_owned())
    }
}
