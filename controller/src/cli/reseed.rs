//! `reconciler reseed MEMBER`.

use std::time::Duration;

use clap::ValueEnum;

use super::client::Client;
use super::error::{CommandError, CommandResult, Exit};
use super::output::print;
use super::wait::until;
use crate::agent::view::ResourceView;
use crate::kinds::Request;

/// How a re-seed is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Reseed {
    /// The replica that gets a new volume
    pub member: String,
    /// The cluster, where several have a member of this name
    #[arg(long)]
    pub cluster: Option<String>,
    /// How the new volume is filled; as the manifest says if nothing is named
    #[arg(long)]
    pub method: Option<By>,
    /// Do it although no other replica could take over meanwhile
    #[arg(long)]
    pub force: bool,
    /// How many seconds to wait for the end
    #[arg(long, default_value_t = 3600)]
    pub timeout: u64,
}

/// How a new volume is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// By a base backup of the primary
    Clone,
    /// By a copy of the old volume and `pg_rewind`
    Rewind,
}

/// Gives a replica a new volume and waits until it streams from it.
pub async fn reseed(client: &Client, ask: &Reseed) -> CommandResult {
    let found = client.member(&ask.member, ask.cluster.as_deref()).await?;
    let by = ask.method.map(|by| match by {
        By::Clone => "clone".to_owned(),
        By::Rewind => "rewind".to_owned(),
    });
    let request = Request::Reseed {
        member: found.member.clone(),
        by,
        force: ask.force,
    };
    let reply = client.request(&found.resource, &request).await?;
    if !reply.accepted {
        return Err(CommandError::new(Exit::Refused, reply.message));
    }
    print(&reply.message)?;
    let name = format!("{}/{}", found.resource.kind, found.resource.name);
    let limit = Duration::from_secs(ask.timeout);
    let streams = |r: &ResourceView| r.status.members.iter().any(|m| m.name == found.member && m.ready);
    // The pass after the request makes the member not ready; the fresh look of `until` comes after it.
    let is_over =
        |r: &ResourceView| streams(r) && r.status.operation.is_none() || r.status.condition(NEEDS_HUMAN).is_some();
    let resource = until(client, Some(&name), limit, is_over).await?;
    match resource.status.condition(NEEDS_HUMAN) {
        Some(condition) if !streams(&resource) => Err(CommandError::new(Exit::Failed, condition.message.clone())),
        Some(_) | None => print(&format!("{} streams from its new volume", found.member)),
    }
}

const NEEDS_HUMAN: &str = "NeedsHuman";
