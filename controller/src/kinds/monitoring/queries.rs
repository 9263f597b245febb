//! The users' own queries for postgres_exporter: checked when they are loaded, and put behind ours. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::manifest::diagnostic::Position;
use crate::manifest::folders::Complaint;
use crate::manifest::suggest;

/// What a column can be used as (postgres_exporter's `stringToColumnUsage`). It leaves out a column with another word, and
/// says so nowhere.
const USAGES: [&str; 7] = [
    "COUNTER",
    "DISCARD",
    "DURATION",
    "GAUGE",
    "HISTOGRAM",
    "LABEL",
    "MAPPEDMETRIC",
];
/// Metrics that every version has by itself, whatever the server's (measured with 0.11, 0.17 and 0.19). What only some
/// have, the exporter itself tells: it is tried.
const BUILT_IN: [&str; 2] = ["pg_database_size_bytes", "pg_up"];
/// How the names of others begin.
const BUILT_IN_PREFIXES: [&str; 2] = ["pg_exporter_", "pg_scrape_collector_"];

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
    queries.iter().find_map(|(name, query)| of_query(text, name, query))
}

/// What is wrong with one query of a file.
fn of_query(text: &str, name: &str, query: &Value) -> Option<Complaint> {
    let complain = |at: Option<u32>, message: String, help: Option<String>| {
        Some(Complaint {
            at: at.map(|line| Position { line, column: 1 }),
            message,
            help,
        })
    };
    let here = line_of(text, name);
    let format = "write queries as postgres_exporter reads them: NAME: {query: ..., metrics: [...]}";
    let whole = |message: String| complain(here, message, Some(format.to_owned()));
    if !query.get("query").is_some_and(Value::is_string) {
        return whole(format!("`{name}` has no `query`"));
    }
    let Some(metrics) = query
        .get("metrics")
        .and_then(Value::as_array)
        .filter(|metrics| !metrics.is_empty())
    else {
        return whole(format!("`{name}` has no `metrics`"));
    };
    if name.starts_with("reconciler_") {
        return whole(format!(
            "`{name}`: names that begin with `reconciler_` are the agent's own"
        ));
    }
    let columns = metrics.iter().filter_map(Value::as_object).flatten();
    for (column, mapping) in columns {
        let at = line_below(text, here, column);
        let usage = mapping.get("usage").and_then(Value::as_str).unwrap_or_default();
        if !USAGES.contains(&usage) {
            let help = suggest::did_you_mean(usage, &USAGES);
            return complain(
                at,
                format!("`{name}`: `{usage}` is no usage of column `{column}`"),
                help,
            );
        }
        let metric = format!("{name}_{column}");
        let is_taken =
            BUILT_IN.contains(&metric.as_str()) || BUILT_IN_PREFIXES.iter().any(|prefix| metric.starts_with(prefix));
        if is_taken && !["LABEL", "DISCARD"].contains(&usage) {
            let why = format!(
                "`{metric}` is a metric that postgres_exporter has by itself; with a second one it answers nothing at all"
            );
            return complain(at, why, Some("give the query another name".to_owned()));
        }
    }
    None
}

/// The line of a query's name, counted from 1.
pub fn line_of(text: &str, name: &str) -> Option<u32> {
    let quotes = ['"', '\''];
    let begins = |line: &str| {
        let rest = line.trim_start_matches(quotes).strip_prefix(name);
        rest.is_some_and(|rest| rest.trim_start_matches(quotes).trim_start().starts_with(':'))
    };
    (1..).zip(text.lines()).find(|(_, line)| begins(line)).map(|(at, _)| at)
}

/// The first line from another one on that has a word followed by a colon.
fn line_below(text: &str, from: Option<u32>, word: &str) -> Option<u32> {
    let wanted = format!("{word}:");
    let lines = (1..).zip(text.lines()).skip_while(|(at, _)| Some(*at) < from);
    let mut lines = lines.filter(|(_, line)| line.contains(&wanted));
    lines.next().map(|(at, _)| at).or(from)
}

