//! How long a step that failed is left alone. Per step, so that one member's trouble keeps nobody else waiting.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(60);

/// The steps of one resource that failed lately.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: BTreeMap<String, (u32, Instant)>,
}

impl Backoff {
    /// A step failed: it is left alone for 250 ms, then twice as long each time, up to a minute.
    pub fn failed(&mut self, step: &str) -> Duration {
        let (count, not_before) = self.failures.entry(step.to_owned()).or_insert((0, Instant::now()));
        let pause = FIRST.saturating_mul(1 << (*count).min(16)).min(LONGEST);
        *count += 1;
        *not_before = Instant::now() + pause;
        pause
    }

    /// A step succeeded.
    pub fn succeeded(&mut self, step: &str) {
        self.failures.remove(step);
    }

    /// The wanted state changed: all is worth a new try.
    pub fn clear(&mut self) {
        self.failures.clear();
    }

    /// How long a step is still left alone.
    pub fn pause(&self, step: &str) -> Option<Duration> {
        let (_, not_before) = self.failures.get(step)?;
        not_before
            .checked_duration_since(Instant::now())
            .filter(|d| !d.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, FIRST, LONGEST};

    #[tokio::test(start_paused = true)]
    async fn the_pause_doubles_up_to_a_minute_and_ends_with_success() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.failed("start"), FIRST);
        assert_eq!(backoff.failed("start"), FIRST * 2);
        assert!(backoff.pause("start").is_some() && backoff.pause("stop").is_none());
        for _ in 0..40 {
            backoff.failed("start");
        }
        assert_eq!(backoff.failed("start"), LONGEST);
        backoff.succeeded("start");
        assert!(backoff.pause("start").is_none());
    }
}
