//! The planner: from what is wanted, seen and remembered to the next steps. Pure: no clock, no I/O, no `async`.
//!
//! One rule a file, in the order in which they are asked. Every pass starts from the top; none of them remembers
//! where the last pass stopped.

mod access;
mod configure;
mod contents;
pub mod damage;
pub mod disk;
pub mod failover;
mod foundation;
pub mod history;
mod identity;
pub mod keep;
mod lag;
pub mod life;
pub mod own;
pub mod position;
pub mod promotion;
pub mod rejoin;
mod replicas;
pub mod reseed;
mod rollout;
pub mod routes;
mod scale;
pub mod senders;
pub mod slots;
mod stuck;
pub mod sync;
pub mod tablespaces;
pub mod trial;
pub mod values;
mod view;
pub mod volumes;
pub mod words;
mod writers;

#[cfg(test)]
pub(super) mod tests;

use super::conf;
use super::memory::{Change, Rejected};
use crate::converge::{namesakes, occupied};
use crate::model::plan::{Action, EngineOp, Op, Plan};
pub use view::View;

/// Works out what is to be done next.
pub fn plan(view: &View<'_>) -> Plan<Change> {
    let mut plan = wished(view);
    occupied::guard(&view.observed.objects, &mut plan);
    tablespaces::guard(view, &mut plan);
    plan
}

/// The same, whoever else may be on the volumes.
pub fn wished(view: &View<'_>) -> Plan<Change> {
    let mut plan = Plan::default();
    if !own::put_right(view, &mut plan) {
        return plan;
    }
    let Some(primary) = view.primary() else {
        identity::recognise(view, &mut plan);
        return plan;
    };
    if !foundation::lay(view, &mut plan) {
        return plan;
    }
    let is_settled = namesakes::settle(&view.observed.objects, &mut plan);
    if let Some(promotion) = &view.memory.promotion {
        // While the write role moves, nothing else does.
        promotion::advance(view, promotion, &mut plan);
        return plan;
    }
    if !is_settled {
        return plan;
    }
    if foundation::two_primaries(view, primary, &mut plan) {
        return plan;
    }
    // Without it nothing could be made again; and a new one that the manifest names is fetched before it is needed.
    foundation::image(view, &mut plan);
    if !history::keep(view, primary, &mut plan) {
        return plan;
    }
    keep::primary(view, primary, &mut plan);
    replicas::keep(view, primary, &mut plan);
    sync::keep(view, primary, &mut plan);
    configure::configure(view, &mut plan);
    position::note(view, &mut plan);
    promotion::settle(view, primary, &mut plan);
    if view.primary_facts().is_some() {
        contents::keep(view, primary, &mut plan);
        scale::down(view, primary, &mut plan);
        volumes::release(view, &mut plan);
    }
    rollout::roll(view, primary, &mut plan);
    promotion::by_manifest(view, primary, &mut plan);
    routes::keep(view, &mut plan);
    plan
}

/// What is to be remembered when a step failed, if anything.
pub fn on_failure(view: &View<'_>, action: &Action<Change>, invalid: bool, why: &str) -> Option<Change> {
    match &action.op {
        Op::Engine(EngineOp::CheckConfig(check)) if invalid && check.is_altered => {
            trial::would_not_start(view, &action.subject, why)
        }
        Op::Engine(EngineOp::CheckConfig(check)) if invalid => {
            let settings = view.cluster.settings();
            // The manifest may have been edited meanwhile: what was refused is then no longer what is wanted.
            let is_wanted = configure::is_check_of(view, check, &settings);
            is_wanted.then(|| {
                Change::Reject(Rejected {
                    message: conf::named_line(why, &settings.hba),
                    settings,
                })
            })
        }
        Op::Engine(_) | Op::Sql(..) | Op::Listen(_) | Op::Grafana(..) | Op::Remember(_) => None,
    }
}
