//! What kinds' own rules object to, in few words. Pure.

use super::postgres::spec::PasswordFrom;
use crate::manifest::load::{PathPart, Problem};

/// What is wrong with where a password comes from.
pub fn password(from: &PasswordFrom, path: &[PathPart], found: &mut Vec<Problem>) {
    let why = match (&from.file, &from.env) {
        (Some(_), Some(_)) => "name a file or an environment variable, not both",
        (None, None) => "name a `file` or an `env`",
        (Some(file), None) if !file.starts_with('/') => "the file's path must be absolute: the agent runs elsewhere",
        (Some(_), None) | (None, Some(_)) => return,
    };
    found.push(problem(path, why).on_key());
}

/// A step into a map.
pub fn key(name: &str) -> PathPart {
    PathPart::Key(name.to_owned())
}

/// A problem with what stands at a path below `spec`.
pub fn problem(path: &[PathPart], message: impl Into<String>) -> Problem {
    Problem {
        path: path.to_vec(),
        at_key: false,
        message: message.into(),
        help: None,
    }
}

impl Problem {
    /// The same, with the key itself.
    pub fn on_key(mut self) -> Self {
        self.at_key = true;
        self
    }
}
