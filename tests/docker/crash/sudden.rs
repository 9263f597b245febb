//! The agent as its users run it, killed by SIGKILL at moments that nobody chose, whatever it is doing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::promotion::writer::{Writer, missing};
use crate::world::{World, docker, docker_output};

const ROUNDS: u64 = 12;

/// Numbers from a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn seed() -> u64 {
    let given = std::env::var("RECONCILER_TEST_SEED").ok();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() % 1_000_000;
    given.map_or_else(|| u64::try_from(now()).unwrap(), |text| text.parse().unwrap())
}

/// Begins something, and waits for nothing.
fn begin(world: &mut World, what: u64, round: u64) {
    match what {
        0 => {
            let target = ["master", "replica-1"][usize::from(world.primary() == "master")];
            let mut command = world.spawn(&["promote", target]);
            // It is the agent's from here on; the command only watches.
            std::thread::sleep(Duration::from_millis(60));
            let _ = command.kill();
            let _ = command.wait();
        }
        1 => world.edit(|spec| spec["parameters"]["log_min_duration_statement"] = json!(format!("{}ms", 100 + round))),
        2 => world.edit(|spec| spec["parameters"]["max_prepared_transactions"] = json!(round)),
        3 => world.edit(|spec| spec["replicas"] = json!(3 - spec["replicas"].as_u64().unwrap())),
        4 => drop(docker_output(&["kill", &world.container("replica-1")])),
        _ => drop(docker_output(&["kill", &world.container("master")])),
    }
}

#[test]
fn killed_at_random_moments_of_everything_it_loses_nothing() {
    let seed = seed();
    println!("RECONCILER_TEST_SEED={seed}");
    let mut chance = Chance(seed);
    let mut world = World::ready("sudden", 1);
    let writer = Writer::start(&world, &["master", "replica-1", "replica-2"]);
    for round in 0..ROUNDS {
        let (what, millis) = (chance.below(6), chance.below(900));
        println!("round {round}: {what}, killed after {millis} ms");
        begin(&mut world, what, round);
        std::thread::sleep(Duration::from_millis(millis));
        world.restart_agent();
        // Every other time the next thing comes before this one is over.
        if chance.below(2) == 0 {
            world.wait_ready();
        }
    }
    world.wait_ready();
    let reached = writer.acknowledged();
    writer.wait_for(reached + 20);
    let ids = writer.stop();
    let members: Vec<String> = std::iter::once("master".to_owned())
        .chain((1..=world.spec["replicas"].as_u64().unwrap()).map(|n| format!("replica-{n}")))
        .collect();
    let lost = missing(&world, &world.primary(), &ids);
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let writable = members
        .iter()
        .filter(|m| world.sql(m, "postgres", "select pg_is_in_recovery()") == "f");
    assert_eq!(writable.count(), 1);
    let filter = format!("name={}-", world.name);
    let containers = docker(&["ps", "-a", "--format", "{{.Names}}", "--filter", &filter]);
    assert_eq!(containers.lines().count(), members.len(), "{containers}");
}
