//! What is told of a resource: its status with the agent's own conditions, its events, its view.

use std::fmt::Debug;
use std::rc::Rc;
use std::time::Duration;

use super::{Declared, HostError, Inner, Kind, Reads, State, Status, Writes, date_conditions, wanted};
use crate::agent::view::ResourceView;
use crate::manifest::load::Document;
use crate::model::status::{Condition, READY, Truth, condition};

impl<K: Kind> State<K> {
    /// Takes a new status, with what the agent itself has to say.
    pub(super) fn tell(&mut self, mut status: Status) {
        for (step, why) in self.backoff.failing() {
            let text = format!("{step}: failed, {why}; it is tried again");
            if let Some(ready) = status.conditions.first_mut().filter(|c| c.status == Truth::False) {
                ready.message = format!("{}; {text}", ready.message);
            }
            status.notes.push(text);
        }
        if status.is_ready() {
            self.backoff.settled();
        }
        status.conditions.push(self.manifest());
        if self.record.paused {
            let message = format!("nothing is done until `reconciler resume {}`", self.record.name);
            status
                .conditions
                .push(condition("Paused", true, "OnRequest", message.clone()));
            status.notes.insert(0, format!("paused: {message}"));
        }
        date_conditions(&mut status.conditions, &self.status.conditions, self.clock.now());
        let facts = |conditions: &[Condition]| -> Vec<(String, Truth, String)> {
            conditions
                .iter()
                .map(|c| (c.kind.clone(), c.status, c.reason.clone()))
                .collect()
        };
        if facts(&status.conditions) != facts(&self.status.conditions) {
            self.is_dirty = true;
            self.announce(&status);
        }
        self.status = status;
    }

    /// A condition that is not as it should be is an event, so that it can be read when it is over.
    fn announce(&mut self, status: &Status) {
        let Some(ready) = status.condition(READY) else {
            return;
        };
        let before = self.status.condition(READY).map(|c| (c.status, c.reason.clone()));
        if before == Some((ready.status, ready.reason.clone())) || ready.reason == "Progressing" {
            return;
        }
        let kind = if ready.status == Truth::True {
            "Normal"
        } else {
            "Warning"
        };
        let text = format!("Ready is {:?}: {}", ready.status, ready.message);
        tracing::info!(name = self.record.name, "{text}");
        self.note(kind, &ready.reason, &text);
    }

    fn manifest(&self) -> Condition {
        const KIND: &str = "ManifestAccepted";
        match &self.declared {
            Declared::Valid => condition(
                KIND,
                true,
                "Valid",
                format!(
                    "{}:{}, generation {}",
                    self.record.file, self.record.line, self.record.generation
                ),
            ),
            Declared::Invalid(why) => condition(
                KIND,
                false,
                "Invalid",
                format!("the last good manifest stays in force: {why}"),
            ),
            Declared::Unreadable(why) => condition(
                KIND,
                false,
                "Unreadable",
                format!("the last good manifest stays in force: {why}"),
            ),
            Declared::Orphaned => {
                let me = format!("{}/{}", self.record.kind, self.record.name);
                let message =
                    format!("no manifest declares it any more; it keeps running. `reconciler delete {me}` removes it");
                condition(KIND, false, "Orphaned", message)
            }
        }
    }

    /// Notes an event, to be written later.
    pub(super) fn note(&mut self, kind: &str, reason: &str, message: &str) {
        self.record.note(kind, reason, message, self.clock.now());
        self.is_dirty = true;
    }

    /// What to tell of it.
    pub(super) fn view(&self) -> ResourceView {
        let record = &self.record;
        ResourceView {
            kind: record.kind.clone(),
            name: record.name.clone(),
            uid: record.uid.clone(),
            generation: record.generation,
            labels: record.labels.clone(),
            annotations: record.annotations.clone(),
            declared: format!("{}:{}", record.file, record.line),
            paused: record.paused,
            deleting: record.deleting,
            spec: record.spec.clone(),
            status: self.status.clone(),
            events: record.events.clone(),
        }
    }
}

impl<K: Kind, H: Reads + Writes + Debug + 'static> Inner<K, H> {
    /// Nothing was seen: nothing is done, and the status says so.
    pub(super) fn cannot_see(self: &Rc<Self>, error: HostError) {
        let mut state = self.state.borrow_mut();
        let message = error.to_string();
        let mut status = state.status.clone();
        status
            .conditions
            .retain(|c| c.kind != "ManifestAccepted" && c.kind != "Paused");
        if status.condition(READY).is_none() {
            status
                .conditions
                .insert(0, condition(READY, false, "EngineUnreachable", ""));
        }
        for condition in &mut status.conditions {
            if condition.kind != "LastPromotionSucceeded" {
                condition.status = Truth::Unknown;
                condition.reason = "EngineUnreachable".to_owned();
                condition.message.clone_from(&message);
            }
        }
        for member in &mut status.members {
            "unknown".clone_into(&mut member.state);
            member.ready = false;
        }
        status.operation = None;
        status.notes = vec![format!("waiting, {message}; nothing is done meanwhile")];
        if state.blind.is_none() {
            tracing::warn!(name = self.key.1, "{message}");
        }
        state.blind = Some(error);
        state.tell(status);
    }

    /// Takes a valid document: a spec that differs from the recorded one is a new generation.
    pub(super) fn declare(self: &Rc<Self>, document: &Document) {
        let mut state = self.state.borrow_mut();
        let changed = state.record.spec != document.spec || state.record.files != document.files;
        let record = &mut state.record;
        record.kept = None;
        record.file.clone_from(&document.file);
        record.line = document.line;
        record.labels.clone_from(&document.labels);
        record.annotations.clone_from(&document.annotations);
        if changed {
            record.spec = document.spec.clone();
            record.files.clone_from(&document.files);
            record.generation += 1;
            let text = format!(
                "{}:{} is generation {}",
                document.file, document.line, record.generation
            );
            tracing::info!(name = self.key.1, "{text}");
            state.wanted = wanted::<K>(&state.record);
            state.backoff.clear();
            state.note("Normal", "SpecChanged", &text);
            // Lost, it would be read from the manifest again; only the number could repeat.
            if !state.record.uid.is_empty()
                && let Err(error) = self.save(&mut state)
            {
                tracing::warn!(%error, "the new spec is not on disk yet");
            }
        }
        self.shared.meet(super::peer::<K>(&state.record), K::IS_ONLOOKER);
        let woken = changed || state.declared != Declared::Valid;
        state.declared = Declared::Valid;
        drop(state);
        if woken {
            self.shared.queue.wake(&self.key, Duration::ZERO);
        }
    }
}
