//! Grafana's content, kept through its HTTP API by the product's own client and planner. The other side is the double of
//! that API, `tests/images/grafana/server.py`; no engine is needed.

pub mod double;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use reconciler::host::FailureKind;
use reconciler::host::http::Method;
use reconciler::kinds::monitoring::dashboards::{self, Source};
use reconciler::kinds::monitoring::grafana::Board;
use reconciler::model::Seen;
use reconciler::model::grafana::TAG;
use serde_json::{Value, json};

use self::double::{Double, Keeper};

#[tokio::test]
async fn an_empty_grafana_gets_everything_once_and_an_unchanged_pass_writes_nothing() {
    let grafana = Double::new();
    let mut kept = Keeper::new();
    let plan = grafana.settle(&mut kept).await;
    assert_eq!(plan.lines().count(), 4, "{plan}");
    assert_eq!(grafana.writes().await, 4);
    let dashboard = grafana
        .somebody(Method::Get, "/api/dashboards/uid/one", Value::Null)
        .await;
    assert_eq!(dashboard["meta"]["folderTitle"], "Databases");
    assert_eq!(dashboard["dashboard"]["tags"], json!([TAG]));
    // Health, and one request for each thing.
    assert_eq!(kept.wanted.question(&kept.remembered, true).requests(), 6);
}

#[tokio::test]
async fn whatever_somebody_does_to_a_dashboard_is_said_and_put_right() {
    let grafana = Double::new();
    let mut kept = Keeper::new();
    grafana.settle(&mut kept).await;

    grafana
        .somebody_saves("one", "databases", |json| json["panels"][0]["title"] = json!("X"))
        .await;
    let plan = grafana.settle(&mut kept).await;
    assert!(
        plan.starts_with("update dashboard One, because it was changed: panels[0].title: \"X\" instead of \"Up\""),
        "{plan}"
    );

    grafana
        .somebody_saves("one", "databases", |json| json["title"] = json!("Mine"))
        .await;
    let plan = grafana.settle(&mut kept).await;
    assert!(
        plan.starts_with("update dashboard One, because it was renamed to \"Mine\""),
        "{plan}"
    );

    grafana.somebody_saves("one", "", |_| ()).await;
    let plan = grafana.settle(&mut kept).await;
    assert!(
        plan.starts_with("update dashboard One, because it was moved to the folder General"),
        "{plan}"
    );

    grafana
        .somebody(Method::Delete, "/api/dashboards/uid/one", Value::Null)
        .await;
    let plan = grafana.settle(&mut kept).await;
    assert_eq!(plan, "create dashboard One, because it was deleted\n");
}

#[tokio::test]
async fn whatever_somebody_does_to_a_folder_or_data_source_is_said_and_put_right() {
    let grafana = Double::new();
    let mut kept = Keeper::new();
    grafana.settle(&mut kept).await;

    let body = json!({"title": "Junk", "overwrite": true});
    grafana.somebody(Method::Put, "/api/folders/databases", body).await;
    let plan = grafana.settle(&mut kept).await;
    assert_eq!(plan, "update folder Databases, because it was renamed to \"Junk\"\n");

    grafana
        .somebody(Method::Post, "/api/folders", json!({"uid": "attic", "title": "Attic"}))
        .await;
    grafana
        .somebody(
            Method::Post,
            "/api/folders/databases/move",
            json!({"parentUid": "attic"}),
        )
        .await;
    let plan = grafana.settle(&mut kept).await;
    assert_eq!(
        plan,
        "move folder Databases to the top, because it was moved into the folder with uid attic\n"
    );

    grafana
        .somebody(Method::Delete, "/api/folders/databases", Value::Null)
        .await;
    let plan = grafana.settle(&mut kept).await;
    assert_eq!(plan.lines().count(), 3, "{plan}");
    assert!(
        plan.lines().all(|line| line.ends_with("because it was deleted")),
        "{plan}"
    );

    let body = json!({"name": "P", "type": "prometheus", "url": "http://other", "basicAuth": true});
    grafana
        .somebody(Method::Put, "/api/datasources/uid/reconciler", body)
        .await;
    let plan = grafana.settle(&mut kept).await;
    assert!(
        plan.starts_with("update data source Prometheus (db), because it was changed: name: \"P\" instead of"),
        "{plan}"
    );
    let source = grafana
        .somebody(Method::Get, "/api/datasources/uid/reconciler", Value::Null)
        .await;
    assert_eq!(
        (&source["basicAuth"], &source["isDefault"]),
        (&json!(false), &json!(true))
    );

    grafana
        .somebody(Method::Delete, "/api/datasources/uid/reconciler", Value::Null)
        .await;
    let plan = grafana.settle(&mut kept).await;
    assert_eq!(plan, "create data source Prometheus (db), because it was deleted\n");

    kept.wanted.datasources.get_mut("reconciler").unwrap().json_data = json!({});
    let plan = grafana.settle(&mut kept).await;
    assert!(plan.contains("jsonData.timeInterval: \"15s\" was added"), "{plan}");
}

