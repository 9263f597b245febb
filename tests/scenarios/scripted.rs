//! Stories that seeds told first, each with what made it one and nothing else.

use reconciler::kinds::Request;

use crate::sim::accidents::Accident;
use crate::sim::rng::Rng;
use crate::sim::stage::{Played, Stage, play};
use crate::sim::world::Pace;

/// Plays a story from the moment when a primary and two replicas are there, to its rest.
fn story(script: impl AsyncFnOnce(&Stage) -> Played) {
    from_nothing(async |stage| {
        stage.bring_up().await?;
        script(stage).await
    });
}

fn from_nothing(script: impl AsyncFnOnce(&Stage) -> Played) {
    let outcome = play(Rng::new(7), Pace::CALM, true, async |stage| {
        script(stage).await?;
        stage.settle().await
    });
    if let Some(violation) = outcome.violation {
        panic!("{violation}\n{}", outcome.lines.join("\n"));
    }
}

fn befall(stage: &Stage, member: &str, accident: Accident) {
    stage.host.with(|world| {
        let at = world.member(member).expect("it has a container");
        world.befall(at, accident);
    });
}

fn promote(stage: &Stage, member: &str, force: bool) -> bool {
    let reply = stage.request(&Request::Promote {
        member: member.to_owned(),
        force,
        dry_run: false,
    });
    reply.is_some_and(|reply| reply.accepted)
}

async fn is_primary(stage: &Stage, member: &str) -> Played {
    let writes = |stage: &Stage| {
        stage.host.see(|world| {
            let at = world.member(member);
            at.is_some_and(|at| world.containers[at].accepts_writes())
        })
    };
    stage.until(&format!("{member} is the primary"), 60_000, writes).await
}

#[test]
fn a_former_primary_that_was_paused_is_fenced_before_it_wakes() {
    story(async |stage| {
        befall(stage, "master", Accident::Paused);
        stage.pass(50).await?;
        if promote(stage, "replica-1", true) {
            is_primary(stage, "replica-1").await?;
        }
        Ok(())
    });
}

#[test]
fn a_former_primary_that_was_cut_off_is_fenced_before_it_is_connected() {
    story(async |stage| {
        stage.crash();
        befall(stage, "master", Accident::Disconnected);
        befall(stage, "replica-1", Accident::PromotedByHand);
        Ok(())
    });
}

#[test]
fn a_replica_that_was_promoted_by_hand_and_refuses_the_password_is_judged_all_the_same() {
    story(async |stage| {
        befall(stage, "replica-1", Accident::PromotedByHand);
        stage.pass(150).await?;
        befall(stage, "replica-1", Accident::PasswordChanged);
        Ok(())
    });
}

#[test]
fn without_record_and_password_the_stopped_primary_is_known_by_its_control_file() {
    story(async |stage| {
        befall(stage, "master", Accident::PasswordChanged);
        stage.pass(500).await?;
        befall(stage, "master", Accident::Killed);
        stage.lose_state();
        Ok(())
    });
}

#[test]
fn what_was_promoted_by_hand_and_stopped_can_be_promoted_when_the_primary_is_gone() {
    story(async |stage| {
        stage.edit("1 replicas", |spec| spec["replicas"] = 1.into());
        stage.until("it is scaled", 60_000, Stage::is_ready).await?;
        stage.crash();
        befall(stage, "master", Accident::VolumeRemoved);
        befall(stage, "replica-1", Accident::PromotedByHand);
        stage.pass(500).await?;
        befall(stage, "replica-1", Accident::Stopped);
        Ok(())
    });
}

#[test]
fn a_former_primary_that_was_paused_on_its_way_back_can_be_promoted_when_the_new_one_is_gone() {
    story(async |stage| {
        stage.edit("1 replicas", |spec| spec["replicas"] = 1.into());
        stage.until("it is scaled", 60_000, Stage::is_ready).await?;
        assert!(promote(stage, "replica-1", false));
        is_primary(stage, "replica-1").await?;
        let runs = |stage: &Stage| {
            let of = |world: &mut crate::sim::world::World| {
                let at = world.member("master")?;
                world.containers[at].process.as_ref().map(|_| ())
            };
            stage.host.see(of).is_some()
        };
        stage.until("it starts as a replica", 60_000, runs).await?;
        stage.crash();
        befall(stage, "master", Accident::Paused);
        befall(stage, "replica-1", Accident::VolumeRemoved);
        Ok(())
    });
}

#[test]
fn a_switchover_ends_when_somebody_promotes_a_third_member_meanwhile() {
    story(async |stage| {
        // The target has to catch up, and meanwhile somebody loses patience.
        befall(stage, "replica-1", Accident::ReplayPaused);
        befall(stage, "replica-1", Accident::ReplayPaused);
        befall(stage, "replica-1", Accident::Lagging);
        assert!(promote(stage, "replica-1", false));
        stage.pass(250).await?;
        befall(stage, "replica-2", Accident::PromotedByHand);
        Ok(())
    });
}

#[test]
fn a_switchover_does_not_wait_for_receivers_that_are_frozen() {
    story(async |stage| {
        befall(stage, "master", Accident::ArchiverFrozen);
        befall(stage, "replica-2", Accident::Paused);
        befall(stage, "master", Accident::Bulk);
        stage.pass(200).await?;
        let begun = stage.host.see(|world| world.now);
        assert!(promote(stage, "replica-1", false));
        is_primary(stage, "replica-1").await?;
        let took = stage.host.see(|world| world.now) - begun;
        assert!(took < 10_000, "{took} ms");
        Ok(())
    });
}

