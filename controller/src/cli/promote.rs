//! `reconciler promote MEMBER`.

use std::time::Duration;

use super::client::Client;
use super::error::{CommandError, CommandResult, Exit};
use super::output::{Format, print, print_for_scripts, table};
use super::wait::until;
use crate::kinds::{Check, Request};

/// How a promotion is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Promote {
    /// The member that shall be the primary
    pub member: String,
    /// The cluster, where several have a member of this name
    #[arg(long)]
    pub cluster: Option<String>,
    /// Only look at the preconditions
    #[arg(long)]
    pub dry_run: bool,
    /// Promote although writes that only the old primary has may be lost
    #[arg(long)]
    pub force: bool,
    /// How many seconds to wait for the end
    #[arg(long, default_value_t = 120)]
    pub timeout: u64,
    /// How to print the preconditions
    #[arg(short, long, default_value = "table")]
    pub output: Format,
}

/// Promotes a member and waits until every replica follows it.
pub async fn promote(client: &Client, ask: &Promote) -> CommandResult {
    let found = client.member(&ask.member, ask.cluster.as_deref()).await?;
    let request = Request::Promote {
        member: found.member,
        force: ask.force,
        dry_run: ask.dry_run,
    };
    let reply = client.request(&found.resource, &request).await?;
    if ask.dry_run && print_for_scripts(&reply, ask.output)? {
        return if reply.accepted {
            Ok(())
        } else {
            Err(CommandError::silent(Exit::Refused))
        };
    }
    if (ask.dry_run || !reply.accepted) && !reply.checks.is_empty() {
        print(&table(
            &["HOLDS", "PRECONDITION", "FOUND"],
            reply.checks.iter().map(row).collect(),
        ))?;
    }
    if !reply.accepted {
        return Err(CommandError::new(Exit::Refused, reply.message));
    }
    print(&reply.message)?;
    if ask.dry_run {
        return Ok(());
    }
    let name = format!("{}/{}", found.resource.kind, found.resource.name);
    let limit = Duration::from_secs(ask.timeout);
    let is_over = |r: &crate::agent::view::ResourceView| {
        let ended = r.status.last_operation.as_ref().filter(|o| o.id > reply.last_operation);
        ended.is_some_and(|o| !o.succeeded || r.status.is_ready())
            || (r.status.is_ready() && r.status.operation.is_none())
    };
    let resource = until(client, Some(&name), limit, is_over).await?;
    match resource.status.last_operation.filter(|o| o.id > reply.last_operation) {
        Some(ended) if !ended.succeeded => Err(CommandError::new(
            Exit::Failed,
            format!("not promoted: {}", ended.message),
        )),
        Some(ended) => print(&format!("{}; every replica follows it", ended.message)),
        None => Ok(()),
    }
}

fn row(check: &Check) -> Vec<String> {
    let holds = match (check.holds, check.forceable) {
        (true, _) => "yes",
        (false, true) => "NO (--force)",
        (false, false) => "NO",
    };
    vec![holds.to_owned(), check.name.clone(), check.found.clone()]
}
