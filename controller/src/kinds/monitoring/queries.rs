//! The users' own queries for postgres_exporter: checked when they are loaded, and put behind ours. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::manifest::diagnostic::Position;
use crate::manifest::folders::Complaint;

/// The queries that every exporter gets.
pub const OURS: &str = include_str!("exporter/queries.yml");

/// What is wrong with a file of queries.
pub fn complaint(text: &str) -> Option<Complaint> {
    let parsed: Result<Value, _> = serde_yaml::from_str(text);
    let whole = |message: String| Complaint {
        at: None,
        message,
        help: Some("write queries as postgres_exporter reads them: NAME: {query: ..., metrics: [...]}".to_owned()),
    };
    let queries = match parsed {
        Ok(Value::Object(queries)) => queries,
        Ok(_) => return Some(whole("a file of queries is a map".to_owned())),
        Err(error) => {
            let at = error.location().map(|at| Position {
                line: u32::try_from(at.line()).unwrap_or(1),
                column: u32::try_from(at.column()).unwrap_or(1),
            });
            return Some(Complaint {
                at,
                ..whole(error.to_string())
            });
        }
    };
    for (name, query) in &queries {
        if !query.get("query").is_some_and(Value::is_string) {
            return Some(whole(format!("`{name}` has no `query`")));
        }
        let metrics = query.get("metrics").and_then(Value::as_array);
        if metrics.is_none_or(Vec::is_empty) {
            return Some(whole(format!("`{name}` has no `metrics`")));
        }
        if name.starts_with("reconciler_") {
            return Some(whole(format!(
                "`{name}`: names that begin with `reconciler_` are the agent's own"
            )));
        }
    }
    None
}

/// The queries of a file, as a user would call them.
pub fn defines(text: &str) -> Vec<String> {
    match serde_yaml::from_str(text) {
        Ok(Value::Object(queries)) => queries.keys().map(|name| format!("the query {name}")).collect(),
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// Ours and the users' in one text.
pub fn merged(files: &BTreeMap<&str, &str>) -> String {
    let mut all = serde_json::Map::new();
    for text in files.values() {
        if let Ok(Value::Object(queries)) = serde_yaml::from_str(text) {
            all.extend(queries);
        }
    }
    if all.is_empty() {
        return OURS.to_owned();
    }
    let users = serde_yaml::to_string(&Value::Object(all)).unwrap_or_default();
    format!("{OURS}\n# From the manifest's folder.\n{users}")
}
