//! One schema with everything that it refers to.

use serde_json::{Map, Value};

use crate::manifest::scalar::{Resolved, resolve};
use crate::manifest::tree::{Content, Node};

/// References to references; a schema that goes on longer refers to itself.
const MAX_REFERENCES: usize = 16;

/// The keywords of a schema, its own first and then those of what it refers to with `$ref`.
pub struct Rules<'s> {
    layers: Vec<&'s Map<String, Value>>,
}

impl<'s> Rules<'s> {
    /// Follows the references of `schema` within `root`. A schema that is just `true` has no rules.
    pub fn of(root: &'s Value, schema: &'s Value) -> Self {
        let mut layers = Vec::new();
        let mut current = schema.as_object();
        while let Some(layer) = current {
            layers.push(layer);
            if layers.len() > MAX_REFERENCES {
                break;
            }
            let reference = layer.get("$ref").and_then(Value::as_str);
            current = reference
                .and_then(|reference| root.pointer(reference.strip_prefix('#')?))
                .and_then(Value::as_object);
        }
        Rules { layers }
    }

    pub fn get(&self, keyword: &str) -> Option<&'s Value> {
        self.layers.iter().find_map(|layer| layer.get(keyword))
    }

    pub fn text(&self, keyword: &str) -> Option<&'s str> {
        self.get(keyword).and_then(Value::as_str)
    }

    pub fn count(&self, keyword: &str) -> Option<u64> {
        self.get(keyword).and_then(Value::as_u64)
    }

    /// Whether any scalar is taken as its written text: by `x-scalar`, or because the format reads numbers itself.
    pub fn takes_any_scalar(&self) -> bool {
        self.get("x-scalar") == Some(&Value::Bool(true))
            || matches!(self.text("format"), Some("bytes" | "duration" | "cpus"))
    }

    pub fn properties(&self) -> Option<&'s Map<String, Value>> {
        self.get("properties").and_then(Value::as_object)
    }

    pub fn required(&self) -> Vec<&'s str> {
        let names = self.get("required").and_then(Value::as_array);
        names.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The possible types by name; empty when any will do.
    pub fn types(&self) -> Vec<&'s str> {
        match self.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ if self.get("properties").is_some() => vec!["object"],
            _ => Vec::new(),
        }
    }

    /// The type that the node is to be checked as: the only one, or the first of several that it has.
    pub fn fitting(&self, types: &[&'s str], node: &Node) -> Option<&'s str> {
        let mut possible = types.iter().copied().filter(|name| *name != "null");
        let first = possible.next()?;
        match possible.next() {
            None => Some(first),
            Some(_) => types.iter().copied().find(|name| self.has_type(name, node)),
        }
    }

    /// Whether the node, as it is written, has the type of this name.
    pub fn has_type(&self, name: &str, node: &Node) -> bool {
        let (text, style) = match &node.content {
            Content::Map(_) => return name == "object",
            Content::Seq(_) => return name == "array",
            Content::Scalar { text, style } => (text, *style),
        };
        match resolve(text, style) {
            Resolved::Null => name == "null",
            Resolved::Bool(_) => name == "boolean",
            Resolved::Int(_) => matches!(name, "integer" | "number"),
            Resolved::Float(_) => name == "number",
            Resolved::Text => name == "string",
        }
    }

    /// The branches of `oneOf` or `anyOf`, when they are more than a list of words.
    pub fn alternatives(&self) -> Option<Vec<&'s Value>> {
        if self.words().is_some() {
            return None;
        }
        let branches = self.get("oneOf").or_else(|| self.get("anyOf"))?.as_array()?;
        Some(branches.iter().collect())
    }

    /// The words of an enumeration, however it is written: `const`, `enum`, or `oneOf` of these.
    pub fn words(&self) -> Option<Vec<&'s str>> {
        if let Some(word) = self.get("const") {
            return word.as_str().map(|word| vec![word]);
        }
        if let Some(words) = self.get("enum").and_then(Value::as_array) {
            return words.iter().filter(|word| !word.is_null()).map(Value::as_str).collect();
        }
        let branches = self.get("oneOf").or_else(|| self.get("anyOf"))?.as_array()?;
        let mut words = Vec::new();
        for branch in branches {
            match (branch.get("const"), branch.get("enum").and_then(Value::as_array)) {
                (Some(word), _) => words.push(word.as_str()?),
                (None, Some(several)) => words.extend(several.iter().filter_map(Value::as_str)),
                (None, None) => return None,
            }
        }
        Some(words)
    }
}
