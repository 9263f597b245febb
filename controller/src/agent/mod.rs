//! The agent: wakes resources, lets each look, plan and act, and keeps what has to be remembered.
//!
//! One thread. An event (an edit, an event of the engine, a timer, a command) wakes a resource's key and carries
//! nothing else; every pass looks at the world again. `queue` says whose turn it is, `runner` holds one resource and
//! makes its passes, `manifests` turns files into wanted resources, `watch` hears of edits.

pub mod backoff;
pub mod clock;
pub mod lateness;
pub mod manifests;
pub mod metrics;
pub mod peers;
pub mod queue;
pub mod runner;
pub mod view;
pub mod watch;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tracing::{info, warn};

use self::clock::Clock;
use self::lateness::Lateness;
use self::metrics::{Metrics, Present};
use self::peers::Faces;
use self::queue::Queue;
use self::runner::{Run, Runner};
use self::view::ResourceView;
use crate::host::docker::EngineEvent;
use crate::host::{Reads, Writes};
use crate::kinds::Kind as _;
use crate::kinds::monitoring::Monitoring;
use crate::kinds::postgres::Postgres;
use crate::manifest::diagnostic::Diagnostic;
use crate::store::{Record, SecretFiles, Store, StoreError};

/// How often the state directory is looked at when nothing else happens.
const STATE_LOOK: Duration = Duration::from_secs(5);

/// Kind and name of a resource.
pub type Key = (String, String);

/// What all resources share.
#[derive(Debug)]
pub struct Shared<H> {
    /// The engine and the databases.
    pub host: H,
    /// Durable memory.
    pub store: Store,
    /// Passwords.
    pub secrets: Rc<SecretFiles>,
    /// What time it is.
    pub clock: Clock,
    /// How late this process has been.
    pub lateness: Lateness,
    /// Whose turn it is.
    pub queue: Queue,
    /// What is counted.
    pub metrics: Metrics,
    /// What resources show to each other.
    pub faces: Faces,
    /// Passes made since the start.
    pub passes: Cell<u64>,
}

/// The agent.
#[derive(Debug)]
pub struct Agent<H> {
    /// What all resources share.
    pub shared: Rc<Shared<H>>,
    /// Where the manifests are.
    pub paths: Vec<PathBuf>,
    runners: RefCell<BTreeMap<Key, Rc<dyn Run>>>,
    diagnostics: RefCell<Vec<Diagnostic>>,
    missing: RefCell<Option<String>>,
}

