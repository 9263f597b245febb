//! Everything that editors and file systems do to manifests: the last good state stays in force.

use std::fs;
use std::os::unix::fs::symlink;

use crate::world::{World, replace};
use serde_json::json;

fn shows(world: &World, value: &str) -> bool {
    world.sql("master", "postgres", "show log_min_duration_statement") == value
}

fn set(world: &mut World, value: &str) -> String {
    world.spec["parameters"]["log_min_duration_statement"] = json!(value);
    world.text()
}

#[test]
fn saves_of_every_kind_are_followed() {
    let mut world = World::ready("saves", 0);
    let text = set(&mut world, "101ms");
    replace(&world.manifest(), &text);
    world.until("an atomic rename is followed", |w| shows(w, "101ms"));

    let text = set(&mut world, "102ms");
    fs::write(world.manifest(), text).unwrap();
    world.until("writing in place is followed", |w| shows(w, "102ms"));

    for n in 0..30 {
        let text = set(&mut world, &format!("{}ms", 200 + n));
        replace(&world.manifest(), &text);
    }
    world.until("the last of a burst is followed", |w| shows(w, "229ms"));
    world.wait_ready();

    // As configuration tools do: the manifest is a symlink through another one, which is swapped.
    for (dir, value) in [("one", "301ms"), ("two", "302ms")] {
        let text = set(&mut world, value);
        fs::create_dir(world.dir.join(dir)).unwrap();
        fs::write(world.dir.join(dir).join("cluster.yaml"), text).unwrap();
    }
    symlink(world.dir.join("one"), world.dir.join("current")).unwrap();
    fs::remove_file(world.manifest()).unwrap();
    symlink(world.dir.join("current/cluster.yaml"), world.manifest()).unwrap();
    world.until("a symlink is followed", |w| shows(w, "301ms"));
    symlink(world.dir.join("two"), world.dir.join("next")).unwrap();
    fs::rename(world.dir.join("next"), world.dir.join("current")).unwrap();
    world.until("a swapped symlink is followed", |w| shows(w, "302ms"));
}

#[test]
fn what_cannot_be_read_changes_nothing_and_is_said() {
    let mut world = World::ready("unread", 1);
    let good = world.text();
    let started = world.started_at("master");
    let not_accepted = |w: &World, reason: &str| {
        let condition = w.condition("ManifestAccepted");
        condition.0 == "False" && condition.1 == reason
    };

    replace(&world.manifest(), &good[..good.len() / 2]);
    world.until("a half-written file is noticed", |w| {
        w.condition("ManifestAccepted").0 == "False"
    });
    replace(&world.manifest(), "");
    world.until("an empty file is noticed", |w| not_accepted(w, "Unreadable"));
    replace(&world.manifest(), &good.replace("replicas: 1", "replicas: many"));
    world.until("a wrong type is noticed", |w| not_accepted(w, "Invalid"));
    fs::rename(world.dir.join("manifests"), world.dir.join("elsewhere")).unwrap();
    world.until("a vanished directory is noticed", |w| not_accepted(w, "Unreadable"));

    // All the while it is kept as it was.
    crate::world::docker(&["kill", &world.container("replica-1")]);
    world.until("the replica was healed meanwhile", |w| {
        w.member("replica-1")["state"] == "streaming"
    });
    assert_eq!(world.started_at("master"), started);

    fs::rename(world.dir.join("elsewhere"), world.dir.join("manifests")).unwrap();
    let text = set(&mut world, "77ms");
    replace(&world.manifest(), &text);
    world.until("the directory is back and followed", |w| {
        shows(w, "77ms") && w.is_ready()
    });
    assert_eq!(world.condition("ManifestAccepted").0, "True");
    assert!(world.agent_lives());
}
