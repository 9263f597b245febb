//! Accidents that chance alone brings together too seldom: those for which it is counted who has every acknowledged row, and
//! those for which it is proved that a member has what another one had.

use std::rc::Rc;

use reconciler::kinds::Request;
use serde_json::json;

use super::accidents::Accident;
use super::rng::Rng;
use super::stage::{Played, Stage};
use super::volume::Data;
use super::world::World;

/// The primary is lost while the one replica that has all that was acknowledged is out of reach, and perhaps in the middle of
/// a change of whom commits wait for. As long as it lives, nobody else may take over.
pub async fn the_furthest_is_out_of_reach(stage: &Stage, rng: &mut Rng) -> Played {
    let replicas = stage.spec()["replicas"].as_u64().unwrap_or(0);
    if replicas == 0 {
        return Ok(());
    }
    if rng.chance(400) {
        let number = rng.between((1, replicas.min(2)));
        let method = if rng.chance(700) { "any" } else { "first" };
        stage.edit(&format!("commits wait for {method} {number}"), |spec| {
            spec["replication"]["mode"] = json!("synchronous");
            spec["replication"]["number"] = json!(number);
            spec["replication"]["method"] = json!(method);
            spec["failover"] = json!({"mode": "automatic", "delay": "0s"});
        });
        let pause = if rng.chance(500) { 20_000 } else { 1_500 };
        stage.pass(rng.below(pause)).await?;
    }
    let Some(furthest) = stage.host.with(|world| outrun(world, replicas, rng)) else {
        return Ok(());
    };
    stage.pass(rng.between((100, 2_500))).await?;
    if rng.chance(400) {
        // It leaves the set first, and whoever stays in it has to catch up before that counts.
        let member = Some(furthest.clone());
        stage.request(&Request::Restart { member });
        stage.pass(rng.between((500, 4_500))).await?;
    }
    stage.host.with(|world| {
        let Some(primary) = world.writers().first().copied() else {
            return;
        };
        if world.containers[primary].member() == furthest || !world.has_other_copy(primary, replicas) {
            return;
        }
        let primary = world.containers[primary].seen.name.clone();
        if let Some(at) = world.member(&furthest) {
            let name = world.containers[at].seen.name.clone();
            let until = world.now + rng.between((5_000, 120_000));
            world.ports_taken.insert(name, until);
            world.befall(at, Accident::Crashed);
        }
        if let Some(at) = world.find(&primary) {
            world.befall(at, Accident::VolumeRemoved);
        }
    });
    stage.pass(rng.between((10_000, 60_000))).await
}

/// All replicas but one fall behind. That one.
fn outrun(world: &mut World, replicas: u64, rng: &mut Rng) -> Option<String> {
    let wanted = |name: &str| {
        let number = name
            .strip_prefix("replica-")
            .and_then(|number| number.parse::<u64>().ok());
        number.is_none_or(|number| number <= replicas)
    };
    let is_copy = |at: &usize| world.link(*at).is_some() && wanted(world.containers[*at].member());
    let copies: Vec<usize> = world.members().into_iter().filter(is_copy).collect();
    let furthest = *rng.pick(&copies)?;
    for at in copies {
        if at != furthest
            && let Some(server) = world.containers[at].up_mut()
        {
            server.receive_lag = 8_000;
        }
    }
    let furthest = world.containers[furthest].member().to_owned();
    world.tell("accident", || format!("all replicas but {furthest} fall behind"));
    Some(furthest)
}

/// The primary's volume is put back to an older copy, before whoever keeps it knows of the primary's end.
pub async fn an_older_copy_is_put_back(stage: &Stage, rng: &mut Rng) -> Played {
    let primary = |world: &World| {
        let at = world.writers().first().copied()?;
        let name = world.containers[at].seen.name.clone();
        Some((at, name))
    };
    let aside = stage.host.with(|world| {
        let (at, name) = primary(world)?;
        Some((name, world.copy_aside(at)?))
    });
    let Some((name, copy)) = aside else {
        return Ok(());
    };
    let pause = if rng.chance(500) { 2_000 } else { 25_000 };
    stage.pass(rng.between((100, pause))).await?;
    match rng.below(10) {
        0 | 1 => stage.host.crash(),
        2 => stage.lose_state(),
        _ => {}
    }
    let record = stage.record();
    let by_hand = rng.chance(300);
    let restarts = rng.chance(300);
    stage.host.with(|world| {
        let Some(at) = world.find(&name).filter(|at| {
            let data = world.data(*at);
            let is_same = |data: &Data| data.system_identifier == copy.system_identifier && !data.is_standby;
            world.containers[*at].accepts_writes() && data.is_some_and(is_same)
        }) else {
            return;
        };
        world.befall(at, Accident::Killed);
        if let Some(at) = world.find(&name) {
            world.put_back(at, copy, record);
            if by_hand {
                world.befall(at, Accident::Started);
            }
        }
    });
    if by_hand && restarts {
        stage.pass(rng.below(2_000)).await?;
        stage.host.with(|world| {
            for at in world.members() {
                if world.data(at).is_some_and(|data| data.is_standby) {
                    world.befall(at, Accident::Restarted);
                }
            }
        });
    }
    stage.pass(rng.below(10_000)).await
}

