//! Keeps one member's container there and running, and deals with whatever happened to it.

use std::time::Duration;

use super::super::cluster::Cluster;
use super::super::desired::Role;
use super::super::memory::Change;
use super::access;
use super::disk;
use super::failover;
use super::foundation;
use super::history;
use super::life;
use super::senders;
use super::sync;
use super::trial;
use super::view::{Step, View};
use super::words;
use super::writers;
use crate::model::container::{ContainerObserved, Health, RunState};
use crate::model::labels;
use crate::model::plan::{Action, EngineOp, Op, Plan};
use crate::model::postgres::{Down, PORT_CLOSED, Server, SqlOp};

/// The entry point's exit code for a damaged data directory.
pub const EXIT_DAMAGED: i64 = 80;
/// How long a primary serves until its start counts as a success, in seconds: one that dies at its first query answers
/// too, for a moment.
const STEADY_SECS: i64 = 5;
/// How long a server that runs may keep its port closed, in seconds.
const ELSEWHERE_SECS: i64 = 30;
/// Starts in a row after which a member counts as crash looping.
const CRASH_LOOP: u32 = 3;

/// Keeps the recorded primary.
pub fn primary(view: &View<'_>, member: &str, plan: &mut Plan<Change>) {
    let initialised = view.memory.system_identifier.is_some();
    let role = if initialised { Role::Primary } else { Role::Bootstrap };
    if failover::consider(view, member, plan) || history::withhold(view, member, plan) {
        return;
    }
    match view.container(member) {
        // Whether it is to be started its data tell, which cannot be looked into without a container.
        None if initialised && view.volume(member).is_some() => make_only(view, member, plan),
        None => make(view, member, role, plan),
        Some(container) => settle(view, member, start_role(view, member, role), container, plan),
    }
    if let Some(facts) = view.primary_facts() {
        if !initialised {
            plan.step(Action::new(
                member,
                Op::Remember(Change::Initialised(facts.system_identifier)),
                "it answers for the first time",
            ));
        }
        works(view, member, plan);
    }
    let is_standby = view.facts(member).is_some_and(|facts| facts.in_recovery) && !view.is_foreign(member);
    if is_standby && !writers::is_another_feared(view, member, plan) {
        let cause = "it is the recorded primary and runs as a replica";
        let mut steps = writers::fence(view, member);
        steps.extend(sync::before_start(view, member));
        steps.push(view.deliver(member, Role::Primary, cause));
        steps.extend(view.sql(member, SqlOp::Promote, cause));
        plan.chain(steps);
        plan.again_in(Duration::from_millis(50));
    }
}

/// A primary that has served for a moment is no crash loop: the next start is no repetition of the last.
fn works(view: &View<'_>, member: &str, plan: &mut Plan<Change>) {
    let Some(starts) = view.memory.starts.get(member) else {
        return;
    };
    let works = Change::Works(member.to_owned(), view.now);
    match STEADY_SECS - (view.now - starts.last) {
        ..=0 => plan.step(Action::new(member, Op::Remember(works), "it serves")),
        rest => plan.again_in(Duration::from_secs(rest.unsigned_abs())),
    }
}

/// A standby's data is opened for writing by a promotion, on a timeline of its own. Started read-write as it is, it would
/// write to a timeline that others have followed further, and nobody could tell the two apart.
fn start_role(view: &View<'_>, member: &str, role: Role) -> Role {
    match view.control(member).known() {
        Some(control) if control.state.is_standby() => Role::Replica,
        _ => role,
    }
}

/// Makes a member's container, and its volume if there is none. The caller made sure that an empty volume is right.
pub fn make(view: &View<'_>, member: &str, role: Role, plan: &mut Plan<Change>) {
    let Some(image) = foundation::image(view, plan) else {
        return;
    };
    if !foundation::is_free(view, member, plan) || !foundation::fits_volume(view, member, image, plan) {
        return;
    }
    if wait_for_next_try(view, member, plan) {
        return;
    }
    let mut steps: Vec<Step> = Vec::new();
    if view.volume(member).is_none() {
        steps.push(view.create_volume(member, image, "it is missing"));
    }
    steps.push(view.create(member, image, "it is missing"));
    steps.extend(view.start(member, role, "it was just created"));
    plan.chain(steps);
}

/// Makes a container for a volume, without starting it.
pub fn make_only(view: &View<'_>, member: &str, plan: &mut Plan<Change>) {
    let Some(image) = foundation::image(view, plan) else {
        return;
    };
    if foundation::is_free(view, member, plan) && foundation::fits_volume(view, member, image, plan) {
        plan.step(view.create(member, image, "it is missing"));
    }
}

