//! One resource: its record, what was seen of it last, and its passes. A pass looks, plans and begins the chains of the
//! plan; it does not wait for them, so that a member that takes a minute to stop keeps no other waiting.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::warn;

use super::backoff::{Backoff, Patience};
use super::clock::Clock;
use super::view::ReplyView;
use super::{Key, Shared};
use crate::host::{FailureKind, HostError, Reads, Writes};
use crate::kinds::peers::Peer;
use crate::kinds::{Identity, Kind, Look, Request, Scene, undeclared};
use crate::model::Seen;
use crate::model::plan::{Action, Plan};
use crate::model::status::{Status, date_conditions};
use crate::store::Record;

mod act;
mod claim;
mod count;
mod leave;
mod news;
mod run;
mod told;
mod uid;

pub use claim::HELD_BY_ANOTHER;
pub use run::{Declared, Local, Run};

use claim::Standing;
use uid::random_hex;

/// How often a resource is looked at when nothing wakes it: a dropped slot or a changed role raises no event.
const RESYNC: Duration = Duration::from_secs(5);
/// How often what is costly to look at is looked at.
const DEEP: Duration = Duration::from_secs(60);
/// How soon to look again when the engine could not be reached.
const BLIND: Duration = Duration::from_secs(1);

/// A resource of one kind.
#[derive(Debug)]
pub struct Runner<K: Kind, H>(Rc<Inner<K, H>>);

#[derive(Debug)]
struct Inner<K: Kind, H> {
    shared: Rc<Shared<H>>,
    key: Key,
    state: RefCell<State<K>>,
    started: Cell<u64>,
    completed: watch::Sender<u64>,
    /// A process has ended: a look that is under way may wait for it.
    interrupt: Notify,
    /// How late the agent had been, all in all, at the last look.
    late: Cell<Duration>,
}

#[derive(Debug)]
struct State<K: Kind> {
    clock: Clock,
    record: Record,
    wanted: Result<Rc<K::Wanted>, String>,
    memory: K::Memory,
    observed: Rc<K::Observed>,
    /// Why nothing was seen in the last pass.
    blind: Option<HostError>,
    declared: Declared,
    status: Status,
    plan: Plan<K::Change>,
    /// Lanes of chains under way, and how many of each.
    busy: BTreeMap<String, usize>,
    /// Lanes of chains that ended since the last look began: what was seen of them may be from before.
    ended: BTreeSet<String>,
    /// Chains under way that tolerate none but their like.
    exclusive: usize,
    /// Chains of other plans, under way or ended since the last look began.
    common: usize,
    /// Those of them that are under way.
    common_under_way: usize,
    backoff: Backoff,
    /// For how long the plan has waited for the same.
    patience: Patience,
    /// Whether this agent may act on it.
    standing: Standing,
    /// Whether this process has held its claim.
    has_held: bool,
    looked_deep: Option<Instant>,
    /// Since when nobody accepts writes, while another member takes over.
    writes_stopped: Option<Instant>,
    /// Whether the record holds news that is not on disk.
    is_dirty: bool,
    saved: Option<Instant>,
    is_gone: bool,
}

impl<K: Kind, H: Reads + Writes + Debug + 'static> Runner<K, H> {
    /// A resource as it was recorded.
    pub fn new(shared: Rc<Shared<H>>, record: Record) -> Self {
        let key = (record.kind.clone(), record.name.clone());
        let memory = match &record.memory {
            serde_json::Value::Null => K::Memory::default(),
            recorded => serde_json::from_value(recorded.clone()).unwrap_or_else(|error| {
                warn!(%error, name = key.1, "the recorded memory cannot be read; it is derived anew");
                K::Memory::default()
            }),
        };
        shared.meet(peer::<K>(&record), K::IS_ONLOOKER);
        let state = State {
            clock: shared.clock,
            wanted: wanted::<K>(&record),
            memory,
            observed: Rc::default(),
            blind: None,
            declared: Declared::Valid,
            status: Status {
                conditions: record.conditions.clone(),
                ..Status::default()
            },
            record,
            plan: Plan::default(),
            busy: BTreeMap::new(),
            ended: BTreeSet::new(),
            exclusive: 0,
            common: 0,
            common_under_way: 0,
            backoff: Backoff::default(),
            patience: Patience::default(),
            standing: Standing::default(),
            has_held: false,
            looked_deep: None,
            writes_stopped: None,
            is_dirty: false,
            saved: None,
            is_gone: false,
        };
        Runner(Rc::new(Inner {
            shared,
            key,
            state: RefCell::new(state),
            started: Cell::new(0),
            completed: watch::Sender::new(0),
            interrupt: Notify::new(),
            late: Cell::new(Duration::ZERO),
        }))
    }
}

