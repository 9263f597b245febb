//! Who has a volume mounted. Asked when the planner has to know, and once more right before a container is made or started:
//! the engine itself mounts a volume as often as it is asked to. One list of the containers whose processes may touch
//! anything, about 1 ms where there are twenty of them.
//!
//! A directory counts like the volume that it is in, or that is in it. Programs that look after a whole host have a
//! directory with all volumes in it mounted; of those only the ones that run a server count.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{ContainerSummary, MountPoint};
use bollard::query_parameters::{ListContainersOptionsBuilder, TopOptions};

use super::{Docker, LOOK, disk, local, observe};
use crate::host::{FailureKind, HostError};
use crate::model::container::ContainerSpec;
use crate::model::holder::{self, Holder, LIVING};

/// The programs whose data lies in volumes like ours.
const SERVERS: [&str; 8] = [
    "postgres",
    "postmaster",
    "prometheus",
    "alertmanager",
    "grafana",
    "grafana-server",
    "redis-server",
    "valkey-server",
];

/// How much of a volume a directory of the host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// The volume, or a part of it.
    Within,
    /// A directory that the volume is in, and others with it.
    Above,
}

/// The containers whose processes may touch volumes.
pub(super) async fn holders(docker: &Docker, volumes: &[String]) -> Result<Vec<Holder>, HostError> {
    let (living, aliases) = tokio::join!(living(docker), aliases(docker));
    among(docker, &living?, &aliases?, volumes).await
}

/// Refuses to make a container on a volume that somebody else may write to.
pub(super) async fn check_create(docker: &Docker, what: &str, spec: &ContainerSpec) -> Result<(), HostError> {
    let source = spec.source.as_ref().map(|source| &source.volume);
    let volumes = spec.volume.iter().chain(source);
    let volumes: Vec<String> = volumes.map(|volume| volume.name.clone()).collect();
    check(docker, what, &spec.name, &volumes).await
}

/// Refuses to start, or to thaw, a container on a volume that somebody else may write to.
pub(super) async fn check_start(docker: &Docker, what: &str, container: &str) -> Result<(), HostError> {
    let Some(inspected) = observe::inspect(docker, container).await? else {
        // The engine says so itself.
        return Ok(());
    };
    let state = inspected.state.unwrap_or_default();
    if state.running == Some(true) && state.paused != Some(true) {
        return Ok(());
    }
    let mounts = inspected.mounts.unwrap_or_default();
    let volumes: Vec<String> = mounts.into_iter().filter_map(|mount| mount.name).collect();
    check(docker, what, &inspected.id.unwrap_or_default(), &volumes).await
}

/// Refuses to destroy a volume that somebody has mounted, by whatever way: of a directory the engine does not know.
pub(super) async fn check_removal(docker: &Docker, what: &str, volume: &str) -> Result<(), HostError> {
    let found = holders(docker, &[volume.to_owned()]).await?;
    match holder::still_there(&found, volume) {
        None => Ok(()),
        Some(holder) => Err(refusal(what, holder.claim())),
    }
}

async fn check(docker: &Docker, what: &str, own: &str, volumes: &[String]) -> Result<(), HostError> {
    if volumes.is_empty() {
        return Ok(());
    }
    let found = holders(docker, volumes).await?;
    let mut found = volumes
        .iter()
        .filter_map(|volume| holder::in_the_way(&found, volume, own));
    found
        .next()
        .map_or(Ok(()), |holder| Err(refusal(what, holder.obstacle())))
}

fn refusal(what: &str, why: String) -> HostError {
    HostError::new(FailureKind::Conflict, what, why)
}

/// All containers whose processes may touch anything.
async fn living(docker: &Docker) -> Result<Vec<ContainerSummary>, HostError> {
    let states = LIVING.map(str::to_owned).to_vec();
    let options = ListContainersOptionsBuilder::new()
        .filters(&HashMap::from([("status", states)]))
        .build();
    let list = async |engine: bollard::Docker| engine.list_containers(Some(options)).await;
    docker.call("list who has volumes mounted", LOOK, list).await
}

/// Volumes that are a directory of the host under another name (`docker volume create -o o=bind -o device=...`).
async fn aliases(docker: &Docker) -> Result<HashMap<String, String>, HostError> {
    let all = observe::volumes(docker, None).await?.into_iter();
    let named = all.filter_map(|mut volume| Some((volume.name, volume.options.remove("device")?)));
    Ok(named.filter(|(_, device)| device.starts_with('/')).collect())
}

async fn among(
    docker: &Docker,
    living: &[ContainerSummary],
    aliases: &HashMap<String, String>,
    volumes: &[String],
) -> Result<Vec<Holder>, HostError> {
    let what = "tell which directories are in volumes";
    let root = disk::root(docker).await;
    let root = root.map_err(|why| HostError::new(FailureKind::Other, what, why))?;
    let is_here = local::is_here(docker).await;
    let mut found = Vec::new();
    for container in living {
        for mount in container.mounts.iter().flatten() {
            for volume in volumes {
                let directory = Path::new(&root).join(volume);
                let Some((through, reach)) = mounts(mount, aliases, volume, (&directory, is_here)) else {
                    continue;
                };
                if reach == Reach::Above && !serves(docker, container).await {
                    continue;
                }
                found.push(describe(container, volume, mount.rw != Some(false), through));
            }
        }
    }
    found.sort_by(|a: &Holder, b| (&a.volume, &a.container).cmp(&(&b.volume, &b.container)));
    Ok(found)
}

