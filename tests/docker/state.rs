//! The state directory: removed, replaced or in part gone under a living agent; and what a document leaves behind that was
//! renamed before its resource was there.

use std::fs;

use serde_json::{Value, json};

use crate::world::{World, docker, docker_output, replace};

const ROLES: [&str; 3] = ["app", "postgres", "replicator"];

fn passwords(world: &World) -> [String; 3] {
    ROLES.map(|role| fs::read_to_string(world.secret(role)).unwrap_or_default())
}

fn is_whole(world: &World, wanted: &[String; 3]) -> bool {
    let record = world.state_dir().join("resources");
    let record = record.join(format!("PostgresCluster.{}.json", world.name));
    passwords(world) == *wanted && record.exists() && world.cli(&["status"]).code == 0
}

#[test]
fn a_state_directory_that_is_lost_under_a_living_agent_is_written_again_and_no_password_changes() {
    let mut world = World::new("state", 1);
    world.spec["roles"] = json!([{"name": "app"}]);
    world.start();
    world.wait_ready();
    let first = passwords(&world);
    let before = ["master", "replica-1"].map(|member| world.started_at(member));
    for part in ["", "secrets", "resources", "agent.sock", "lock"] {
        let path = world.state_dir().join(part);
        let removed = match path.is_dir() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        removed.unwrap();
        world.until(&format!("`{part}` is there again"), |w| is_whole(w, &first));
    }
    assert!(world.agent_lives());
    world.wait_ready();

    // What the agent was not there to keep: members have theirs, of a user's it is said.
    world.kill_agent();
    ROLES
        .iter()
        .for_each(|role| fs::remove_file(world.secret(role)).unwrap());
    world.start_agent();
    world.until("the members' passwords are found again", |w| {
        passwords(w)[1..] == first[1..]
    });
    world.until("the lost one is told", |w| w.condition("PasswordLost").0 == "True");
    world.wait_ready();
    replace(&world.secret("app"), &first[0]);
    world.until("it is known again", |w| w.condition("PasswordLost").0.is_empty());
    assert!(!world.events().contains("alter role"), "{}", world.events());
    assert_eq!(["master", "replica-1"].map(|member| world.started_at(member)), before);

    // Another agent's directory in its place: nothing is written into it.
    fs::rename(world.state_dir(), world.dir.join("away")).unwrap();
    fs::create_dir(world.state_dir()).unwrap();
    fs::write(world.state_dir().join("agent-id"), "another\n").unwrap();
    let mut code = None;
    for _ in 0..600 {
        code = code.or_else(|| world.agent_code());
        std::thread::sleep(std::time::Duration::from_millis(if code.is_some() { 0 } else { 100 }));
    }
    assert_eq!(code, Some(1), "it ends with a clear word");
    let log = world.agent_log();
    assert!(
        log.contains("replaced by the state directory of another agent"),
        "{log}"
    );
    assert!(!world.state_dir().join("resources").exists());
}

#[test]
fn a_name_that_was_changed_and_changed_back_leaves_nothing_behind() {
    let mut world = World::ready("ghost", 0);
    let resources = |w: &World| -> Vec<String> {
        let overview: Value = serde_json::from_str(&w.cli(&["status", "-o", "json"]).out).unwrap_or_default();
        let all = overview["resources"].as_array().cloned().unwrap_or_default();
        all.iter()
            .map(|r| r["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let ghost = format!("{}-b", world.name);
    let first = std::mem::replace(&mut world.name, ghost.clone());
    world.save();
    world.until("the port is in its way", |w| w.condition("Ready").1 == "PortTaken");
    world.name = first;
    world.save();
    let filter = format!("label=dev.reconciler.name={ghost}");
    world.until("it is forgotten", |w| {
        resources(w) == [w.name.clone()] && docker(&["network", "ls", "-q", "--filter", &filter]).is_empty()
    });
    world.wait_ready();
    // Its port is free for a moment.
    docker(&["kill", &world.container("master")]);
    world.until("it runs again", |w| {
        let state = docker_output(&["inspect", "-f", "{{.State.Running}}", &w.container("master")]);
        state.out.trim() == "true" && w.is_ready()
    });
    let left = docker(&["volume", "ls", "-q", "--filter", &filter]);
    assert_eq!((left.as_str(), resources(&world)), ("", vec![world.name.clone()]));
}
