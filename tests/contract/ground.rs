//! A host with one cluster's names on it, and the words in which scenarios are written.

use std::time::Duration;

use reconciler::host::{Ask, HostError, Reads, Writes};
use reconciler::kinds::postgres::cluster::Cluster;
use reconciler::kinds::postgres::desired::{self, FileInputs, Role};
use reconciler::kinds::postgres::{conf, control, observe};
use reconciler::model::Seen;
use reconciler::model::container::{ContainerObserved, FileSpec, ImageFacts, NamedSpec, Objects, RunState};
use reconciler::model::plan::{Delivery, EngineOp, SqlTarget};
use reconciler::model::postgres::{Control, PgFacts, PgQuestion, RoleAttributes, RoleChange, Server, SqlOp};
use serde_json::json;

/// What befalls a container from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// Its process is killed.
    Kill,
    /// The engine freezes it.
    Pause,
    /// Its server is stopped with a signal, and the container runs on.
    Freeze,
}

/// A host, with hands other than the agent's.
pub trait Host: Reads + Writes {
    /// Something befalls a container.
    async fn befall(&self, container: &str, blow: Blow);
    /// A client writes rows to a server, which acknowledges them.
    async fn write(&self, container: &str, rows: u64);
    /// How many rows a server shows.
    async fn rows(&self, container: &str) -> u64;
    /// The engine makes a network although it has one of that name, as it does when two calls cross.
    async fn twin(&self, network: &NamedSpec);
    /// Time passes.
    async fn rest(&self, time: Duration);
}

/// A host with one cluster's names on it.
pub struct Ground<H> {
    pub host: H,
    pub cluster: Cluster,
}

/// How often something is looked at until it counts as not to come.
const LOOKS: u32 = 2400;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A cluster of a name, with an image.
pub fn cluster(name: &str, image: &str) -> Cluster {
    let spec = json!({
        "image": image,
        "replicas": 1,
        "pullPolicy": "Never",
        "parameters": {"shared_buffers": "16MB", "max_connections": "30", "max_wal_size": "64MB", "min_wal_size": "32MB"},
        "stopGracePeriod": "20s",
        "labels": {"dev-test": "contract"},
    });
    Cluster::new(name, &format!("uid-{name}"), 1, serde_json::from_value(spec).unwrap()).unwrap()
}

/// A member's files in a role.
pub fn files(cluster: &Cluster, member: &str, role: Role, primary: &str) -> Vec<FileSpec> {
    files_that_wait(cluster, member, (role, primary), None)
}

/// The same, with the standbys that commits wait for.
pub fn files_that_wait(
    cluster: &Cluster,
    member: &str,
    (role, primary): (Role, &str),
    sync_names: Option<String>,
) -> Vec<FileSpec> {
    let inputs = FileInputs {
        member,
        role,
        primary,
        settings: &cluster.settings(),
        floor: Default::default(),
        sync_names,
        suspicion: None,
        tablespaces: Vec::new(),
        standby_slots: None,
    };
    desired::files(cluster, &inputs)
}

impl<H: Host> Ground<H> {
    /// All of the cluster's objects, with what belongs to others.
    pub async fn objects(&self) -> Objects {
        let ask = Ask {
            uid: self.cluster.uid.clone(),
            images: vec![self.cluster.spec.image.clone()],
            neighbours: true,
            brisk: false,
        };
        self.host.objects(&ask).await.unwrap()
    }

    pub async fn image(&self) -> ImageFacts {
        let objects = self.objects().await;
        let image = objects.image(&self.cluster.spec.image);
        image.known().expect("the image is there").clone()
    }

    /// A member's container, if there is one.
    pub async fn container(&self, member: &str) -> Option<ContainerObserved> {
        let name = self.cluster.container_name(member);
        self.objects().await.containers.into_iter().find(|c| c.name == name)
    }

