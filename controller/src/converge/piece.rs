//! A container that plays no role beyond being as the manifest says: an exporter, a server of metrics.

use std::collections::BTreeMap;

use super::ground::{self, Claim};
use crate::model::Seen;
use crate::model::container::{ContainerObserved, ContainerSpec, FileSpec, Objects, RunState};
use crate::model::labels;
use crate::model::plan::{Action, Delivery, EngineOp, Plan};

/// A container that ran for less has failed to start, in seconds.
const SHORT_LIFE_SECS: i64 = 10;
/// The longest pause between two starts, in seconds.
const LONGEST_PAUSE_SECS: i64 = 60;

/// A container as it is wanted, with what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The member; the label that the container carries.
    pub member: String,
    /// The container.
    pub container: ContainerSpec,
    /// The networks that it joins beside its first one, before it starts.
    pub networks: Vec<String>,
    /// Where its files go, whose they are, and the files.
    pub delivery: Delivery,
    /// The files that the program reads only when it starts.
    pub read_at_start: Vec<String>,
    /// The directories, each with a `/` behind it, in which only its own files may be: the program reads whatever is there.
    pub exclusive: Vec<String>,
    /// When somebody asked for its restart, in seconds since the epoch.
    pub restart_asked_at: Option<i64>,
    /// The manifest's field for its port.
    pub port_field: &'static str,
}

/// What was seen of a piece beyond its container.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// The files in its directory, while it runs.
    pub files: Option<&'a Seen<BTreeMap<String, Vec<u8>>>>,
    /// How often in a row it ended right after it was started.
    pub short_lives: u32,
    /// Seconds since the epoch.
    pub now: i64,
}

/// What is there of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// There is no container.
    Missing,
    /// Its process does not run.
    Down,
    /// Its process runs, and it is the container that is wanted.
    Up,
    /// Its process runs, and the container is not as the manifest says.
    Outdated,
    /// The engine is busy with it, or has frozen it.
    Between,
}

/// What is there of a piece.
pub fn stage(piece: &Piece, objects: &Objects) -> Stage {
    let Some(container) = objects.container(&piece.container.name) else {
        return Stage::Missing;
    };
    match container.state {
        RunState::Created | RunState::Exited => Stage::Down,
        RunState::Running if differs(piece, container) => Stage::Outdated,
        RunState::Running => Stage::Up,
        RunState::Paused | RunState::Between => Stage::Between,
    }
}

/// When images are pulled.
#[derive(Debug, Clone, Copy)]
pub struct Pulls {
    /// One that the engine does not have.
    pub missing: bool,
    /// One that it has, before a change of the manifest replaces a container.
    pub before_replacing: bool,
}

/// The next steps towards a piece.
pub fn keep<C: PartialEq>(
    piece: &Piece,
    objects: &Objects,
    (owner, pulls): (&str, Pulls),
    sight: Sight<'_>,
    plan: &mut Plan<C>,
) {
    let member = piece.member.as_str();
    let Some(container) = objects.container(&piece.container.name) else {
        make(piece, objects, (owner, pulls), plan);
        return;
    };
    match stage(piece, objects) {
        Stage::Missing => {}
        Stage::Between if container.state == RunState::Paused => {
            let thaw = EngineOp::Unpause(container.id.clone());
            plan.step(Action::engine(member, thaw, "somebody froze it").drift());
        }
        Stage::Between => plan.wait(member, "the engine is busy with it"),
        Stage::Down => restart(piece, objects, container, (pulls, sight), plan),
        Stage::Outdated => {
            if ground::image(objects, &piece.container.image, (member, pulls.missing), plan).is_some() {
                let cause = "it is not as the manifest says";
                let mut steps: Vec<Action<C>> = pull(piece, pulls).into_iter().collect();
                steps.push(stop(piece, container, cause));
                steps.extend(replace(piece, objects, container, cause));
                plan.chain(steps);
            }
        }
        Stage::Up => tend(piece, container, sight, plan),
    }
}

/// Removes containers of ours that serve no member any more.
pub fn clear<C>(objects: &Objects, is_wanted: impl Fn(&str) -> bool, grace_secs: i64, plan: &mut Plan<C>) {
    for container in &objects.containers {
        let Some(member) = container.labels.get(labels::MEMBER).filter(|member| !is_wanted(member)) else {
            continue;
        };
        let cause = "it is not wanted any more";
        let mut steps = Vec::new();
        match container.state {
            RunState::Between => continue,
            RunState::Paused => {
                let thaw = EngineOp::Unpause(container.id.clone());
                steps.push(Action::engine(member, thaw, "a frozen container cannot stop"));
            }
            RunState::Running | RunState::Created | RunState::Exited => {}
        }
        if matches!(container.state, RunState::Running | RunState::Paused) {
            let stop = EngineOp::Stop {
                container: container.id.clone(),
                grace_secs,
            };
            steps.push(Action::engine(member, stop, cause));
        }
        let remove = EngineOp::RemoveContainer(container.id.clone());
        steps.push(Action::engine(member, remove, cause));
        plan.chain(steps);
    }
}

