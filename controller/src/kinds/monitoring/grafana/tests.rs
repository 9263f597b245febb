use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Board, Content, Remembered, compare, import, plan, summary};
use crate::model::Seen;
use crate::model::grafana::{DashboardSeen, Datasource, DatasourceSeen, FolderSeen, GrafanaOp, GrafanaSeen};

/// What is wanted, what a Grafana holds, and what is remembered.
#[derive(Clone)]
struct World {
    wanted: Content,
    seen: GrafanaSeen,
    remembered: Remembered,
}

fn connections() -> Value {
    let panel = |id: u32, title: &str| {
        json!({
            "id": id, "title": title, "type": "timeseries", "gridPos": {"x": 0, "y": id * 8, "w": 12, "h": 8},
            "targets": [{"refId": "A", "expr": "up"}],
        })
    };
    json!({
        "title": "PostgreSQL", "tags": ["postgres"], "refresh": "30s",
        "panels": [panel(1, "Up"), panel(2, "Roles"), panel(3, "Connections")],
    })
}

impl World {
    /// An empty Grafana.
    fn new() -> Self {
        let prometheus = Datasource {
            name: "Prometheus (db)".to_owned(),
            plugin: "prometheus".to_owned(),
            url: "http://prometheus:9090".to_owned(),
            is_default: false,
            json_data: json!({"timeInterval": "15s"}),
        };
        World {
            wanted: Content {
                datasources: BTreeMap::from([("reconciler".to_owned(), prometheus)]),
                folders: BTreeMap::from([("databases".to_owned(), "Databases".to_owned())]),
                dashboards: BTreeMap::from([("pg".to_owned(), Board::new(Some("databases"), connections()))]),
            },
            seen: GrafanaSeen {
                version: Seen::Known("11.6.0".to_owned()),
                refused: None,
                datasources: [("reconciler".to_owned(), Seen::Absent)].into(),
                folders: [("databases".to_owned(), Seen::Absent)].into(),
                dashboards: [("pg".to_owned(), Seen::Absent)].into(),
                tagged: Seen::default(),
            },
            remembered: Remembered::default(),
        }
    }

    /// A Grafana that holds what is wanted.
    fn kept() -> Self {
        let mut world = World::new();
        world.carry_out();
        world
    }

    /// Does to the Grafana what is planned.
    fn carry_out(&mut self) {
        let plan = plan(&self.wanted, &self.seen, &self.remembered);
        for step in plan.steps() {
            self.apply(&step.op);
        }
        let done = plan.steps().filter_map(|step| step.kept.clone());
        for kept in done.chain(plan.remember.iter().cloned()) {
            self.remembered.apply(&kept);
        }
    }

    fn apply(&mut self, op: &GrafanaOp) {
        let next = |version: &Option<i64>| version.unwrap_or(0) + 1;
        let uid = op.uid().to_owned();
        match op {
            GrafanaOp::PutDatasource { settings, version, .. } => {
                let seen = DatasourceSeen {
                    settings: settings.clone(),
                    extras: BTreeMap::new(),
                    version: next(version),
                    is_read_only: false,
                };
                self.seen.datasources.insert(uid, Seen::Known(seen));
            }
            GrafanaOp::PutFolder { title, version, .. } => {
                let parent = self.seen.folders.get(&uid).and_then(|f| f.known()?.parent.clone());
                let seen = FolderSeen {
                    title: title.clone(),
                    parent,
                    version: next(version),
                };
                self.seen.folders.insert(uid, Seen::Known(seen));
            }
            GrafanaOp::RaiseFolder { .. } => self.folder(|folder| folder.parent = None),
            GrafanaOp::PutDashboard {
                folder, json, version, ..
            } => {
                let mut json = json.clone();
                json["id"] = json!(7);
                json["version"] = json!(next(version));
                let seen = DashboardSeen {
                    json,
                    folder: folder.clone(),
                    folder_title: "Databases".to_owned(),
                    version: next(version),
                    updated_by: "admin".to_owned(),
                    provisioned: None,
                    has_file: false,
                };
                self.seen.dashboards.insert(uid, Seen::Known(seen));
            }
            GrafanaOp::DeleteDashboard { .. } => {
                self.seen.dashboards.insert(uid, Seen::Absent);
            }
        }
    }

