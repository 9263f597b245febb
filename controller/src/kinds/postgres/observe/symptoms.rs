//! What is wrong and lasts: by words, so that the next look can tell since when.

use std::collections::BTreeSet;

use super::super::memory::Memory;
use super::Observed;
use crate::model::container::Health;
use crate::model::labels;
use crate::model::postgres::{Down, Receiver, Server};

/// The symptoms whose duration matters to the plan.
pub(super) fn symptoms(observed: &Observed, memory: &Memory) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (member, seen) in &observed.members {
        let is_primary = memory.primary.as_deref() == Some(member);
        match &seen.server {
            Server::Up(facts) if !is_primary && facts.in_recovery && !facts.receiver_streaming => {
                found.insert(not_streaming(member));
            }
            Server::Up(facts) if is_primary && !facts.in_recovery => {
                found.insert(serves(member));
            }
            Server::Up(_) => {}
            Server::Down(Down::NotRunning, _) => {}
            Server::Down(..) => {
                found.insert(no_answer(member));
            }
        }
    }
    let main = memory
        .primary
        .as_ref()
        .and_then(|primary| observed.members.get(primary)?.server.facts())
        .filter(|main| !main.in_recovery);
    if let Some(main) = main {
        let voters = memory.sync.intended.iter().flat_map(|set| &set.voters);
        let streams = |voter: &String| main.standbys.get(voter).is_some_and(|s| s.state == "streaming");
        found.extend(voters.filter(|voter| !streams(voter)).map(|voter| not_followed(voter)));
        let behind = main.receivers.iter().filter(|one| one.bytes_behind(main.flush_lsn) > 0);
        found.extend(behind.map(stands_still));
    } else if let Some(primary) = &memory.primary {
        found.insert(not_serving(primary));
    }
    for container in &observed.objects.containers {
        if let Some(member) = container.labels.get(labels::MEMBER)
            && container.health == Health::Unhealthy
        {
            found.insert(unhealthy(member));
        }
    }
    found
}

/// The symptom that a replica does not stream.
pub fn not_streaming(member: &str) -> String {
    format!("{member} does not stream")
}

/// The symptom that a member that commits wait for has no stream, as the primary sees it.
pub fn not_followed(member: &str) -> String {
    format!("{member} is not streamed to")
}

/// The symptom that a receiver of the primary's log lacks some of it and does not get on.
pub fn stands_still(receiver: &Receiver) -> String {
    format!("sender {} stands at {}", receiver.pid, receiver.stands_at())
}

/// Not a symptom of trouble: the recorded primary accepts writes.
pub fn serves(member: &str) -> String {
    format!("{member} serves")
}

/// The symptom that the recorded primary does not accept writes, whatever the reason.
pub fn not_serving(member: &str) -> String {
    format!("{member} does not serve")
}

/// The symptom that a running member does not answer SQL.
pub fn no_answer(member: &str) -> String {
    format!("{member} does not answer")
}

/// The symptom that the engine's health check fails.
pub fn unhealthy(member: &str) -> String {
    format!("{member} is unhealthy")
}
