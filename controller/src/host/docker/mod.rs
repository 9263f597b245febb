//! The Docker engine, through its unix socket. Each room turns one group of calls into the model's words and back;
//! what to call and when is decided elsewhere. Every request has a deadline, so that an engine that hangs never holds
//! a pass up.

mod announce;
mod archive;
mod brisk;
mod check;
mod convert;
mod create;
mod deliver;
mod disk;
mod errors;
mod events;
mod exec;
#[cfg(test)]
mod fixture;
mod holder;
mod inside;
mod limits;
#[cfg(test)]
mod live;
mod local;
mod logs;
mod mounted;
mod neighbours;
mod observe;
mod operate;
mod own;
mod processes;
mod pull;
mod recover;
mod socket;
mod usage;
mod vitals;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bollard::errors::Error;

use brisk::Lately;
pub use errors::classify;
pub use events::{EngineEvent, READY};
pub use exec::{Exec, ExecOutput};
pub use logs::LogStream;

use super::{Ask, EngineRead, EngineWrite, FailureKind, HostError, Owner, Secrets};
use crate::model::Seen;
use crate::model::container::Objects;
use crate::model::holder::Holder;
use crate::model::plan::EngineOp;
use crate::model::process::Vitals;

/// For what the engine answers from memory.
const LOOK: Duration = Duration::from_secs(10);
/// For what makes the engine work.
const WORK: Duration = Duration::from_secs(30);

/// The Docker engine of this host.
pub struct Docker {
    socket: String,
    secrets: Rc<dyn Secrets>,
    /// The client of the engine that answered last; empty until one does.
    client: RefCell<Option<bollard::Docker>>,
    /// User and group of a named user, by image id and name: an image's user never changes its number.
    users: RefCell<BTreeMap<(String, String), (u64, u64)>>,
    own_id: Option<String>,
    /// Whether the engine runs on this host; empty until it was asked.
    is_here: Cell<Option<bool>>,
    /// Where the engine keeps its volumes; empty until it was asked.
    root: RefCell<Option<String>>,
    /// Held while networks are listed, or containers attached and detached: one at a time. The engine (20.10, libnetwork's
    /// `getSvcRecords` and `processEndpointDelete`) takes two locks in either order there, and when two calls cross it
    /// answers nobody any more until it is restarted.
    network_turn: tokio::sync::Mutex<()>,
    /// The last look at each resource, by uid.
    lately: RefCell<BTreeMap<String, Lately>>,
}

impl Docker {
    /// Makes a client for `socket`, else for `DOCKER_HOST`, else for `/var/run/docker.sock`. The engine need not be up.
    pub fn connect(socket: Option<&str>, secrets: Rc<dyn Secrets>) -> Result<Docker, HostError> {
        let environment = std::env::var("DOCKER_HOST").ok();
        let socket = socket::path(socket, environment.as_deref())
            .map_err(|why| HostError::new(FailureKind::Invalid, "connect to the Docker engine", why))?;
        Ok(Docker {
            socket,
            secrets,
            client: RefCell::default(),
            users: RefCell::default(),
            own_id: own::container_id(),
            is_here: Cell::new(None),
            root: RefCell::default(),
            network_turn: tokio::sync::Mutex::default(),
            lately: RefCell::default(),
        })
    }

    /// Whether the engine answers.
    pub async fn ping(&self) -> Result<(), HostError> {
        let limit = Duration::from_secs(5);
        self.call("reach the Docker engine", limit, async |engine| engine.ping().await)
            .await?;
        Ok(())
    }

    /// The id of the container that the agent itself runs in, if it does.
    pub fn in_container(&self) -> Option<String> {
        self.own_id.clone()
    }

    /// Whether a container runs, or may in a moment; `None` if the engine does not know it.
    pub async fn runs(&self, container: &str) -> Result<Option<bool>, HostError> {
        let inspected = observe::inspect(self, container).await?;
        let state = inspected.map(|inspected| inspected.state.unwrap_or_default());
        Ok(state.map(|state| {
            state.running.unwrap_or(true) || state.restarting.unwrap_or(false) || state.paused.unwrap_or(false)
        }))
    }

