//! Members that left on a timeline of their own: somebody promoted them by hand, whatever they are since.
//!
//! A server that is promoted takes the first number after those that it knows of (`xlogrecovery.c`, `findNewestTimeLine`),
//! and what another one did it does not know. So two may come to the same number, and a standby of the one then streams from
//! the other and has rows that its primary never had; neither PostgreSQL nor the numbers tell.

use super::super::super::memory::{Change, Method, Promotion};
use super::super::rejoin::Finding;
use super::super::reseed;
use super::super::view::View;
use crate::model::plan::{Action, Op};

/// The members beside `target` that are known to be beyond `timeline`, and on which one.
pub(super) fn beyond(view: &View<'_>, target: &str, timeline: u32) -> Vec<(String, u32)> {
    let others = view.replicas().into_iter().filter(|member| member != target);
    let usable = others.filter(|member| {
        let container = view.container(member);
        container.is_some_and(|container| view.has_current_volume(member, container)) && !view.is_foreign(member)
    });
    let known = usable.filter_map(|member| {
        let seen = view.facts(&member).map(|facts| facts.timeline);
        let stopped = view.control(&member).known().map(|control| control.timeline);
        Some((seen.or(stopped)?, member))
    });
    known
        .filter(|(theirs, _)| *theirs > timeline)
        .map(|(theirs, member)| (member, theirs))
        .collect()
}

/// Where a promotion goes on all the same, they get new volumes: none may be taken for a follower of the new primary.
pub(super) fn set_aside(view: &View<'_>, promotion: &Promotion) -> Vec<Action<Change>> {
    let to = &promotion.to;
    let strays = beyond(view, to, promotion.start_timeline).into_iter();
    strays
        .map(|(member, timeline)| {
            let reason = format!("it left on timeline {timeline} of its own, and that of {to} may get the same number");
            let finding = Finding::unproved(reason.clone());
            let change = reseed::change(view, &member, &finding, Method::Clone);
            Action::new(&member, Op::Remember(change), reason)
        })
        .collect()
}
