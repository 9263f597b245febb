//! The real host, with an agent in front of it that dies at one call: before it is made, or after it took effect.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};

use reconciler::host::real::RealHost;
use reconciler::host::{
    AgentRead, Ask, Doors, EngineRead, EngineWrite, GrafanaRead, GrafanaWrite, HostError, Owner, PostgresRead,
    PostgresWrite, Restraint, WebRead,
};
use reconciler::model::Seen;
use reconciler::model::claim::{Claim, Claimant, Liveness};
use reconciler::model::container::Objects;
use reconciler::model::holder::Holder;
use reconciler::model::plan::{EngineOp, SqlTarget};
use reconciler::model::postgres::{PgQuestion, Server, SqlOp};
use reconciler::model::process::Vitals;
use tokio::sync::Notify;

/// On which side of a call the agent dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The call is not made.
    Before,
    /// The call took effect, and nobody hears of it.
    After,
}

/// When the agent dies, and what it did until then. The test's thread and the agent's both hold it.
#[derive(Debug, Default)]
pub struct Trigger(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    armed: Option<(Side, usize)>,
    calls: Vec<String>,
    is_dead: bool,
}

impl Trigger {
    /// Has the agent die at the call of this number, counted from now on and from 1.
    pub fn arm(&self, side: Side, number: usize) {
        *self.state() = State {
            armed: Some((side, number)),
            ..State::default()
        };
    }

    /// The calls since it was armed, the one at which the agent died included.
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Notes a call; on which side of it the agent dies, if it does.
    fn enter(&self, call: String) -> Option<Side> {
        let mut state = self.state();
        state.calls.push(call);
        let number = state.calls.len();
        state.armed.filter(|(_, at)| *at == number).map(|(side, _)| side)
    }
}

/// The host of an agent that dies.
pub struct CrashingHost {
    pub real: RealHost,
    pub trigger: Arc<Trigger>,
    /// Whoever runs the agent drops it when it hears this.
    pub death: Rc<Notify>,
}

impl CrashingHost {
    /// Does nothing any more: the process is no more.
    async fn die(&self) {
        self.trigger.state().is_dead = true;
        self.death.notify_one();
        pending().await
    }

    /// A dead agent looks at nothing and calls nobody.
    async fn live(&self) {
        if self.trigger.state().is_dead {
            pending().await
        }
    }

    async fn call(&self, text: String, call: impl Future<Output = Result<(), HostError>>) -> Result<(), HostError> {
        self.live().await;
        let side = self.trigger.enter(text);
        if side == Some(Side::Before) {
            self.die().await;
        }
        let outcome = call.await;
        if side == Some(Side::After) {
            self.die().await;
        }
        self.live().await;
        outcome
    }
}

impl fmt::Debug for CrashingHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CrashingHost")
    }
}

impl WebRead for CrashingHost {}

impl Doors for CrashingHost {}

impl GrafanaRead for CrashingHost {}

impl GrafanaWrite for CrashingHost {}

impl AgentRead for CrashingHost {
    async fn agent(&self, me: &Claimant, claim: &Claim, resource: (&str, &str)) -> (Liveness, Restraint) {
        self.live().await;
        self.real.agent(me, claim, resource).await
    }
}

impl EngineRead for CrashingHost {
    async fn objects(&self, ask: &Ask) -> Result<Objects, HostError> {
        self.live().await;
        self.real.objects(ask).await
    }

    async fn owners(&self) -> Result<Vec<Owner>, HostError> {
        self.live().await;
        self.real.owners().await
    }

    async fn holders(&self, volumes: &[String]) -> Seen<Vec<Holder>> {
        self.live().await;
        self.real.holders(volumes).await
    }

    async fn volume_labels(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, HostError> {
        self.live().await;
        self.real.volume_labels(name).await
    }

    async fn read_file(&self, container: &str, path: &str) -> Seen<Vec<u8>> {
        self.live().await;
        self.real.read_file(container, path).await
    }

    async fn read_part(&self, container: &str, path: &str, offset: u64, length: u64) -> Seen<Vec<u8>> {
        self.live().await;
        self.real.read_part(container, path, offset, length).await
    }

    async fn links(&self, container: &str, directory: &str) -> Seen<BTreeMap<String, String>> {
        self.live().await;
        self.real.links(container, directory).await
    }

    async fn log_tail(&self, container: &str, lines: u32) -> Seen<String> {
        self.live().await;
        self.real.log_tail(container, lines).await
    }

    async fn process(&self, container: &str) -> Seen<Vitals> {
        self.live().await;
        self.real.process(container).await
    }
}

impl EngineWrite for CrashingHost {
    async fn engine(&self, op: &EngineOp) -> Result<(), HostError> {
        // A look at whether a member would start again comes when that has run for a while, and changes nothing.
        if matches!(op, EngineOp::CheckConfig(check) if check.is_altered) {
            self.live().await;
            return self.real.engine(op).await;
        }
        self.call(op.to_string(), self.real.engine(op)).await
    }
}

impl PostgresRead for CrashingHost {
    async fn server(&self, target: &SqlTarget, question: &PgQuestion) -> Server {
        self.live().await;
        self.real.server(target, question).await
    }
}

impl PostgresWrite for CrashingHost {
    async fn sql(&self, target: &SqlTarget, op: &SqlOp) -> Result<(), HostError> {
        self.call(op.to_string(), self.real.sql(target, op)).await
    }
}
