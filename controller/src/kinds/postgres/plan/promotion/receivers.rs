//! Receivers of the old primary's log that would hold its stop up: they get a bounded time to catch up while it still serves,
//! and are cut off then. Whoever is cut off can go on from the new primary.

use super::super::super::super::Check;
use super::super::super::memory::{Change, Promotion};
use super::super::senders::{self, Obstacle};
use super::super::view::View;
use super::checks::check;
use crate::model::plan::{Action, Op, Plan};
use crate::model::postgres::{PgFacts, SqlOp};

/// How long it is tried to cut receivers off, in seconds: some come back at once. Then the stop begins all the same.
const CUT_SECS: i64 = 2;

/// Who receives the primary's log beside the cluster, and who would hold its stop up. It never stands against a promotion.
pub(super) fn precondition(view: &View<'_>, target: &str, main: &PgFacts) -> Check {
    let primary = view.primary().unwrap_or_default();
    let obstacles = senders::obstacles(view, primary, target);
    let is_obstacle = |pid: i32| obstacles.iter().any(|obstacle| obstacle.receiver.pid == pid);
    let grace = view.cluster.receiver_grace_secs;
    let told: Vec<String> = main
        .receivers
        .iter()
        .filter(|receiver| senders::is_foreign(view, receiver) || is_obstacle(receiver.pid))
        .map(|receiver| {
            let lag = senders::lag_told(receiver, receiver.bytes_behind(main.flush_lsn));
            match is_obstacle(receiver.pid) {
                true => format!("{lag}: cut off unless it catches up within {grace} s"),
                false => lag,
            }
        })
        .collect();
    let found = match told.is_empty() {
        true => "nobody else receives its log".to_owned(),
        false => told.join("; "),
    };
    check("no receiver of the log keeps it from stopping", true, found)
}

/// Whether nobody is in the way of the stop any more, or enough was tried.
pub(super) fn are_clear(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) -> bool {
    let (from, to) = (&promotion.from, &promotion.to);
    let found = senders::obstacles(view, from, to);
    if found.is_empty() {
        return true;
    }
    let grace = view.cluster.receiver_grace_secs;
    let Some(since) = promotion.awaits_since else {
        let awaits = Change::Awaits {
            id: promotion.id,
            at: view.now,
        };
        let cause = format!("{}; what is not there after {grace} s is not waited for", told(&found));
        plan.step(Action::new(from, Op::Remember(awaits), cause));
        return false;
    };
    let waited = view.now - since;
    let is_late = |found: &Obstacle<'_>| waited > grace || found.stands_secs >= grace;
    let late: Vec<Obstacle<'_>> = found.iter().copied().filter(is_late).collect();
    if !late.is_empty() && waited <= grace + CUT_SECS {
        let pids = late.iter().map(|found| found.receiver.pid).collect();
        let cause = format!("{}, and would keep it from stopping", told(&late));
        plan.chain(view.sql(from, SqlOp::EndSenders(pids), cause).into_iter().collect());
        return false;
    }
    let is_waited_for = waited <= grace;
    if is_waited_for {
        plan.wait(
            from,
            format!("it is stopped when its receivers have caught up: {}", told(&found)),
        );
    }
    !is_waited_for
}

fn told(found: &[Obstacle<'_>]) -> String {
    let told: Vec<String> = found
        .iter()
        .map(|found| senders::lag_told(found.receiver, found.bytes))
        .collect();
    told.join("; ")
}
