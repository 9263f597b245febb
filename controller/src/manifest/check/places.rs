//! Paths in words, and where in a schema a field's name is known.

use std::collections::BTreeMap;

use serde_json::Value;

use super::rules::Rules;
use crate::manifest::load::PathPart;

/// Deeper than any spec of ours; ends the walk through a schema that contains itself.
const MAX_DEPTH: usize = 6;
/// A name that is known in more places than this is no hint.
const MAX_PLACES: usize = 4;

/// For each field's name, the paths of the maps that know it.
pub struct Places(BTreeMap<String, Vec<String>>);

impl Places {
    /// Walks the whole schema of a spec. `metadata` counts as a place for its own fields.
    pub fn of(root: &Value) -> Self {
        let mut places = Places(BTreeMap::new());
        for name in ["name", "annotations", "labels"] {
            places.add(name, "metadata");
        }
        places.walk(root, root, "spec", MAX_DEPTH);
        places
    }

    /// Where else a field of this name could stand; nothing when that would be anywhere.
    pub fn of_field(&self, name: &str, here: &str) -> Vec<&str> {
        let known = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        match known.len() <= MAX_PLACES {
            true => known
                .iter()
                .map(String::as_str)
                .filter(|place| *place != here)
                .collect(),
            false => Vec::new(),
        }
    }

    fn add(&mut self, name: &str, place: &str) {
        let known = self.0.entry(name.to_owned()).or_default();
        if known.len() <= MAX_PLACES && !known.iter().any(|known| known == place) {
            known.push(place.to_owned());
        }
    }

    fn walk(&mut self, root: &Value, schema: &Value, place: &str, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        let rules = Rules::of(root, schema);
        for (name, schema) in rules.properties().into_iter().flatten() {
            self.add(name, place);
            self.walk(root, schema, &format!("{place}.{name}"), depth);
        }
        if let Some(items) = rules.get("items") {
            self.walk(root, items, &format!("{place}[]"), depth);
        }
        if let Some(values) = rules.get("additionalProperties") {
            self.walk(root, values, &format!("{place}.*"), depth);
        }
        for branch in rules.alternatives().into_iter().flatten() {
            self.walk(root, branch, place, depth);
        }
    }
}

/// `spec.databases[0].name`.
pub fn in_words(path: &[PathPart]) -> String {
    path.iter().fold("spec".to_owned(), |text, part| match part {
        PathPart::Key(key) => format!("{text}.{key}"),
        PathPart::Index(index) => format!("{text}[{index}]"),
    })
}

/// `spec.databases[].name`, as [`Places`] writes it.
pub fn without_indexes(path: &[PathPart]) -> String {
    path.iter().fold("spec".to_owned(), |text, part| match part {
        PathPart::Key(key) => format!("{text}.{key}"),
        PathPart::Index(_) => format!("{text}[]"),
    })
}
