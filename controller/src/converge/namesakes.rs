//! One network of each name. A call of an agent that was killed may still be under way when the next agent makes the
//! same network: then there are two, and no container starts or joins by that name any more.

use std::collections::BTreeSet;

use crate::model::container::{Namesake, Objects};
use crate::model::plan::{Action, EngineOp, Plan};

/// Removes the networks that are one too many. `false` while that is under way: nothing goes by their name before.
pub fn settle<C>(objects: &Objects, plan: &mut Plan<C>) -> bool {
    let all = &objects.namesakes;
    let names: BTreeSet<&str> = all.iter().map(|one| one.name.as_str()).collect();
    let mut is_settled = true;
    for name in names {
        let same: Vec<&Namesake> = all.iter().filter(|one| one.name == name).collect();
        let (used, empty): (Vec<_>, Vec<_>) = same.into_iter().partition(|one| !one.guests.is_empty());
        if used.len() > 1 {
            ask(name, &used, plan);
            continue;
        }
        // Containers that do not run remember the network that they were on by its id, and that is the older one.
        let spare = empty.iter().skip(usize::from(used.is_empty()));
        for one in spare {
            let remove = EngineOp::RemoveNetwork(one.id.clone());
            let cause = format!("it is a second network named {name}, and nothing is attached to it");
            plan.step(Action::engine(name, remove, cause));
            is_settled = false;
        }
    }
    is_settled
}

fn ask<C>(name: &str, used: &[&Namesake], plan: &mut Plan<C>) {
    let described: Vec<String> = used
        .iter()
        .map(|one| format!("{} ({})", one.id, one.guests.join(", ")))
        .collect();
    plan.block(
        name,
        "NameTaken",
        format!(
            "there are {} networks of this name and containers are attached to each: {}; no container starts by that name. \
             Empty all but one (`docker network disconnect ID CONTAINER`); what is empty is removed",
            used.len(),
            described.join("; ")
        ),
    );
}
