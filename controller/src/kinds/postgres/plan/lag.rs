//! Replicas that stream and fall behind further and further. They are reported first; a new copy is made when nothing
//! speaks for their ever catching up before that is done.

use super::super::memory::Change;
use super::rejoin::{self, Finding};
use super::reseed;
use super::view::View;
use crate::model::plan::Plan;
use crate::model::postgres::PgFacts;
use crate::model::status::bytes;

/// Comparisons in a row, ten seconds apart, after which a lag counts as one that grows for good.
const GROWING: u32 = 6;
/// A replica that is slower than its primary stays so with new data: another copy for this reason is not made within
/// this time, in seconds.
const ONCE_IN_SECS: i64 = 3600;

/// Watches a replica's lag.
pub fn watch(view: &View<'_>, member: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    let Some(lag) = view.observed.lags.get(member).filter(|lag| lag.grown > 0) else {
        return;
    };
    let lasts = view.now - lag.since;
    let reason = format!(
        "it is {} behind, more than spec.replication.maxLag, and has fallen behind further for {lasts} s",
        bytes(lag.bytes)
    );
    let secs = u64::try_from(lasts).unwrap_or(0).max(1);
    let pace = facts.lsn.bytes_past(lag.from) / secs;
    let catching_up_millis = lag.bytes.saturating_mul(1000).checked_div(pace).unwrap_or(u64::MAX);
    let clone_millis = view.observed.sizes.map(reseed::clone_millis);
    let lately = view
        .memory
        .reseeds
        .get(member)
        .is_some_and(|state| view.now - state.since < ONCE_IN_SECS);
    let is_quicker = clone_millis.is_some_and(|millis| millis < catching_up_millis);
    if lag.grown < GROWING || lately || !is_quicker {
        return plan.wait(member, reason);
    }
    let finding = Finding {
        proved_copy: rejoin::is_copy(view, member),
        ..Finding::unproved(reason)
    };
    reseed::decide(view, member, &finding, plan);
}
