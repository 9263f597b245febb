//! The host that the product runs on: the Docker engine and the databases in its containers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::docker::Docker;
use super::grafana::Grafana;
use super::http::{Call, Credentials, Http};
use super::postgres::Postgres;
use super::{
    Ask, Doors, EngineRead, EngineWrite, FailureKind, GrafanaRead, GrafanaWrite, HostError, Owner, PostgresRead,
    PostgresWrite, Secrets, WebRead,
};
use crate::model::Seen;
use crate::model::container::Objects;
use crate::model::grafana::{GrafanaOp, GrafanaQuestion, GrafanaSeen, GrafanaTarget};
use crate::model::holder::Holder;
use crate::model::plan::{EngineOp, SqlTarget};
use crate::model::postgres::{PgQuestion, Server, SqlOp};
use crate::model::process::Vitals;
use crate::server::metrics::Listeners;

/// How long a program beside us may take to answer.
const WEB_DEADLINE: Duration = Duration::from_secs(2);

/// The real host.
pub struct RealHost {
    /// The engine.
    pub docker: Rc<Docker>,
    /// The databases.
    pub postgres: Postgres,
    /// Grafanas.
    pub grafana: Grafana,
    /// What is asked by plain HTTP.
    pub http: Rc<Http>,
    /// Where the agent is asked for its metrics; none where no agent runs.
    pub listeners: Option<Rc<Listeners>>,
}

impl RealHost {
    /// The engine of this machine, with the passwords that its databases need.
    pub fn connect(secrets: Rc<dyn Secrets>) -> Result<Self, HostError> {
        let http = Rc::new(Http::new());
        Ok(RealHost {
            docker: Rc::new(Docker::connect(None, Rc::clone(&secrets))?),
            grafana: Grafana::new(Rc::clone(&secrets), Rc::clone(&http)),
            http,
            postgres: Postgres::new(secrets),
            listeners: None,
        })
    }
}

impl fmt::Debug for RealHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RealHost")
    }
}

impl EngineRead for RealHost {
    async fn objects(&self, ask: &Ask) -> Result<Objects, HostError> {
        self.docker.objects(ask).await
    }

    async fn owners(&self) -> Result<Vec<Owner>, HostError> {
        self.docker.owners().await
    }

    async fn holders(&self, volumes: &[String]) -> Seen<Vec<Holder>> {
        self.docker.holders(volumes).await
    }

    async fn volume_labels(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, HostError> {
        self.docker.volume_labels(name).await
    }

    async fn read_file(&self, container: &str, path: &str) -> Seen<Vec<u8>> {
        self.docker.read_file(container, path).await
    }

    async fn read_part(&self, container: &str, path: &str, offset: u64, length: u64) -> Seen<Vec<u8>> {
        self.docker.read_part(container, path, offset, length).await
    }

    async fn read_files(&self, container: &str, directory: &str) -> Seen<BTreeMap<String, Vec<u8>>> {
        self.docker.read_files(container, directory).await
    }

    async fn links(&self, container: &str, directory: &str) -> Seen<BTreeMap<String, String>> {
        self.docker.links(container, directory).await
    }

    async fn log_tail(&self, container: &str, lines: u32) -> Seen<String> {
        self.docker.log_tail(container, lines).await
    }

    async fn process(&self, container: &str) -> Seen<Vitals> {
        self.docker.process(container).await
    }

    async fn volume_bytes(&self, volumes: &[String]) -> BTreeMap<String, u64> {
        self.docker.volume_bytes(volumes).await
    }
}

impl WebRead for RealHost {
    async fn get(&self, authority: &str, path: &str) -> Seen<Value> {
        let url = format!("http://{authority}{path}");
        match self.http.call(&Call::get(&url, &Credentials::None, WEB_DEADLINE)).await {
            Ok(answer) => Seen::Known(answer),
            Err(trouble) if trouble.kind() == FailureKind::NotFound => Seen::Absent,
            Err(trouble) => Seen::Unknown(format!("{url}: {}", trouble.words(&Credentials::None))),
        }
    }
}

impl GrafanaRead for RealHost {
    async fn grafana(&self, target: &GrafanaTarget, question: &GrafanaQuestion) -> GrafanaSeen {
        self.grafana.grafana(target, question).await
    }
}

impl GrafanaWrite for RealHost {
    async fn change_grafana(&self, target: &GrafanaTarget, op: &GrafanaOp) -> Result<(), HostError> {
        self.grafana.change_grafana(target, op).await
    }
}

impl Doors for RealHost {
    fn open_doors(&self) -> Vec<SocketAddr> {
        let listeners = self.listeners.as_ref();
        listeners.map_or_else(Vec::new, |listeners| listeners.addresses())
    }

    async fn open_door(&self, address: SocketAddr) -> Result<(), HostError> {
        let failed = |kind, why: String| HostError::new(kind, format!("listen at {address}"), why);
        let Some(listeners) = &self.listeners else {
            return Err(failed(FailureKind::Invalid, "no agent runs here".to_owned()));
        };
        let opened = listeners.listen(address).await;
        opened
            .map(drop)
            .map_err(|error| failed(FailureKind::Other, error.to_string()))
    }
}

impl EngineWrite for RealHost {
    async fn engine(&self, op: &EngineOp) -> Result<(), HostError> {
        self.docker.engine(op).await
    }
}

impl PostgresRead for RealHost {
    async fn server(&self, target: &SqlTarget, question: &PgQuestion) -> Server {
        self.postgres.server(target, question).await
    }
}

impl PostgresWrite for RealHost {
    async fn sql(&self, target: &SqlTarget, op: &SqlOp) -> Result<(), HostError> {
        self.postgres.sql(target, op).await
    }
}
