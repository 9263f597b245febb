//! `reconciler volumes`: what there is, why, and until when; `volumes rm`.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::client::{Client, pick};
use super::error::{CommandError, CommandResult, Exit, failed};
use super::manage::confirmed;
use super::output::{Format, bytes, print, print_for_scripts, table, time};
use super::wait::until;
use crate::agent::view::ResourceView;
use crate::host::docker::Docker;
use crate::kinds::Request;
use crate::model::status::VolumeStatus;
use crate::store::SecretFiles;

/// What to do with volumes.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Volumes {
    /// A resource; all of them if none is named
    pub name: Option<String>,
    /// How to print them
    #[arg(short, long, default_value = "table")]
    pub output: Format,
    /// What else to do
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// What else to do with volumes.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Remove a volume that no member uses, after saying what is lost with it
    Rm {
        /// The volume
        volume: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        /// How many seconds to wait for the end
        #[arg(long, default_value_t = 60)]
        timeout: u64,
    },
}

/// Lists volumes, or removes one.
pub async fn volumes(client: &Client, state_dir: &Path, ask: &Volumes) -> CommandResult {
    match &ask.verb {
        None => list(client, state_dir, ask).await,
        Some(Verb::Rm { volume, yes, timeout }) => remove(client, volume, *yes, Duration::from_secs(*timeout)).await,
    }
}

async fn list(client: &Client, state_dir: &Path, ask: &Volumes) -> CommandResult {
    let resources = client.overview(true).await?.resources;
    let chosen = match ask.name.as_deref() {
        Some(name) => vec![pick(resources, Some(name))?],
        None => resources,
    };
    let mut found: Vec<VolumeStatus> = chosen.into_iter().flat_map(|r| r.status.volumes).collect();
    let sizes = sizes(state_dir, &found).await;
    for volume in &mut found {
        volume.bytes = sizes.get(&volume.name).copied().or(volume.bytes);
    }
    if print_for_scripts(&found, ask.output)? {
        return Ok(());
    }
    let header = ["VOLUME", "MEMBER", "GEN", "STATE", "SIZE", "SINCE", "UNTIL", "WHY"];
    print(&table(&header, found.iter().map(row).collect()))
}

/// The agent measures only what it decides on; here somebody wants to know of all.
async fn sizes(state_dir: &Path, volumes: &[VolumeStatus]) -> BTreeMap<String, u64> {
    let names: Vec<String> = volumes.iter().map(|volume| volume.name.clone()).collect();
    match Docker::connect(None, Rc::new(SecretFiles::new(state_dir))) {
        Ok(docker) => docker.volume_bytes(&names).await,
        Err(_) => BTreeMap::new(),
    }
}

fn row(volume: &VolumeStatus) -> Vec<String> {
    let dash = || "-".to_owned();
    let until = match (volume.until, volume.state.as_str()) {
        (Some(at), _) => time(at),
        (None, "kept") => "`volumes rm`".to_owned(),
        (None, _) => dash(),
    };
    vec![
        volume.name.clone(),
        volume.member.clone(),
        volume.generation.map_or_else(dash, |n| n.to_string()),
        volume.state.clone(),
        volume.bytes.map_or_else(dash, bytes),
        volume.since.filter(|at| *at > 0).map_or_else(dash, time),
        until,
        volume.reason.clone(),
    ]
}

async fn remove(client: &Client, volume: &str, yes: bool, limit: Duration) -> CommandResult {
    let resources = client.overview(true).await?.resources;
    let has = |r: &ResourceView| r.status.volumes.iter().any(|v| v.name == volume);
    let Some(resource) = resources.into_iter().find(has) else {
        let message = format!("no resource has a volume {volume}");
        return Err(CommandError::new(Exit::Invalid, message).hint("see `reconciler volumes`"));
    };
    let request = |confirmed| Request::RemoveVolume {
        volume: volume.to_owned(),
        confirmed,
    };
    let reply = client.request(&resource, &request(false)).await?;
    if !reply.accepted {
        return Err(CommandError::new(Exit::Refused, reply.message));
    }
    if !yes && !confirmed(&format!("{}. Remove it?", reply.message))? {
        return Err(CommandError::new(Exit::Refused, "not confirmed; nothing was done"));
    }
    let reply = client.request(&resource, &request(true)).await?;
    if !reply.accepted {
        return Err(CommandError::new(Exit::Refused, reply.message));
    }
    let name = format!("{}/{}", resource.kind, resource.name);
    until(client, Some(&name), limit, |r| !has(r))
        .await
        .map_err(failed_removal)?;
    print(&format!("{volume}: removed"))
}

fn failed_removal(error: CommandError) -> CommandError {
    match error.exit {
        Exit::Failed => failed("it is not removed yet; it goes as soon as the primary answers and nothing mounts it"),
        Exit::Invalid | Exit::Differences | Exit::Refused | Exit::Unreachable => error,
    }
}
