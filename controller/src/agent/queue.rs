//! Whose turn it is: keys only, each at most once, one pass per key at a time, the earliest wish wins.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Key;

/// The queue of one agent.
#[derive(Debug, Default)]
pub struct Queue {
    inner: RefCell<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    due: BTreeMap<Key, Instant>,
    running: BTreeSet<Key>,
}

impl Queue {
    /// Asks for a pass of `key` within `delay`. An earlier wish is kept.
    pub fn wake(&self, key: &Key, delay: Duration) {
        let at = Instant::now() + delay;
        let mut inner = self.inner.borrow_mut();
        let due = inner.due.entry(key.clone()).or_insert(at);
        *due = at.min(*due);
        drop(inner);
        self.changed.notify_one();
    }

    /// The keys whose turn it is now. Their passes count as running until they are said to be finished.
    pub fn start_due(&self) -> Vec<Key> {
        let now = Instant::now();
        let mut inner = self.inner.borrow_mut();
        let Inner { due, running } = &mut *inner;
        let started: Vec<Key> = due
            .iter()
            .filter(|(key, at)| **at <= now && !running.contains(*key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &started {
            due.remove(key);
            running.insert(key.clone());
        }
        started
    }

    /// The pass of `key` is over.
    pub fn finished(&self, key: &Key) {
        self.inner.borrow_mut().running.remove(key);
        self.changed.notify_one();
    }

    /// How many keys wait.
    pub fn depth(&self) -> usize {
        self.inner.borrow().due.len()
    }

    /// Waits until it may be somebody's turn.
    pub async fn wait(&self) {
        let next = {
            let inner = self.inner.borrow();
            let waiting = inner.due.iter().filter(|(key, _)| !inner.running.contains(*key));
            waiting.map(|(_, at)| *at).min()
        };
        match next {
            Some(at) => tokio::select! {
                biased;
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(at) => {}
            },
            None => self.changed.notified().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Queue;

    fn key(name: &str) -> (String, String) {
        ("PostgresCluster".to_owned(), name.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_wish_wins() {
        let queue = Queue::default();
        queue.wake(&key("pg"), Duration::from_secs(5));
        queue.wake(&key("pg"), Duration::from_secs(1));
        queue.wake(&key("pg"), Duration::from_secs(9));
        assert!(queue.start_due().is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(queue.start_due(), [key("pg")]);
        assert_eq!(queue.depth(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_runs_waits_for_its_own_end_only() {
        let queue = Queue::default();
        queue.wake(&key("a"), Duration::ZERO);
        assert_eq!(queue.start_due(), [key("a")]);
        queue.wake(&key("a"), Duration::ZERO);
        queue.wake(&key("b"), Duration::ZERO);
        assert_eq!(queue.start_due(), [key("b")]);
        queue.finished(&key("a"));
        queue.wait().await;
        assert_eq!(queue.start_due(), [key("a")]);
    }
}
