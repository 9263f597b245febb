//! Objects of others: never touched, and named when they are in the way.

use std::net::TcpListener;

use crate::world::{World, docker, docker_output, image};

/// A foreign container, removed at the end.
struct Foreign(String);

impl Foreign {
    fn run(name: &str, more: &[&str]) -> Foreign {
        let image = image();
        let mut arguments = vec![
            "run",
            "-d",
            "--name",
            name,
            "--label",
            "dev-test=docker",
            "--entrypoint",
            "sleep",
        ];
        arguments.extend(more);
        arguments.extend([image.as_str(), "600"]);
        docker(&arguments);
        Foreign(name.to_owned())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        docker_output(&["rm", "-f", "-v", &self.0]);
    }
}

fn blocked(world: &World, reason: &str, words: &[&str]) -> bool {
    let (status, found, message) = world.condition("Ready");
    status == "False" && found == reason && words.iter().all(|word| message.contains(word))
}

#[test]
fn a_taken_name_is_reported_and_its_holder_left_alone() {
    let mut world = World::new("name", 0);
    let name = world.container("master");
    let foreign = Foreign::run(&name, &[]);
    let before = docker(&["inspect", "-f", "{{.Id}} {{.State.StartedAt}}", &name]);
    world.start();
    world.until("the holder is named", |w| {
        blocked(w, "NameTaken", &[&name, "does not belong"])
    });
    assert_eq!(
        docker(&["inspect", "-f", "{{.Id}} {{.State.StartedAt}}", &name]),
        before
    );
    drop(foreign);
    world.wait_ready();
}

#[test]
fn a_taken_port_is_reported_with_the_container_or_process_that_holds_it() {
    let mut world = World::new("port", 0);
    let port = world.base_port.to_string();
    let holder = format!("{}-holder", world.name);
    let foreign = Foreign::run(&holder, &["-p", &format!("127.0.0.1:{port}:5432")]);
    world.start();
    world.until("the container is named", |w| blocked(w, "PortTaken", &[&port, &holder]));
    assert_eq!(docker(&["inspect", "-f", "{{.State.Running}}", &holder]), "true");
    drop(foreign);
    world.wait_ready();

    assert_eq!(world.cli(&["pause", &world.name]).code, 0);
    docker(&["stop", "-t", "20", &world.container("master")]);
    let listener = TcpListener::bind(("127.0.0.1", world.base_port)).unwrap();
    assert_eq!(world.cli(&["resume", &world.name]).code, 0);
    let process = std::process::id().to_string();
    world.until("the process is named", |w| {
        let events = w.events();
        events
            .lines()
            .any(|line| line.contains(&port) && line.contains(&process))
    });
    drop(listener);
    world.wait_ready();
}

#[test]
fn foreign_volumes_and_networks_of_a_wanted_name_are_not_used() {
    let mut world = World::new("vol", 0);
    let (volume, network) = (world.volume("master", 1), world.network());
    docker(&["volume", "create", "--label", "dev-test=docker", &volume]);
    docker(&["network", "create", "--label", "dev-test=docker", &network]);
    world.start();
    world.until("the network is reported", |w| blocked(w, "NameTaken", &[&network]));
    docker(&["network", "rm", &network]);
    world.until("the volume is reported", |w| blocked(w, "NameTaken", &[&volume]));
    assert!(
        docker_output(&["inspect", &world.container("master")]).code != 0,
        "no container was made"
    );
    docker(&["volume", "rm", &volume]);
    world.wait_ready();
}

#[test]
fn a_neighbour_survives_the_deletion_of_a_cluster_next_door() {
    let mut world = World::ready("next", 0);
    let name = format!("{}-neighbour", world.name);
    let _foreign = Foreign::run(&name, &[]);
    std::fs::write(world.dir.join("manifests/other.yaml"), "# nothing here yet\n").unwrap();
    std::fs::remove_file(world.manifest()).unwrap();
    world.until("it is an orphan", |w| w.condition("ManifestAccepted").1 == "Orphaned");
    let deleted = world.cli(&["delete", &world.name, "--yes", "--purge-data"]);
    assert_eq!(deleted.code, 0, "{}{}", deleted.out, deleted.err);
    assert_eq!(docker(&["inspect", "-f", "{{.State.Running}}", &name]), "true");
    assert_eq!(world.volumes().len(), 0);
    assert!(world.agent_lives());
}
