//! One test's world: an agent with its manifest and state directory, and the containers that it keeps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::engines::free_ports;
pub use crate::engines::{Output, docker, docker_output, image, on_engine, replace, run, sweep, until};

/// How long anything may take. Generous: it only ever passes when something is wrong.
pub const DEADLINE: Duration = Duration::from_secs(120);
pub const POLL: Duration = Duration::from_millis(50);
/// The agent's metrics are at this port behind a world's first.
pub const METRICS: u16 = 15;

/// The product.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_reconciler");

/// One test's world.
pub struct World {
    pub name: String,
    pub dir: PathBuf,
    pub spec: Value,
    /// What the manifest's metadata says beside the name.
    pub metadata: Value,
    pub base_port: u16,
    agent: Option<Child>,
    environment: Vec<(String, String)>,
    /// What puts the agent on another machine: the words before its own command.
    launcher: Vec<String>,
}

impl World {
    /// A world with nothing in it: the manifest is not written, the agent not started.
    pub fn new(test: &str, replicas: u32) -> World {
        // The pid keeps worlds of an earlier run that could not clean up apart.
        let name = format!("t{}-{test}", std::process::id() % 100_000);
        let dir = std::env::temp_dir().join(format!("reconciler-{name}"));
        fs::create_dir_all(dir.join("manifests")).unwrap();
        let base_port = free_ports(16);
        let spec = json!({
            "image": image(),
            "replicas": replicas,
            "pullPolicy": "Never",
            "ports": {"base": base_port},
            "parameters": {"shared_buffers": "16MB", "max_connections": 30, "max_wal_size": "256MB", "min_wal_size": "32MB"},
            "health": {"interval": "2s"},
            "stopGracePeriod": "20s",
            "labels": {"dev-test": "docker"},
        });
        World {
            name,
            dir,
            spec,
            metadata: json!({}),
            base_port,
            agent: None,
            environment: Vec::new(),
            launcher: Vec::new(),
        }
    }

    /// A running cluster that is ready.
    pub fn ready(test: &str, replicas: u32) -> World {
        let mut world = World::new(test, replicas);
        world.start();
        world.wait_ready();
        world
    }

    pub fn manifest(&self) -> PathBuf {
        self.dir.join("manifests/cluster.yaml")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The file of a generated password of the cluster.
    pub fn secret(&self, role: &str) -> PathBuf {
        let secrets = self.state_dir().join("secrets/PostgresCluster");
        secrets.join(&self.name).join(role)
    }

    pub fn text(&self) -> String {
        let mut metadata = self.metadata.clone();
        metadata["name"] = json!(self.name);
        let document = json!({
            "apiVersion": "reconciler.dev/v1alpha1",
            "kind": "PostgresCluster",
            "metadata": metadata,
            "spec": self.spec,
        });
        serde_yaml::to_string(&document).unwrap()
    }

    /// Saves the manifest as editors do: a new file, then a rename.
    pub fn save(&self) {
        replace(&self.manifest(), &self.text());
    }

    /// Changes the spec and saves it.
    pub fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        change(&mut self.spec);
        self.save();
    }

    /// Sets a variable of the agent's environment, for its next start.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts the agent by way of a program that starts it.
    pub fn launch_by(&mut self, launcher: Vec<String>) {
        self.launcher = launcher;
    }

    /// Saves the manifest and starts the agent.
    pub fn start(&mut self) {
        self.save();
        self.start_agent();
    }

    pub fn start_agent(&mut self) {
        self.spawn_agent();
        self.until("the agent answers", |w| w.cli(&["status"]).code == 0);
    }

