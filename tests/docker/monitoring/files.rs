//! The users' own files: rules, queries, Alertmanager's configuration. What is wrong is refused, and what was good stays.

use serde_json::json;

use super::station::{Station, get};

const RULE: &str = "groups:\n- name: mine\n  rules:\n  - alert: Mine\n    expr: vector(1)\n";

#[test]
fn a_rule_that_is_wrong_is_refused_with_its_line_and_the_old_one_stays() {
    let mut station = Station::new("rules", 0);
    station.put("own/mine.yml", RULE);
    station.spec["prometheus"]["rules"] = json!("own");
    station.start();
    station.until("the rule is in force", |s| s.rules().contains(&"Mine".to_owned()));
    let started = station.started_at(&station.container("prometheus"));

    station.put(
        "own/mine.yml",
        &RULE.replace("vector(1)", "vector(1) +").replace("Mine", "Broken"),
    );
    station.until("it is refused", |s| s.condition("FilesAccepted").0 == "False");
    let (_, reason, message) = station.condition("FilesAccepted");
    assert_eq!(reason, "Refused");
    assert!(
        message.contains("own/mine.yml:5:") && message.contains("stays in force"),
        "{message}"
    );
    assert!(station.rules().contains(&"Mine".to_owned()), "the old one is in force");

    station.put("own/other.yml", &RULE.replace("Mine", "Other").replace("mine", "other"));
    station.until("another file is taken all the same", |s| {
        s.rules().contains(&"Other".to_owned())
    });
    station.put("own/mine.yml", &RULE.replace("Mine", "Mended"));
    station.until("the mended one is in force", |s| {
        s.condition("FilesAccepted").0 == "True" && s.rules().contains(&"Mended".to_owned())
    });
    std::fs::remove_file(station.world.dir.join("manifests/own/other.yml")).unwrap();
    station.until("one that is removed is not", |s| {
        !s.rules().contains(&"Other".to_owned())
    });
    assert_eq!(
        station.started_at(&station.container("prometheus")),
        started,
        "it was never restarted"
    );

    std::fs::remove_dir_all(station.world.dir.join("manifests/own")).unwrap();
    station.until("the lost folder is noticed", |s| {
        s.condition("ManifestAccepted").0 == "False"
    });
    let (_, _, message) = station.condition("ManifestAccepted");
    assert!(message.contains("own cannot be read"), "{message}");
    assert!(
        station.rules().contains(&"Mended".to_owned()),
        "what came from it is kept"
    );
}

#[test]
fn queries_are_asked_in_the_users_databases_and_what_is_the_servers_once() {
    let mut station = Station::new("spread", 0);
    let each = "shop_size:\n  query: select current_database() as datname, 7 as number\n  metrics:\n  - datname: {usage: LABEL, \
                description: x}\n  - number: {usage: GAUGE, description: x}\n";
    station.put("asked/each.yml", each);
    station.put(
        "asked/once.yml",
        "shop_answer:\n  master: true\n  query: select 42 as number\n  metrics:\n  - number: {usage: GAUGE, description: x}\n",
    );
    station.spec["exporters"]["postgres"]["queries"] = json!("asked");
    station.spec["exporters"]["postgres"]["databases"] = json!(["app", "nowhere"]);
    station.world.spec["databases"] = json!([{"name": "app"}, {"name": "other"}]);
    station.start();
    let of = |s: &Station, database: &str| s.query(&format!("shop_size_number{{datname=\"{database}\"}}")).len();
    station.until("it is asked in each of them", |s| {
        of(s, "postgres") == 1 && of(s, "app") == 1
    });
    assert_eq!(of(&station, "other"), 0);
    for once in ["shop_answer_number", "reconciler_pg_server_in_recovery"] {
        assert_eq!(station.query(once).len(), 1, "{once}");
    }
    assert_eq!(station.query("pg_exporter_last_scrape_error == 1").len(), 0);
}

