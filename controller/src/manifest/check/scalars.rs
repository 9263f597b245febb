//! Text, numbers and truth values.

use serde_json::{Map, Number, Value};

use super::rules::Rules;
use super::{Checker, formats};
use crate::manifest::diagnostic::{Finding, Span, quote};
use crate::manifest::envelope::quote_help;
use crate::manifest::scalar::{Resolved, is_null, resolve};
use crate::manifest::tree::{Content, Node, Style};

impl<'s> Checker<'s> {
    pub(super) fn visit_scalar(&mut self, name: &'s str, rules: &Rules<'s>, node: &Node, owner: Span) -> Value {
        let Content::Scalar { text, style } = &node.content else {
            return self.wrong_type(&[name], node, owner);
        };
        match (name, resolve(text, *style)) {
            ("string", Resolved::Text) => self.text(rules, text, node.span),
            ("string", Resolved::Bool(_) | Resolved::Int(_) | Resolved::Float(_)) if rules.takes_any_scalar() => {
                self.text(rules, text, node.span)
            }
            ("boolean", Resolved::Bool(value)) => Value::Bool(value),
            ("integer", Resolved::Int(value)) => self.integer(rules, value, node.span),
            ("number", Resolved::Int(value)) => self.number(rules, value as f64, node.span),
            ("number", Resolved::Float(value)) if value.is_finite() => self.number(rules, value, node.span),
            _ => self.wrong_type(&[name], node, owner),
        }
    }

    fn text(&mut self, rules: &Rules<'s>, text: &str, span: Span) -> Value {
        if let Some(format) = rules.text("format")
            && let Err(wrong) = formats::check(format, text)
        {
            let message = format!("{}: {}", self.name(), wrong.message);
            self.report(Finding {
                help: wrong.help,
                ..Finding::at(span, message)
            });
        }
        let chars = text.chars().count() as u64;
        if rules.count("minLength").is_some_and(|min| chars < min) {
            let message = match chars {
                0 => format!("{} is empty", self.name()),
                _ => format!("{} is too short", self.name()),
            };
            let min = rules.count("minLength").unwrap_or(1);
            self.report(Finding::at(span, message).help(format!("write {min} characters or more")));
        }
        if let Some(max) = rules.count("maxLength").filter(|max| chars > *max) {
            let message = format!("{} is too long: {chars} characters", self.name());
            self.report(Finding::at(span, message).help(format!("write {max} characters or fewer")));
        }
        Value::String(text.to_owned())
    }

    fn integer(&mut self, rules: &Rules<'s>, value: i128, span: Span) -> Value {
        let (format_min, format_max) = formats::integer_range(rules.text("format"));
        let bound = |keyword: &str| rules.get(keyword).and_then(whole);
        let min = [bound("minimum"), bound("exclusiveMinimum").map(|min| min + 1)];
        let max = [bound("maximum"), bound("exclusiveMaximum").map(|max| max - 1)];
        let min = min.into_iter().flatten().fold(format_min, i128::max);
        let max = max.into_iter().flatten().fold(format_max, i128::min);
        if !(min..=max).contains(&value) {
            // The end of a large machine type says nothing to a reader who is not near it.
            let both = max < format_max || format_max <= u16::MAX.into();
            let help = match (both, value < min) {
                (true, _) => format!("write a whole number from {min} to {max}"),
                (false, true) => format!("write {min} or more"),
                (false, false) => format!("write {max} or less"),
            };
            let message = format!("{} cannot be {value}", self.name());
            self.report(Finding::at(span, message).help(help));
        }
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => Value::from(value),
            (Err(_), Ok(value)) => Value::from(value),
            (Err(_), Err(_)) => Value::Null,
        }
    }

    fn number(&mut self, rules: &Rules<'s>, value: f64, span: Span) -> Value {
        let bound = |keyword: &str| rules.get(keyword).and_then(Value::as_f64);
        let checks = [
            (bound("minimum").filter(|min| value < *min), "or more"),
            (bound("maximum").filter(|max| value > *max), "or less"),
            (
                bound("exclusiveMinimum").filter(|min| value <= *min),
                "as the lower limit, which itself is not allowed",
            ),
            (
                bound("exclusiveMaximum").filter(|max| value >= *max),
                "as the upper limit, which itself is not allowed",
            ),
        ];
        for (bound, words) in checks {
            let Some(bound) = bound else { continue };
            let message = format!("{} cannot be {value}", self.name());
            self.report(Finding::at(span, message).help(format!("write {bound} {words}")));
        }
        Number::from_f64(value).map_or(Value::Null, Value::Number)
    }
}

