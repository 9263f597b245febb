//! The agent and its cluster, as a user has them: the release binary, a manifest with the quickstart's values, the
//! command line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use reconciler::agent::view::ResourceView;
use reconciler::cli::client::Client;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::Done;
use crate::idle::Rest;
use crate::log::Log;
use crate::place::{LABEL, Place};
use crate::sql::Address;

/// The agent's program, built with the release's settings.
pub const BINARY: &str = env!("CARGO_BIN_EXE_reconciler");
/// The cluster's members.
pub const MEMBERS: [&str; 3] = ["master", "replica-1", "replica-2"];
/// How long bringing a cluster up, or back to rest, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running agent with a cluster that is ready.
pub struct Live<'a> {
    /// Where the run lives.
    pub place: &'a Place,
    /// The agent's API.
    pub client: Client,
    /// The agent's process.
    pub process: u32,
    /// The agent's log.
    pub log: Log,
    /// Whether few rounds are enough.
    pub quick: bool,
    /// What was seen of the agent at rest; looked at once for all sections.
    pub rest: OnceCell<Rest>,
    ports: BTreeMap<&'static str, u16>,
    more: &'static str,
}

impl<'a> Live<'a> {
    /// Starts the agent on a new manifest and waits until its cluster is ready.
    pub async fn start(place: &'a Place, quick: bool) -> Done<Self> {
        Self::start_with(place, quick, "").await
    }

    /// The same, with more lines in the spec.
    pub async fn start_with(place: &'a Place, quick: bool, more: &'static str) -> Done<Self> {
        fs::create_dir_all(place.manifest().parent().ok_or("the manifest has no directory")?)?;
        let ports: BTreeMap<&str, u16> = MEMBERS.into_iter().zip(free_ports(MEMBERS.len())?).collect();
        fs::write(place.manifest(), manifest(&place.name, &ports, 100) + more)?;
        let child = Command::new(BINARY)
            .arg("--state-dir")
            .arg(place.state_dir())
            .args(["run", "-f"])
            .arg(place.manifest())
            .env("RECONCILER_LOG", "info,reconciler=debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(place.log())?)
            .kill_on_drop(true)
            .spawn()?;
        let process = child.id().ok_or("the agent ended at once")?;
        place.agent.replace(Some(child));
        let live = Live {
            place,
            client: Client::new(&place.state_dir()),
            process,
            log: Log::new(&place.log()),
            quick,
            rest: OnceCell::new(),
            ports,
            more,
        };
        live.settle().await?;
        Ok(live)
    }

    /// How many rounds to make of something that is made `full` times in a full run.
    pub fn rounds(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(5) } else { full }
    }

    /// The cluster, as the agent sees it now.
    pub async fn cluster(&self) -> Done<ResourceView> {
        let seen = self.client.resource(Some(&self.place.name), true).await;
        seen.map_err(|error| error.to_string().into())
    }

    /// Waits until the cluster is ready and nothing is left to do.
    pub async fn settle(&self) -> Done<ResourceView> {
        let begin = Instant::now();
        loop {
            let seen = self.cluster().await;
            if let Ok(cluster) = &seen
                && cluster.status.is_ready()
                && cluster.status.observed_generation == cluster.generation
                && cluster.status.members.len() == MEMBERS.len()
            {
                return seen;
            }
            if begin.elapsed() > PATIENCE {
                let now = seen.map(|cluster| format!("{:?}", cluster.status.conditions));
                return Err(format!("the cluster does not get ready: {}", now?).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The member that is the primary.
    pub async fn primary(&self) -> Done<String> {
        let members = self.cluster().await?.status.members;
        let primary = members.into_iter().find(|member| member.role == "primary");
        Ok(primary.ok_or("no member is the primary")?.name)
    }

    /// Where a member is reached from the host.
    pub fn address(&self, member: &str) -> Done<Address> {
        let name = &self.place.name;
        let password = fs::read_to_string(
            self.place
                .state_dir()
                .join("secrets/PostgresCluster")
                .join(name)
                .join("postgres"),
        )?;
        Ok(Address {
            port: *self.ports.get(member).ok_or("no such member")?,
            password: password.trim().to_owned(),
        })
    }

    /// A member's container.
    pub fn container(&self, member: &str) -> String {
        format!("{}-{member}", self.place.name)
    }

    /// Saves the manifest with another value of a parameter that needs no restart, as editors do: a new file beside the
    /// old one, then a rename. Returns when the rename was.
    pub fn edit(&self, log_min_duration_ms: u64) -> Done<SystemTime> {
        let path = self.place.manifest();
        let beside = path.with_extension("new");
        fs::write(
            &beside,
            manifest(&self.place.name, &self.ports, log_min_duration_ms) + self.more,
        )?;
        let at = SystemTime::now();
        fs::rename(beside, path)?;
        Ok(at)
    }

    /// Has the agent leave the cluster alone, or not any more.
    pub async fn pause(&self, paused: bool) -> Done<()> {
        let verb = if paused { "pause" } else { "resume" };
        self.command(&[verb, &self.place.name]).await
    }

    /// Runs a command of the command line.
    pub async fn command(&self, arguments: &[&str]) -> Done<()> {
        let mut command = Command::new(BINARY);
        command.arg("--state-dir").arg(self.place.state_dir()).args(arguments);
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        if output.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&output.stderr);
        Err(format!("`reconciler {}` failed: {}", arguments.join(" "), why.trim()).into())
    }
}

/// Ports that nobody listens on. All are held until all are found, so that they differ.
pub fn free_ports(number: usize) -> Done<BTreeSet<u16>> {
    let mut held = Vec::new();
    for _ in 0..number {
        held.push(TcpListener::bind(("127.0.0.1", 0))?);
    }
    let ports = held.iter().map(|listener| Ok(listener.local_addr()?.port()));
    ports.collect()
}

/// The quickstart's values, under another name and with other ports.
fn manifest(name: &str, ports: &BTreeMap<&'static str, u16>, log_min_duration_ms: u64) -> String {
    let ports: Vec<String> = ports
        .iter()
        .map(|(member, port)| format!("      {member}: {port}"))
        .collect();
    format!(
        r#"apiVersion: reconciler.dev/v1alpha1
kind: PostgresCluster
metadata:
  name: {name}
spec:
  image: postgres:17
  replicas: 2
  primaryName: master
  ports:
    members:
{}
  parameters:
    wal_level: replica
    max_wal_senders: "10"
    shared_buffers: 256MB
    wal_keep_size: 1GB
    hot_standby: "on"
    max_connections: "100"
    shared_preload_libraries: pg_stat_statements
    log_min_duration_statement: "{log_min_duration_ms}"
  databases:
    - name: mydb
      extensions:
        - pg_stat_statements
  labels:
    {LABEL}: {name}
"#,
        ports.join("\n")
    )
}
