//! Files of containers, through the engine's archive calls, which speak tar and work on containers that do not run.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use futures_util::StreamExt;

use super::{Docker, LOOK, WORK, errors, local};
use crate::host::{FailureKind, HostError};
use crate::model::Seen;

/// Largest file that is read.
const MAX_FILE_BYTES: usize = 1 << 20;
/// Most that is read of one directory: twice what a manifest's own files may have, which are put into one.
const MAX_DIRECTORY_BYTES: usize = 16 << 20;
/// What tar adds to one file: headers, padding, and the blocks at the end.
const MAX_FRAME_BYTES: usize = 16 << 10;

/// The permission bits of the directories that a delivery makes.
pub(super) const DIRECTORY_MODE: u32 = 0o755;

/// A file to be packed.
pub(super) struct Packed {
    /// The path below the directory.
    pub name: String,
    /// The permission bits.
    pub mode: u32,
    /// The content.
    pub content: Vec<u8>,
}

/// Reads a file of a container. That the container is missing says nothing of the file.
pub(super) async fn read_file(docker: &Docker, container: &str, path: &str) -> Seen<Vec<u8>> {
    if let Some(seen) = local::read_file(docker, container, path).await {
        return seen;
    }
    match download(docker, container, path, MAX_FILE_BYTES).await {
        Ok(tar) => match first_file(&tar) {
            Ok(content) => Seen::Known(content),
            Err(why) => Seen::Unknown(format!("cannot read {path} of container {container}: {why}")),
        },
        Err(error) if is_missing_there(&error) => Seen::Absent,
        Err(error) => Seen::Unknown(error.to_string()),
    }
}

/// Reads a part of a file of a container. The engine sends the file from its beginning, and no further than is needed.
pub(super) async fn read_part(docker: &Docker, container: &str, path: &str, part: (u64, u64)) -> Seen<Vec<u8>> {
    if let Some(seen) = local::read_part(docker, container, path, part).await {
        return seen;
    }
    let what = format!("read {path} of container {container}");
    let until = usize::try_from(part.0 + part.1).unwrap_or(usize::MAX);
    let request = async |engine: bollard::Docker| {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let mut chunks = engine.download_from_container(container, Some(options));
        let mut tar = Vec::new();
        while tar.len() < until.saturating_add(MAX_FRAME_BYTES)
            && let Some(chunk) = chunks.next().await
        {
            tar.extend_from_slice(&chunk?);
        }
        Ok(tar)
    };
    match docker.call(&what, LOOK, request).await {
        Ok(tar) => match part_of_first_file(&tar, part) {
            Ok(content) => Seen::Known(content),
            Err(why) => Seen::Unknown(format!("cannot read {path} of container {container}: {why}")),
        },
        Err(error) if is_missing_there(&error) => Seen::Absent,
        Err(error) => Seen::Unknown(error.to_string()),
    }
}

/// A part of the first entry, which has to be a file. The archive may have been cut behind that part.
fn part_of_first_file(tar: &[u8], (offset, length): (u64, u64)) -> Result<Vec<u8>, String> {
    let mut archive = tar::Archive::new(tar);
    let mut entries = archive.entries().map_err(|error| error.to_string())?;
    let entry = entries.next().ok_or("the engine sent an empty archive")?;
    let mut entry = entry.map_err(|error| errors::condense(&error.to_string()))?;
    if !entry.header().entry_type().is_file() {
        return Err("it is not a regular file".to_owned());
    }
    io::copy(&mut entry.by_ref().take(offset), &mut io::sink()).map_err(|error| error.to_string())?;
    let mut content = Vec::new();
    let read = entry.take(length).read_to_end(&mut content);
    read.map_err(|error| error.to_string())?;
    Ok(content)
}

/// Reads all files below a directory of a container.
pub(super) async fn read_files(docker: &Docker, container: &str, directory: &str) -> Seen<BTreeMap<String, Vec<u8>>> {
    let failed = |why: String| Seen::Unknown(format!("cannot read {directory} of container {container}: {why}"));
    match download(docker, container, directory, MAX_DIRECTORY_BYTES).await {
        Ok(tar) => all_files(&tar).map_or_else(|error| failed(error.to_string()), Seen::Known),
        Err(error) if is_missing_there(&error) => Seen::Absent,
        Err(error) => Seen::Unknown(error.to_string()),
    }
}

