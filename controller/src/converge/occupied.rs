//! Volumes that somebody else has mounted. Whatever rule planned it: no container is made, started or thawed on a volume
//! that another one may write to, under whatever name or label, and none is destroyed that somebody still looks into.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::Seen;
use crate::model::container::Objects;
use crate::model::holder::{self, Holder};
use crate::model::plan::{Action, EngineOp, Note, Op, Plan};
use crate::model::status::{self, Condition};

/// The code of the note, and the type of the condition, for a volume that somebody else has.
pub const IN_USE: &str = "VolumeInUse";
/// How soon to look again whether somebody has let go of a volume.
const PATIENCE: Duration = Duration::from_secs(1);
/// How soon to look again when nobody looked who has a volume that is needed.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A volume that a step needs for itself.
struct Need<'a> {
    /// The subject of the step.
    subject: &'a str,
    volume: &'a str,
    /// The container that it is for; none where the volume is destroyed.
    own: Option<&'a str>,
}

/// Whether a plan hangs on who has the volumes mounted.
pub fn is_asked_for<C>(objects: &Objects, plan: &Plan<C>) -> bool {
    plan.chains.iter().any(|chain| !needs(objects, chain).is_empty())
}

/// The volumes to ask about: those of the resource, those that its containers mount, and those that it is about to use.
pub fn in_question<C>(objects: &Objects, plan: Option<&Plan<C>>) -> Vec<String> {
    let containers = objects.containers.iter().chain(&objects.misnamed);
    let mut names: BTreeSet<String> = containers.flat_map(|container| container.volumes.clone()).collect();
    names.extend(objects.volumes.iter().map(|volume| volume.name.clone()));
    let chains = plan.into_iter().flat_map(|plan| &plan.chains);
    let needed = chains.flat_map(|chain| needs(objects, chain));
    names.extend(needed.map(|need| need.volume.to_owned()));
    names.into_iter().collect()
}

/// Takes the sequences out of a plan that need a volume which somebody else has, or may have, and says who it is.
pub fn guard<C>(objects: &Objects, plan: &mut Plan<C>) {
    let chains = std::mem::take(&mut plan.chains);
    for chain in chains {
        let needs = needs(objects, &chain);
        let Some(first) = needs.first() else {
            plan.chains.push(chain);
            continue;
        };
        let holders = match &objects.holders {
            Seen::Known(holders) => holders.as_slice(),
            Seen::Absent => &[],
            Seen::Unknown(why) => {
                let reason = format!("who else has volume {} mounted is not known: {why}", first.volume);
                plan.wait(first.subject, reason);
                plan.again_in(LOOK_AGAIN);
                continue;
            }
        };
        let found = needs
            .iter()
            .find_map(|need| Some((need.subject.to_owned(), obstacle(holders, need)?)));
        match found {
            None => plan.chains.push(chain),
            Some((subject, reason)) => say(subject, reason, plan),
        }
    }
}

/// It comes before all other notes, which may follow from it.
fn say<C>(subject: String, reason: String, plan: &mut Plan<C>) {
    let note = Note::Blocked {
        subject,
        code: IN_USE.to_owned(),
        reason,
    };
    if !plan.notes.contains(&note) {
        plan.notes.insert(0, note);
    }
    // What somebody else's container does is not told to us.
    plan.again_in(PATIENCE);
}

fn obstacle(holders: &[Holder], need: &Need<'_>) -> Option<String> {
    match need.own {
        Some(own) => holder::in_the_way(holders, need.volume, own).map(Holder::obstacle),
        None => holder::still_there(holders, need.volume).map(Holder::claim),
    }
}

/// What the steps of a sequence need.
fn needs<'a, C>(objects: &'a Objects, chain: &'a [Action<C>]) -> Vec<Need<'a>> {
    let made = |key: &str| {
        let mut steps = chain.iter();
        steps.any(|action| matches!(&action.op, Op::Engine(EngineOp::CreateContainer(spec)) if spec.name == key))
    };
    let of = |action: &'a Action<C>| -> Vec<(&'a str, Option<&'a str>)> {
        match &action.op {
            Op::Engine(EngineOp::CreateContainer(spec)) => {
                let source = spec.source.as_ref().map(|source| &source.volume);
                let volumes = spec.volume.iter().chain(source);
                volumes
                    .map(|volume| (volume.name.as_str(), Some(spec.name.as_str())))
                    .collect()
            }
            // One that is made in the same sequence has other volumes than one of its name that is there.
            Op::Engine(EngineOp::Start(key) | EngineOp::Unpause(key)) if !made(key) => {
                let mut containers = objects.containers.iter();
                let found = containers.find(|container| container.name == *key || container.id == *key);
                let volumes = found.into_iter().flat_map(|container| &container.volumes);
                volumes.map(|volume| (volume.as_str(), Some(key.as_str()))).collect()
            }
            Op::Engine(EngineOp::RemoveVolume(volume)) => vec![(volume.as_str(), None)],
            Op::Engine(_) | Op::Sql(..) | Op::Grafana(..) | Op::Listen(_) | Op::Remember(_) => Vec::new(),
        }
    };
    let needs = chain.iter().flat_map(|action| {
        let subject = action.subject.as_str();
        of(action)
            .into_iter()
            .map(move |(volume, own)| Need { subject, volume, own })
    });
    needs.collect()
}

/// Who may write to the volume of a member that runs, beside it: nobody is stopped for it, but it has to be known.
pub fn intruders(objects: &Objects) -> Vec<String> {
    let holders = objects.holders.known().map_or(&[][..], Vec::as_slice);
    let told = objects.containers.iter().flat_map(|container| {
        let each = container.volumes.iter();
        each.filter_map(|volume| holder::in_the_way(holders, volume, &container.id))
    });
    let told: BTreeSet<String> = told
        .map(|holder| {
            let (told, way) = (holder.told(), holder.way_out());
            format!(
                "{told} beside its own server, and destroys it if it runs one too: run {way}, or mount it with `:ro`"
            )
        })
        .collect();
    told.into_iter().collect()
}

/// The condition that says so.
pub fn condition(intruders: &[String]) -> Option<Condition> {
    let told = intruders.join("; ");
    (!intruders.is_empty()).then(|| status::condition(IN_USE, true, "MountedElsewhere", told))
}

#[cfg(test)]
mod tests;
