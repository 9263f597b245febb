//! What to tell about a cluster's volumes, and about those that are being filled.

use super::super::memory::ReseedState;
use super::super::plan::{View, volumes};
use crate::model::labels;
use crate::model::status::{MemberStatus, VolumeStatus, bytes};

/// All volumes of a cluster.
pub fn volumes(view: &View<'_>) -> Vec<VolumeStatus> {
    view.observed
        .objects
        .volumes
        .iter()
        .map(|v| volume(view, &v.name))
        .collect()
}

fn volume(view: &View<'_>, name: &str) -> VolumeStatus {
    let seen = view.observed.objects.volumes.iter().find(|v| v.name == name);
    let label = |key: &str| seen.and_then(|v| v.labels.get(key)).cloned().unwrap_or_default();
    let member = label(labels::MEMBER);
    let mut status = VolumeStatus {
        name: name.to_owned(),
        generation: label(labels::GENERATION).parse().ok(),
        bytes: view.observed.volume_bytes.get(name).copied(),
        ..VolumeStatus::default()
    };
    let retired = view.memory.retired.get(name);
    let is_current = view.members().contains(&member) && view.volume_name(&member) == name;
    status.member = member;
    match retired {
        _ if is_current => "in use".clone_into(&mut status.state),
        None => {
            "kept".clone_into(&mut status.state);
            "no member uses it; it is used again when its member comes back, unless that was given a newer one"
                .clone_into(&mut status.reason);
        }
        Some(retired) => {
            status.reason.clone_from(&retired.reason);
            status.since = Some(retired.since);
            let state = match (retired.released, retired.proved_copy) {
                (true, _) => "being removed",
                (false, true) => "quarantined",
                (false, false) => "kept",
            };
            state.clone_into(&mut status.state);
            let goes = retired.proved_copy && retired.quarantined && !retired.released;
            status.until = goes.then(|| volumes::due(view, retired));
        }
    }
    status
}

/// The re-seed in progress, or the seeds, with how far they are.
pub fn filling(view: &View<'_>, members: &[MemberStatus]) -> Option<String> {
    let active = |name: &str| view.memory.reseed(name);
    let reseeds = members.iter().filter(|m| m.role == "replica");
    let reseeds: Vec<String> = reseeds
        .filter_map(|m| Some(reseeding(view, &m.name, active(&m.name)?)))
        .collect();
    if !reseeds.is_empty() {
        return Some(reseeds.join("; "));
    }
    let seeding: Vec<String> = members
        .iter()
        .filter(|m| m.progress.is_some())
        .map(|m| format!("{}{}", m.name, progress(view, &m.name)))
        .collect();
    (!seeding.is_empty()).then(|| format!("seeding {}", seeding.join(", ")))
}

fn reseeding(view: &View<'_>, member: &str, state: &ReseedState) -> String {
    format!(
        "re-seeding {member} by {}{}, because {}",
        state.method,
        progress(view, member),
        state.reason
    )
}

fn progress(view: &View<'_>, member: &str) -> String {
    let Some(fill) = view.observed.fills.get(member) else {
        return String::new();
    };
    let left = fill.seconds_left(view.now);
    let left = left.map_or_else(String::new, |secs| format!(", about {secs} s left"));
    match fill.total {
        0 => format!(" ({}{left})", bytes(fill.done)),
        total => format!(" ({} of {}{left})", bytes(fill.done), bytes(total)),
    }
}