    /// Looks until something is there.
    pub async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let found = self.search(&look).await;
        found.unwrap_or_else(|| panic!("waited in vain until {what}"))
    }

    async fn search<T>(&self, look: &impl AsyncFn() -> Option<T>) -> Option<T> {
        for _ in 0..LOOKS {
            if let Some(found) = look().await {
                return Some(found);
            }
            self.host.rest(BETWEEN_LOOKS).await;
        }
        None
    }

    pub async fn engine(&self, op: EngineOp) -> Result<(), HostError> {
        self.host.engine(&op).await
    }

    /// Makes the network, and a member's volume and container.
    pub async fn make(&self, member: &str) {
        let image = self.image().await;
        let network = EngineOp::CreateNetwork(desired::network(&self.cluster));
        self.engine(network).await.unwrap();
        let volume = desired::volume(&self.cluster, member, 1, &image);
        self.engine(EngineOp::CreateVolume(volume)).await.unwrap();
        let spec = desired::container(&self.cluster, member, 1, &image);
        self.engine(EngineOp::CreateContainer(Box::new(spec))).await.unwrap();
    }

    /// A member's files in a role.
    pub fn files(&self, member: &str, role: Role, primary: &str) -> Vec<FileSpec> {
        files(&self.cluster, member, role, primary)
    }

    pub async fn deliver(&self, member: &str, files: Vec<FileSpec>) {
        let delivery: Delivery = desired::delivery(&self.cluster, member, files);
        self.engine(EngineOp::Deliver(delivery)).await.unwrap();
    }

    pub async fn start(&self, member: &str) {
        let container = self.cluster.container_name(member);
        self.engine(EngineOp::Start(container)).await.unwrap();
    }

    /// Delivers a role and starts the member in it.
    pub async fn start_as(&self, member: &str, role: Role, primary: &str) {
        self.deliver(member, self.files(member, role, primary)).await;
        self.start(member).await;
    }

    pub async fn signal(&self, member: &str, signal: &str) -> Result<(), HostError> {
        let (container, signal) = (self.cluster.container_name(member), signal.to_owned());
        self.engine(EngineOp::Signal { container, signal }).await
    }

    pub async fn befall(&self, member: &str, blow: Blow) {
        self.host.befall(&self.cluster.container_name(member), blow).await;
    }

    pub async fn write(&self, member: &str, rows: u64) {
        self.host.write(&self.cluster.container_name(member), rows).await;
    }

    pub async fn rows(&self, member: &str) -> u64 {
        self.host.rows(&self.cluster.container_name(member)).await
    }

    /// Where a member's server is asked.
    pub async fn target(&self, member: &str) -> SqlTarget {
        let container = self.container(member).await.expect("there is a container");
        observe::target(&self.cluster, &container).expect("it has an address")
    }

    pub async fn server(&self, member: &str) -> Server {
        self.ask(&self.target(member).await).await
    }

    pub async fn ask(&self, target: &SqlTarget) -> Server {
        let question = PgQuestion {
            directory: conf::DIRECTORY.to_owned(),
            files: desired::WATCHED.map(str::to_owned).to_vec(),
            ..PgQuestion::default()
        };
        self.host.server(target, &question).await
    }

    /// What a member's server says, once it says what is waited for.
    pub async fn facts(&self, member: &str, what: &str, holds: impl Fn(&PgFacts) -> bool) -> PgFacts {
        let look = async || match self.container(member).await?.state {
            RunState::Running => self.server(member).await.facts().filter(|facts| holds(facts)).cloned(),
            _ => None,
        };
        if let Some(found) = self.search(&look).await {
            return found;
        }
        let log = self.host.log_tail(&self.cluster.container_name(member), 20).await;
        panic!("waited in vain until {member}: {what}; its log: {log:?}")
    }

    pub async fn up(&self, member: &str) -> PgFacts {
        self.facts(member, "it answers", |_| true).await
    }

    pub async fn sql(&self, member: &str, op: SqlOp) -> Result<(), HostError> {
        self.host.sql(&self.target(member).await, &op).await
    }

    /// Waits until a member's container has ended.
    pub async fn ended(&self, member: &str) -> ContainerObserved {
        let look = async || self.container(member).await.filter(|c| c.state == RunState::Exited);
        self.until(&format!("{member}: it has ended"), look).await
    }

    /// What the control file of a stopped member says.
    pub async fn control(&self, member: &str) -> Control {
        let place = desired::data_place(&self.image().await);
        let path = format!("{}/global/pg_control", place.pgdata);
        let container = self.container(member).await.expect("there is a container");
        match self.host.read_file(&container.id, &path).await {
            Seen::Known(bytes) => control::parse(&bytes).unwrap(),
            other => panic!("{path} of {member}: {other:?}"),
        }
    }

    /// Brings a primary up.
    pub async fn primary(&self) -> PgFacts {
        self.make("master").await;
        self.start_as("master", Role::Bootstrap, "master").await;
        self.up("master").await
    }

    /// Brings a primary up, with a replica that streams.
    pub async fn pair(&self) {
        self.primary().await;
        self.sql("master", SqlOp::Role(self.replicator())).await.unwrap();
        let slot = conf::slot_name("replica-1");
        self.sql("master", SqlOp::CreateSlot(slot)).await.unwrap();
        self.make("replica-1").await;
        self.start_as("replica-1", Role::Replica, "master").await;
        self.streams("replica-1").await;
    }

    pub async fn streams(&self, member: &str) -> PgFacts {
        let streams = |facts: &PgFacts| facts.in_recovery && facts.receiver_streaming;
        self.facts(member, "it streams", streams).await
    }

    /// The role that replicas stream as.
    pub fn replicator(&self) -> RoleChange {
        RoleChange {
            name: conf::REPLICATOR.to_owned(),
            create: true,
            attributes: RoleAttributes {
                login: true,
                replication: true,
                connection_limit: -1,
                ..RoleAttributes::default()
            },
            password: Some(self.cluster.replicator_password()),
            grant: Vec::new(),
            never_expires: false,
        }
    }
}
