//! What every document has: `apiVersion`, `kind`, `metadata`, `spec`.

use std::collections::BTreeMap;

use super::diagnostic::{Finding, Span, quote};
use super::load::KindSchema;
use super::scalar::{Resolved, describe, is_null, resolve};
use super::suggest;
use super::tree::{Content, Entry, Node};

/// The only version there is.
pub const API_VERSION: &str = "reconciler.dev/v1alpha1";
/// Names become parts of container and volume names, with a member's name behind them; together they stay below 63.
pub const MAX_NAME_CHARS: usize = 40;

const FIELDS: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];
const METADATA: [&str; 3] = ["name", "labels", "annotations"];

/// What could be read of a document's envelope. Every part that is missing has a finding.
#[derive(Debug, Default)]
pub struct Envelope<'d> {
    /// The kind, when it is one of those known.
    pub kind: Option<&'d KindSchema>,
    /// The name, when it is a valid one.
    pub name: Option<String>,
    /// Where the name stands, when it is a valid one.
    pub name_span: Option<Span>,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// The spec's entry, when it is a map.
    pub spec: Option<&'d Entry>,
}

impl Envelope<'_> {
    /// Kind and name, when both are known.
    #[must_use]
    pub fn resource(&self) -> Option<(String, String)> {
        Some((self.kind?.kind.to_owned(), self.name.clone()?))
    }
}

/// Reads the envelope and reports everything that is wrong with it.
pub fn read<'d>(root: &'d Node, kinds: &'d [KindSchema], findings: &mut Vec<Finding>) -> Envelope<'d> {
    let Content::Map(entries) = &root.content else {
        findings.push(
            Finding::at(root.span, format!("a manifest is a map, found {}", describe(root)))
                .help(format!("begin it with `apiVersion: {API_VERSION}`")),
        );
        return Envelope::default();
    };
    read_version(root, findings);
    let kind = read_kind(root, kinds, findings);
    let mut envelope = Envelope {
        kind,
        ..Envelope::default()
    };
    read_metadata(root, &mut envelope, findings);
    envelope.spec = read_spec(root, findings);
    for entry in entries.iter().filter(|entry| !FIELDS.contains(&entry.key.as_str())) {
        findings.push(unknown_field(entry, kind));
    }
    envelope
}

fn unknown_field(entry: &Entry, kind: Option<&KindSchema>) -> Finding {
    let key = entry.key.as_str();
    let in_spec = kind.is_some_and(|kind| kind.schema.pointer("/properties").and_then(|p| p.get(key)).is_some());
    let help = match key {
        _ if METADATA.contains(&key) => Some("it belongs under `metadata`".to_owned()),
        _ if in_spec => Some("it belongs under `spec`".to_owned()),
        "status" => Some("remove it; `reconciler get` shows the status".to_owned()),
        _ => suggest::did_you_mean(key, &FIELDS),
    };
    Finding {
        help,
        ..Finding::at(entry.key_span, format!("unknown field {}", quote(key)))
    }
}

fn read_version(root: &Node, findings: &mut Vec<Finding>) {
    let write = format!("write `apiVersion: {API_VERSION}`");
    let Some(entry) = root.entry("apiVersion") else {
        findings.push(Finding::at(root.span, "`apiVersion` is missing").help(write));
        return;
    };
    if text(&entry.value) != Some(API_VERSION) {
        let message = format!("`apiVersion` must be `{API_VERSION}`, found {}", describe(&entry.value));
        findings.push(Finding::at(value_span(entry), message).help(write));
    }
}

fn read_kind<'k>(root: &Node, kinds: &'k [KindSchema], findings: &mut Vec<Finding>) -> Option<&'k KindSchema> {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.kind).collect();
    let Some(entry) = root.entry("kind") else {
        let known = suggest::list(&names, "or");
        findings.push(Finding::at(root.span, "`kind` is missing").help(format!("write `kind: …` with {known}")));
        return None;
    };
    let Some(text) = text(&entry.value) else {
        let message = format!("`kind` must be text, found {}", describe(&entry.value));
        let help = suggest::possible(&names);
        findings.push(Finding::at(value_span(entry), message).help(help));
        return None;
    };
    let kind = kinds.iter().find(|kind| kind.kind == text);
    if kind.is_none() {
        let help = suggest::did_you_mean(text, &names);
        let finding = Finding::at(entry.value.span, format!("unknown kind {}", quote(text)));
        findings.push(Finding { help, ..finding });
    }
    kind
}