    /// Starts the agent and waits for nothing.
    pub fn spawn_agent(&mut self) {
        assert!(self.agent.is_none(), "an agent runs already");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("agent.log"))
            .unwrap();
        let mut command = self.launched(&["run", "-f"]);
        command.arg(self.dir.join("manifests"));
        command
            .env("RECONCILER_LOG", "debug")
            .env(
                "RECONCILER_METRICS_ADDRESS",
                format!("127.0.0.1:{}", self.base_port + METRICS),
            )
            .envs(self.environment.iter().cloned());
        command.stdout(Stdio::null()).stderr(log);
        self.agent = Some(command.spawn().unwrap());
    }

    /// Kills the agent with SIGKILL.
    pub fn kill_agent(&mut self) {
        let mut agent = self.agent.take().expect("an agent runs");
        let launched = format!("/proc/{0}/task/{0}/children", agent.id());
        match fs::read_to_string(launched).unwrap_or_default().trim() {
            "" => agent.kill().unwrap(),
            // The launcher ends with what it launched, and not before it.
            child => assert_eq!(run(Command::new("kill").args(["-9", child])).code, 0),
        }
        agent.wait().unwrap();
    }

    /// Kills the agent, if one runs.
    pub fn end_agent(&mut self) {
        if self.agent.is_some() {
            self.kill_agent();
        }
    }

    pub fn restart_agent(&mut self) {
        self.kill_agent();
        self.start_agent();
    }

    pub fn agent_lives(&mut self) -> bool {
        self.agent
            .as_mut()
            .is_some_and(|agent| agent.try_wait().unwrap().is_none())
    }

    /// The code that the agent ended with, once it has.
    pub fn agent_code(&mut self) -> Option<i32> {
        self.agent.as_mut()?.try_wait().unwrap()?.code()
    }

    /// The agent's command, on the machine where it is to run.
    fn launched(&self, arguments: &[&str]) -> Command {
        let Some((program, words)) = self.launcher.split_first() else {
            return self.command(arguments);
        };
        let mut command = Command::new(program);
        command.args(words).arg(PROGRAM);
        command.arg("--state-dir").arg(self.state_dir()).args(arguments);
        command
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--state-dir").arg(self.state_dir()).args(arguments);
        command
    }

    /// Runs a command of the product.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        run(&mut self.command(arguments))
    }

    /// Begins a command of the product.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The resource as `status -o json` shows it.
    pub fn resource(&self) -> Value {
        let output = self.cli(&["status", &self.name, "-o", "json"]);
        let overview: Value = serde_json::from_str(&output.out).unwrap_or(Value::Null);
        overview["resources"][0].clone()
    }

    pub fn member(&self, name: &str) -> Value {
        let members = self.resource()["status"]["members"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        members.into_iter().find(|m| m["name"] == name).unwrap_or(Value::Null)
    }

    pub fn primary(&self) -> String {
        let members = self.resource()["status"]["members"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let primary = members
            .into_iter()
            .find(|m| m["role"] == "primary")
            .unwrap_or(Value::Null);
        primary["name"].as_str().unwrap_or_default().to_owned()
    }

    /// A condition: its status, reason and message.
    pub fn condition(&self, kind: &str) -> (String, String, String) {
        let conditions = self.resource()["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = conditions
            .into_iter()
            .find(|c| c["type"] == kind)
            .unwrap_or(Value::Null);
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"), text("message"))
    }

    /// All events, a line each.
    pub fn events(&self) -> String {
        let events = self.resource()["events"].as_array().cloned().unwrap_or_default();
        let line = |e: &Value| {
            format!(
                "{} {}",
                e["reason"].as_str().unwrap_or(""),
                e["message"].as_str().unwrap_or("")
            )
        };
        events.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    pub fn is_ready(&self) -> bool {
        let resource = self.resource();
        let ready = &resource["status"]["conditions"][0];
        ready["type"] == "Ready"
            && ready["status"] == "True"
            && resource["status"]["observedGeneration"] == resource["generation"]
    }

    pub fn wait_ready(&self) {
        self.until("the cluster is ready", World::is_ready);
    }

    /// Waits until an event says something.
    pub fn wait_event(&self, text: &str) {
        self.until(&format!("an event says `{text}`"), |w| w.events().contains(text));
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, holds: impl Fn(&World) -> bool) {
        let begin = Instant::now();
        while !holds(self) {
            if begin.elapsed() > DEADLINE {
                let status = self.cli(&["status"]);
                panic!(
                    "waited {} s in vain until {what}\n{}{}\nevents:\n{}",
                    DEADLINE.as_secs(),
                    status.out,
                    status.err,
                    self.events()
                );
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until something is found.
    pub fn until_some<T>(&self, what: &str, find: impl Fn(&World) -> Option<T>) -> T {
        let found = std::cell::RefCell::new(None);
        self.until(what, |world| {
            *found.borrow_mut() = find(world);
            found.borrow().is_some()
        });
        found.into_inner().expect("it was found")
    }

    pub fn container(&self, member: &str) -> String {
        format!("{}-{member}", self.name)
    }

    pub fn volume(&self, member: &str, generation: u32) -> String {
        format!("{}-{member}-g{generation}", self.name)
    }

    pub fn network(&self) -> String {
        format!("{}-net", self.name)
    }

    /// Runs SQL in a member as the superuser; the answer without decoration, or the error.
    pub fn sql(&self, member: &str, database: &str, sql: &str) -> String {
        let container = self.container(member);
        let output = docker_output(&[
            "exec", "-u", "postgres", &container, "psql", "-U", "postgres", "-d", database, "-Atqc", sql,
        ]);
        if output.code == 0 {
            output.out.trim().to_owned()
        } else {
            format!("error: {}", output.err.trim())
        }
    }

    /// A member's container and its volume are destroyed. The agent may make the container again meanwhile: then the
    /// volume cannot go, and it is tried again.
    pub fn lose(&self, member: &str) {
        self.until("its volume is gone", |w| {
            docker_output(&["rm", "-f", "-v", &w.container(member)]);
            docker_output(&["volume", "rm", &w.volume(member, 1)]).code == 0
        });
    }

    pub fn started_at(&self, member: &str) -> String {
        docker(&["inspect", "-f", "{{.State.StartedAt}}", &self.container(member)])
    }

    pub fn container_id(&self, member: &str) -> String {
        docker(&["inspect", "-f", "{{.Id}}", &self.container(member)])
    }

    /// Its volumes, without the one that says whose it is.
    pub fn volumes(&self) -> Vec<String> {
        let filter = format!("label=dev.reconciler.name={}", self.name);
        docker(&["volume", "ls", "-q", "--filter", &filter])
            .lines()
            .filter(|volume| !volume.starts_with("reconciler-claim-"))
            .map(str::to_owned)
            .collect()
    }

    pub fn agent_log(&self) -> String {
        fs::read_to_string(self.dir.join("agent.log")).unwrap_or_default()
    }

    fn keep_logs(&self) {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target/failed")
            .join(&self.name);
        let _ = fs::create_dir_all(&kept);
        let _ = fs::copy(self.dir.join("agent.log"), kept.join("agent.log"));
        let _ = fs::write(kept.join("status.txt"), self.cli(&["status"]).out + &self.events());
        let filter = format!("label=dev.reconciler.name={}", self.name);
        for container in docker_output(&["ps", "-aq", "--filter", &filter]).out.lines() {
            let log = docker_output(&["logs", "--tail", "200", container]);
            let state = docker_output(&["inspect", container]).out;
            let _ = fs::write(kept.join(format!("{container}.log")), log.out + &log.err + &state);
        }
        eprintln!("logs are kept in {}", kept.display());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_logs();
        }
        self.end_agent();
        sweep(&self.name);
        let _ = fs::remove_dir_all(&self.dir);
    }
}
