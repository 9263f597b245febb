//! Passwords: generated ones in files of their own, others where the manifest says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::durable;
use crate::host::{FailureKind, HostError, Secrets};
use crate::model::SecretRef;

/// Random bytes of a generated password: 192 bits, 48 hexadecimal digits, which no shell or URI needs to quote.
const PASSWORD_BYTES: usize = 24;

/// The passwords of a state directory.
#[derive(Debug, Clone)]
pub struct SecretFiles {
    dir: PathBuf,
}

impl SecretFiles {
    /// The passwords of `state_dir`.
    pub fn new(state_dir: &Path) -> Self {
        SecretFiles {
            dir: state_dir.join("secrets"),
        }
    }

    /// Destroys the generated passwords of a resource.
    pub fn purge(&self, scope: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.dir.join(scope)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn generated(&self, scope: &str, name: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.dir.join(scope).join(name)) {
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => Ok(Some(text.trim_end().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn generate(&self, scope: &str, name: &str) -> io::Result<String> {
        let mut bytes = [0_u8; PASSWORD_BYTES];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let password: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        self.write(scope, name, &password)?;
        Ok(password)
    }

    fn write(&self, scope: &str, name: &str, password: &str) -> io::Result<()> {
        let dir = self.dir.join(scope);
        durable::make_private_dir(&dir)?;
        durable::write(&dir.join(name), password.as_bytes())
    }
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
        if let Some(known) = self.peek(secret)? {
            return Ok(known);
        }
        match secret {
            SecretRef::Generated { scope, name } => self.generate(scope, name).map_err(|e| failure(secret, e)),
            SecretRef::File(_) => Err(failure(secret, "its first line is empty, or it does not exist")),
            SecretRef::Env(_) => Err(failure(secret, "it is not set in the agent's environment")),
        }
    }

    fn keep(&self, secret: &SecretRef, value: &str) -> Result<(), HostError> {
        match secret {
            SecretRef::Generated { scope, name } => self.write(scope, name, value).map_err(|e| failure(secret, e)),
            SecretRef::File(_) | SecretRef::Env(_) => Err(failure(secret, "it is the manifest's to set")),
        }
    }

    fn peek(&self, secret: &SecretRef) -> Result<Option<String>, HostError> {
        match secret {
            SecretRef::Generated { scope, name } => self.generated(scope, name).map_err(|e| failure(secret, e)),
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
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::SecretFiles;
    use crate::host::Secrets;
    use crate::model::SecretRef;

    #[test]
    fn a_generated_password_is_made_once_and_kept_from_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = SecretFiles::new(dir.path());
        let secret = SecretRef::Generated {
            scope: "pg".to_owned(),
            name: "app".to_owned(),
        };
        assert_eq!(files.peek(&secret), Ok(None));
        let first = files.reveal(&secret).expect("made");
        assert_eq!(files.reveal(&secret).expect("kept"), first);
        assert_eq!(first.len(), 48);
        let path = dir.path().join("secrets/pg/app");
        let mode = std::fs::metadata(path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_missing_file_is_named_and_its_content_never_is() {
        let files = SecretFiles::new(std::path::Path::new("/nonexistent"));
        let error = files
            .reveal(&SecretRef::File("/nonexistent/pw".to_owned()))
            .expect_err("missing");
        assert!(error.to_string().contains("/nonexistent/pw"), "{error}");
    }
}