/// The symbolic links in a directory of a container, with what they lead to.
pub(super) async fn links(docker: &Docker, container: &str, directory: &str) -> Seen<BTreeMap<String, String>> {
    if let Some(seen) = local::links(docker, container, directory).await {
        return seen;
    }
    let failed = |why: String| Seen::Unknown(format!("cannot read {directory} of container {container}: {why}"));
    match download(docker, container, directory, MAX_DIRECTORY_BYTES).await {
        Ok(tar) => all_links(&tar).map_or_else(|error| failed(error.to_string()), Seen::Known),
        Err(error) if is_missing_there(&error) => Seen::Absent,
        Err(error) => Seen::Unknown(error.to_string()),
    }
}

fn all_links(tar: &[u8]) -> io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries()? {
        let entry = entry?;
        if let (Some(target), Some(name)) = (entry.link_name()?, entry.path()?.file_name()) {
            let text = |path: &Path| path.to_string_lossy().into_owned();
            found.insert(text(Path::new(name)), text(&target));
        }
    }
    Ok(found)
}

/// Whether the path is missing, and not its container.
fn is_missing_there(error: &HostError) -> bool {
    error.kind == FailureKind::NotFound && !error.why.contains("No such container")
}

/// Unpacks a tar at the container's root. Sent as a stream: the engine's client logs whole bodies, and this one may
/// hold secrets.
pub(super) async fn upload(docker: &Docker, container: &str, tar: Vec<u8>) -> Result<(), HostError> {
    let what = format!("deliver files into container {container}");
    let request = async |engine: bollard::Docker| {
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let body = futures_util::stream::once(std::future::ready(Bytes::from(tar)));
        engine
            .upload_to_container(container, Some(options), bollard::body_stream(body))
            .await
    };
    docker.call(&what, WORK, request).await
}

async fn download(docker: &Docker, container: &str, path: &str, max_bytes: usize) -> Result<Vec<u8>, HostError> {
    let what = format!("read {path} of container {container}");
    let request = async |engine: bollard::Docker| {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let mut chunks = engine.download_from_container(container, Some(options));
        let mut tar = Vec::new();
        while let Some(chunk) = chunks.next().await {
            tar.extend_from_slice(&chunk?);
            if tar.len() > max_bytes + MAX_FRAME_BYTES {
                let error = format!("it is larger than {} KiB", max_bytes >> 10);
                return Err(Error::DockerStreamError { error });
            }
        }
        Ok(tar)
    };
    docker.call(&what, LOOK, request).await
}

/// The regular files of an archived directory, by their paths below it.
fn all_files(tar: &[u8]) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.into_owned();
        // The archive begins with the directory's own name.
        let below: PathBuf = path.components().skip(1).collect();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(below.display().to_string(), content);
    }
    Ok(files)
}

/// The content of the first entry, which has to be a file.
fn first_file(tar: &[u8]) -> Result<Vec<u8>, String> {
    let mut archive = tar::Archive::new(tar);
    let mut entries = archive.entries().map_err(|error| error.to_string())?;
    let entry = entries.next().ok_or("the engine sent an empty archive")?;
    let mut entry = entry.map_err(|error| errors::condense(&error.to_string()))?;
    if !entry.header().entry_type().is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(|error| error.to_string())?;
    Ok(content)
}

/// A tar of `files` below `directory`, which belong to `owner`; the directories belong to root. `now` is the time since
/// the epoch and becomes the files' time, to the nanosecond: the server compares it with its last reload, and a time cut
/// to seconds would make a new file look older.
pub(super) fn pack(directory: &str, owner: (u64, u64), files: &[Packed], now: Duration) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let directory = directory.trim_matches('/');
    let mut made: Vec<String> = Vec::new();
    for file in files {
        let path = format!("{directory}/{}", file.name);
        check_path(&path)?;
        for parent in parents(&path, directory) {
            if !made.contains(&parent) {
                append_directory(&mut builder, &parent, now)?;
                made.push(parent);
            }
        }
        append_file(&mut builder, &path, file, owner, now)?;
    }
    builder.into_inner()
}

fn append_directory(builder: &mut tar::Builder<Vec<u8>>, path: &str, now: Duration) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(DIRECTORY_MODE);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header.set_mtime(now.as_secs());
    builder.append_data(&mut header, format!("{path}/"), io::empty())
}

