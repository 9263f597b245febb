//! Compares what is wanted with what is there, field by field.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

/// What Grafana numbers by itself. A GET adds nothing else: what was sent is stored as it is.
pub(super) const NUMBERED: [&str; 3] = ["id", "version", "iteration"];
/// What tells the elements of a list apart, so that one that was inserted does not shift the rest.
const NAMES: [&str; 3] = ["id", "refId", "name"];
/// Differences that a sentence names.
const MAX_NAMED: usize = 3;
/// Longest value that is shown.
const MAX_CHARS: usize = 40;
/// `min_refresh_interval` raises what is below it by itself; it is 5 s unless it was set, and nobody sets an hour.
const RAISED_BELOW_SECS: u64 = 10;

/// A field that is not as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where it is: `panels[2].title`.
    pub path: String,
    /// What it should be; `None` if it should not be there.
    pub wanted: Option<Value>,
    /// What it is; `None` if it is not there.
    pub live: Option<Value>,
}

/// All differences between two dashboards, in the order of what is wanted.
pub fn compare(wanted: &Value, live: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            let bare = |map: &Map<String, Value>| {
                let kept = map
                    .iter()
                    .filter(|(key, _)| !NUMBERED.contains(&key.as_str()) && *key != "uid");
                kept.map(|(key, value)| (key.clone(), value.clone())).collect()
            };
            objects("", &bare(wanted), &bare(live), &mut found);
        }
        _ => values("", wanted, live, &mut found),
    }
    found.retain(|difference| !is_raised(difference));
    found
}

/// Differences between two values that are no dashboards.
pub(super) fn compare_values(path: &str, wanted: &Value, live: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    values(path, wanted, live, &mut found);
    found
}

/// The first differences in words, and how many more there are.
pub fn summary(differences: &[Difference]) -> String {
    let named: Vec<String> = differences.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    match differences.len().saturating_sub(MAX_NAMED) {
        0 => named.join("; "),
        more => format!("{}; and {more} more", named.join("; ")),
    }
}

fn values(path: &str, wanted: &Value, live: &Value, found: &mut Vec<Difference>) {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => objects(path, wanted, live, found),
        (Value::Array(wanted), Value::Array(live)) => lists(path, wanted, live, found),
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        (wanted, live) if wanted == live => {}
        (wanted, live) => found.push(Difference {
            path: path.to_owned(),
            wanted: some(wanted),
            live: some(live),
        }),
    }
}

fn objects(path: &str, wanted: &Map<String, Value>, live: &Map<String, Value>, found: &mut Vec<Difference>) {
    let added = live.keys().filter(|key| !wanted.contains_key(*key));
    for key in wanted.keys().chain(added) {
        let at = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
        values(&at, &of(wanted), &of(live), found);
    }
}

fn lists(path: &str, wanted: &[Value], live: &[Value], found: &mut Vec<Difference>) {
    let Some(name) = NAMES
        .iter()
        .find(|name| tells_apart(name, wanted) && tells_apart(name, live))
    else {
        return by_position(path, wanted, live, found);
    };
    let same = |a: &Value, b: &Value| a.get(*name) == b.get(*name);
    for (at, one) in wanted.iter().enumerate() {
        let other = live.iter().find(|other| same(one, other)).unwrap_or(&Value::Null);
        values(&format!("{path}[{at}]"), one, other, found);
    }
    for (at, other) in live.iter().enumerate() {
        if !wanted.iter().any(|one| same(one, other)) {
            values(&format!("{path}[{at}]"), &Value::Null, other, found);
        }
    }
    let common = |list: &[Value], others: &[Value]| -> Vec<String> {
        let kept = list.iter().filter(|one| others.iter().any(|other| same(one, other)));
        kept.map(|one| one[*name].to_string()).collect()
    };
    let order = (common(wanted, live), common(live, wanted));
    if order.0 != order.1 {
        found.push(Difference {
            path: format!("order of {path}"),
            wanted: Some(Value::String(order.0.join(", "))),
            live: Some(Value::String(order.1.join(", "))),
        });
    }
}

fn by_position(path: &str, wanted: &[Value], live: &[Value], found: &mut Vec<Difference>) {
    for at in 0..wanted.len().max(live.len()) {
        let of = |list: &[Value]| list.get(at).cloned().unwrap_or_default();
        values(&format!("{path}[{at}]"), &of(wanted), &of(live), found);
    }
}

/// Whether every element has this field, and no two the same.
fn tells_apart(name: &str, list: &[Value]) -> bool {
    let named: BTreeSet<String> = list.iter().filter_map(|one| Some(one.get(name)?.to_string())).collect();
    named.len() == list.len()
}

fn is_raised(difference: &Difference) -> bool {
    let seconds = |value: &Option<Value>| {
        let text = value.as_ref()?.as_str()?.to_owned();
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match text.get(digits.len()..)? {
            "s" => 1,
            "m" => 60,
            _ => return None,
        };
        Some(digits.parse::<u64>().ok()? * unit)
    };
    match (seconds(&difference.wanted), seconds(&difference.live)) {
        (Some(wanted), Some(live)) => difference.path == "refresh" && wanted < RAISED_BELOW_SECS && live > wanted,
        _ => false,
    }
}

fn some(value: &Value) -> Option<Value> {
    (!value.is_null()).then(|| value.clone())
}

/// A value as short as it can be told.
fn short(value: &Value) -> String {
    let title = ["title", "name", "refId"]
        .iter()
        .find_map(|key| value.get(*key)?.as_str());
    let text = match value {
        Value::String(text) => format!("\"{text}\""),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => title.map_or_else(|| "other settings".to_owned(), |title| format!("\"{title}\"")),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    match text.chars().count() > MAX_CHARS {
        true => format!("{}...", text.chars().take(MAX_CHARS).collect::<String>()),
        false => text,
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.live, &self.wanted) {
            (Some(live), Some(wanted)) => write!(f, "{}: {} instead of {}", self.path, short(live), short(wanted)),
            (Some(live), None) => write!(f, "{}: {} was added", self.path, short(live)),
            (None, Some(wanted)) => write!(f, "{}: {} was removed", self.path, short(wanted)),
            (None, None) => write!(f, "{}", self.path),
        }
    }
}