fn differs(piece: &Piece, container: &ContainerObserved) -> bool {
    container.labels.get(labels::SPEC_HASH) != Some(&piece.container.hash())
}

fn make<C: PartialEq>(piece: &Piece, objects: &Objects, (owner, pulls): (&str, Pulls), plan: &mut Plan<C>) {
    let member = piece.member.as_str();
    let claim = Claim {
        subject: member,
        owner,
        container: &piece.container.name,
        volume: piece.container.volume.as_ref().map(|volume| volume.name.as_str()),
        port: piece.container.ports.first().map(|port| (port.host, piece.port_field)),
    };
    if !ground::is_free(objects, claim, plan)
        || ground::image(objects, &piece.container.image, (member, pulls.missing), plan).is_none()
    {
        return;
    }
    let steps = create(piece, objects, "it is missing");
    plan.chain(
        steps
            .into_iter()
            .chain(start(piece, None, "it was just made"))
            .collect(),
    );
}

/// The container, and its volume before it.
fn create<C>(piece: &Piece, objects: &Objects, cause: &str) -> Vec<Action<C>> {
    let member = piece.member.as_str();
    let has = |name: &str| objects.volumes.iter().any(|volume| volume.name == name);
    let volume = piece.container.volume.iter().filter(|volume| !has(&volume.name));
    let mut steps: Vec<Action<C>> = volume
        .map(|volume| Action::engine(member, EngineOp::CreateVolume(volume.clone()), "it is missing"))
        .collect();
    let container = EngineOp::CreateContainer(Box::new(piece.container.clone()));
    steps.push(Action::engine(member, container, cause));
    steps
}

/// A newer image of the same name, before a container that runs is ended. What does not run is not kept down by a registry.
fn pull<C>(piece: &Piece, pulls: Pulls) -> Option<Action<C>> {
    let op = EngineOp::PullImage(piece.container.image.clone());
    let cause = "spec.pullPolicy is Always";
    pulls.before_replacing.then(|| Action::engine(&piece.member, op, cause))
}

fn replace<C>(piece: &Piece, objects: &Objects, container: &ContainerObserved, cause: &str) -> Vec<Action<C>> {
    let remove = EngineOp::RemoveContainer(container.id.clone());
    let mut steps = vec![Action::engine(&piece.member, remove, cause)];
    steps.extend(create(piece, objects, cause));
    steps.extend(start(piece, None, cause));
    steps
}

/// All that has to be so before the process reads it, and its start.
fn start<C>(piece: &Piece, container: Option<&ContainerObserved>, cause: &str) -> Vec<Action<C>> {
    let member = piece.member.as_str();
    let mut steps = Vec::new();
    for network in &piece.networks {
        if container.is_none_or(|container| !container.networks.contains_key(network)) {
            steps.push(connect(piece, network));
        }
    }
    let deliver = EngineOp::Deliver(piece.delivery.clone());
    steps.push(Action::engine(member, deliver, "it reads them when it starts"));
    let name = piece.container.name.clone();
    steps.push(Action::engine(member, EngineOp::Start(name), cause));
    steps
}

fn connect<C>(piece: &Piece, network: &str) -> Action<C> {
    let op = EngineOp::Connect {
        container: piece.container.name.clone(),
        network: network.to_owned(),
        aliases: vec![piece.container.name.clone()],
    };
    Action::engine(&piece.member, op, "what it asks is reached there")
}

fn stop<C>(piece: &Piece, container: &ContainerObserved, cause: &str) -> Action<C> {
    let op = EngineOp::Stop {
        container: container.id.clone(),
        grace_secs: piece.container.stop_grace_secs,
    };
    Action::engine(&piece.member, op, cause)
}

