//! A state directory in memory, for tests that begin and end thousands of agents. What is put here is text, so that a
//! record takes the same way out and in as through a file; who holds a clone keeps it across an agent's death.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::Record;

/// Records by kind and name.
#[derive(Debug, Clone, Default)]
pub struct Shelf(Rc<RefCell<BTreeMap<(String, String), String>>>);

impl Shelf {
    /// Loses everything, as when the state directory is lost.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// Whether nothing is on it.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    pub(super) fn put(&self, record: &Record) -> Result<(), serde_json::Error> {
        let text = serde_json::to_string(record)?;
        let key = (record.kind.clone(), record.name.clone());
        self.0.borrow_mut().insert(key, text);
        Ok(())
    }

    pub(super) fn remove(&self, kind: &str, name: &str) {
        self.0.borrow_mut().remove(&(kind.to_owned(), name.to_owned()));
    }

    pub(super) fn all(&self) -> Result<Vec<Record>, serde_json::Error> {
        self.0
            .borrow()
            .values()
            .map(|text| serde_json::from_str(text))
            .collect()
    }
}
