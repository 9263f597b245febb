//! Removes what belongs to a resource, on request. Pure. Shared by all kinds.

use crate::model::container::{Objects, RunState};
use crate::model::plan::{Action, EngineOp, Plan};

/// The next steps of removing everything: containers, then the networks, then, if asked for, the volumes. Idle when
/// nothing is left.
pub fn plan<C>(objects: &Objects, purge_data: bool, grace_secs: i64) -> Plan<C> {
    let mut plan = Plan::default();
    for container in &objects.containers {
        let mut steps = Vec::new();
        if container.state == RunState::Paused {
            let thaw = EngineOp::Unpause(container.id.clone());
            steps.push(Action::engine(&container.name, thaw, "a frozen container cannot stop"));
        }
        if !matches!(container.state, RunState::Created | RunState::Exited) {
            let stop = EngineOp::Stop {
                container: container.id.clone(),
                grace_secs,
            };
            steps.push(Action::engine(&container.name, stop, CAUSE));
        }
        let remove = EngineOp::RemoveContainer(container.id.clone());
        steps.push(Action::engine(&container.name, remove, CAUSE));
        plan.chain(steps);
    }
    if !plan.is_idle() {
        return plan;
    }
    // Two of one name are told apart by their ids only.
    let twins = objects.namesakes.iter().map(|one| (&one.name, &one.id));
    let is_single = |name: &String| !objects.namesakes.iter().any(|one| one.name == *name);
    let single = objects
        .networks
        .iter()
        .map(|one| &one.name)
        .filter(|name| is_single(name));
    for (name, key) in single.map(|name| (name, name)).chain(twins) {
        let remove = EngineOp::RemoveNetwork(key.clone());
        plan.step(Action::engine(name, remove, CAUSE));
    }
    for volume in objects.volumes.iter().filter(|_| purge_data) {
        let remove = EngineOp::RemoveVolume(volume.name.clone());
        plan.step(Action::engine(
            &volume.name,
            remove,
            "its deletion was requested with its data",
        ));
    }
    plan
}

const CAUSE: &str = "its deletion was requested";

#[cfg(test)]
mod tests {
    use super::plan;
    use crate::model::container::{NamedObserved, Namesake, Objects};

    fn volume_only() -> Objects {
        Objects {
            volumes: vec![NamedObserved {
                name: "pg-master-g1".to_owned(),
                labels: std::collections::BTreeMap::new(),
                ..NamedObserved::default()
            }],
            ..Objects::default()
        }
    }

    #[test]
    fn volumes_stay_unless_their_data_is_given_up_by_name() {
        assert!(plan::<String>(&volume_only(), false, 1).is_idle());
        let printed = plan::<String>(&volume_only(), true, 1).to_string();
        assert_eq!(
            printed,
            "pg-master-g1: remove volume pg-master-g1, because its deletion was requested with its data\n"
        );
    }

    #[test]
    fn of_two_networks_with_one_name_each_is_removed_by_its_id() {
        let named = |name: &str| NamedObserved {
            name: name.to_owned(),
            labels: std::collections::BTreeMap::new(),
            ..NamedObserved::default()
        };
        let namesake = |id: &str| Namesake {
            id: id.to_owned(),
            name: "pg-net".to_owned(),
            guests: Vec::new(),
        };
        let objects = Objects {
            networks: vec![named("pg-net"), named("pg-svc")],
            namesakes: vec![namesake("older"), namesake("newer")],
            ..Objects::default()
        };
        insta::assert_snapshot!(plan::<String>(&objects, false, 1), @r"
        pg-svc: remove network pg-svc, because its deletion was requested
        pg-net: remove network older, because its deletion was requested
        pg-net: remove network newer, because its deletion was requested
        ");
    }
}
