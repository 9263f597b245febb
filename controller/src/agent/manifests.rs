//! Turns what the files say into wanted resources. What cannot be read or is wrong changes nothing: the last good
//! state stays in force, and the resource says so.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;

use tracing::warn;

use super::runner::Declared;
use super::{Agent, Key};
use crate::host::{Reads, Writes};
use crate::kinds;
use crate::manifest::load::{Document, Loaded, load};
use crate::store::Record;

impl<H: Reads + Writes + Debug + 'static> Agent<H> {
    /// Reads the manifests anew. The folders that they name beside themselves.
    pub fn rescan(&self) -> Vec<PathBuf> {
        let loaded = load(&self.paths, &kinds::schemas());
        let folders = loaded.folders.clone();
        self.take(loaded);
        folders
    }

    /// Takes what the manifests say.
    pub fn take(&self, loaded: Loaded) {
        self.report(&loaded);
        let declared: BTreeSet<Key> = loaded.documents.iter().map(key).collect();
        for document in &loaded.documents {
            self.declare(document);
        }
        for runner in self.runners() {
            let view = runner.view();
            let key = (view.kind, view.name);
            if !declared.contains(&key) {
                runner.declared(undeclared(&loaded, &key, &runner.file()));
            }
        }
        *self.diagnostics.borrow_mut() = loaded.diagnostics;
        *self.missing.borrow_mut() = loaded.missing;
    }

    fn declare(&self, document: &Document) {
        let key = key(document);
        if self.runner(&key).is_none() {
            // Its uid is found, or made, in its first pass.
            self.install(Record::new(&key.0, &key.1, ""));
        }
        if let Some(runner) = self.runner(&key)
            && runner.view().deleting.is_none()
        {
            runner.declare(document);
        }
    }

    /// A problem is logged when it appears, not in every scan.
    fn report(&self, loaded: &Loaded) {
        let known = self.problems();
        let texts = loaded.missing.iter().cloned();
        for text in texts.chain(loaded.diagnostics.iter().map(ToString::to_string)) {
            if !known.contains(&text) {
                warn!("the last good manifests stay in force: {text}");
            }
        }
    }
}

fn key(document: &Document) -> Key {
    (document.kind.clone(), document.name.clone())
}

/// Why a resource is not among the valid documents.
fn undeclared(loaded: &Loaded, key: &Key, file: &str) -> Declared {
    let first_line = |text: &str| text.lines().take(2).map(str::trim).collect::<Vec<_>>().join(" ");
    if let Some(why) = &loaded.missing {
        return Declared::Unreadable(why.clone());
    }
    if loaded.unusable.contains(key) {
        let mut texts = loaded.diagnostics.iter().filter(|d| d.resource.as_ref() == Some(key));
        let text = texts
            .next()
            .map_or_else(|| "see the log".to_owned(), |d| first_line(&d.to_string()));
        return Declared::Invalid(text);
    }
    if loaded.broken.iter().any(|broken| broken == file) {
        let mut texts = loaded.diagnostics.iter().filter(|d| d.file == file);
        let text = texts
            .next()
            .map_or_else(|| format!("{file} cannot be read"), |d| first_line(&d.to_string()));
        return Declared::Unreadable(text);
    }
    // A document whose kind or name cannot be read may well be this one.
    if let Some(unnamed) = loaded
        .diagnostics
        .iter()
        .find(|d| d.resource.is_none() && d.file == file)
    {
        return Declared::Invalid(first_line(&unnamed.to_string()));
    }
    Declared::Orphaned
}
