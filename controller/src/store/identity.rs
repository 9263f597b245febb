//! Who this agent is: an id that its state directory keeps, and where that directory is.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::durable;
use crate::model::claim::Claimant;
use crate::model::container::short_hash;

/// The file with the id.
const ID: &str = "agent-id";
/// The file that the agent locks.
pub(super) const LOCK: &str = "lock";

/// The id in a state directory, if there is one.
pub(super) fn id(dir: &Path) -> Option<String> {
    let text = fs::read_to_string(dir.join(ID)).ok()?;
    let id = text.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

/// The id in a state directory; made if there is none.
pub(super) fn make_id(dir: &Path) -> io::Result<String> {
    if let Some(id) = id(dir) {
        return Ok(id);
    }
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let id: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    keep_id(dir, &id)?;
    Ok(id)
}

/// Writes the id.
pub(super) fn keep_id(dir: &Path, id: &str) -> io::Result<()> {
    durable::write(&dir.join(ID), format!("{id}\n").as_bytes())
}

/// The agent that a state directory belongs to, as others on this host can tell it. Its container is not known here.
pub fn of(dir: &Path) -> Claimant {
    let absolute = fs::canonicalize(dir).or_else(|_| std::path::absolute(dir));
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let lock = fs::metadata(dir.join(LOCK)).map(|m| format!("{}:{}", m.dev(), m.ino()));
    let mounts = fs::read_link("/proc/self/ns/mnt").map(|link| link.display().to_string());
    Claimant {
        agent: id(dir).unwrap_or_default(),
        state_dir: absolute.unwrap_or_else(|_| dir.to_owned()).display().to_string(),
        host: file("/proc/sys/kernel/hostname"),
        // The id itself is not to be shown around (machine-id(5)).
        machine: short_hash(format!("reconciler {}", file("/etc/machine-id")).as_bytes()),
        lock: lock.unwrap_or_default(),
        mounts: mounts.unwrap_or_default(),
        container: String::new(),
    }
}
