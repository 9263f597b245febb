//! Files in volumes, read where the engine keeps them. The archive call mounts the whole file system of a stopped
//! container first, which takes 50 to 90 ms; during a switchover clients wait for that.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bollard::query_parameters::InspectContainerOptions;

use super::{Docker, LOOK};
use crate::model::Seen;

/// Larger files are left to the archive call and its limit.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads a file of a container, if it lies in a volume that this process can see. `None`: the engine has to be asked.
pub(super) async fn read_file(docker: &Docker, container: &str, path: &str) -> Option<Seen<Vec<u8>>> {
    if !is_here(docker).await {
        return None;
    }
    let what = format!("inspect container {container}");
    let request = async |engine: bollard::Docker| {
        engine
            .inspect_container(container, None::<InspectContainerOptions>)
            .await
    };
    let mounts = docker.call(&what, LOOK, request).await.ok()?.mounts?;
    let places = mounts.iter().filter_map(|mount| {
        let below = Path::new(path).strip_prefix(mount.destination.as_deref()?).ok()?;
        mount.name.as_ref()?;
        Some((PathBuf::from(mount.source.as_deref()?), below))
    });
    // The innermost mount hides the others.
    let (source, below) = places.min_by_key(|(_, below)| below.components().count())?;
    if !source.is_dir() {
        return None;
    }
    let file = source.join(below);
    match fs::symlink_metadata(&file) {
        Ok(found) if found.is_file() && found.len() <= MAX_FILE_BYTES => fs::read(&file).ok().map(Seen::Known),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Seen::Absent),
        Ok(_) | Err(_) => None,
    }
}

/// Whether the engine runs on the host that this process sees: not from inside a container, not through a forwarded
/// socket.
pub(super) async fn is_here(docker: &Docker) -> bool {
    if docker.own_id.is_some() {
        return false;
    }
    if let Some(known) = docker.is_here.get() {
        return known;
    }
    let info = docker
        .call("ask the Docker engine where it runs", LOOK, async |engine| {
            engine.info().await
        })
        .await;
    let Ok(info) = info else {
        return false;
    };
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let here = info.name.as_deref() == Some(hostname.trim());
    docker.is_here.set(Some(here));
    here
}