#[tokio::test]
async fn what_somebody_saves_between_look_and_write_is_looked_at_before_it_is_put_right() {
    let grafana = Double::new();
    let mut kept = Keeper::new();
    grafana.settle(&mut kept).await;
    grafana
        .somebody_saves("one", "databases", |json| json["title"] = json!("Mine"))
        .await;
    let plan = kept.plan(&grafana.look(&kept).await);
    grafana
        .somebody_saves("one", "databases", |json| json["title"] = json!("Still mine"))
        .await;
    let error = grafana.carry_out(&plan, &mut kept).await.unwrap();
    assert_eq!(error.kind, FailureKind::Conflict);
    assert!(
        error
            .to_string()
            .ends_with("it answered 412: The dashboard has been changed by someone else; it is looked at again"),
        "{error}"
    );
    let plan = grafana.settle(&mut kept).await;
    assert!(plan.contains("renamed to \"Still mine\""), "{plan}");
}

#[tokio::test]
async fn only_what_is_known_to_be_ours_is_ever_deleted() {
    let grafana = Double::new();
    let mut kept = Keeper::new();
    grafana.settle(&mut kept).await;
    let foreign = json!({"dashboard": {"uid": "foreign", "title": "Foreign", "tags": [TAG]}, "folderUid": "databases"});
    grafana.somebody(Method::Post, "/api/dashboards/db", foreign).await;
    grafana
        .somebody_saves("two", "databases", |json| json["tags"] = json!(["mine"]))
        .await;
    kept.wanted.dashboards.clear();
    assert_eq!(
        grafana.settle(&mut kept).await,
        "delete dashboard One, because it is not wanted any more\n"
    );
    let hits = grafana
        .somebody(Method::Get, "/api/search?type=dash-db", Value::Null)
        .await;
    let uids: BTreeSet<&str> = hits
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["uid"].as_str().unwrap())
        .collect();
    assert_eq!(uids, BTreeSet::from(["foreign", "two"]));
}

fn provision(folder: &Path) {
    let source =
        json!({"datasources": [{"uid": "reconciler", "name": "Theirs", "type": "prometheus", "url": "http://x"}]});
    fs::write(folder.join("datasources/all.yaml"), source.to_string()).unwrap();
    let path = folder.join("boards");
    let provider = json!({"providers": [{"name": "files", "folder": "Files", "options": {"path": path}}]});
    fs::write(folder.join("dashboards/all.yaml"), provider.to_string()).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("one.json"), r#"{"uid": "one", "title": "Theirs"}"#).unwrap();
}

