//! The oldest and the newest major versions that are supported: what differs between them is in the images' layout, in
//! catalogues, in defaults and in messages.

use crate::world::{World, docker};
use serde_json::json;

fn lives_a_life(test: &str, image: &str) {
    let mut world = World::new(test, 1);
    world.spec["image"] = json!(image);
    live(&mut world);
}

/// A new cluster with one replica is brought up, edited, promoted, killed and damaged.
pub fn live(world: &mut World) {
    world.spec["databases"] = json!([{"name": "mydb"}]);
    world.start();
    world.wait_ready();
    world.sql("master", "mydb", "create table t as select 1 as n");
    // What the manifest does not name is as the server has it; nothing waits for a restart because of it.
    let own = "select count(*) from pg_settings where setting <> boot_val and name in ('max_locks_per_transaction', \
               'max_worker_processes', 'max_prepared_transactions', 'max_wal_senders')";
    for member in ["master", "replica-1"] {
        assert_eq!(world.sql(member, "mydb", own), "0", "{member}");
    }
    world.edit(|spec| spec["parameters"]["shared_buffers"] = json!("20MB"));
    world.until("the edit is rolled out", |w| {
        w.is_ready()
            && ["master", "replica-1"]
                .iter()
                .all(|m| w.sql(m, "mydb", "show shared_buffers") == "20MB")
    });
    let promoted = world.cli(&["promote", "replica-1"]);
    assert_eq!(promoted.code, 0, "{}{}", promoted.out, promoted.err);
    docker(&["kill", &world.container("replica-1")]);
    world.until("the new primary is back in place", |w| {
        w.is_ready() && w.primary() == "replica-1"
    });
    docker(&[
        "exec",
        "-u",
        "postgres",
        &world.container("master"),
        "sh",
        "-c",
        "rm -f $PGDATA/global/pg_control",
    ]);
    docker(&["kill", &world.container("master")]);
    world.until("the damaged replica was seeded anew", |w| {
        w.is_ready() && w.volumes().contains(&w.volume("master", 2))
    });
    assert_eq!(world.sql("master", "mydb", "select n from t"), "1");
    let anonymous = docker(&["inspect", "-f", "{{len .Mounts}}", &world.container("master")]);
    assert_eq!(anonymous, "1", "no anonymous volume beside the member's own");
}

#[test]
fn postgresql_15_lives_a_life() {
    lives_a_life("v15", "postgres:15");
}

#[test]
fn postgresql_18_lives_a_life() {
    lives_a_life("v18", "postgres:18");
}

#[test]
fn postgresql_19_lives_a_life() {
    lives_a_life("v19", "postgres:19");
}

#[test]
fn an_image_of_a_version_that_is_not_supported_begins_no_cluster() {
    // A name that tells nothing, so that only the image itself says what it is.
    let label = "dev-test=docker";
    let container = docker(&["create", "--label", label, &crate::world::image()]);
    let refused = |world: &World, says: &str| {
        world.until("it is refused", |w| w.condition("Ready").2.contains(says));
        assert_eq!(world.volumes().len(), 0);
    };
    let mut world = World::new("v14", 0);
    for (tag, change, says) in [
        (
            "old",
            "ENV PG_MAJOR=14",
            "has PostgreSQL 14; PostgreSQL 15 to 19 are supported",
        ),
        ("mute", "ENV PG_MAJOR=", "does not say which PostgreSQL it has"),
    ] {
        let image = format!("{}-{tag}:1", world.name);
        docker(&["commit", "--change", change, &container, &image]);
        world.spec["image"] = json!(image);
        world.save();
        if tag == "old" {
            world.start();
        }
        refused(&world, says);
    }
    docker(&["rm", "-v", &container]);
    let images = ["old", "mute"].map(|tag| format!("{}-{tag}:1", world.name));
    docker(&["rmi", &images[0], &images[1]]);
    world.edit(|spec| spec["image"] = json!("postgres:14"));
    world.until("the manifest is refused by its line", |w| {
        w.condition("ManifestAccepted")
            .2
            .contains("PostgreSQL 15 to 19 are supported")
    });
    world.edit(|spec| spec["image"] = json!(crate::world::image()));
    world.wait_ready();
}
