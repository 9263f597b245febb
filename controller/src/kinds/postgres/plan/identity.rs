//! No primary is recorded: either nothing exists yet, or the state directory was lost and the world has to say.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::desired::Role;
use super::super::memory::Change;
use super::access;
use super::foundation;
use super::keep;
use super::own;
use super::rejoin;
use super::trial;
use super::view::View;
use crate::model::Seen;
use crate::model::container::RunState;
use crate::model::labels;
use crate::model::plan::{Action, EngineOp, Op, Plan};
use crate::model::postgres::{Down, Server};

/// What one member could have been before the memory was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    WritableNow(u64),
    StoppedPrimary(u64),
    Replica,
    Empty,
    Unknown,
}

/// Bootstraps when nothing exists; adopts what exists where it is unambiguous; otherwise asks.
pub fn recognise(view: &View<'_>, plan: &mut Plan<Change>) {
    let generations = newest_generations(view);
    if view.observed.objects.containers.is_empty() && generations.is_empty() {
        return bootstrap(view, plan);
    }
    if reveal_stopped(view, &generations, plan) {
        return;
    }
    if let_in(view, &generations, plan) {
        return;
    }
    let pasts: BTreeMap<&String, Past> = generations.keys().map(|m| (m, past(view, m))).collect();
    let unseen: Vec<&str> = pasts
        .iter()
        .filter(|(_, past)| **past == Past::Unknown)
        .map(|(member, _)| member.as_str())
        .collect();
    if !unseen.is_empty() {
        plan.wait(
            &unseen.join(", "),
            "the record of who is the primary is missing, and every member has to be seen before one is trusted",
        );
        plan.again_in(Duration::from_secs(1));
        reveal_silent(view, &pasts, plan);
        return;
    }
    if pasts.values().all(|past| *past == Past::Empty) {
        return bootstrap(view, plan);
    }
    match candidate(view, &pasts) {
        Some((primary, system_identifier)) => {
            let generations = generations.clone();
            adopt(view, primary, system_identifier, generations, plan);
        },
        None => plan.confirm(
            &view.cluster.name,
            "the record of who is the primary is missing, and the members do not tell: \
             look at them (`reconciler status`, `reconciler logs`), then name one with `reconciler promote MEMBER --force`",
        ),
    }
}

fn bootstrap(view: &View<'_>, plan: &mut Plan<Change>) {
    let first = view
        .cluster
        .spec
        .primary
        .as_ref()
        .unwrap_or(&view.cluster.spec.primary_name);
    plan.step(Action::new(
        first,
        Op::Remember(Change::Bootstrap(first.clone())),
        "the cluster does not exist yet",
    ));
}

fn newest_generations(view: &View<'_>) -> BTreeMap<String, u32> {
    let mut newest = own::newest_generations(&view.observed.objects.volumes);
    // A volume that was restored by hand carries no labels; its member's container does.
    for container in &view.observed.objects.containers {
        if let Some(member) = container.labels.get(labels::MEMBER) {
            newest.entry(member.clone()).or_insert(1);
        }
    }
    newest
}

/// A volume without a container cannot be looked into: makes containers for such volumes, without starting them.
fn reveal_stopped(view: &View<'_>, generations: &BTreeMap<String, u32>, plan: &mut Plan<Change>) -> bool {
    let hidden: Vec<(&String, &u32)> = generations
        .iter()
        .filter(|(member, _)| view.container(member).is_none())
        .collect();
    if hidden.is_empty() {
        return false;
    }
    if !foundation::lay(view, plan) {
        return true;
    }
    let Some(image) = foundation::image(view, plan) else {
        return true;
    };
    for (member, generation) in hidden {
        if !foundation::is_free(view, member, plan) {
            continue;
        }
        let spec = super::super::desired::container(view.cluster, member, *generation, image);
        plan.step(Action::engine(
            member,
            EngineOp::CreateContainer(Box::new(spec)),
            "its data has to be looked at, without starting it, to tell who was the primary",
        ));
    }
    true
}

/// Servers that do not let the agent in cannot say what they are.
fn let_in(view: &View<'_>, generations: &BTreeMap<String, u32>, plan: &mut Plan<Change>) -> bool {
    for member in generations.keys() {
        let (Some(container), Some(Server::Down(down, why))) = (view.container(member), view.server(member)) else {
            continue;
        };
        match down {
            // They are the same in every member: one is enough.
            Down::PasswordUnknown => {
                plan.step(access::recover_passwords(view, member, container, why));
                return true;
            }
            // Only a primary takes a new one; a replica gets it with the stream.
            Down::PasswordRejected if view.is_standby_on_disk(member) => {}
            Down::PasswordRejected => plan.step(access::reset_password(view, member, container, why)),
            Down::NotRunning | Down::StartingUp | Down::ShuttingDown | Down::Errors | Down::NoAnswer => {}
        }
    }
    if !plan.is_idle() {
        plan.again_in(Duration::from_secs(1));
    }
    !plan.is_idle()
}

