//! The hold on a state directory: one agent at a time, and still the directory that it was. Somebody may remove it under a living
//! agent, or put another one in its place; what is written then would be lost, or be somebody else's.

use std::cell::RefCell;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};

use super::{RESOURCES, StoreError, durable, identity};

/// How often a lock is tried that somebody holds, and how long after each try: who looks whether an agent lives holds it for a
/// moment.
const LOCK_TRIES: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A state directory that this process holds.
#[derive(Debug)]
pub struct Hold {
    dir: PathBuf,
    id: String,
    /// Dropping it would let a second agent in.
    lock: RefCell<File>,
}

impl Hold {
    /// Takes a directory for this process; makes it if there is none.
    pub(super) fn take(dir: &Path) -> Result<Hold, StoreError> {
        durable::make_private_dir(&dir.join(RESOURCES)).map_err(|e| StoreError::new("make", dir, e))?;
        let lock = lock(dir, LOCK_TRIES)?;
        let id = identity::make_id(dir).map_err(|e| StoreError::new("write an id into", dir, e))?;
        Ok(Hold {
            dir: dir.to_owned(),
            id,
            lock: RefCell::new(lock),
        })
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// An error where what is under the directory's name is not the one that is held: nothing may be written there.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.is_held() {
            return Ok(());
        }
        let why = "it was removed or replaced while the agent ran";
        Err(StoreError::new("write into", &self.dir, why))
    }

    /// Takes the directory's name again where it was removed, or replaced by one that is nobody else's. Whether what is in it
    /// has to be written anew. An error means that this process has no state directory any more.
    pub(super) fn mend(&self) -> Result<bool, StoreError> {
        let resources = self.dir.join(RESOURCES);
        if self.is_held() {
            return match access(&resources, Access::WRITE_OK) {
                Ok(()) => Ok(false),
                Err(rustix::io::Errno::NOENT) => {
                    durable::make_private_dir(&resources).map_err(|e| StoreError::new("make", &resources, e))?;
                    Ok(true)
                }
                Err(error) => Err(StoreError::new("write into", &resources, io::Error::from(error))),
            };
        }
        if identity::id(&self.dir).is_some_and(|id| id != self.id) {
            let why = "it was replaced by the state directory of another agent while this one ran";
            return Err(StoreError::new("write into", &self.dir, why));
        }
        durable::make_private_dir(&resources).map_err(|e| StoreError::new("make", &resources, e))?;
        let lock = lock(&self.dir, 1)?;
        identity::keep_id(&self.dir, &self.id).map_err(|e| StoreError::new("write an id into", &self.dir, e))?;
        self.lock.replace(lock);
        Ok(true)
    }

    fn is_held(&self) -> bool {
        let place = |found: fs::Metadata| (found.dev(), found.ino());
        let named = fs::metadata(self.dir.join(identity::LOCK)).map(place);
        let held = self.lock.borrow().metadata().map(place);
        matches!((named, held), (Ok(named), Ok(held)) if named == held)
    }
}

/// Locks a directory and signs the lock. The process id in the file is for people only; the lock is the kernel's and dies with
/// the process.
fn lock(dir: &Path, tries: u32) -> Result<File, StoreError> {
    let path = dir.join(identity::LOCK);
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let mut lock = options.open(&path).map_err(|e| StoreError::new("open", &path, e))?;
    for tries_left in (0..tries).rev() {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if tries_left > 0 => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Err(StoreError::new("lock", &path, held_by(&mut lock))),
            Err(TryLockError::Error(error)) => return Err(StoreError::new("lock", &path, error)),
        }
    }
    sign(&mut lock).map_err(|e| StoreError::new("write", &path, e))?;
    Ok(lock)
}

fn held_by(lock: &mut File) -> String {
    let mut holder = String::new();
    let _ = lock.read_to_string(&mut holder);
    format!(
        "another agent (process {}) works on this state directory; stop it, or name another with --state-dir",
        holder.trim()
    )
}

fn sign(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}
