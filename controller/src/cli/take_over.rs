//! `reconciler take-over KIND/NAME`.

use std::time::Duration;

use super::client::Client;
use super::error::CommandResult;
use super::output::print;
use super::wait::until;
use crate::agent::runner::HELD_BY_ANOTHER;
use crate::agent::view::ResourceView;
use crate::model::status::READY;

/// How long the first look after it may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How a resource is taken over.
#[derive(Debug, Clone, clap::Args)]
pub struct TakeOver {
    /// KIND/NAME
    pub name: String,
    /// Take it although it cannot be seen from here whether the other agent runs
    #[arg(long)]
    pub force: bool,
}

/// Has this agent look after a resource that another one, which does not run any more, has looked after.
pub async fn take_over(client: &Client, ask: &TakeOver) -> CommandResult {
    let resource = client.resource(Some(&ask.name), true).await?;
    let name = format!("{}/{}", resource.kind, resource.name);
    let verb = format!("take-over?force={}", ask.force);
    let message: String = client.ask(&resource, &verb).await?;
    print(&format!("{name}: {message}"))?;
    let is_ours = |r: &ResourceView| r.status.condition(READY).is_some_and(|c| c.reason != HELD_BY_ANOTHER);
    until(client, Some(&name), LIMIT, is_ours).await.map(drop)
}
