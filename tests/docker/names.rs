//! Role names, as an application in a container of its own sees them.

use std::process::Child;

use crate::world::{World, docker, docker_output, image};

/// An application's container on the service network.
struct Guest {
    name: String,
}

impl Guest {
    fn of(world: &World) -> Guest {
        let name = format!("{}-guest", world.name);
        let label = format!("dev.reconciler.name={}", world.name);
        let network = format!("{}-svc", world.name);
        docker(&[
            "run",
            "-d",
            "--label",
            "dev-test=docker",
            "--label",
            &label,
            "--name",
            &name,
            "--network",
            &network,
            "--entrypoint",
            "sleep",
            "--user",
            "postgres",
            &image(),
            "infinity",
        ]);
        let password = std::fs::read_to_string(world.secret("postgres")).unwrap();
        let pgpass = world.dir.join("pgpass");
        std::fs::write(&pgpass, format!("*:*:*:postgres:{}\n", password.trim())).unwrap();
        docker(&["cp", pgpass.to_str().unwrap(), &format!("{name}:/tmp/pgpass")]);
        docker(&[
            "exec",
            "-u",
            "root",
            &name,
            "sh",
            "-c",
            "chown postgres /tmp/pgpass; chmod 600 /tmp/pgpass",
        ]);
        Guest { name }
    }

    fn psql(&self, host: &str, sql: &str) -> Vec<String> {
        let login = format!("host={host} user=postgres passfile=/tmp/pgpass connect_timeout=3");
        ["exec", &self.name, "psql", &login, "-Atqc", sql]
            .map(str::to_owned)
            .to_vec()
    }

    /// What the server behind a name answers; the error, if it does not.
    fn ask(&self, host: &str, sql: &str) -> String {
        let arguments = self.psql(host, sql);
        let output = docker_output(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        if output.code == 0 {
            output.out.trim().to_owned()
        } else {
            format!("error: {}", output.err.trim())
        }
    }

    /// Which member a name leads to.
    fn member(&self, host: &str) -> String {
        let title = self.ask(host, "show cluster_name");
        title.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// How many members a name leads to.
    fn count(&self, host: &str) -> usize {
        let output = docker_output(&["exec", &self.name, "getent", "ahostsv4", host]);
        output.out.lines().filter(|line| line.contains("STREAM")).count()
    }

    /// A client that stays.
    fn stay(&self, host: &str) -> Child {
        let arguments = self.psql(host, "select pg_sleep(600)");
        let mut command = std::process::Command::new("docker");
        command.args(arguments).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null()).spawn().unwrap()
    }
}

fn clients(world: &World, member: &str) -> String {
    world.sql(
        member,
        "postgres",
        "select count(*) from pg_stat_activity where query like 'select pg_sleep%'",
    )
}

#[test]
fn names_follow_the_roles_and_who_loses_one_loses_its_clients() {
    let world = World::ready("names", 2);
    let guest = Guest::of(&world);
    let name = |route: &str| format!("{}-{route}", world.name);
    assert_eq!(guest.member(&name("rw")), "master");
    assert_eq!(guest.ask(&name("ro"), "select pg_is_in_recovery()"), "t");
    assert_eq!(
        (
            guest.count(&name("rw")),
            guest.count(&name("ro")),
            guest.count(&name("r"))
        ),
        (1, 2, 3)
    );

    let mut client = guest.stay(&name("rw"));
    world.until("a client is connected", |w| clients(w, "master") == "1");
    let bystander = world.started_at("replica-2");
    let promoted = world.cli(&["promote", "replica-1"]);
    assert_eq!(promoted.code, 0, "{}{}", promoted.out, promoted.err);
    assert!(!client.wait().unwrap().success(), "the demoted member's client was cut");
    assert_eq!(guest.member(&name("rw")), "replica-1");
    assert_eq!(guest.ask(&name("rw"), "create table t (); select 'written'"), "written");
    world.until("the former primary serves reads", |_| guest.count(&name("ro")) == 2);
    assert_eq!(guest.count(&name("rw")), 1, "one name, one primary");
    assert_eq!(world.started_at("replica-2"), bystander);
    // The new primary left one network and joined it again; its published port did not notice.
    let port = world.base_port + 1;
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());

