//! Containers that carry the label of a member and not its name. One that somebody renamed gets its name back; a copy is
//! left alone, and said to be one. Nothing else is decided on either: it is the name that tells which container a member's is.

use std::collections::BTreeSet;

use crate::model::container::{ContainerObserved, Objects};
use crate::model::labels;
use crate::model::plan::{Action, EngineOp, Plan};
use crate::model::status::{self, Condition};

/// What the container of a member is called, and the volume that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// Its name.
    pub name: String,
    /// Its volume; none where any will do, or it has none.
    pub volume: Option<String>,
}

/// Puts the containers that carry a member's label and another name aside, so that nobody takes them for the member's.
pub fn set_apart(objects: &mut Objects, name_of: impl Fn(&str) -> String) {
    let is_named = |container: &ContainerObserved| {
        let member = container.labels.get(labels::MEMBER);
        member.is_none_or(|member| container.name == name_of(member))
    };
    let all = std::mem::take(&mut objects.containers);
    (objects.containers, objects.misnamed) = all.into_iter().partition(is_named);
}

/// Gives renamed containers their names back. The members of which nothing else can be decided until somebody has: their
/// container cannot be told, or cannot have its name.
pub fn put_right<C>(objects: &Objects, own: impl Fn(&str) -> Own, plan: &mut Plan<C>) -> BTreeSet<String> {
    let members: BTreeSet<&String> = objects
        .misnamed
        .iter()
        .filter_map(|one| one.labels.get(labels::MEMBER))
        .collect();
    let mut undecided = BTreeSet::new();
    for member in members {
        let own = own(member);
        if objects.container(&own.name).is_some() {
            continue;
        }
        let found = candidates(objects, member, &own);
        let taken = objects.neighbours.iter().find(|other| other.name == own.name);
        match (found.as_slice(), taken) {
            ([], _) => continue,
            ([one], None) => {
                let rename = EngineOp::Rename {
                    container: one.id.clone(),
                    name: own.name.clone(),
                };
                let cause = format!("somebody renamed it to {}", one.name);
                plan.step(Action::engine(member, rename, cause).drift());
            }
            ([one], Some(other)) => plan.block(
                member,
                "NameTaken",
                format!(
                    "its container was renamed to {}, and {} is the name of another one now (image {}), which does not \
                     belong to this resource. Rename or remove that one; the member's own gets its name back then",
                    one.name, own.name, other.image
                ),
            ),
            (several, _) => plan.block(
                member,
                "TwoContainers",
                format!(
                    "{} carry its labels and have its volume, none has its name, {}, and nobody can tell which is its own: \
                     remove all but one (`docker rm -f NAME`; the volume stays)",
                    several.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(" and "),
                    own.name
                ),
            ),
        }
        undecided.insert(member.clone());
    }
    undecided
}

/// The containers that may be a member's: those with its volume.
fn candidates<'o>(objects: &'o Objects, member: &str, own: &Own) -> Vec<&'o ContainerObserved> {
    let all = objects.misnamed.iter();
    let fits = all.filter(|one| {
        let volume = own.volume.as_ref();
        one.labels.get(labels::MEMBER).is_some_and(|label| label == member)
            && volume.is_none_or(|volume| one.volumes.contains(volume))
    });
    fits.collect()
}

/// The condition that names the containers that are a copy of a member's.
pub fn condition(objects: &Objects, own: impl Fn(&str) -> Own) -> Option<Condition> {
    let told = objects.misnamed.iter().filter_map(|one| {
        let member = one.labels.get(labels::MEMBER)?;
        let own = own(member);
        let real = objects.container(&own.name);
        let has = |container: &ContainerObserved| match container.volumes.is_empty() {
            true => String::new(),
            false => format!(" with volume {}", container.volumes.join(" and ")),
        };
        let real = match real {
            Some(real) => format!("its own is {}{}", real.name, has(real)),
            None if own.volume.as_ref().is_none_or(|volume| one.volumes.contains(volume)) => return None,
            None => format!("its own would be {} with volume {}", own.name, own.volume.unwrap_or_default()),
        };
        Some(format!(
            "{}{} carries the labels of member {member} too, but {real}; it is left alone. `docker rm -f {}` removes it and \
             keeps its volume",
            one.name,
            has(one),
            one.name
        ))
    });
    let told: Vec<String> = told.collect();
    let kind = "StrayContainer";
    (!told.is_empty()).then(|| status::condition(kind, true, "CarriesMemberLabels", told.join("; ")))
}

#[cfg(test)]
mod tests;
