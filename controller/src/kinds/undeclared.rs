//! A resource that no manifest declares any more: what is there is kept alive, and nothing is made that it did not have when its
//! document went. Pure. Shared by all kinds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::container::Objects;
use crate::model::labels;
use crate::model::plan::{Action, EngineOp, Op, Plan};

/// What a resource had when its document went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kept {
    /// Its members; of each that had a container, the ports of the host that were its own.
    pub members: BTreeMap<String, Option<Vec<u16>>>,
}

impl Kept {
    /// What is there of it.
    pub fn of(objects: &Objects) -> Self {
        let member = |found: &BTreeMap<String, String>| found.get(labels::MEMBER).cloned();
        let volumes = objects.volumes.iter().filter_map(|volume| member(&volume.labels));
        let mut members: BTreeMap<String, Option<Vec<u16>>> = volumes.map(|member| (member, None)).collect();
        for container in &objects.containers {
            if let Some(member) = member(&container.labels) {
                let ports = objects.published.get(&container.name).cloned();
                members.insert(member, Some(ports.unwrap_or_default()));
            }
        }
        Kept { members }
    }

    fn had(&self, found: &BTreeMap<String, String>) -> Option<&Option<Vec<u16>>> {
        self.members.get(found.get(labels::MEMBER)?)
    }

    /// Whether a step only keeps what was there.
    fn allows<C>(&self, op: &Op<C>, begins: &impl Fn(&C) -> bool) -> bool {
        match op {
            Op::Engine(EngineOp::CreateVolume(spec)) => self.had(&spec.labels).is_some(),
            Op::Engine(EngineOp::CreateNetwork(_)) => !self.members.is_empty(),
            Op::Engine(EngineOp::CreateContainer(spec)) => match self.had(&spec.labels) {
                None => false,
                Some(None) => true,
                Some(Some(ports)) => spec.ports.iter().all(|port| ports.contains(&port.host)),
            },
            Op::Remember(change) => !begins(change),
            Op::Engine(_) | Op::Sql(..) | Op::Grafana(..) | Op::Listen(_) => true,
        }
    }
}

/// The part of a plan that keeps what was there. `begins` tells the changes with which something new begins.
pub fn restrain<C>(plan: Plan<C>, name: &str, kept: &Kept, begins: impl Fn(&C) -> bool) -> Plan<C> {
    let before = plan.chains.len();
    let allows = |chain: &Vec<Action<C>>| chain.iter().all(|action| kept.allows(&action.op, &begins));
    let chains: Vec<Vec<Action<C>>> = plan.chains.into_iter().filter(allows).collect();
    let mut plan = Plan { chains, ..plan };
    if plan.chains.len() < before {
        plan.wait(
            name,
            "no manifest declares it any more, so nothing is made that it did not have",
        );
    }
    plan
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Kept, restrain};
    use crate::model::container::{NamedObserved, NamedSpec, Objects};
    use crate::model::labels;
    use crate::model::plan::{Action, EngineOp, Op, Plan};

    fn of_member(member: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(labels::MEMBER.to_owned(), member.to_owned())])
    }

    fn volume(member: &str, name: &str) -> EngineOp {
        EngineOp::CreateVolume(NamedSpec {
            name: name.to_owned(),
            labels: of_member(member),
        })
    }

    #[test]
    fn what_was_there_is_kept_and_nothing_new_begins() {
        let objects = Objects {
            volumes: vec![NamedObserved {
                name: "pg-master-g1".to_owned(),
                labels: of_member("master"),
                ..NamedObserved::default()
            }],
            ..Objects::default()
        };
        let mut plan = Plan::<String>::default();
        plan.step(Action::engine(
            "master",
            volume("master", "pg-master-g2"),
            "it is seeded anew",
        ));
        plan.step(Action::engine(
            "replica-1",
            volume("replica-1", "pg-replica-1-g1"),
            "it is missing",
        ));
        plan.step(Action::engine(
            "master",
            EngineOp::Start("pg-master".to_owned()),
            "it was killed",
        ));
        plan.step(Action::new(
            "pg",
            Op::Remember("master is the first".to_owned()),
            "it does not exist yet",
        ));
        let kept = restrain(plan, "pg", &Kept::of(&objects), |_| true).to_string();
        insta::assert_snapshot!(kept, @r"
        master: create volume pg-master-g2, because it is seeded anew
        master: start container, because it was killed
        pg: waiting, no manifest declares it any more, so nothing is made that it did not have
        ");
    }
}