/// A type's name for people.
pub fn type_in_words(name: &str) -> &str {
    match name {
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        "string" => "text",
        "array" => "a list",
        "object" => "a map",
        other => other,
    }
}

/// What to write instead of a value that has not the type wanted.
pub fn repair(wanted: &str, node: &Node, key: &str) -> Option<String> {
    let (text, style) = match &node.content {
        Content::Scalar { text, style } => (text.as_str(), *style),
        Content::Seq(_) if wanted == "object" => {
            return Some("write `key: value` lines without `- `".to_owned());
        }
        Content::Seq(_) => return Some("write a single value".to_owned()),
        Content::Map(_) if wanted == "array" => {
            return Some("begin each entry with `- `".to_owned());
        }
        Content::Map(_) => return Some("write a single value".to_owned()),
    };
    let null = is_null(node);
    match (wanted, text.to_ascii_lowercase().as_str()) {
        ("boolean", "yes" | "on" | "y" | "true" | "1") => Some("write `true`".to_owned()),
        ("boolean", "no" | "off" | "n" | "false" | "0") => Some("write `false`".to_owned()),
        ("boolean", _) => Some("write `true` or `false`".to_owned()),
        ("string", _) => Some(quote_help(node)),
        ("array", _) if null => Some(format!("write `{key}: []` for an empty list, or entries with `- `")),
        ("array", _) => Some(format!("write a list: `{key}: [{text}]`")),
        ("object", _) => Some("write its fields under it, indented".to_owned()),
        ("integer" | "number", _) if style == Style::Quoted && is_number(wanted, text) => {
            Some(format!("remove the quotes: `{text}`"))
        }
        ("integer", _) if text.chars().all(|c| c.is_ascii_digit()) && !null => {
            Some("write a smaller number".to_owned())
        }
        ("integer", _) if is_number("number", text) => Some("write it without fraction or exponent".to_owned()),
        ("integer" | "number", _) => Some("write digits, such as `2`".to_owned()),
        _ => None,
    }
}

fn is_number(wanted: &str, text: &str) -> bool {
    match resolve(text, Style::Plain) {
        Resolved::Int(_) => true,
        Resolved::Float(value) => wanted == "number" && value.is_finite(),
        Resolved::Null | Resolved::Bool(_) | Resolved::Text => false,
    }
}

fn whole(value: &Value) -> Option<i128> {
    let exact = value
        .as_i64()
        .map(i128::from)
        .or_else(|| value.as_u64().map(i128::from));
    exact.or_else(|| value.as_f64().filter(|f| f.is_finite()).map(|f| f as i128))
}

/// A node whose schema says nothing, by the core schema of YAML.
pub fn untyped(node: &Node) -> Value {
    match &node.content {
        Content::Seq(nodes) => Value::Array(nodes.iter().map(untyped).collect()),
        Content::Map(entries) => {
            let fields: Map<String, Value> = entries
                .iter()
                .map(|entry| (entry.key.clone(), untyped(&entry.value)))
                .collect();
            Value::Object(fields)
        }
        Content::Scalar { text, style } => match resolve(text, *style) {
            Resolved::Null => Value::Null,
            Resolved::Bool(value) => Value::Bool(value),
            Resolved::Int(value) => i64::try_from(value).map_or_else(|_| Value::from(value as f64), Value::from),
            Resolved::Float(value) => Number::from_f64(value).map_or_else(|| Value::String(quote(text)), Value::Number),
            Resolved::Text => Value::String(text.clone()),
        },
    }
}
