//! Passwords: generated ones in files of their own, others where the manifest says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tracing::warn;

use super::hold::Hold;
use super::{Record, durable};
use crate::host::{FailureKind, HostError, Secrets};
use crate::kinds::{self, Identity};
use crate::model::SecretRef;

/// Random bytes of a generated password: 192 bits, 48 hexadecimal digits, which no shell or URI needs to quote.
const PASSWORD_BYTES: usize = 24;

/// The passwords of a state directory: each generated one in `secrets/<kind>/<resource>/<name>`.
pub struct SecretFiles {
    dir: PathBuf,
    /// The agent's hold on the directory; none where nothing is written.
    hold: Option<Rc<Hold>>,
    /// Those that were read or made, so that one whose file is lost under a living agent is not lost with it.
    known: RefCell<BTreeMap<SecretRef, String>>,
}

impl fmt::Debug for SecretFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretFiles({})", self.dir.display())
    }
}

impl SecretFiles {
    /// The passwords of `state_dir`.
    pub fn new(state_dir: &Path) -> Self {
        SecretFiles {
            dir: state_dir.join("secrets"),
            hold: None,
            known: RefCell::default(),
        }
    }

    /// The passwords of a state directory that is held.
    pub(super) fn held(hold: Rc<Hold>) -> Self {
        SecretFiles {
            hold: Some(Rc::clone(&hold)),
            ..SecretFiles::new(hold.dir())
        }
    }

    /// Writes those that are known where they are missing, or are others: the directory is another one.
    pub fn write_back(&self) -> io::Result<()> {
        for (secret, password) in self.known.borrow().iter() {
            let SecretRef::Generated { kind, scope, name } = secret else {
                continue;
            };
            let place = self.place(kind, scope, name);
            if read(&place)?.as_ref() != Some(password) {
                self.write(&place, password)?;
            }
        }
        Ok(())
    }

