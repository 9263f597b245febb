//! Manifests: from the bytes of a YAML file to documents that are known to be valid, or to errors that name file,
//! line and column and say what to write instead.
//!
//! The rooms are the stages: `text` (bytes to lines), `tree` (lines to nodes with positions; the only place that
//! names the YAML parser), `envelope` (`apiVersion`, `kind`, `metadata`), `check` (the spec against its kind's JSON
//! Schema), and `load`, which runs them over files and directories. `quantity` reads sizes, durations and CPUs, and
//! `diagnostic` is how an error looks.
//!
//! What does not belong here: what any single kind means (a kind brings its schema and its own rules with it), and
//! anything that waits: watching, debouncing and remembering the last good state are the agent's. Only `files` touches
//! the disk.

pub mod check;
pub mod diagnostic;
pub mod envelope;
mod files;
pub mod folders;
pub mod load;
pub mod quantity;
mod scalar;
pub mod suggest;
mod syntax;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where it fails")]
mod tests;
mod text;
pub mod tree;
pub mod uses;

use serde::de::DeserializeOwned;

use load::Document;

/// The document's spec as the type of its kind.
///
/// A spec that passed its schema fits its type, so an error means that schema and type have drifted apart; it names
/// the document and what serde objected to.
pub fn deserialize<T: DeserializeOwned>(document: &Document) -> Result<T, String> {
    serde_json::from_value(document.spec.clone()).map_err(|error| {
        format!(
            "{}:{}: the spec of {}/{} passed its schema but does not fit its type: {error}",
            document.file, document.line, document.kind, document.name
        )
    })
}
