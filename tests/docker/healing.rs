//! Whatever happens to a member is put right, and an event says what was found.

use std::net::TcpListener;

use crate::twin;
use crate::world::{World, docker, replace};
use serde_json::json;

fn streams(world: &World, member: &str) -> bool {
    world.member(member)["state"] == "streaming" && world.is_ready()
}

#[test]
fn a_replica_comes_back_from_everything_that_is_done_to_its_container() {
    let world = World::ready("mend", 2);
    let replica = world.container("replica-1");
    docker(&["kill", &replica]);
    world.wait_event("it was killed (exit code 137)");
    world.until("it streams", |w| streams(w, "replica-1"));

    docker(&["stop", "-t", "10", &replica]);
    world.wait_event("it was stopped");
    world.until("it streams", |w| streams(w, "replica-1"));

    let id = world.container_id("replica-1");
    docker(&["rm", "-f", "-v", &replica]);
    world.wait_event("replica-1: create container");
    world.until("it streams", |w| streams(w, "replica-1"));
    assert_ne!(world.container_id("replica-1"), id);
    assert!(
        world.volumes().contains(&world.volume("replica-1", 1)),
        "with the volume that it had"
    );

    docker(&["pause", &replica]);
    world.wait_event("it was paused");
    world.until("it streams", |w| streams(w, "replica-1"));

    docker(&["network", "disconnect", &world.network(), &replica]);
    world.wait_event("it was disconnected from");
    world.until("it streams", |w| streams(w, "replica-1"));

    // A restart by hand is no trouble at all.
    docker(&["restart", "-t", "10", &world.container("replica-2")]);
    world.until("all stream", |w| streams(w, "replica-2"));
}

#[test]
fn a_killed_primary_restarts_in_place_and_loses_nothing() {
    let world = World::ready("prim", 1);
    world.sql("master", "postgres", "create table t (n int)");
    for n in 0..4 {
        let inserted = world.sql("master", "postgres", &format!("insert into t values ({n}) returning n"));
        assert_eq!(inserted, n.to_string());
        match n {
            0 => docker(&["kill", &world.container("master")]),
            1 => docker(&["rm", "-f", "-v", &world.container("master")]),
            2 => docker(&["pause", &world.container("master")]),
            _ => docker(&["network", "disconnect", &world.network(), &world.container("master")]),
        };
        world.until("the primary answers", |w| {
            w.sql("master", "postgres", "select pg_is_in_recovery()") == "f"
        });
        world.until("the replica streams", |w| streams(w, "replica-1"));
    }
    assert_eq!(world.sql("master", "postgres", "select count(*) from t"), "4");
    assert_eq!(world.primary(), "master");
    assert_eq!(world.member("master")["timeline"], 1, "no promotion took place");
}

#[test]
fn drift_inside_a_database_is_taken_back() {
    let mut world = World::new("drift", 1);
    world.spec["roles"] = json!([{"name": "app"}]);
    world.start();
    world.wait_ready();

    world.sql("master", "postgres", "alter system set max_connections = 77");
    world.wait_event("ALTER SYSTEM set max_connections to '77'");
    world.sql(
        "replica-1",
        "postgres",
        "alter system set primary_conninfo = 'host=nowhere'",
    );
    world.wait_event("ALTER SYSTEM set primary_conninfo");
    let left = "select count(*) from pg_file_settings where sourcefile like '%auto.conf'";
    world.until("both are gone", |w| {
        ["master", "replica-1"]
            .iter()
            .all(|m| w.sql(m, "postgres", left) == "0")
    });
    // What nobody manages is the administrator's own affair.
    world.sql("master", "postgres", "alter system set work_mem = '7MB'");

    world.sql("master", "postgres", "alter role app password 'changed by hand'");
    world.wait_event("alter role app");
    world.wait_event("its password is not the wanted one");

    world.sql("master", "postgres", "alter role app createdb");
    world.wait_event("its attributes are not as the manifest says");

    docker(&[
        "exec",
        "-u",
        "root",
        &world.container("replica-1"),
        "sh",
        "-c",
        "echo 'work_mem = 9MB' >> /etc/reconciler/postgresql.conf",
    ]);
    world.wait_event("somebody changed postgresql.conf");

    // The slot can only be dropped while nobody uses it.
    docker(&["pause", &world.container("replica-1")]);
    world.sql(
        "master",
        "postgres",
        "select pg_terminate_backend(active_pid) from pg_replication_slots where active",
    );
    world.until("the slot is dropped", |w| {
        w.sql("master", "postgres", "select pg_drop_replication_slot('replica_1')");
        w.events().matches("create replication slot replica_1").count() > 0 && w.events().contains("replica-1 has none")
    });
    world.until("all is well again", |w| streams(w, "replica-1"));
    let slot = "select active from pg_replication_slots where slot_name = 'replica_1'";
    world.until("its slot is used", |w| w.sql("master", "postgres", slot) == "t");
    assert_eq!(world.sql("master", "postgres", "show work_mem"), "4MB");
    assert_eq!(
        world.sql(
            "master",
            "postgres",
            "select setting from pg_file_settings where name = 'work_mem'"
        ),
        "7MB"
    );
}

