//! `reconciler logs` and `psql`: straight to a member's container.

use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::rc::Rc;

use super::client::Client;
use super::error::{CommandError, CommandResult, failed};
use crate::host::docker::{Docker, LogStream};
use crate::store::SecretFiles;

/// Prints a member's log.
pub async fn logs(
    client: &Client,
    state_dir: &Path,
    member: &str,
    cluster: Option<&str>,
    tail: u32,
    follow: bool,
) -> CommandResult {
    let container = container(client, member, cluster).await?;
    let docker = Docker::connect(None, Rc::new(SecretFiles::new(state_dir))).map_err(failed)?;
    let show = |stream: LogStream, bytes: &[u8]| {
        let written = match stream {
            LogStream::Stdout => std::io::stdout().write_all(bytes),
            LogStream::Stderr => std::io::stderr().write_all(bytes),
        };
        if written.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    docker.logs(&container, Some(tail), follow, show).await.map_err(failed)
}

/// Becomes `psql` inside a member's container, as the superuser through its socket: no password is needed.
pub async fn psql(client: &Client, member: Option<&str>, cluster: Option<&str>, arguments: &[String]) -> CommandResult {
    let container = match member {
        Some(member) => container(client, member, cluster).await?,
        None => {
            let resource = client.resource(cluster, false).await?;
            let primary = resource.status.members.iter().find(|m| m.role == "primary");
            let primary = primary.ok_or_else(|| failed(format!("{} has no primary", resource.name)))?;
            primary.container.clone()
        }
    };
    let mut docker = std::process::Command::new("docker");
    docker.arg("exec").arg("-i");
    if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        docker.arg("-t");
    }
    docker
        .args(["-u", "postgres", &container, "psql", "-U", "postgres"])
        .args(arguments);
    let error = docker.exec();
    Err(failed(format!("cannot run docker exec: {error}")).hint("the docker command has to be installed"))
}

async fn container(client: &Client, member: &str, cluster: Option<&str>) -> Result<String, CommandError> {
    let found = client.member(member, cluster).await?;
    let members = found.resource.status.members;
    let container = members
        .into_iter()
        .find(|m| m.name == found.member)
        .map(|m| m.container);
    container.ok_or_else(|| failed(format!("{member} has no container")))
}
