//! `reconciler schema` and `explain`: the shape of a kind, from its own types.

use std::fmt::Write as _;

use serde_json::Value;

use super::error::{CommandError, CommandResult, Exit, failed};
use super::output::print;
use super::status::is_kind;
use crate::kinds;

/// Prints the JSON Schema of a kind's manifest; the kinds when none is named.
pub fn schema(kind: Option<&str>) -> CommandResult {
    match kind {
        Some(kind) => print(&serde_json::to_string_pretty(&manifest_schema(kind)?).map_err(failed)?),
        None => print(&kinds::schemas().iter().map(|s| s.kind).collect::<Vec<_>>().join("\n")),
    }
}

/// The JSON Schema of a whole document of a kind.
pub fn manifest_schema(kind: &str) -> Result<Value, CommandError> {
    let known = kinds::schemas();
    let Some(found) = known.iter().find(|s| is_kind(s.kind, kind)) else {
        let names: Vec<&str> = known.iter().map(|s| s.kind).collect();
        let error = CommandError::new(Exit::Invalid, format!("there is no kind {kind}"));
        return Err(error.hint(format!("the kinds are {}", names.join(", "))));
    };
    let mut spec = found.schema.clone();
    let definitions = spec
        .as_object_mut()
        .and_then(|s| s.remove("$defs"))
        .unwrap_or(Value::Null);
    let draft = spec
        .as_object_mut()
        .and_then(|s| s.remove("$schema"))
        .unwrap_or(Value::Null);
    let texts = serde_json::json!({"type": "object", "additionalProperties": {"type": "string"}});
    Ok(serde_json::json!({
        "$schema": draft,
        "title": found.kind,
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": {"const": "reconciler.dev/v1alpha1"},
            "kind": {"const": found.kind},
            "metadata": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": false,
                "properties": {
                    "name": {"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 40},
                    "labels": texts,
                    "annotations": texts,
                },
            },
            "spec": spec,
        },
        "$defs": definitions,
    }))
}

/// Explains a kind or one of its fields, such as `PostgresCluster.spec.ports`.
pub fn explain(path: &str) -> CommandResult {
    let mut parts = path.split('.');
    let kind = parts.next().unwrap_or_default();
    let root = manifest_schema(kind)?;
    let mut at = "spec".to_owned();
    let mut node = resolve(&root, &root["properties"]["spec"]);
    for part in parts.skip_while(|part| *part == "spec") {
        let inner = if node.get("items").is_some() {
            resolve(&root, &node["items"])
        } else {
            node
        };
        let Some(next) = inner.get("properties").and_then(|p| p.get(part)) else {
            let fields: Vec<&str> = fields(inner).map(|(name, _)| name.as_str()).collect();
            let error = CommandError::new(Exit::Invalid, format!("{at} has no field {part}"));
            return Err(error.hint(format!("its fields are {}", fields.join(", "))));
        };
        node = next;
        let described = node;
        let _ = write!(at, ".{part}");
        node = resolve(&root, described);
        if node.get("description").is_none() || described.get("description").is_some() {
            print_one(&root, kind, &at, described, node)?;
        } else {
            print_one(&root, kind, &at, node, node)?;
        }
    }
    if at == "spec" {
        print_one(&root, kind, &at, node, node)?;
    }
    let inner = if node.get("items").is_some() {
        resolve(&root, &node["items"])
    } else {
        node
    };
    for (name, field) in fields(inner) {
        let required = inner["required"]
            .as_array()
            .is_some_and(|r| r.iter().any(|f| f == name));
        let mark = if required { " (required)" } else { "" };
        print(&format!(
            "\n  {name} <{}>{mark}{}",
            type_of(&root, field),
            default_of(field)
        ))?;
        print(&format!("      {}", text_of(&root, field)))?;
    }
    Ok(())
}

fn print_one(root: &Value, kind: &str, at: &str, described: &Value, node: &Value) -> CommandResult {
    print(&format!(
        "{kind}.{at} <{}>{}",
        type_of(root, node),
        default_of(described)
    ))?;
    print(&format!("  {}", text_of(root, described)))
}

fn fields(node: &Value) -> impl Iterator<Item = (&String, &Value)> {
    node.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// Follows `$ref`, and looks through the `null` of optional fields.
fn resolve<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    if let Some(path) = node.get("$ref").and_then(Value::as_str) {
        return root.pointer(path.trim_start_matches('#')).unwrap_or(node);
    }
    let choices = node.get("anyOf").and_then(Value::as_array);
    match choices.and_then(|c| c.iter().find(|choice| choice["type"] != "null")) {
        Some(choice) => resolve(root, choice),
        None => node,
    }
}

fn text_of(root: &Value, node: &Value) -> String {
    let own = node.get("description").and_then(Value::as_str);
    let text = own.or_else(|| resolve(root, node).get("description").and_then(Value::as_str));
    text.unwrap_or("").replace('\n', " ")
}

fn default_of(node: &Value) -> String {
    match node.get("default") {
        None | Some(Value::Null) => String::new(),
        Some(Value::Object(_) | Value::Array(_)) => String::new(),
        Some(value) => format!(", default {value}"),
    }
}

fn type_of(root: &Value, node: &Value) -> String {
    let node = resolve(root, node);
    if let Some(format) = node.get("format").and_then(Value::as_str) {
        // `uint16` and the like are Rust's words.
        let is_number = format.starts_with("uint") || format.starts_with("int");
        return if is_number {
            "integer".to_owned()
        } else {
            format.to_owned()
        };
    }
    if let Some(choices) = node.get("oneOf").and_then(Value::as_array) {
        let words: Vec<&str> = choices.iter().filter_map(|c| c["const"].as_str()).collect();
        return words.join(" | ");
    }
    match &node["type"] {
        Value::String(name) if name == "array" => format!("list of {}", type_of(root, &node["items"])),
        Value::String(name) => name.clone(),
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .find(|n| *n != "null")
            .unwrap_or("")
            .to_owned(),
        _ => "object".to_owned(),
    }
}