impl<H: Reads + Writes + std::fmt::Debug + 'static> Agent<H> {
    /// An agent with the resources that its store remembers, in the machine's time.
    pub fn new(host: H, store: Store, secrets: Rc<SecretFiles>, paths: Vec<PathBuf>) -> Result<Rc<Self>, StoreError> {
        Agent::at(Clock::Machine, host, store, (secrets, paths))
    }

    /// An agent that lives in the time of `clock`.
    pub fn at(
        clock: Clock,
        host: H,
        store: Store,
        (secrets, paths): (Rc<SecretFiles>, Vec<PathBuf>),
    ) -> Result<Rc<Self>, StoreError> {
        let (records, damaged) = store.load()?;
        for text in damaged {
            warn!("{text}");
        }
        let shared = Rc::new(Shared {
            host,
            store,
            secrets,
            clock,
            lateness: Lateness::default(),
            queue: Queue::default(),
            metrics: Metrics::default(),
            faces: Faces::default(),
            passes: Cell::new(0),
        });
        let agent = Rc::new(Agent {
            shared,
            paths,
            runners: RefCell::default(),
            diagnostics: RefCell::default(),
            missing: RefCell::default(),
        });
        for record in records {
            agent.install(record);
        }
        Ok(agent)
    }

    /// Makes passes for whoever's turn it is, until the state directory is lost: then this is why.
    pub async fn run(self: Rc<Self>) -> String {
        if self.shared.clock == Clock::Machine {
            let shared = Rc::clone(&self.shared);
            tokio::task::spawn_local(async move { shared.lateness.measure().await });
        }
        loop {
            if let Err(why) = self.keep_state() {
                return why;
            }
            for key in self.shared.queue.start_due() {
                let runner = self.runners.borrow().get(&key).cloned();
                let agent = Rc::clone(&self);
                tokio::task::spawn_local(async move {
                    if let Some(runner) = runner {
                        runner.pass().await;
                        if runner.is_gone() {
                            agent.forget(&key);
                        }
                    }
                    agent.shared.queue.finished(&key);
                });
            }
            // Without any resource nothing is ever due.
            let _ = tokio::time::timeout(STATE_LOOK, self.shared.queue.wait()).await;
        }
    }

    /// Sees to it that the state directory is there, and writes all that is known into it where it is another one.
    fn keep_state(&self) -> Result<(), String> {
        let is_new = self.shared.store.mend().map_err(|error| error.to_string())?;
        if !is_new {
            return Ok(());
        }
        let dir = self.shared.store.dir().display().to_string();
        warn!("the state directory {dir} was removed or replaced; what is known is written anew");
        let written = self.shared.secrets.write_back();
        written.map_err(|error| format!("cannot write passwords into {dir}: {error}"))?;
        for runner in self.runners() {
            runner.keep().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Wakes the resource whose object something happened to; all of them when it is not known whose object it was.
    pub fn hear(&self, event: &EngineEvent) {
        for runner in self.runners.borrow().values() {
            if event.uid.as_ref().is_none_or(|uid| runner.uid() == *uid) {
                runner.wake(event.is_end());
            }
        }
    }

    /// Wakes all resources.
    pub fn wake_all(&self) {
        for runner in self.runners.borrow().values() {
            runner.wake(false);
        }
    }

    /// Sets a resource up and wakes it.
    fn install(&self, record: Record) {
        let key = (record.kind.clone(), record.name.clone());
        let runner: Rc<dyn Run> = match key.0.as_str() {
            Postgres::NAME => Rc::new(Runner::<Postgres, H>::new(Rc::clone(&self.shared), record)),
            Monitoring::NAME => Rc::new(Runner::<Monitoring, H>::new(Rc::clone(&self.shared), record)),
            other => {
                warn!(
                    kind = other,
                    name = key.1,
                    "the record's kind is not known; it is left alone"
                );
                return;
            }
        };
        self.runners.borrow_mut().insert(key.clone(), runner);
        self.shared.queue.wake(&key, Duration::ZERO);
    }

    fn forget(&self, key: &Key) {
        if let Err(error) = self.shared.store.remove(&key.0, &key.1) {
            warn!(%error, "a deleted resource's record stays");
            return;
        }
        self.runners.borrow_mut().remove(key);
        self.shared.part(key);
        info!(kind = key.0, name = key.1, "deleted");
        // It may be declared again meanwhile.
        if !self.paths.is_empty() {
            self.rescan();
        }
    }

    /// The runner of a resource.
    pub fn runner(&self, key: &Key) -> Option<Rc<dyn Run>> {
        self.runners.borrow().get(key).cloned()
    }

    /// All runners, by kind and name.
    pub fn runners(&self) -> Vec<Rc<dyn Run>> {
        self.runners.borrow().values().cloned().collect()
    }

    /// The metrics, as a scrape gets them.
    pub fn metrics(&self) -> String {
        let resources: Vec<ResourceView> = self.runners().iter().map(|runner| runner.view()).collect();
        self.shared.metrics.text(Present {
            resources: &resources,
            queue_depth: self.shared.queue.depth(),
            problems: self.problems().len(),
        })
    }

    /// What is wrong with the manifests, in words.
    pub fn problems(&self) -> Vec<String> {
        let missing = self.missing.borrow().clone();
        let diagnostics = self.diagnostics.borrow();
        missing
            .into_iter()
            .chain(diagnostics.iter().map(ToString::to_string))
            .collect()
    }
}
