//! The engine itself goes down and comes back. For that there is an engine of the test's own: beside it the others go on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::world::{World, docker_output, image, on_engine, until};

/// The second engine's own default bridge; nothing is attached to it.
const BRIDGE: &str = "reconciler-test";

/// A second Docker engine on this host.
struct Engine {
    dir: PathBuf,
    daemon: Child,
}

impl Engine {
    fn start(dir: PathBuf) -> Engine {
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("daemon.json"), "{}").unwrap();
        run("ip", &["link", "delete", BRIDGE]);
        run("ip", &["link", "add", "name", BRIDGE, "type", "bridge"]);
        run("ip", &["address", "add", "198.18.255.1/24", "dev", BRIDGE]);
        let daemon = Engine::spawn(&dir);
        let engine = Engine { dir, daemon };
        engine.wait();
        let load = format!("docker save {} | docker -H {} load", image(), engine.host());
        let loaded = Command::new("sh")
            .args(["-c", &load])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(loaded.success(), "the image is loaded");
        engine
    }

    fn spawn(dir: &Path) -> Child {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(dir.join("log"))
            .unwrap();
        let driver = docker_output(&["info", "-f", "{{.Driver}}"]).out;
        let path = |name: &str| dir.join(name).display().to_string();
        Command::new("dockerd")
            .args(["--config-file", &path("daemon.json"), "--storage-driver", driver.trim()])
            .args(["-H", &format!("unix://{}", path("docker.sock"))])
            .args([
                "--data-root",
                &path("data"),
                "--exec-root",
                &path("exec"),
                "-p",
                &path("pid"),
            ])
            // The engine beside it owns the host's rules and `docker0`, which `--bridge none` would remove.
            .args(["--bridge", BRIDGE, "--iptables=false", "--ip6tables=false"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn host(&self) -> String {
        format!("unix://{}", self.dir.join("docker.sock").display())
    }

    fn wait(&self) {
        let version = || Command::new("docker").args(["-H", &self.host(), "version"]).output();
        until("the engine answers", || {
            version().is_ok_and(|answer| answer.status.success())
        });
    }

    /// As when the engine crashes: its containers die with it, or are found dead.
    fn crash(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
        // The next engine would take one that is just dying for one that lives.
        self.end_containerd("KILL");
    }

    fn end_containerd(&self, how: &str) {
        let pid = fs::read_to_string(self.dir.join("exec/containerd/containerd.pid")).unwrap_or_default();
        let Ok(pid) = pid.trim().parse::<u32>() else { return };
        signal(how, pid);
        until("containerd has ended", || {
            !self.dir.join(format!("/proc/{pid}")).exists()
        });
    }

    fn stop(&mut self) {
        signal("TERM", self.daemon.id());
        self.daemon.wait().unwrap();
    }

    fn come_back(&mut self) {
        self.daemon = Engine::spawn(&self.dir);
        self.wait();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.dir.join("log")).unwrap_or_default());
        }
        self.stop();
        self.end_containerd("TERM");
        on_engine(None);
        run("ip", &["link", "delete", BRIDGE]);
        // What a crashed engine had mounted, and the directory that every engine mounts onto itself.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let ours = |place: &&str| Path::new(place).starts_with(&self.dir);
        for place in mounts
            .lines()
            .rev()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(ours)
        {
            run("umount", &["-l", place]);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Runs a program; whether it succeeds is seen by what comes after it.
fn run(program: &str, arguments: &[&str]) {
    let _ = Command::new(program).args(arguments).stderr(Stdio::null()).status();
}

fn signal(name: &str, pid: u32) {
    run("kill", &["-s", name, &pid.to_string()]);
}

#[test]
fn a_cluster_survives_its_engine_being_restarted_and_killed() {
    // No replica: the engine beside it forbids containers of others to talk to each other.
    let mut world = World::new("engine", 0);
    let mut engine = Engine::start(world.dir.join("engine"));
    on_engine(Some(engine.host()));
    world.set_env("DOCKER_HOST", &engine.host());
    world.start();
    world.wait_ready();
    world.sql("master", "postgres", "create table t (n int)");
    for (round, crash) in [false, true].into_iter().enumerate() {
        let inserted = world.sql(
            "master",
            "postgres",
            &format!("insert into t values ({round}) returning n"),
        );
        assert_eq!(inserted, round.to_string());
        if crash {
            engine.crash()
        } else {
            engine.stop()
        }
        world.until("the status says so", |w| w.condition("Ready").1 == "EngineUnreachable");
        engine.come_back();
        world.wait_ready();
        assert_eq!(world.primary(), "master");
    }
    assert_eq!(world.sql("master", "postgres", "select count(*) from t"), "2");
    assert_eq!(world.volumes().len(), 1);
    drop(world);
    drop(engine);
}