fn read_metadata(root: &Node, envelope: &mut Envelope<'_>, findings: &mut Vec<Finding>) {
    let Some(metadata) = root.entry("metadata") else {
        findings.push(Finding::at(root.span, "`metadata` is missing").help("add `metadata:` and under it `name: …`"));
        return;
    };
    let Content::Map(entries) = &metadata.value.content else {
        let message = format!("`metadata` must be a map, found {}", describe(&metadata.value));
        findings.push(Finding::at(value_span(metadata), message).help("write under it, indented, `name: …`"));
        return;
    };
    match metadata.value.entry("name") {
        None => {
            findings.push(Finding::at(metadata.key_span, "`metadata.name` is missing").help("add `name: …` under it"))
        }
        Some(entry) => match read_name(entry) {
            Ok(name) => {
                envelope.name = Some(name);
                envelope.name_span = Some(entry.value.span);
            }
            Err(finding) => findings.push(finding),
        },
    }
    envelope.labels = read_strings(metadata.value.entry("labels"), "metadata.labels", findings);
    envelope.annotations = read_strings(metadata.value.entry("annotations"), "metadata.annotations", findings);
    for entry in entries.iter().filter(|entry| !METADATA.contains(&entry.key.as_str())) {
        let help = match entry.key.as_str() {
            "namespace" => Some("remove it; there are no namespaces".to_owned()),
            key => suggest::did_you_mean(key, &METADATA),
        };
        let message = format!("unknown field {} in `metadata`", quote(&entry.key));
        findings.push(Finding {
            help,
            ..Finding::at(entry.key_span, message)
        });
    }
}

fn read_name(entry: &Entry) -> Result<String, Finding> {
    let Some(name) = text(&entry.value) else {
        let message = format!("`metadata.name` must be text, found {}", describe(&entry.value));
        return Err(Finding::at(value_span(entry), message).help("write a name such as `orders`"));
    };
    if is_dns_label(name) && name.len() <= MAX_NAME_CHARS {
        return Ok(name.to_owned());
    }
    let message = format!("`metadata.name` cannot be {}", quote(name));
    Err(Finding::at(entry.value.span, message).help(format!(
        "use at most {MAX_NAME_CHARS} lower-case letters, digits and `-`; begin with a letter, and do not end with `-`"
    )))
}

fn read_strings(entry: Option<&Entry>, path: &str, findings: &mut Vec<Finding>) -> BTreeMap<String, String> {
    let mut strings = BTreeMap::new();
    let Some(map) = entry.filter(|entry| !is_null(&entry.value)) else {
        return strings;
    };
    let Content::Map(entries) = &map.value.content else {
        let message = format!("`{path}` must be a map, found {}", describe(&map.value));
        findings.push(Finding::at(value_span(map), message).help("write under it, indented, `key: value`"));
        return strings;
    };
    for entry in entries {
        match text(&entry.value) {
            Some(text) => {
                strings.insert(entry.key.clone(), text.to_owned());
            }
            None => {
                let message = format!(
                    "{} in `{path}` must be text, found {}",
                    quote(&entry.key),
                    describe(&entry.value)
                );
                let finding = Finding::at(value_span(entry), message);
                findings.push(finding.help(quote_help(&entry.value)));
            }
        }
    }
    strings
}

fn read_spec<'d>(root: &'d Node, findings: &mut Vec<Finding>) -> Option<&'d Entry> {
    let Some(entry) = root.entry("spec") else {
        findings.push(Finding::at(root.span, "`spec` is missing").help("add `spec:` and its fields under it"));
        return None;
    };
    if matches!(entry.value.content, Content::Map(_)) {
        return Some(entry);
    }
    let finding = match is_null(&entry.value) {
        true => Finding::at(entry.key_span, "`spec` is empty").help("indent the spec's fields under it"),
        false => Finding::at(
            entry.value.span,
            format!("`spec` must be a map, found {}", describe(&entry.value)),
        )
        .help("write its fields under it, indented"),
    };
    findings.push(finding);
    None
}

/// Whether the text can be a host name: lower-case letters, digits and `-`, first a letter, last no `-`, at most 63.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// How to turn the value into text.
pub(super) fn quote_help(node: &Node) -> String {
    match &node.content {
        Content::Scalar { text, .. } if !is_null(node) => format!("quote it: `\"{text}\"`"),
        Content::Scalar { .. } => "write a value behind it".to_owned(),
        Content::Seq(_) | Content::Map(_) => "write a single value".to_owned(),
    }
}

/// Where to point for a value: an empty one has no place of its own.
pub(super) fn value_span(entry: &Entry) -> Span {
    match is_null(&entry.value) {
        true => entry.key_span,
        false => entry.value.span,
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.content {
        Content::Scalar { text, style } if resolve(text, *style) == Resolved::Text => Some(text),
        Content::Scalar { .. } | Content::Seq(_) | Content::Map(_) => None,
    }
}
