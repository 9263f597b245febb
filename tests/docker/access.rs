//! A server that answers with an error is alive, and what somebody sets for its roles and databases does not keep the agent
//! out; and so many roles and databases that they are made in batches.

use crate::world::{World, docker, docker_output, image};
use serde_json::{Value, json};

/// Triggers at a login are new in PostgreSQL 17.
fn knows_login_triggers() -> bool {
    !["15", "16"].iter().any(|major| image().contains(major))
}

/// Runs SQL past whatever somebody set for the role and the database.
fn past(world: &World, member: &str, database: &str, sql: &str) -> String {
    let newer = if knows_login_triggers() {
        "-c event_triggers=off"
    } else {
        ""
    };
    let options = "-c role=none -c statement_timeout=0 -c search_path=pg_catalog -c session_preload_libraries= \
        -c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed";
    let options = format!("PGOPTIONS={options} {newer}");
    let container = world.container(member);
    let output = docker_output(&[
        "exec", "-e", &options, "-u", "postgres", &container, "psql", "-U", "postgres", "-d", database, "-Atqc", sql,
    ]);
    match output.code {
        0 => output.out.trim().to_owned(),
        _ => format!("error: {}", output.err.trim()),
    }
}

/// Ends the agent's sessions, so that it has to log in again.
fn end_sessions(world: &World) {
    for member in ["master", "replica-1"] {
        let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'reconciler'";
        let ended = past(world, member, "template1", end);
        assert!(!ended.starts_with("error"), "{member}: {ended}");
    }
}

/// Until the agent has sessions in both members again, and all is well.
fn gets_in(world: &World) {
    let own = "select count(*) > 0 from pg_stat_activity where application_name = 'reconciler'";
    world.until("the agent gets in", |w| {
        ["master", "replica-1"]
            .iter()
            .all(|member| past(w, member, "template1", own) == "t")
            && w.is_ready()
    });
}

#[test]
fn nothing_that_is_set_for_its_role_or_its_database_keeps_the_agent_out() {
    let mut world = World::new("access", 1);
    world.spec["parameters"]["default_transaction_isolation"] = json!("serializable");
    world.spec["parameters"]["standard_conforming_strings"] = json!(false);
    world.spec["hba"] = json!(["host all all all reject"]);
    world.start();
    world.wait_ready();

    let settings = "create role nobody; \
        alter role postgres set role = 'nobody'; \
        alter role postgres set search_path = 'nowhere'; \
        alter role postgres set default_transaction_read_only = on; \
        alter role postgres set session_preload_libraries = 'missing'; \
        alter database postgres set statement_timeout = '1ms'; \
        alter database postgres set lock_timeout = '1ms'";
    assert_eq!(world.sql("master", "postgres", settings), "");
    if knows_login_triggers() {
        let trigger = "create function public.no() returns event_trigger language plpgsql as \
            $$ begin raise exception 'nobody gets in'; end $$; \
            create event trigger no on login execute function public.no(); alter event trigger no enable always";
        assert_eq!(past(&world, "master", "postgres", trigger), "");
    }
    end_sessions(&world);
    gets_in(&world);

    // What its own roles need is put back, once and for all.
    let expired = "alter role postgres valid until '2000-01-01'";
    assert_eq!(past(&world, "master", "postgres", expired), "");
    end_sessions(&world);
    let valid = "select rolvaliduntil is null or rolvaliduntil = 'infinity' from pg_authid where rolname = 'postgres'";
    world.until("its password is valid again", |w| {
        past(w, "master", "postgres", valid) == "t"
    });
    gets_in(&world);
    let resets = world.agent_log().matches("step=master: reset the password").count();
    assert!(resets <= 2, "{resets} resets\n{}", world.events());

    let locked = "alter role replicator nologin valid until '2000-01-01'";
    assert_eq!(past(&world, "master", "postgres", locked), "");
    let unlocked = "select rolcanlogin and rolvaliduntil = 'infinity' from pg_authid where rolname = 'replicator'";
    world.until("the replicas' role is put back", |w| {
        past(w, "master", "postgres", unlocked) == "t"
    });

    // The database that everybody connects to who is told of no other.
    past(&world, "master", "template1", "drop database postgres with (force)");
    let there = "select count(*) from pg_database where datname = 'postgres'";
    world.until("it is there again", |w| past(w, "master", "template1", there) == "1");
    world.wait_event("somebody dropped it");
    gets_in(&world);
    assert!(!world.events().contains("SIGKILL"), "{}", world.events());
}

#[test]
fn hundreds_of_roles_and_databases_take_few_connections() {
    let mut world = World::new("many", 0);
    let name = |kind: &str, number: u32| format!("{kind}_{number:03}");
    let roles: Vec<Value> = (0..199).map(|n| json!({"name": name("role", n)})).collect();
    let databases = (0..199).map(|n| json!({"name": name("db", n), "owner": name("role", n)}));
    world.spec["parameters"]["max_connections"] = json!(60);
    world.spec["roles"] = json!(roles);
    world.spec["databases"] = json!(databases.collect::<Vec<Value>>());
    world.start();
    world.wait_ready();
    let owned = "select count(*) from pg_database \
        where datname like 'db%' and pg_get_userbyid(datdba) = replace(datname, 'db_', 'role_')";
    assert_eq!(world.sql("master", "postgres", owned), "199");
    let made = world.events();
    let made: Vec<&str> = made.lines().filter(|line| line.contains("create ")).collect();
    assert!(
        made.iter()
            .any(|line| line.contains("create 200 roles, create 199 databases")),
        "{made:?}"
    );
    assert!(!made.iter().any(|line| line.contains("database db_")), "{made:?}");
    let log = docker_output(&["logs", &world.container("master")]);
    let log = log.out + &log.err;
    assert!(
        !log.contains("too many clients") && !log.contains("remaining connection slots"),
        "{log}"
    );
    assert_eq!(
        docker(&["inspect", "-f", "{{.RestartCount}}", &world.container("master")]),
        "0"
    );
}
