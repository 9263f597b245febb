//! Starts, signals, stops, removes, connects. What is already so is no error. Nothing that ends or destroys is done to
//! what does not carry our label, nor to the container that the agent itself runs in.

use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest};
use bollard::query_parameters::{
    InspectNetworkOptions, KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    RenameContainerOptionsBuilder, StopContainerOptionsBuilder,
};

use super::{Docker, WORK, announce, convert, errors, holder, mounted, observe};
use crate::host::{FailureKind, HostError};
use crate::model::labels;

/// Setting up a network and a file system on a busy disk.
const START: Duration = Duration::from_secs(60);
/// Seconds that the engine may take to stop a container, beyond the grace.
const STOP_MARGIN_SECS: i64 = 30;
/// Signals that ask for, or force, the end of a process.
const ENDING: [&str; 4] = ["SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM"];

/// Starts a container. A taken port is named together with who holds it.
pub(super) async fn start(docker: &Docker, container: &str) -> Result<(), HostError> {
    let what = format!("start container {container}");
    let (is_alone, ()) = tokio::join!(
        mounted::check_start(docker, &what, container),
        announce::prepare(docker, container)
    );
    is_alone?;
    let request = async |engine: bollard::Docker| engine.start_container(container, None).await;
    let started = docker.call(&what, START, request).await;
    let Err(error) = started else {
        announce::announce(docker, container).await;
        return Ok(());
    };
    let Some(port) = errors::taken_port(&error.why) else {
        return Err(error);
    };
    let why = match holder::of_port(docker, port).await {
        Some(holder) => format!("port {port} of the host is taken by {holder}"),
        None => format!("port {port} of the host is taken"),
    };
    Err(HostError::new(FailureKind::Conflict, what, why))
}

/// Sends a signal to a container's process. To end what has ended is no error.
pub(super) async fn signal(docker: &Docker, container: &str, signal: &str) -> Result<(), HostError> {
    let what = format!("send {signal} to container {container}");
    let is_ending = ENDING.contains(&signal);
    let gone = || match is_ending {
        true => Ok(()),
        false => Err(HostError::new(FailureKind::NotFound, what.as_str(), "it does not run")),
    };
    if ours(docker, container, &what).await?.is_none() {
        return gone();
    }
    let request = async |engine: bollard::Docker| {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        match engine.kill_container(container, Some(options)).await {
            Err(error) if errors::is_missing(&error) || errors::answer(&error).contains("is not running") => Ok(false),
            other => other.map(|()| true),
        }
    };
    match docker.call(&what, WORK, request).await? {
        true => Ok(()),
        false => gone(),
    }
}

/// Asks a container to stop and waits. Whatever the call says, the container itself is looked at in the end: the engine
/// goes on stopping when the call breaks off.
pub(super) async fn stop(docker: &Docker, container: &str, grace_secs: i64) -> Result<(), HostError> {
    let what = format!("stop container {container}");
    if ours(docker, container, &what).await?.is_none() {
        return Ok(());
    }
    // -1 would wait for ever.
    let grace_secs = grace_secs.clamp(0, i64::from(i32::MAX) - STOP_MARGIN_SECS);
    let limit = Duration::from_secs((grace_secs + STOP_MARGIN_SECS).unsigned_abs());
    let request = async |engine: bollard::Docker| {
        let seconds = i32::try_from(grace_secs).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        engine.stop_container(container, Some(options)).await
    };
    let answer = docker.call(&what, limit, request).await;
    let Some(seen) = observe::inspect(docker, container).await? else {
        return Ok(());
    };
    match (seen.state.unwrap_or_default().running, answer) {
        (Some(false), _) => Ok(()),
        (_, Err(error)) => Err(error),
        (_, Ok(())) => Err(HostError::new(FailureKind::Other, what, "it still runs")),
    }
}

/// Removes a container that does not run. Its volumes stay.
pub(super) async fn remove_container(docker: &Docker, container: &str) -> Result<(), HostError> {
    let what = format!("remove container {container}");
    if ours(docker, container, &what).await?.is_none() {
        return Ok(());
    }
    let request = async |engine: bollard::Docker| {
        let options = RemoveContainerOptionsBuilder::new().v(false).force(false).build();
        let removed = engine.remove_container(container, Some(options)).await;
        unless(removed, |error| {
            errors::is_missing(error) || errors::answer(error).contains("is already in progress")
        })
    };
    docker.call(&what, WORK, request).await
}

/// Gives a container another name.
pub(super) async fn rename(docker: &Docker, container: &str, name: &str) -> Result<(), HostError> {
    let what = format!("rename container {container} to {name}");
    let found = ours(docker, container, &what).await?;
    if found.is_some_and(|found| found.name.as_deref().map(|found| found.trim_start_matches('/')) == Some(name)) {
        return Ok(());
    }
    let request = async |engine: bollard::Docker| {
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        engine.rename_container(container, options).await
    };
    docker.call(&what, WORK, request).await
}

