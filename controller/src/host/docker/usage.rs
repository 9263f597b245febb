//! How much room volumes take: counted where this process sees them. Elsewhere nobody knows: engines answer the question
//! in forms that differ from version to version, and after minutes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Docker, WORK, local};

/// The kernel counts a file's room in blocks of this size, whatever the file system's own is.
const BLOCK_BYTES: u64 = 512;

impl Docker {
    /// The bytes that volumes take. One that cannot be measured is left out.
    pub async fn volume_bytes(&self, volumes: &[String]) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        if !local::is_here(self).await {
            return found;
        }
        for volume in volumes {
            if let Some(bytes) = self.counted(volume).await {
                found.insert(volume.clone(), bytes);
            }
        }
        found
    }

    async fn counted(&self, volume: &str) -> Option<u64> {
        let what = format!("inspect volume {volume}");
        let request = async |engine: bollard::Docker| engine.inspect_volume(volume).await;
        let path = PathBuf::from(self.call(&what, WORK, request).await.ok()?.mountpoint);
        // Many files: the agent's one thread has something better to do.
        tokio::task::spawn_blocking(move || below(&path)).await.ok()?
    }
}

/// The room below a directory. Files that vanish meanwhile take none.
fn below(directory: &Path) -> Option<u64> {
    let mut bytes = 0;
    let mut left = vec![directory.to_owned()];
    let mut is_first = true;
    while let Some(next) = left.pop() {
        let entries = match fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(_) if is_first => return None,
            Err(_) => continue,
        };
        is_first = false;
        for entry in entries.flatten() {
            let Ok(found) = entry.metadata() else { continue };
            bytes += found.blocks() * BLOCK_BYTES;
            if found.is_dir() {
                left.push(entry.path());
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn the_files_of_all_directories_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("base")).unwrap();
        let empty = below(dir.path()).unwrap();
        std::fs::write(dir.path().join("base/1"), vec![1; 100_000]).unwrap();
        let full = below(dir.path()).unwrap();
        assert!(full >= empty + 100_000, "{empty} {full}");
        assert_eq!(below(&dir.path().join("nothing")), None);
    }
}