/// The primary dies in the middle of a switchover, and somebody helps it along: he promotes the target himself.
pub async fn a_target_is_promoted_by_hand(stage: &Stage, rng: &mut Rng, target: String) -> Played {
    if stage.spec().get("primary").is_some() {
        return Ok(());
    }
    stage.request(&Request::Promote {
        member: target.clone(),
        force: false,
        dry_run: false,
    });
    stage.pass(rng.below(500)).await?;
    stage.host.with(|world| {
        let Some(primary) = world.writers().first().copied() else {
            return;
        };
        if world.containers[primary].member() == target {
            return;
        }
        world.befall(primary, Accident::Crashed);
        if let Some(at) = world.member(&target) {
            world.befall(at, Accident::PromotedByHand);
        }
    });
    stage.pass(rng.below(5_000)).await
}

/// Somebody takes a member's volume for a container of his own while the agent is told to leave it alone, or renames the
/// member, or copies its container; perhaps the member ends meanwhile. Then the agent goes on.
pub async fn somebody_is_on_a_volume(stage: &Stage, rng: &mut Rng) -> Played {
    const ENDS: [Accident; 4] = [Accident::Stopped, Accident::Killed, Accident::Removed, Accident::Paused];
    const DEEDS: [Accident; 4] = [
        Accident::Occupied,
        Accident::Renamed,
        Accident::CopyRuns,
        Accident::Copied,
    ];
    let members = stage.host.see(|world| world.members());
    let Some(at) = rng.pick(&members).copied() else {
        return Ok(());
    };
    let member = stage.host.see(|world| world.containers[at].member().to_owned());
    let (end, deed) = (
        *rng.pick(&ENDS).unwrap_or(&ENDS[0]),
        *rng.pick(&DEEDS).unwrap_or(&DEEDS[0]),
    );
    let befall = |accident: Accident| {
        stage.host.with(|world| {
            if let Some(at) = world.member(&member) {
                world.befall(at, accident);
            }
        });
    };
    let is_told = rng.chance(600);
    if is_told {
        stage.set_paused(true);
    }
    let is_first = rng.chance(500);
    if is_first {
        befall(deed);
    }
    if rng.chance(700) {
        befall(end);
        stage.pass(rng.below(400)).await?;
    }
    if !is_first {
        befall(deed);
    }
    stage.pass(rng.below(3_000)).await?;
    if is_told {
        stage.set_paused(false);
    }
    stage.pass(rng.below(20_000)).await
}

/// Somebody starts a second agent for the same cluster. It has to leave it alone, until the first one is ended and somebody
/// says so; then it is the first one's turn to leave it alone.
pub async fn a_second_agent_comes(stage: &Rc<Stage>, rng: &mut Rng) -> Played {
    stage.bring_rival();
    stage.pass(rng.below(8_000)).await?;
    let first = stage.acting();
    let second = 1 - first;
    stage.take_over(second).await;
    if rng.chance(300) {
        return Ok(());
    }
    stage.hold(first, true);
    stage.pass(rng.below(3_000)).await?;
    stage.take_over(second).await;
    stage.pass(rng.below(10_000)).await?;
    stage.hold(first, false);
    stage.pass(rng.below(3_000)).await
}

/// Somebody changes the cluster's name and changes it back.
pub async fn a_name_is_changed_and_changed_back(stage: &Stage, rng: &mut Rng) -> Played {
    if stage.has_rival() {
        return Ok(());
    }
    stage.rename(true);
    stage.pass(rng.below(12_000)).await?;
    stage.rename(false);
    stage.pass(rng.below(3_000)).await
}
