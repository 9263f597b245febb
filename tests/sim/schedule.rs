//! A run from a seed: a cluster comes up, accidents strike and people act for some minutes, then all of that ends, and the
//! world must come to rest.

use std::rc::Rc;

use reconciler::kinds::Request;
use serde_json::{Value, json};

use super::accidents::Accident;
use super::mischief;
use super::rng::Rng;
use super::stage::{Outcome, Played, Stage, play};
use super::world::{Pace, World};

/// What befalls members, and how often in comparison.
const ACCIDENTS: [(u64, Accident); 29] = [
    (14, Accident::Killed),
    (4, Accident::OutOfMemory),
    (6, Accident::Crashed),
    (8, Accident::Stopped),
    (8, Accident::Started),
    (4, Accident::Restarted),
    (5, Accident::Paused),
    (7, Accident::Removed),
    (5, Accident::VolumeRemoved),
    (5, Accident::Disconnected),
    (6, Accident::Frozen),
    (4, Accident::Thawed),
    (2, Accident::Hung),
    (6, Accident::Slow),
    (3, Accident::Full),
    (4, Accident::Lagging),
    (3, Accident::Damaged),
    (4, Accident::Altered),
    (4, Accident::SlotDropped),
    (3, Accident::PromotedByHand),
    (3, Accident::ReplayPaused),
    (4, Accident::Bulk),
    (2, Accident::PasswordChanged),
    (4, Accident::Renamed),
    (3, Accident::Occupied),
    (2, Accident::Copied),
    (2, Accident::CopyRuns),
    (4, Accident::ArchiverFrozen),
    (2, Accident::SlotMade),
];

/// What people do beside that, and how often in comparison.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Accident,
    Promote,
    ForcePromote,
    Restart,
    Pause,
    EngineRestart,
    EngineStall,
    HostBusy,
    AgentDies,
    StateLost,
    PrimaryLost,
    FurthestLost,
    HelpedAlong,
    Occupied,
    PutBack,
    Edit,
    SecondAgent,
    ClaimLost,
    Renamed,
}

const DEEDS: [(u64, Deed); 19] = [
    (45, Deed::Accident),
    (15, Deed::Promote),
    (5, Deed::ForcePromote),
    (4, Deed::Restart),
    (3, Deed::Pause),
    (3, Deed::EngineRestart),
    (3, Deed::EngineStall),
    (3, Deed::HostBusy),
    (8, Deed::AgentDies),
    (2, Deed::StateLost),
    (4, Deed::PrimaryLost),
    (4, Deed::FurthestLost),
    (2, Deed::HelpedAlong),
    (4, Deed::Occupied),
    (5, Deed::PutBack),
    (12, Deed::Edit),
    (4, Deed::SecondAgent),
    (2, Deed::ClaimLost),
    (3, Deed::Renamed),
];

/// Runs the schedule of a seed.
pub fn run(seed: u64, is_told: bool) -> Outcome {
    let mut rng = Rng::new(seed);
    let pace = pace(&mut rng);
    let script = rng.clone();
    play(rng, pace, is_told, async move |stage| perform(stage, script).await)
}

/// Draws how long things take.
fn pace(rng: &mut Rng) -> Pace {
    let slow = if rng.chance(150) { 4 } else { 1 };
    Pace {
        start: (150 * slow, 500 * slow),
        initdb: (300, 1_500),
        seed: (200, 1_500 * slow),
        stop: (20, 200 * slow),
        ending: (1, 150 * slow),
        recovery: (0, if rng.chance(100) { 90_000 } else { 800 * slow }),
        promotion: (20, 120 * slow),
        lag: (0, if rng.chance(300) { 400 } else { 10 }),
        checkpoint: (300, 40_000),
        tick: 40 + rng.below(160),
        segment: if rng.chance(500) { 1 << 20 } else { 16 << 20 },
    }
}

async fn perform(stage: &Rc<Stage>, mut rng: Rng) -> Played {
    let replicas = 1 + rng.below(3);
    let keeps_little = rng.chance(300);
    stage.host.with(|world| world.add_neighbours());
    stage.edit(&format!("{replicas} replicas"), |spec| {
        *spec = first_spec(replicas, keeps_little, &mut rng);
    });
    if rng.chance(300) {
        // From the first moment on.
        stage.host.with(|world| world.faults.are_on = true);
        stage.pass(rng.below(5_000)).await?;
    } else {
        stage.bring_up().await?;
        stage.host.with(|world| world.faults.are_on = true);
    }
    for _ in 0..rng.below(9) {
        let pause = if rng.chance(600) {
            rng.below(1_500)
        } else {
            rng.below(15_000)
        };
        stage.pass(pause).await?;
        match weighted(&mut rng, &DEEDS) {
            Deed::FurthestLost => mischief::the_furthest_is_out_of_reach(stage, &mut rng).await?,
            Deed::PutBack => mischief::an_older_copy_is_put_back(stage, &mut rng).await?,
            Deed::HelpedAlong => {
                let target = some_member(stage, &mut rng);
                mischief::a_target_is_promoted_by_hand(stage, &mut rng, target).await?;
            }
            Deed::Occupied => mischief::somebody_is_on_a_volume(stage, &mut rng).await?,
            Deed::SecondAgent => mischief::a_second_agent_comes(stage, &mut rng).await?,
            Deed::Renamed => mischief::a_name_is_changed_and_changed_back(stage, &mut rng).await?,
            deed => strike(stage, &mut rng, deed),
        }
    }
    stage.pass(rng.below(5_000)).await?;
    end_of_faults(stage);
    stage.settle().await
}

