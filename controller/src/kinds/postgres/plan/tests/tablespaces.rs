//! A container with a tablespace in its own layer is not removed, for whatever reason.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::arbitrary::worlds;
use super::world::World;
use crate::kinds::postgres::status::status;
use crate::model::Seen;
use crate::model::plan::{EngineOp, Op};

fn with(world: World, location: &str) -> World {
    let mut world = world;
    for seen in world.observed.members.values_mut() {
        seen.tablespaces = Seen::Known(BTreeMap::from([("fast".to_owned(), location.to_owned())]));
    }
    world
}

fn removes(world: &World) -> bool {
    let plan = world.next();
    plan.actions()
        .any(|action| matches!(action.op, Op::Engine(EngineOp::RemoveContainer(_))))
}

fn relabelled() -> World {
    let team = ("team".to_owned(), "db".to_owned());
    World::new(1).healthy().edit(|spec| spec.labels.extend([team]))
}

#[test]
fn a_container_that_holds_a_tablespace_is_not_replaced() {
    for outside in [
        "/fast",
        "/var/lib/postgresql/data2/fast",
        "/var/lib/postgresql/data/../fast",
    ] {
        let world = with(relabelled(), outside);
        assert!(!removes(&world), "{outside}");
        assert!(
            world
                .plan()
                .contains(&format!("replica-1: blocked, tablespace fast ({outside})")),
            "{}",
            world.plan()
        );
        let told = status(&world.view(), &world.next());
        assert!(told.condition("TablespaceOutside").is_some_and(|found| found.is_true()));
    }
    let inside = with(relabelled(), "/var/lib/postgresql/data/fast");
    assert!(removes(&inside));
    assert!(
        status(&inside.view(), &inside.next())
            .condition("TablespaceOutside")
            .is_none()
    );
    assert!(removes(&relabelled()));
}

#[test]
fn what_nobody_can_look_into_is_not_removed() {
    let mut world = relabelled();
    for seen in world.observed.members.values_mut() {
        seen.tablespaces = Seen::Unknown("it cannot be read".to_owned());
    }
    assert!(!removes(&world));
    assert!(
        world
            .plan()
            .contains("whether its container holds tablespaces is not known: it cannot be read")
    );
}

#[test]
fn a_member_gets_the_directories_of_its_primarys_tablespaces() {
    let mut tablespaces = BTreeMap::new();
    for place in [
        "/fast",
        "/var/lib/postgresql/data/fast",
        "/var/lib/postgresql/data/pgdata/slow",
    ] {
        tablespaces.insert(place.to_owned(), place.to_owned());
    }
    let world = World::new(1)
        .healthy()
        .facts("master", |facts| facts.tablespaces = tablespaces);
    let files = world
        .view()
        .files("replica-1", crate::kinds::postgres::desired::Role::Replica);
    let text = files
        .iter()
        .find(|file| file.name == "tablespaces")
        .map(|file| file.text.as_str());
    assert_eq!(text, Some("/var/lib/postgresql/data/fast\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_container_with_a_tablespace_in_it_is_ever_removed(world in worlds()) {
        let world = with(world, "/fast");
        for action in world.next().actions() {
            if let Op::Engine(EngineOp::RemoveContainer(_)) = action.op {
                prop_assert!(!world.observed.members.contains_key(&action.subject), "{action}");
            }
        }
    }
}
