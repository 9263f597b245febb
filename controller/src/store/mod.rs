//! Durable memory: a local directory with one file per resource and one per generated password.
//!
//! Every write is temp + fsync + rename + fsync of the directory, so that a file is either the old or the new one at
//! whatever instant the machine loses power. What lives here is bytes; what they mean is the kinds' affair.

mod durable;
mod record;
mod secrets;
mod shelf;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

pub use record::{Deleting, Record};
pub use secrets::{SecretFiles, used_by};
pub use shelf::Shelf;

/// Why the state directory could not be used: what was tried, and the reason.
#[derive(Debug)]
pub struct StoreError {
    what: String,
    why: String,
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot {}: {}", self.what, self.why)
    }
}

impl std::error::Error for StoreError {}

impl StoreError {
    fn new(what: &str, path: &Path, why: impl ToString) -> Self {
        StoreError {
            what: format!("{what} {}", path.display()),
            why: why.to_string(),
        }
    }
}

/// The state directory, held by one agent.
#[derive(Debug)]
pub struct Store(Place);

#[derive(Debug)]
enum Place {
    Directory {
        dir: PathBuf,
        /// Dropping it would let a second agent in.
        _lock: File,
    },
    Memory(Shelf),
}

impl Store {
    /// Keeps everything on a shelf in memory, which outlives this store if somebody else holds it too.
    pub fn on(shelf: &Shelf) -> Self {
        Store(Place::Memory(shelf.clone()))
    }

    /// Opens a state directory for the one agent that may write to it; makes it if there is none.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        durable::make_private_dir(&dir.join(RESOURCES)).map_err(|e| StoreError::new("make", dir, e))?;
        let path = dir.join("lock");
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| StoreError::new("open", &path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                let why = format!(
                    "another agent (process {}) works on this state directory; stop it, or name another with --state-dir",
                    holder.trim()
                );
                return Err(StoreError::new("lock", &path, why));
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::new("lock", &path, error)),
        }
        // The process id in the file is for people only; the lock is the kernel's and dies with the process.
        sign(&mut lock).map_err(|e| StoreError::new("write", &path, e))?;
        Ok(Store(Place::Directory {
            dir: dir.to_owned(),
            _lock: lock,
        }))
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        match &self.0 {
            Place::Directory { dir, .. } => dir,
            Place::Memory(_) => Path::new("(memory)"),
        }
    }

    /// All records. A damaged one is set aside under another name and reported: what it held is derived again from the
    /// engine and the databases, as if it had been lost.
    pub fn load(&self) -> Result<(Vec<Record>, Vec<String>), StoreError> {
        let mut damaged = Vec::new();
        let dir = match &self.0 {
            Place::Directory { dir, .. } => dir,
            Place::Memory(shelf) => {
                let records = shelf.all().map_err(|e| StoreError::new("read", self.dir(), e))?;
                return Ok((records, damaged));
            }
        };
        let records = read_records(dir, &mut |path, why| {
            let aside = path.with_extension("damaged");
            let moved = fs::rename(path, &aside);
            damaged.push(format!(
                "{} cannot be read ({why}); it was {} and is derived anew",
                path.display(),
                moved.map_or_else(|e| format!("left ({e})"), |()| format!("kept as {}", aside.display()))
            ));
        })?;
        Ok((records, damaged))
    }

    /// Writes a record.
    pub fn save(&self, record: &Record) -> Result<(), StoreError> {
        let dir = match &self.0 {
            Place::Directory { dir, .. } => dir,
            Place::Memory(shelf) => {
                return shelf.put(record).map_err(|e| StoreError::new("write", self.dir(), e));
            }
        };
        let path = record_path(dir, &record.kind, &record.name);
        let text = serde_json::to_vec_pretty(record).map_err(|e| StoreError::new("write", &path, e))?;
        durable::write(&path, &text).map_err(|e| StoreError::new("write", &path, e))
    }

    /// Forgets a record.
    pub fn remove(&self, kind: &str, name: &str) -> Result<(), StoreError> {
        let dir = match &self.0 {
            Place::Directory { dir, .. } => dir,
            Place::Memory(shelf) => {
                shelf.remove(kind, name);
                return Ok(());
            }
        };
        let path = record_path(dir, kind, name);
        durable::remove(&path).map_err(|e| StoreError::new("remove", &path, e))
    }
}

fn sign(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

const RESOURCES: &str = "resources";

/// Reads the records of a state directory without holding it: for commands that only look.
pub fn look(dir: &Path) -> Result<Vec<Record>, StoreError> {
    read_records(dir, &mut |_, _| {})
}

fn record_path(dir: &Path, kind: &str, name: &str) -> PathBuf {
    dir.join(RESOURCES).join(format!("{kind}.{name}.json"))
}

fn read_records(dir: &Path, damaged: &mut dyn FnMut(&Path, String)) -> Result<Vec<Record>, StoreError> {
    let resources = dir.join(RESOURCES);
    let entries = match fs::read_dir(&resources) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::new("list", &resources, error)),
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let mut records = Vec::new();
    for path in paths.iter().filter(|p| p.extension().is_some_and(|e| e == "json")) {
        let bytes = fs::read(path).map_err(|e| StoreError::new("read", path, e))?;
        match serde_json::from_slice::<Record>(&bytes) {
            Ok(record) => records.push(record),
            Err(error) => damaged(path, error.to_string()),
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::{Record, Store, look};

    #[test]
    fn a_second_agent_on_the_same_directory_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Store::open(dir.path()).expect("the first opens it");
        let error = Store::open(dir.path()).expect_err("the second does not").to_string();
        assert!(error.contains("another agent"), "{error}");
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        Store::open(dir.path()).expect("free again");
    }

    #[test]
    fn a_damaged_record_is_set_aside_and_loses_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("opens");
        let record = Record::new("PostgresCluster", "pg", "u1");
        store.save(&record).expect("saves");
        let half = dir.path().join("resources/PostgresCluster.other.json");
        std::fs::write(&half, "{\"kind\": \"Postg").expect("writes");
        let (records, damaged) = store.load().expect("loads");
        assert_eq!(records, std::slice::from_ref(&record));
        assert!(damaged[0].contains("kept as"), "{damaged:?}");
        assert!(!half.exists() && half.with_extension("damaged").exists());
        assert_eq!(look(dir.path()).expect("looks"), [record]);
    }
}