/// Brings an existing container to run, and its server to answer.
pub fn settle(view: &View<'_>, member: &str, role: Role, container: &ContainerObserved, plan: &mut Plan<Change>) {
    match container.state {
        RunState::Created | RunState::Exited => restart(view, member, role, container, plan),
        RunState::Paused => plan.step(Action::engine(
            member,
            EngineOp::Unpause(container.id.clone()),
            "it was paused",
        )),
        RunState::Between => plan.wait(member, "its container is between two states"),
        RunState::Running => match reconnect(view, member, container) {
            Some(connect) => plan.step(connect),
            None => answer(view, member, container, plan),
        },
    }
}

/// The step that connects a container to the cluster's network again, if somebody disconnected it. A stopped one is connected
/// too: started without the network it ends at once, and would never be seen running.
pub fn reconnect(view: &View<'_>, member: &str, container: &ContainerObserved) -> Option<Step> {
    let network = view.cluster.network_name();
    if container.networks.contains_key(&network) {
        return None;
    }
    let connect = EngineOp::Connect {
        container: container.id.clone(),
        network: network.clone(),
        aliases: vec![container.name.clone(), member.to_owned()],
    };
    Some(Action::engine(
        member,
        connect,
        format!("it was disconnected from {network}"),
    ))
}

fn restart(view: &View<'_>, member: &str, role: Role, container: &ContainerObserved, plan: &mut Plan<Change>) {
    if view.is_foreign(member) {
        return foreign(view, member, plan);
    }
    if let Some(verdict) = trial::failed(view, member, container) {
        return plan.step(verdict);
    }
    let reason = why_down(view, member, container);
    // Of the primary's trouble more is to be said, and elsewhere.
    let is_told = view.primary() == Some(member) && failover::trouble(view, member).is_some();
    if let Some(full) = disk::is_full(view, member).filter(|_| !is_told) {
        plan.block(member, "DiskFull", full);
    } else if is_crash_looping(view, member) && !is_told {
        plan.block(
            member,
            "CrashLooping",
            format!("it failed to start several times; {reason}"),
        );
    }
    if wait_for_next_try(view, member, plan) {
        return;
    }
    let mut steps: Vec<Step> = Vec::new();
    if let Some(image) = view.image()
        && differs(view, member, container)
        && foundation::fits_volume(view, member, image, plan)
    {
        steps.push(Action::engine(
            member,
            EngineOp::RemoveContainer(container.id.clone()),
            "it does not run, and is not as the manifest says",
        ));
        if view.volume(member).is_none() {
            steps.push(view.create_volume(member, image, "it is missing"));
        }
        steps.push(view.create(member, image, "it is not as the manifest says"));
    } else {
        steps.extend(reconnect(view, member, container));
    }
    steps.extend(view.start(member, role, &reason));
    plan.chain(steps);
}

/// Whether a container is not the one that is wanted. `false` while the image is not known, and where no manifest says any
/// more what is wanted.
pub fn differs(view: &View<'_>, member: &str, container: &ContainerObserved) -> bool {
    let image = view.image().filter(|_| view.is_declared);
    image.is_some_and(|image| {
        let wanted = view.container_spec(member, image);
        container.labels.get(labels::SPEC_HASH) != Some(&wanted.hash())
    })
}

/// Whether a member has failed to start several times in a row.
pub fn is_crash_looping(view: &View<'_>, member: &str) -> bool {
    view.memory
        .starts
        .get(member)
        .is_some_and(|starts| starts.count >= CRASH_LOOP)
}

fn wait_for_next_try(view: &View<'_>, member: &str, plan: &mut Plan<Change>) -> bool {
    let Some(delay) = view.start_delay(member) else {
        return false;
    };
    plan.wait(member, format!("the next start is tried in {} s", delay.as_secs()));
    plan.again_in(delay);
    true
}

