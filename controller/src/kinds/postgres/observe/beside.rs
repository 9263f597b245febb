//! Who has the members' volumes mounted. It costs a list of all containers of the host, so it is looked at only when
//! something does not run, when a step hangs on it, and once in a while; and for as long as somebody is there.

use super::super::cluster::Cluster;
use super::super::memory::{Change, Memory};
use super::super::plan::{self, View};
use super::{Depth, Observed};
use crate::converge::occupied;
use crate::host::Reads;
use crate::model::Seen;
use crate::model::container::{Objects, RunState};
use crate::model::holder::Holder;
use crate::model::plan::Plan;

/// Looks beside all other looks, where it is likely to be needed: a primary that has ended is waited for.
pub(super) async fn early<R: Reads>(
    host: &R,
    objects: &Objects,
    (cluster, memory, before): (&Cluster, &Memory, &Observed),
    depth: Depth,
) -> Seen<Vec<Holder>> {
    let runs = |member: &String| {
        let container = objects.container(&cluster.container_name(member));
        container.is_some_and(|container| container.state == RunState::Running)
    };
    // Who is missing may have to be taken over from.
    let all_run = cluster.members(memory.primary.as_deref()).iter().all(runs);
    let takes_over = memory.promotion.as_ref().is_some_and(|promotion| !promotion.requested);
    let is_due = !all_run || takes_over || depth.sizes || !before.intruders.is_empty();
    if !is_due {
        return Seen::default();
    }
    host.holders(&occupied::in_question::<Change>(objects, None)).await
}

/// Looks after all other looks, if what is planned on them hangs on it.
pub(super) async fn late<R: Reads>(
    host: &R,
    (cluster, memory, before): (&Cluster, &Memory, &Observed),
    now: i64,
    observed: &mut Observed,
) {
    let plan: Plan<Change> = plan::wished(&View {
        cluster,
        observed,
        memory,
        now,
        is_declared: true,
    });
    let needed = occupied::in_question(&observed.objects, Some(&plan));
    let is_known = observed.objects.holders.known().is_some();
    let is_new = needed != occupied::in_question::<Change>(&observed.objects, None);
    if occupied::is_asked_for(&observed.objects, &plan) && (!is_known || is_new) {
        observed.objects.holders = host.holders(&needed).await;
    }
    observed.intruders = match observed.objects.holders {
        Seen::Known(_) => occupied::intruders(&observed.objects),
        Seen::Absent | Seen::Unknown(_) => before.intruders.clone(),
    };
}
