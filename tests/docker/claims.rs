//! Two agents and one cluster: one of them acts, the other says whose it is.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::world::{Output, World, docker, docker_output, run};

/// An agent for the same manifests, with a state directory of its own.
struct Rival<'w> {
    world: &'w World,
    state_dir: PathBuf,
    agent: Option<Child>,
}

impl<'w> Rival<'w> {
    fn start(world: &'w World, state_dir: &str) -> Rival<'w> {
        let mut rival = Rival {
            world,
            state_dir: world.dir.join(state_dir),
            agent: None,
        };
        let log = fs::File::create(world.dir.join(format!("{state_dir}.log"))).unwrap();
        let mut command = rival.command(&["run", "--metrics-address", "none", "-f"]);
        command.arg(world.dir.join("manifests")).env("RECONCILER_LOG", "debug");
        rival.agent = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        rival.until("the rival answers", |r| r.cli(&["status"]).code == 0);
        rival
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconciler"));
        command.arg("--state-dir").arg(&self.state_dir).args(arguments);
        command
    }

    fn cli(&self, arguments: &[&str]) -> Output {
        run(&mut self.command(arguments))
    }

    fn resource(&self) -> Value {
        let output = self.cli(&["status", &self.world.name, "-o", "json"]);
        let overview: Value = serde_json::from_str(&output.out).unwrap_or(Value::Null);
        overview["resources"][0].clone()
    }

    /// The reason and the message of its `Ready`.
    fn ready(&self) -> (String, String) {
        let ready = self.resource()["status"]["conditions"][0].clone();
        let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
        (text("reason"), text("message"))
    }

    fn is_refused(&self, because: &str) -> bool {
        let (reason, message) = self.ready();
        reason == "HeldByAnotherAgent" && message.contains(because)
    }

    fn has_primary(&self, member: &str) -> bool {
        let members = self.resource()["status"]["members"].clone();
        let members = members.as_array().cloned().unwrap_or_default();
        let is_it = members.iter().any(|m| m["name"] == member && m["role"] == "primary");
        is_it && self.ready().0 == "AllMembersReady"
    }

    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        self.world.until(what, |_| holds(self));
    }

    fn end(&mut self) {
        let mut agent = self.agent.take().expect("it runs");
        agent.kill().unwrap();
        agent.wait().unwrap();
    }
}

impl Drop for Rival<'_> {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

fn writers(world: &World) -> usize {
    let is_writer = |member: &&str| world.sql(member, "postgres", "select pg_is_in_recovery()") == "f";
    ["master", "replica-1"]
        .iter()
        .filter(|member| is_writer(member))
        .count()
}

fn held_by(world: &World) -> String {
    let name = format!("reconciler-claim-postgrescluster-{}", world.name);
    let label = "{{index .Labels \"dev.reconciler.agent-state-dir\"}}";
    docker(&["volume", "inspect", "-f", label, &name])
}

/// What must stay as it is, whoever acts.
fn objects(world: &World) -> ([String; 2], Vec<String>, usize) {
    let ids = ["master", "replica-1"].map(|member| world.container_id(member));
    (ids, world.volumes(), writers(world))
}

#[test]
fn of_two_agents_one_acts_and_it_changes_by_a_command_only() {
    let mut world = World::ready("claim", 1);
    let before = objects(&world);
    the_second_leaves_it_alone(&world);
    assert_eq!(objects(&world), before);
    taken_over_and_back(&mut world);
    assert_eq!(objects(&world), before);
    moved_copied_and_lost(&mut world);
    assert_eq!(objects(&world), before);
}

