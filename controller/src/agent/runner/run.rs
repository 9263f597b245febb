//! What the agent asks of a resource of whatever kind.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tracing::info;

use super::{HostError, Kind, Reads, Request, Runner, Writes};
use crate::agent::view::{PlanView, ReplyView, ResourceView};
use crate::manifest::load::Document;
use crate::store::Deleting;

/// What the manifests say of a resource at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declared {
    /// It is declared, and the record holds it.
    Valid,
    /// Its document is wrong; the last good one stays in force.
    Invalid(String),
    /// Its file cannot be read; the last good state stays in force.
    Unreadable(String),
    /// No document declares it any more.
    Orphaned,
}

/// A future of this one thread.
pub type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What the agent asks of a resource of whatever kind.
pub trait Run: Debug {
    /// Looks, plans, and begins what is to be done.
    fn pass(&self) -> Local<'_, ()>;
    /// Something happened to its objects. A look that is under way may wait for a server that has just ended, and is begun
    /// anew then.
    fn wake(&self, has_ended: bool);
    /// Waits for a pass that begins after now.
    fn fresh(&self) -> Local<'_, ()>;
    /// The uid of its objects; empty until it is known.
    fn uid(&self) -> String;
    /// Takes a valid document.
    fn declare(&self, document: &Document);
    /// Says what became of its document.
    fn declared(&self, state: Declared);
    /// Where its document was last read.
    fn file(&self) -> String;
    /// What to tell of it.
    fn view(&self) -> ResourceView;
    /// What the last pass planned.
    fn plan(&self) -> PlanView;
    /// Answers a request, on what the last pass saw.
    fn request(&self, request: &Request) -> ReplyView;
    /// Leaves it alone, or not any more.
    fn set_paused(&self, paused: bool) -> Result<(), HostError>;
    /// Takes it from another agent that does not run, or says why not.
    fn take_over(&self, force: bool) -> Local<'_, Result<String, String>>;
    /// Begins its deletion, or says why not.
    fn delete(&self, purge_data: bool) -> Result<(), String>;
    /// Writes its record anew.
    fn keep(&self) -> Result<(), HostError>;
    /// Whether its deletion is over.
    fn is_gone(&self) -> bool;
}

impl<K: Kind, H: Reads + Writes + Debug + 'static> Run for Runner<K, H> {
    fn pass(&self) -> Local<'_, ()> {
        Box::pin(self.0.pass())
    }

    fn fresh(&self) -> Local<'_, ()> {
        Box::pin(async {
            let goal = self.0.started.get() + 1;
            let mut completed = self.0.completed.subscribe();
            self.0.shared.queue.wake(&self.0.key, Duration::ZERO);
            // A pass has deadlines of its own; whoever asked rather hears something old than nothing.
            let _ = tokio::time::timeout(Duration::from_secs(5), completed.wait_for(|done| *done >= goal)).await;
        })
    }

    fn wake(&self, has_ended: bool) {
        if has_ended {
            self.0.interrupt.notify_waiters();
        }
        self.0.shared.queue.wake(&self.0.key, Duration::ZERO);
    }

    fn uid(&self) -> String {
        self.0.state.borrow().record.uid.clone()
    }

    fn file(&self) -> String {
        self.0.state.borrow().record.file.clone()
    }

    fn declare(&self, document: &Document) {
        self.0.declare(document);
    }

    fn declared(&self, declared: Declared) {
        let mut state = self.0.state.borrow_mut();
        if state.declared != declared {
            state.declared = declared;
            drop(state);
            self.0.shared.queue.wake(&self.0.key, Duration::ZERO);
        }
    }

    fn view(&self) -> ResourceView {
        self.0.state.borrow().view()
    }

    fn plan(&self) -> PlanView {
        let state = self.0.state.borrow();
        PlanView {
            kind: self.0.key.0.clone(),
            name: self.0.key.1.clone(),
            steps: state.plan.differences().map(ToString::to_string).collect(),
            notes: state.plan.notes.iter().map(ToString::to_string).collect(),
        }
    }

    fn request(&self, request: &Request) -> ReplyView {
        self.0.answer(request)
    }

    fn set_paused(&self, paused: bool) -> Result<(), HostError> {
        let mut state = self.0.state.borrow_mut();
        state.record.paused = paused;
        state.note("Normal", if paused { "Paused" } else { "Resumed" }, "on request");
        self.0.save(&mut state)?;
        drop(state);
        self.0.shared.queue.wake(&self.0.key, Duration::ZERO);
        Ok(())
    }

    fn take_over(&self, force: bool) -> Local<'_, Result<String, String>> {
        Box::pin(self.0.take_over(force))
    }

    fn delete(&self, purge_data: bool) -> Result<(), String> {
        if let Some(why) = self.0.scene(K::holds).flatten().filter(|_| !purge_data) {
            return Err(why);
        }
        let mut state = self.0.state.borrow_mut();
        if let Some(why) = state.refusal() {
            return Err(why.to_owned());
        }
        if state.declared != Declared::Orphaned {
            let place = format!("{}:{}", state.record.file, state.record.line);
            return Err(format!(
                "it is declared in {place} and would come back at once; take the document out of the manifests first"
            ));
        }
        state.record.deleting = Some(Deleting { purge_data });
        self.0.save(&mut state).map_err(|e| e.to_string())?;
        self.0.shared.meet(super::peer::<K>(&state.record), K::IS_ONLOOKER);
        drop(state);
        info!(name = self.0.key.1, purge_data, "deletion was requested");
        self.0.shared.queue.wake(&self.0.key, Duration::ZERO);
        Ok(())
    }

    fn keep(&self) -> Result<(), HostError> {
        let mut state = self.0.state.borrow_mut();
        if state.record.uid.is_empty() || state.is_gone {
            return Ok(());
        }
        state.note(
            "Warning",
            "StateRestored",
            "the state directory was lost under the agent, and is written anew",
        );
        self.0.save(&mut state)
    }

    fn is_gone(&self) -> bool {
        self.0.state.borrow().is_gone
    }
}
