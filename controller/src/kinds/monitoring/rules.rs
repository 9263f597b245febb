//! The alert rules that come with the program, as a resource wants them. Pure.

use serde_json::Value;

use super::windows;

/// The rule files that come with the program, by name.
const OURS: [(&str, &str); 5] = [
    ("agent.yml", include_str!("rules/agent.yml")),
    ("monitoring.yml", include_str!("rules/monitoring.yml")),
    ("postgres.yml", include_str!("rules/postgres.yml")),
    ("redis.yml", include_str!("rules/redis.yml")),
    ("replication.yml", include_str!("rules/replication.yml")),
];
/// What a rule file says where the page that explains alerts is.
const RUNBOOK: &str = "RUNBOOK_URL";

/// Our rule files for a scrape interval, with the address of the page that explains alerts, without the alerts that are left
/// out.
pub fn ours(runbook_url: &str, disabled: &[String], interval_secs: u64) -> Vec<(String, String)> {
    let files = OURS.iter().map(|(name, text)| {
        let text = match disabled.is_empty() {
            true => (*text).to_owned(),
            false => without(text, disabled),
        };
        let text = windows::widened(&text, interval_secs);
        ((*name).to_owned(), text.replace(RUNBOOK, runbook_url))
    });
    files.collect()
}

/// The names of all alerts that come with the program.
pub fn alerts() -> Vec<String> {
    let texts = OURS
        .iter()
        .filter_map(|(_, text)| serde_yaml::from_str::<Value>(text).ok());
    let mut names: Vec<String> = texts
        .flat_map(|file| groups(&file).into_iter().flat_map(rules).collect::<Vec<_>>())
        .filter_map(|rule| Some(rule.get("alert")?.as_str()?.to_owned()))
        .collect();
    names.sort();
    names.dedup();
    names
}

fn without(text: &str, disabled: &[String]) -> String {
    let Ok(mut file) = serde_yaml::from_str::<Value>(text) else {
        return text.to_owned();
    };
    let groups = file
        .get_mut("groups")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten();
    for group in groups {
        if let Some(rules) = group.get_mut("rules").and_then(Value::as_array_mut) {
            let name = |rule: &Value| rule.get("alert").and_then(Value::as_str).map(str::to_owned);
            rules.retain(|rule| name(rule).is_none_or(|name| !disabled.contains(&name)));
        }
    }
    serde_yaml::to_string(&file).unwrap_or_default()
}

fn groups(file: &Value) -> Vec<Value> {
    file.get("groups")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

fn rules(group: Value) -> Vec<Value> {
    group
        .get("rules")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}
