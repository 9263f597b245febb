//! The real engine of this machine, with a PostgreSQL of some version in its containers.

use std::collections::BTreeMap;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use reconciler::host::real::RealHost;
use reconciler::host::{
    AgentRead, Ask, Doors, EngineRead, EngineWrite, GrafanaRead, GrafanaWrite, HostError, Owner, PostgresRead,
    PostgresWrite, Secrets, WebRead,
};
use reconciler::model::Seen;
use reconciler::model::container::{NamedSpec, Objects};
use reconciler::model::holder::Holder;
use reconciler::model::plan::{EngineOp, SqlTarget};
use reconciler::model::postgres::{PgQuestion, Server, SqlOp};
use reconciler::model::process::Vitals;
use reconciler::store::SecretFiles;
use tokio::task::LocalSet;

use crate::ground::{Blow, Ground, Host, cluster};
use crate::twin;

/// The real host; what was made on it goes when it is dropped.
pub struct Real {
    host: RealHost,
    name: String,
    _secrets: tempfile::TempDir,
}

/// Plays a scenario with an image.
pub fn on(image: &str, test: &str, play: impl AsyncFnOnce(&Ground<Real>)) {
    let version = image.rsplit(':').next().unwrap_or_default();
    let short: String = test.split('_').map(|word| &word[..1]).collect();
    let name = format!("c{}-{short}-{version}", std::process::id() % 100_000);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let secrets = tempfile::tempdir().unwrap();
        let files: Rc<dyn Secrets> = Rc::new(SecretFiles::new(secrets.path()));
        let ground = Ground {
            cluster: cluster(&name, image),
            host: Real {
                host: RealHost::connect(files).unwrap(),
                name,
                _secrets: secrets,
            },
        };
        play(&ground).await;
    });
}

impl Host for Real {
    async fn befall(&self, container: &str, blow: Blow) {
        match blow {
            Blow::Kill => docker(&["kill", container]),
            Blow::Pause => docker(&["pause", container]),
            Blow::Freeze => docker(&["kill", "--signal", "STOP", container]),
        };
    }

    async fn write(&self, container: &str, rows: u64) {
        let sql = format!(
            "create table if not exists written (n bigint); insert into written select generate_series(1, {rows})"
        );
        psql(container, &sql);
    }

    async fn rows(&self, container: &str) -> u64 {
        psql(container, "select count(*) from written").parse().unwrap()
    }

    async fn twin(&self, network: &NamedSpec) {
        twin::make(&network.name, &network.labels);
    }

    async fn rest(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let filter = format!("label=dev.reconciler.name={}", self.name);
        for (list, remove) in [
            (&["ps", "-aq"][..], &["rm", "-f", "-v"][..]),
            (&["volume", "ls", "-q"], &["volume", "rm"]),
            (&["network", "ls", "-q"], &["network", "rm"]),
        ] {
            for id in output(&[list, &["--filter", &filter]].concat()).1.lines() {
                output(&[remove, &[id]].concat());
            }
        }
    }
}

fn psql(container: &str, sql: &str) -> String {
    docker(&[
        "exec", "-u", "postgres", container, "psql", "-U", "postgres", "-Atqc", sql,
    ])
}

fn docker(arguments: &[&str]) -> String {
    let (succeeded, text) = output(arguments);
    assert!(succeeded, "docker {arguments:?}: {text}");
    text.trim().to_owned()
}

fn output(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("docker").args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}

impl WebRead for Real {}

impl Doors for Real {}

impl GrafanaRead for Real {}

impl GrafanaWrite for Real {}

impl AgentRead for Real {}

impl EngineRead for Real {
    async fn objects(&self, ask: &Ask) -> Result<Objects, HostError> {
        self.host.objects(ask).await
    }

    async fn owners(&self) -> Result<Vec<Owner>, HostError> {
        self.host.owners().await
    }

    async fn holders(&self, volumes: &[String]) -> Seen<Vec<Holder>> {
        self.host.holders(volumes).await
    }

    async fn volume_labels(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, HostError> {
        self.host.volume_labels(name).await
    }

    async fn read_file(&self, container: &str, path: &str) -> Seen<Vec<u8>> {
        self.host.read_file(container, path).await
    }

    async fn read_part(&self, container: &str, path: &str, offset: u64, length: u64) -> Seen<Vec<u8>> {
        self.host.read_part(container, path, offset, length).await
    }

    async fn links(&self, container: &str, directory: &str) -> Seen<BTreeMap<String, String>> {
        self.host.links(container, directory).await
    }

    async fn log_tail(&self, container: &str, lines: u32) -> Seen<String> {
        self.host.log_tail(container, lines).await
    }

    async fn process(&self, container: &str) -> Seen<Vitals> {
        self.host.process(container).await
    }
}

impl EngineWrite for Real {
    async fn engine(&self, op: &EngineOp) -> Result<(), HostError> {
        self.host.engine(op).await
    }
}

impl PostgresRead for Real {
    async fn server(&self, target: &SqlTarget, question: &PgQuestion) -> Server {
        self.host.server(target, question).await
    }
}

impl PostgresWrite for Real {
    async fn sql(&self, target: &SqlTarget, op: &SqlOp) -> Result<(), HostError> {
        self.host.sql(target, op).await
    }
}