    fn dashboard(&mut self, change: impl FnOnce(&mut DashboardSeen)) {
        match self.seen.dashboards.get_mut("pg") {
            Some(Seen::Known(live)) => change(live),
            other => panic!("{other:?}"),
        }
    }

    fn folder(&mut self, change: impl FnOnce(&mut FolderSeen)) {
        match self.seen.folders.get_mut("databases") {
            Some(Seen::Known(live)) => change(live),
            other => panic!("{other:?}"),
        }
    }

    fn datasource(&mut self, change: impl FnOnce(&mut DatasourceSeen)) {
        match self.seen.datasources.get_mut("reconciler") {
            Some(Seen::Known(live)) => change(live),
            other => panic!("{other:?}"),
        }
    }

    fn plan(&self) -> String {
        plan(&self.wanted, &self.seen, &self.remembered).to_string()
    }

    /// The plan; when it is carried out there is nothing left to do.
    fn plan_settles(&mut self) -> String {
        let text = self.plan();
        self.carry_out();
        assert_eq!(self.plan(), "nothing to do\n");
        text
    }
}

#[test]
fn an_empty_grafana_gets_everything_and_then_nothing_more() {
    insta::assert_snapshot!(World::new().plan_settles(), @"
    create data source Prometheus (db), because it is missing
    create folder Databases, because it is missing
    create dashboard PostgreSQL, because it is missing
    ");
}

#[test]
fn what_somebody_did_to_a_dashboard_is_said_and_put_right() {
    let mut edited = World::kept();
    edited.dashboard(|live| {
        live.json["panels"][2]["title"] = json!("X");
        live.json["panels"][0]["targets"][0]["expr"] = json!("up == 1");
        live.updated_by = "eve".to_owned();
    });
    insta::assert_snapshot!(edited.plan_settles(), @r#"update dashboard PostgreSQL, because it was changed: panels[0].targets[0].expr: "up == 1" instead of "up"; panels[2].title: "X" instead of "Connections" (saved by eve)"#);
    let mut renamed = World::kept();
    renamed.dashboard(|live| live.json["title"] = json!("Mine"));
    insta::assert_snapshot!(renamed.plan_settles(), @r#"update dashboard PostgreSQL, because it was renamed to "Mine" (saved by admin)"#);
    let mut moved = World::kept();
    moved.dashboard(|live| {
        live.folder = None;
        live.folder_title = "General".to_owned();
    });
    insta::assert_snapshot!(moved.plan_settles(), @"update dashboard PostgreSQL, because it was moved to the folder General (saved by admin)");
    let mut deleted = World::kept();
    deleted.seen.dashboards.insert("pg".to_owned(), Seen::Absent);
    insta::assert_snapshot!(deleted.plan_settles(), @"create dashboard PostgreSQL, because it was deleted");
    let mut shuffled = World::kept();
    shuffled.dashboard(|live| {
        let panels = live.json["panels"].as_array_mut().unwrap();
        panels.insert(0, json!({"id": 9, "title": "Extra"}));
        panels.retain(|panel| panel["id"] != 2);
        panels.swap(1, 2);
        live.json["timezone"] = json!("utc");
    });
    insta::assert_snapshot!(shuffled.plan_settles(), @r#"update dashboard PostgreSQL, because it was changed: panels[1]: "Roles" was removed; panels[0]: "Extra" was added; order of panels: "3, 1" instead of "1, 3"; and 1 more (saved by admin)"#);
}

#[test]
fn folders_and_data_sources_are_kept_too() {
    let mut world = World::kept();
    world.folder(|folder| {
        folder.title = "Junk".to_owned();
        folder.parent = Some("attic".to_owned());
    });
    world.datasource(|live| {
        live.settings.url = "http://elsewhere".to_owned();
        live.settings.json_data = json!({"timeInterval": "15s", "httpMethod": "GET", "pdcInjected": false});
        live.extras.insert("basicAuth".to_owned(), json!(true));
    });
    insta::assert_snapshot!(world.plan_settles(), @r#"
    update data source Prometheus (db), because it was changed: url: "http://elsewhere" instead of "http://prometheus:9090"; jsonData.httpMethod: "GET" was added; basicAuth: true was added
    update folder Databases, because it was renamed to "Junk"
    move folder Databases to the top, because it was moved into the folder with uid attic
    "#);
    let mut gone = World::kept();
    gone.seen = World::new().seen;
    insta::assert_snapshot!(gone.plan_settles(), @"
    create data source Prometheus (db), because it was deleted
    create folder Databases, because it was deleted
    create dashboard PostgreSQL, because it was deleted
    ");
}

#[test]
fn which_data_source_is_the_default_is_the_administrators_affair() {
    let mut world = World::kept();
    world.datasource(|live| live.settings.is_default = true);
    assert_eq!(world.plan(), "nothing to do\n");
    world.datasource(|live| live.settings.name = "P".to_owned());
    world.plan_settles();
    world.datasource(|live| assert!(live.settings.is_default));
    world.wanted.datasources.get_mut("reconciler").unwrap().is_default = true;
    world.datasource(|live| live.settings.is_default = false);
    insta::assert_snapshot!(world.plan_settles(), @"update data source Prometheus (db), because what is wanted has changed: isDefault: false instead of true");
}

#[test]
fn a_new_wish_is_no_drift() {
    let mut world = World::kept();
    world.wanted.dashboards.get_mut("pg").unwrap().json["panels"][2]["title"] = json!("Sessions");
    let planned = plan(&world.wanted, &world.seen, &world.remembered);
    assert!(planned.steps().all(|step| !step.is_drift));
    insta::assert_snapshot!(world.plan_settles(), @r#"update dashboard PostgreSQL, because what is wanted has changed: panels[2].title: "Connections" instead of "Sessions""#);
    world.dashboard(|live| live.json["refresh"] = json!(""));
    let planned = plan(&world.wanted, &world.seen, &world.remembered);
    assert!(planned.steps().all(|step| step.is_drift && step.kept.is_none()));
    insta::assert_snapshot!(world.plan_settles(), @r#"update dashboard PostgreSQL, because it was changed: refresh: "" instead of "30s" (saved by admin)"#);
}

#[test]
fn after_memory_was_lost_what_is_there_is_kept_on_without_a_write() {
    let mut world = World::kept();
    let before = std::mem::take(&mut world.remembered);
    assert_eq!(world.plan(), "nothing to do\n");
    world.carry_out();
    assert_eq!(world.remembered, before);
    world.remembered = Remembered::default();
    world.seen.tagged = Seen::Known(["left", "pg"].map(str::to_owned).into());
    assert_eq!(plan(&world.wanted, &world.seen, &world.remembered).strays, ["left"]);
    world.dashboard(|live| live.json["refresh"] = json!("5m"));
    insta::assert_snapshot!(world.plan_settles(), @r#"update dashboard PostgreSQL, because it was there before: refresh: "5m" instead of "30s""#);
}

#[test]
fn what_is_wanted_no_more_goes_only_if_it_is_known_to_be_ours() {
    let mut world = World::kept();
    world.wanted.dashboards.clear();
    world.wanted.folders.clear();
    let mut taken_over = world.clone();
    insta::assert_snapshot!(world.plan_settles(), @"delete dashboard PostgreSQL, because it is not wanted any more");
    assert!(world.remembered.dashboards.is_empty() && world.remembered.folders.is_empty());
    let mut from_a_file = taken_over.clone();
    from_a_file.dashboard(|live| live.has_file = true);
    insta::assert_snapshot!(from_a_file.plan(), @"waiting, dashboard PostgreSQL goes when Grafana has seen that its file is gone");
    from_a_file.seen.dashboards.insert("pg".to_owned(), Seen::Absent);
    from_a_file.carry_out();
    assert!(from_a_file.remembered.dashboards.is_empty(), "it went with its file");
    taken_over.dashboard(|live| live.json["tags"] = json!(["mine"]));
    let mut unseen = taken_over.clone();
    insta::assert_snapshot!(taken_over.plan_settles(), @"nothing to do");
    assert!(taken_over.remembered.dashboards.is_empty());
    unseen
        .seen
        .dashboards
        .insert("pg".to_owned(), Seen::Unknown("late".to_owned()));
    unseen.carry_out();
    assert!(unseen.remembered.dashboards.contains_key("pg"));
}

#[test]
fn nothing_is_planned_for_what_cannot_be_seen() {
    let mut down = World::kept();
    down.seen = GrafanaSeen {
        version: Seen::Unknown("it is not reached: Connection refused".to_owned()),
        ..GrafanaSeen::default()
    };
    insta::assert_snapshot!(down.plan(), @"waiting, Grafana cannot be asked: it is not reached: Connection refused");
    let mut refused = World::kept();
    refused.seen.refused = Some("it answered 401".to_owned());
    insta::assert_snapshot!(refused.plan(), @"blocked, Grafana does not let us in: it answered 401");
    let mut blurred = World::kept();
    blurred
        .seen
        .dashboards
        .insert("pg".to_owned(), Seen::Unknown("it answered 500".to_owned()));
    blurred
        .seen
        .folders
        .insert("databases".to_owned(), Seen::Unknown("it answered 403".to_owned()));
    blurred.seen.datasources.clear();
    insta::assert_snapshot!(blurred.plan(), @"
    waiting, data source Prometheus (db) cannot be seen: not looked at
    waiting, folder Databases cannot be seen: it answered 403
    waiting, dashboard PostgreSQL cannot be seen: it answered 500
    ");
}

#[test]
fn what_grafana_keeps_from_files_of_its_own_is_left_to_it() {
    let mut world = World::kept();
    world.dashboard(|live| live.provisioned = Some("pg.json".to_owned()));
    world.datasource(|live| live.is_read_only = true);
    assert_eq!(world.plan(), "nothing to do\n");
    world.dashboard(|live| live.json["title"] = json!("Other"));
    world.datasource(|live| live.settings.url = "http://other".to_owned());
    insta::assert_snapshot!(world.plan(), @r#"
    blocked, data source Prometheus (db) comes from a file of Grafana's own and differs (url: "http://other" instead of "http://prometheus:9090"); remove it there
    blocked, dashboard PostgreSQL comes from Grafana's own file pg.json and differs (title: "Other" instead of "PostgreSQL"); remove that file
    "#);
}

#[test]
fn numbers_and_what_grafana_numbers_itself_are_no_differences() {
    let live = json!({"id": 3, "uid": "x", "version": 9, "iteration": 1, "a": 1.0, "b": null, "refresh": "10s"});
    assert_eq!(
        compare(&json!({"uid": "y", "a": 1, "c": null, "refresh": "5s"}), &live),
        []
    );
    let raised = compare(&json!({"refresh": "30s"}), &json!({"refresh": "1m"}));
    assert_eq!(summary(&raised), r#"refresh: "1m" instead of "30s""#);
}

#[test]
fn a_users_dashboard_is_taken_as_grafana_exports_it() {
    let exported = json!({
        "__inputs": [{"name": "DS_PROM", "type": "datasource", "pluginId": "prometheus"}],
        "__requires": [], "id": 4, "version": 12, "title": "Mine", "tags": [],
        "panels": [{"id": 1, "datasource": {"type": "prometheus", "uid": "${DS_PROM}"}}],
    });
    let (uid, board) = import(&exported.to_string(), "mine", Some("f"), "reconciler").unwrap();
    assert_eq!(uid, "mine");
    insta::assert_snapshot!(board.json, @r#"{"panels":[{"id":1,"datasource":{"type":"prometheus","uid":"reconciler"}}],"tags":["managed-by-reconciler"],"uid":"mine","title":"Mine"}"#);
    let from_the_api = json!({"meta": {}, "dashboard": {"uid": "abc", "title": "T"}});
    assert_eq!(import(&from_the_api.to_string(), "x", None, "r").unwrap().0, "abc");
    let refused = |text: &str| import(text, "a b", None, "r").unwrap_err().message;
    insta::assert_snapshot!(
        [
            refused("{"),
            refused("[]"),
            refused("{}"),
            refused(r#"{"title": "T"}"#),
            refused(r#"{"kind": "Dashboard", "spec": {}}"#),
            refused(r#"{"title": "T", "__inputs": [{"name": "DS", "type": "datasource", "pluginId": "loki"}]}"#),
        ]
        .join("\n"), @r#"
    it is no JSON: EOF while parsing an object at line 1 column 1
    it has no title
    it has no title
    "a b" is no uid: at most 40 letters, digits, - and _
    it is in the resource format of Grafana 12; export it in the classic format
    its input DS needs a data source of type loki
    "#);
}