/// A resource as others see it before it was looked at.
fn peer<K: Kind>(record: &Record) -> Peer {
    Peer {
        kind: K::NAME,
        name: record.name.clone(),
        labels: record.labels.clone(),
        is_leaving: record.deleting.is_some(),
        face: Seen::default(),
    }
}

fn wanted<K: Kind>(record: &Record) -> Result<Rc<K::Wanted>, String> {
    let identity = Identity {
        name: record.name.clone(),
        uid: record.uid.clone(),
        generation: record.generation,
    };
    K::wanted(identity, record.spec.clone(), &record.files).map(Rc::new)
}

impl<K: Kind, H: Reads + Writes + Debug + 'static> Inner<K, H> {
    async fn pass(self: &Rc<Self>) {
        self.started.set(self.started.get() + 1);
        self.shared.passes.set(self.shared.passes.get() + 1);
        let number = self.started.get();
        self.shared.queue.wake(&self.key, RESYNC);
        let begin = Instant::now();
        let looked = self.look_and_act().await;
        let metrics = &self.shared.metrics;
        metrics.passed(self.name(), begin.elapsed(), looked.is_ok());
        if let Err(error) = looked {
            self.cannot_see(error);
            self.shared.queue.wake(&self.key, BLIND);
        }
        self.save_news(false);
        self.completed.send_replace(number);
    }

    async fn look_and_act(self: &Rc<Self>) -> Result<(), HostError> {
        self.find_uid().await?;
        if !self.stand().await? {
            self.forget_anothers();
            return Ok(());
        }
        if self.state.borrow().record.deleting.is_some() {
            return self.tear_down().await;
        }
        let (wanted, memory, before, deep) = {
            let mut state = self.state.borrow_mut();
            state.begin_look();
            let wanted = state
                .wanted
                .clone()
                .map_err(|why| HostError::new(FailureKind::Invalid, "understand the recorded spec", why))?;
            let deep = state.looked_deep.is_none_or(|at| at.elapsed() > DEEP);
            (wanted, state.memory.clone(), Rc::clone(&state.observed), deep)
        };
        let now = || self.shared.clock.now();
        let peers = self.shared.others(&self.key);
        let late_secs = self.shared.lateness.since(&self.late);
        let look = || {
            let look = Look {
                deep,
                now: now(),
                late_secs,
                peers: &peers,
            };
            K::observe(&self.shared.host, &wanted, &memory, &before, look)
        };
        // A look may wait for a server that is just going down; the news of its end is better than its silence. Once is
        // enough: whoever is interrupted all the time sees nothing.
        let mut begin = Instant::now();
        let observed = tokio::select! {
            biased;
            observed = look() => observed?,
            () = self.interrupt.notified() => {
                begin = Instant::now();
                look().await?
            }
        };
        if !self.claim_seen(K::objects(&observed).claim.as_ref(), begin) {
            return Ok(());
        }
        if let Some(plan) = self.decide(observed, deep)? {
            let soon = self.state.borrow_mut().patience.next(&plan);
            if let Some(delay) = plan.look_again.or(soon) {
                self.shared.queue.wake(&self.key, delay);
            }
            self.act(plan);
        }
        Ok(())
    }

    /// What is to be done after what was seen, which is told too; nothing of what is not there to be planned for.
    fn decide(&self, observed: K::Observed, deep: bool) -> Result<Option<Plan<K::Change>>, HostError> {
        let mut state = self.state.borrow_mut();
        state.observed = Rc::new(observed);
        state.blind = None;
        if deep {
            state.looked_deep = Some(Instant::now());
        }
        // The memory and the spec may have changed while we looked; what is decided is decided on the newest.
        let Ok(wanted) = state.wanted.clone() else {
            return Ok(None);
        };
        let observed = Rc::clone(&state.observed);
        let is_declared = state.declared != Declared::Orphaned;
        if !is_declared && self.forget_unborn(&mut state, K::objects(&observed))? {
            return Ok(None);
        }
        let scene = Scene::<K> {
            wanted: &wanted,
            observed: &observed,
            memory: &state.memory,
            now: self.shared.clock.now(),
            is_declared,
        };
        let mut plan = K::plan(&scene);
        if let Some(kept) = state.record.kept.as_ref().filter(|_| !is_declared) {
            plan = undeclared::restrain(plan, &self.key.1, kept, K::begins);
        }
        let status = K::status(&scene, &plan);
        let face = K::face(&scene, &status);
        let planned: BTreeSet<String> = plan.actions().map(act::step).collect();
        state.backoff.retain(|step| planned.contains(step));
        state.tell(status);
        state.plan = plan.clone();
        self.shared.show(&self.key, face);
        Ok(Some(plan))
    }

    fn save(&self, state: &mut State<K>) -> Result<(), HostError> {
        state.record.memory = serde_json::to_value(&state.memory)
            .map_err(|e| HostError::new(FailureKind::Other, "remember it", e.to_string()))?;
        state.record.conditions.clone_from(&state.status.conditions);
        let saved = self.shared.store.save(&state.record);
        saved.map_err(|e| HostError::new(FailureKind::Other, "remember it", e.to_string()))?;
        state.is_dirty = false;
        state.saved = Some(Instant::now());
        Ok(())
    }

    /// Writes events and conditions, at most once a second: nothing rests on them, and every write waits for the disk.
    fn save_news(&self, at_once: bool) {
        let mut state = self.state.borrow_mut();
        let lately = state.saved.is_some_and(|at| at.elapsed() < Duration::from_secs(1));
        let is_lost = !self.shared.store.has(&self.key.0, &self.key.1);
        if !(state.is_dirty || is_lost) || state.record.uid.is_empty() || state.is_gone || (lately && !at_once) {
            return;
        }
        if let Err(error) = self.save(&mut state) {
            warn!(%error, "events and conditions are not on disk");
        }
    }

    /// Changes durable memory: on disk first, then in force.
    fn remember(&self, change: &K::Change) -> Result<(), HostError> {
        let mut state = self.state.borrow_mut();
        K::admits(&state.memory, change)
            .map_err(|why| HostError::new(FailureKind::Conflict, format!("remember that {change}"), why))?;
        let before = state.memory.clone();
        K::apply(&mut state.memory, change);
        let saved = self.save(&mut state);
        if saved.is_err() {
            state.memory = before;
        } else if let Some(milestone) = K::milestone(change) {
            state.writes_stopped = self.count(milestone, state.writes_stopped);
        }
        saved
    }

    fn scene<T>(&self, ask: impl FnOnce(&Scene<'_, K>) -> T) -> Option<T> {
        let state = self.state.borrow();
        let wanted = state.wanted.as_ref().ok()?;
        Some(ask(&Scene {
            wanted,
            observed: &state.observed,
            memory: &state.memory,
            now: self.shared.clock.now(),
            is_declared: state.declared != Declared::Orphaned,
        }))
    }

    fn answer(&self, request: &Request) -> ReplyView {
        let refused = |message: String| ReplyView {
            accepted: false,
            message,
            checks: Vec::new(),
            last_operation: 0,
        };
        {
            let state = self.state.borrow();
            let dry_run = matches!(request, Request::Promote { dry_run: true, .. });
            if let Some(why) = state.refusal() {
                return refused(why.to_owned());
            }
            if let Some(error) = &state.blind {
                return refused(format!("nothing is known of it at present: {error}"));
            }
            if state.record.paused && !dry_run {
                return refused(format!("it is paused; `reconciler resume {}` first", self.key.1));
            }
        }
        let Some(reply) = self.scene(|scene| K::request(scene, request)) else {
            return refused("its recorded spec cannot be understood".to_owned());
        };
        let last_operation = self.state.borrow().status.last_operation.as_ref().map_or(0, |o| o.id);
        for change in &reply.changes {
            if let Err(error) = self.remember(change) {
                return refused(error.to_string());
            }
            self.state.borrow_mut().note("Normal", "Requested", &change.to_string());
        }
        self.shared.queue.wake(&self.key, Duration::ZERO);
        ReplyView {
            accepted: reply.accepted,
            message: reply.message,
            checks: reply.checks,
            last_operation,
        }
    }
}
