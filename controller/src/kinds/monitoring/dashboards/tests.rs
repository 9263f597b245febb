use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::build::COLUMNS;
use super::{Source, all, expressions};
use crate::model::grafana::{TAG, has_tag};

fn boards() -> Vec<(&'static str, Value)> {
    let source = Source {
        uid: "reconciler".to_owned(),
        name: "Prometheus".to_owned(),
    };
    all(&source, 15)
        .into_iter()
        .map(|board| (board.uid, board.json))
        .collect()
}

fn panels(board: &Value) -> &Vec<Value> {
    board["panels"].as_array().unwrap()
}

fn is_row(panel: &Value) -> bool {
    panel["type"] == "row"
}

#[test]
fn every_dashboard_is_known_by_its_uid_and_tag() {
    let uids: Vec<&str> = boards().iter().map(|(uid, _)| *uid).collect();
    assert_eq!(
        uids,
        [
            "reconciler-postgres",
            "reconciler-replication",
            "reconciler-agent",
            "reconciler-redis"
        ]
    );
    for (uid, board) in boards() {
        assert_eq!(board["uid"], uid);
        assert!(uid.len() <= 40 && has_tag(&board, TAG));
        assert!(!board["title"].as_str().unwrap().is_empty() && !board["description"].as_str().unwrap().is_empty());
    }
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    for (uid, board) in boards() {
        for panel in panels(&board).iter().filter(|panel| !is_row(panel)) {
            let filled = |at: &str| {
                panel
                    .pointer(at)
                    .and_then(Value::as_str)
                    .is_some_and(|text| !text.is_empty())
            };
            let fields = [
                "/title",
                "/description",
                "/fieldConfig/defaults/unit",
                "/targets/0/expr",
            ];
            for at in fields {
                assert!(filled(at), "{uid}: panel {} has no {at}", panel["id"]);
            }
            assert!(
                panel["description"].as_str().unwrap().ends_with('.'),
                "{uid}: {}",
                panel["description"]
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}");
        }
    }
}

#[test]
fn no_two_panels_share_an_id_a_title_or_a_place() {
    for (uid, board) in boards() {
        let (mut ids, mut titles, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for panel in panels(&board) {
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{uid}: id {} twice",
                panel["id"]
            );
            assert!(
                titles.insert(panel["title"].to_string()),
                "{uid}: {} twice",
                panel["title"]
            );
            assert!(
                at("x") + at("w") <= u64::from(COLUMNS),
                "{uid}: {} is too wide",
                panel["title"]
            );
            for cell in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
                assert!(cells.insert(cell), "{uid}: {} lies on another panel", panel["title"]);
            }
        }
    }
}

#[test]
fn every_variable_that_is_used_can_be_chosen_and_every_choice_is_used() {
    // Those of Grafana itself begin with two underscores.
    for (uid, board) in boards() {
        let listed = board["templating"]["list"].as_array().unwrap();
        let chosen: BTreeSet<String> = listed
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect();
        let text = board.to_string();
        let used = text.split('$').skip(1).map(|rest| {
            let rest = rest.trim_start_matches('{');
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect::<String>()
        });
        let used: BTreeSet<String> = used.filter(|name| !name.starts_with("__")).collect();
        assert_eq!(used, chosen, "{uid}");
    }
}

#[test]
fn expressions_have_matching_brackets_and_no_variable_is_left_in_what_is_run() {
    let all = expressions();
    assert!(all.len() > 80, "{}", all.len());
    for one in &all {
        let expr = one.runnable("1m");
        assert!(!expr.contains('$'), "{}: {}: {expr}", one.board, one.panel);
        let mut open = Vec::new();
        for c in expr.chars() {
            match c {
                '(' => open.push(')'),
                '{' => open.push('}'),
                '[' => open.push(']'),
                ')' | '}' | ']' => assert_eq!(open.pop(), Some(c), "{}: {}: {expr}", one.board, one.panel),
                _ => {}
            }
        }
        assert!(
            open.is_empty() && expr.matches('"').count() % 2 == 0,
            "{}: {}: {expr}",
            one.board,
            one.panel
        );
    }
}

#[test]
fn a_rate_of_a_member_does_not_break_when_its_role_changes() {
    for one in expressions().iter().filter(|one| one.board == "reconciler-postgres") {
        let by = one
            .expr
            .split(" by (")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        assert!(one.expr.contains(" by ("), "{}: {}", one.panel, one.expr);
        for labels in by {
            assert!(
                !labels.split(", ").any(|label| label == "role"),
                "{}: {}",
                one.panel,
                one.expr
            );
        }
    }
}

/// The names of what our own queries export.
fn exported(queries: &str) -> BTreeSet<String> {
    let queries: BTreeMap<String, Value> = serde_yaml::from_str(queries).unwrap();
    let metrics = queries.iter().flat_map(|(query, of)| {
        let columns = of["metrics"].as_array().unwrap().iter();
        columns.flat_map(move |column| {
            column
                .as_object()
                .unwrap()
                .keys()
                .map(move |name| format!("{query}_{name}"))
        })
    });
    metrics.collect()
}

#[test]
fn whatever_is_asked_of_our_own_queries_is_exported_by_them() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/kinds/monitoring/exporter/queries.yml");
    let Ok(queries) = std::fs::read_to_string(path) else {
        return eprintln!("{path} is not there");
    };
    let exported = exported(&queries);
    for one in expressions() {
        let words = one.expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for word in words.filter(|word| word.starts_with("reconciler_pg_")) {
            assert!(exported.contains(word), "{}: {}: {word}", one.board, one.panel);
        }
    }
}
