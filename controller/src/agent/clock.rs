//! What time it is. One value that is handed around, so that a test's agent lives in the test's own time.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Tells the seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The machine's own clock.
    Machine,
    /// A clock that showed `at` seconds since the epoch at `start`, and runs as fast as the runtime's timers.
    Runtime {
        /// When it was set.
        start: Instant,
        /// What it was set to.
        at: i64,
    },
}

impl Clock {
    /// Seconds since the epoch. The only clock that decisions see.
    pub fn now(self) -> i64 {
        match self {
            Clock::Machine => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
            }
            Clock::Runtime { start, at } => at.saturating_add_unsigned(start.elapsed().as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Clock;

    #[tokio::test(start_paused = true)]
    async fn a_clock_of_the_runtime_follows_its_timers() {
        let clock = Clock::Runtime {
            start: tokio::time::Instant::now(),
            at: 1_000,
        };
        assert_eq!(clock.now(), 1_000);
        tokio::time::advance(Duration::from_millis(2_500)).await;
        assert_eq!(clock.now(), 1_002);
    }
}