#[test]
fn a_restart_does_not_wait_for_receivers_that_are_frozen() {
    story(async |stage| {
        befall(stage, "master", Accident::ArchiverFrozen);
        stage.pass(1_000).await?;
        let member = Some("master".to_owned());
        stage.request(&Request::Restart { member });
        Ok(())
    });
}

#[test]
fn a_target_that_somebody_promotes_beside_the_serving_primary_does_not_take_over() {
    story(async |stage| {
        assert!(promote(stage, "replica-1", false));
        befall(stage, "replica-1", Accident::PromotedByHand);
        Ok(())
    });
}

#[test]
fn without_a_record_nobody_trusts_who_was_promoted_by_hand_when_the_primary_died() {
    story(async |stage| {
        stage.edit("1 replicas", |spec| spec["replicas"] = 1.into());
        stage.until("it is scaled", 60_000, Stage::is_ready).await?;
        // It lacks rows that clients were told of.
        befall(stage, "replica-1", Accident::Lagging);
        stage.pass(2_000).await?;
        stage.lose_state();
        befall(stage, "master", Accident::Killed);
        befall(stage, "replica-1", Accident::PromotedByHand);
        Ok(())
    });
}

#[test]
fn a_stop_that_meets_a_restart_by_hand_is_asked_for_again() {
    story(async |stage| {
        stage.edit("a label", |spec| spec["labels"] = serde_json::json!({"team": "db"}));
        for _ in 0..20 {
            stage.pass(100).await?;
            befall(stage, "master", Accident::Restarted);
        }
        Ok(())
    });
}

/// When the process in a member's container was started that runs there now.
fn born(stage: &Stage, member: &str) -> Option<u64> {
    stage.host.see(|world| {
        let at = world.member(member)?;
        world.containers[at].process.as_ref().map(|process| process.serial)
    })
}

#[test]
fn members_that_wait_for_themselves_are_ended_one_after_the_other_in_bounded_time() {
    story(async |stage| {
        let before: Vec<Option<u64>> = ["master", "replica-1"].map(|member| born(stage, member)).into();
        befall(stage, "master", Accident::Hung);
        befall(stage, "replica-1", Accident::Hung);
        let is_new = |stage: &Stage| {
            let now: Vec<Option<u64>> = ["master", "replica-1"].map(|member| born(stage, member)).into();
            now.iter()
                .zip(&before)
                .all(|(now, before)| now.is_some() && now != before)
        };
        stage.until("both were restarted", 240_000, is_new).await
    });
}

#[test]
fn on_a_busy_host_nobody_is_killed_and_a_primary_that_recovers_is_left_to_it() {
    story(async |stage| {
        befall(stage, "master", Accident::Killed);
        stage.pass(400).await?;
        let before = ["master", "replica-1", "replica-2"].map(|member| born(stage, member));
        stage.host.with(|world| world.slow_host(400_000));
        stage.pass(390_000).await?;
        let now = ["master", "replica-1", "replica-2"].map(|member| born(stage, member));
        assert!(before.iter().all(Option::is_some));
        assert_eq!(now, before, "nobody was restarted");
        Ok(())
    });
}

#[test]
fn with_nothing_but_its_networks_left_a_cluster_knows_that_they_are_its_own() {
    from_nothing(async |stage| {
        let laid = |stage: &Stage| {
            stage
                .host
                .see(|world| world.networks.len() == 2 && world.volumes.is_empty())
        };
        for _ in 0..2_000 {
            if laid(stage) {
                break;
            }
            stage.pass(1).await?;
        }
        assert!(laid(stage), "the networks come first");
        stage.lose_state();
        Ok(())
    });
}

#[test]
fn a_network_that_a_dead_agent_asked_for_comes_twice() {
    from_nothing(async |stage| {
        for _ in 0..2_000 {
            if !stage.host.see(|world| world.networks.is_empty()) {
                break;
            }
            stage.pass(1).await?;
        }
        stage.host.with(|world| {
            let seen = world.networks[0].seen.clone();
            world.add_network(seen);
        });
        stage.crash();
        Ok(())
    });
}

#[test]
fn a_primary_that_is_gone_with_its_volume_is_taken_over_from_unasked() {
    story(async |stage| {
        stage.edit("automatic failover", |spec| {
            spec["failover"] = serde_json::json!({"mode": "automatic"});
        });
        stage.until("it is ready", 60_000, Stage::is_ready).await?;
        stage.pass(5_000).await?;
        befall(stage, "master", Accident::VolumeRemoved);
        let is_served = |stage: &Stage| stage.host.see(|world| !world.writers().is_empty());
        stage.until("a replica is the primary", 60_000, is_served).await
    });
}

#[test]
fn a_renamed_primary_gets_its_name_back_and_nobody_takes_over() {
    story(async |stage| {
        stage.edit("automatic failover", |spec| {
            spec["failover"] = serde_json::json!({"mode": "automatic"});
        });
        stage.until("it is ready", 60_000, Stage::is_ready).await?;
        befall(stage, "master", Accident::Renamed);
        stage.pass(2_000).await?;
        befall(stage, "master", Accident::Renamed);
        befall(stage, "master", Accident::Stopped);
        stage.pass(20_000).await?;
        is_primary(stage, "master").await
    });
}
