//! How long a step that failed is left alone. Per step, so that one member's trouble keeps nobody else waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::plan::{Note, Plan};

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(60);

/// How long a repair that did not help is left alone at first.
const REPAIR: Duration = Duration::from_secs(5);

/// So often may the same step succeed without a pause in between: more is a loop that leads nowhere.
const REPEATS: u32 = 8;
/// A step that was not taken for this long starts to count anew.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// The steps of one resource that failed lately, or were taken over and over again.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: BTreeMap<String, (u32, Instant)>,
    reasons: BTreeMap<String, String>,
    repeats: BTreeMap<String, (u32, Instant)>,
}

impl Backoff {
    /// A step failed: it is left alone for 250 ms, then twice as long each time, up to a minute.
    pub fn failed(&mut self, step: &str, why: &str) -> Duration {
        self.reasons.insert(step.to_owned(), why.to_owned());
        let (count, not_before) = self.failures.entry(step.to_owned()).or_insert((0, Instant::now()));
        let pause = FIRST.saturating_mul(1 << (*count).min(16)).min(LONGEST);
        *count += 1;
        *not_before = Instant::now() + pause;
        pause
    }

    /// A step succeeded. One that does so again and again has no effect, and is slowed down like a failure.
    pub fn succeeded(&mut self, step: &str) {
        self.repeated(step, REPEATS, FIRST);
    }

    /// The same of a step that puts right what keeps the agent out. It helps at once or not at all, and its like disturbs
    /// whoever else logs in.
    pub fn repaired(&mut self, step: &str) {
        self.repeated(step, 1, REPAIR);
    }

    fn repeated(&mut self, step: &str, free: u32, first: Duration) {
        self.failures.remove(step);
        self.reasons.remove(step);
        let now = Instant::now();
        self.repeats
            .retain(|_, (_, last)| now.duration_since(*last) < FORGOTTEN.max(LONGEST * 2));
        let (count, last) = self.repeats.entry(step.to_owned()).or_insert((0, now));
        let pause = first
            .saturating_mul(1 << count.saturating_sub(free).min(16))
            .min(LONGEST);
        *count = if now.duration_since(*last) < FORGOTTEN.max(pause * 2) {
            *count + 1
        } else {
            1
        };
        *last = now;
        if *count > free {
            self.failures.insert(step.to_owned(), (0, now + pause));
        }
    }

    /// All was as wanted: the same steps again are no loop, but another disturbance.
    pub fn settled(&mut self) {
        self.repeats.clear();
    }

    /// The wanted state changed: all is worth a new try.
    pub fn clear(&mut self) {
        self.failures.clear();
        self.reasons.clear();
        self.repeats.clear();
    }

    /// The steps that are left alone because they failed, and why.
    pub fn failing(&self) -> impl Iterator<Item = (&String, &String)> {
        self.reasons.iter()
    }

    /// Forgets failures of steps that nobody plans any more.
    pub fn retain(&mut self, planned: impl Fn(&str) -> bool) {
        self.reasons.retain(|step, _| planned(step));
    }

    /// How long a step is still left alone.
    pub fn pause(&self, step: &str) -> Option<Duration> {
        let (_, not_before) = self.failures.get(step)?;
        not_before
            .checked_duration_since(Instant::now())
            .filter(|d| !d.is_zero())
    }
}

/// How soon a wait that no event ends is looked at first: streaming begins, a lag falls, a slot becomes active.
const SOON: Duration = Duration::from_millis(100);
/// How often it is looked at in the end. A resource that nothing wakes is looked at as often anyway.
const SELDOM: Duration = Duration::from_secs(5);

/// For how long a plan has waited for the same, and how soon it is to be looked at again.
#[derive(Debug, Default)]
pub struct Patience {
    waiting: BTreeSet<String>,
    looks: u32,
    was_busy: bool,
}

impl Patience {
    /// How soon to look again at what a plan waits for. `None` when it waits for nothing.
    pub fn next<C>(&mut self, plan: &Plan<C>) -> Option<Duration> {
        let subjects = plan.notes.iter().filter_map(|note| match note {
            Note::Waiting { subject, .. } => Some(subject.clone()),
            Note::Blocked { .. } | Note::NeedsConfirmation { .. } => None,
        });
        let waiting: BTreeSet<String> = subjects.collect();
        let begins = !plan.is_idle() && !self.was_busy;
        self.looks = if waiting == self.waiting && !begins {
            self.looks + 1
        } else {
            0
        };
        (self.waiting, self.was_busy) = (waiting, !plan.is_idle());
        let pause = SOON.saturating_mul(1 << (self.looks / 4).min(16));
        (!self.waiting.is_empty() && pause < SELDOM).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, FIRST, LONGEST, Patience, SOON};
    use crate::model::plan::Plan;

    #[test]
    fn what_is_waited_for_is_looked_at_soon_and_then_less_and_less_often() {
        let mut patience = Patience::default();
        let mut plan = Plan::<()>::default();
        assert_eq!(patience.next(&plan), None, "nothing is waited for");
        plan.wait("replica-1", "it streams, and is 5 B behind");
        let mut total = std::time::Duration::ZERO;
        let mut looks = 0;
        assert_eq!(patience.next(&plan), Some(SOON));
        while let Some(pause) = patience.next(&plan) {
            total += pause;
            looks += 1;
        }
        assert!(looks < 30 && total > 60 * SOON, "{looks} looks in {total:?}");
        plan.wait("replica-2", "it does not stream from master yet");
        assert_eq!(patience.next(&plan), Some(SOON), "another one is waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_doubles_up_to_a_minute_and_ends_with_success() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.failed("start", "no"), FIRST);
        assert_eq!(backoff.failed("start", "no"), FIRST * 2);
        assert!(backoff.pause("start").is_some() && backoff.pause("stop").is_none());
        for _ in 0..40 {
            backoff.failed("start", "no");
        }
        assert_eq!(backoff.failed("start", "no"), LONGEST);
        backoff.succeeded("start");
        assert!(backoff.pause("start").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_repair_that_does_not_help_is_tried_again_only_later() {
        let mut backoff = Backoff::default();
        backoff.repaired("reset");
        assert!(
            backoff.pause("reset").is_none(),
            "who disturbs it once more is answered at once"
        );
        backoff.repaired("reset");
        assert!(backoff.pause("reset").is_some_and(|pause| pause >= super::REPAIR));
        backoff.settled();
        tokio::time::advance(LONGEST).await;
        backoff.repaired("reset");
        assert!(backoff.pause("reset").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_succeeds_without_effect_is_slowed_down() {
        let mut backoff = Backoff::default();
        for _ in 0..super::REPEATS {
            backoff.succeeded("deliver");
            assert!(backoff.pause("deliver").is_none());
        }
        backoff.succeeded("deliver");
        assert!(backoff.pause("deliver").is_some());
        backoff.settled();
        tokio::time::advance(LONGEST).await;
        backoff.succeeded("deliver");
        assert!(backoff.pause("deliver").is_none());
    }
}
