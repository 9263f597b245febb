#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{SecretFiles, used_by};
use crate::host::Secrets;
use crate::model::SecretRef;
use crate::store::{Record, Store};

fn generated(kind: &str, scope: &str, name: &str) -> SecretRef {
    SecretRef::Generated {
        kind: kind.to_owned(),
        scope: scope.to_owned(),
        name: name.to_owned(),
    }
}

/// The files below a directory, with what is in them.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        match fs::read_to_string(entry.path()) {
            Ok(text) => found.push(format!("{name}={text}")),
            Err(_) => found.extend(files(&entry.path()).into_iter().map(|below| format!("{name}/{below}"))),
        }
    }
    found.sort();
    found
}

fn put(dir: &Path, path: &str, text: &str) {
    let path = dir.join("secrets").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn record(kind: &str, spec: serde_json::Value) -> Record {
    Record {
        spec,
        ..Record::new(kind, "zz", "u")
    }
}

/// A cluster and a monitoring resource of one name, of which each has a password of the name `grafana`.
fn records() -> Vec<Record> {
    let roles = serde_json::json!([{"name": "app"}, {"name": "grafana"}, {"name": "out", "login": false}]);
    let cluster = serde_json::json!({"image": "postgres:17", "roles": roles});
    vec![
        record("PostgresCluster", cluster),
        record("Monitoring", serde_json::json!({"grafana": {}})),
    ]
}

#[test]
fn a_generated_password_is_made_once_and_kept_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = SecretFiles::new(dir.path());
    let secret = generated("PostgresCluster", "pg", "app");
    assert_eq!(secrets.peek(&secret), Ok(None));
    assert!(secrets.reveal(&secret).is_err(), "to use one makes none");
    let first = secrets.make(&secret).unwrap();
    assert_eq!(secrets.make(&secret).unwrap(), first);
    assert_eq!(first.len(), 48);
    let path = dir.path().join("secrets/PostgresCluster/pg/app");
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn resources_of_one_name_and_two_kinds_have_passwords_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = SecretFiles::new(dir.path());
    let (cluster, monitoring) = (
        generated("PostgresCluster", "zz", "a"),
        generated("Monitoring", "zz", "a"),
    );
    let kept = secrets.make(&cluster).unwrap();
    assert_ne!(secrets.make(&monitoring).unwrap(), kept);
    secrets.purge("Monitoring", "zz").unwrap();
    assert_eq!(secrets.peek(&cluster), Ok(Some(kept)));
    assert_eq!(secrets.peek(&monitoring), Ok(None));
}

#[test]
fn a_role_may_be_called_anything_and_its_file_stays_where_it_belongs() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = SecretFiles::new(dir.path());
    for name in ["../../other/a", ".", "a/b", "a%2Fb", "app.prod", "a@b c"] {
        let secret = generated("PostgresCluster", "pg", name);
        let made = secrets.make(&secret).unwrap();
        assert_eq!(secrets.peek(&secret), Ok(Some(made)), "{name}");
    }
    assert_eq!(files(&dir.path().join("secrets/PostgresCluster/pg")).len(), 6);
    assert_eq!(files(dir.path()).len(), 6);
}

#[test]
fn every_password_of_an_earlier_version_goes_to_whoever_uses_it() {
    let dir = tempfile::tempdir().unwrap();
    let (secrets, used) = (SecretFiles::new(dir.path()), used_by(&records()));
    for name in ["app", "grafana", "postgres", "replicator", "reconciler_monitor", "gone"] {
        put(dir.path(), &format!("zz/{name}"), &format!("of {name}\n"));
    }
    put(dir.path(), "other/app", "another's");
    assert_eq!(secrets.move_in(&used), Vec::<String>::new());
    let moved = files(&dir.path().join("secrets"));
    let expected = [
        "Monitoring/zz/grafana=of grafana",
        "PostgresCluster/zz/app=of app",
        "PostgresCluster/zz/grafana=of grafana",
        "PostgresCluster/zz/postgres=of postgres",
        "PostgresCluster/zz/reconciler_monitor=of reconciler_monitor",
        "PostgresCluster/zz/replicator=of replicator",
        "other/app=another's",
        "zz/gone=of gone\n",
    ];
    assert_eq!(moved, expected);
    // Its user comes later, and finds it.
    let late = generated("PostgresCluster", "other", "app");
    assert_eq!(secrets.peek(&late), Ok(Some("another's".to_owned())));
    secrets.move_in(&used);
    assert_eq!(files(&dir.path().join("secrets")), expected, "once is enough");
}