#[test]
fn a_superuser_whose_password_was_changed_is_given_the_wanted_one() {
    let world = World::ready("super", 1);
    world.sql("master", "postgres", "alter role postgres password 'changed by hand'");
    // The agent's own sessions go on; only a new one is refused.
    world.sql(
        "master",
        "postgres",
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'reconciler'",
    );
    world.until("an event says what was found", |w| {
        let events = w.events();
        ["its password is not the wanted one", "does not let the agent in"]
            .iter()
            .any(|found| events.contains(found))
    });
    world.wait_ready();
    let password = std::fs::read_to_string(world.secret("postgres")).unwrap();
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(world.base_port).user("postgres");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut accepts = |password: &str| {
        config.password(password);
        runtime.block_on(async { config.connect(tokio_postgres::NoTls).await.is_ok() })
    };
    assert!(accepts(password.trim()), "the wanted one opens the door");
    assert!(!accepts("changed by hand"));
}

/// Stops processes of a member by signal: all of them, or the one that makes sessions and lets the others be.
fn freeze(world: &World, member: &str, all: bool) {
    let container = world.container(member);
    if all {
        let others = "kill -STOP -1";
        docker(&["exec", "-u", "postgres", &container, "sh", "-c", others]);
    }
    docker(&["kill", "--signal", "STOP", &container]);
}

#[test]
fn a_frozen_server_in_a_running_container_is_found_and_restarted() {
    let world = World::ready("frozen", 1);
    for (member, all) in [
        ("replica-1", true),
        ("replica-1", false),
        ("master", true),
        ("master", false),
    ] {
        let before = world.started_at(member);
        // The container runs on, and says nothing.
        freeze(&world, member, all);
        world.until("it was restarted", |w| w.started_at(member) != before);
        world.until("it serves again", |w| streams(w, "replica-1"));
        let found = format!("{member}: send SIGKILL, because its");
        assert!(world.events().contains(&found), "{}", world.events());
    }
    assert_eq!(world.primary(), "master", "nobody else took over");
}

#[test]
fn a_member_that_does_not_stay_up_is_tried_ever_more_slowly_and_reported() {
    let world = World::ready("loop", 1);
    let container = world.container("replica-1");
    // A data directory that PostgreSQL refuses each time: restarts cannot help.
    docker(&[
        "exec",
        "-u",
        "postgres",
        &container,
        "sh",
        "-c",
        "cp $PGDATA/PG_VERSION $PGDATA/kept; echo 9.6 > $PGDATA/PG_VERSION",
    ]);
    docker(&["kill", &container]);
    world.until("the condition names the crash loop", |w| {
        let (status, reason, message) = w.condition("Ready");
        status == "False" && reason == "CrashLooping" && message.contains("replica-1")
    });
    world.until("it backs off", |w| {
        w.cli(&["status"]).out.contains("the next start is tried in")
    });
    // The primary has been serving all the while.
    assert_eq!(world.sql("master", "postgres", "select 1"), "1");
    let volume = format!("{}:/v", world.volume("replica-1", 1));
    let image = crate::world::image();
    let fix = [
        "run",
        "--rm",
        "-v",
        &volume,
        "--entrypoint",
        "mv",
        &image,
        "/v/pgdata/kept",
        "/v/pgdata/PG_VERSION",
    ];
    docker(&fix);
    world.until("it streams", |w| streams(w, "replica-1"));
}