    /// Calls the engine under a deadline, and words the failure.
    async fn call<T>(
        &self,
        what: &str,
        limit: Duration,
        request: impl AsyncFnOnce(bollard::Docker) -> Result<T, Error>,
    ) -> Result<T, HostError> {
        let answer = tokio::time::timeout(limit, async {
            let engine = self.client().await?;
            request(engine).await
        });
        match answer.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failed(what, &error)),
            Err(_) => {
                self.client.replace(None);
                let why = format!("the engine did not answer within {} s", limit.as_secs());
                Err(HostError::new(FailureKind::Unreachable, what, why))
            }
        }
    }

    /// The engine, for requests that set their own deadlines.
    async fn reached(&self, what: &str) -> Result<bollard::Docker, HostError> {
        self.call(what, LOOK, async |engine| Ok(engine)).await
    }

    fn failed(&self, what: &str, error: &Error) -> HostError {
        let kind = errors::classify(error);
        if kind == FailureKind::Unreachable || errors::is_version_refused(error) {
            // The engine that comes back may be another version.
            self.client.replace(None);
        }
        HostError::new(kind, what, errors::why(error, &self.socket))
    }

    async fn client(&self) -> Result<bollard::Docker, Error> {
        let known = self.client.borrow().clone();
        if let Some(engine) = known {
            return Ok(engine);
        }
        // The client's own timeout knows one length only, and a stop may take an hour: deadlines are set per call.
        const DAY_SECS: u64 = 86_400;
        let newest = bollard::Docker::connect_with_unix(&self.socket, DAY_SECS, bollard::API_DEFAULT_VERSION)?;
        // On unix sockets this version of the crate sends no version at all, and so speaks each engine's newest. The
        // negotiation costs 1 ms and holds should that change.
        let engine = newest.negotiate_version().await?;
        self.client.replace(Some(engine.clone()));
        Ok(engine)
    }
}

impl EngineRead for Docker {
    async fn objects(&self, ask: &Ask) -> Result<Objects, HostError> {
        match brisk::objects(self, ask).await? {
            Some(objects) => Ok(objects),
            None => observe::objects(self, ask).await,
        }
    }

    async fn owners(&self) -> Result<Vec<Owner>, HostError> {
        observe::owners(self).await
    }

    async fn holders(&self, volumes: &[String]) -> Seen<Vec<Holder>> {
        match mounted::holders(self, volumes).await {
            Ok(holders) => Seen::Known(holders),
            Err(error) => Seen::Unknown(error.to_string()),
        }
    }

    async fn volume_labels(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, HostError> {
        observe::volume_labels(self, name).await
    }

    async fn read_file(&self, container: &str, path: &str) -> Seen<Vec<u8>> {
        archive::read_file(self, container, path).await
    }

    async fn read_part(&self, container: &str, path: &str, offset: u64, length: u64) -> Seen<Vec<u8>> {
        archive::read_part(self, container, path, (offset, length)).await
    }

    async fn read_files(&self, container: &str, directory: &str) -> Seen<BTreeMap<String, Vec<u8>>> {
        archive::read_files(self, container, directory).await
    }

    async fn links(&self, container: &str, directory: &str) -> Seen<BTreeMap<String, String>> {
        archive::links(self, container, directory).await
    }

    async fn log_tail(&self, container: &str, lines: u32) -> Seen<String> {
        logs::tail(self, container, lines).await
    }

    async fn process(&self, container: &str) -> Seen<Vitals> {
        processes::of(self, container).await
    }

    async fn volume_bytes(&self, volumes: &[String]) -> BTreeMap<String, u64> {
        Docker::volume_bytes(self, volumes).await
    }
}

impl EngineWrite for Docker {
    async fn engine(&self, op: &EngineOp) -> Result<(), HostError> {
        match op {
            EngineOp::PullImage(image) => pull::pull(self, image).await,
            EngineOp::CreateNetwork(spec) => create::network(self, spec).await,
            EngineOp::RemoveNetwork(name) => operate::remove_network(self, name).await,
            EngineOp::CreateVolume(spec) => create::volume(self, spec).await,
            EngineOp::RemoveVolume(name) => operate::remove_volume(self, name).await,
            EngineOp::CreateContainer(spec) => create::container(self, spec).await,
            EngineOp::Deliver(delivery) => self.deliver(delivery, &*self.secrets).await,
            EngineOp::Start(container) => operate::start(self, container).await,
            EngineOp::Signal { container, signal } => operate::signal(self, container, signal).await,
            EngineOp::Stop { container, grace_secs } => operate::stop(self, container, *grace_secs).await,
            EngineOp::RemoveContainer(container) => operate::remove_container(self, container).await,
            EngineOp::Rename { container, name } => operate::rename(self, container, name).await,
            EngineOp::Connect {
                container,
                network,
                aliases,
            } => operate::attach(self, container, network, aliases).await,
            EngineOp::Disconnect { container, network } => operate::detach(self, container, network).await,
            EngineOp::Unpause(container) => operate::unpause(self, container).await,
            EngineOp::UpdateLimits { container, limits } => limits::update(self, container, limits).await,
            EngineOp::CheckConfig(check) => inside::check_config(self, check).await,
            EngineOp::CheckFiles(check) => check::files(self, check).await,
            EngineOp::RemoveFiles {
                container,
                directory,
                names,
            } => inside::remove_files(self, container, directory, names).await,
            EngineOp::ResetAdmin { container, password } => inside::reset_admin(self, container, password).await,
            EngineOp::RecoverPasswords {
                containers,
                path,
                passwords,
            } => recover::recover(self, containers, path, passwords).await,
            EngineOp::PromoteInside(container) => self.promote_inside(container).await,
            EngineOp::EndSenders { container, spared } => inside::end_senders(self, container, spared).await,
            EngineOp::ResetPassword {
                container,
                role,
                password,
            } => self.reset_password(container, role, password, &*self.secrets).await,
        }
    }
}