/// Destroys a volume and its data.
pub(super) async fn remove_volume(docker: &Docker, name: &str) -> Result<(), HostError> {
    let what = format!("remove volume {name}");
    let look = async |engine: bollard::Docker| engine.inspect_volume(name).await;
    let volume = match docker.call(&what, WORK, look).await {
        Err(error) if error.kind == FailureKind::NotFound => return Ok(()),
        other => other?,
    };
    check_label(&what, volume.labels.contains_key(labels::UID))?;
    mounted::check_removal(docker, &what, name).await?;
    let request = async |engine: bollard::Docker| {
        let removed = engine.remove_volume(name, None::<RemoveVolumeOptions>).await;
        unless(removed, errors::is_missing)
    };
    docker.call(&what, WORK, request).await
}

/// Removes a network that nothing is attached to. What is still attached is named: it is somebody else's, and has to
/// leave first.
pub(super) async fn remove_network(docker: &Docker, name: &str) -> Result<(), HostError> {
    let what = format!("remove network {name}");
    let look = async |engine: bollard::Docker| engine.inspect_network(name, None::<InspectNetworkOptions>).await;
    let network = match docker.call(&what, WORK, look).await {
        Err(error) if error.kind == FailureKind::NotFound => return Ok(()),
        other => other?,
    };
    let guests = convert::guests(&network);
    if !guests.is_empty() {
        let verb = if guests.len() == 1 { "is" } else { "are" };
        let guests = guests.join(", ");
        let why = format!("{guests} {verb} still attached to it; `docker network disconnect {name} CONTAINER`");
        return Err(HostError::new(FailureKind::Conflict, what, why));
    }
    check_label(&what, convert::labels(network.labels).contains_key(labels::UID))?;
    let request = async |engine: bollard::Docker| {
        let _turn = docker.network_turn.lock().await;
        let removed = engine.remove_network(name).await;
        unless(removed, errors::is_missing)
    };
    docker.call(&what, WORK, request).await
}

/// Attaches a container to a network.
pub(super) async fn attach(
    docker: &Docker,
    container: &str,
    network: &str,
    aliases: &[String],
) -> Result<(), HostError> {
    let what = format!("connect container {container} to network {network}");
    let request = async |engine: bollard::Docker| {
        let config = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(EndpointSettings {
                aliases: Some(aliases.to_vec()),
                ..EndpointSettings::default()
            }),
        };
        let _turn = docker.network_turn.lock().await;
        let connected = engine.connect_network(network, config).await;
        unless(connected, |error| {
            let answer = errors::answer(error);
            answer.contains("already exists in network") || answer.contains("already attached to network")
        })
    };
    docker.call(&what, WORK, request).await
}

/// Detaches a container from a network; connections over it end.
pub(super) async fn detach(docker: &Docker, container: &str, network: &str) -> Result<(), HostError> {
    let what = format!("disconnect container {container} from network {network}");
    if ours(docker, container, &what).await?.is_none() {
        return Ok(());
    }
    let request = async |engine: bollard::Docker| {
        let config = NetworkDisconnectRequest {
            container: container.to_owned(),
            force: Some(false),
        };
        let _turn = docker.network_turn.lock().await;
        let left = engine.disconnect_network(network, config).await;
        unless(left, |error| {
            errors::is_missing(error) || errors::answer(error).contains("is not connected to")
        })
    };
    docker.call(&what, WORK, request).await
}

/// Thaws a paused container.
pub(super) async fn unpause(docker: &Docker, container: &str) -> Result<(), HostError> {
    let what = format!("unpause container {container}");
    mounted::check_start(docker, &what, container).await?;
    let request = async |engine: bollard::Docker| {
        let thawed = engine.unpause_container(container).await;
        unless(thawed, |error| errors::answer(error).contains("is not paused"))
    };
    docker.call(&what, WORK, request).await
}

/// The container, if it is there; an error if it is not ours to end, or is the one that we run in.
async fn ours(docker: &Docker, container: &str, what: &str) -> Result<Option<ContainerInspectResponse>, HostError> {
    let Some(inspected) = observe::inspect(docker, container).await? else {
        return Ok(None);
    };
    if inspected.id.is_some() && inspected.id == docker.own_id {
        let why = "the agent itself runs in it; move it with docker, not with a manifest";
        return Err(HostError::new(FailureKind::Invalid, what, why));
    }
    let labels = inspected.config.as_ref().and_then(|config| config.labels.as_ref());
    check_label(what, labels.is_some_and(|labels| labels.contains_key(labels::UID)))?;
    Ok(Some(inspected))
}

fn check_label(what: &str, is_labelled: bool) -> Result<(), HostError> {
    if is_labelled {
        return Ok(());
    }
    let why = format!("it does not carry the label {}, so it is not ours", labels::UID);
    Err(HostError::new(FailureKind::Invalid, what, why))
}

fn unless(result: Result<(), Error>, is_fine: impl FnOnce(&Error) -> bool) -> Result<(), Error> {
    match result {
        Err(error) if is_fine(&error) => Ok(()),
        other => other,
    }
}
