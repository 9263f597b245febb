//! From nothing to ready.

use crate::world::{World, docker, docker_output, replace};
use serde_json::json;

#[test]
fn a_manifest_becomes_a_cluster_with_its_databases_roles_and_extensions() {
    let mut world = World::new("up", 2);
    world.spec["parameters"]["shared_preload_libraries"] = json!("pg_stat_statements");
    world.spec["databases"] = json!([{"name": "mydb", "owner": "app", "extensions": ["pg_stat_statements"]}]);
    world.spec["roles"] = json!([{"name": "app", "connectionLimit": 7}, {"name": "readers", "login": false}]);
    world.start();
    world.wait_ready();

    assert_eq!(
        world.sql("master", "mydb", "select count(*) >= 0 from pg_stat_statements"),
        "t"
    );
    let owner = "select pg_get_userbyid(datdba) from pg_database where datname = 'mydb'";
    assert_eq!(world.sql("master", "postgres", owner), "app");
    let role = "select rolcanlogin, rolconnlimit from pg_roles where rolname in ('app', 'readers') order by rolname";
    assert_eq!(world.sql("master", "postgres", role), "t|7\nf|-1");
    let streaming = "select string_agg(application_name || ' ' || state || ' ' || sync_state, ', ' order by application_name) from pg_stat_replication";
    assert_eq!(
        world.sql("master", "postgres", streaming),
        "replica-1 streaming async, replica-2 streaming async"
    );
    assert_eq!(world.sql("replica-2", "postgres", "show data_checksums"), "on");
    assert_eq!(
        docker(&[
            "ps",
            "-q",
            "--filter",
            &format!("label=dev.reconciler.name={}", world.name)
        ])
        .lines()
        .count(),
        3
    );
    let anonymous = docker(&["inspect", "-f", "{{len .Mounts}}", &world.container("replica-1")]);
    assert_eq!(anonymous, "1", "no anonymous volume beside the member's own");
    for member in ["master", "replica-1", "replica-2"] {
        let seen = world.member(member);
        assert!(seen["lsn"].is_string() && seen["timeline"] == 1, "{seen}");
        assert_eq!(
            docker(&[
                "inspect",
                "-f",
                "{{.HostConfig.RestartPolicy.Name}}",
                &world.container(member)
            ]),
            "no"
        );
    }
    // Once more from the top: nothing is left to do.
    let plan = world.cli(&["plan"]);
    assert_eq!(
        (plan.code, plan.out.contains("nothing to do")),
        (0, true),
        "{}",
        plan.out
    );
}

#[test]
fn a_generated_password_opens_the_published_port_and_is_seen_nowhere_else() {
    let mut world = World::new("pw", 1);
    world.spec["roles"] = json!([{"name": "app"}]);
    world.spec["databases"] = json!([{"name": "mydb", "owner": "app"}]);
    world.start();
    world.wait_ready();
    let secrets = read(&world);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let answer = runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(world.base_port)
            .user("app")
            .password(&secrets[0])
            .dbname("mydb");
        let (client, connection) = config
            .connect(tokio_postgres::NoTls)
            .await
            .expect("the password is accepted");
        tokio::spawn(connection);
        let row = client.query_one("select current_user::text", &[]).await.unwrap();
        row.get::<_, String>(0)
    });
    assert_eq!(answer, "app");
    let mut places = vec![world.agent_log(), world.events(), world.cli(&["describe"]).out];
    for member in ["master", "replica-1"] {
        let container = world.container(member);
        places.push(docker(&["inspect", &container]));
        places.push(docker(&["top", &container, "-eo", "pid,args"]));
        let log = docker_output(&["logs", &container]);
        places.push(log.out + &log.err);
    }
    for secret in &secrets {
        assert!(
            places.iter().all(|place| !place.contains(secret)),
            "a password is on show"
        );
    }

    kept_as_by_earlier_versions(&mut world, &secrets);
    beside_another_kind_of_this_name(&world);
}

fn read(world: &World) -> Vec<String> {
    let of = |role: &str| std::fs::read_to_string(world.secret(role)).unwrap().trim().to_owned();
    ["app", "postgres", "replicator"].map(of).to_vec()
}

/// By name alone, which a resource of another kind may have too.
fn kept_as_by_earlier_versions(world: &mut World, secrets: &[String]) {
    world.kill_agent();
    let state = world.state_dir().join("secrets");
    std::fs::rename(state.join("PostgresCluster").join(&world.name), state.join(&world.name)).unwrap();
    std::fs::write(state.join(&world.name).join("of-nobody"), "kept\n").unwrap();
    world.start_agent();
    world.wait_ready();
    assert_eq!(read(world), secrets);
    let left: Vec<_> = std::fs::read_dir(state.join(&world.name)).unwrap().collect();
    assert_eq!(left.len(), 1, "what nobody is known to use stays: {left:?}");
}

/// It would have its network's name too: both lines are named, and what is there runs on.
fn beside_another_kind_of_this_name(world: &World) {
    let before = world.started_at("master");
    let text = world.text().replace("PostgresCluster", "Monitoring");
    let other = world.dir.join("manifests/other.yaml");
    let end = text.find("spec:").unwrap();
    replace(&other, &format!("{}spec: {{}}\n", &text[..end]));
    world.until("neither document is used", |w| {
        w.condition("ManifestAccepted").1 == "Invalid"
    });
    let validated = world.cli(&["validate", "-f", world.dir.join("manifests").to_str().unwrap()]);
    let names = format!("network `{}` is taken by", world.network());
    assert_eq!(validated.code, 2);
    assert!(
        validated.err.contains(&names) && validated.err.contains("cluster.yaml:1"),
        "{}",
        validated.err
    );
    std::fs::remove_file(other).unwrap();
    world.until("the document counts again", |w| {
        w.condition("ManifestAccepted").1 == "Valid"
    });
    world.wait_ready();
    assert_eq!(world.started_at("master"), before);
}

#[test]
fn passwords_come_from_a_file_and_from_the_environment_and_follow_them() {
    let mut world = World::new("from", 0);
    let file = world.dir.join("app.password");
    std::fs::write(&file, "first secret\n").unwrap();
    world.set_env("REPORT_PASSWORD", "from the environment");
    world.spec["roles"] = json!([
        {"name": "app", "passwordFrom": {"file": file}},
        {"name": "report", "passwordFrom": {"env": "REPORT_PASSWORD"}},
    ]);
    world.start();
    world.wait_ready();
    let port = world.base_port;
    let accepts = |role: &str, password: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut config = tokio_postgres::Config::new();
            config
                .host("127.0.0.1")
                .port(port)
                .user(role)
                .password(password)
                .dbname("postgres");
            config.connect(tokio_postgres::NoTls).await.is_ok()
        })
    };
    assert!(accepts("app", "first secret") && accepts("report", "from the environment"));
    std::fs::write(&file, "second secret\n").unwrap();
    world.until("the new password is in force", |_| accepts("app", "second secret"));
    assert!(!accepts("app", "first secret"));
}