/// The file and the query that a metric comes from, of files by their names.
pub fn source_of<'a>(metric: &str, files: &BTreeMap<&'a str, &'a str>) -> Option<(&'a str, String)> {
    let mut found: Option<(&str, String)> = None;
    for (file, text) in files {
        let Ok(Value::Object(queries)) = serde_yaml::from_str::<Value>(text) else {
            continue;
        };
        let fits = |name: &String| {
            metric
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        for name in queries.keys().filter(|name| fits(name)) {
            if found.as_ref().is_none_or(|(_, other)| other.len() < name.len()) {
                found = Some((file, name.clone()));
            }
        }
    }
    found
}

/// The metric that an exporter complains of when it answers nothing (`prometheus.Gatherers` of its library): "collected
/// metric pg_wal_size_bytes label:... has help ..." and "collected metric \"shop_n\" { ... } was collected before".
pub fn blamed(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("collected metric ")?;
    let end = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
    rest.trim_start_matches('"')
        .split(end)
        .next()
        .filter(|name| !name.is_empty())
}

/// What an exporter's log says last of a query that PostgreSQL refused: the query's name, and PostgreSQL's words.
pub fn refused_in(log: &str) -> Option<(String, String)> {
    let line = log
        .lines()
        .rev()
        .find(|line| line.contains("Error running query on database"))?;
    let (_, said) = line.rsplit_once("Error running query on database")?;
    // ` \"HOST:PORT\": NAME pq: WORDS" dsn=...`: a text in quotes, with quotes in it.
    let (_, said) = said.split_once(": ")?;
    let said = said.replace("\\\"", "\u{1}");
    let said = said.split('"').next().unwrap_or_default().replace('\u{1}', "\"");
    let (name, words) = said.trim().split_once(' ')?;
    Some((name.to_owned(), words.trim_start_matches("pq: ").to_owned()))
}

/// The queries of a file, as a user would call them.
pub fn defines(text: &str) -> Vec<String> {
    match serde_yaml::from_str(text) {
        Ok(Value::Object(queries)) => queries.keys().map(|name| format!("the query {name}")).collect(),
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// Ours and the users' in one text. Where the users' are asked in several databases, ours are not: they are about the server,
/// and two equal answers fail the whole scrape.
pub fn merged(files: &BTreeMap<&str, &str>, are_spread: bool) -> String {
    let ours = match are_spread {
        true => once_a_server(OURS),
        false => OURS.to_owned(),
    };
    let mut all = serde_json::Map::new();
    for text in files.values() {
        if let Ok(Value::Object(queries)) = serde_yaml::from_str(text) {
            all.extend(queries);
        }
    }
    if all.is_empty() {
        return ours;
    }
    let users = serde_yaml::to_string(&Value::Object(all)).unwrap_or_default();
    format!("{ours}\n# From the manifest's folder.\n{users}")
}

/// Queries that are asked in the first database only (postgres_exporter's `master`).
fn once_a_server(queries: &str) -> String {
    let begins = |line: &str| line.ends_with(':') && !line.starts_with([' ', '#']);
    let lines = queries.lines().map(|line| match begins(line) {
        true => format!("{line}\n  master: true\n"),
        false => format!("{line}\n"),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{OURS, Value, blamed, complaint, merged, refused_in, source_of};

    const SHOP: &str = "shop_a:\n  query: select 1 as n\n  metrics:\n  - n: {usage: GAUGE, description: d}\n";

    #[test]
    fn what_the_exporter_would_pass_over_or_choke_on_is_refused_with_its_line() {
        assert_eq!(complaint(SHOP), None);
        let wrong = |text: &str| {
            let found = complaint(text).unwrap_or_else(|| panic!("nothing is wrong with {text}"));
            format!(
                "{:?}: {}; {}",
                found.at.map(|at| at.line),
                found.message,
                found.help.unwrap_or_default()
            )
        };
        insta::assert_snapshot!(wrong(&SHOP.replace("GAUGE", "GUAGE")), @"Some(4): `shop_a`: `GUAGE` is no usage of column `n`; did you mean `GAUGE`?");
        insta::assert_snapshot!(wrong(&SHOP.replace("usage: GAUGE, ", "")), @"Some(4): `shop_a`: `` is no usage of column `n`; possible are `COUNTER`, `DISCARD`, `DURATION`, `GAUGE`, `HISTOGRAM`, `LABEL` and `MAPPEDMETRIC`");
        let size = SHOP
            .replace("shop_a", "# mine\npg_database")
            .replace("- n:", "- size_bytes:");
        insta::assert_snapshot!(wrong(&size), @"Some(5): `pg_database_size_bytes` is a metric that postgres_exporter has by itself; with a second one it answers nothing at all; give the query another name");
        insta::assert_snapshot!(wrong(&SHOP.replace("  query: select", "  ask: select")), @"Some(1): `shop_a` has no `query`; write queries as postgres_exporter reads them: NAME: {query: ..., metrics: [...]}");
        assert_eq!(
            complaint(&SHOP.replace("shop_a", "pg_database").replace("- n:", "- tables:")),
            None
        );
    }

    #[test]
    fn only_the_users_queries_are_asked_in_every_database() {
        let files = BTreeMap::from([("a.yml", SHOP)]);
        assert!(merged(&files, false).starts_with(OURS));
        let Ok(Value::Object(all)) = serde_yaml::from_str::<Value>(&merged(&files, true)) else {
            panic!("a map of queries");
        };
        assert!(all.len() > 5);
        for (name, query) in all {
            let is_once = query.get("master") == Some(&Value::Bool(true));
            assert_eq!(is_once, name != "shop_a", "{name}");
        }
    }

    #[test]
    fn the_exporters_words_lead_to_the_query() {
        let of_the_library = "it answered 500: An error has occurred while serving metrics: 3 error(s) occurred: * collected \
                              metric pg_wal_size_bytes label:{name:\"server\"} has help \"s\" but should have \"t\"";
        let twice = "An error has occurred while serving metrics: collected metric \"shop_a_n\" { label:{name:\"server\"} \
                     gauge:{value:2}} was collected before with the same name and label values";
        assert_eq!(blamed(of_the_library), Some("pg_wal_size_bytes"));
        assert_eq!(blamed(twice), Some("shop_a_n"));
        assert_eq!(blamed("it is not reached"), None);
        let more = SHOP.replace("shop_a", "shop");
        let files = BTreeMap::from([("a.yml", SHOP), ("b.yml", more.as_str())]);
        assert_eq!(source_of("shop_a_n", &files), Some(("a.yml", "shop_a".to_owned())));
        assert_eq!(source_of("shop_n", &files), Some(("b.yml", "shop".to_owned())));
        assert_eq!(source_of("shopping", &files), None);
    }

    #[test]
    fn the_log_of_each_version_says_what_postgresql_refused() {
        let log = "ts=1 caller=namespace.go:236 level=info err=\"Error running query on database \\\"pg:5432\\\": shop_b pq: column \\\"x\\\" does not exist\"\nother";
        let newest = "level=ERROR msg=\"error scraping dsn\" err=\"queryNamespaceMappings errors encountered, namespace: shop_b error: Error running query on database \\\"pg:5432\\\": shop_b pq: column \\\"x\\\" does not exist\" dsn=\"postgresql://u:PASSWORD_REMOVED@pg:5432/postgres\"";
        let said = Some(("shop_b".to_owned(), "column \"x\" does not exist".to_owned()));
        assert_eq!(refused_in(log), said);
        assert_eq!(refused_in(newest), said);
        assert_eq!(refused_in("all is well"), None);
    }
}
