//! What becomes of volumes that are no longer used. A copy goes when its time is over; what may be the last copy of
//! anything goes only when somebody who was told so asked for it.

use super::super::memory::{Change, Retired};
use super::reseed;
use super::view::View;
use crate::model::plan::{Action, EngineOp, Note, Op, Plan};
use crate::model::status::bytes;

/// Removes retired volumes whose time is over.
pub fn release(view: &View<'_>, plan: &mut Plan<Change>) {
    let wants_room = plan
        .notes
        .iter()
        .any(|note| matches!(note, Note::Blocked { code, .. } if code == reseed::NO_SPACE));
    let members = view.members();
    for (volume, retired) in &view.memory.retired {
        let is_wanted = members.contains(&retired.member);
        let forget = Action::new(
            volume,
            Op::Remember(Change::Forget(volume.clone())),
            "it is no longer retired",
        );
        if !exists(view, volume) || (is_wanted && *volume == view.volume_name(&retired.member)) {
            plan.step(forget);
            continue;
        }
        if is_mounted(view, volume) || !(retired.released || may_go(view, retired, is_wanted)) {
            continue;
        }
        if let Some(cause) = cause(view, volume, retired, is_wanted, wants_room) {
            plan.chain(vec![
                Action::engine(volume, EngineOp::RemoveVolume(volume.clone()), cause),
                forget,
            ]);
        }
    }
}

/// Whether a volume is a copy whose member does without it.
fn may_go(view: &View<'_>, retired: &Retired, is_wanted: bool) -> bool {
    retired.proved_copy && (!is_wanted || view.replica_is_ready(&retired.member))
}

/// Why a volume that may go goes now; `None` while it stays.
fn cause(view: &View<'_>, volume: &str, retired: &Retired, is_wanted: bool, wants_room: bool) -> Option<String> {
    if retired.released {
        return Some("its removal was asked for".to_owned());
    }
    let held = if is_wanted {
        format!(
            "{} streams from its new volume, and this one held nothing that the primary does not have",
            retired.member
        )
    } else {
        format!("{}, and it held nothing that the primary does not have", retired.reason)
    };
    if !retired.quarantined || view.cluster.retention_secs == 0 {
        return Some(held);
    }
    if view.now >= due(view, retired) {
        return Some(format!("{held}; its time in quarantine is over"));
    }
    if wants_room {
        return Some(format!("{held}; a new volume needs its room"));
    }
    let newer = newer_bytes(view, volume, retired);
    let own = view.observed.volume_bytes.get(volume).copied()?;
    (newer + own > view.cluster.quarantine_bytes).then(|| {
        format!(
            "{held}; the volumes in quarantine take more than spec.storage.quarantine.maxSize, {}",
            bytes(view.cluster.quarantine_bytes)
        )
    })
}

/// When the time of a volume in quarantine is over, in seconds since the epoch.
pub fn due(view: &View<'_>, retired: &Retired) -> i64 {
    retired.since.saturating_add(view.cluster.retention_secs)
}

/// The bytes of the copies that are in quarantine for a shorter time than this one.
fn newer_bytes(view: &View<'_>, volume: &str, retired: &Retired) -> u64 {
    let newer = view.memory.retired.iter().filter(|(name, other)| {
        let is_newer = (other.since, name.as_str()) > (retired.since, volume);
        other.proved_copy && other.quarantined && is_newer
    });
    newer.filter_map(|(name, _)| view.observed.volume_bytes.get(name)).sum()
}

/// Whether the engine has a volume.
pub fn exists(view: &View<'_>, volume: &str) -> bool {
    view.observed.objects.volumes.iter().any(|v| v.name == volume)
}

/// Whether a container of the cluster uses a volume, if only to read it.
pub fn is_mounted(view: &View<'_>, volume: &str) -> bool {
    let objects = &view.observed.objects;
    let mut containers = objects.containers.iter().chain(&objects.misnamed);
    containers.any(|c| c.volumes.iter().any(|name| name == volume))
}
