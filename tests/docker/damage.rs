//! Replicas whose data is of no use: each gets a new volume, and the old one is kept.

use crate::engines::in_volume;
use crate::world::{World, docker};

/// Runs a script on the data of a member whose container does not run, as the server's user.
fn on_data(world: &World, member: &str, generation: u32, script: &str) {
    let mount = format!("{}:/volume", world.volume(member, generation));
    in_volume(&mount, script);
}

/// Stops a replica, does something to its data, and lets the agent have it back.
fn spoiled(test: &str, script: &str) -> World {
    let world = World::ready(test, 1);
    world.sql("master", "postgres", "create table t as select 42 as n");
    assert_eq!(world.cli(&["pause", &world.name]).code, 0);
    docker(&["stop", "-t", "20", &world.container("replica-1")]);
    on_data(&world, "replica-1", 1, script);
    assert_eq!(world.cli(&["resume", &world.name]).code, 0);
    world
}

fn is_healed(world: &World, cause: &str) {
    world.wait_event(cause);
    world.until("it streams", |w| {
        w.member("replica-1")["state"] == "streaming" && w.is_ready()
    });
    assert_eq!(world.sql("replica-1", "postgres", "select n from t"), "42");
    let volumes = world.volumes();
    assert!(
        volumes.contains(&world.volume("replica-1", 1)),
        "nobody proved that it was a copy: {volumes:?}"
    );
    assert!(volumes.contains(&world.volume("replica-1", 2)), "{volumes:?}");
}

#[test]
fn a_replica_with_a_cut_off_control_file() {
    let world = spoiled("badcontrol", "truncate -s 20 /volume/pgdata/global/pg_control");
    is_healed(&world, "pg_control is only 20 bytes long");
}

#[test]
fn a_replica_with_a_control_file_that_holds_nonsense() {
    let script = "printf xxxxxxxx | dd of=/volume/pgdata/global/pg_control bs=1 seek=200 conv=notrunc";
    let world = spoiled("nonsense", script);
    is_healed(&world, "incorrect checksum in control file");
}

#[test]
fn a_replica_without_files_that_it_starts_with() {
    let world = spoiled(
        "nofiles",
        "rm -rf /volume/pgdata/global/pg_filenode.map /volume/pgdata/pg_wal/0*",
    );
    is_healed(&world, "its data directory is damaged");
}

#[test]
fn a_replica_with_the_data_of_another_cluster() {
    let script = "rm -rf /volume/pgdata && initdb -D /volume/pgdata --auth=trust >/dev/null";
    let world = spoiled("foreign", script);
    is_healed(&world, "it is another cluster's");
}

#[test]
fn a_replica_ahead_of_a_primary_that_was_put_back_to_an_earlier_state() {
    let world = World::ready("ahead", 1);
    world.sql("master", "postgres", "create table t as select 42 as n");
    assert_eq!(world.cli(&["pause", &world.name]).code, 0);
    docker(&["stop", "-t", "20", &world.container("master")]);
    on_data(&world, "master", 1, "cp -a /volume/pgdata /volume/earlier");
    docker(&["start", &world.container("master")]);
    world.until("the primary writes", |w| {
        w.sql(
            "master",
            "postgres",
            "create table later as select g from generate_series(1, 50000) g",
        )
        .is_empty()
    });
    world.until("the replica has it", |w| {
        w.sql("replica-1", "postgres", "select count(*) from later") == "50000"
    });
    docker(&["stop", "-t", "20", &world.container("replica-1")]);
    docker(&["stop", "-t", "20", &world.container("master")]);
    on_data(
        &world,
        "master",
        1,
        "rm -rf /volume/pgdata && mv /volume/earlier /volume/pgdata",
    );
    assert_eq!(world.cli(&["resume", &world.name]).code, 0);
    world.until("somebody is asked", |w| w.condition("Ready").1 == "NeedsConfirmation");
    let decided = world.cli(&["promote", "master", "--force"]);
    assert_eq!(decided.code, 0, "{}{}", decided.out, decided.err);
    is_healed(&world, "replica-1 gets a new volume in place of");
    assert!(
        world
            .sql("replica-1", "postgres", "select count(*) from later")
            .starts_with("error")
    );
}

#[test]
fn a_clone_that_is_killed_half_way_begins_anew() {
    let world = World::ready("clonecut", 1);
    world.sql("master", "postgres", "create table t as select 42 as n");
    world.sql(
        "master",
        "postgres",
        "create table big as select repeat(md5(g::text), 30) from generate_series(1, 100000) g",
    );
    let asked = world.spawn(&["reseed", "replica-1", "--force", "--method", "clone"]);
    world.until("it is being cloned", |w| w.member("replica-1")["state"] == "seeding");
    docker(&["kill", &world.container("replica-1")]);
    let ended = asked.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(world.sql("replica-1", "postgres", "select n from t"), "42");
    assert_eq!(
        world.volumes().len(),
        3,
        "no volume more than the one that replaced the old one"
    );
}