#[test]
fn queries_of_the_users_own_are_asked() {
    let mut station = Station::new("queries", 0);
    let query =
        "shop_answer:\n  query: select 42 as number\n  metrics:\n  - number: {usage: GAUGE, description: The answer}\n";
    station.put("asked/shop.yml", query);
    station.spec["exporters"]["postgres"]["queries"] = json!("asked");
    station.start();
    station.until("it is asked", |s| {
        s.query("shop_answer_number").iter().any(|(_, value)| *value == 42.0)
    });

    station.put("asked/shop.yml", &query.replace("  query: select", "  query select"));
    station.until("a broken one is refused", |s| {
        s.condition("ManifestAccepted").0 == "False"
    });
    let problems = station
        .world
        .cli(&["validate", "-f", station.world.dir.join("manifests").to_str().unwrap()]);
    assert!(problems.err.contains("asked/shop.yml:"), "{}", problems.err);

    station.put("asked/shop.yml", &query.replace("42", "43"));
    station.until("the exporter is restarted with the new one", |s| {
        s.query("shop_answer_number").iter().any(|(_, value)| *value == 43.0)
    });

    // With a metric that this version of the exporter has too, it answers nothing at all: that file is left out.
    let answers = |s: &Station| !s.query("reconciler_pg_server_in_recovery").is_empty();
    let taken = "# mine\npg_wal:\n  query: select 1 as size_bytes\n  metrics:\n  - size_bytes: {usage: GAUGE, description: x}\n";
    station.put("asked/wal.yml", taken);
    station.until("the file is left out", |s| s.condition("FilesAccepted").0 == "False");
    let (_, _, message) = station.condition("FilesAccepted");
    assert!(
        message.contains("asked/wal.yml:2: with the query `pg_wal`") && message.contains("pg_wal_size_bytes"),
        "{message}"
    );
    station.until("all metrics are back, the other file's too", |s| {
        answers(s) && s.is_ready() && s.query("shop_answer_number").iter().any(|(_, value)| *value == 43.0)
    });
    std::fs::remove_file(station.world.dir.join("manifests/asked/wal.yml")).unwrap();
    station.until("nothing is said of a file that is gone", |s| {
        s.condition("FilesAccepted").0 == "True"
    });

    // What PostgreSQL refuses is said with its words and its line, and takes nothing else away.
    station.put("asked/shop.yml", &query.replace("42", "nothing"));
    station.until("the query is named", |s| s.condition("Ready").1 == "QueryFails");
    let (_, _, message) = station.condition("ExportersAnswer");
    assert!(
        message.starts_with("asked/shop.yml:1: ") && message.contains("column \"nothing\" does not exist"),
        "{message}"
    );
    assert!(answers(&station), "the rest is answered");
    station.put("asked/shop.yml", query);
    station.until("it is well again", Station::is_ready);
}

#[test]
fn alertmanager_hears_of_alerts_and_its_passwords_are_not_told() {
    let mut station = Station::new("alerts", 0);
    let port = station.world.base_port + 13;
    let conf = "route: {receiver: hook}\nreceivers:\n- name: hook\n  webhook_configs:\n  - url: http://127.0.0.1:1/\n    \
                http_config: {basic_auth: {username: u, password: geheim}}\n";
    station.put("own/mine.yml", RULE);
    station.spec["prometheus"]["rules"] = json!("own");
    station.put("tell/alertmanager.yml", conf);
    station.spec["alertmanager"] = json!({"port": port, "config": "tell"});
    station.start();
    let alerts = || get(port, "/api/v2/alerts").unwrap_or_default();
    station.until("it has the alert, with its own receiver", |_| {
        let alerts = alerts();
        alerts.contains("\"Mine\"") && alerts.contains("\"hook\"")
    });
    station.put(
        "tell/alertmanager.yml",
        &conf.replace("password: geheim", "password: [geheim]"),
    );
    station.until("it is refused", |s| s.condition("FilesAccepted").0 == "False");
    station.put(
        "tell/alertmanager.yml",
        &conf
            .replace("receiver: hook", "receiver: other")
            .replace("name: hook", "name: other"),
    );
    station.until("the next one is taken", |_| alerts().contains("\"other\""));
    let told = [
        station.events(),
        station.world.agent_log(),
        station.resource().to_string(),
    ]
    .concat();
    assert!(!told.contains("geheim"), "what is told holds a password");
}
