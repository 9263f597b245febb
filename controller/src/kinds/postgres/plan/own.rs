//! Which container and which volume are a member's own, and whether somebody else is on it.

use std::collections::BTreeMap;

use super::super::memory::Change;
use super::view::View;
use crate::converge::names::{self, Own};
use crate::converge::occupied::IN_USE;
use crate::model::Seen;
use crate::model::container::NamedObserved;
use crate::model::holder;
use crate::model::labels;
use crate::model::plan::Plan;

/// Gives renamed members their names back. `false` when nothing else can be planned before: what is said of a member whose
/// container cannot be told is not true.
pub fn put_right(view: &View<'_>, plan: &mut Plan<Change>) -> bool {
    let objects = &view.observed.objects;
    names::put_right(objects, |member| of(view, member), plan).is_empty()
}

/// What a member's own container is called, and its volume.
pub fn of(view: &View<'_>, member: &str) -> Own {
    let recorded = || Some(view.volume_name(member));
    Own {
        name: view.cluster.container_name(member),
        volume: match view.primary() {
            Some(_) => recorded(),
            // Without a record the newest of its volumes is the one.
            None => newest_generations(&view.observed.objects.volumes)
                .get(member)
                .map(|generation| view.cluster.volume_name(member, *generation)),
        },
    }
}

/// Volumes outlive containers, so they tell which members there were.
pub fn newest_generations(volumes: &[NamedObserved]) -> BTreeMap<String, u32> {
    let mut newest: BTreeMap<String, u32> = BTreeMap::new();
    for volume in volumes {
        let member = volume.labels.get(labels::MEMBER);
        let generation = volume.labels.get(labels::GENERATION).and_then(|g| g.parse().ok());
        if let (Some(member), Some(generation)) = (member, generation) {
            let entry = newest.entry(member.clone()).or_insert(generation);
            *entry = generation.max(*entry);
        }
    }
    newest
}

/// Why nobody may take over from a member although its own container is down: somebody else may serve on its volume.
pub fn intruder(view: &View<'_>, member: &str) -> Option<String> {
    let (name, volume) = (view.cluster.container_name(member), view.volume_name(member));
    match &view.observed.objects.holders {
        Seen::Known(holders) => {
            let holder = holder::in_the_way(holders, &volume, &name)?;
            let (told, way) = (holder.told(), holder.way_out());
            Some(format!(
                "{told}, and may serve clients from it as {member} did; {way} first"
            ))
        }
        Seen::Absent => None,
        Seen::Unknown(why) => Some(format!("who else has volume {volume} mounted is not known: {why}")),
    }
}

/// Whether a promotion has to wait for that.
pub fn holds_up(view: &View<'_>, from: &str, plan: &mut Plan<Change>) -> bool {
    let Some(reason) = intruder(view, from) else {
        return false;
    };
    match view.observed.objects.holders.unknown() {
        Some(_) => plan.wait(from, reason),
        None => plan.block(from, IN_USE, reason),
    }
    true
}