/// Ends a member that leaves words of damage in its log, while another program takes its port.
fn take_port(world: &mut World, member: &str, port: u16) -> TcpListener {
    let container = world.container(member);
    let words = "do $$ begin raise log 'PANIC:  could not locate a valid checkpoint record'; end $$";
    assert_eq!(world.sql(member, "postgres", words), "");
    world.kill_agent();
    docker(&["kill", &container]);
    world.until("its port is free", |_| TcpListener::bind(("127.0.0.1", port)).is_ok());
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    world.start_agent();
    listener
}

#[test]
fn a_replica_whose_port_another_program_has_is_not_taken_for_damaged() {
    let mut world = World::ready("port", 1);
    let port = world.base_port + 1;
    let listener = take_port(&mut world, "replica-1", port);
    world.until("it is said", |w| {
        let (_, reason, message) = w.condition("Ready");
        reason == "CrashLooping" && message.contains("the engine could not start it")
    });
    world.until("it backs off", |w| {
        w.cli(&["status"]).out.contains("the next start is tried in")
    });
    drop(listener);
    world.until("it streams", |w| streams(w, "replica-1"));
    assert_eq!(world.volumes().len(), 2, "with the volume that it had");
}

#[test]
fn a_primary_whose_port_another_program_has_is_failed_over() {
    let mut world = World::new("ports", 1);
    world.spec["failover"] = json!({"mode": "automatic"});
    world.start();
    world.wait_ready();
    world.sql("master", "postgres", "create table t as select 1 as n");
    world.until("the replica has it", |w| {
        w.sql("replica-1", "postgres", "select n from t") == "1"
    });
    let port = world.base_port;
    let listener = take_port(&mut world, "master", port);
    world.until("the replica takes over", |w| w.primary() == "replica-1");
    assert_eq!(world.sql("replica-1", "postgres", "select n from t"), "1");
    let told = "the engine could not start it";
    assert!(world.condition("LastPromotionSucceeded").0 == "True" && world.events().contains(told));
    drop(listener);
    world.until("the old primary follows", |w| streams(w, "master"));
}

#[test]
fn a_second_network_of_one_name_goes_before_it_keeps_a_member_from_starting() {
    let mut world = World::ready("twin", 1);
    world.kill_agent();
    let networks = ["net", "svc"].map(|kind| format!("{}-{kind}", world.name));
    let count = |name: &str| {
        let filter = format!("name=^{name}$");
        docker(&["network", "ls", "-q", "--filter", &filter]).lines().count()
    };
    let twins = || {
        for name in &networks {
            let id = docker(&["network", "ls", "-q", "--filter", &format!("name=^{name}$")]);
            let labels = docker(&["network", "inspect", "-f", "{{json .Labels}}", &id]);
            twin::make(name, &serde_json::from_str(&labels).unwrap());
            assert_eq!(count(name), 2);
        }
    };
    twins();
    docker(&["rm", "-f", "-v", &world.container("replica-1")]);
    world.start_agent();
    world.wait_event("is a second network named");
    world.until("it streams", |w| streams(w, "replica-1"));
    assert_eq!(networks.each_ref().map(|name| count(name)), [1, 1]);
    let name = format!("{}-ro", world.name);
    world.until("the replica has its name again", |w| {
        let networks = "{{json .NetworkSettings.Networks}}";
        docker(&["inspect", "-f", networks, &w.container("replica-1")]).contains(&name)
    });

    // All of them go with the cluster.
    world.kill_agent();
    twins();
    let manifest = world.manifest();
    std::fs::rename(&manifest, manifest.with_file_name("cluster.yaml.off")).unwrap();
    replace(&manifest.with_file_name("other.yaml"), "# nothing here yet\n");
    world.start_agent();
    world.until("it is an orphan", |w| w.condition("ManifestAccepted").1 == "Orphaned");
    let deleted = world.cli(&["delete", &world.name, "--yes", "--purge-data"]);
    assert_eq!(deleted.code, 0, "{}{}", deleted.out, deleted.err);
    world.until("no network is left", |_| {
        networks.each_ref().map(|name| count(name)) == [0, 0]
    });
}
