//! What is kept of one resource.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kinds::undeclared::Kept;
use crate::model::status::{Condition, Event};

/// How many events are kept per resource: the oldest go first.
const EVENTS_KEPT: usize = 200;

/// One resource: the last good spec, and what cannot be derived from the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The uid that the resource's objects carry.
    pub uid: String,
    /// Grows with every change of the spec.
    pub generation: u64,
    /// The last spec that was valid.
    pub spec: Value,
    /// The texts of the files in the folders that it names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// The manifest's labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The manifest's annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// The file that it was read from.
    #[serde(default)]
    pub file: String,
    /// The line that its document begins on.
    #[serde(default)]
    pub line: u32,
    /// The number of the claim on it that this agent made or held last; what is remembered is from its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<HeldClaim>,
    /// What it had when its document went from the manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// Whether it is left alone.
    #[serde(default)]
    pub paused: bool,
    /// Its requested deletion.
    #[serde(default)]
    pub deleting: Option<Deleting>,
    /// The conditions of the last pass, for the times of their last flips.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// What happened, oldest first.
    #[serde(default)]
    pub events: Vec<Event>,
    /// The kind's own memory.
    #[serde(default)]
    pub memory: Value,
}

/// A claim of this agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldClaim {
    /// Its number.
    pub token: String,
    /// Whether it was seen on the engine; before that it may not have been made.
    pub seen: bool,
}

/// A requested deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deleting {
    /// Whether the volumes and passwords go too.
    pub purge_data: bool,
}

impl Record {
    /// A resource of which nothing is known yet.
    pub fn new(kind: &str, name: &str, uid: &str) -> Self {
        Record {
            kind: kind.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            generation: 0,
            spec: Value::Null,
            files: BTreeMap::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            file: String::new(),
            line: 0,
            claim: None,
            kept: None,
            paused: false,
            deleting: None,
            conditions: Vec::new(),
            events: Vec::new(),
            memory: Value::Null,
        }
    }

    /// Notes that something happened. The same thing again counts up, as in Kubernetes.
    pub fn note(&mut self, kind: &str, reason: &str, message: &str, now: i64) {
        let sequence = self.events.iter().map(|e| e.sequence).max().unwrap_or(0) + 1;
        let same = |e: &Event| e.reason == reason && e.message == message;
        if let Some(at) = self.events.iter().position(same) {
            let mut event = self.events.remove(at);
            event.count += 1;
            event.last_time = now;
            event.sequence = sequence;
            self.events.push(event);
            return;
        }
        self.events.push(Event {
            sequence,
            kind: kind.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            count: 1,
            first_time: now,
            last_time: now,
        });
        let surplus = self.events.len().saturating_sub(EVENTS_KEPT);
        self.events.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::{EVENTS_KEPT, Record};

    #[test]
    fn the_same_event_counts_up_and_moves_to_the_end() {
        let mut record = Record::new("PostgresCluster", "pg", "u");
        record.note("Normal", "Started", "a", 1);
        record.note("Normal", "Started", "b", 2);
        record.note("Normal", "Started", "a", 3);
        let seen: Vec<_> = record
            .events
            .iter()
            .map(|e| (e.message.as_str(), e.count, e.sequence))
            .collect();
        assert_eq!(seen, [("b", 1, 2), ("a", 2, 3)]);
        assert_eq!((record.events[1].first_time, record.events[1].last_time), (1, 3));
    }

    #[test]
    fn old_events_make_room() {
        let mut record = Record::new("PostgresCluster", "pg", "u");
        for n in 0..EVENTS_KEPT + 5 {
            record.note("Normal", "Started", &n.to_string(), 0);
        }
        assert_eq!(record.events.len(), EVENTS_KEPT);
        assert_eq!(record.events[0].message, "5");
    }
}
