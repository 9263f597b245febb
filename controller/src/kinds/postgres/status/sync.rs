//! What to tell of synchronous replication.

use super::super::plan::View;
use super::super::plan::sync;
use super::super::quorum::SyncSet;
use crate::model::status::{Condition, condition};

/// What commits wait for: `False` says that it is less than the manifest asks for, or that they do wait now.
pub(super) fn condition_of(view: &View<'_>) -> Option<Condition> {
    let state = &view.memory.sync;
    if !sync::is_wanted(view) && state.intended.is_none() {
        return None;
    }
    let number = view.cluster.spec.replication.number();
    let tell = |holds, reason: &str, message: String| Some(condition("SynchronousReplication", holds, reason, message));
    if !sync::is_wanted(view) {
        return tell(false, "SwitchingOff", "commits are to wait for no replica".to_owned());
    }
    let Some(facts) = view.primary_facts() else {
        return tell(
            false,
            "NoPrimary",
            "no primary answers that could commit anything".to_owned(),
        );
    };
    let streams = |voter: &&String| facts.standbys.get(*voter).is_some_and(|s| s.state == "streaming");
    let Some(set) = &state.intended else {
        let message = format!("commits do not wait yet: {number} of the replicas have to stream first");
        return tell(false, "Establishing", message);
    };
    let missing: Vec<&str> = set.voters.iter().filter(|v| !streams(v)).map(String::as_str).collect();
    if set.is_nobody() {
        let message =
            "no replica streams: acknowledged writes are on the primary alone, and nobody is promoted unforced";
        return tell(false, "Degraded", message.to_owned());
    }
    if set.voters.len() - missing.len() < set.number as usize {
        let message = format!("commits wait for {set}: {} does not stream", missing.join(", "));
        return tell(false, "Waiting", message);
    }
    if set.number < number {
        return tell(
            false,
            "Degraded",
            format!("commits wait for {set} instead of {number} replicas"),
        );
    }
    if !state.promised {
        return tell(false, "Establishing", format!("commits begin to wait for {set}"));
    }
    if !state.is_settled() {
        let others: Vec<String> = state.possible.iter().map(SyncSet::to_string).collect();
        let message = format!(
            "commits wait for {set}; what was acknowledged by {} has still to reach them",
            others.join(" or ")
        );
        return tell(true, "Changing", message);
    }
    tell(true, "Enforced", format!("commits wait for {set}"))
}

/// What the primary says of a replica: `sync`, `quorum`, `potential`; nothing where commits wait for nobody.
pub(super) fn state_of(view: &View<'_>, member: &str) -> Option<String> {
    let standby = view.primary_facts()?.standbys.get(member)?;
    let counts = !standby.sync_state.is_empty() && standby.sync_state != "async";
    counts.then(|| standby.sync_state.clone())
}