/// Starts what does not run, less and less often when it ends at once.
fn restart<C: PartialEq>(
    piece: &Piece,
    objects: &Objects,
    container: &ContainerObserved,
    (pulls, sight): (Pulls, Sight<'_>),
    plan: &mut Plan<C>,
) {
    let member = piece.member.as_str();
    let how = match container.state {
        RunState::Exited if container.error.is_empty() => format!("it ended with exit code {}", container.exit_code),
        RunState::Exited => format!("the engine could not start it: {}", container.error),
        RunState::Created | RunState::Running | RunState::Paused | RunState::Between => "it was not started".to_owned(),
    };
    let pause = match sight.short_lives {
        0 | 1 => 0,
        lives => LONGEST_PAUSE_SECS.min(1 << lives.min(10)),
    };
    let left = container.finished_at + pause - sight.now;
    if container.state == RunState::Exited && left > 0 {
        let times = sight.short_lives;
        plan.block(
            member,
            "CrashLooping",
            format!("{how} right after its start, {times} times in a row; it is tried again in {left} s"),
        );
        plan.again_in(std::time::Duration::from_secs(left.unsigned_abs()));
        return;
    }
    if !differs(piece, container) {
        plan.chain(start(piece, Some(container), &how));
    } else if ground::image(objects, &piece.container.image, (member, pulls.missing), plan).is_some() {
        plan.chain(replace(piece, objects, container, "it is not as the manifest says"));
    }
}

/// Whether a container ended so soon that its start has failed.
pub fn was_short_lived(container: &ContainerObserved) -> bool {
    container.finished_at - container.started_at < SHORT_LIFE_SECS
}

/// Keeps what can be changed while it runs.
fn tend<C>(piece: &Piece, container: &ContainerObserved, sight: Sight<'_>, plan: &mut Plan<C>) {
    let member = piece.member.as_str();
    if piece.restart_asked_at.is_some_and(|at| container.started_at <= at) {
        plan.step(stop(piece, container, "its restart was requested"));
        return;
    }
    let lost = piece
        .networks
        .iter()
        .find(|network| !container.networks.contains_key(*network));
    if let Some(network) = lost {
        // Its connections hang on an address that it will not have again.
        let cause = format!("somebody detached it from {network}");
        plan.step(stop(piece, container, &cause).drift());
        return;
    }
    if container.limits != piece.container.limits {
        let op = EngineOp::UpdateLimits {
            container: container.id.clone(),
            limits: piece.container.limits.clone(),
        };
        plan.step(Action::engine(member, op, "they are not as the manifest says"));
    }
    match sight.files {
        Some(Seen::Known(found)) => {
            remove(piece, container, found, plan);
            files(piece, container, found, plan);
        }
        Some(Seen::Absent) => files(piece, container, &BTreeMap::new(), plan),
        Some(Seen::Unknown(why)) => plan.wait(member, format!("its files could not be looked at: {why}")),
        None => {}
    }
}

/// Removes the files that nobody wants where the program reads whatever is there.
fn remove<C>(piece: &Piece, container: &ContainerObserved, found: &BTreeMap<String, Vec<u8>>, plan: &mut Plan<C>) {
    let is_wanted = |name: &str| piece.delivery.files.iter().any(|file| file.name == name);
    let is_exclusive = |name: &str| piece.exclusive.iter().any(|directory| name.starts_with(directory));
    // A name that is no text could not be given back as it is.
    let is_text = |name: &str| !name.contains(char::REPLACEMENT_CHARACTER);
    let names = found
        .keys()
        .filter(|name| is_exclusive(name) && !is_wanted(name) && is_text(name));
    let names: Vec<String> = names.cloned().collect();
    if names.is_empty() {
        return;
    }
    let op = EngineOp::RemoveFiles {
        container: container.id.clone(),
        directory: piece.delivery.directory.clone(),
        names,
    };
    plan.step(Action::engine(&piece.member, op, "they are not wanted there"));
}

/// Delivers the files that are not as wanted. What is read at the start only makes the process end first: the files come with
/// its next start, so that nobody can end in between and leave it running on the old ones.
fn files<C>(piece: &Piece, container: &ContainerObserved, found: &BTreeMap<String, Vec<u8>>, plan: &mut Plan<C>) {
    let visible = piece.delivery.files.iter().filter(|file| file.secrets.is_empty());
    let wrong: Vec<&FileSpec> = visible
        .filter(|file| found.get(&file.name).map(Vec::as_slice) != Some(file.text.as_bytes()))
        .collect();
    let Some(first) = wrong.first() else {
        return;
    };
    let found = found.get(&first.name).map(Vec::as_slice);
    let cause = super::files::what_happened(first, found);
    let is_drift = !super::files::is_earlier(&first.name, found);
    let put_back = |step: Action<C>| if is_drift { step.drift() } else { step };
    if wrong.iter().any(|file| piece.read_at_start.contains(&file.name)) {
        plan.step(put_back(stop(piece, container, &cause)));
        return;
    }
    let delivery = Delivery {
        files: wrong.into_iter().cloned().collect(),
        ..piece.delivery.clone()
    };
    let deliver = Action::engine(&piece.member, EngineOp::Deliver(delivery), cause);
    plan.step(put_back(deliver));
}
