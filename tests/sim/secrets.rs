//! The passwords that the agent knows. They are lost with its state directory.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use reconciler::host::{HostError, Secrets};
use reconciler::model::SecretRef;

/// Passwords by where they are kept.
#[derive(Debug, Default)]
pub struct Passwords {
    known: RefCell<BTreeMap<SecretRef, String>>,
    made: Cell<u64>,
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
        let mut known = self.known.borrow_mut();
        let made = known.entry(secret.clone()).or_insert_with(|| {
            self.made.set(self.made.get() + 1);
            format!("hush-{}", self.made.get())
        });
        Ok(made.clone())
    }

    fn peek(&self, secret: &SecretRef) -> Result<Option<String>, HostError> {
        Ok(self.known.borrow().get(secret).cloned())
    }

    fn keep(&self, secret: &SecretRef, value: &str) -> Result<(), HostError> {
        self.known.borrow_mut().insert(secret.clone(), value.to_owned());
        Ok(())
    }
}