fn first_spec(replicas: u64, keeps_little: bool, rng: &mut Rng) -> Value {
    let mut spec = json!({
        "image": "postgres:17",
        "replicas": replicas,
        "parameters": {"max_connections": "100", "work_mem": "4MB"},
        "databases": [{"name": "app", "owner": "app", "extensions": ["pg_trgm"]}],
        "roles": [{"name": "app"}],
        "stopGracePeriod": if rng.chance(200) { "2s" } else { "20s" },
        "storage": {"onScaleDown": if rng.chance(500) { "Delete" } else { "Keep" }},
    });
    let mut replication = json!({});
    if keeps_little {
        replication["maxSlotWalKeepSize"] = json!("1GiB");
    }
    if rng.chance(350) {
        replication["mode"] = json!("synchronous");
        replication["method"] = json!(if rng.chance(700) { "any" } else { "first" });
        replication["number"] = json!(rng.between((1, replicas.min(2))));
        replication["durability"] = json!(if rng.chance(500) { "required" } else { "preferred" });
    }
    spec["replication"] = replication;
    if rng.chance(400) {
        let delay = if rng.chance(700) { "0s" } else { "3s" };
        spec["failover"] = json!({"mode": "automatic", "delay": delay});
    }
    if rng.chance(300) {
        spec["storage"]["quarantine"] = json!({"retention": "0s"});
    }
    if rng.chance(300) {
        spec["updateStrategy"] = json!({"primary": "Switchover"});
    }
    spec
}

fn weighted<T: Copy>(rng: &mut Rng, of: &[(u64, T)]) -> T {
    let mut at = rng.below(of.iter().map(|(weight, _)| weight).sum());
    for (weight, one) in of {
        if at < *weight {
            return *one;
        }
        at -= weight;
    }
    of[0].1
}

fn some_member(stage: &Stage, rng: &mut Rng) -> String {
    let members = 1 + stage.spec()["replicas"].as_u64().unwrap_or(0);
    match rng.below(members) {
        0 => "master".to_owned(),
        number => format!("replica-{number}"),
    }
}

fn strike(stage: &Stage, rng: &mut Rng, deed: Deed) {
    let some_member = |rng: &mut Rng| some_member(stage, rng);
    match deed {
        // They take their time.
        Deed::FurthestLost | Deed::HelpedAlong | Deed::Occupied | Deed::PutBack | Deed::SecondAgent | Deed::Renamed => {
        }
        // `docker volume prune`: nobody mounts it.
        Deed::ClaimLost => stage.host.with(|world| world.claims.clear()),
        Deed::Accident => {
            let accident = weighted(rng, &ACCIDENTS);
            let replicas = stage.spec()["replicas"].as_u64().unwrap_or(0);
            stage.host.with(|world| {
                let members = world.members();
                let Some(at) = rng.pick(&members).copied() else {
                    return;
                };
                // The last copy of all is not destroyed: no agent could help then.
                let destroys = matches!(accident, Accident::VolumeRemoved | Accident::Damaged);
                let is_primary = world.data(at).is_none_or(|data| !data.is_standby);
                if !(destroys && (is_primary && accident == Accident::Damaged || !world.has_other_copy(at, replicas))) {
                    world.befall(at, accident);
                }
            });
        }
        Deed::Promote | Deed::ForcePromote if stage.spec().get("primary").is_some() => {}
        Deed::Promote => promote(stage, some_member(rng), false),
        Deed::ForcePromote => promote(stage, some_member(rng), true),
        Deed::Restart => {
            let member = rng.chance(500).then(|| some_member(rng));
            stage.request(&Request::Restart { member });
        }
        Deed::Pause => stage.set_paused(rng.chance(500)),
        Deed::EngineRestart => stage
            .host
            .with(|world| world.restart_engine(rng.between((500, 10_000)))),
        Deed::EngineStall => stage.host.with(|world| world.stall_engine(rng.between((500, 10_000)))),
        Deed::HostBusy => stage.host.with(|world| {
            let ms = rng.between((5_000, 240_000));
            world.slow_host(ms);
        }),
        Deed::AgentDies => stage.crash(),
        Deed::StateLost => stage.lose_state(),
        Deed::PrimaryLost => {
            let replicas = stage.spec()["replicas"].as_u64().unwrap_or(0);
            stage.host.with(|world| lose_primary(world, replicas, rng));
        }
        Deed::Edit => edit(stage, rng, some_member),
    }
}

