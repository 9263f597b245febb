//! Grafana's content, kept by the agent: in a Grafana of our own, behind which the double of its API stands here.

use std::fs;

use serde_json::{Value, json};

use reconciler::host::http::{Credentials, Method};

use super::station::{Station, send};
use crate::grafana::double::Double;
use crate::world::docker;

/// A station with a Grafana of its own.
fn station(test: &str) -> Station {
    let mut station = Station::new(test, 0);
    station.spec["grafana"] = json!({"port": station.world.base_port + 14});
    station.put("boards/shop.json", &board("Orders"));
    station.spec["grafana"]["dashboards"] = json!("boards");
    station
}

fn board(title: &str) -> String {
    let panel = json!({"id": 1, "type": "stat", "title": "Up", "targets": [{"refId": "A", "expr": "up"}]});
    json!({"uid": "shop", "title": title, "panels": [panel], "schemaVersion": 39}).to_string()
}

impl Station {
    fn password(&self) -> String {
        let file = self
            .world
            .state_dir()
            .join("secrets/Monitoring")
            .join(&self.name)
            .join("grafana");
        fs::read_to_string(file).unwrap_or_default().trim().to_owned()
    }

    /// What somebody does in Grafana's pages, as its user `admin`.
    fn somebody(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let admin = Credentials::Basic("admin".to_owned(), self.password());
        send(self.world.base_port + 14, &admin, method, path, body).unwrap_or(Value::Null)
    }

    fn dashboard(&self, uid: &str) -> Value {
        self.somebody(Method::Get, &format!("/api/dashboards/uid/{uid}"), None)
    }

    /// Somebody saves a dashboard after an edit.
    fn somebody_edits(&self, uid: &str, edit: impl Fn(&mut Value)) {
        let mut saved = self.dashboard(uid);
        edit(&mut saved);
        let body = json!({"dashboard": saved["dashboard"], "folderUid": saved["meta"]["folderUid"], "overwrite": true});
        let answer = self.somebody(Method::Post, "/api/dashboards/db", Some(&body));
        assert_eq!(answer["status"], "success", "{answer}");
    }

    fn is_in_sync(&self) -> bool {
        self.condition("GrafanaInSync").0 == "True"
    }
}

#[test]
fn dashboards_folders_and_the_data_source_come_back_whatever_somebody_does() {
    let mut station = station("boards");
    station.start();
    station.until("all of it is there", Station::is_in_sync);
    assert!(station.password().len() > 16, "it is a generated one");
    for uid in [
        "reconciler-postgres",
        "reconciler-replication",
        "reconciler-agent",
        "reconciler-redis",
        "shop",
    ] {
        let meta = &station.dashboard(uid)["meta"];
        assert_eq!(meta["folderTitle"], "Reconciler", "{uid}");
        assert_eq!(
            meta["provisionedExternalId"],
            format!("{uid}.json"),
            "it has it from a file"
        );
    }
    let writes = station.somebody(Method::Get, "/double/writes", None);
    assert_eq!(writes, json!([]), "nothing was left for the API");

    station.somebody_edits("reconciler-postgres", |saved| {
        saved["dashboard"]["panels"][1]["title"] = json!("Mine");
    });
    station.wait_event("panels[1].title: \"Mine\" instead of");
    station.until("the edit is gone", |s| {
        s.dashboard("reconciler-postgres")["dashboard"]["panels"][1]["title"] != "Mine"
    });
    station.somebody_edits("shop", |saved| saved["dashboard"]["title"] = json!("Renamed"));
    station.until("the name is back", |s| {
        s.dashboard("shop")["dashboard"]["title"] == "Orders"
    });
    station.somebody_edits("shop", |saved| saved["meta"]["folderUid"] = json!(""));
    station.wait_event("it was moved to the folder General");
    station.until("it is back in its folder", |s| {
        s.dashboard("shop")["meta"]["folderTitle"] == "Reconciler"
    });
    let is_refused = station.somebody(Method::Delete, "/api/dashboards/uid/reconciler-redis", None) == Value::Null;
    assert!(is_refused, "what it has from a file it lets nobody delete");
    let datasource = || station.somebody(Method::Get, "/api/datasources/uid/reconciler-prometheus", None);
    let mut changed = datasource();
    let url = changed["url"].clone();
    changed["url"] = json!("http://elsewhere:9090");
    station.somebody(
        Method::Put,
        "/api/datasources/uid/reconciler-prometheus",
        Some(&changed),
    );
    station.until("the data source is as it was", |_| datasource()["url"] == url);
    station.somebody(Method::Delete, "/api/datasources/uid/reconciler-prometheus", None);
    station.wait_event("because it was deleted");
    station.until("it is back", |_| datasource()["url"] == url);
    station.until("all is in sync", Station::is_in_sync);
}

