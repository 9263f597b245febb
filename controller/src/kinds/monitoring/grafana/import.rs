//! Dashboards of users: JSON as Grafana exports it.

use serde_json::{Map, Value};

use super::Board;
use crate::model::grafana::title_of;

/// The longest uid that Grafana takes.
const MAX_UID_CHARS: usize = 40;
/// What an export says of the Grafana that it comes from.
const OF_THE_EXPORT: [&str; 3] = ["__inputs", "__requires", "__elements"];

/// A user's dashboard and its uid. `fallback` is the uid where the text has none; `datasource` is the uid that inputs of
/// the type Prometheus are filled with.
pub fn import(text: &str, fallback: &str, folder: Option<&str>, datasource: &str) -> Result<(String, Board), String> {
    let json: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    // The API's own answer holds the dashboard one level down.
    let mut json = match json.get("dashboard") {
        Some(inner) if json.get("panels").is_none() && inner.is_object() => inner.clone(),
        _ => json,
    };
    if json.get("kind").is_some() && json.get("spec").is_some() {
        return Err("it is in the resource format of Grafana 12; export it in the classic format".to_owned());
    }
    if title_of(&json).trim().is_empty() {
        return Err("it has no title".to_owned());
    }
    fill(&mut json, datasource)?;
    let uid = match json.get("uid").and_then(Value::as_str) {
        Some(uid) if !uid.is_empty() => uid.to_owned(),
        _ => fallback.to_owned(),
    };
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if uid.is_empty() || uid.len() > MAX_UID_CHARS || !uid.chars().all(is_fine) {
        return Err(format!(
            "{uid:?} is no uid: at most {MAX_UID_CHARS} letters, digits, - and _"
        ));
    }
    json["uid"] = Value::String(uid.clone());
    Ok((uid, Board::new(folder, json)))
}

/// Fills in what an export "for sharing externally" leaves open.
fn fill(json: &mut Value, datasource: &str) -> Result<(), String> {
    let Some(fields) = json.as_object_mut() else {
        return Err("it is no JSON object".to_owned());
    };
    let inputs = fields
        .get("__inputs")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for input in &inputs {
        let of = |key: &str| input.get(key).and_then(Value::as_str).unwrap_or_default();
        let value = match (of("type"), of("pluginId")) {
            ("datasource", "prometheus") => datasource,
            ("constant", _) => of("value"),
            (_, plugin) => return Err(format!("its input {} needs a data source of type {plugin}", of("name"))),
        };
        substitute(fields, &format!("${{{}}}", of("name")), value);
    }
    for key in OF_THE_EXPORT {
        fields.remove(key);
    }
    Ok(())
}

fn substitute(fields: &mut Map<String, Value>, from: &str, to: &str) {
    for (_, value) in fields.iter_mut() {
        in_value(value, from, to);
    }
}

fn in_value(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text.contains(from) => *text = text.replace(from, to),
        Value::Array(list) => list.iter_mut().for_each(|one| in_value(one, from, to)),
        Value::Object(fields) => substitute(fields, from, to),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
