//! YAML text to trees of nodes with positions. Only `builder` below knows which YAML parser is used.

mod builder;
mod keys;
mod size;

use super::diagnostic::{Finding, Span};

pub use builder::{MAX_DEPTH, MAX_NODES, MAX_SCALAR_BYTES};

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Bare; may stand for a number, a truth value or null.
    Plain,
    /// In quotes or as a block; always text.
    Quoted,
}

/// A value and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins; for an alias, where the alias is.
    pub span: Span,
    /// What it is.
    pub content: Content,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A single value, not yet interpreted.
    Scalar {
        /// The text, quotes and escapes resolved.
        text: String,
        /// How it is written.
        style: Style,
    },
    /// A list.
    Seq(Vec<Node>),
    /// A map in the order of the file; no key is there twice.
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key is written.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The entry of a map; nothing when the node is no map or has no such key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Content::Scalar { .. } | Content::Seq(_) => None,
        }
    }
}

/// A document of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// Its outermost node.
    pub root: Node,
    /// What is wrong with it although its structure is clear: keys that are there twice, tags, merge keys.
    pub findings: Vec<Finding>,
}

/// A file's documents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    /// The documents up to the first error of syntax; empty ones are left out.
    pub documents: Vec<Parsed>,
    /// The error of syntax, or the limit, at which reading ended.
    pub broken: Option<Finding>,
}

/// Parses a text whose line breaks are `\n`.
#[must_use]
pub fn parse(text: &str) -> Tree {
    builder::build(text)
}
