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
