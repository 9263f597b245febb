//! Somebody else on a member's volume, members with another name, and copies of them: never a second server on one volume by
//! the agent's doing, and always a way back. One cluster without ports, to which one thing after the other happens: where
//! there are ports the engine itself refuses many a second container.

use crate::world::{World, docker, docker_output, image};

/// A container of somebody else, which goes when the test ends.
struct Guest {
    name: String,
}

impl Guest {
    /// `docker run` with options, the image and a command. Its label is for the sweep that follows the test.
    fn run(world: &World, options: &[&str], command: &[&str]) -> Guest {
        let name = format!("{}-guest", world.name);
        let label = format!("dev.reconciler.name={}", world.name);
        let run = [
            "run",
            "-d",
            "--name",
            &name,
            "--label",
            "dev-test=docker",
            "--label",
            &label,
        ];
        let image = image();
        docker(&[&run[..], options, &[image.as_str()], command].concat());
        Guest { name }
    }

    /// A server on what is mounted at `/data`: just what must never run beside the member's own.
    fn server(world: &World, mount: &str, pgdata: &str) -> Guest {
        let pgdata = format!("PGDATA={pgdata}");
        // With more connections than the cluster's own the replica, which reads of it in the log, would hold its replay.
        let command = ["postgres", "-c", "max_connections=30"];
        let guest = Guest::run(world, &["-v", mount, "-e", &pgdata], &command);
        world.until("somebody else's server accepts writes", |_| {
            guest.sql("select pg_is_in_recovery()") == "f"
        });
        guest
    }

    fn sql(&self, sql: &str) -> String {
        let psql = [
            "exec", "-u", "postgres", &self.name, "psql", "-U", "postgres", "-Atqc", sql,
        ];
        docker_output(&psql).out.trim().to_owned()
    }

    fn leave(self) {
        docker(&["rm", "-f", "-v", &self.name]);
    }
}

fn state(container: &str) -> String {
    docker_output(&["inspect", "-f", "{{.State.Status}}", container])
        .out
        .trim()
        .to_owned()
}

fn pause(world: &World) {
    assert_eq!(world.cli(&["pause", &world.name]).code, 0);
}

fn resume(world: &World) {
    assert_eq!(world.cli(&["resume", &world.name]).code, 0);
}

fn is_blocked_by(world: &World, name: &str) -> bool {
    let (_, reason, message) = world.condition("Ready");
    reason == "VolumeInUse" && message.contains(&format!("container {name} "))
}

/// Members with another name get theirs back; a running one is not restarted for it.
fn a_renamed_member_gets_its_name_back(world: &World) {
    let (own, other) = (world.container("master"), format!("{}-old", world.name));
    let (id, started) = (world.container_id("master"), world.started_at("master"));
    docker(&["rename", &own, &other]);
    world.until("it has its name again", |w| state(&w.container("master")) == "running");
    assert_eq!(
        (world.container_id("master"), world.started_at("master")),
        (id.clone(), started)
    );
    world.wait_ready();
    assert_eq!(
        world.sql("master", "postgres", "insert into t values (2) returning n"),
        "2"
    );
    world.until("the replica has it", |w| {
        w.sql("replica-1", "postgres", "select max(n) from t") == "2"
    });

    pause(world);
    docker(&["stop", &own]);
    docker(&["rename", &own, &other]);
    docker(&["rename", &world.container("replica-1"), &format!("{}-too", world.name)]);
    resume(world);
    world.until("both have their names and run", |w| {
        w.is_ready() && state(&own) == "running" && state(&w.container("replica-1")) == "running"
    });
    assert_eq!(world.container_id("master"), id, "nothing was made anew");
    assert_eq!(world.sql("master", "postgres", "select max(n) from t"), "2");
}

/// While somebody else serves on the member's volume nothing is started on it, and nobody takes over.
fn somebody_elses_server_is_named(world: &World, mount: &str, pgdata: &str) {
    pause(world);
    docker(&["stop", &world.container("master")]);
    let guest = Guest::server(world, mount, pgdata);
    guest.sql("insert into t values (3)");
    resume(world);
    world.until("it is named", |w| is_blocked_by(w, &guest.name));
    let message = world.condition("Ready").2;
    assert!(message.contains(&format!("docker stop {}", guest.name)), "{message}");
    assert_eq!(state(&world.container("master")), "exited");
    // A forced promotion is refused as well: what is served there would go on beside the new primary.
    let forced = world.cli(&["promote", "replica-1", "--force", "--dry-run"]);
    assert!(
        forced.out.contains("nobody else has the primary's volume"),
        "{}{}",
        forced.out,
        forced.err
    );
    assert_ne!(forced.code, 0);
    docker(&["pause", &guest.name]);
    world.until("it is named though it is frozen", |w| {
        w.condition("Ready").2.contains("docker unpause")
    });
    docker(&["unpause", &guest.name]);
    docker(&["stop", &guest.name]);
    world.wait_ready();
    assert_eq!(
        world.sql("master", "postgres", "select max(n) from t"),
        "3",
        "what it wrote is there"
    );
    assert_eq!(world.primary(), "master");
    guest.leave();
}

