//! The only room here that touches the disk: which files there are, and what is in them.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::diagnostic::Finding;
use super::text::{self, MAX_FILE_BYTES};

/// A directory with more is not a directory of manifests.
pub const MAX_FILES: usize = 1000;
/// For all files together; loading is done in one go and must not hold up the agent.
pub const MAX_TOTAL_BYTES: u64 = 32 << 20;

/// A file to read.
pub struct Listed {
    pub path: PathBuf,
    /// As the user named it, or below the directory that the user named.
    pub shown: String,
    pub from_directory: bool,
}

/// What the paths lead to.
pub struct Listing {
    /// No file twice; those of a directory in the order of their names.
    pub files: Vec<Listed>,
    /// For each path that leads to nothing, why.
    pub missing: Vec<String>,
}

/// Lists the files that are named and those in directories that are named.
pub fn list(paths: &[PathBuf]) -> Listing {
    let mut files = Vec::new();
    let mut missing = Vec::new();
    for path in paths {
        match fs::metadata(path) {
            Err(error) => missing.push(format!("{}: {error}", path.display())),
            Ok(metadata) if !metadata.is_dir() => files.push(listed(path.clone(), false)),
            Ok(_) => match list_directory(path) {
                Ok(found) => files.extend(found.into_iter().map(|path| listed(path, true))),
                Err(reason) => missing.push(format!("{}: {reason}", path.display())),
            },
        }
    }
    // A path may be given twice, and its directory beside it.
    let mut seen = BTreeSet::new();
    files.retain(|file: &Listed| seen.insert(fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone())));
    Listing { files, missing }
}

fn listed(path: PathBuf, from_directory: bool) -> Listed {
    Listed {
        shown: path.display().to_string(),
        path,
        from_directory,
    }
}

fn list_directory(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        if !is_manifest_name(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        // Through symlinks; a link that leads nowhere stays in the list and is reported when it is read.
        if fs::metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            continue;
        }
        found.push(path);
        if found.len() > MAX_FILES {
            return Err(format!(
                "more than {MAX_FILES} manifests; name a directory that holds fewer"
            ));
        }
    }
    if found.is_empty() {
        return Err("the directory holds no manifest (`*.yaml` or `*.yml`)".to_owned());
    }
    found.sort();
    Ok(found)
}

/// The files of a folder whose names end so, in the order of their names.
pub fn list_folder(directory: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_hidden = name.starts_with(['.', '#']);
        if !is_hidden && endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
        if found.len() > MAX_FILES {
            return Err(format!("more than {MAX_FILES} files"));
        }
    }
    found.sort();
    Ok(found)
}

/// Leaves out what is hidden, and what editors put beside the file they edit: `.#a.yaml`, `#a.yaml#`, `a.yaml~`,
/// `.a.yaml.swp`, `4913`.
fn is_manifest_name(name: &str) -> bool {
    !name.starts_with(['.', '#']) && (name.ends_with(".yaml") || name.ends_with(".yml"))
}

/// The bytes of a file. What it holds is taken from `budget_bytes`.
///
/// # Errors
/// One finding: not a regular file, too large, over the budget, or the system's error.
pub fn read(path: &Path, budget_bytes: &mut u64) -> Result<Vec<u8>, Finding> {
    let failed = |error: std::io::Error| {
        Finding::whole(format!("the file cannot be read: {error}"))
            .help("check that it exists and that this user may read it")
    };
    // Before it is opened: opening a pipe without a writer would wait for ever.
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(not_regular(&metadata));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(text::too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    // It may grow between the two.
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    match budget_bytes.checked_sub(bytes.len() as u64) {
        Some(left) => *budget_bytes = left,
        None => {
            *budget_bytes = 0;
            let limit = MAX_TOTAL_BYTES >> 20;
            return Err(Finding::whole(format!(
                "not read: the files before it hold {limit} MiB, which is the most"
            ))
            .help("name fewer files"));
        }
    }
    Ok(bytes)
}

fn not_regular(metadata: &Metadata) -> Finding {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    let what = if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_dir() {
        "a directory"
    } else {
        "a device"
    };
    Finding::whole(format!("this is {what}, not a file"))
        .help("name a regular file, or give the text on standard input with `-f -`")
}

/// SHA-256, in hexadecimal, over the names and contents of all files, of those in `folders` too, and over what went wrong.
pub fn fingerprint(paths: &[PathBuf], folders: &[PathBuf]) -> String {
    let mut hash = Sha256::new();
    // The length before each part keeps `ab` + `c` apart from `a` + `bc`.
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    let listing = list(paths);
    let mut files: Vec<PathBuf> = listing.files.into_iter().map(|file| file.path).collect();
    for folder in folders {
        match list_folder(folder, &[""]) {
            Ok(found) => files.extend(found.into_iter().filter(|path| path.is_file())),
            Err(reason) => add(reason.as_bytes()),
        }
    }
    files.sort();
    let mut budget_bytes = MAX_TOTAL_BYTES;
    for path in files {
        add(path.as_os_str().as_encoded_bytes());
        match read(&path, &mut budget_bytes) {
            Ok(bytes) => {
                add(b"read");
                add(&bytes);
            }
            Err(finding) => {
                add(b"not read");
                add(finding.message.as_bytes());
            }
        }
    }
    for reason in &listing.missing {
        add(b"missing");
        add(reason.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
