//! An engine and its servers in memory: just enough of them for plans to be carried out until nothing is left to do.
//!
//! `machine` holds one cluster's objects, `facts` what its servers answer, `world` many clusters and their passes. What
//! the benchmark does not use is an error here and not a guess.

mod facts;
mod machine;
mod world;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use reconciler::host::{
    AgentRead, Ask, Doors, EngineRead, EngineWrite, FailureKind, GrafanaRead, GrafanaWrite, HostError, Owner,
    PostgresRead, PostgresWrite, WebRead,
};
use reconciler::model::container::{ImageFacts, Objects};
use reconciler::model::holder::Holder;
use reconciler::model::plan::{EngineOp, SqlTarget};
use reconciler::model::postgres::{Down, PgQuestion, Server, SqlOp};
use reconciler::model::wal::{LogQuestion, Proof};
use reconciler::model::{Seen, labels};

use machine::Realm;
pub use world::World;

/// The host. A container's id is its name, which is unique on an engine.
#[derive(Debug, Default)]
pub struct SimHost {
    realms: RefCell<BTreeMap<String, Realm>>,
    /// Whether what is asked for neighbours sees them. While the world is made each cluster sees itself only: else making
    /// so many would take the square of their number.
    pub is_crowded: Cell<bool>,
    /// The uid that each container belongs to.
    owners: RefCell<BTreeMap<String, String>>,
}

impl SimHost {
    /// Kills a container's process.
    pub fn kill(&self, container: &str) -> Result<(), HostError> {
        self.with(container, |realm| realm.end(container, 137))
    }

    /// Removes a container behind the agent's back.
    pub fn remove(&self, container: &str) -> Result<(), HostError> {
        self.with(container, |realm| realm.remove(container))
    }

    fn with<T>(&self, container: &str, act: impl FnOnce(&mut Realm) -> Option<T>) -> Result<T, HostError> {
        let owners = self.owners.borrow();
        let mut realms = self.realms.borrow_mut();
        let realm = owners.get(container).and_then(|uid| realms.get_mut(uid));
        realm.and_then(act).ok_or_else(|| {
            let what = format!("act on container {container}");
            HostError::new(FailureKind::NotFound, what, "it is not there")
        })
    }

    fn of_labels(&self, found: &BTreeMap<String, String>, act: impl FnOnce(&mut Realm)) {
        let uid = found.get(labels::UID).cloned().unwrap_or_default();
        act(self.realms.borrow_mut().entry(uid).or_default());
    }
}

impl WebRead for SimHost {}

impl Doors for SimHost {}

impl GrafanaRead for SimHost {}

impl GrafanaWrite for SimHost {}

impl AgentRead for SimHost {}

impl EngineRead for SimHost {
    async fn objects(&self, ask: &Ask) -> Result<Objects, HostError> {
        let realms = self.realms.borrow();
        let mut objects = realms.get(&ask.uid).map(Realm::objects).unwrap_or_default();
        let asked = ask.images.iter();
        objects.images = asked.map(|name| (name.clone(), Seen::Known(image()))).collect();
        if ask.neighbours && self.is_crowded.get() {
            for (_, other) in realms.iter().filter(|(uid, _)| **uid != ask.uid) {
                other.stand_beside(&mut objects);
            }
        }
        Ok(objects)
    }

    async fn owners(&self) -> Result<Vec<Owner>, HostError> {
        Ok(Vec::new())
    }

    async fn holders(&self, _: &[String]) -> Seen<Vec<Holder>> {
        Seen::Known(Vec::new())
    }

    async fn volume_labels(&self, _: &str) -> Result<Option<BTreeMap<String, String>>, HostError> {
        Ok(None)
    }

    async fn read_file(&self, container: &str, path: &str) -> Seen<Vec<u8>> {
        let read = self.with(container, |realm| Some(realm.read_file(container, path)));
        read.unwrap_or_else(|error| Seen::Unknown(error.to_string()))
    }

    async fn log(&self, _: &str, _: &LogQuestion) -> Seen<Proof> {
        Seen::Known(Proof::Holds)
    }

    async fn links(&self, _: &str, _: &str) -> Seen<BTreeMap<String, String>> {
        Seen::Known(BTreeMap::new())
    }

    async fn log_tail(&self, _: &str, _: u32) -> Seen<String> {
        Seen::Known(String::new())
    }
}

impl EngineWrite for SimHost {
    async fn engine(&self, op: &EngineOp) -> Result<(), HostError> {
        match op {
            EngineOp::CreateNetwork(spec) => self.of_labels(&spec.labels, |realm| realm.add_network(spec)),
            EngineOp::CreateVolume(spec) => self.of_labels(&spec.labels, |realm| realm.add_volume(spec)),
            EngineOp::CreateContainer(spec) => {
                let uid = spec.labels.get(labels::UID).cloned().unwrap_or_default();
                self.owners.borrow_mut().insert(spec.name.clone(), uid);
                self.of_labels(&spec.labels, |realm| realm.add_container(spec));
            }
            EngineOp::Deliver(delivery) => {
                self.with(&delivery.container, |realm| realm.deliver(delivery))?;
            }
            EngineOp::Start(container) => self.with(container, |realm| realm.start(container))?,
            EngineOp::Stop { container, .. } => self.with(container, |realm| realm.end(container, 0))?,
            EngineOp::RemoveContainer(container) => self.remove(container)?,
            EngineOp::Connect {
                container,
                network,
                aliases,
            } => self.with(container, |realm| realm.attach(container, network, aliases))?,
            EngineOp::Disconnect { container, network } => {
                self.with(container, |realm| realm.detach(container, network))?;
            }
            EngineOp::CheckConfig(_) | EngineOp::CheckFiles(_) | EngineOp::RemoveFiles { .. } => {}
            EngineOp::PullImage(_)
            | EngineOp::RemoveNetwork(_)
            | EngineOp::RemoveVolume(_)
            | EngineOp::Rename { .. }
            | EngineOp::Signal { .. }
            | EngineOp::Unpause(_)
            | EngineOp::UpdateLimits { .. }
            | EngineOp::RecoverPasswords { .. }
            | EngineOp::PromoteInside(_)
            | EngineOp::EndSenders { .. }
            | EngineOp::ResetAdmin { .. }
            | EngineOp::ResetPassword { .. } => return Err(not_modelled(op)),
        }
        Ok(())
    }
}

impl PostgresRead for SimHost {
    async fn server(&self, target: &SqlTarget, question: &PgQuestion) -> Server {
        let asked = self.with(&target.container, |realm| facts::of(realm, &target.container, question));
        match asked {
            Ok(facts) => Server::Up(Box::new(facts)),
            Err(error) => Server::Down(Down::NotRunning, error.to_string()),
        }
    }
}

impl PostgresWrite for SimHost {
    async fn sql(&self, target: &SqlTarget, op: &SqlOp) -> Result<(), HostError> {
        self.with(&target.container, |realm| Some(realm.sql(&target.container, op)))?
            .ok_or_else(|| not_modelled(op))
    }
}

fn not_modelled(op: &impl std::fmt::Display) -> HostError {
    HostError::new(
        FailureKind::Other,
        op.to_string(),
        "the simulated host does not know it",
    )
}

fn image() -> ImageFacts {
    ImageFacts {
        id: "sha256:simulated".to_owned(),
        env: BTreeMap::from([("PG_MAJOR".to_owned(), "17".to_owned())]),
        volumes: vec!["/var/lib/postgresql/data".to_owned()],
    }
}
