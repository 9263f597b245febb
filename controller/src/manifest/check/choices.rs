//! Enumerations, and alternatives of whole schemas.

use serde_json::Value;

use super::rules::Rules;
use super::{Checker, scalars};
use crate::manifest::diagnostic::{Finding, Span, quote};
use crate::manifest::scalar::{describe, is_null};
use crate::manifest::suggest;
use crate::manifest::tree::{Content, Node, Style};

impl<'s> Checker<'s> {
    /// An enumeration of words.
    pub(super) fn visit_words(&mut self, words: &[&'s str], rules: &Rules<'s>, node: &Node, owner: Span) -> Value {
        if is_null(node) && (rules.types().contains(&"null") || has_null(rules)) {
            return Value::Null;
        }
        if let Content::Scalar { text, .. } = &node.content
            && words.contains(&text.as_str())
        {
            return Value::String(text.clone());
        }
        let span = if is_null(node) { owner } else { node.span };
        let (message, help) = match &node.content {
            Content::Scalar { text, .. } if !is_null(node) => (
                format!("{} cannot be {}", self.name(), quote(text)),
                suggest::did_you_mean(text, words),
            ),
            Content::Scalar { .. } | Content::Seq(_) | Content::Map(_) => (
                format!("{} must be one word, found {}", self.name(), describe(node)),
                Some(suggest::possible(words)),
            ),
        };
        self.report(Finding {
            help,
            ..Finding::at(span, message)
        });
        Value::Null
    }

    /// The first alternative that fits; else the errors of the one that was most likely meant.
    pub(super) fn visit_alternatives(&mut self, branches: &[&'s Value], node: &Node, owner: Span) -> Value {
        let root = self.schema;
        let is_null_branch = |branch: &&'s Value| Rules::of(root, branch).types() == ["null"];
        if is_null(node) && branches.iter().any(is_null_branch) {
            return Value::Null;
        }
        let real: Vec<&'s Value> = branches
            .iter()
            .copied()
            .filter(|branch| !is_null_branch(branch))
            .collect();
        if let [only] = real.as_slice() {
            return self.visit(only, node, owner);
        }
        let meant: Vec<&'s Value> = real
            .iter()
            .copied()
            .filter(|branch| self.is_meant(branch, node))
            .collect();
        if let [only] = meant.as_slice() {
            return self.visit(only, node, owner);
        }
        if meant.is_empty() {
            // A single branch of the right type was meant, whatever else is wrong.
            let of_type = |branch: &&'s Value| {
                let rules = Rules::of(root, branch);
                rules.types().iter().any(|name| rules.has_type(name, node))
            };
            let mut typed = real.iter().copied().filter(of_type);
            if let (Some(only), None) = (typed.next(), typed.next()) {
                return self.visit(only, node, owner);
            }
            let span = if is_null(node) { owner } else { node.span };
            let message = format!(
                "{} has none of the forms that it can have, found {}",
                self.name(),
                describe(node)
            );
            let help = self.alternatives_in_words(&real);
            self.report(Finding {
                help,
                ..Finding::at(span, message)
            });
            return Value::Null;
        }
        self.try_each(&meant, node, owner)
    }

    fn try_each(&mut self, branches: &[&'s Value], node: &Node, owner: Span) -> Value {
        let before = std::mem::take(&mut self.findings);
        let mut best: Option<Vec<Finding>> = None;
        for branch in branches {
            let value = self.visit(branch, node, owner);
            let found = std::mem::take(&mut self.findings);
            if found.is_empty() {
                self.findings = before;
                return value;
            }
            if best.as_ref().is_none_or(|best| found.len() < best.len()) {
                best = Some(found);
            }
        }
        self.findings = before;
        for finding in best.into_iter().flatten() {
            self.report(finding);
        }
        Value::Null
    }

    /// Whether the node has the outer shape of the branch: its type, and for a map the fields that tell branches apart.
    fn is_meant(&self, branch: &'s Value, node: &Node) -> bool {
        let rules = Rules::of(self.schema, branch);
        if rules.alternatives().is_some() {
            return true;
        }
        let text = match &node.content {
            Content::Scalar { text, style } => Some((text, *style)),
            Content::Seq(_) | Content::Map(_) => None,
        };
        if let Some(words) = rules.words() {
            return text.is_some_and(|(text, _)| words.contains(&text.as_str()));
        }
        if rules.takes_any_scalar() {
            return text.is_some();
        }
        let types = rules.types();
        let fits = types.is_empty() || types.iter().any(|name| rules.has_type(name, node));
        match &node.content {
            Content::Map(_) => fits && self.tags_fit(&rules, node),
            // A quoted number may be meant as a number; the type's own error says so.
            Content::Scalar { style, .. } => fits && (*style == Style::Plain || types.contains(&"string")),
            Content::Seq(_) => fits,
        }
    }

    /// An internally tagged branch has a field with one possible value; an externally tagged one has a single field.
    fn tags_fit(&self, rules: &Rules<'s>, node: &Node) -> bool {
        let Some(properties) = rules.properties() else {
            return true;
        };
        let required = rules.required();
        let external = match (required.as_slice(), properties.len()) {
            ([only], 1) => node.entry(only).is_some(),
            _ => true,
        };
        external
            && required.iter().all(|name| {
                let word = properties
                    .get(*name)
                    .and_then(|schema| Rules::of(self.schema, schema).get("const")?.as_str());
                match (word, node.entry(name).map(|entry| &entry.value.content)) {
                    (Some(word), Some(Content::Scalar { text, .. })) => text == word,
                    (Some(_), _) => false,
                    (None, _) => true,
                }
            })
    }

    fn alternatives_in_words(&self, branches: &[&'s Value]) -> Option<String> {
        let mut words: Vec<String> = Vec::new();
        for branch in branches {
            let rules = Rules::of(self.schema, branch);
            match rules.words() {
                Some(choices) => words.push(suggest::list(&choices, "or")),
                None => match (rules.types().as_slice(), rules.required().as_slice()) {
                    (["object"], required @ [_, ..]) => {
                        words.push(format!("a map with {}", suggest::list(required, "and")))
                    }
                    (types, _) => words.extend(types.iter().map(|name| scalars::type_in_words(name).to_owned())),
                },
            }
        }
        words.dedup();
        (!words.is_empty()).then(|| format!("write {}", words.join(", or ")))
    }
}

fn has_null(rules: &Rules<'_>) -> bool {
    let words = rules.get("enum").and_then(Value::as_array);
    words.is_some_and(|words| words.contains(&Value::Null))
}
