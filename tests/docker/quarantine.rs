//! What becomes of volumes that were replaced, and re-seeds that somebody asks for.

use serde_json::{Value, json};

use crate::world::{Output, World, docker, image};

fn volume(world: &World, name: &str) -> Value {
    let listed = world.cli(&["volumes", &world.name, "-o", "json"]);
    let all: Value = serde_json::from_str(&listed.out).unwrap_or(Value::Null);
    let all = all.as_array().cloned().unwrap_or_default();
    all.into_iter().find(|v| v["name"] == name).unwrap_or(Value::Null)
}

fn assert_ok(output: &Output) {
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
}

#[test]
fn a_reseed_is_asked_for_and_its_old_volume_is_held_until_there_is_no_room_for_it() {
    let mut world = World::ready("asked", 1);
    let refused = world.cli(&["reseed", "master"]);
    assert_eq!(refused.code, 4, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("is the primary"), "{}", refused.err);
    let refused = world.cli(&["reseed", "replica-1"]);
    assert_eq!(refused.code, 4, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("--force"), "{}", refused.err);
    let refused = world.cli(&["reseed", "replica-1", "--force", "--method", "rewind"]);
    assert!(refused.err.contains("cannot be rewound"), "{}", refused.err);
    let done = world.cli(&["reseed", "replica-1", "--force", "--method", "clone"]);
    assert_ok(&done);
    assert!(done.out.contains("re-seeding replica-1 by clone"), "{}", done.out);
    let (old, new) = (world.volume("replica-1", 1), world.volume("replica-1", 2));
    assert_eq!(volume(&world, &new)["state"], "in use");
    let held = volume(&world, &old);
    assert_eq!(held["state"], "quarantined", "{held}");
    assert!(
        held["until"].is_i64() && held["bytes"].as_u64() > Some(1 << 20),
        "{held}"
    );
    world.edit(|spec| spec["storage"] = json!({"quarantine": {"maxSize": "1MiB"}}));
    world.until("it makes room", |w| !w.volumes().contains(&w.volume("replica-1", 1)));
    assert!(world.events().contains("maxSize"), "{}", world.events());
}

#[test]
fn the_last_copy_of_writes_goes_only_when_somebody_says_so() {
    let mut world = World::new("lastcopy", 1);
    world.spec["storage"] = json!({"quarantine": {"retention": "0s"}});
    world.start();
    world.wait_ready();
    world.sql("replica-1", "postgres", "select pg_promote()");
    world.sql("replica-1", "postgres", "create table mine (n int)");
    world.wait_event("two members must not accept writes");
    world.until("it streams", |w| {
        w.member("replica-1")["state"] == "streaming" && w.is_ready()
    });
    let (old, new) = (world.volume("replica-1", 1), world.volume("replica-1", 2));
    assert_eq!(volume(&world, &old)["state"], "kept");
    let refused = world.cli(&["volumes", "rm", &new, "--yes"]);
    assert_eq!(refused.code, 4, "{}{}", refused.out, refused.err);
    let asked = world.cli(&["volumes", "rm", &old]);
    assert_eq!(asked.code, 4, "nobody was there to answer: {}{}", asked.out, asked.err);
    assert!(asked.err.contains("may be nowhere else"), "{}", asked.err);
    assert!(world.volumes().contains(&old));
    assert_ok(&world.cli(&["volumes", "rm", &old, "--yes"]));
    assert!(!world.volumes().contains(&old));
    assert!(world.volumes().contains(&new));
}

#[test]
fn a_seed_that_fails_over_and_over_asks_for_a_human_and_goes_on_when_the_cause_is_gone() {
    let world = World::ready("human", 1);
    assert_ok(&world.cli(&["pause", &world.name]));
    let name = world.volume("replica-1", 1);
    let labels = docker(&[
        "volume",
        "inspect",
        "-f",
        "{{range $k, $v := .Labels}}{{$k}}={{$v}}\n{{end}}",
        &name,
    ]);
    docker(&["rm", "-f", "-v", &world.container("replica-1")]);
    docker(&["volume", "rm", &name]);
    // A volume that the server's user cannot write to.
    let labels: Vec<String> = labels
        .lines()
        .filter(|l| !l.is_empty())
        .map(|l| format!("--label={l}"))
        .collect();
    let mut create = vec!["volume", "create"];
    create.extend(labels.iter().map(String::as_str));
    create.push(&name);
    docker(&create);
    let as_root = |script: &str| {
        let mount = format!("{name}:/volume");
        let label = "dev-test=docker";
        docker(&[
            "run",
            "--rm",
            "--label",
            label,
            "-u",
            "root",
            "-v",
            &mount,
            "--entrypoint",
            "sh",
            &image(),
            "-c",
            script,
        ]);
    };
    as_root("touch /volume/kept; chown -R root /volume; chmod 755 /volume");
    assert_ok(&world.cli(&["resume", &world.name]));
    // Between two looks it may try once more.
    world.until("somebody is asked", |w| {
        w.condition("NeedsHuman").0 == "True" && w.condition("Ready").1 == "NeedsHuman"
    });
    let (_, _, message) = world.condition("Ready");
    assert!(message.contains("reconciler reseed replica-1"), "{message}");
    as_root("chown -R postgres /volume");
    assert_ok(&world.cli(&["reseed", "replica-1"]));
    assert!(world.is_ready());
    assert_eq!(world.condition("NeedsHuman").0, "");
}
