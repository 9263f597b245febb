//! A spec against the JSON Schema of its kind, all errors at once, each where it is written.
//!
//! The schema is the one that `schemars` makes of the spec's type, and this understands what that emits: `$ref`,
//! `properties`, `required`, `additionalProperties`, `items`, `type` (one or several), `const` and `enum`, `oneOf` and
//! `anyOf`, bounds and lengths, `format`. Two things are our own: the formats in `formats`, and `x-scalar`, which takes
//! any scalar as its written text. Not understood, since no spec needs them: `allOf`, `pattern`, `if`, `not`.
//!
//! The value for serde comes out of the same walk, because what `on` or `17` becomes depends on the schema.

mod choices;
mod fields;
mod formats;
mod places;
mod rules;
mod scalars;

use serde_json::{Map, Value};

use super::diagnostic::{Finding, Span};
use super::load::PathPart;
use super::scalar::{describe, is_null};
use super::tree::{Content, Node};
use places::Places;
use rules::Rules;

/// Beyond this many findings in a document nobody reads on.
const MAX_FINDINGS: usize = 100;
/// Nodes looked at, in all alternatives of `anyOf` together: far above what any manifest needs, and soon over.
const MAX_STEPS: usize = 500_000;

/// A spec after the check.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The spec as serde takes it; only of use when nothing was found.
    pub value: Value,
    /// All that is wrong.
    pub findings: Vec<Finding>,
}

/// Checks a spec. `owner` is where its key stands: the place to point at for what is missing.
#[must_use]
pub fn check(schema: &Value, spec: &Node, owner: Span) -> Checked {
    let mut checker = Checker {
        schema,
        path: Vec::new(),
        findings: Vec::new(),
        steps: 0,
        places: None,
    };
    let value = checker.visit(schema, spec, owner);
    Checked {
        value,
        findings: checker.findings,
    }
}

/// Where a path below the spec is written: its value, or its key. What does not exist is found at its nearest ancestor.
#[must_use]
pub fn locate(spec: &Node, owner: Span, path: &[PathPart], at_key: bool) -> Span {
    let mut node = spec;
    let mut key_span = owner;
    for part in path {
        let next = match (&node.content, part) {
            (Content::Map(_), PathPart::Key(key)) => node.entry(key).map(|entry| (&entry.value, entry.key_span)),
            (Content::Seq(nodes), PathPart::Index(index)) => nodes.get(*index).map(|node| (node, node.span)),
            _ => None,
        };
        match next {
            Some((below, span)) => (node, key_span) = (below, span),
            None => return key_span,
        }
    }
    let collection = !matches!(node.content, Content::Scalar { .. });
    match at_key || is_null(node) || collection {
        true => key_span,
        false => node.span,
    }
}

struct Checker<'s> {
    schema: &'s Value,
    path: Vec<PathPart>,
    findings: Vec<Finding>,
    steps: usize,
    /// Where each field of the schema may stand; made when the first unknown field turns up.
    places: Option<Places>,
}

impl<'s> Checker<'s> {
    /// Checks one node and returns its value. `owner` is the node's key, or the node itself in a list.
    fn visit(&mut self, schema: &'s Value, node: &Node, owner: Span) -> Value {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            if self.steps == MAX_STEPS + 1 {
                self.report(Finding::at(owner, "the spec is too large to be checked").help("split the document"));
            }
            return Value::Null;
        }
        let rules = Rules::of(self.schema, schema);
        if let Some(branches) = rules.alternatives() {
            return self.visit_alternatives(&branches, node, owner);
        }
        if let Some(words) = rules.words() {
            return self.visit_words(&words, &rules, node, owner);
        }
        let types = rules.types();
        if is_null(node) && (types.contains(&"null") || types.is_empty()) {
            return Value::Null;
        }
        match rules.fitting(&types, node) {
            Some("object") => self.visit_map(&rules, node, owner),
            Some("array") => self.visit_list(&rules, node, owner),
            Some(scalar) => self.visit_scalar(scalar, &rules, node, owner),
            None => match types.is_empty() {
                true => scalars::untyped(node),
                false => self.wrong_type(&types, node, owner),
            },
        }
    }

    fn visit_list(&mut self, rules: &Rules<'s>, node: &Node, owner: Span) -> Value {
        let Content::Seq(nodes) = &node.content else {
            return self.wrong_type(&["array"], node, owner);
        };
        for (keyword, bad) in [("minItems", "few"), ("maxItems", "many")] {
            let Some(limit) = rules.count(keyword) else {
                continue;
            };
            let (len, name) = (nodes.len() as u64, self.name());
            let (wrong, bound) = match bad {
                "few" => (len < limit, "least"),
                _ => (len > limit, "most"),
            };
            if wrong {
                let message = format!("{name} has too {bad} entries: {len}");
                self.report(Finding::at(owner, message).help(format!("write at {bound} {limit}")));
            }
        }
        let items = rules.get("items").unwrap_or(&Value::Bool(true));
        let mut values = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            self.path.push(PathPart::Index(index));
            values.push(self.visit(items, node, node.span));
            self.path.pop();
        }
        Value::Array(values)
    }

    /// Reports that the node has none of these types.
    fn wrong_type(&mut self, types: &[&str], node: &Node, owner: Span) -> Value {
        let wanted: Vec<&str> = types
            .iter()
            .filter(|t| **t != "null")
            .map(|t| scalars::type_in_words(t))
            .collect();
        let span = if is_null(node) { owner } else { node.span };
        let message = format!(
            "{} must be {}, found {}",
            self.name(),
            wanted.join(" or "),
            describe(node)
        );
        let help = types
            .iter()
            .find_map(|wanted| scalars::repair(wanted, node, self.last_key()));
        self.report(Finding {
            help,
            ..Finding::at(span, message)
        });
        Value::Null
    }

    fn report(&mut self, finding: Finding) {
        // What an alias stands for is wrong in the same way wherever it is used; only the path differs.
        let same = |known: &Finding| known.span == finding.span && known.help == finding.help;
        let repeated = finding.help.is_some() && self.findings.iter().any(same);
        if !self.is_full() && !repeated {
            self.findings.push(finding);
        }
    }

    fn is_full(&self) -> bool {
        self.findings.len() >= MAX_FINDINGS
    }

    /// The path in words: `` `spec.databases[0].name` ``.
    fn name(&self) -> String {
        super::diagnostic::quote(&places::in_words(&self.path))
    }

    fn last_key(&self) -> &str {
        match self.path.last() {
            Some(PathPart::Key(key)) => key,
            Some(PathPart::Index(_)) | None => "",
        }
    }
}

/// An object without the keys whose value is null: for an optional field that is the same as leaving it out.
type Object = Map<String, Value>;
