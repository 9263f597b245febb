//! What no plan may ever do, whatever the world looks like.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::arbitrary::{MEMBERS, worlds};
use super::world::World;
use crate::kinds::Request;
use crate::kinds::postgres::desired;
use crate::kinds::postgres::memory::{Change, Promotion};
use crate::kinds::postgres::plan::{failover, position, promotion};
use crate::kinds::postgres::request;
use crate::kinds::postgres::spec::FailoverMode;
use crate::model::Seen;
use crate::model::container::RunState;
use crate::model::labels;
use crate::model::plan::{ConfigCheck, EngineOp, FileCheck, Op, Plan};
use crate::model::postgres::{Down, Server, SqlOp};

/// The engine lists its objects and tells nothing else.
fn blind(mut world: World) -> World {
    world.see_image(Seen::Unknown("the engine timed out".to_owned()));
    for seen in world.observed.members.values_mut() {
        seen.server = Server::Down(Down::NoAnswer, "timeout".to_owned());
        seen.control = Seen::Unknown("the engine timed out".to_owned());
        seen.role = Seen::Unknown("the engine timed out".to_owned());
    }
    world
}

fn engine_ops(plan: &Plan<Change>) -> impl Iterator<Item = &EngineOp> {
    plan.actions().filter_map(|action| match &action.op {
        Op::Engine(op) => Some(op),
        Op::Sql(..) | Op::Listen(_) | Op::Grafana(..) | Op::Remember(_) => None,
    })
}

/// The old primary is not running in any sense, or the promoted member is the recorded primary itself.
fn may_promote(world: &World, subject: &str) -> bool {
    match &world.memory.promotion {
        None => world.memory.primary.as_deref() == Some(subject),
        Some(promotion) => {
            let state = world.view().container(&promotion.from).map(|c| c.state);
            let is_down = !matches!(state, Some(RunState::Running | RunState::Paused | RunState::Between));
            // Started by somebody after the request, it does no harm as a replica.
            let follows = world
                .view()
                .facts(&promotion.from)
                .is_some_and(|facts| facts.in_recovery);
            subject == promotion.to && (is_down || promotion.requested && follows)
        }
    }
}

/// What an operation works on that exists already; what it makes has no owner yet.
fn touched(op: &EngineOp) -> Option<&str> {
    match op {
        EngineOp::PullImage(_)
        | EngineOp::CreateNetwork(_)
        | EngineOp::CreateVolume(_)
        | EngineOp::CreateContainer(_) => None,
        EngineOp::Deliver(delivery) => Some(&delivery.container),
        EngineOp::RemoveNetwork(name)
        | EngineOp::RemoveVolume(name)
        | EngineOp::Start(name)
        | EngineOp::RemoveContainer(name)
        | EngineOp::Unpause(name)
        | EngineOp::PromoteInside(name) => Some(name),
        EngineOp::Rename { container, .. }
        | EngineOp::Signal { container, .. }
        | EngineOp::Stop { container, .. }
        | EngineOp::Connect { container, .. }
        | EngineOp::Disconnect { container, .. }
        | EngineOp::UpdateLimits { container, .. }
        | EngineOp::CheckConfig(ConfigCheck { container, .. })
        | EngineOp::CheckFiles(FileCheck { container, .. })
        | EngineOp::RemoveFiles { container, .. }
        | EngineOp::ResetAdmin { container, .. }
        | EngineOp::EndSenders { container, .. }
        | EngineOp::ResetPassword { container, .. } => Some(container),
        EngineOp::RecoverPasswords { containers, .. } => containers.first().map(String::as_str),
    }
}

