//! Which nodes can be keys.

use std::collections::BTreeMap;

use super::{Content, Node, Style};
use crate::manifest::diagnostic::{Finding, Span, quote};

/// The key's text, or why it cannot be a key.
pub fn accept_key(node: Node, seen: &mut BTreeMap<String, u32>) -> Result<(String, Span), Finding> {
    let span = node.span;
    let (text, style) = match node.content {
        Content::Scalar { text, style } => (text, style),
        Content::Seq(_) | Content::Map(_) => {
            return Err(Finding::at(span, "a key is a word, not a list or a map")
                .help("put quotes around a value that begins with `{` or `[`"));
        }
    };
    if style == Style::Plain && text == "<<" {
        return Err(
            Finding::at(span, "merge keys (`<<`) are not supported; YAML 1.2 does not have them")
                .help("write out the fields, or use an alias for a whole value"),
        );
    }
    if text.is_empty() {
        return Err(Finding::at(span, "a key is missing before `:`").help("write `field: value`"));
    }
    match seen.get(&text) {
        Some(first) => Err(Finding::at(
            span,
            format!(
                "the key {} is in line {first} and again in line {}",
                quote(&text),
                span.at.line
            ),
        )
        .help("keep one of the two")),
        None => {
            seen.insert(text.clone(), span.at.line);
            Ok((text, span))
        }
    }
}
