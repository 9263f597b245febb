//! Changes that need a restart or a new container: replicas first, one at a time, each streaming again before the
//! next; then the primary, in place or by switchover, as the manifest says.

use super::super::desired::Role;
use super::super::memory::Change;
use super::super::observe;
use super::super::spec::{PrimaryUpdate, PullPolicy};
use super::foundation;
use super::keep;
use super::promotion;
use super::slots;
use super::sync;
use super::values;
use super::view::{Step, View};
use crate::model::Lsn;
use crate::model::container::RunState;
use crate::model::plan::{Action, EngineOp, Op, Plan};

/// How long a replica may be without a stream and still be expected to replay what it lacks, in seconds. Its primary's
/// own restart takes the stream from it for a moment.
const STUCK_SECS: i64 = 60;

/// What a running member needs.
enum Need {
    Restart(String),
    Recreate(String),
}

/// Rolls a change on by one member.
pub fn roll(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) {
    limits(view, plan);
    let replicas = view.replicas();
    let is_ready = |member: &str| view.replica_is_ready(member) && !plan.touches(member);
    let waiting = replicas
        .iter()
        .filter(|m| !is_ready(m) && !slots::waits_for_room(view, m));
    let waiting: Vec<&String> = waiting.collect();
    let needing: Vec<(&String, Need)> = replicas.iter().filter_map(|m| Some((m, need(view, m)?))).collect();
    if let Some((member, need)) = first(&needing, &waiting) {
        let others: Vec<&str> = waiting
            .iter()
            .filter(|m| !needing.iter().any(|(needs, _)| needs == *m))
            .map(|m| m.as_str())
            .collect();
        if !others.is_empty() {
            return plan.wait(
                member,
                format!("it restarts when {} streams again", others.join(" and ")),
            );
        }
        if !plan.touches(member) {
            if !caught_up(view, member) {
                return plan.wait(
                    member,
                    format!("it restarts when it has replayed what {primary} restarted with"),
                );
            }
            if let Some(why) = sync::holds(view, member).or_else(|| slots::holds(view, member)) {
                return plan.wait(member, why);
            }
            renew(view, member, Role::Replica, need, plan);
        }
        return;
    }
    let Some(need) = need_of_primary(view, primary) else {
        return;
    };
    if !waiting.is_empty() {
        let names: Vec<&str> = waiting.iter().map(|m| m.as_str()).collect();
        return plan.wait(
            primary,
            format!("it restarts when {} streams again", names.join(" and ")),
        );
    }
    if plan.touches(primary) {
        return;
    }
    match (view.cluster.spec.update_strategy.primary, replicas.first()) {
        (PrimaryUpdate::Switchover, Some(heir))
            if view.cluster.spec.primary.is_none() && !lowers_a_floor(view, primary, Role::Primary) =>
        {
            hand_over(view, primary, heir, plan)
        }
        (PrimaryUpdate::Switchover | PrimaryUpdate::InPlace, _) => renew(view, primary, Role::Primary, &need, plan),
    }
}

/// Whether a restart lowers what a standby must have at least as large as its primary. No heir can have that change
/// before its primary has it: handing over would go on for ever.
fn lowers_a_floor(view: &View<'_>, member: &str, role: Role) -> bool {
    let Some(facts) = view.facts(member) else {
        return false;
    };
    let wanted = view.floor(member, role, &view.settings_for(member));
    let running = |name: &String| facts.standby_floor.get(name).copied();
    wanted
        .iter()
        .any(|(name, value)| running(name).is_some_and(|running| running > *value))
}

/// One that is not ready anyway goes first; two that both need it must not wait for each other.
fn first<'n, 'm>(needing: &'n [(&'m String, Need)], waiting: &[&String]) -> Option<&'n (&'m String, Need)> {
    needing.iter().find(|(m, _)| waiting.contains(m)).or(needing.first())
}

/// The replica that is restarted next.
pub fn due(view: &View<'_>) -> Option<String> {
    let replicas = view.replicas();
    let needing: Vec<(&String, Need)> = replicas.iter().filter_map(|m| Some((m, need(view, m)?))).collect();
    let waiting: Vec<&String> = replicas.iter().filter(|m| !view.replica_is_ready(m)).collect();
    first(&needing, &waiting).map(|(member, _)| (*member).clone())
}