/// Whether a mount leads to a volume, whose directory on the host is given: through which directory, if not by name, and how
/// much of it.
fn mounts(
    mount: &MountPoint,
    aliases: &HashMap<String, String>,
    volume: &str,
    (directory, is_here): (&Path, bool),
) -> Option<(Option<String>, Reach)> {
    if mount.name.as_deref() == Some(volume) {
        return Some((None, Reach::Within));
    }
    let alias = mount.name.as_ref().and_then(|name| aliases.get(name));
    let source = match (alias, mount.typ.as_deref()) {
        (Some(device), _) => device,
        (None, Some("bind")) => mount.source.as_ref()?,
        (None, _) => return None,
    };
    let plain = PathBuf::from(source);
    // What is written on the command line may lead there by a link.
    let real = is_here.then(|| std::fs::canonicalize(&plain).ok()).flatten();
    let reach = [Some(plain), real].into_iter().flatten().find_map(|path| {
        if path.starts_with(directory) {
            Some(Reach::Within)
        } else {
            directory.starts_with(&path).then_some(Reach::Above)
        }
    });
    Some((Some(source.clone()), reach?))
}

fn describe(container: &ContainerSummary, volume: &str, writes: bool, through: Option<String>) -> Holder {
    let name = container.names.iter().flatten().next();
    let name = name.map(|name| name.trim_start_matches('/').to_owned());
    let id = container.id.clone().unwrap_or_default();
    Holder {
        volume: volume.to_owned(),
        container: name.unwrap_or_else(|| id.clone()),
        id,
        image: container.image.clone().unwrap_or_default(),
        state: container.state.map(|state| state.to_string()).unwrap_or_default(),
        writes,
        through,
    }
}

/// Whether a server runs in a container. Where its processes cannot be seen, its image and command tell.
async fn serves(docker: &Docker, container: &ContainerSummary) -> bool {
    let id = container.id.clone().unwrap_or_default();
    let ask = async |engine: bollard::Docker| engine.top_processes(&id, None::<TopOptions>).await;
    let said = docker.call("list the processes of a container", LOOK, ask).await;
    let Some(processes) = said.ok().and_then(|said| said.processes) else {
        let words = [&container.image, &container.command].into_iter().flatten();
        return words
            .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-'))
            .any(|word| SERVERS.contains(&word));
    };
    // The command is the last column.
    let commands = processes.iter().filter_map(|row| row.last());
    let programs = commands.filter_map(|command| command.split_whitespace().next());
    programs
        .map(|program| program.rsplit('/').next().unwrap_or(program).trim_end_matches(':'))
        .any(|program| SERVERS.contains(&program))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(typ: &str, name: Option<&str>, source: &str) -> Option<(Option<String>, Reach)> {
        let mount = MountPoint {
            typ: Some(typ.to_owned()),
            name: name.map(str::to_owned),
            source: Some(source.to_owned()),
            ..MountPoint::default()
        };
        let aliases = HashMap::from([("alias".to_owned(), "/var/lib/docker/volumes/v/_data/pgdata".to_owned())]);
        let directory = Path::new("/var/lib/docker/volumes/v");
        mounts(&mount, &aliases, "v", (directory, false))
    }

    #[test]
    fn a_volume_is_reached_by_its_name_and_by_directories() {
        let within = |source: &str| Some((Some(source.to_owned()), Reach::Within));
        let above = |source: &str| Some((Some(source.to_owned()), Reach::Above));
        assert_eq!(reach("volume", Some("v"), ""), Some((None, Reach::Within)));
        assert_eq!(reach("volume", Some("w"), "/var/lib/docker/volumes/w/_data"), None);
        for source in ["/var/lib/docker/volumes/v", "/var/lib/docker/volumes/v/_data/pgdata/"] {
            assert_eq!(reach("bind", None, source), within(source));
        }
        for source in ["/", "/var/lib/docker", "/var/lib/docker/volumes/"] {
            assert_eq!(reach("bind", None, source), above(source));
        }
        assert_eq!(reach("bind", None, "/var/lib/docker/volumes/v2"), None);
        let device = "/var/lib/docker/volumes/v/_data/pgdata";
        assert_eq!(
            reach("volume", Some("alias"), "/var/lib/docker/volumes/alias/_data"),
            within(device)
        );
    }

    #[test]
    fn a_link_to_a_volume_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap().join("v");
        std::fs::create_dir(&real).unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mount = MountPoint {
            typ: Some("bind".to_owned()),
            source: Some(link.to_string_lossy().into_owned()),
            ..MountPoint::default()
        };
        let found = |is_here| mounts(&mount, &HashMap::new(), "v", (&real, is_here)).map(|(_, reach)| reach);
        assert_eq!((found(true), found(false)), (Some(Reach::Within), None));
    }
}
