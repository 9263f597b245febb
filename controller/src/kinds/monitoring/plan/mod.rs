//! The planner: from what is wanted, seen and remembered to the next steps. Pure.

pub mod content;
mod ports;
mod reload;
mod roles;
mod silence;
pub mod userfiles;
mod view;

#[cfg(test)]
mod tests;

use super::desired;
use super::memory::Change;
use super::observe::Observed;
use crate::converge::names::{self, Own};
use crate::converge::{self, Piece, Pulls, Sight, namesakes, occupied};
use crate::kinds::postgres::spec::PullPolicy;
use crate::model::plan::{Action, Op, Plan};
pub use userfiles::on_failure;
pub use view::View;

/// What users rename when a name is taken.
const OWNER: &str = "resource";

/// Works out what is to be done next.
pub fn plan(view: &View<'_>) -> Plan<Change> {
    let mut plan = wished(view);
    occupied::guard(&view.observed.objects, &mut plan);
    plan
}

/// What is a member's own.
pub fn own(view: &View<'_>, pieces: &[Piece], member: &str) -> Own {
    let piece = pieces.iter().find(|piece| piece.member == member);
    let volume = piece.and_then(|piece| piece.container.volume.as_ref());
    Own {
        name: view.monitor.container_name(member),
        volume: volume.map(|volume| volume.name.clone()),
    }
}

/// The same, whoever else may be on the volumes.
pub fn wished(view: &View<'_>) -> Plan<Change> {
    let mut plan = Plan::default();
    let objects = &view.observed.objects;
    if !converge::network(objects, desired::network(view.monitor), OWNER, &mut plan) {
        return plan;
    }
    if !namesakes::settle(objects, &mut plan) {
        return plan;
    }
    if let Some(address) = view.agent_address().filter(|address| !view.is_open(*address)) {
        let cause = "Prometheus asks the agent there";
        plan.step(Action::new("agent", Op::Listen(address), cause));
    }
    roles::keep(view, &mut plan);
    ports::assign(view, &mut plan);
    let pieces = desired::pieces(view);
    let policy = view.monitor.spec.pull_policy;
    let pulls = Pulls {
        missing: policy != PullPolicy::Never,
        before_replacing: policy == PullPolicy::Always,
    };
    let undecided = names::put_right(objects, |member| own(view, &pieces, member), &mut plan);
    let is_due = |piece: &&Piece| ports::is_settled(view, &piece.member) && !undecided.contains(&piece.member);
    for piece in pieces.iter().filter(is_due) {
        if roles::is_awaited(view, &piece.member) {
            plan.wait(&piece.member, "its cluster has to take statements before it is made");
            continue;
        }
        let sight = sight(view.observed, piece, view.now);
        converge::keep(piece, objects, (OWNER, pulls), sight, &mut plan);
    }
    let is_wanted = |member: &str| pieces.iter().any(|piece| piece.member == member) || view.may_be_wanted(member);
    silence::end(view, &pieces, &mut plan);
    converge::clear(objects, is_wanted, desired::GRACE_SECS, &mut plan);
    userfiles::judge(view, &mut plan);
    userfiles::leave_out(view, &mut plan);
    content::keep(view, &mut plan);
    reload::note_deliveries(&mut plan);
    reload::reload(view, &pieces, &mut plan);
    plan
}

/// What was seen of a piece.
pub fn sight<'a>(observed: &'a Observed, piece: &Piece, now: i64) -> Sight<'a> {
    Sight {
        files: observed.files.get(&piece.member),
        short_lives: observed.short_lives.get(&piece.member).copied().unwrap_or(0),
        now,
    }
}
