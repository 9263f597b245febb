//! Places in the write-ahead log, and what proves that a log has come to one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::lsn::Lsn;

/// A position on a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Place {
    /// The timeline.
    pub timeline: u32,
    /// The position.
    pub lsn: Lsn,
}

impl Place {
    /// A position on a timeline.
    pub fn new(timeline: u32, lsn: Lsn) -> Self {
        Place { timeline, lsn }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on timeline {}", self.lsn, self.timeline)
    }
}

/// A place that a primary's log had come to on its disk, with what tells its contents from any other log's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mark {
    /// The place.
    pub place: Place,
    /// The hash of what precedes it on its page, or of the page before; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

/// What is asked of the log on the disk of a server that does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuestion {
    /// The data directory in the container.
    pub pgdata: String,
    /// The last checkpoint, as the control file names it.
    pub checkpoint: Place,
    /// How large the pieces of the log are.
    pub segment_bytes: u64,
    /// What the log may have come to.
    pub mark: Mark,
}

/// What the log on a disk says of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It has come there, with those contents.
    Holds,
    /// It ends before.
    Ends(Lsn),
    /// It has come there, with other contents.
    Differs,
}
