//! Tablespaces. One that lies outside of its member's volume is in the container itself and goes with it: while it exists no
//! container is removed, for whatever reason. One inside is as safe as the rest of the data; its directory has to exist on
//! every member, and the entry point makes it.

use super::super::desired;
use super::super::memory::Change;
use super::view::View;
use crate::model::Seen;
use crate::model::labels;
use crate::model::plan::{Action, EngineOp, Op, Plan};

/// The code of the note, and the type of the condition.
pub const OUTSIDE: &str = "TablespaceOutside";

/// Where a member's volume is mounted.
fn mount(view: &View<'_>) -> String {
    // Without the image both usual places count: one is in the other.
    let usual = || desired::USUAL_MOUNTS[0].to_owned();
    view.image()
        .map_or_else(usual, |image| desired::data_place(image).mount)
}

fn is_inside(mount: &str, location: &str) -> bool {
    let below = location.strip_prefix(mount);
    below.is_some_and(|rest| rest.starts_with('/') && !rest.split('/').any(|part| part == ".."))
}

/// The tablespaces of the primary that lie in its volume, and not in its data directory: every member needs the directories.
pub fn shared(view: &View<'_>) -> Vec<String> {
    let (mount, facts) = (mount(view), view.primary_facts());
    let all = facts.into_iter().flat_map(|facts| facts.tablespaces.values());
    let inside = all.filter(|location| is_inside(&mount, location) && !is_inside(&format!("{mount}/pgdata"), location));
    inside.cloned().collect()
}

/// What of a member lies outside of its volume, in words; `Unknown` when nobody can tell.
fn outside(view: &View<'_>, member: &str) -> Seen<Vec<String>> {
    let seen = view.observed.members.get(member).map(|seen| &seen.tablespaces);
    match seen {
        Some(Seen::Known(tablespaces)) => {
            let mount = mount(view);
            let out = tablespaces.iter().filter(|(_, location)| !is_inside(&mount, location));
            Seen::Known(out.map(|(name, location)| format!("{name} ({location})")).collect())
        }
        Some(Seen::Absent) | None => Seen::Absent,
        Some(Seen::Unknown(why)) => Seen::Unknown(why.clone()),
    }
}

/// Takes the sequences out of a plan that remove a container with a tablespace in it, and says what to do.
pub fn guard(view: &View<'_>, plan: &mut Plan<Change>) {
    let chains = std::mem::take(&mut plan.chains);
    for chain in chains {
        match chain.iter().find_map(|action| removed(view, action)) {
            None => plan.chains.push(chain),
            Some(member) => match outside(view, &member) {
                Seen::Known(out) if !out.is_empty() => plan.block(&member, OUTSIDE, told(view, &member, &out)),
                Seen::Unknown(why) => plan.wait(
                    &member,
                    format!("whether its container holds tablespaces is not known: {why}"),
                ),
                Seen::Known(_) | Seen::Absent => plan.chains.push(chain),
            },
        }
    }
}

/// The member whose container a step removes.
fn removed(view: &View<'_>, action: &Action<Change>) -> Option<String> {
    let Op::Engine(EngineOp::RemoveContainer(key)) = &action.op else {
        return None;
    };
    let mut containers = view.observed.objects.containers.iter();
    let container = containers.find(|container| container.id == *key || container.name == *key)?;
    container.labels.get(labels::MEMBER).cloned()
}

fn told(view: &View<'_>, member: &str, out: &[String]) -> String {
    let (mount, container) = (mount(view), view.cluster.container_name(member));
    format!(
        "tablespace {} of {member} lies outside of its volume and would be lost with its container, so container {container} is \
         not removed or replaced. Move what is in it to one below {mount}: `docker exec -u postgres CONTAINER mkdir {mount}/NAME` in \
         every member's container, CREATE TABLESPACE there, ALTER TABLE ... SET TABLESPACE; then DROP TABLESPACE",
        out.join(" and ")
    )
}

/// What is to be known before a container has to be removed.
pub fn warning(view: &View<'_>) -> Option<String> {
    let all = view.members().into_iter().filter_map(|member| {
        let out = outside(view, &member);
        let out = out.known().filter(|out| !out.is_empty())?;
        Some(told(view, &member, out))
    });
    // What replicas have they have of their primary: one way is the way for all.
    all.reduce(|first, _| first)
}

/// Why the cluster cannot be deleted and its data kept.
pub fn holds(view: &View<'_>) -> Option<String> {
    let containers = view.observed.objects.containers.iter();
    let mut members = containers.filter_map(|container| container.labels.get(labels::MEMBER));
    members.find_map(|member| match outside(view, member) {
        Seen::Known(out) if !out.is_empty() => Some(told(view, member, &out)),
        Seen::Unknown(why) => Some(format!(
            "whether the container of {member} holds tablespaces is not known: {why}"
        )),
        Seen::Known(_) | Seen::Absent => None,
    })
}
