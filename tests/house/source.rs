//! Files of the repository, and what of them is code.

use std::fs;
use std::path::{Path, PathBuf};

/// A file, by its path below the top of the repository.
pub struct Source {
    pub path: String,
    pub text: String,
}

/// The top of the repository.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file by its path below the top.
pub fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All text files below a folder, in the order of their paths.
pub fn files(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(folder, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "there is nothing in {folder}");
    found
}

fn collect(folder: &str, found: &mut Vec<Source>) {
    let entries = fs::read_dir(top().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    for entry in entries.map(|entry| entry.unwrap()) {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            collect(&path, found);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            found.push(Source { path, text });
        }
    }
}

impl Source {
    /// Whether it is Rust that ends up in the product.
    pub fn is_product(&self) -> bool {
        let is_test = self.path.contains("/tests/") || self.path.ends_with("/tests.rs");
        self.path.ends_with(".rs") && !is_test
    }

    /// Its lines with their numbers, without comments and without the tests at its end.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        let before_tests = lines.take_while(|(_, line)| !line.starts_with("mod tests {"));
        before_tests.map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
    }

    /// The places where its code names one of the words, for people.
    pub fn naming(&self, words: &[&str]) -> Vec<String> {
        let named = self.code().flat_map(|(at, line)| {
            let hits = words.iter().filter(move |word| names(line, word));
            hits.map(move |word| format!("{}:{at}: {word}", self.path))
        });
        named.collect()
    }
}

/// Whether a line names a word, and not only a longer one that contains it.
pub fn names(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[test]
fn a_word_is_named_only_as_a_whole() {
    assert!(names("use rand::Rng;", "rand") && names("std::fs::read(x)", "std::fs"));
    assert!(!names("getrandom::fill(x)", "rand") && !names("let operand = 1;", "rand"));
}