#[test]
fn the_files_that_grafana_reads_come_back_and_it_has_no_others() {
    let mut station = station("provision");
    station.start();
    station.until("all of it is there", Station::is_in_sync);
    let inside = |script: &str| {
        docker(&["exec", "-u", "root", &station.container("grafana"), "sh", "-c", script]);
    };
    inside("cd /etc/reconciler/dashboards; rm reconciler-redis.json; sed s/shop/smuggled/ shop.json > smuggled.json");
    station.wait_event("remove dashboards/smuggled.json, because they are not wanted there");
    station.wait_event("dashboards/reconciler-redis.json is missing");
    station.until("Grafana holds what it shall", |s| {
        s.dashboard("smuggled") == Value::Null && s.dashboard("reconciler-redis") != Value::Null && s.is_in_sync()
    });
    let started = station.started_at(&station.container("grafana"));
    inside("sed -i s/allowUiUpdates/disallowed/ /etc/reconciler/provisioning/dashboards/reconciler.yaml");
    station.wait_event("somebody changed provisioning/dashboards/reconciler.yaml");
    station.until("it has read the right one", |s| {
        s.started_at(&s.container("grafana")) != started && s.is_in_sync()
    });

    // It has all of it without anybody's help.
    station.world.end_agent();
    docker(&["restart", "-t", "5", &station.container("grafana")]);
    station.until("it is there without an agent", |s| {
        s.dashboard("shop")["dashboard"]["title"] == "Orders"
    });
}

#[test]
fn a_grafana_that_does_not_let_the_agent_in_gets_the_wanted_password() {
    let mut station = station("locked");
    station.start();
    station.until("all of it is there", Station::is_in_sync);
    let first = station.password();
    let secrets = station.world.state_dir().join("secrets");
    let own = secrets.join("Monitoring").join(&station.name).join("grafana");
    let role = station.world.secret("reconciler_monitor");
    let monitors = fs::read_to_string(&role).unwrap();
    // Lost, both are found again where they are used.
    station.world.end_agent();
    [&own, &role].iter().for_each(|file| fs::remove_file(file).unwrap());
    station.world.start_agent();
    station.until("they are found again", |s| {
        s.password() == first && fs::read_to_string(&role).is_ok_and(|text| text == monitors) && s.is_in_sync()
    });
    // Others are set.
    station.world.end_agent();
    [&own, &role]
        .iter()
        .for_each(|file| fs::write(file, "another-one\n").unwrap());
    station.world.start_agent();
    station.wait_event("reset the password of admin, because Grafana does not let us in with the wanted one");
    station.until("it lets us in", |s| s.password() != first && s.is_in_sync());
    station.until("the server lets its exporter in", |s| {
        s.events().contains("alter role reconciler_monitor") && s.condition("TargetsUp").0 == "True"
    });
    let told = [
        station.resource().to_string(),
        station.events(),
        station.world.agent_log(),
    ]
    .concat();
    assert!(!told.contains(&station.password()) && !told.contains(&first));
}

#[test]
fn a_data_source_that_somebody_renamed_does_not_keep_grafana_down() {
    let mut station = station("renamed");
    station.start();
    station.until("all of it is there", Station::is_in_sync);
    station.world.end_agent();
    let path = "/api/datasources/uid/reconciler-prometheus";
    let mut renamed = station.somebody(Method::Get, path, None);
    renamed["name"] = json!("Mine");
    assert_ne!(station.somebody(Method::Put, path, Some(&renamed)), Value::Null);
    let grafana = station.container("grafana");
    docker(&["restart", "-t", "5", &grafana]);
    station.until("it gives up", |_| {
        docker(&["inspect", "-f", "{{.State.ExitCode}} {{.State.Running}}", &grafana]).trim() == "1 false"
    });
    station.world.start_agent();
    station.until("it runs, with the right name", |s| {
        s.somebody(Method::Get, path, None)["name"] == "Prometheus" && s.is_in_sync()
    });
    let started = station.started_at(&grafana);
    docker(&["restart", "-t", "5", &grafana]);
    station.until("it starts again", |s| {
        s.started_at(&grafana) != started && s.is_in_sync()
    });
}

