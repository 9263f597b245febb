//! Configurations that do not work: refused before anybody has them, or tried by one member and taken back; and none of them,
//! nor what `ALTER SYSTEM` or a hand did, keeps a cluster down once the manifest is right.

use crate::world::{World, docker, docker_output};
use serde_json::json;

/// Waits until the manifest's configuration is refused with some words.
fn refused(world: &World, words: &str) {
    world.until(&format!("it is refused: {words}"), |w| {
        let (status, reason, message) = w.condition("ConfigurationApplied");
        status == "False" && reason == "Rejected" && message.contains(words)
    });
}

fn applied(world: &World) {
    world.wait_ready();
    world.until("the configuration is in force", |w| {
        w.condition("ConfigurationApplied").0 == "True"
    });
}

fn show(world: &World, member: &str, parameter: &str) -> String {
    world.sql(
        member,
        "postgres",
        &format!("select setting from pg_settings where name = '{parameter}'"),
    )
}

/// As root, in a member's container.
fn by_hand(world: &World, member: &str, command: &str) {
    docker(&["exec", "-u", "0", &world.container(member), "sh", "-c", command]);
}

#[test]
fn values_run_as_they_were_written_and_what_only_a_start_tells_is_undone() {
    let mut world = World::ready("values", 1);
    world.edit(|spec| {
        spec["parameters"] = json!({
            "shared_buffers": "0x800", "MAX_CONNECTIONS": "034", "max_wal_size": "0.25GB", "min_wal_size": "32 MB",
            "log_line_prefix": "%m [%p] ", "archive_mode": "on", "deadlock_timeout": "1.5s", "größe.x": "a ",
            "archive_command": "test ! -f '/tmp/%f' && cp '%p' '/tmp/%f'",
        });
        spec["hba"] = json!([
            "# the office",
            "",
            "host \"a db\",other \"some one\" 10.9.0.0 255.255.0.0 reject",
            "hostssl all all 10.8.0.0/16 md5"
        ]);
    });
    world.until("replicas first, then the primary", |w| {
        show(w, "master", "shared_buffers") == "2048"
    });
    applied(&world);
    for member in ["master", "replica-1"] {
        let prefix = world.sql(
            member,
            "postgres",
            "select '<' || current_setting('log_line_prefix') || '>'",
        );
        assert_eq!(prefix, "<%m [%p] >");
        assert_eq!(show(&world, member, "max_connections"), "28");
        assert_eq!(show(&world, member, "deadlock_timeout"), "1500");
        assert_eq!(show(&world, member, "max_wal_size"), "256");
    }
    assert_eq!(
        show(&world, "master", "archive_command"),
        "test ! -f '/tmp/%f' && cp '%p' '/tmp/%f'"
    );
    let rule = "select database, user_name from pg_hba_file_rules where address = '10.9.0.0'";
    assert_eq!(
        world.sql("replica-1", "postgres", rule),
        "{\"a db\",other}|{\"some one\"}"
    );
    // It is said that the line never applies, and all goes on.
    let (status, _, message) = world.condition("ConfigurationRemarks");
    assert!(status == "True" && message.contains("hostssl"), "{message}");

    what_only_a_start_tells(&mut world);
    an_administrators_own(&mut world);
}

fn what_only_a_start_tells(world: &mut World) {
    // No check opens a log file: one replica is started with it, and the primary never.
    let primary = world.started_at("master");
    world.edit(|spec| {
        spec["parameters"]["logging_collector"] = json!("on");
        spec["parameters"]["log_directory"] = json!("/nowhere/log");
    });
    refused(world, "could not open log file");
    world.until("the replica is back", |w| w.member("replica-1")["state"] == "streaming");
    assert_eq!(show(world, "replica-1", "logging_collector"), "off");
    assert_eq!(show(world, "master", "log_directory"), "log");
    assert_eq!(world.started_at("master"), primary);
    world.edit(|spec| {
        let parameters = spec["parameters"].as_object_mut().unwrap();
        parameters.remove("logging_collector");
        parameters.remove("log_directory");
    });
    applied(world);
}