fn answer(view: &View<'_>, member: &str, container: &ContainerObserved, plan: &mut Plan<Change>) {
    match view.server(member) {
        None | Some(Server::Down(Down::NotRunning | Down::ShuttingDown, _)) => {
            plan.wait(member, "its server is stopping");
            plan.chain(senders::end(view, member, None).into_iter().collect());
            plan.again_in(Duration::from_millis(100));
        }
        Some(Server::Down(Down::StartingUp, why)) if listens_elsewhere(view, member, container, why) => {
            let cause = "its port has not been open since it started, and its health check fails";
            let role = if view.primary() == Some(member) {
                Role::Primary
            } else {
                Role::Replica
            };
            let mut steps = vec![stop(view.cluster, member, cause)];
            steps.extend(view.start(member, role, cause));
            plan.chain(steps);
        }
        Some(Server::Down(Down::StartingUp, why)) => {
            plan.wait(member, format!("its server is starting: {why}"));
            plan.again_in(Duration::from_millis(50));
        }
        Some(Server::Down(Down::PasswordUnknown, why)) => {
            plan.step(access::recover_passwords(view, member, container, why));
        }
        Some(Server::Down(Down::PasswordRejected, why)) => access::let_us_in(view, member, container, why, plan),
        Some(Server::Down(Down::NoAnswer | Down::Errors, why)) if trial::is_shut_by_library(why) => {
            trial::let_in(view, member, container, why, plan);
        }
        Some(Server::Down(Down::Errors, why)) => access::errors(view, member, container, why, plan),
        Some(Server::Down(Down::NoAnswer, why)) => life::silent(view, member, container, why, plan),
        Some(Server::Up(_)) if view.is_foreign(member) => foreign(view, member, plan),
        Some(Server::Up(_)) => {}
    }
}

/// Whether a server has come up with a configuration of somebody's, in which it listens somewhere else: a server opens its
/// port before it recovers, and the health check of one that is being filled does not fail.
fn listens_elsewhere(view: &View<'_>, member: &str, container: &ContainerObserved, why: &str) -> bool {
    let is_silent = view.silent_for(member).is_some_and(|secs| secs >= ELSEWHERE_SECS);
    let is_silent = is_silent && view.memory.system_identifier.is_some();
    is_silent && why == PORT_CLOSED && container.health == Health::Unhealthy
}

fn foreign(view: &View<'_>, member: &str, plan: &mut Plan<Change>) {
    let known = view.memory.system_identifier.unwrap_or_default();
    let found = view.identity(member);
    plan.block(
        member,
        "ForeignData",
        format!(
            "its data has system identifier {} and the cluster's is {known}: it is not a copy, and is left alone",
            found.unwrap_or_default()
        ),
    );
}

/// The step that asks a member to stop and waits for it.
pub fn stop(cluster: &Cluster, member: &str, cause: impl Into<String>) -> Step {
    Action::engine(
        member,
        EngineOp::Stop {
            container: cluster.container_name(member),
            grace_secs: cluster.stop_grace_secs,
        },
        cause,
    )
}

/// The steps that stop a member's container, whatever it is doing, and remove it. Its volume stays.
pub fn dismiss(view: &View<'_>, member: &str, container: &ContainerObserved, cause: &str) -> Vec<Step> {
    let mut steps = halt(view, member, container, cause);
    let remove = EngineOp::RemoveContainer(container.id.clone());
    steps.push(Action::engine(member, remove, cause));
    steps
}

/// The steps that stop a member's container, whatever it is doing.
pub fn halt(view: &View<'_>, member: &str, container: &ContainerObserved, cause: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    if container.state == RunState::Paused {
        let thaw = EngineOp::Unpause(container.id.clone());
        steps.push(Action::engine(member, thaw, "a frozen container cannot stop"));
    }
    if !matches!(container.state, RunState::Created | RunState::Exited) {
        steps.push(stop(view.cluster, member, cause));
    }
    steps
}

/// What happened to a container that does not run.
pub fn why_down(view: &View<'_>, member: &str, container: &ContainerObserved) -> String {
    match (container.state, container.exit_code) {
        // A start that succeeds clears it (`SetRunning` in the engine's `container/state.go`): it is of the last try.
        _ if !container.error.is_empty() => format!("the engine could not start it: {}", container.error),
        (RunState::Created, _) => "it was created and never started".to_owned(),
        _ if container.oom_killed => "the kernel killed it for want of memory".to_owned(),
        (_, 0) => "it was stopped".to_owned(),
        (_, 137) => "it was killed (exit code 137)".to_owned(),
        (_, code) => match (words::complaint(view.log(member)), view.log_unreadable(member)) {
            (Some(said), _) => format!("it ended with exit code {code}: {said}"),
            (None, Some(why)) => format!("it ended with exit code {code}; why cannot be told: {why}"),
            (None, None) => format!("it ended with exit code {code}"),
        },
    }
}