/// A member that is frozen, paused or cut off from the network says nothing until it is helped. None is thawed beside
/// one that accepts writes: it may be a primary too.
fn reveal_silent(view: &View<'_>, pasts: &BTreeMap<&String, Past>, plan: &mut Plan<Change>) {
    let is_writable = pasts.values().any(|past| matches!(past, Past::WritableNow(_)));
    let unseen = pasts.iter().filter(|(_, past)| **past == Past::Unknown);
    for (member, container) in unseen.filter_map(|(member, _)| Some((member, view.container(member)?))) {
        match container.state {
            RunState::Paused if is_writable => plan.confirm(
                member,
                format!(
                    "it is paused, and what it was cannot be seen; another member accepts writes. \
                     `docker rm -f {}` keeps its volume and lets the others go on",
                    container.name
                ),
            ),
            RunState::Running | RunState::Paused => keep::settle(view, member, Role::Replica, container, plan),
            RunState::Created | RunState::Exited | RunState::Between => {}
        }
    }
}

fn past(view: &View<'_>, member: &str) -> Past {
    match view.server(member) {
        Some(Server::Up(facts)) if facts.in_recovery => return Past::Replica,
        Some(Server::Up(facts)) => return Past::WritableNow(facts.system_identifier),
        Some(Server::Down(..)) | None => {}
    }
    let is_untold = view.is_shut(member) || view.error(member).is_some();
    if is_untold && view.is_standby_on_disk(member) {
        return Past::Replica;
    }
    if view.runs(member) {
        return Past::Unknown;
    }
    match view.control(member) {
        Seen::Absent => Past::Empty,
        Seen::Unknown(_) => Past::Unknown,
        Seen::Known(control) if control.state.is_standby() => Past::Replica,
        Seen::Known(control) => Past::StoppedPrimary(control.system_identifier),
    }
}

/// The one member that was the primary, if exactly one can have been.
fn candidate<'p>(view: &View<'_>, pasts: &BTreeMap<&'p String, Past>) -> Option<(&'p str, u64)> {
    let mut writable = Vec::new();
    let mut stopped = Vec::new();
    for (member, past) in pasts {
        match past {
            Past::WritableNow(id) => writable.push((member.as_str(), *id)),
            Past::StoppedPrimary(id) => stopped.push((member.as_str(), *id)),
            Past::Replica | Past::Empty | Past::Unknown => {}
        }
    }
    match (writable.as_slice(), stopped.as_slice()) {
        ([only], []) | ([], [only]) => Some(*only),
        // A stopped former primary beside a running one: the running one serves, unless somebody may have promoted it by
        // hand while the other was the primary. The other rejoins or is re-seeded.
        ([only], former) if former.iter().all(|(member, _)| is_superseded(view, only.0, member)) => Some(*only),
        ([], several) => {
            let named: Vec<_> = several.iter().filter(|(m, _)| role_says_primary(view, m)).collect();
            match named.as_slice() {
                [only] => Some(**only),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether a stopped former primary was to be one no more, or has written nothing that the writer lacks.
fn is_superseded(view: &View<'_>, writer: &str, former: &str) -> bool {
    let role = view.observed.members.get(former).map(|seen| &seen.role);
    let is_fenced = matches!(role, Some(Seen::Known(word)) if word == Role::Replica.word());
    let control = view.control(former).known();
    let is_copied = view
        .facts(writer)
        .zip(control)
        .is_some_and(|(facts, control)| rejoin::has_all_of(facts, control));
    is_fenced || is_copied
}

fn role_says_primary(view: &View<'_>, member: &str) -> bool {
    let role = view.observed.members.get(member).map(|seen| &seen.role);
    matches!(role, Some(Seen::Known(word)) if word == Role::Primary.word() || word == Role::Bootstrap.word())
}

fn adopt(
    view: &View<'_>,
    primary: &str,
    system_identifier: u64,
    generations: BTreeMap<String, u32>,
    plan: &mut Plan<Change>,
) {
    let adopt = Change::Adopt {
        primary: primary.to_owned(),
        system_identifier,
        generations,
    };
    let cause = if view.runs(primary) {
        "it is the only member that accepts writes"
    } else {
        "it is the only member that was a primary when it stopped"
    };
    let mut steps = vec![Action::new(primary, Op::Remember(adopt), cause)];
    let begins = trial::found(view, primary);
    steps.extend(begins.map(|begins| Action::new(primary, Op::Remember(begins), "its files tell")));
    plan.chain(steps);
}
