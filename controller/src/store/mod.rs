//! Durable memory: a local directory with one file per resource and one per generated password.
//!
//! Every write is temp + fsync + rename + fsync of the directory, so that a file is either the old or the new one at
//! whatever instant the machine loses power. What lives here is bytes; what they mean is the kinds' affair.

mod durable;
mod hold;
mod identity;
mod record;
mod secrets;
mod shelf;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hold::Hold;
pub use identity::of as identity;
pub use record::{Deleting, HeldClaim, Record};
pub use secrets::{SecretFiles, used_by};
pub use shelf::Shelf;

use crate::model::claim::Claimant;

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
    Directory(Rc<Hold>),
    Memory(Shelf, Box<Claimant>),
}

impl Store {
    /// Keeps everything on a shelf in memory, which outlives this store if somebody else holds it too. It is kept by an agent
    /// that others can tell by this.
    pub fn on(shelf: &Shelf, agent: Claimant) -> Self {
        Store(Place::Memory(shelf.clone(), Box::new(agent)))
    }

    /// The agent that holds it, as others can tell it.
    pub fn claimant(&self) -> Claimant {
        match &self.0 {
            Place::Directory(hold) => identity::of(hold.dir()),
            Place::Memory(_, agent) => (**agent).clone(),
        }
    }

    /// Opens a state directory for the one agent that may write to it; makes it if there is none.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Ok(Store(Place::Directory(Rc::new(Hold::take(dir)?))))
    }

    /// The passwords that belong to it.
    pub fn secrets(&self) -> SecretFiles {
        match &self.0 {
            Place::Directory(hold) => SecretFiles::held(Rc::clone(hold)),
            Place::Memory(..) => SecretFiles::new(self.dir()),
        }
    }

    /// Sees to it that the directory is still the one that is held; to be asked before every pass. Whether it was removed or
    /// replaced, and everything has to be written anew. An error means that it is lost for this agent.
    pub fn mend(&self) -> Result<bool, StoreError> {
        match &self.0 {
            Place::Directory(hold) => hold.mend(),
            Place::Memory(..) => Ok(false),
        }
    }

    /// Whether a record is where it was written.
    pub fn has(&self, kind: &str, name: &str) -> bool {
        match &self.0 {
            Place::Directory(hold) => record_path(hold.dir(), kind, name).exists(),
            Place::Memory(..) => true,
        }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        match &self.0 {
            Place::Directory(hold) => hold.dir(),
            Place::Memory(..) => Path::new("(memory)"),
        }
    }

    /// All records. A damaged one is set aside under another name and reported: what it held is derived again from the
    /// engine and the databases, as if it had been lost.
    pub fn load(&self) -> Result<(Vec<Record>, Vec<String>), StoreError> {
        let mut damaged = Vec::new();
        let dir = match &self.0 {
            Place::Directory(hold) => hold.dir(),
            Place::Memory(shelf, _) => {
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
            Place::Directory(hold) => hold.dir(),
            Place::Memory(shelf, _) => {
                return shelf.put(record).map_err(|e| StoreError::new("write", self.dir(), e));
            }
        };
        self.check()?;
        let path = record_path(dir, &record.kind, &record.name);
        let text = serde_json::to_vec_pretty(record).map_err(|e| StoreError::new("write", &path, e))?;
        durable::write(&path, &text).map_err(|e| StoreError::new("write", &path, e))
    }

    fn check(&self) -> Result<(), StoreError> {
        match &self.0 {
            Place::Directory(hold) => hold.check(),
            Place::Memory(..) => Ok(()),
        }
    }

    /// Forgets a record.
    pub fn remove(&self, kind: &str, name: &str) -> Result<(), StoreError> {
        let dir = match &self.0 {
            Place::Directory(hold) => hold.dir(),
            Place::Memory(shelf, _) => {
                shelf.remove(kind, name);
                return Ok(());
            }
        };
        self.check()?;
        let path = record_path(dir, kind, name);
        durable::remove(&path).map_err(|e| StoreError::new("remove", &path, e))
    }
}

/// The lock of a state directory, to look whether somebody holds it.
pub fn open_lock(dir: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(dir.join(identity::LOCK))
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
#[allow(clippy::unwrap_used, reason = "a test ends where it fails")]
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

    #[test]
    fn a_directory_that_was_removed_is_made_again_and_one_that_is_anothers_is_not_touched() {
        let parent = tempfile::tempdir().unwrap();
        let (dir, away) = (parent.path().join("state"), parent.path().join("away"));
        let store = Store::open(&dir).unwrap();
        let record = Record::new("PostgresCluster", "pg", "u1");
        assert!(!store.mend().unwrap(), "all is as it was");
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(
            store.save(&record).is_err() && !dir.exists(),
            "nothing is written before it is held again"
        );
        assert!(store.mend().unwrap());
        store.save(&record).unwrap();
        assert!(!store.mend().unwrap() && Store::open(&dir).is_err());
        std::fs::remove_dir_all(dir.join("resources")).unwrap();
        assert!(store.mend().unwrap() && store.save(&record).is_ok());
        // Somebody else's takes its place.
        std::fs::rename(&dir, &away).unwrap();
        drop(Store::open(&dir).unwrap());
        let error = store.mend().expect_err("it is another's").to_string();
        assert!(
            error.contains("replaced by the state directory of another agent"),
            "{error}"
        );
        assert!(store.save(&record).is_err() && look(&dir).unwrap().is_empty());
        // A copy of its own, such as a restored backup, is taken.
        std::fs::remove_dir_all(&dir).unwrap();
        std::fs::create_dir(&dir).unwrap();
        std::fs::copy(away.join("agent-id"), dir.join("agent-id")).unwrap();
        assert!(store.mend().unwrap());
    }
}
