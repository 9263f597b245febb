//! Dashboards of users: JSON as Grafana exports it.

use serde_json::{Map, Value};

use super::Board;
use crate::model::grafana::title_of;

/// The longest uid that Grafana takes.
const MAX_UID_CHARS: usize = 40;
/// What an export says of the Grafana that it comes from.
const OF_THE_EXPORT: [&str; 3] = ["__inputs", "__requires", "__elements"];

/// Data sources that Grafana has by itself.
const OF_GRAFANA: [&str; 5] = ["grafana", "__expr__", "-- Grafana --", "-- Mixed --", "-- Dashboard --"];

/// Why a text is no dashboard that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// In words.
    pub message: String,
    /// What stands in the text where it is wrong, if that is known.
    pub near: Option<String>,
}

impl From<String> for Unusable {
    fn from(message: String) -> Self {
        Unusable { message, near: None }
    }
}

/// A user's dashboard and its uid. `fallback` is the uid where the text has none; `datasource` is the uid that inputs of
/// the type Prometheus are filled with.
pub fn import(text: &str, fallback: &str, folder: Option<&str>, datasource: &str) -> Result<(String, Board), Unusable> {
    let json: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    // The API's own answer holds the dashboard one level down.
    let mut json = match json.get("dashboard") {
        Some(inner) if json.get("panels").is_none() && inner.is_object() => inner.clone(),
        _ => json,
    };
    if json.get("kind").is_some() && json.get("spec").is_some() {
        let why = "it is in the resource format of Grafana 12; export it in the classic format";
        return Err(why.to_owned().into());
    }
    if title_of(&json).trim().is_empty() {
        return Err("it has no title".to_owned().into());
    }
    fill(&mut json, datasource)?;
    let uid = match json.get("uid").and_then(Value::as_str) {
        Some(uid) if !uid.is_empty() => uid.to_owned(),
        _ => fallback.to_owned(),
    };
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if uid.is_empty() || uid.len() > MAX_UID_CHARS || !uid.chars().all(is_fine) {
        let why = format!("{uid:?} is no uid: at most {MAX_UID_CHARS} letters, digits, - and _");
        return Err(why.into());
    }
    json["uid"] = Value::String(uid.clone());
    Ok((uid, Board::new(folder, json)))
}

/// Fills in what an export "for sharing externally" leaves open: its library panels, its inputs, its data sources.
fn fill(json: &mut Value, datasource: &str) -> Result<(), Unusable> {
    let elements = json.get("__elements").cloned().unwrap_or_default();
    inline(json, &elements)?;
    let Some(fields) = json.as_object_mut() else {
        return Err("it is no JSON object".to_owned().into());
    };
    let inputs = fields
        .get("__inputs")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for key in OF_THE_EXPORT {
        fields.remove(key);
    }
    for input in &inputs {
        let of = |key: &str| input.get(key).and_then(Value::as_str).unwrap_or_default();
        let value = match (of("type"), of("pluginId")) {
            ("datasource", "prometheus") => datasource,
            ("datasource", "__expr__") => "__expr__",
            ("constant", _) => of("value"),
            (_, plugin) => {
                return Err(Unusable {
                    message: format!("its input {} needs a data source of type {plugin}", of("name")),
                    near: Some(of("name").to_owned()),
                });
            }
        };
        substitute(fields, &format!("${{{}}}", of("name")), value);
    }
    let list = json.pointer("/templating/list").and_then(Value::as_array);
    let names = list
        .into_iter()
        .flatten()
        .filter_map(|variable| variable["name"].as_str());
    let names: Vec<String> = names.map(str::to_owned).collect();
    resolve(json, "the dashboard", &names, datasource)
}

/// Puts library panels where they are used: Grafana knows those of the export's own Grafana only by their numbers.
fn inline(value: &mut Value, elements: &Value) -> Result<(), Unusable> {
    let panels = value.get_mut("panels").and_then(Value::as_array_mut);
    for panel in panels.into_iter().flatten() {
        inline(panel, elements)?;
        let Some(library) = panel.get("libraryPanel").filter(|library| library.is_object()) else {
            continue;
        };
        let text = |key: &str| library.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (uid, name) = (text("uid"), text("name"));
        let listed = elements.as_array().into_iter().flatten();
        let element = elements
            .get(&uid)
            .or_else(|| listed.into_iter().find(|one| one["uid"] == uid.as_str()));
        let Some(model) = element.and_then(|element| element.get("model")?.as_object()) else {
            return Err(Unusable {
                message: format!(
                    "it uses the library panel {name:?}, which is not in the file. Export the dashboard with \
                     \"Export for sharing externally\", or unlink the panel"
                ),
                near: Some(uid),
            });
        };
        let mut whole = model.clone();
        for own in ["id", "gridPos", "title"] {
            if let Some(kept) = panel.get(own).filter(|kept| !kept.is_null()) {
                whole.insert(own.to_owned(), kept.clone());
            }
        }
        whole.remove("libraryPanel");
        *panel = Value::Object(whole);
    }
    // Rows of old dashboards.
    let rows = value.get_mut("rows").and_then(Value::as_array_mut);
    rows.into_iter().flatten().try_for_each(|row| inline(row, elements))
}

/// Has what still names a data source by a placeholder that stands for nothing ask ours. `place` is the innermost thing with
/// a title or a name, and `names` those of the dashboard's own variables.
fn resolve(value: &mut Value, place: &str, names: &[String], datasource: &str) -> Result<(), Unusable> {
    match value {
        Value::Array(list) => list
            .iter_mut()
            .try_for_each(|one| resolve(one, place, names, datasource)),
        Value::Object(fields) => {
            let label = ["title", "name"].iter().find_map(|key| fields.get(*key)?.as_str());
            let place = label
                .filter(|label| !label.is_empty())
                .map_or_else(|| place.to_owned(), |label| format!("{label:?}"));
            if let Some(source) = fields.get_mut("datasource") {
                settle(source, &place, names, datasource)?;
            }
            let mut others = fields.iter_mut().filter(|(key, _)| *key != "datasource");
            others.try_for_each(|(_, inner)| resolve(inner, &place, names, datasource))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn settle(source: &mut Value, place: &str, names: &[String], datasource: &str) -> Result<(), Unusable> {
    let plugin = source
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("prometheus")
        .to_owned();
    let uid = match source {
        Value::Object(fields) => fields.get_mut("uid"),
        Value::String(_) => Some(source),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    };
    let Some(Value::String(uid)) = uid else {
        return Ok(());
    };
    let Some(name) = placeholder(uid).filter(|name| !names.iter().any(|known| known == name)) else {
        return Ok(());
    };
    if plugin == "prometheus" {
        datasource.clone_into(uid);
        return Ok(());
    }
    if OF_GRAFANA.contains(&plugin.as_str()) {
        *uid = plugin;
        return Ok(());
    }
    Err(Unusable {
        message: format!("{place} asks a data source of type {plugin} ({name}), and there is none but Prometheus"),
        near: Some(uid.clone()),
    })
}

/// The name in `${NAME}`, `$NAME` or `[[NAME]]`, where that is all.
fn placeholder(text: &str) -> Option<String> {
    let inner = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .or_else(|| text.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]")))
        .or_else(|| text.strip_prefix('$'))?;
    let name = inner.split(':').next().unwrap_or_default();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-. ".contains(c));
    is_name.then(|| name.to_owned())
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

#[cfg(test)]
mod tests;
