//! Files of containers, read where the engine keeps them. The archive call mounts the whole file system of a stopped
//! container first, which takes 50 to 90 ms; during a switchover and before every start clients wait for that.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bollard::models::ContainerInspectResponse;

use super::archive::{DIRECTORY_MODE, Packed};
use super::{Docker, LOOK, brisk, observe};
use crate::model::Seen;

/// Larger files are left to the archive call and its limit.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads a file of a container, if it lies in a volume that this process can see. `None`: the engine has to be asked.
pub(super) async fn read_file(docker: &Docker, container: &str, path: &str) -> Option<Seen<Vec<u8>>> {
    let (_, file) = place(docker, container, path).await?;
    match fs::symlink_metadata(&file) {
        Ok(found) if found.is_file() && found.len() <= MAX_FILE_BYTES => fs::read(&file).ok().map(Seen::Known),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Seen::Absent),
        Ok(_) | Err(_) => None,
    }
}

/// Reads a part of such a file. Its directory may be a link, which leads elsewhere here than in the container.
pub(super) async fn read_part(
    docker: &Docker,
    container: &str,
    path: &str,
    (offset, length): (u64, u64),
) -> Option<Seen<Vec<u8>>> {
    let (source, file) = place(docker, container, path).await?;
    let directory = file.parent()?.canonicalize().ok()?;
    if directory
        != source
            .canonicalize()
            .ok()?
            .join(file.parent()?.strip_prefix(&source).ok()?)
    {
        return None;
    }
    match fs::symlink_metadata(&file) {
        Ok(found) if found.is_file() => {
            let mut content = Vec::new();
            let mut open = fs::File::open(&file).ok()?;
            open.seek(io::SeekFrom::Start(offset)).ok()?;
            open.take(length).read_to_end(&mut content).ok()?;
            Some(Seen::Known(content))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Seen::Absent),
        Ok(_) | Err(_) => None,
    }
}

/// The symbolic links in a directory of a container, with what they lead to, if it lies in a volume that this process can
/// see.
pub(super) async fn links(docker: &Docker, container: &str, directory: &str) -> Option<Seen<BTreeMap<String, String>>> {
    let (_, directory) = place(docker, container, directory).await?;
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(Seen::Absent),
        Err(_) => return None,
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let entry = entry.ok()?;
        if entry.file_type().ok()?.is_symlink() {
            let target = fs::read_link(entry.path()).ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            found.insert(name, target.to_string_lossy().into_owned());
        }
    }
    Some(Seen::Known(found))
}

/// Where the engine keeps a file of a container: the root of the volume that it lies in, and the file.
async fn place(docker: &Docker, container: &str, path: &str) -> Option<(PathBuf, PathBuf)> {
    if !is_here(docker).await {
        return None;
    }
    let mounts = match brisk::mounts(docker, container) {
        Some(known) => known,
        None => observe::inspect(docker, container).await.ok()??.mounts?,
    };
    let places = mounts.iter().filter_map(|mount| {
        let below = Path::new(path).strip_prefix(mount.destination.as_deref()?).ok()?;
        mount.name.as_ref()?;
        Some((PathBuf::from(mount.source.as_deref()?), below))
    });
    // The innermost mount hides the others.
    let (source, below) = places.min_by_key(|(_, below)| below.components().count())?;
    source.is_dir().then(|| {
        let file = source.join(below);
        (source, file)
    })
}

/// Whether files lie in a container's own layer just as a delivery would put them there: content, mode and owner, in
/// directories that everybody may enter. `false` where that cannot be seen.
pub(super) async fn has_files(
    docker: &Docker,
    inspected: &ContainerInspectResponse,
    directory: &str,
    owner: (u64, u64),
    files: &[Packed],
) -> bool {
    if !is_here(docker).await {
        return false;
    }
    // What overlay2 and fuse-overlayfs call the writable layer; a file there hides the image's.
    let layer = inspected.graph_driver.as_ref().and_then(|d| d.data.get("UpperDir"));
    let Some(layer) = layer else {
        return false;
    };
    let mounts = inspected.mounts.iter().flatten();
    let is_mounted_over = |place: &Path| {
        let mut points = mounts.clone().filter_map(|mount| mount.destination.as_deref());
        points.any(|point| place.starts_with(point))
    };
    files.iter().all(|file| {
        let inside = Path::new(directory).join(&file.name);
        let Ok(relative) = inside.strip_prefix("/") else {
            return false;
        };
        let directories = relative
            .ancestors()
            .skip(1)
            .take_while(|dir| !dir.as_os_str().is_empty());
        !is_mounted_over(&inside)
            && directories
                .map(|dir| Path::new(layer).join(dir))
                .all(|dir| is_open(&dir))
            && is_as_packed(&Path::new(layer).join(relative), owner, file)
    })
}

fn is_open(directory: &Path) -> bool {
    let found = fs::symlink_metadata(directory);
    found.is_ok_and(|found| found.is_dir() && found.uid() == 0 && found.mode() & 0o7777 == DIRECTORY_MODE)
}

fn is_as_packed(place: &Path, (uid, gid): (u64, u64), file: &Packed) -> bool {
    let Ok(found) = fs::symlink_metadata(place) else {
        return false;
    };
    found.is_file()
        && (u64::from(found.uid()), u64::from(found.gid())) == (uid, gid)
        && found.mode() & 0o7777 == file.mode
        && found.len() == file.content.len() as u64
        && fs::read(place).is_ok_and(|content| content == file.content)
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_as_packed_only_with_its_content_mode_and_owner() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("role");
        fs::write(&place, "primary\n").unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o640)).unwrap();
        let found = fs::metadata(&place).unwrap();
        let owner = (u64::from(found.uid()), u64::from(found.gid()));
        let packed = |content: &str, mode| Packed {
            name: "role".to_owned(),
            mode,
            content: content.as_bytes().to_vec(),
        };
        assert!(is_as_packed(&place, owner, &packed("primary\n", 0o640)));
        assert!(!is_as_packed(&place, owner, &packed("replica\n", 0o640)));
        assert!(!is_as_packed(&place, owner, &packed("primary\n", 0o600)));
        assert!(!is_as_packed(
            &place,
            (owner.0 + 1, owner.1),
            &packed("primary\n", 0o640)
        ));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&place, &link).unwrap();
        assert!(!is_as_packed(&link, owner, &packed("primary\n", 0o640)));
        assert!(!is_as_packed(&directory.path().join("none"), owner, &packed("", 0o640)));
    }
}