#[test]
fn a_move_that_was_cut_off_anywhere_is_ended_by_the_next_agent() {
    let used = used_by(&records());
    let place = "PostgresCluster/zz/grafana";
    let others = "Monitoring/zz/grafana";
    // What a kill leaves: half a temporary file, one of two copies, both copies beside the file, all of it done.
    let steps: [&[(&str, &str)]; 5] = [
        &[("zz/grafana", "x")],
        &[("zz/grafana", "x"), ("Monitoring/zz/.grafana.new", "")],
        &[("zz/grafana", "x"), (others, "x")],
        &[("zz/grafana", "x"), (others, "x"), (place, "x")],
        &[(others, "x"), (place, "x")],
    ];
    for step in steps {
        let dir = tempfile::tempdir().unwrap();
        step.iter().for_each(|(path, text)| put(dir.path(), path, text));
        assert_eq!(SecretFiles::new(dir.path()).move_in(&used), Vec::<String>::new());
        let found = files(&dir.path().join("secrets"));
        let kept: Vec<&String> = found.iter().filter(|file| !file.contains("/.")).collect();
        assert_eq!(kept, [&format!("{others}=x"), &format!("{place}=x")], "{step:?}");
    }
}

#[test]
fn of_two_passwords_of_one_role_none_is_destroyed() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = SecretFiles::new(dir.path());
    put(dir.path(), "zz/app", "earlier");
    put(dir.path(), "PostgresCluster/zz/app", "later");
    let failed = secrets.move_in(&used_by(&records()));
    assert!(
        failed.len() == 1 && failed[0].contains("holds another one"),
        "{failed:?}"
    );
    let expected = ["PostgresCluster/zz/app=later", "zz/app=earlier"];
    assert_eq!(files(&dir.path().join("secrets")), expected);
    assert_eq!(
        secrets.peek(&generated("PostgresCluster", "zz", "app")),
        Ok(Some("later".to_owned()))
    );
}

#[test]
fn a_missing_file_is_named_and_its_content_never_is() {
    let secrets = SecretFiles::new(Path::new("/nonexistent"));
    let secret = SecretRef::File("/nonexistent/pw".to_owned());
    let error = secrets.reveal(&secret).expect_err("missing");
    assert!(error.to_string().contains("/nonexistent/pw"), "{error}");
}

#[test]
fn a_file_that_is_lost_under_a_living_agent_is_written_anew_and_no_other_is_made() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("state");
    let store = Store::open(&dir).unwrap();
    let (secrets, secret) = (store.secrets(), generated("PostgresCluster", "pg", "app"));
    let made = secrets.make(&secret).unwrap();
    let file = dir.join("secrets/PostgresCluster/pg/app");
    fs::remove_file(&file).unwrap();
    assert_eq!(secrets.make(&secret), Ok(made.clone()));
    assert_eq!(fs::read_to_string(&file).unwrap(), made);
    fs::remove_dir_all(&dir).unwrap();
    let other = generated("PostgresCluster", "pg", "other");
    assert!(
        secrets.make(&other).is_err() && !dir.exists(),
        "none is made that could not be kept"
    );
    assert_eq!(secrets.reveal(&secret), Ok(made.clone()));
    assert!(store.mend().unwrap());
    secrets.write_back().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), made);
    secrets.purge("PostgresCluster", "pg").unwrap();
    assert_eq!(secrets.peek(&secret), Ok(None), "what is destroyed on request stays so");
}
