//! Commands of a test, and which engine those to Docker go to.

use std::cell::Cell;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::world::{DEADLINE, POLL};

/// What a command came to.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub out: String,
    pub err: String,
}

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

/// The first of `count` ports that are free now. Tests of one run start apart, so that they do not meet.
pub fn free_ports(count: u16) -> u16 {
    let start = 20_000 + u16::try_from(std::process::id() % 1_500).unwrap() * 16;
    (0..100)
        .map(|n| start.wrapping_add(n * 16) % 40_000 + 20_000)
        .find(|base| (0..count).all(|n| TcpListener::bind(("127.0.0.1", base + n)).is_ok()))
        .expect("free ports")
}

/// Puts a text under a path by a rename.
pub fn replace(path: &Path, text: &str) {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, text).unwrap();
    fs::rename(&temporary, path).unwrap();
}

pub fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The image under test.
pub fn image() -> String {
    std::env::var("RECONCILER_TEST_IMAGE").unwrap_or_else(|_| "postgres:17".to_owned())
}
