//! stub
use serde_json::Value;
/// Table entry.
#[derive(Debug)]
pub struct KindSchema {
    /// Kind.
    pub kind: &'static str,
    /// Schema.
    pub schema: Value,
    /// Validate.
    pub validate: fn(&str, &Value) -> Vec<Problem>,
}
/// Problem.
#[derive(Debug)]
pub struct Problem {
    /// Path.
    pub path: Vec<PathPart>,
    /// Key.
    pub at_key: bool,
    /// Message.
    pub message: String,
    /// Help.
    pub help: Option<String>,
}
/// Part.
#[derive(Debug, Clone)]
pub enum PathPart {
    /// K.
    Key(String),
    /// I.
    Index(usize),
}
use super::diagnostic::Diagnostic;
use std::collections::BTreeMap;
use std::path::PathBuf;
/// D
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// k
    pub kind: String,
    /// n
    pub name: String,
    /// l
    pub labels: BTreeMap<String, String>,
    /// a
    pub annotations: BTreeMap<String, String>,
    /// s
    pub spec: Value,
    /// f
    pub file: String,
    /// l
    pub line: u32,
}
/// L
#[derive(Debug, Default)]
pub struct Loaded {
    /// d
    pub documents: Vec<Document>,
    /// d
    pub diagnostics: Vec<Diagnostic>,
    /// f
    pub files: Vec<String>,
    /// b
    pub broken: Vec<String>,
    /// u
    pub unusable: Vec<(String, String)>,
    /// m
    pub missing: Option<String>,
}
/// l
pub fn load(paths: &[PathBuf], kinds: &[KindSchema]) -> Loaded {
    let mut l = Loaded::default();
    for p in paths {
        if let Ok(t) = std::fs::read(p) {
            let m = load_text(&p.display().to_string(), &t, kinds);
            l.documents.extend(m.documents);
        }
    }
    l
}
/// t
pub fn load_text(file: &str, text: &[u8], _kinds: &[KindSchema]) -> Loaded {
    let mut l = Loaded::default();
    if let Ok(v) = serde_yaml::from_slice::<Value>(text) {
        l.documents.push(Document {
            kind: v["kind"].as_str().unwrap_or("").to_owned(),
            name: v["metadata"]["name"].as_str().unwrap_or("").to_owned(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            spec: v["spec"].clone(),
            file: file.to_owned(),
            line: 1,
        });
    }
    l
}
/// f
pub fn fingerprint(paths: &[PathBuf]) -> String {
    paths
        .iter()
        .map(|p| std::fs::read_to_string(p).unwrap_or_default())
        .collect()
}