/// CPU and memory change on the running container.
fn limits(view: &View<'_>, plan: &mut Plan<Change>) {
    for member in view.members() {
        let Some(container) = view.container(&member) else {
            continue;
        };
        let wanted = &view.cluster.limits;
        if container.limits != *wanted && container.state == RunState::Running && !plan.touches(&member) {
            let op = EngineOp::UpdateLimits {
                container: container.id.clone(),
                limits: wanted.clone(),
            };
            plan.step(Action::engine(
                &member,
                op,
                "spec.resources differs from what the container has",
            ));
        }
    }
}

fn need_of_primary(view: &View<'_>, primary: &str) -> Option<Need> {
    view.primary_facts()?;
    need(view, primary)
}

fn need(view: &View<'_>, member: &str) -> Option<Need> {
    let container = view.container(member).filter(|c| c.state == RunState::Running)?;
    if view.is_foreign(member) || !view.has_current_volume(member, container) {
        return None;
    }
    if keep::differs(view, member, container) {
        let cause = "its image, ports, labels, shared memory or health check differ from the manifest";
        return Some(Need::Recreate(cause.to_owned()));
    }
    if let Some(at) = view.memory.restarts.get(member)
        && container.started_at < *at
    {
        return Some(Need::Restart("a restart was requested".to_owned()));
    }
    let facts = view.facts(member)?;
    if facts.reload_due {
        return None;
    }
    let changed = values::to_restart(view, member, facts);
    (!changed.is_empty()).then(|| Need::Restart(format!("{} changed", changed.join(", "))))
}

/// A replica that restarts with lower limits must first have replayed the primary's own lowering, or it stops with
/// "recovery aborted because of insufficient parameter settings".
fn caught_up(view: &View<'_>, member: &str) -> bool {
    let floor_lsn = view.memory.floor_lsn;
    floor_lsn == Lsn::default()
        || !lowers_a_floor(view, member, Role::Replica)
        || view
            .facts(member)
            .is_none_or(|facts| facts.lsn >= floor_lsn || !facts.in_recovery)
        || view
            .lasts(&observe::not_streaming(member))
            .is_some_and(|secs| secs >= STUCK_SECS)
}

fn renew(view: &View<'_>, member: &str, role: Role, need: &Need, plan: &mut Plan<Change>) {
    let (cause, recreate) = match need {
        Need::Restart(cause) => (cause, false),
        Need::Recreate(cause) => (cause, true),
    };
    let mut steps: Vec<Step> = Vec::new();
    if !recreate {
        steps.push(keep::stop(view.cluster, member, cause));
        steps.extend(view.start(member, role, cause));
        return plan.chain(steps);
    }
    let Some(image) = foundation::image(view, plan) else {
        return;
    };
    if !foundation::fits_volume(view, member, image, plan) {
        return;
    }
    let Some(container) = view.container(member) else {
        return;
    };
    if view.cluster.spec.pull_policy == PullPolicy::Always {
        let pull = EngineOp::PullImage(view.cluster.spec.image.clone());
        steps.push(Action::engine(member, pull, "spec.pullPolicy is Always"));
    }
    steps.push(keep::stop(view.cluster, member, cause));
    steps.push(Action::engine(
        member,
        EngineOp::RemoveContainer(container.id.clone()),
        cause,
    ));
    if view.volume(member).is_none() {
        steps.push(view.create_volume(member, image, cause.as_str()));
    }
    steps.push(view.create(member, image, cause));
    steps.extend(view.start(member, role, cause));
    plan.chain(steps);
}

fn hand_over(view: &View<'_>, primary: &str, heir: &str, plan: &mut Plan<Change>) {
    if let Some(last) = promotion::failed_lately(view, heir) {
        return plan.wait(
            heir,
            format!(
                "it takes over so that {primary} can restart; the last try failed: {}",
                last.message
            ),
        );
    }
    plan.step(Action::new(
        heir,
        Op::Remember(promotion::begin(view, primary, heir, false)),
        format!("{primary} has to restart, and spec.updateStrategy.primary is Switchover"),
    ));
}
