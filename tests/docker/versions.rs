//! The oldest and the newest major version that are supported: what differs between them is in the images' layout, in
//! catalogues and in messages.

use crate::world::{World, docker};
use serde_json::json;

fn lives_a_life(test: &str, image: &str) {
    let mut world = World::new(test, 1);
    world.spec["image"] = json!(image);
    world.spec["databases"] = json!([{"name": "mydb"}]);
    world.start();
    world.wait_ready();
    world.sql("master", "mydb", "create table t as select 1 as n");
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
