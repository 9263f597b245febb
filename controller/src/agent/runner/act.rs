//! Begins the chains of a plan and hears how they end.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::rc::Rc;
use std::time::Duration;

use super::{Action, Declared, HostError, Inner, Kind, Plan, Reads, State, Writes, news};
use crate::execute;
use crate::model::plan::{EngineOp, Op};

impl<K: Kind> State<K> {
    /// What ended before this look is seen by it.
    pub(super) fn begin_look(&mut self) {
        self.ended.clear();
        self.common = self.common_under_way;
    }
}

impl<K: Kind, H: Reads + Writes + Debug + 'static> Inner<K, H> {
    /// Begins every chain that nothing stands in the way of: not its own lanes' earlier chains, which may have
    /// changed what was seen, not a failure that is too fresh, not an operation that tolerates no other.
    pub(super) fn act(self: &Rc<Self>, plan: Plan<K::Change>) {
        let (blocked, busy) = {
            let state = self.state.borrow();
            let paused = state.record.paused && state.record.deleting.is_none();
            let others = if plan.exclusive { state.common } else { state.exclusive };
            let busy: BTreeSet<String> = state.busy.keys().chain(&state.ended).cloned().collect();
            (paused || others > 0, busy)
        };
        // What is only a word about what was seen is remembered all the same.
        let is_word = |chain: &[Action<K::Change>]| {
            let mut steps = chain.iter();
            steps.all(|step| step.is_aside && matches!(step.op, Op::Remember(_)))
        };
        for chain in plan.chains {
            if blocked && !is_word(&chain) {
                continue;
            }
            if chain.iter().any(|action| busy.contains(&action.lane())) {
                continue;
            }
            let pauses = chain
                .iter()
                .filter_map(|action| self.state.borrow().backoff.pause(&step(action)));
            if let Some(pause) = pauses.max() {
                self.shared.queue.wake(&self.key, pause);
                continue;
            }
            self.begin(chain, plan.exclusive);
        }
    }

    fn begin(self: &Rc<Self>, chain: Vec<Action<K::Change>>, exclusive: bool) {
        let lanes: BTreeSet<String> = chain.iter().map(Action::lane).collect();
        let counts = !chain.iter().all(Action::disturbs_nobody);
        let (exclusive, common) = (counts && exclusive, counts && !exclusive);
        {
            let mut state = self.state.borrow_mut();
            for lane in &lanes {
                *state.busy.entry(lane.clone()).or_default() += 1;
            }
            state.exclusive += usize::from(exclusive);
            state.common += usize::from(common);
            state.common_under_way += usize::from(common);
        }
        let inner = Rc::clone(self);
        let was_orphaned = self.state.borrow().declared == Declared::Orphaned;
        tokio::task::spawn_local(async move {
            let failure = execute::chain(
                &inner.shared.host,
                &chain,
                async || inner.may_act(was_orphaned).await,
                |change| inner.remember(change),
                |action, error| inner.hear(action, error),
            )
            .await;
            let delay = failure.map_or(Duration::ZERO, |(action, error)| inner.failed(&action, &error));
            let mut state = inner.state.borrow_mut();
            for lane in &lanes {
                if let Some(count) = state.busy.get_mut(lane) {
                    *count -= 1;
                }
            }
            state.busy.retain(|_, count| *count > 0);
            state.ended.extend(lanes);
            state.exclusive -= usize::from(exclusive);
            state.common_under_way -= usize::from(common);
            drop(state);
            inner.shared.queue.wake(&inner.key, delay);
        });
    }

    /// A step is over: an event and a line in the log.
    fn hear(&self, action: &Action<K::Change>, error: Option<&HostError>) {
        let reason = match &action.op {
            Op::Engine(op) => news::engine(op),
            Op::Sql(_, op) => news::sql(op),
            Op::Grafana(_, op) => Some(news::grafana(op)),
            Op::Listen(_) => Some("Listening"),
            Op::Remember(change) => K::is_news(change).then_some("Decided"),
        };
        let metrics = &self.shared.metrics;
        metrics.acted(self.name(), reason.unwrap_or("Other"), error.is_none());
        if action.is_drift && error.is_none() {
            metrics.put_back(self.name(), news::drift(&action.op));
        }
        let mut state = self.state.borrow_mut();
        if let Some(error) = error {
            state.note("Warning", "Failed", &format!("{action}: {error}"));
            return;
        }
        match &action.op {
            Op::Engine(
                EngineOp::ResetPassword { .. } | EngineOp::RecoverPasswords { .. } | EngineOp::PromoteInside(_),
            ) => {
                state.backoff.repaired(&step(action));
            }
            Op::Engine(_) | Op::Sql(..) | Op::Grafana(..) | Op::Listen(_) | Op::Remember(_) => {
                state.backoff.succeeded(&step(action));
            }
        }
        if let Some(reason) = reason {
            tracing::info!(name = self.key.1, "{action}");
            state.note("Normal", reason, &action.to_string());
        }
    }

    fn failed(&self, action: &Action<K::Change>, error: &HostError) -> Duration {
        let change = self.scene(|scene| K::on_failure(scene, action, error)).flatten();
        if let Some(change) = change {
            // Remembered as an outcome, it is not tried again: no pause is needed.
            return match self.remember(&change) {
                Ok(()) => Duration::ZERO,
                Err(_) => self
                    .state
                    .borrow_mut()
                    .backoff
                    .failed(&step(action), &error.to_string()),
            };
        }
        self.state
            .borrow_mut()
            .backoff
            .failed(&step(action), &error.to_string())
    }
}

/// What a step is called when its failures are counted: without its cause, which may hold a running number.
pub(super) fn step<C: std::fmt::Display>(action: &Action<C>) -> String {
    match &action.op {
        Op::Engine(op) => format!("{}: {op}", action.subject),
        Op::Sql(_, op) => format!("{}: {op}", action.subject),
        Op::Grafana(_, op) => format!("{}: {op}", action.subject),
        Op::Listen(address) => format!("{}: listen at {address}", action.subject),
        Op::Remember(change) => format!("{}: {change}", action.subject),
    }
}
