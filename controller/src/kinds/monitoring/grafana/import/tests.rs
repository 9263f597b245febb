//! Exports, with what they leave open.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use serde_json::{Value, json};

use super::import;

#[test]
fn what_an_export_leaves_open_is_filled_in_wherever_it_stands() {
    let ours = json!({"type": "prometheus", "uid": "ours"});
    let open = json!({"type": "prometheus", "uid": "${DS_PROMETHEUS}"});
    let model = json!({"type": "stat", "title": "Of the library", "datasource": open, "libraryPanel": {"uid": "lib"},
        "targets": [{"datasource": open, "expr": "up"}]});
    let exported = json!({
        "title": "Mine",
        "__elements": {"lib": {"name": "Shared", "uid": "lib", "kind": 1, "model": model}},
        "annotations": {"list": [{"name": "A", "datasource": {"type": "grafana", "uid": "-- Grafana --"}}]},
        "templating": {"list": [
            {"name": "source", "type": "datasource", "query": "prometheus"},
            {"name": "v", "type": "query", "datasource": "${DS_PROMETHEUS}"},
        ]},
        "panels": [
            {"id": 1, "type": "row", "title": "R", "panels": [
                {"id": 7, "gridPos": {"x": 3}, "libraryPanel": {"uid": "lib", "name": "Shared"}},
            ]},
            {"id": 2, "title": "P", "datasource": {"uid": "${source}"}, "targets": [{"datasource": {"uid": "$DS_OTHER"}}]},
            {"id": 3, "title": "Q", "datasource": null},
        ],
    });
    let json = import(&exported.to_string(), "mine", None, "ours").unwrap().1.json;
    let inlined = &json["panels"][0]["panels"][0];
    assert_eq!(
        *inlined,
        json!({"type": "stat", "title": "Of the library", "datasource": ours, "id": 7, "gridPos": {"x": 3},
            "targets": [{"datasource": ours, "expr": "up"}]})
    );
    assert_eq!(json["templating"]["list"][1]["datasource"], "ours");
    assert_eq!(json["annotations"]["list"][0]["datasource"]["uid"], "-- Grafana --");
    assert_eq!(
        json["panels"][1]["datasource"]["uid"], "${source}",
        "a variable of its own"
    );
    assert_eq!(json["panels"][1]["targets"][0]["datasource"]["uid"], "ours");
    assert_eq!(json["panels"][2]["datasource"], json!(null));
}

#[test]
fn what_cannot_be_filled_in_is_refused_with_what_it_is() {
    let refused = |panel: Value| {
        let text = json!({"title": "T", "panels": [panel]}).to_string();
        let unusable = import(&text, "t", None, "ours").unwrap_err();
        format!("{} ({})", unusable.message, unusable.near.unwrap_or_default())
    };
    insta::assert_snapshot!(refused(json!({"id": 1, "libraryPanel": {"uid": "lib", "name": "Shared"}})), @r#"it uses the library panel "Shared", which is not in the file. Export the dashboard with "Export for sharing externally", or unlink the panel (lib)"#);
    insta::assert_snapshot!(refused(json!({"id": 1, "title": "Logs", "datasource": {"type": "loki", "uid": "${DS_LOKI}"}})), @r#""Logs" asks a data source of type loki (DS_LOKI), and there is none but Prometheus (${DS_LOKI})"#);
}
