//! Parameters and pg_hba.conf, from the manifest into running servers.

use crate::world::World;
use serde_json::json;

const MEMBERS: [&str; 3] = ["master", "replica-1", "replica-2"];

fn shows(world: &World, parameter: &str, value: &str) -> bool {
    MEMBERS
        .iter()
        .all(|member| world.sql(member, "postgres", &format!("show {parameter}")) == value)
}

fn starts(world: &World) -> Vec<String> {
    MEMBERS.iter().map(|member| world.started_at(member)).collect()
}

#[test]
fn a_reloadable_parameter_is_live_everywhere_without_a_restart() {
    let mut world = World::ready("reload", 2);
    let before = starts(&world);
    world.edit(|spec| spec["parameters"]["log_min_duration_statement"] = json!("123ms"));
    world.until("it is live in every member", |w| {
        shows(w, "log_min_duration_statement", "123ms")
    });
    world.edit(|spec| spec["hba"] = json!(["host all app 10.99.0.0/16 reject"]));
    let rule = "select count(*) from pg_hba_file_rules where auth_method = 'reject' and address = '10.99.0.0' and error is null";
    world.until("the hba line is live in every member", |w| {
        MEMBERS.iter().all(|member| w.sql(member, "postgres", rule) == "1")
    });
    world.wait_ready();
    assert_eq!(starts(&world), before, "nothing was restarted");
}

#[test]
fn parameters_that_need_a_restart_reach_replicas_first_and_lowered_limits_the_primary_first() {
    let mut world = World::ready("rolling", 2);
    world.edit(|spec| spec["parameters"]["shared_buffers"] = json!("24MB"));
    world.until("every member runs with it", |w| shows(w, "shared_buffers", "24MB"));
    world.wait_ready();
    let times = starts(&world);
    assert!(times[0] > times[1] && times[0] > times[2], "replicas first: {times:?}");

    world.edit(|spec| spec["parameters"]["max_connections"] = json!(20));
    world.until("it is lowered everywhere", |w| shows(w, "max_connections", "20"));
    world.wait_ready();
    let times = starts(&world);
    assert!(
        times[0] < times[1] && times[0] < times[2],
        "the primary first: {times:?}"
    );

    // Up and down in one edit: PostgreSQL would not start a replica whose limits are below its primary's.
    world.edit(|spec| {
        spec["parameters"]["max_connections"] = json!(40);
        spec["parameters"]["max_worker_processes"] = json!(6);
    });
    world.until("both are in force everywhere", |w| {
        shows(w, "max_connections", "40") && shows(w, "max_worker_processes", "6")
    });
    world.wait_ready();
    assert!(
        !world.events().contains("insufficient parameter settings"),
        "{}",
        world.events()
    );
}

#[test]
fn what_would_break_replication_or_does_not_parse_leaves_everything_as_it_was() {
    let mut world = World::ready("refuse", 1);
    let before = world.started_at("master");
    world.edit(|spec| spec["parameters"]["primary_conninfo"] = json!("host=elsewhere"));
    world.until("the manifest is refused by name", |w| {
        let (status, reason, message) = w.condition("ManifestAccepted");
        status == "False" && reason == "Invalid" && message.contains("primary_conninfo")
    });
    world.edit(|spec| {
        spec["parameters"].as_object_mut().unwrap().remove("primary_conninfo");
        spec["parameters"]["shared_buffers"] = json!("lots");
    });
    world.until("the server's refusal is told", |w| {
        let (status, reason, message) = w.condition("ConfigurationApplied");
        status == "False" && reason == "Rejected" && message.contains("lots")
    });
    assert!(world.events().contains("shared_buffers"), "{}", world.events());
    for member in ["master", "replica-1"] {
        assert_eq!(world.sql(member, "postgres", "show shared_buffers"), "16MB");
    }
    assert_eq!(world.started_at("master"), before);
    // Even a restart keeps to the last configuration that was accepted.
    crate::world::docker(&["kill", &world.container("replica-1")]);
    world.until("the replica streams again", |w| {
        w.member("replica-1")["state"] == "streaming"
    });
    world.edit(|spec| spec["parameters"]["shared_buffers"] = json!("20MB"));
    world.until("the corrected value is in force", |w| {
        w.sql("replica-1", "postgres", "show shared_buffers") == "20MB"
    });
    world.wait_ready();
}

#[test]
fn limits_change_in_place_and_ports_by_a_new_container_on_the_same_volume() {
    let mut world = World::ready("limits", 1);
    let ids = [world.container_id("master"), world.container_id("replica-1")];
    world.edit(|spec| spec["resources"] = json!({"memory": "512MiB", "cpu": "1.5"}));
    let limits = |w: &World, member: &str| {
        crate::world::docker(&[
            "inspect",
            "-f",
            "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}",
            &w.container(member),
        ])
    };
    world.until("the limits are in force", |w| {
        limits(w, "master") == "536870912 1500000000" && limits(w, "replica-1") == limits(w, "master")
    });
    assert_eq!([world.container_id("master"), world.container_id("replica-1")], ids);
    world.wait_ready();
    world.sql("master", "postgres", "create table kept as select 7 as n");
    let base = world.base_port + 4;
    world.edit(|spec| spec["ports"]["base"] = json!(base));
    world.until("the new ports are published", |w| {
        w.is_ready() && w.container_id("master") != ids[0]
    });
    assert!(std::net::TcpStream::connect(("127.0.0.1", base)).is_ok());
    assert_eq!(world.sql("replica-1", "postgres", "select n from kept"), "7");
    assert_eq!(world.volumes().len(), 2);
}
