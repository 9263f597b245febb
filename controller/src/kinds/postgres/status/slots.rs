//! The replication slots of all members.

use super::super::plan::View;
use super::super::plan::slots;
use crate::model::postgres::{LogicalSlot, SlotFacts};
use crate::model::status::SlotStatus;

/// All slots of the members that answer, member by member.
pub fn all(view: &View<'_>) -> Vec<SlotStatus> {
    let own = slots::own(view);
    let members = view.members().into_iter();
    let found = members.flat_map(|member| {
        let facts = view.facts(&member);
        let physical = facts.into_iter().flat_map(|facts| &facts.slots);
        let logical = facts.into_iter().flat_map(|facts| &facts.logical);
        let physical = physical.map(|(name, slot)| SlotStatus {
            is_own: own.contains(name),
            ..of_physical(&member, name, slot)
        });
        let logical = logical.map(|(name, slot)| of_logical(&member, name, slot));
        physical.chain(logical).collect::<Vec<_>>()
    });
    found.collect()
}

fn of_physical(member: &str, name: &str, slot: &SlotFacts) -> SlotStatus {
    SlotStatus {
        name: name.to_owned(),
        member: member.to_owned(),
        kind: "physical".to_owned(),
        active: slot.active,
        wal_status: slot.wal_status.clone(),
        invalidation: slot.invalidation.clone(),
        held_bytes: slot.held_bytes,
        ..SlotStatus::default()
    }
}

fn of_logical(member: &str, name: &str, slot: &LogicalSlot) -> SlotStatus {
    SlotStatus {
        name: name.to_owned(),
        member: member.to_owned(),
        kind: "logical".to_owned(),
        plugin: slot.plugin.clone(),
        database: slot.database.clone(),
        active: slot.active,
        temporary: slot.temporary,
        failover: slot.failover,
        synced: slot.synced,
        invalidation: slot.invalidation.clone(),
        confirmed_lsn: Some(slot.confirmed_lsn.to_string()),
        held_bytes: slot.held_bytes,
        ..SlotStatus::default()
    }
}