fn append_file(
    builder: &mut tar::Builder<Vec<u8>>,
    path: &str,
    file: &Packed,
    (uid, gid): (u64, u64),
    now: Duration,
) -> io::Result<()> {
    let time = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
    builder.append_pax_extensions([("mtime", time.as_bytes())])?;
    let mut header = tar::Header::new_ustar();
    header.set_mode(file.mode);
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_size(file.content.len() as u64);
    header.set_mtime(now.as_secs());
    builder.append_data(&mut header, path, file.content.as_slice())
}

/// The directories from `directory` down to the file's own.
fn parents(path: &str, directory: &str) -> Vec<String> {
    let ancestors = Path::new(path).ancestors().skip(1);
    let inside = ancestors.take_while(|ancestor| ancestor.starts_with(directory));
    let mut parents: Vec<String> = inside.map(|ancestor| ancestor.display().to_string()).collect();
    parents.retain(|parent| !parent.is_empty());
    parents.reverse();
    parents
}

fn check_path(path: &str) -> io::Result<()> {
    let is_plain = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if is_plain {
        return Ok(());
    }
    Err(io::Error::other(format!("{path} leaves the directory of delivery")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::new(1_714_557_600, 123_456_789);

    fn file(name: &str) -> Packed {
        Packed {
            name: name.to_owned(),
            mode: 0o600,
            content: b"text".to_vec(),
        }
    }

    #[test]
    fn a_part_of_a_file_is_read_from_an_archive_that_was_cut_behind_it() {
        let whole = Packed {
            content: (0..=255).cycle().take(4096).collect(),
            ..file("000000010000000000000003")
        };
        let mut builder = tar::Builder::new(Vec::new());
        append_file(&mut builder, "a", &whole, (0, 0), NOW).unwrap();
        let tar = builder.into_inner().unwrap();
        let frame = tar.len() - 4096 - 1024;
        assert_eq!(
            part_of_first_file(&tar[..frame + 300], (250, 10)).unwrap(),
            whole.content[250..260]
        );
        assert_eq!(part_of_first_file(&tar, (4090, 100)).unwrap(), whole.content[4090..]);
        assert!(part_of_first_file(&tar, (5000, 10)).unwrap().is_empty());
        assert!(part_of_first_file(&[], (0, 10)).is_err());
    }

    #[test]
    fn directories_are_roots_and_files_are_the_owners() {
        let tar = pack("/etc/reconciler", (999, 998), &[file("a"), file("sub/b")], NOW).unwrap();
        let mut archive = tar::Archive::new(tar.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let ids = (header.uid().unwrap(), header.gid().unwrap());
            (entry.path().unwrap().display().to_string(), header.mode().unwrap(), ids)
        });
        let expected = [
            ("etc/reconciler/".to_owned(), 0o755, (0, 0)),
            ("etc/reconciler/a".to_owned(), 0o600, (999, 998)),
            ("etc/reconciler/sub/".to_owned(), 0o755, (0, 0)),
            ("etc/reconciler/sub/b".to_owned(), 0o600, (999, 998)),
        ];
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_time_of_a_file_keeps_its_nanoseconds() {
        let tar = pack("etc", (0, 0), &[file("a")], NOW).unwrap();
        let needle = b"mtime=1714557600.123456789\n";
        assert!(tar.windows(needle.len()).any(|window| window == needle));
    }

    #[test]
    fn a_path_that_climbs_out_is_refused() {
        assert!(pack("/etc/reconciler", (0, 0), &[file("../passwd")], NOW).is_err());
    }

    #[test]
    fn the_first_file_is_unpacked_and_a_directory_is_not() {
        let mut builder = tar::Builder::new(Vec::new());
        append_file(&mut builder, "pg_control", &file("pg_control"), (1, 1), NOW).unwrap();
        assert_eq!(first_file(&builder.into_inner().unwrap()), Ok(b"text".to_vec()));
        let mut builder = tar::Builder::new(Vec::new());
        append_directory(&mut builder, "global", NOW).unwrap();
        assert_eq!(
            first_file(&builder.into_inner().unwrap()),
            Err("it is not a regular file".to_owned())
        );
        assert!(first_file(b"no tar").is_err());
    }
}
