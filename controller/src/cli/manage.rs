//! `reconciler pause`, `resume`, `restart` and `delete`.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::client::{Client, pick};
use super::error::{CommandError, CommandResult, Exit, failed};
use super::output::print;
use super::wait::until;
use crate::kinds::Request;

/// Leaves a resource alone, or not any more.
pub async fn pause(client: &Client, name: &str, paused: bool) -> CommandResult {
    let resource = client.resource(Some(name), false).await?;
    client.tell(&resource, if paused { "pause" } else { "resume" }).await?;
    let what = if paused {
        "paused: it is watched, and nothing is done to it"
    } else {
        "resumed"
    };
    print(&format!("{}/{}: {what}", resource.kind, resource.name))
}

/// Restarts a member, or all members of a cluster one after the other.
pub async fn restart(client: &Client, what: &str, cluster: Option<&str>, limit: Duration) -> CommandResult {
    let resources = client.overview(false).await?.resources;
    let is_whole = resources
        .iter()
        .any(|r| r.name == what || format!("{}/{}", r.kind, r.name) == what);
    let (resource, member) = match is_whole && cluster.is_none() {
        true => (pick(resources, Some(what))?, None),
        false => {
            let found = client.member(what, cluster).await?;
            (found.resource, Some(found.member))
        }
    };
    let reply = client.request(&resource, &Request::Restart { member }).await?;
    if !reply.accepted {
        return Err(CommandError::new(Exit::Refused, reply.message));
    }
    print(&reply.message)?;
    let name = format!("{}/{}", resource.kind, resource.name);
    // The pass that answers the request makes it not ready; the fresh look of `until` comes after it.
    until(client, Some(&name), limit, |r| r.status.is_ready()).await?;
    print("done")
}

/// Removes a resource's containers and network, and with `purge` its volumes and generated passwords.
pub async fn delete(client: &Client, name: &str, purge: bool, yes: bool, limit: Duration) -> CommandResult {
    let resource = client.resource(Some(name), false).await?;
    let name = format!("{}/{}", resource.kind, resource.name);
    let volumes: Vec<&str> = resource.status.members.iter().map(|m| m.volume.as_str()).collect();
    let question = if purge {
        format!("remove {name} and DESTROY its data ({})?", volumes.join(", "))
    } else {
        format!("remove the containers of {name}? its volumes stay")
    };
    if !yes && !confirmed(&question)? {
        return Err(CommandError::new(Exit::Refused, "not confirmed; nothing was done"));
    }
    client
        .tell(&resource, if purge { "delete?purge=true" } else { "delete" })
        .await?;
    let deadline = std::time::Instant::now() + limit;
    loop {
        let left = client.overview(false).await?.resources;
        if !left.iter().any(|r| r.uid == resource.uid) {
            return print(&format!("{name}: deleted"));
        }
        if std::time::Instant::now() > deadline {
            return Err(failed(format!("{name} is not gone yet; see `reconciler events`")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Asks somebody at the terminal.
pub fn confirmed(question: &str) -> Result<bool, CommandError> {
    if !std::io::stdin().is_terminal() {
        let message = format!("nobody is there to answer: {question}");
        return Err(CommandError::new(Exit::Refused, message).hint("add --yes"));
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush().map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
