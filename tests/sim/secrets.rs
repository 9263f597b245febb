//! The passwords that an agent knows. They are lost with its state directory.

use std::cell::RefCell;
use std::collections::BTreeMap;

use reconciler::host::{FailureKind, HostError, Secrets};
use reconciler::model::SecretRef;

use super::world::World;

/// Passwords by where they are kept.
#[derive(Debug, Default)]
pub struct Passwords {
    known: RefCell<BTreeMap<SecretRef, String>>,
}

impl Passwords {
    /// Loses all of them.
    pub fn clear(&self) {
        self.known.borrow_mut().clear();
    }

    /// All of them.
    pub fn all(&self) -> Vec<String> {
        self.known.borrow().values().cloned().collect()
    }
}

impl Secrets for Passwords {
    fn reveal(&self, secret: &SecretRef) -> Result<String, HostError> {
        let missing = || HostError::new(FailureKind::Invalid, format!("read {secret}"), "it does not exist");
        self.peek(secret)?.ok_or_else(missing)
    }

    fn peek(&self, secret: &SecretRef) -> Result<Option<String>, HostError> {
        Ok(self.known.borrow().get(secret).cloned())
    }

    fn keep(&self, secret: &SecretRef, value: &str) -> Result<(), HostError> {
        self.known.borrow_mut().insert(secret.clone(), value.to_owned());
        Ok(())
    }
}

impl World {
    /// The calling agent's password; made if it has none. Not while anybody holds one that was made before.
    pub fn make_password(&mut self, secret: &SecretRef) -> Result<String, HostError> {
        if let Some(known) = self.passwords.peek(secret)? {
            return Ok(known);
        }
        let before = self.made.get(secret).cloned().unwrap_or_default();
        // What was delivered to a member whose data were never made is of no use to anybody.
        let with_data = (0..self.containers.len()).filter(|at| self.data(*at).is_some());
        let mut files = with_data.flat_map(|at| self.containers[at].files.values());
        let held = files.find_map(|file| file.secrets.values().find(|held| before.contains(held)));
        if let Some(held) = held {
            let text = format!("another password is made for {secret}, though a member has {held}");
            self.violated(&text);
        }
        let made = format!("hush-{}", self.next_serial());
        self.made.entry(secret.clone()).or_default().push(made.clone());
        self.passwords.keep(secret, &made)?;
        Ok(made)
    }

    /// The calling agent's password; where it has none, the one that a member has, and where none has it, another.
    pub fn found_again(&mut self, secret: &SecretRef) -> Result<String, HostError> {
        let SecretRef::Generated { name, .. } = secret else {
            return self.passwords.reveal(secret);
        };
        if self.passwords.peek(secret)?.is_none()
            && let Some(held) = (0..self.containers.len()).find_map(|at| self.held_in(at, name))
        {
            self.passwords.keep(secret, &held)?;
        }
        self.make_password(secret)
    }

    /// The password of a role in a member's password file.
    pub fn held_in(&self, at: usize, role: &str) -> Option<String> {
        let token = if role == "postgres" {
            "{superuser}"
        } else {
            "{replicator}"
        };
        self.containers[at].files.get("pgpass")?.secrets.get(token).cloned()
    }
}
