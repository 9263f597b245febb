//! The agent itself: killed, its memory lost, the engine out of reach, everything stopped at once.

use std::time::{Duration, Instant};

use crate::world::{World, docker, docker_output};

#[test]
fn killed_at_any_moment_of_the_bring_up_it_goes_on_where_it_stopped() {
    let mut world = World::new("kill9", 2);
    world.start();
    // Moments all over the bring-up: each kill comes a little later than the one before.
    for millis in (100..1500).step_by(200) {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(millis) {
            std::thread::yield_now();
        }
        world.restart_agent();
    }
    world.wait_ready();
    assert_eq!(world.volumes().len(), 3, "no volume was made twice");
    assert_eq!(world.cli(&["plan"]).code, 0);
}

#[test]
fn a_lost_state_directory_is_derived_from_the_containers_running_or_not() {
    let mut world = World::ready("amnesia", 2);
    assert_eq!(world.cli(&["promote", "replica-2"]).code, 0);
    world.sql("replica-2", "postgres", "create table t as select 5 as n");
    world.kill_agent();
    std::fs::remove_dir_all(world.state_dir()).unwrap();
    let id = world.container_id("replica-2");
    world.start_agent();
    world.until("the primary is recognised", |w| {
        w.primary() == "replica-2" && w.is_ready()
    });
    assert_eq!(world.container_id("replica-2"), id, "nothing was recreated");

    world.kill_agent();
    std::fs::remove_dir_all(world.state_dir()).unwrap();
    for member in ["replica-1", "master", "replica-2"] {
        docker(&["rm", "-f", "-v", &world.container(member)]);
    }
    world.start_agent();
    world.until("the primary is recognised by its volume", |w| {
        w.primary() == "replica-2" && w.is_ready()
    });
    assert_eq!(world.sql("master", "postgres", "select n from t"), "5");
    assert_eq!(world.volumes().len(), 3, "{:?}", world.volumes());
}

#[test]
fn everything_stopped_at_once_comes_back_with_the_recorded_primary_first() {
    let mut world = World::ready("reboot", 2);
    assert_eq!(world.cli(&["promote", "replica-1"]).code, 0);
    world.sql("replica-1", "postgres", "create table t as select 5 as n");
    // As when the host loses power: the agent and all containers at once.
    world.kill_agent();
    let all: Vec<String> = ["master", "replica-1", "replica-2"]
        .map(|m| world.container(m))
        .to_vec();
    docker(&["kill", &all[0], &all[1], &all[2]]);
    world.start_agent();
    world.wait_ready();
    assert_eq!(world.primary(), "replica-1");
    assert!(
        world.started_at("replica-1") < world.started_at("master"),
        "the primary comes first"
    );
    assert_eq!(world.sql("master", "postgres", "select n from t"), "5");
}

#[test]
fn an_engine_out_of_reach_is_said_and_nothing_is_done_until_it_is_back() {
    let mut world = World::new("blind", 1);
    let proxy = proxy::Proxy::start(&world.dir);
    world.set_env("DOCKER_HOST", &format!("unix://{}", proxy.path().display()));
    world.start();
    world.wait_ready();
    let before = world.started_at("master");
    proxy.cut();
    world.until("the status says so", |w| {
        let (status, reason, _) = w.condition("Ready");
        status == "Unknown" && reason == "EngineUnreachable"
    });
    docker(&["kill", &world.container("replica-1")]);
    let refused = world.cli(&["promote", "replica-1"]);
    assert_eq!(refused.code, 4, "{}{}", refused.out, refused.err);
    proxy.mend();
    world.until("it has recovered", World::is_ready);
    assert_eq!(world.started_at("master"), before);
}

#[test]
fn a_second_agent_on_the_same_state_directory_is_an_error() {
    let world = World::ready("second", 0);
    let manifests = world.dir.join("manifests").display().to_string();
    let second = world.cli(&["run", "-f", &manifests]);
    assert_eq!(second.code, 1);
    assert!(second.err.contains("another agent"), "{}", second.err);
    assert!(world.is_ready(), "the first is not disturbed");
}

#[test]
fn what_no_manifest_declares_any_more_runs_on_until_it_is_deleted() {
    let mut world = World::ready("orphan", 1);
    assert_eq!(
        world.cli(&["delete", &world.name, "--yes"]).code,
        4,
        "it is still declared"
    );
    // A directory without any manifest would count as one that vanished.
    std::fs::write(world.dir.join("manifests/other.yaml"), "# nothing here yet\n").unwrap();
    std::fs::remove_file(world.manifest()).unwrap();
    world.until("it is an orphan", |w| w.condition("ManifestAccepted").1 == "Orphaned");
    docker(&["kill", &world.container("replica-1")]);
    world.until("it is still kept", |w| w.member("replica-1")["state"] == "streaming");
    let name = format!("PostgresCluster/{}", world.name);
    let deleted = world.cli(&["delete", &name, "--yes"]);
    assert_eq!(deleted.code, 0, "{}{}", deleted.out, deleted.err);
    let filter = format!("label=dev.reconciler.name={}", world.name);
    assert_eq!(docker_output(&["ps", "-aq", "--filter", &filter]).out, "");
    assert_eq!(world.volumes().len(), 2, "the data stays");
    // Declared again, it finds its data.
    world.save();
    world.wait_ready();
    std::fs::remove_file(world.manifest()).unwrap();
    world.until("it is an orphan again", |w| {
        w.condition("ManifestAccepted").1 == "Orphaned"
    });
    assert_eq!(world.cli(&["delete", &name, "--yes", "--purge-data"]).code, 0);
    let filter = format!("label=dev.reconciler.name={}", world.name);
    let left = docker(&["volume", "ls", "-q", "--filter", &filter]);
    assert_eq!(left, "", "its claim goes too");
    assert!(world.agent_lives());
}

/// A socket in front of the engine's that can be cut.
mod proxy {
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    pub struct Proxy {
        path: PathBuf,
        is_cut: Arc<AtomicBool>,
        streams: Arc<Mutex<Vec<UnixStream>>>,
    }

    impl Proxy {
        pub fn start(dir: &Path) -> Proxy {
            let path = dir.join("engine.sock");
            let listener = UnixListener::bind(&path).unwrap();
            let is_cut = Arc::new(AtomicBool::new(false));
            let streams = Arc::new(Mutex::new(Vec::new()));
            let (cut, kept) = (Arc::clone(&is_cut), Arc::clone(&streams));
            std::thread::spawn(move || {
                for client in listener.incoming().map_while(Result::ok) {
                    if cut.load(Ordering::SeqCst) {
                        continue;
                    }
                    let engine = UnixStream::connect("/var/run/docker.sock").unwrap();
                    kept.lock()
                        .unwrap()
                        .extend([client.try_clone().unwrap(), engine.try_clone().unwrap()]);
                    pump(client.try_clone().unwrap(), engine.try_clone().unwrap());
                    pump(engine, client);
                }
            });
            Proxy { path, is_cut, streams }
        }

        pub fn path(&self) -> &Path {
            &self.path
        }

        pub fn cut(&self) {
            self.is_cut.store(true, Ordering::SeqCst);
            for stream in self.streams.lock().unwrap().drain(..) {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        }

        pub fn mend(&self) {
            self.is_cut.store(false, Ordering::SeqCst);
        }
    }

    fn pump(mut from: UnixStream, mut to: UnixStream) {
        std::thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
    }
}
