//! The agent with its files, commands, and the end of all that was made.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Done;

/// The agent's program.
const BINARY: &str = env!("CARGO_BIN_EXE_reconciler");
/// The label of all that is made; its value is the run's name.
pub const LABEL: &str = "dev-test";

/// What a command came to.
pub struct Output {
    /// Whether it succeeded.
    pub succeeded: bool,
    /// What it printed.
    pub out: String,
    /// What it complained about.
    pub err: String,
}

/// Where the run lives.
pub struct Host {
    /// Names the run.
    pub name: String,
    program: PathBuf,
    dir: TempDir,
    agent: Option<Child>,
    commands: Vec<Child>,
    lost_states: usize,
    next_port: u16,
}

impl Host {
    /// With nothing in it.
    pub fn new(program: Option<&Path>) -> Done<Self> {
        let dir = TempDir::with_prefix("reconciler-chaos-")?;
        fs::create_dir_all(dir.path().join("manifests"))?;
        let id = std::process::id();
        Ok(Host {
            name: format!("c{}", id % 100_000),
            program: program.unwrap_or(Path::new(BINARY)).to_owned(),
            dir,
            agent: None,
            commands: Vec::new(),
            lost_states: 0,
            next_port: 20_000 + u16::try_from(id % 1000)? * 24,
        })
    }

    /// The first of `count` ports that are free.
    pub fn ports(&mut self, count: u16) -> u16 {
        loop {
            let base = self.next_port;
            self.next_port = base.checked_add(count).filter(|next| *next < 60_000).unwrap_or(20_000);
            if (0..count).all(|n| TcpListener::bind(("127.0.0.1", base + n)).is_ok()) {
                return base;
            }
        }
    }

    /// A cluster's manifest.
    pub fn manifest(&self, cluster: &str) -> PathBuf {
        self.dir.path().join("manifests").join(format!("{cluster}.yaml"))
    }

    /// The agent's state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The agent's log, of all its lives.
    pub fn log(&self) -> Done<String> {
        Ok(fs::read_to_string(self.dir.path().join("agent.log"))?)
    }

    /// Starts the agent.
    pub fn start_agent(&mut self) -> Done<()> {
        let log = self.dir.path().join("agent.log");
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = self.command(&["run", "-f"]);
        command.arg(self.dir.path().join("manifests"));
        command.env("RECONCILER_LOG", "info,reconciler=debug");
        self.agent = Some(command.stdout(Stdio::null()).stderr(log).spawn()?);
        let begin = Instant::now();
        while !self.cli(&["status"])?.succeeded {
            if begin.elapsed() > Duration::from_secs(60) {
                return Err("the agent does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Whether an agent was started and not killed.
    pub fn has_agent(&self) -> bool {
        self.agent.is_some()
    }

    /// Whether the agent ended by itself.
    pub fn agent_died(&mut self) -> Done<bool> {
        match &mut self.agent {
            Some(agent) => Ok(agent.try_wait()?.is_some()),
            None => Ok(false),
        }
    }

    /// Kills the agent with SIGKILL.
    pub fn kill_agent(&mut self) -> Done<()> {
        if let Some(mut agent) = self.agent.take() {
            agent.kill()?;
            agent.wait()?;
        }
        Ok(())
    }

    /// Moves the state directory away.
    pub fn lose_state(&mut self) -> Done<()> {
        self.lost_states += 1;
        let away = self.dir.path().join(format!("state.lost-{}", self.lost_states));
        Ok(fs::rename(self.state_dir(), away)?)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--state-dir").arg(self.state_dir()).args(arguments);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command of the product's.
    pub fn cli(&self, arguments: &[&str]) -> Done<Output> {
        output(&mut self.command(arguments))
    }

    /// Begins a command of the product's; nobody waits for it.
    pub fn begin(&mut self, arguments: &[&str]) -> Done<()> {
        let mut command = self.command(arguments);
        self.commands
            .push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        Ok(())
    }

    /// Ends the commands that nobody waits for.
    pub fn end_commands(&mut self) {
        for mut command in self.commands.drain(..) {
            // It may have ended already.
            let _ = command.kill();
            let _ = command.wait();
        }
    }

    /// Keeps what tells why something did not hold. Returns where.
    pub fn keep(&self) -> Done<PathBuf> {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target/failed")
            .join(&self.name);
        fs::create_dir_all(&kept)?;
        fs::write(kept.join("agent.log"), self.log()?)?;
        for (file, arguments) in [
            ("status.txt", ["status", "-o", "table"].as_slice()),
            ("status.json", &["status", "-o", "json"]),
            ("plan.txt", &["plan"]),
        ] {
            let output = self.cli(arguments)?;
            fs::write(kept.join(file), output.out + &output.err)?;
        }
        for container in self.list(&["ps", "-a", "--format", "{{.Names}}"])? {
            let log = docker(&["logs", "--timestamps", &container])?;
            let state = docker(&["inspect", &container])?.out;
            fs::write(kept.join(format!("{container}.log")), log.out + &log.err)?;
            fs::write(kept.join(format!("{container}.json")), state)?;
        }
        fs::write(kept.join("volumes.txt"), self.list(&["volume", "ls", "-q"])?.join("\n"))?;
        Ok(kept)
    }

    fn list(&self, what: &[&str]) -> Done<Vec<String>> {
        let filter = format!("label={LABEL}={}", self.name);
        let listed = docker(&[what, &["--filter", &filter]].concat())?;
        Ok(listed.out.lines().map(str::to_owned).collect())
    }

    /// Ends the agent and removes all that was made.
    pub fn sweep(&mut self) -> Done<()> {
        self.kill_agent()?;
        self.end_commands();
        // What is listed is this run's alone; what is gone already needs no removing.
        for container in self.list(&["ps", "-aq"])? {
            docker(&["rm", "-f", "-v", &container])?;
        }
        for volume in self.list(&["volume", "ls", "-q"])? {
            docker(&["volume", "rm", &volume])?;
        }
        for network in self.list(&["network", "ls", "-q"])? {
            docker(&["network", "rm", &network])?;
        }
        let left = [
            self.list(&["ps", "-aq"])?,
            self.list(&["volume", "ls", "-q"])?,
            self.list(&["network", "ls", "-q"])?,
        ]
        .concat();
        if left.is_empty() {
            return Ok(());
        }
        Err(format!("could not be removed: {}", left.join(", ")).into())
    }
}

/// Runs a docker command.
pub fn docker(arguments: &[&str]) -> Done<Output> {
    output(Command::new("docker").args(arguments).stdin(Stdio::null()))
}

fn output(command: &mut Command) -> Done<Output> {
    let output = command.output()?;
    Ok(Output {
        succeeded: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        err: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