#[test]
fn a_password_that_somebody_changed_in_grafana_is_set_back() {
    let mut station = station("changed");
    station.start();
    station.until("all of it is there", Station::is_in_sync);
    let script = "echo somebody-elses | grafana cli admin reset-admin-password --password-from-stdin";
    docker(&["exec", &station.container("grafana"), "sh", "-c", script]);
    assert_eq!(station.dashboard("shop"), Value::Null, "ours is wrong now");
    station.wait_event("reset the password of admin");
    station.until("it is the right one again", |s| {
        s.dashboard("shop") != Value::Null && s.is_in_sync()
    });
}

#[test]
fn an_edited_file_reaches_grafana_and_a_pass_without_changes_writes_nothing() {
    let mut station = station("files");
    station.start();
    station.until("all of it is there", Station::is_in_sync);
    let writes = || station.somebody(Method::Get, "/double/writes", None);
    let before = writes();
    let passes = |s: &Station| {
        let overview: Value = serde_json::from_str(&s.world.cli(&["status", "-o", "json"]).out).unwrap();
        overview["agent"]["passes"].as_u64().unwrap()
    };
    let first = passes(&station);
    // Every question makes a fresh pass.
    station.until("it has looked again and again", |s| passes(s) > first + 20);
    assert_eq!(writes(), before);

    station.put("boards/shop.json", &board("Orders by hour"));
    station.until("the new title is there", |s| {
        s.dashboard("shop")["dashboard"]["title"] == "Orders by hour"
    });
    station.put("boards/shop.json", "{\n  \"title\": \"Broken\",\n}");
    station.until("a broken file is refused", |s| {
        s.condition("ManifestAccepted").0 == "False"
    });
    let told = station
        .world
        .cli(&["validate", "-f", station.world.dir.join("manifests").to_str().unwrap()]);
    assert!(told.err.contains("boards/shop.json:3:1"), "{}", told.err);
    assert_eq!(station.dashboard("shop")["dashboard"]["title"], "Orders by hour");

    fs::remove_file(station.world.dir.join("manifests/boards/shop.json")).unwrap();
    station.put("boards/other.json", &board("Other").replace("\"shop\"", "\"other\""));
    station.until("what is gone is removed, and its successor there", |s| {
        s.dashboard("shop")["dashboard"] == Value::Null && s.dashboard("other")["dashboard"]["title"] == "Other"
    });
}

#[test]
fn a_grafana_that_is_there_already_gets_its_part_and_nothing_else() {
    let grafana = Double::new();
    let mut guest = Station::new("guest", 0);
    let token = guest.put("token", "glsa_admin\n");
    guest.spec["grafana"] = json!({"url": grafana.target.url, "tokenFrom": {"file": token}, "folder": "Guest"});
    guest.start();
    guest.until("its part is there", Station::is_in_sync);
    let port = grafana.target.url.rsplit_once(':').unwrap().1.parse().unwrap();
    let admin = Credentials::Bearer("glsa_admin".to_owned());
    let found = send(port, &admin, Method::Get, "/api/search?type=dash-db&limit=100", None).unwrap();
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 4, "{found:?}");
    // Others of our kind may keep theirs beside it.
    assert!(
        found
            .iter()
            .all(|one| one["folderTitle"] == "Guest" && one["uid"] != "reconciler-agent")
    );
    let lost = found[0]["uid"].as_str().unwrap();
    let path = format!("/api/dashboards/uid/{lost}");
    assert!(send(port, &admin, Method::Delete, &path, None).is_some());
    guest.wait_event("because it was deleted");
    guest.until("it is back", |_| send(port, &admin, Method::Get, &path, None).is_some());
    guest.put("token", "glsa_nobody\n");
    guest.until("a wrong token is said", |s| s.condition("GrafanaInSync").0 == "False");
    let told = [guest.resource().to_string(), guest.events(), guest.world.agent_log()].concat();
    assert!(!told.contains("glsa_"), "a token is told");
}
