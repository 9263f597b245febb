//! Docker commands of a test, and which engine they go to.

use std::cell::Cell;
use std::process::Command;
use std::time::Instant;

use crate::world::{DEADLINE, Output, POLL, image, run};

/// Runs docker and returns what it printed; it must succeed.
pub fn docker(arguments: &[&str]) -> String {
    let output = docker_output(arguments);
    assert_eq!(output.code, 0, "docker {arguments:?}: {}", output.err);
    output.out.trim().to_owned()
}

/// Runs docker.
pub fn docker_output(arguments: &[&str]) -> Output {
    let mut command = Command::new("docker");
    if let Some(host) = ENGINE.take() {
        command.args(["-H", &host]);
        ENGINE.set(Some(host));
    }
    run(command.args(arguments))
}

/// Runs a script as the server's user beside a volume that is mounted as `-v` says. What it printed; it must succeed.
pub fn in_volume(mount: &str, script: &str) -> String {
    let label = "dev-test=docker";
    let run = ["run", "--rm", "--network", "none", "--label", label, "-u", "postgres"];
    docker(&[&run[..], &["-v", mount, "--entrypoint", "sh", &image(), "-c", script]].concat())
}

/// Removes everything that carries a resource's name.
pub fn sweep(name: &str) {
    let filter = format!("label=dev.reconciler.name={name}");
    let list = |what: &[&str]| docker_output(&[what, &["--filter", &filter]].concat()).out;
    for container in list(&["ps", "-aq"]).lines() {
        docker_output(&["rm", "-f", "-v", container]);
    }
    for volume in list(&["volume", "ls", "-q"]).lines() {
        docker_output(&["volume", "rm", volume]);
    }
    for network in list(&["network", "ls", "-q"]).lines() {
        docker_output(&["network", "rm", network]);
    }
}

thread_local! {
    /// The engine that this test's containers live on, where it is not the host's.
    static ENGINE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Sets the engine that this test's docker commands go to.
pub fn on_engine(host: Option<String>) {
    ENGINE.set(host);
}

/// Waits until something holds that has to do with no world.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < DEADLINE, "waited in vain until {what}");
        std::thread::sleep(POLL);
    }
}
