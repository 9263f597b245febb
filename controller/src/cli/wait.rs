//! `reconciler wait`, and the progress lines of every command that waits.

use std::time::{Duration, Instant};

use super::client::{Client, refusal};
use super::error::{CommandError, CommandResult, Exit};
use super::output::print;
use crate::agent::view::ResourceView;
use crate::model::status::{READY, Status, Truth};

const POLL: Duration = Duration::from_millis(100);
/// A refusal of this age will not go away by itself: a claim that was just taken over has been seen by then.
const REFUSAL_COUNTS: Duration = Duration::from_secs(2);

/// Waits until a condition of a resource holds, and prints what is going on meanwhile.
pub async fn wait(client: &Client, name: Option<&str>, condition: &str, limit: Duration) -> CommandResult {
    let (kind, wanted) = match condition.split_once('=') {
        Some((kind, "false" | "False")) => (kind, Truth::False),
        Some((kind, _)) => (kind, Truth::True),
        None => (condition, Truth::True),
    };
    let holds = |resource: &ResourceView| {
        let status = &resource.status;
        let is_current = status.observed_generation == resource.generation;
        is_current && status.condition(kind).is_some_and(|c| c.status == wanted)
    };
    let resource = until(client, name, limit, holds).await?;
    let message = resource
        .status
        .condition(kind)
        .map(|c| c.message.clone())
        .unwrap_or_default();
    print(&format!("{}/{}: {condition}, {message}", resource.kind, resource.name))
}

/// Waits until something holds of a resource, and prints what is going on meanwhile.
pub async fn until(
    client: &Client,
    name: Option<&str>,
    limit: Duration,
    holds: impl Fn(&ResourceView) -> bool,
) -> Result<ResourceView, CommandError> {
    let begin = Instant::now();
    let mut said = String::new();
    let mut resource = client.resource(name, true).await?;
    loop {
        if holds(&resource) {
            return Ok(resource);
        }
        let now = going_on(&resource.status);
        if now != said {
            print(&format!("  {:>5.1} s  {now}", begin.elapsed().as_secs_f32()))?;
            said = now;
        }
        if let Some(refusal) = refusal(&resource).filter(|_| begin.elapsed() > REFUSAL_COUNTS) {
            return Err(CommandError::new(Exit::Refused, refusal));
        }
        if begin.elapsed() > limit {
            let message = format!(
                "{}/{} did not get there in {} s: {said}",
                resource.kind,
                resource.name,
                limit.as_secs()
            );
            return Err(
                CommandError::new(Exit::Failed, message).hint("`reconciler status` and `reconciler events` tell more")
            );
        }
        tokio::time::sleep(POLL).await;
        resource = client.resource(name, false).await?;
    }
}

fn going_on(status: &Status) -> String {
    if let Some(operation) = &status.operation {
        return operation.clone();
    }
    status
        .condition(READY)
        .map_or_else(|| "not looked at yet".to_owned(), |ready| ready.message.clone())
}
