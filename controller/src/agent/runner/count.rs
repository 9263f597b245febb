//! What a resource does, for those who count.

use std::fmt::Debug;

use tokio::time::Instant;

use super::{Inner, Kind, Reads, Writes};
use crate::kinds::Milestone;

impl<K: Kind, H: Reads + Writes + Debug + 'static> Inner<K, H> {
    /// Counts a milestone. Since when nobody accepts writes, from then on.
    pub(super) fn count(&self, milestone: Milestone<'_>, stopped: Option<Instant>) -> Option<Instant> {
        let metrics = &self.shared.metrics;
        match milestone {
            Milestone::Reseed(member) => metrics.reseeded(&self.key.1, member),
            Milestone::WritesStop => return stopped.or(Some(Instant::now())),
            Milestone::Promoted(succeeded) => {
                let outage = stopped.filter(|_| succeeded).map(|since| since.elapsed());
                metrics.switched(&self.key.1, succeeded, outage);
                return None;
            }
        }
        stopped
    }

    /// Its kind and name.
    pub(super) fn name(&self) -> (&str, &str) {
        (&self.key.0, &self.key.1)
    }
}