    /// Destroys the generated passwords of a resource.
    pub fn purge(&self, kind: &str, scope: &str) -> io::Result<()> {
        let is_its = |secret: &SecretRef| matches!(secret, SecretRef::Generated { kind: k, scope: s, .. } if k == kind && s == scope);
        self.known.borrow_mut().retain(|secret, _| !is_its(secret));
        match fs::remove_dir_all(self.dir.join(kind).join(scope)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Gives each of the generated passwords that lie where earlier versions kept them, in `secrets/<resource>/<name>`, to
    /// the resources that use it: two of one name shared that place. A file goes when everybody who uses it has it, so
    /// that whoever is killed in between begins anew. One that nobody here is known to use stays. What could not be done.
    pub fn move_in(&self, used: &[SecretRef]) -> Vec<String> {
        let mut before: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
        for secret in used {
            if let SecretRef::Generated { kind, scope, name } = secret {
                let users = before.entry(self.earlier(scope, name)).or_default();
                users.push(self.place(kind, scope, name));
            }
        }
        let mut failed = Vec::new();
        for (from, to) in before {
            if let Err(error) = move_file(&from, &to) {
                failed.push(format!("{} stays where it is: {error}", from.display()));
            }
        }
        failed
    }

    fn place(&self, kind: &str, scope: &str, name: &str) -> PathBuf {
        self.dir.join(kind).join(scope).join(file_name(name))
    }

    /// Where earlier versions kept a password. No resource is called as a kind is: names are in lower case.
    fn earlier(&self, scope: &str, name: &str) -> PathBuf {
        self.dir.join(scope).join(name)
    }

    fn generated(&self, secret: &SecretRef, (kind, scope, name): (&str, &str, &str)) -> io::Result<Option<String>> {
        let place = self.place(kind, scope, name);
        let found = match read(&place) {
            // It lies there still where its user was not known yet when the others were moved.
            Ok(None) if is_plain(name) => read(&self.earlier(scope, name)),
            found => found,
        };
        if let Ok(Some(password)) = &found {
            self.known.borrow_mut().insert(secret.clone(), password.clone());
            return found;
        }
        let known = self.known.borrow().get(secret).cloned();
        let Some(known) = known else {
            return found;
        };
        if let Err(error) = self.write(&place, &known) {
            warn!(%error, "the file of a password is lost; it is known for as long as the agent runs");
        } else {
            warn!(path = %place.display(), "the file of a password was lost and is written anew");
        }
        Ok(Some(known))
    }

    fn generate(&self, secret: &SecretRef, place: &Path) -> io::Result<String> {
        let mut bytes = [0_u8; PASSWORD_BYTES];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let password: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        self.write(place, &password)?;
        self.known.borrow_mut().insert(secret.clone(), password.clone());
        Ok(password)
    }

    /// Nothing is written where the directory is not this agent's any more.
    fn write(&self, place: &Path, password: &str) -> io::Result<()> {
        if let Some(hold) = &self.hold {
            hold.check().map_err(io::Error::other)?;
        }
        write(place, password)
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(place: &Path, password: &str) -> io::Result<()> {
    durable::make_private_dir(place.parent().unwrap_or(Path::new(".")))?;
    durable::write(place, password.as_bytes())
}

/// Brings a file to all of its places, then removes it. What is in a place already was put there later, and counts: where
/// it differs, both stay.
fn move_file(from: &Path, to: &[PathBuf]) -> io::Result<()> {
    let Some(password) = read(from)? else {
        return Ok(());
    };
    for place in to {
        match read(place)? {
            Some(there) if there == password => {}
            Some(_) => return Err(io::Error::other(format!("{} holds another one", place.display()))),
            None => write(place, &password)?,
        }
    }
    durable::remove(from)?;
    // The last one takes the directory with it.
    let _ = from.parent().map(fs::remove_dir);
    Ok(())
}

/// Whether a name can be a file's as it is.
fn is_plain(name: &str) -> bool {
    !name.starts_with('.') && !name.contains(['/', '%', '\0'])
}

/// A file's name for a role's name, which may be anything but empty.
fn file_name(name: &str) -> String {
    if is_plain(name) {
        return name.to_owned();
    }
    let escaped = |(at, c): (usize, char)| match c {
        '/' | '%' | '\0' => format!("%{:02X}", u32::from(c)),
        '.' if at == 0 => "%2E".to_owned(),
        c => c.to_string(),
    };
    name.char_indices().map(escaped).collect()
}

/// The generated passwords that the resources of these records use.
pub fn used_by(records: &[Record]) -> Vec<SecretRef> {
    let of = |record: &Record| {
        let identity = Identity {
            name: record.name.clone(),
            uid: record.uid.clone(),
            generation: record.generation,
        };
        kinds::secrets(&record.kind, identity, &record.spec, &record.files)
    };
    records.iter().flat_map(of).collect()
}

fn failure(secret: &SecretRef, why: impl ToString) -> HostError {
    HostError::new(
        FailureKind::Invalid,
        format!("read the password in {secret}"),
        why.to_string(),
    )
}

impl Secrets for SecretFiles {
    fn reveal(&self, secret: &SecretRef) -> Result<String, HostError> {
        let why = match secret {
            SecretRef::Generated { .. } => {
                "it does not exist any more; put it there again, or name one with passwordFrom"
            }
            SecretRef::File(_) => "its first line is empty, or it does not exist",
            SecretRef::Env(_) => "it is not set in the agent's environment",
        };
        self.peek(secret)?.ok_or_else(|| failure(secret, why))
    }

    fn make(&self, secret: &SecretRef) -> Result<String, HostError> {
        match (self.peek(secret)?, secret) {
            (Some(known), _) => Ok(known),
            (None, SecretRef::Generated { kind, scope, name }) => {
                let made = self.generate(secret, &self.place(kind, scope, name));
                made.map_err(|e| failure(secret, e))
            }
            (None, SecretRef::File(_) | SecretRef::Env(_)) => self.reveal(secret),
        }
    }

    fn keep(&self, secret: &SecretRef, value: &str) -> Result<(), HostError> {
        match secret {
            SecretRef::Generated { kind, scope, name } => {
                let written = self.write(&self.place(kind, scope, name), value);
                written.map_err(|e| failure(secret, e))
            }
            SecretRef::File(_) | SecretRef::Env(_) => Err(failure(secret, "it is the manifest's to set")),
        }
    }

    fn peek(&self, secret: &SecretRef) -> Result<Option<String>, HostError> {
        match secret {
            SecretRef::Generated { kind, scope, name } => {
                let found = self.generated(secret, (kind, scope, name));
                found.map_err(|e| failure(secret, e))
            }
            SecretRef::File(path) => match fs::read_to_string(path) {
                Ok(text) => Ok(text.lines().next().filter(|l| !l.is_empty()).map(str::to_owned)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(failure(secret, error)),
            },
            SecretRef::Env(name) => Ok(std::env::var(name).ok().filter(|value| !value.is_empty())),
        }
    }
}

#[cfg(test)]
mod tests;