/// The primary goes, with its volume, and perhaps another member has its own trouble then. As long as there is a copy.
fn lose_primary(world: &mut World, replicas: u64, rng: &mut Rng) {
    const TROUBLES: [Accident; 5] = [
        Accident::Frozen,
        Accident::Paused,
        Accident::Removed,
        Accident::Disconnected,
        Accident::Killed,
    ];
    let Some(primary) = world.writers().first().copied() else {
        return;
    };
    let member = world.containers[primary].member().to_owned();
    // One that is about to be scaled away, or does not stream, is no copy to count on.
    let serial = world.containers[primary].serial;
    let is_copy = |at: &usize| {
        let number = replica_number(world.containers[*at].member());
        let streams = world.link(*at).is_some_and(|link| link.source == serial);
        streams && number.is_none_or(|number| number <= replicas)
    };
    let others: Vec<usize> = world.members().into_iter().filter(is_copy).collect();
    if others.is_empty() || replicas == 0 {
        return;
    }
    if let (true, Some(other)) = (rng.chance(500), rng.pick(&others).copied()) {
        let trouble = *rng.pick(&TROUBLES).unwrap_or(&TROUBLES[0]);
        world.befall(other, trouble);
    }
    if let Some(primary) = world.member(&member) {
        world.befall(primary, Accident::VolumeRemoved);
    }
}

fn promote(stage: &Stage, member: String, force: bool) {
    stage.request(&Request::Promote {
        member,
        force,
        dry_run: false,
    });
}

fn edit(stage: &Stage, rng: &mut Rng, some_member: impl Fn(&mut Rng) -> String) {
    let number = rng.below(1000);
    match rng.below(8) {
        0 | 1 => {
            // Fewer than commits wait for would be refused; and while nobody serves, nobody gives a copy away.
            let present = stage.spec()["replicas"].as_u64().unwrap_or(0);
            let waited_for = stage.spec()["replication"]["number"].as_u64().unwrap_or(0);
            let is_served = stage.host.see(|world| !world.writers().is_empty());
            let least = if is_served { waited_for } else { present };
            let replicas = rng.between((least.min(4), 4));
            stage.edit(&format!("{replicas} replicas"), |spec| {
                spec["replicas"] = json!(replicas);
                forget_a_primary_that_leaves(spec, replicas)
            });
        }
        2 => stage.edit("a parameter that is reloaded", |spec| {
            spec["parameters"]["work_mem"] = json!(format!("{number}kB"));
        }),
        3 | 4 => {
            let connections = 50 + rng.below(5) * 50;
            stage.edit(&format!("max_connections is {connections}"), |spec| {
                spec["parameters"]["max_connections"] = json!(connections.to_string());
            });
        }
        5 => {
            let member = some_member(rng);
            stage.edit(&format!("primary is {member}"), |spec| spec["primary"] = json!(member));
        }
        6 => stage.edit("a label", |spec| spec["labels"] = json!({"team": number.to_string()})),
        7 if number < 400 => stage.edit("a value that no server starts with", |spec| {
            spec["parameters"]["shared_buffers"] = json!("900GB");
        }),
        _ => stage.edit("a value that no server takes", |spec| {
            spec["parameters"]["shared_buffers"] = json!("lots");
        }),
    }
}

/// Nothing goes wrong any more.
fn end_of_faults(stage: &Stage) {
    stage.host.with(|world| {
        world.tell("accident", || "no more accidents".to_owned());
        world.faults.are_on = false;
        world.engine_down_until = world.now;
        world.ports_taken.clear();
        world.leave_running_members_alone();
        world.pressed_until = 0;
        for at in world.members() {
            if let Some(process) = &mut world.containers[at].process {
                process.slow_until = 0;
                process.errors_until = 0;
                process.server.replay_paused = false;
            }
        }
    });
    stage.edit("a mistake is corrected", |spec| {
        if let Some(parameters) = spec["parameters"].as_object_mut() {
            parameters.remove("shared_buffers");
        }
    });
}

fn replica_number(name: &str) -> Option<u64> {
    name.strip_prefix("replica-").and_then(|number| number.parse().ok())
}

/// The loader would refuse a manifest whose `primary` is no member.
fn forget_a_primary_that_leaves(spec: &mut Value, replicas: u64) {
    let leaves = spec["primary"]
        .as_str()
        .and_then(replica_number)
        .is_some_and(|n| n > replicas);
    if leaves && let Some(spec) = spec.as_object_mut() {
        spec.remove("primary");
    }
}
