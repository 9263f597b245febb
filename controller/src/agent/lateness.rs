//! How late this process itself is. On a starved host a deadline passes before anybody was asked: what was missed in such a
//! while is no news of others.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How often it is measured.
const TICK: Duration = Duration::from_millis(500);
/// What is noticed.
const NOTICED: Duration = Duration::from_millis(250);

/// How long this process got no time when it was to have some, all in all.
#[derive(Debug, Default)]
pub struct Lateness(Cell<Duration>);

impl Lateness {
    /// Measures for ever, by how late timers fire.
    pub async fn measure(&self) {
        loop {
            let due = Instant::now() + TICK;
            sleep_until(due).await;
            self.note(due.elapsed());
        }
    }

    fn note(&self, late: Duration) {
        if late >= NOTICED {
            self.0.set(self.0.get() + late);
        }
    }

    /// The whole seconds that it has been late since `last`, which is moved on by them.
    pub fn since(&self, last: &Cell<Duration>) -> i64 {
        let secs = self.0.get().saturating_sub(last.get()).as_secs();
        last.set(last.get() + Duration::from_secs(secs));
        i64::try_from(secs).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::Lateness;

    #[test]
    fn every_second_late_is_told_to_everybody_once() {
        let lateness = Lateness::default();
        let (one, other) = (Cell::new(Duration::ZERO), Cell::new(Duration::ZERO));
        lateness.note(Duration::from_millis(100));
        assert_eq!(lateness.since(&one), 0, "that is nothing");
        lateness.note(Duration::from_millis(2_600));
        assert_eq!((lateness.since(&one), lateness.since(&one)), (2, 0));
        lateness.note(Duration::from_millis(400));
        assert_eq!((lateness.since(&one), lateness.since(&other)), (1, 3));
    }
}