fn the_second_leaves_it_alone(world: &World) {
    let resource = format!("PostgresCluster/{}", world.name);
    let state_dir = world.state_dir().display().to_string();
    let rival = Rival::start(world, "rival");
    rival.until("it says whose the cluster is", |r| r.is_refused(&state_dir));
    let (_, message) = rival.ready();
    assert!(
        message.contains(&format!("`reconciler take-over {resource}`")),
        "{message}"
    );
    let manifests = world.dir.join("manifests").display().to_string();
    for refused in [
        &["promote", "replica-1"][..],
        &["take-over", &resource],
        &["take-over", &resource, "--force"],
        &["restart", &world.name],
        &["delete", &resource, "--yes"],
        &["up", "-f", &manifests],
    ] {
        let output = rival.cli(refused);
        assert_eq!(output.code, 4, "{refused:?}: {}{}", output.out, output.err);
    }
    let plan = rival.cli(&["plan", "-f", &manifests]);
    assert!(
        plan.code == 3 && plan.out.contains(&state_dir),
        "{}{}",
        plan.out,
        plan.err
    );

    // Whoever looks after it goes on as if it were alone, and nobody undoes what it does.
    assert_eq!(world.cli(&["promote", "replica-1"]).code, 0);
    world.wait_ready();
    let passes = |r: &Rival<'_>| {
        let overview: Value = serde_json::from_str(&r.cli(&["status", "-o", "json"]).out).unwrap_or_default();
        overview["agent"]["passes"].as_u64().unwrap_or(0)
    };
    let seen = passes(&rival);
    rival.until("it has looked again", |r| passes(r) > seen + 1);
    assert_eq!((writers(world), world.primary()), (1, "replica-1".to_owned()));
    // A prune takes what nobody mounts: whoever had it makes it again.
    docker(&[
        "volume",
        "rm",
        &format!("reconciler-claim-postgrescluster-{}", world.name),
    ]);
    world.until("it is claimed again", |w| {
        let name = format!("reconciler-claim-postgrescluster-{}", w.name);
        docker_output(&["volume", "inspect", &name]).code == 0
    });
    assert_eq!(held_by(world), state_dir);
}

/// Killed, it may be started again; another one gets the cluster by a command, and takes the world as it is now.
fn taken_over_and_back(world: &mut World) {
    let resource = format!("PostgresCluster/{}", world.name);
    world.kill_agent();
    let rival = Rival::start(world, "rival");
    rival.until("it says that the other does not run", |r| r.is_refused("does not run"));
    let taken = rival.cli(&["take-over", &resource]);
    assert_eq!(taken.code, 0, "{}{}", taken.out, taken.err);
    rival.until("it knows the primary", |r| r.has_primary("replica-1"));
    assert_eq!(held_by(world), rival.state_dir.display().to_string());
    assert_eq!(rival.cli(&["promote", "master"]).code, 0);
    rival.until("all is well", |r| r.has_primary("master"));
    drop(rival);

    // Back: what the first one knew is from before.
    world.start_agent();
    world.until("the first one says whose it is", |w| {
        w.condition("Claimed").1 == "HeldByAnotherAgent"
    });
    let taken = world.cli(&["take-over", &resource]);
    assert_eq!(taken.code, 0, "{}{}", taken.out, taken.err);
    world.until("it knows the new primary", |w| w.primary() == "master" && w.is_ready());
}

/// A directory that was moved goes on, a copy of it does not, and one that was lost is no hindrance.
fn moved_copied_and_lost(world: &mut World) {
    world.kill_agent();
    let here = world.dir.join("rival");
    fs::remove_dir_all(&here).unwrap();
    fs::rename(world.state_dir(), &here).unwrap();
    let mut moved = Rival::start(world, "rival");
    moved.until("it goes on", |r| r.has_primary("master"));
    assert_eq!(held_by(world), here.display().to_string());
    let copied = Command::new("cp")
        .arg("-a")
        .arg(&here)
        .arg(world.dir.join("copy"))
        .status();
    assert!(copied.unwrap().success());
    let copy = Rival::start(world, "copy");
    copy.until("the copy is told apart", |r| r.is_refused(&here.display().to_string()));
    moved.end();
    fs::remove_dir_all(&here).unwrap();
    copy.until("nobody else is left", |r| r.has_primary("master"));
}
