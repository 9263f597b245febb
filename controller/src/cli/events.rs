//! `reconciler events`: what happened, and with `-f` what happens.

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::{Client, pick};
use super::error::CommandResult;
use super::output::{Format, print, print_for_scripts, time};
use crate::model::status::Event;

const POLL: Duration = Duration::from_millis(250);

/// Prints events, oldest first.
pub async fn events(client: &Client, name: Option<&str>, follow: bool, format: Format) -> CommandResult {
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        let overview = client.overview(false).await?;
        let resources = match name {
            Some(_) => vec![pick(overview.resources, name)?],
            None => overview.resources,
        };
        let mut fresh: Vec<(i64, String, Event)> = Vec::new();
        for resource in resources {
            let key = format!("{}/{}", resource.kind, resource.name);
            let last = told.entry(key.clone()).or_default();
            for event in resource.events {
                if event.sequence > *last {
                    fresh.push((event.last_time, key.clone(), event));
                }
            }
            *last = fresh
                .iter()
                .filter(|f| f.1 == key)
                .map(|f| f.2.sequence)
                .max()
                .unwrap_or(*last);
        }
        fresh.sort_by_key(|(at, _, event)| (*at, event.sequence));
        if !follow {
            let all: Vec<&Event> = fresh.iter().map(|f| &f.2).collect();
            if print_for_scripts(&all, format)? {
                return Ok(());
            }
        }
        for (at, key, event) in fresh {
            let times = if event.count > 1 {
                format!(" (x{})", event.count)
            } else {
                String::new()
            };
            print(&format!(
                "{}  {}  {key}  {}  {}{times}",
                time(at),
                event.kind,
                event.reason,
                event.message
            ))?;
        }
        if !follow {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}