    docker(&["kill", &world.container("replica-1")]);
    world.until("the killed primary has its name again", |_| {
        guest.member(&name("rw")) == "replica-1"
    });
    docker(&["kill", &world.container("replica-2")]);
    world.wait_event("replica-2: start container, because it was killed");
    world.wait_ready();
    assert_eq!(guest.count(&name("ro")), 2);
}

#[test]
fn a_cluster_without_the_network_gets_it_without_a_restart() {
    let world = World::ready("routes", 1);
    let network = format!("{}-svc", world.name);
    let before = ["master", "replica-1"].map(|member| world.started_at(member));
    for member in ["master", "replica-1"] {
        docker_output(&["network", "disconnect", &network, &world.container(member)]);
    }
    // The agent may have attached one again already.
    world.until("the network is gone", |w| {
        for member in ["master", "replica-1"] {
            docker_output(&["network", "disconnect", &network, &w.container(member)]);
        }
        docker_output(&["network", "rm", &network]).code == 0
    });
    world.until("all have their names again", |w| {
        let format = format!("{{{{json (index .NetworkSettings.Networks \"{network}\").Aliases}}}}");
        let has = |member: &str, route: &str| {
            let aliases = docker_output(&["inspect", "-f", &format, &w.container(member)]).out;
            aliases.contains(&format!("\"{}-{route}\"", w.name))
        };
        has("master", "rw") && has("master", "r") && has("replica-1", "ro") && has("replica-1", "r")
    });
    world.wait_ready();
    assert_eq!(["master", "replica-1"].map(|member| world.started_at(member)), before);
}

#[test]
fn a_deletion_leaves_an_applications_container_attached_and_says_so() {
    let world = World::ready("guests", 0);
    let guest = Guest::of(&world);
    std::fs::write(world.dir.join("manifests/other.yaml"), "# nothing here yet\n").unwrap();
    std::fs::remove_file(world.manifest()).unwrap();
    world.until("it is an orphan", |w| w.condition("ManifestAccepted").1 == "Orphaned");
    let me = format!("PostgresCluster/{}", world.name);
    let deletion = world.spawn(&["delete", &me, "--yes"]);
    world.wait_event(&format!("{} is still attached to it", guest.name));
    docker(&["network", "disconnect", &format!("{}-svc", world.name), &guest.name]);
    let output = deletion.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    docker(&["rm", "-f", "-v", &guest.name]);
}

#[test]
fn connect_prints_uris_that_work_and_no_password() {
    let world = World::ready("uris", 1);
    let output = world.cli(&["connect", &world.name, "-o", "json"]);
    assert_eq!(output.code, 0, "{}", output.err);
    let ways: serde_json::Value = serde_json::from_str(&output.out).unwrap();
    let password = std::fs::read_to_string(world.secret("postgres")).unwrap();
    assert!(!output.out.contains(password.trim()));
    let inside = format!("postgresql://postgres@{}-rw:5432/postgres", world.name);
    assert_eq!(ways["containers"]["readWrite"], inside.as_str());
    assert_eq!(ways["network"], format!("{}-svc", world.name).as_str());
    let mut config: tokio_postgres::Config = ways["host"]["readWrite"].as_str().unwrap().parse().unwrap();
    config.password(password.trim());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let connected = runtime.block_on(async { config.connect(tokio_postgres::NoTls).await });
    assert!(connected.is_ok(), "{:?}", connected.err());
    let shown = world.cli(&["connect"]).out;
    assert!(
        shown.contains(&inside) && shown.contains("The password is in: secrets/"),
        "{shown}"
    );
}