/// Everything of ours: what is there, by name and id, and what the plan itself makes.
fn ours(world: &World, plan: &Plan<Change>) -> BTreeSet<String> {
    let objects = &world.observed.objects;
    let labelled =
        |marks: &std::collections::BTreeMap<String, String>| marks.get(labels::UID) == Some(&world.cluster.uid);
    let containers = objects.containers.iter().filter(|c| labelled(&c.labels));
    let named = objects
        .volumes
        .iter()
        .chain(&objects.networks)
        .filter(|o| labelled(&o.labels));
    let made = engine_ops(plan).filter_map(|op| match op {
        EngineOp::CreateContainer(spec) if labelled(&spec.labels) => Some(spec.name.clone()),
        _ => None,
    });
    containers
        .flat_map(|c| [c.name.clone(), c.id.clone()])
        .chain(named.map(|o| o.name.clone()))
        .chain(made)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_a_retired_and_proved_copy_is_ever_removed(world in worlds()) {
        for op in engine_ops(&world.next()) {
            if let EngineOp::RemoveVolume(volume) = op {
                let retired = world.memory.retired.get(volume);
                prop_assert!(retired.is_some_and(|r| r.proved_copy || r.released), "{volume} is no proved copy");
                let mounted = world.observed.objects.containers.iter().any(|c| c.volumes.contains(volume));
                prop_assert!(!mounted, "{volume} is mounted");
            }
        }
    }

    #[test]
    fn nobody_is_promoted_while_another_primary_may_run(world in worlds()) {
        for action in world.next().actions() {
            if let Op::Sql(_, SqlOp::Promote) = action.op {
                prop_assert!(may_promote(&world, &action.subject), "{action}");
            }
        }
    }

    #[test]
    fn a_request_is_written_down_before_it_is_sent(world in worlds()) {
        for chain in &world.next().chains {
            let sent = chain.iter().position(|a| matches!(a.op, Op::Sql(_, SqlOp::Promote)));
            let noted = chain.iter().position(|a| matches!(a.op, Op::Remember(Change::Requested { .. })));
            let before = world.memory.promotion.as_ref().is_none_or(|p| p.requested);
            prop_assert!(sent.is_none() || before || noted < sent && noted.is_some());
        }
    }

    #[test]
    fn nobody_takes_over_unasked_from_a_primary_that_may_run_or_beyond_the_limit(world in worlds()) {
        let world = world.edit(|spec| spec.failover.mode = FailoverMode::Automatic);
        for action in world.next().actions() {
            if let Op::Remember(Change::Promote(promotion)) = &action.op {
                let view = world.view();
                let state = view.container(&promotion.from).map(|c| c.state);
                prop_assert!(matches!(state, None | Some(RunState::Exited | RunState::Created)), "{action}");
                let heir = view.facts(&promotion.to).expect("it answers");
                prop_assert!(heir.in_recovery && !view.is_foreign(&promotion.to), "{action}");
                let known = position::newest(&view, &promotion.from).expect("its position is known");
                prop_assert!(known.lag_of(heir).is_some_and(|lag| lag <= world.cluster.max_lag_bytes), "{action}");
                prop_assert!(failover::trouble(&view, &promotion.from).is_some(), "{action}");
            }
        }
    }

    #[test]
    fn a_sent_request_never_rolls_back_while_its_target_has_data(world in worlds()) {
        let Some(promotion) = world.memory.promotion.clone().filter(|p| p.requested) else {
            return Ok(());
        };
        // Where no primary is recorded no promotion is either: both are lost together.
        prop_assume!(world.memory.primary.is_some());
        for action in world.next().actions() {
            if let Op::Remember(Change::Promoted(result)) = &action.op {
                let view = world.view();
                let gone = view.container(&promotion.to).is_none() || view.control(&promotion.to).is_absent();
                prop_assert!(result.succeeded || gone, "{action}");
            }
            let brings_back = matches!(action.op, Op::Engine(EngineOp::Start(_) | EngineOp::Unpause(_)));
            prop_assert!(!brings_back || action.subject == promotion.to, "{action}");
        }
    }

    #[test]
    fn known_data_is_never_initialised_again(world in worlds()) {
        for op in engine_ops(&world.next()) {
            if let EngineOp::Deliver(delivery) = op {
                let bootstraps = delivery.files.iter().any(|f| f.name == "role" && f.text == "bootstrap\n");
                prop_assert!(!bootstraps || world.memory.system_identifier.is_none());
            }
        }
    }

    #[test]
    fn what_is_not_ours_is_never_touched(world in worlds()) {
        let plan = world.next();
        let ours = ours(&world, &plan);
        for name in engine_ops(&plan).filter_map(touched) {
            prop_assert!(ours.contains(name), "{name} is not ours");
        }
    }

    #[test]
    fn no_container_is_started_by_two_chains(world in worlds()) {
        let mut started = BTreeSet::new();
        for chain in &world.next().chains {
            for action in chain {
                if let Op::Engine(EngineOp::Start(name)) = &action.op {
                    prop_assert!(started.insert(name.clone()), "{name} is started twice");
                }
            }
        }
    }

    #[test]
    fn only_the_recorded_primary_is_started_to_write_and_never_during_a_promotion(world in worlds()) {
        for action in world.next().actions() {
            if let Op::Engine(EngineOp::Start(_)) = &action.op {
                let goes_on = |p: &Promotion| p.requested && p.to == action.subject;
                prop_assert!(world.memory.promotion.as_ref().is_none_or(goes_on), "{action}");
            }
            if let Op::Engine(EngineOp::Deliver(delivery)) = &action.op {
                let writes = delivery.files.iter().any(|f| f.name == "role" && f.text != "replica\n");
                prop_assert!(!writes || world.memory.primary.as_deref() == Some(&action.subject), "{action}");
            }
        }
    }

    #[test]
    fn a_new_volume_is_never_decided_on_twice(world in worlds()) {
        for action in world.next().actions() {
            if let Op::Remember(Change::Reseed(decision)) = &action.op {
                let (member, volume) = (&decision.member, &decision.volume);
                let container = world.view().container(member).expect("it has a container");
                prop_assert!(container.volumes.contains(volume), "{member} does not use {volume}");
            }
        }
    }

    #[test]
    fn what_cannot_be_seen_is_neither_destroyed_nor_stopped_nor_promoted(world in worlds()) {
        let world = blind(world.edit(|spec| spec.failover.mode = FailoverMode::Automatic));
        for action in world.next().actions() {
            let is_safe = match &action.op {
                Op::Engine(op) => !matches!(
                    op,
                    EngineOp::RemoveVolume(_)
                        | EngineOp::RemoveContainer(_)
                        | EngineOp::CreateVolume(_)
                        | EngineOp::Stop { .. }
                ),
                Op::Sql(_, op) => *op != SqlOp::Promote,
                Op::Listen(_) | Op::Grafana(..) => false,
                Op::Remember(Change::Reseed(decision)) => !decision.proved_copy,
                Op::Remember(Change::Promoted(result)) => !result.succeeded,
                Op::Remember(Change::Promote(_)) => false,
                // That there is nothing at all is seen, too.
                Op::Remember(Change::Bootstrap(_)) => {
                    world.observed.objects.containers.is_empty() && world.observed.objects.volumes.is_empty()
                }
                Op::Remember(change) => !matches!(change, Change::Adopt { .. }),
            };
            prop_assert!(is_safe, "{action}");
        }
    }

    #[test]
    fn a_failed_condition_that_no_force_overrules_refuses_a_promotion(
        world in worlds(), member in prop::sample::select(MEMBERS.to_vec()), force in any::<bool>(),
    ) {
        let mut world = world;
        world.memory.promotion = None;
        let view = world.view();
        let holds = promotion::checks(&view, member).iter().all(|c| c.holds || (force && c.forceable));
        let request = Request::Promote { member: member.to_owned(), force, dry_run: false };
        let promotes = request::answer(&view, &request).changes.iter().any(|c| matches!(c, Change::Promote(_)));
        prop_assert!(holds || !promotes);
        let dry = Request::Promote { member: member.to_owned(), force, dry_run: true };
        prop_assert!(request::answer(&view, &dry).changes.is_empty());
    }
}

#[test]
fn a_healthy_cluster_of_any_size_with_any_primary_needs_nothing() {
    for replicas in 0..=5 {
        for primary in ["master", "replica-1", "replica-3", "replica-9"] {
            let world = World::new(replicas).healthy_with(primary);
            assert_eq!(
                world.plan(),
                "nothing to do\n",
                "{replicas} replicas, primary {primary}"
            );
            let image = world.view().image().cloned().expect("an image");
            let spec = desired::container(&world.cluster, primary, 1, &image);
            assert_eq!(
                spec.hash(),
                desired::container(&world.cluster, primary, 1, &image).hash()
            );
        }
    }
}
