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
    for network in &objects.networks {
        let remove = EngineOp::RemoveNetwork(network.name.clone());
        plan.step(Action::engine(&network.name, remove, CAUSE));
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
    use crate::model::container::{NamedObserved, Objects};

    fn volume_only() -> Objects {
        Objects {
            volumes: vec![NamedObserved {
                name: "pg-master-g1".to_owned(),
                labels: std::collections::BTreeMap::new(),
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
}