/// A container that has a directory with all volumes in it, as user interfaces of engines do, keeps nothing down.
fn who_has_all_volumes_and_serves_nothing_is_not_in_the_way(world: &World, root: &str) {
    let mount = format!("{root}:/all");
    let guest = Guest::run(world, &["-v", &mount, "--entrypoint", "sleep"], &["infinity"]);
    docker(&["kill", &world.container("master")]);
    world.wait_event("master: start container, because it was killed");
    world.wait_ready();
    guest.leave();
}

/// Two containers with one member's labels: which is the real one is said, and the other is left alone.
fn a_copy_is_left_alone_and_named(world: &mut World) {
    let inspected = docker(&["inspect", "-f", "{{json .Config.Labels}}", &world.container("master")]);
    let labels: std::collections::BTreeMap<String, String> = serde_json::from_str(&inspected).unwrap();
    let labels: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("--label={key}={value}"))
        .collect();
    let mount = format!("{}:/data", world.volume("master", 1));
    let network = world.network();
    let mut options: Vec<&str> = labels.iter().map(String::as_str).collect();
    options.extend(["-v", &mount, "--network", &network, "--entrypoint", "sleep"]);
    let copy = Guest::run(world, &options, &["infinity"]);
    world.until("the copy is named", |w| {
        w.condition("StrayContainer").2.contains(&copy.name)
    });
    let told = world.condition("StrayContainer").2;
    assert!(
        told.contains(&format!("its own is {}", world.container("master"))),
        "{told}"
    );
    let before = (
        world.events(),
        docker(&["inspect", "-f", "{{json .NetworkSettings}}", &copy.name]),
    );
    let passes = |w: &World| {
        let overview: serde_json::Value = serde_json::from_str(&w.cli(&["status", "-o", "json"]).out).unwrap();
        overview["agent"]["passes"].as_u64().unwrap()
    };
    let now = passes(world);
    world.until("it has been looked at several times", |w| passes(w) > now + 3);
    let since = (
        world.events(),
        docker(&["inspect", "-f", "{{json .NetworkSettings}}", &copy.name]),
    );
    assert_eq!(before, since, "neither is touched");
    assert!(world.is_ready());
    // The first look of an agent is a thorough one.
    world.restart_agent();
    world.until("it is told that the copy has the volume too", |w| {
        w.condition("VolumeInUse").2.contains(&copy.name)
    });

    docker(&["kill", &world.container("master")]);
    world.until("nothing is started beside it", |w| is_blocked_by(w, &copy.name));
    assert_eq!(state(&world.container("master")), "exited");
    copy.leave();
    world.until("all is well", |w| {
        w.is_ready() && w.condition("StrayContainer").0.is_empty() && w.condition("VolumeInUse").0.is_empty()
    });
}

#[test]
fn nobody_gets_a_second_server_on_his_volume() {
    let mut world = World::new("beside", 1);
    world.spec["ports"] = serde_json::json!({});
    world.start();
    world.wait_ready();
    world.sql("master", "postgres", "create table t (n int); insert into t values (1)");
    a_renamed_member_gets_its_name_back(&world);
    let volume = world.volume("master", 1);
    let named = format!("{volume}:/data");
    somebody_elses_server_is_named(&world, &named, "/data/pgdata");
    let place = docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", &volume]);
    somebody_elses_server_is_named(&world, &format!("{place}:/data"), "/data/pgdata");
    let root = place.trim_end_matches(&format!("/{volume}/_data")).to_owned();
    let below = format!("/data/{volume}/_data/pgdata");
    somebody_elses_server_is_named(&world, &format!("{root}:/data"), &below);
    who_has_all_volumes_and_serves_nothing_is_not_in_the_way(&world, &root);
    a_copy_is_left_alone_and_named(&mut world);
}
