//! How full the file system is that holds the engine's volumes. Only where this process sees the engine's own disk.

use std::path::Path;

use super::{Docker, LOOK, local};
use crate::model::Seen;
use crate::model::container::Disk;

/// The file system below the engine's data directory.
pub(super) async fn of_volumes(docker: &Docker) -> Seen<Disk> {
    if !local::is_here(docker).await {
        return Seen::Unknown("the engine's disk cannot be seen from here".to_owned());
    }
    let root = match root(docker).await {
        Ok(root) => root,
        Err(why) => return Seen::Unknown(why),
    };
    match rustix::fs::statvfs(Path::new(&root)) {
        Ok(found) => Seen::Known(Disk {
            // What only root may use is no room: the server does not run as root.
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            path: root,
        }),
        Err(error) => Seen::Unknown(format!("the file system of {root} cannot be looked at: {error}")),
    }
}

/// Where the engine keeps its volumes; it does not move while the engine runs, so it is asked once.
pub(super) async fn root(docker: &Docker) -> Result<String, String> {
    let known = docker.root.borrow().clone();
    if let Some(root) = known {
        return Ok(root);
    }
    let what = "ask the Docker engine where its data is";
    let info = docker.call(what, LOOK, async |engine| engine.info().await).await;
    let info = info.map_err(|error| error.to_string())?;
    let root = info.docker_root_dir.filter(|root| !root.is_empty());
    let root = root.ok_or("the engine does not say where its data is")?;
    let volumes = format!("{}/volumes", root.trim_end_matches('/'));
    docker.root.replace(Some(volumes.clone()));
    Ok(volumes)
}
