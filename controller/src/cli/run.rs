//! `reconciler run`: the agent. `reconciler up`: the agent in the background, and a wait until all is ready.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::client::Client;
use super::error::{CommandError, CommandResult, Exit, failed};
use super::output::{Format, print};
use super::{MetricsAt, status, validate, wait};
use crate::agent::Agent;
use crate::host::Secrets;
use crate::host::docker::Docker;
use crate::host::real::RealHost;
use crate::server;
use crate::server::metrics::Listeners;
use crate::store::{Store, used_by};

/// Runs the agent until it is told to stop.
pub async fn run(state_dir: &Path, manifests: Vec<PathBuf>, metrics: Option<SocketAddr>) -> CommandResult {
    let store = Store::open(state_dir).map_err(failed)?;
    let (records, _) = store.load().map_err(failed)?;
    if records.is_empty() && !manifests.iter().any(|path| path.exists()) {
        // With a record there would be something to keep running; here it can only be a typing error.
        let names: Vec<String> = manifests.iter().map(|p| p.display().to_string()).collect();
        return Err(CommandError::new(
            Exit::Invalid,
            format!("there is no {}", names.join(", ")),
        ));
    }
    let secrets = Rc::new(store.secrets());
    for text in secrets.move_in(&used_by(&records)) {
        warn!("{text}");
    }
    let mut host = RealHost::connect(Rc::clone(&secrets) as Rc<dyn Secrets>).map_err(failed)?;
    let (calls, incoming) = mpsc::channel(64);
    let listeners = Rc::new(Listeners::new(calls.clone()));
    host.listeners = metrics.map(|_| Rc::clone(&listeners));
    let docker = Rc::clone(&host.docker);
    if let Some(own) = docker.in_container() {
        info!(
            container = own,
            "running in a container, which is never stopped or removed from here"
        );
    }
    let agent = Agent::new(host, store, secrets, manifests).map_err(failed)?;
    let socket_dir = state_dir.to_owned();
    info!(state_dir = %state_dir.display(), version = env!("CARGO_PKG_VERSION"), "the agent starts");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let reload = Rc::clone(&agent);
    tokio::task::spawn_local(async move {
        while hangup.recv().await.is_some() {
            reload.rescan();
            reload.wake_all();
        }
    });
    tokio::task::spawn_local(server::serve_calls(Rc::clone(&agent), incoming));
    tokio::task::spawn_local(hear_engine(docker, Rc::clone(&agent)));
    tokio::task::spawn_local(beat());
    tokio::task::spawn_local(serve_metrics(listeners, metrics));
    let ended = tokio::select! {
        result = server::listen(&socket_dir, calls) => {
            let why = result.err().map_or_else(|| "it ended".to_owned(), |e| e.to_string());
            Err(failed(format!("cannot listen on {}: {why}", socket_dir.join(server::SOCKET).display())))
        }
        why = Rc::clone(&agent).run() => {
            let message = format!("the state directory is lost: {why}");
            Err(failed(message).hint("nothing is done without it, and the containers keep running; put it right and start the agent again"))
        }
        () = Rc::clone(&agent).watch() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    info!("the agent stops; the containers keep running");
    ended
}

/// Serves the metrics. A port that somebody else has is no reason to leave the databases alone: it is tried again.
async fn serve_metrics(listeners: Rc<Listeners>, address: Option<SocketAddr>) {
    let Some(address) = address else {
        return;
    };
    let mut is_told = false;
    loop {
        match listeners.listen(address).await {
            Ok(address) => return info!(%address, "the metrics are served"),
            Err(error) if !is_told => {
                warn!(%address, %error, "the metrics are not served; it is tried again, or name another --metrics-address");
                is_told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Wakes whoever something happened to. The stream is subscribed first and the world listed afterwards; whenever it
/// ends, for whatever reason, both begin anew.
async fn hear_engine(docker: Rc<Docker>, agent: Rc<Agent<RealHost>>) {
    let mut pause = Duration::from_millis(250);
    loop {
        let begin = Instant::now();
        let watched = docker.watch(|event| agent.hear(&event)).await;
        if let Err(error) = watched
            && pause < Duration::from_secs(1)
        {
            warn!(%error, "the engine's events are not heard");
        }
        pause = if begin.elapsed() > Duration::from_secs(10) {
            Duration::from_millis(250)
        } else {
            (pause * 2).min(Duration::from_secs(5))
        };
        tokio::time::sleep(pause).await;
    }
}

/// Tells systemd that the agent is ready, and then that its one thread still turns.
async fn beat() {
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
    let mut limit_us = 0;
    if !sd_notify::watchdog_enabled(false, &mut limit_us) {
        return;
    }
    let limit = Duration::from_micros(limit_us);
    loop {
        tokio::time::sleep(limit / 3).await;
        let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Watchdog]);
    }
}

/// Starts an agent in the background unless one runs, waits until everything is ready, and prints the status.
pub async fn up(
    client: &Client,
    (state_dir, metrics): (&Path, &MetricsAt),
    manifests: &[PathBuf],
    limit: Duration,
) -> CommandResult {
    metrics.address()?;
    validate::documents(manifests)?;
    if client.overview(false).await.is_err() {
        start(client, (state_dir, metrics), manifests).await?;
    }
    let overview = client.overview(false).await?;
    let process = overview.agent.process;
    let asked: Vec<String> = manifests.iter().map(|p| p.display().to_string()).collect();
    let here = std::env::current_dir().unwrap_or_default();
    let absolute: Vec<String> = manifests.iter().map(|p| here.join(p).display().to_string()).collect();
    if overview.agent.manifests != asked && overview.agent.manifests != absolute {
        let message = format!(
            "process {process} is an agent for {}",
            overview.agent.manifests.join(", ")
        );
        let hint = format!("stop it (`kill {process}`) or name another --state-dir");
        return Err(CommandError::new(Exit::Refused, message).hint(hint));
    }
    for resource in overview.resources {
        let name = format!("{}/{}", resource.kind, resource.name);
        print(&format!("waiting for {name}"))?;
        wait::wait(client, Some(&name), "Ready", limit).await?;
    }
    print("")?;
    status::status(client, None, Format::Table).await?;
    print(&format!(
        "\nthe agent is process {process}, its log is {}; `kill {process}` ends it, and the containers keep running",
        state_dir.join("agent.log").display()
    ))
}

async fn start(client: &Client, (state_dir, metrics): (&Path, &MetricsAt), manifests: &[PathBuf]) -> CommandResult {
    std::fs::create_dir_all(state_dir).map_err(failed)?;
    let log_path = state_dir.join("agent.log");
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&log_path)
        .map_err(failed)?;
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.arg("--state-dir").arg(state_dir).arg("run");
    command.arg("--metrics-address").arg(&metrics.metrics_address);
    for path in manifests {
        command.arg("-f").arg(std::path::absolute(path).map_err(failed)?);
    }
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log);
    // A group of its own: the Ctrl-C that ends this command does not end the agent.
    let mut child = command.process_group(0).spawn().map_err(failed)?;
    let begin = Instant::now();
    loop {
        if client
            .overview(false)
            .await
            .is_ok_and(|o| !o.resources.is_empty() || !o.agent.problems.is_empty())
        {
            return Ok(());
        }
        if let Some(ended) = child.try_wait().map_err(failed)? {
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            let last = log.lines().last().unwrap_or_default().to_owned();
            return Err(failed(format!("the agent ended at once ({ended}): {last}")));
        }
        if begin.elapsed() > Duration::from_secs(20) {
            return Err(failed(format!("the agent does not answer; see {}", log_path.display())));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
