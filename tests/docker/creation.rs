//! How a new cluster is made: by `initdb` as the manifest says, by the scripts of its folder, with extensions as they are named.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::world::{World, docker, docker_output, replace};

/// Puts a script into the folder beside the manifest.
fn script(world: &World, name: &str, text: &str) {
    let folder = world.dir.join("manifests/init");
    fs::create_dir_all(&folder).unwrap();
    replace(&folder.join(name), text);
}

fn packed(world: &World, name: &str, sql: &str) {
    let path = world.dir.join("manifests/init").join(name);
    let line = format!("printf '%s' \"{sql}\" | gzip -c >'{}'", path.display());
    let made = Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).status();
    assert!(made.unwrap().success());
}

#[test]
fn a_cluster_is_made_as_its_manifest_and_its_scripts_say_and_not_otherwise_afterwards() {
    let mut world = World::new("creation", 1);
    let ran = |what: &str| format!("insert into ran (what) values ('{what}');");
    script(
        &world,
        "10.sql",
        &format!("create table ran (at serial, what text); {}", ran("sql")),
    );
    packed(&world, "20.sql.gz", &ran("gz"));
    let by_shell = format!(
        "psql -v ON_ERROR_STOP=1 -U \"$POSTGRES_USER\" -d \"$POSTGRES_DB\" -c \"{}\"",
        ran("sh")
    );
    script(&world, "30.sh", &by_shell);
    script(&world, "40.sql", "select nothing from nowhere;");
    world.spec["initScripts"] = json!("init");
    world.spec["initdb"] = json!({"localeProvider": "icu", "icuLocale": "de-DE", "dataChecksums": false});
    world.spec["databases"] = json!([
        {"name": "shop", "extensions": [{"name": "hstore", "schema": "tools", "version": 1.7}]},
        {"name": "desk", "extensions": ["pg_trgm", {"name": "earthdistance", "cascade": true}]},
    ]);
    world.start();
    let failed =
        r#"the script 40.sql failed: psql:/etc/reconciler/init/40.sql:1: ERROR:  relation "nowhere" does not exist"#;
    world.until("the failure is told with its reason", |w| {
        w.condition("Ready").0 == "False" && (w.condition("Ready").2 + &w.events()).contains(failed)
    });
    // In the middle of the scripts everything ends.
    script(&world, "40.sql", "select pg_sleep(600);");
    let is_asleep = |w: &World| {
        let question = "select count(*) from pg_stat_activity where query like 'select pg_sleep%'";
        w.sql("master", "postgres", question) == "1"
    };
    world.until("the last script runs", is_asleep);
    assert_eq!(world.condition("Ready").0, "False", "nobody takes it for a server");
    world.kill_agent();
    docker(&["kill", &world.container("master")]);
    fs::remove_file(world.dir.join("manifests/init/40.sql")).unwrap();
    world.start_agent();
    world.wait_ready();
    let order = "select string_agg(what, ' ' order by at) from ran";
    for member in ["master", "replica-1"] {
        assert_eq!(world.sql(member, "postgres", order), "sql gz sh", "{member}");
    }
    let made =
        "select datlocprovider, datlocale, current_setting('data_checksums') from pg_database where datname = 'shop'";
    assert_eq!(world.sql("master", "postgres", made), "i|de-DE|off");
    let at = |w: &World| {
        let seen = "select extversion, extnamespace::regnamespace from pg_extension where extname = 'hstore'";
        w.sql("master", "shop", seen)
    };
    assert_eq!(at(&world), "1.7|tools");
    let beside = "select string_agg(extname, ' ' order by extname) from pg_extension where extname <> 'plpgsql'";
    assert_eq!(world.sql("master", "desk", beside), "cube earthdistance pg_trgm");

    world.edit(|spec| {
        spec["databases"][0]["extensions"][0] = json!({"name": "hstore", "schema": "other", "version": "1.8"});
        spec["initdb"]["encoding"] = json!("LATIN1");
    });
    world.until("the extension is as it is named", |w| at(w) == "1.8|other");
    world.until("what is made once is not made otherwise", |w| {
        w.condition("Ready").1 == "InitdbFixed"
    });
    let (_, _, message) = world.condition("Ready");
    assert!(
        message.contains("`encoding` is LATIN1, and the data was made with UTF8"),
        "{message}"
    );
    world.edit(|spec| spec["initdb"]["encoding"] = json!("utf-8"));
    world.wait_ready();
}

#[test]
fn networks_and_logs_are_as_the_manifest_says_and_bounded_where_it_says_nothing() {
    let mut world = World::new("engine-words", 1);
    world.spec["network"] = json!({"subnet": "10.213.64.0/28", "serviceSubnet": "10.213.64.16/28"});
    world.start();
    world.wait_ready();
    let shown = |format: &str| docker(&["inspect", "-f", format, &world.container("replica-1")]);
    assert!(
        shown("{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}")
            .matches("10.213.64.")
            .count()
            == 2
    );
    // What the engine keeps for ever where nobody says otherwise.
    if docker(&["info", "-f", "{{.LoggingDriver}}"]) == "json-file" {
        assert_eq!(
            shown("{{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Config}}"),
            "json-file map[max-file:5 max-size:10m]"
        );
    }
    world.edit(|spec| spec["logging"] = json!({"driver": "local", "options": {"max-size": "5m"}}));
    world.until("its output goes where the manifest says", |w| {
        let logging = "{{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Config}}";
        let of = |member: &str| docker_output(&["inspect", "-f", logging, &w.container(member)]).out;
        let is_as_wanted = |member: &&str| of(member).trim() == "local map[max-size:5m]";
        ["master", "replica-1"].iter().all(is_as_wanted)
    });
    world.wait_ready();
    world.edit(|spec| spec["network"]["subnet"] = json!("10.213.64.32/28"));
    world.until("a network in use is not changed", |w| {
        w.condition("Ready").1 == "OtherSubnet"
    });
    world.edit(|spec| spec["network"]["subnet"] = json!("10.213.64.0/28"));
    world.wait_ready();
}
