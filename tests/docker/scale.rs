//! The number of replicas, up and down.

use crate::world::{World, docker_output};
use serde_json::json;

fn slots(world: &World, member: &str) -> String {
    world.sql(
        member,
        "postgres",
        "select coalesce(string_agg(slot_name, ' ' order by slot_name), '') from pg_replication_slots",
    )
}

#[test]
fn a_replica_more_is_seeded_with_progress_and_one_less_takes_its_slot_along() {
    let mut world = World::ready("scale", 1);
    world.sql(
        "master",
        "postgres",
        "create table big as select g, repeat(md5(g::text), 20) t from generate_series(1, 400000) g",
    );
    world.edit(|spec| spec["replicas"] = json!(2));
    world.until("the seed's progress is shown in bytes", |w| {
        let progress = &w.member("replica-2")["progress"];
        progress[0].as_u64().is_some_and(|bytes| bytes > 0)
    });
    world.wait_ready();
    assert_eq!(world.sql("replica-2", "postgres", "select count(*) from big"), "400000");
    assert_eq!(slots(&world, "master"), "replica_1 replica_2");

    world.edit(|spec| spec["replicas"] = json!(1));
    world.until("replica-2 is gone", |w| {
        docker_output(&["inspect", &w.container("replica-2")]).code != 0
    });
    world.until("its slot is gone", |w| slots(w, "master") == "replica_1");
    world.wait_ready();
    assert!(
        world.volumes().contains(&world.volume("replica-2", 1)),
        "its volume is kept by default"
    );

    // It comes back with the volume that was kept.
    world.edit(|spec| spec["replicas"] = json!(2));
    world.until("two replicas stream", |w| {
        w.is_ready() && w.member("replica-2")["state"] == "streaming"
    });
    assert!(world.volumes().contains(&world.volume("replica-2", 1)));
}

#[test]
fn a_volume_goes_with_its_replica_when_the_manifest_says_so() {
    let mut world = World::new("drop", 1);
    world.spec["storage"] = json!({"onScaleDown": "Delete"});
    world.start();
    world.wait_ready();
    world.edit(|spec| spec["replicas"] = json!(0));
    world.until("the volume is gone", |w| w.volumes() == [w.volume("master", 1)]);
    world.wait_ready();
    assert_eq!(slots(&world, "master"), "");
    let again = world.cli(&["plan"]);
    assert_eq!(again.code, 0, "{}", again.out);
}

#[test]
fn the_primary_is_never_the_one_that_is_scaled_away() {
    let mut world = World::ready("keep", 2);
    let promoted = world.cli(&["promote", "replica-2"]);
    assert_eq!(promoted.code, 0, "{}{}", promoted.out, promoted.err);
    world.sql("replica-2", "postgres", "create table kept as select 1 as n");
    world.edit(|spec| spec["replicas"] = json!(0));
    world.until("only the primary is left", |w| {
        let filter = format!("label=dev.reconciler.name={}", w.name);
        let names = docker_output(&["ps", "-a", "--format", "{{.Names}}", "--filter", &filter]).out;
        names.trim() == w.container("replica-2")
    });
    world.wait_ready();
    assert_eq!(world.primary(), "replica-2");
    assert_eq!(world.sql("replica-2", "postgres", "select n from kept"), "1");
}
