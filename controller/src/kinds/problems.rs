//! What kinds' own rules object to, in few words. Pure.

use super::postgres::spec::{Logging, PasswordFrom};
use crate::manifest::load::{PathPart, Problem};
use crate::manifest::suggest;

/// The engine's own log drivers. What has a `:` or a `/` in it is a plugin.
const LOG_DRIVERS: [&str; 10] = [
    "awslogs",
    "fluentd",
    "gcplogs",
    "gelf",
    "journald",
    "json-file",
    "local",
    "none",
    "splunk",
    "syslog",
];
/// The options of `json-file` (moby, `daemon/logger/jsonfilelog`); `local` has the first three.
const LOG_OPTIONS: [&str; 8] = [
    "max-size",
    "max-file",
    "compress",
    "env",
    "env-regex",
    "labels",
    "labels-regex",
    "tag",
];

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

/// What is wrong with where output goes. The engine finds out when the container of before is gone, some of it at the start
/// only: what can be known is said before.
pub fn logging(logging: Option<&Logging>, found: &mut Vec<Problem>) {
    let Some(logging) = logging else {
        return;
    };
    let known: &[&str] = match logging.driver.as_deref() {
        None if logging.options.is_empty() => return,
        None => {
            let why = "name the `driver` that the options are for";
            return found.push(problem(&[key("logging"), key("options")], why).on_key());
        }
        Some("json-file") => &LOG_OPTIONS,
        Some("local") => &LOG_OPTIONS[..3],
        Some("none") => &[],
        Some(driver) if LOG_DRIVERS.contains(&driver) || driver.contains([':', '/']) => return,
        Some(driver) => {
            let mut wrong = problem(
                &[key("logging"), key("driver")],
                format!("the engine has no log driver `{driver}`"),
            );
            wrong.help = suggest::did_you_mean(driver, &LOG_DRIVERS);
            return found.push(wrong);
        }
    };
    for (name, value) in &logging.options {
        let path = [key("logging"), key("options"), key(name)];
        if !known.contains(&name.as_str()) {
            let mut wrong = problem(&path, format!("the driver has no option `{name}`")).on_key();
            wrong.help = suggest::did_you_mean(name, known);
            found.push(wrong);
        } else if let Some(why) = of_option(name, &value.0) {
            found.push(problem(&path, why));
        }
    }
}

fn of_option(name: &str, value: &str) -> Option<&'static str> {
    let is_size = || {
        let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = value[digits.len()..].to_ascii_lowercase();
        let is_unit = ["", "b", "k", "kb", "m", "mb", "g", "gb"].contains(&unit.as_str());
        is_unit && digits.parse::<u64>().is_ok_and(|size| size > 0)
    };
    match name {
        "max-size" if !is_size() => Some("a size is a number with a unit, such as `10m`"),
        "max-file" if !value.parse::<u32>().is_ok_and(|files| files > 0) => Some("it is a number from 1 on"),
        "compress" if !["true", "false"].contains(&value) => Some("it is `true` or `false`"),
        _ => None,
    }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::logging;

    #[test]
    fn what_the_engine_would_refuse_too_late_is_said_before() {
        let told = |text: Value| {
            let mut found = Vec::new();
            let parsed = serde_json::from_value(text).ok();
            logging(parsed.as_ref(), &mut found);
            found.into_iter().map(|problem| problem.message).collect::<Vec<_>>()
        };
        for good in [
            json!({}),
            json!({"driver": "journald"}),
            json!({"driver": "loki/loki-docker-driver:latest", "options": {"loki-url": "x"}}),
            json!({"driver": "json-file", "options": {"max-size": "50MB", "max-file": "3", "tag": "x"}}),
            json!({"driver": "local", "options": {"max-size": "5m", "compress": "false"}}),
        ] {
            assert_eq!(told(good.clone()), Vec::<String>::new(), "{good}");
        }
        for (bad, word) in [
            (json!({"options": {"max-size": "5m"}}), "name the `driver`"),
            (json!({"driver": "jsn-file"}), "no log driver `jsn-file`"),
            (
                json!({"driver": "json-file", "options": {"maxsize": "5m"}}),
                "no option `maxsize`",
            ),
            (json!({"driver": "local", "options": {"tag": "x"}}), "no option `tag`"),
            (
                json!({"driver": "none", "options": {"max-size": "5m"}}),
                "no option `max-size`",
            ),
            (
                json!({"driver": "local", "options": {"max-size": "abc"}}),
                "such as `10m`",
            ),
            (
                json!({"driver": "json-file", "options": {"max-file": "0"}}),
                "from 1 on",
            ),
        ] {
            let told = told(bad.clone());
            assert!(told.len() == 1 && told[0].contains(word), "{bad}: {told:?}");
        }
    }
}