fn an_administrators_own(world: &mut World) {
    let primary = world.started_at("master");
    // An administrator's own parameter restarts nobody, whatever its value, and whether it was taken back.
    let replica = world.started_at("replica-1");
    world.sql("replica-1", "postgres", "alter system set max_files_per_process = 2000");
    world.sql(
        "replica-1",
        "postgres",
        "alter system set min_dynamic_shared_memory = '900GB'",
    );
    world.sql("replica-1", "postgres", "select pg_reload_conf()");
    world.until("it is told that they wait", |w| {
        let (status, _, message) = w.condition("RestartPending");
        status == "True" && message.contains("max_files_per_process") && message.contains("900GB")
    });
    world.restart_agent();
    world.until("it is told that it would not start again", |w| {
        let (status, _, message) = w.condition("RestartSafe");
        status == "False" && message.contains("replica-1")
    });
    world.sql("replica-1", "postgres", "alter system reset max_files_per_process");
    world.sql("replica-1", "postgres", "select pg_reload_conf()");
    world.until("one is told of still", |w| {
        !w.condition("RestartPending").2.contains("max_files_per_process")
    });
    world.wait_ready();
    assert_eq!(
        (world.started_at("master"), world.started_at("replica-1")),
        (primary, replica)
    );

    // It does not start with it, and it starts without.
    world.sql("replica-1", "postgres", "alter system set work_mem = '5MB'");
    docker(&["kill", &world.container("replica-1")]);
    world.wait_event("set aside");
    world.until("it streams again", |w| w.member("replica-1")["state"] == "streaming");
    world.wait_ready();
    assert_eq!(show(world, "replica-1", "work_mem"), "5120", "what does no harm stays");
    assert!(
        world
            .condition("AlterSystemSetAside")
            .2
            .contains("min_dynamic_shared_memory")
    );
}

#[test]
fn a_good_manifest_heals_a_cluster_of_one_that_does_not_start() {
    let mut world = World::ready("alone", 0);
    let begun = world.started_at("master");
    let refusals = [
        ("ssl", "on", "server.crt"),
        ("huge_pages", "on", "huge pages"),
        ("session_preload_libraries", "no_such_library", "no_such_library"),
        ("shared_buffers", "900GB", "the host has"),
    ];
    for (name, value, words) in refusals {
        world.edit(|spec| spec["parameters"] = json!({ name: value }));
        refused(&world, words);
    }
    world.sql("master", "postgres", "create table kept as select 7 as n");
    world.edit(|spec| {
        spec["parameters"] = json!({});
        spec["hba"] = json!(["host all all 10.0.0.0/33 md5"]);
    });
    world.until("the manifest is refused", |w| {
        w.condition("ManifestAccepted").2.contains("10.0.0.0/33")
    });
    assert_eq!(world.started_at("master"), begun, "nothing was restarted");

    what_ran_does_not_start(&mut world);
    assert_eq!(world.sql("master", "postgres", "select n from kept"), "7");
    let own = docker_output(&[
        "exec",
        &world.container("master"),
        "sh",
        "-c",
        "ls -d $PGDATA.[!s]* /tmp/tmp.* 2>/dev/null",
    ]);
    assert_eq!(own.out.trim(), "", "no trial leaves anything behind");
}

fn what_ran_does_not_start(world: &mut World) {
    // What ran is made impossible behind everybody's back.
    let logs = "/var/lib/postgresql/data/logs";
    world.edit(|spec| {
        spec["hba"] = json!([]);
        spec["parameters"] = json!({"logging_collector": "on", "log_directory": logs});
    });
    world.until("it runs", |w| show(w, "master", "logging_collector") == "on");
    applied(world);
    by_hand(world, "master", &format!("chown -R 0 {logs} && chmod 700 {logs}"));
    docker(&["kill", &world.container("master")]);
    world.until("it does not start", |w| w.member("master")["state"] == "crash looping");
    world.restart_agent();
    world.edit(|spec| spec["parameters"] = json!({"work_mem": "6MB"}));
    world.until("the manifest heals it, with nobody there to check it", |w| {
        w.sql("master", "postgres", "show work_mem") == "6MB"
    });
    applied(world);

    // By hand, in the file of ALTER SYSTEM.
    by_hand(world, "master", "echo 'not = a = line' >>$PGDATA/postgresql.auto.conf");
    docker(&["kill", &world.container("master")]);
    world.wait_event("set aside");
    applied(world);

    // What is the agent's to set, behind its back: nobody could be reached there.
    world.kill_agent();
    for setting in ["port = 5999", "hba_file = '/tmp/none'", "work_mem = '7MB'"] {
        world.sql("master", "postgres", &format!("alter system set {setting}"));
    }
    docker(&["restart", &world.container("master")]);
    world.start_agent();
    applied(world);
    world.until("the manifest's value is back", |w| {
        show(w, "master", "work_mem") == "6144"
    });
}
