//! The newest engine that is supported, on a machine of its own: a container with its own processes, mounts, control groups
//! and network, so that its rules and those of the host's engine do not meet. The agent runs on that machine too.

use std::fs;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::versions;
use crate::world::{PROGRAM, World, docker, docker_output, image, on_engine, until};

/// What `tests/images/engine` makes.
const IMAGE: &str = "reconciler-engine:28";

/// A machine with an engine. It ends when its standard input does, also when this process is killed; the host's engine then
/// removes it and its volume.
struct Machine {
    name: String,
    container: Child,
    input: Option<ChildStdin>,
    socket: String,
    log: std::path::PathBuf,
}

impl Machine {
    /// A machine that shares a world's directory, with its image in its engine.
    fn start(world: &World) -> Machine {
        let name = format!("{}-machine", world.name);
        let shared = world.dir.display().to_string();
        let socket = format!("unix://{shared}/engine.sock");
        let log = world.dir.join("engine.log");
        let file = fs::File::create(&log).unwrap();
        let mut command = Command::new("docker");
        command.args(["run", "--rm", "-i", "--name", &name, "--label", "dev-test=docker"]);
        // Nothing leads out of it. The engine makes bridges and mounts, and gives its containers devices.
        command.args(["--network", "none", "--device-cgroup-rule", "a *:* rwm"]);
        command.args(["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH"].map(|cap| format!("--cap-add={cap}")));
        command.args(["seccomp", "apparmor", "systempaths"].map(|what| format!("--security-opt={what}=unconfined")));
        command.args([
            "-v",
            &format!("{shared}:{shared}"),
            "-v",
            &format!("{PROGRAM}:{PROGRAM}:ro"),
        ]);
        command.args(["-v", "/sys/fs/cgroup:/sys/fs/cgroup", IMAGE, "-H", &socket]);
        command
            .stdin(Stdio::piped())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        let mut container = command.spawn().unwrap();
        let input = container.stdin.take();
        let machine = Machine {
            name,
            container,
            input,
            socket,
            log,
        };
        until("the machine's engine answers", || machine.docker(&["version"]));
        let load = format!("docker save {} | docker -H {} load", image(), machine.socket);
        let loaded = Command::new("sh").args(["-c", &load]).stdout(Stdio::null()).status();
        assert!(loaded.unwrap().success(), "the image is loaded");
        machine
    }

    fn docker(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new("docker");
        let output = command.args(["-H", &self.socket]).args(arguments).output();
        output.unwrap().status.success()
    }

    /// What runs a program on the machine. Neither outlives the other.
    fn launcher(&self) -> Vec<String> {
        let pid = docker(&["inspect", "-f", "{{.State.Pid}}", &self.name]);
        let words = [
            "nsenter",
            "-m",
            "-n",
            "-p",
            "-t",
            &pid,
            "--",
            "setpriv",
            "--pdeathsig",
            "KILL",
            "--",
        ];
        words.map(str::to_owned).to_vec()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
        on_engine(None);
        drop(self.input.take());
        let _ = self.container.wait();
        docker_output(&["rm", "-f", "-v", &self.name]);
    }
}

#[test]
fn the_newest_engine_keeps_a_cluster_through_its_life_and_lets_it_go() {
    // Declared before the world and so dropped after it: the world looks at its containers when it has failed.
    let machine;
    let mut world = World::new("engine28", 1);
    machine = Machine::start(&world);
    world.launch_by(machine.launcher());
    world.set_env("DOCKER_HOST", &machine.socket);
    on_engine(Some(machine.socket.clone()));
    assert!(docker(&["version", "-f", "{{.Server.Version}}"]).starts_with("28."));
    versions::live(&mut world);

    fs::write(world.dir.join("manifests/other.yaml"), "# nothing here\n").unwrap();
    fs::remove_file(world.manifest()).unwrap();
    world.until("it is an orphan", |w| w.condition("ManifestAccepted").1 == "Orphaned");
    let deleted = world.cli(&["delete", &world.name, "--yes", "--purge-data"]);
    assert_eq!(deleted.code, 0, "{}{}", deleted.out, deleted.err);
    for list in [&["ps", "-aq"][..], &["volume", "ls", "-q"], &["network", "ls", "-q"]] {
        let filter = format!("label=dev.reconciler.name={}", world.name);
        assert_eq!(docker(&[list, &["--filter", &filter]].concat()), "", "{list:?}");
    }
}
