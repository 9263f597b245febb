//! Tablespaces: inside of the volume they are copied and made like everything else, outside of it they keep their container
//! from being removed.

use serde_json::json;

use crate::engines::in_volume;
use crate::world::{World, docker, docker_output};

const MOUNT: &str = "/var/lib/postgresql/data";

fn mkdir(world: &World, member: &str, place: &str) {
    let script = format!("mkdir {place} && chown postgres: {place}");
    docker(&["exec", "-u", "root", &world.container(member), "sh", "-c", &script]);
}

fn make(world: &World, name: &str, place: &str) {
    let sql = format!("create tablespace {name} location '{place}'");
    assert_eq!(world.sql("master", "postgres", &sql), "");
    let sql = format!("create table in_{name} tablespace {name} as select 7 as n");
    assert_eq!(world.sql("master", "postgres", &sql), "");
}

fn read(world: &World, member: &str, name: &str) -> String {
    world.sql(member, "postgres", &format!("select n from in_{name}"))
}

/// The state that a seed leaves which is cut off: its tablespace is there, its data directory is not.
fn cut_a_seed_off(world: &World) {
    docker(&["rm", "-f", &world.container("replica-1")]);
    let mount = format!("{}:/v", world.volume("replica-1", 1));
    in_volume(
        &mount,
        "cd /v && mv pgdata pgdata.partial && : >pgdata.partial.begun && ls inside/*/*",
    );
}

#[test]
fn a_tablespace_is_copied_or_keeps_its_container() {
    let mut world = World::ready("tblspc", 1);
    mkdir(&world, "master", &format!("{MOUNT}/inside"));
    make(&world, "inside", &format!("{MOUNT}/inside"));
    // Its directory is missing on the replica, which ends over that and finds it when it comes back.
    world.until("the replica has it", |w| read(w, "replica-1", "inside") == "7");
    world.wait_ready();

    world.kill_agent();
    cut_a_seed_off(&world);
    world.start_agent();
    world.until("the seed is done again", |w| {
        w.is_ready() && read(w, "replica-1", "inside") == "7"
    });
    assert_eq!(
        world.volumes().len(),
        2,
        "no new volume was needed: {:?}",
        world.volumes()
    );

    for member in ["master", "replica-1"] {
        mkdir(&world, member, "/outside");
    }
    make(&world, "outside", "/outside");
    world.until("it is told before it matters", |w| {
        w.condition("TablespaceOutside").2.contains("outside (/outside)")
    });
    let before = ["master", "replica-1"].map(|member| world.container_id(member));
    world.edit(|spec| spec["labels"]["team"] = json!("db"));
    world.until("no container is replaced", |w| {
        w.condition("Ready").1 == "TablespaceOutside"
    });
    world.edit(|spec| spec["replicas"] = json!(0));
    world.until("none is scaled away", |w| {
        w.resource()["status"]["notes"]
            .to_string()
            .contains("blocked, tablespace outside (/outside) of replica-1")
    });
    world.restart_agent();
    world.until("it is known again", |w| w.condition("Ready").1 == "TablespaceOutside");
    assert_eq!(["master", "replica-1"].map(|member| world.container_id(member)), before);
    assert_eq!(read(&world, "master", "outside"), "7");

    // A deletion that keeps the data would not keep this.
    std::fs::write(world.dir.join("manifests/other.yaml"), "# nothing here yet\n").unwrap();
    std::fs::remove_file(world.manifest()).unwrap();
    world.until("it is an orphan", |w| w.condition("ManifestAccepted").1 == "Orphaned");
    let refused = world.cli(&["delete", &format!("PostgresCluster/{}", world.name), "--yes"]);
    assert!(
        refused.code != 0 && refused.err.contains("/outside"),
        "{}{}",
        refused.out,
        refused.err
    );
    world.save();

    assert_eq!(
        world.sql("master", "postgres", "alter table in_outside set tablespace inside"),
        ""
    );
    assert_eq!(world.sql("master", "postgres", "drop tablespace outside"), "");
    world.until("the edits are carried out", |w| {
        w.is_ready() && w.container_id("master") != before[0] && read(w, "master", "outside") == "7"
    });
    assert_ne!(
        docker_output(&["inspect", &world.container("replica-1")]).code,
        0,
        "it is scaled away"
    );
}