#[tokio::test]
async fn what_grafana_keeps_from_files_is_told_and_left_to_it() {
    let grafana = Double::of("11.6.0", provision);
    let mut kept = Keeper::new();
    let (plan, failure) = grafana.pass(&mut kept).await;
    assert_eq!(failure, None);
    assert!(
        plan.contains("blocked, dashboard One comes from Grafana's own file one.json and differs"),
        "{plan}"
    );
    assert!(
        plan.contains("blocked, data source Prometheus (db) comes from a file of Grafana's own"),
        "{plan}"
    );

    // Had it become so between look and write:
    let mut seen = grafana.look(&kept).await;
    if let Some(Seen::Known(live)) = seen.dashboards.get_mut("one") {
        live.provisioned = None;
    }
    let error = grafana.carry_out(&kept.plan(&seen), &mut kept).await.unwrap();
    assert_eq!(error.kind, FailureKind::Invalid);
    let said =
        "it answered 400: Cannot save provisioned dashboard; Grafana keeps it from a file of its own: remove it there";
    assert!(error.to_string().ends_with(said), "{error}");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why_and_no_secret_is_told_with_it() {
    let grafana = Double::new();
    let kept = Keeper::new();
    let target = grafana.by_token("glsa_wrong");
    let seen = grafana.look_as(&target, &kept).await;
    assert!(seen.version.known().is_some());
    let plan = kept.plan(&seen);
    assert!(plan.chains.is_empty());
    let text = format!("{plan} {seen:?} {target:?}");
    assert!(
        text.contains("it answered 401: Invalid API key; the token is wrong, expired or revoked"),
        "{text}"
    );
    // The name of the environment variable is the token in this test, and the target says the name.
    assert!(!format!("{plan} {seen:?}").contains("glsa_wrong"), "{text}");

    let seen = grafana.look_as(&grafana.by_token("glsa_viewer"), &kept).await;
    let why = seen.datasources["reconciler"].unknown().unwrap();
    assert!(
        why.starts_with("it answered 403: You'll need additional permissions"),
        "{why}"
    );
    assert!(why.ends_with("its service account needs the role Admin"), "{why}");
    assert!(
        grafana
            .look_as(&grafana.by_token("glsa_admin"), &kept)
            .await
            .datasources["reconciler"]
            .is_absent()
    );
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_a_look_because_five_of_them_lock_the_user() {
    let grafana = Double::new();
    let mut kept = Keeper::new();
    for _ in 0..4 {
        let seen = grafana.look_as(&grafana.by_password("wrong"), &kept).await;
        let why = seen.dashboards["two"].unknown().unwrap();
        assert!(
            why.starts_with("it answered 401: Invalid username or password; the password is wrong"),
            "{why}"
        );
        assert!(kept.plan(&seen).chains.is_empty());
    }
    grafana.settle(&mut kept).await;
}

#[tokio::test]
async fn a_search_is_read_to_its_last_page() {
    let many = |folder: &Path| {
        let path = folder.join("boards");
        fs::create_dir(&path).unwrap();
        for at in 0..1203 {
            let json = json!({"uid": format!("u{at}"), "title": format!("T{at}"), "tags": [TAG]});
            fs::write(path.join(format!("{at}.json")), json.to_string()).unwrap();
        }
        let provider = json!({"providers": [{"name": "files", "options": {"path": path}}]});
        fs::write(folder.join("dashboards/all.yaml"), provider.to_string()).unwrap();
    };
    let grafana = Double::of("12.0.0", many);
    let mut kept = Keeper::new();
    let seen = grafana.look(&kept).await;
    assert_eq!(seen.tagged.known().map(BTreeSet::len), Some(1203));
    assert_eq!(kept.plan(&seen).strays.len(), 1203);
    grafana.settle(&mut kept).await;
    let seen = grafana.look(&kept).await;
    assert_eq!(kept.plan(&seen).strays.len(), 1203, "what is kept here is none of them");
}

#[tokio::test]
async fn nothing_is_planned_while_grafana_is_down_and_nothing_has_to_be_done_when_it_is_back() {
    let mut grafana = Double::new();
    let mut kept = Keeper::new();
    grafana.settle(&mut kept).await;
    grafana.stop();
    let (plan, failure) = grafana.pass(&mut kept).await;
    assert_eq!(failure, None);
    assert!(
        plan.starts_with("waiting, Grafana cannot be asked: it is not reached: "),
        "{plan}"
    );
    assert!(plan.contains("Connection refused"), "{plan}");
    assert_eq!(plan.lines().count(), 1, "{plan}");
    grafana.start();
    assert_eq!(grafana.settle(&mut kept).await, "nothing to do\n");
}

#[tokio::test]
async fn a_dashboard_of_the_same_title_is_not_overwritten_where_titles_are_unique() {
    let grafana = Double::of("9.5.21", |_| ());
    let mut kept = Keeper::new();
    grafana.settle(&mut kept).await;
    grafana
        .somebody(Method::Delete, "/api/dashboards/uid/one", Value::Null)
        .await;
    let foreign = json!({"dashboard": {"uid": "foreign", "title": "One"}, "folderUid": "databases"});
    grafana.somebody(Method::Post, "/api/dashboards/db", foreign).await;
    let (_, failure) = grafana.pass(&mut kept).await;
    let error = failure.unwrap();
    assert_eq!(error.kind, FailureKind::Conflict);
    assert!(
        error
            .to_string()
            .ends_with("rename or move the other one, or choose another folder"),
        "{error}"
    );
    let foreign = grafana
        .somebody(Method::Get, "/api/dashboards/uid/foreign", Value::Null)
        .await;
    assert!(foreign["dashboard"]["panels"].is_null());
}

#[tokio::test]
async fn the_dashboards_that_come_with_this_product_are_kept_as_they_are() {
    let grafana = Double::new();
    let mut kept = Keeper::new();
    let source = Source {
        uid: "reconciler".to_owned(),
        name: "Prometheus (db)".to_owned(),
    };
    for built_in in dashboards::all(&source, 15) {
        let board = Board::new(Some("databases"), built_in.json);
        kept.wanted.dashboards.insert(built_in.uid.to_owned(), board);
    }
    grafana.settle(&mut kept).await;
    kept.remembered = Default::default();
    assert_eq!(grafana.settle(&mut kept).await, "nothing to do\n");
}

#[test]
fn the_dashboards_that_come_with_this_product_fit_the_schema_that_grafana_publishes() {
    let source = Source {
        uid: "reconciler".to_owned(),
        name: "Prometheus (db)".to_owned(),
    };
    let folder = tempfile::tempdir().unwrap();
    let files = dashboards::all(&source, 15).into_iter().map(|built_in| {
        let path = folder.path().join(format!("{}.json", built_in.uid));
        fs::write(&path, Board::new(None, built_in.json).json.to_string()).unwrap();
        path
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/dashboards/check");
    let output = std::process::Command::new(script).args(files).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
