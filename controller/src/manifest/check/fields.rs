//! Maps: known fields, unknown fields, missing fields.

use serde_json::Value;

use super::places::{self, Places};
use super::rules::Rules;
use super::{Checker, Object};
use crate::manifest::diagnostic::{Finding, Span, quote};
use crate::manifest::load::PathPart;
use crate::manifest::scalar::is_null;
use crate::manifest::suggest;
use crate::manifest::tree::{Content, Entry, Node};

impl<'s> Checker<'s> {
    pub(super) fn visit_map(&mut self, rules: &Rules<'s>, node: &Node, owner: Span) -> Value {
        let Content::Map(entries) = &node.content else {
            return self.wrong_type(&["object"], node, owner);
        };
        let required = rules.required();
        let mut object = Object::new();
        for entry in entries {
            let known = rules.properties().and_then(|properties| properties.get(&entry.key));
            let schema = match known.or_else(|| rules.get("additionalProperties")) {
                Some(Value::Bool(false)) => {
                    self.unknown_field(rules, entry);
                    continue;
                }
                Some(schema) => schema,
                None => &Value::Bool(true),
            };
            // `replication:` with nothing behind it, or `null`, leaves an optional field out.
            if known.is_some() && is_null(&entry.value) && !required.contains(&entry.key.as_str()) {
                continue;
            }
            self.path.push(PathPart::Key(entry.key.clone()));
            let value = self.visit(schema, &entry.value, entry.key_span);
            self.path.pop();
            object.insert(entry.key.clone(), value);
        }
        for name in required {
            if node.entry(name).is_none() {
                self.missing_field(rules, name, owner);
            }
        }
        Value::Object(object)
    }

    fn missing_field(&mut self, rules: &Rules<'s>, name: &str, owner: Span) {
        let schema = rules.properties().and_then(|properties| properties.get(name));
        let example = schema
            .map(|schema| Rules::of(self.schema, schema))
            .and_then(|rules| rules.get("examples")?.as_array()?.first());
        let help = match example {
            Some(Value::String(example)) => format!("add `{name}: {example}` or another value"),
            Some(Value::Number(example)) => format!("add `{name}: {example}` or another value"),
            _ => format!("add `{name}: …`"),
        };
        self.path.push(PathPart::Key(name.to_owned()));
        let message = format!("{} is missing", self.name());
        self.path.pop();
        self.report(Finding::at(owner, message).help(help));
    }

    fn unknown_field(&mut self, rules: &Rules<'s>, entry: &Entry) {
        if self.is_full() {
            return;
        }
        let names: Vec<&str> = rules
            .properties()
            .into_iter()
            .flat_map(|p| p.keys())
            .map(String::as_str)
            .collect();
        let here = places::without_indexes(&self.path);
        let schema = self.schema;
        let known = self.places.get_or_insert_with(|| Places::of(schema));
        let elsewhere = known.of_field(&entry.key, &here);
        let help = match (
            suggest::nearest(&entry.key, names.iter().copied()),
            elsewhere.as_slice(),
        ) {
            // The very word in another place is a better guess than a similar word in this one.
            (None, places @ [_, ..]) => Some(belongs(places)),
            (Some(near), places @ [_, ..]) => Some(format!("{}, or did you mean `{near}`?", belongs(places))),
            (_, []) => suggest::did_you_mean(&entry.key, &names),
        };
        let message = match self.path.is_empty() {
            true => format!("unknown field {}", quote(&entry.key)),
            false => format!("unknown field {} in {}", quote(&entry.key), self.name()),
        };
        self.report(Finding {
            help,
            ..Finding::at(entry.key_span, message)
        });
    }
}

fn belongs(places: &[&str]) -> String {
    format!("it belongs under {}", suggest::list(places, "or"))
}
