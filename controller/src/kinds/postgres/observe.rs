//! Looks at one cluster: the engine's objects, every running server, the control file of every stopped one.
//! Reads only; what cannot be read is said to be unknown.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::cluster::Cluster;
use super::memory::Memory;
use super::{conf, control, desired};
use crate::converge::names;
use crate::host::{Ask, HostError, Reads};
use crate::model::container::{ContainerObserved, Health, ImageFacts, Objects, ProcessState, RunState};
use crate::model::labels;
use crate::model::plan::SqlTarget;
use crate::model::postgres::{Control, ControlState, Down, PgQuestion, Server, Sizes};
use crate::model::{Lsn, Seen};

mod beside;
mod movement;

pub use movement::{Fill, Lag};

/// How long a server is silent until its log and its process are looked at, in seconds: most silence is a start.
const SILENCE_SECS: i64 = 2;

/// What was seen of one cluster.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    /// The engine's objects.
    pub objects: Objects,
    /// What lies behind each container, by member.
    pub members: BTreeMap<String, MemberSeen>,
    /// The position that the primary had when it was last seen to serve, with its timeline.
    pub high_water: Option<(u32, Lsn)>,
    /// How far each standby's log reached in the look before, with its timeline.
    pub reached_before: BTreeMap<String, (u32, Lsn)>,
    /// Since when each symptom has been seen without a break, in seconds since the epoch.
    pub since: BTreeMap<String, i64>,
    /// How much the primary holds, as it was measured last.
    pub sizes: Option<Sizes>,
    /// How far replicas are behind that are beyond the limit, over time.
    pub lags: BTreeMap<String, Lag>,
    /// How far new volumes are filled, by member.
    pub fills: BTreeMap<String, Fill>,
    /// Bytes that retired volumes take, as they were measured last.
    pub volume_bytes: BTreeMap<String, u64>,
    /// Who had the volume of a running member mounted beside it when that was looked at last, in words.
    pub intruders: Vec<String>,
}

/// What was seen of one member beyond its container.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberSeen {
    /// The server's answer.
    pub server: Server,
    /// The control file, for a container that does not run, or runs where no SQL reaches it, or is being stopped for
    /// another to take over.
    pub control: Seen<Control>,
    /// The word in the role file, for a container that does not run.
    pub role: Seen<String>,
    /// What is wrong with the control file of a container that does not run, if it could be read and is not one.
    pub damage: Option<String>,
    /// The last lines of the log, where something is wrong.
    pub log: String,
    /// What the main process is doing, where the server has been silent for more than one look.
    pub process: Seen<ProcessState>,
}

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Whether to open connections to every database for its extensions.
    pub databases: bool,
    /// Whether to measure data and volumes.
    pub sizes: bool,
}

/// How much of a log is looked at: the last few starts of a server that ends at once.
const LOG_LINES: u32 = 40;

/// Looks at a cluster. `before` is what the last pass saw; it only serves to tell since when a symptom lasts, how
/// something moves, where the primary's log stood, and what was measured when it was measured last.
pub async fn observe<R: Reads>(
    host: &R,
    cluster: &Cluster,
    memory: &Memory,
    before: &Observed,
    depth: Depth,
    now: i64,
) -> Result<Observed, HostError> {
    let mut ask = Ask {
        uid: cluster.uid.clone(),
        images: vec![cluster.spec.image.clone()],
        neighbours: false,
        brisk: memory.promotion.is_some(),
    };
    let name_of = |member: &str| cluster.container_name(member);
    let mut objects = host.objects(&ask).await?;
    names::set_apart(&mut objects, name_of);
    if something_is_missing(cluster, memory, &objects) {
        ask.neighbours = true;
        objects = host.objects(&ask).await?;
        names::set_apart(&mut objects, name_of);
    }
    let question = question(cluster, depth, before);
    let looks = objects.containers.iter().filter_map(|container| {
        let member = container.labels.get(labels::MEMBER)?;
        let since = before.since.get(&no_answer(member));
        let was_silent = since.is_some_and(|since| now - since >= SILENCE_SECS);
        let given = (memory, &objects, &question, was_silent);
        Some(look(host, given, cluster, member, container))
    });
    let (members, holders) = tokio::join!(
        join_all(looks),
        beside::early(host, &objects, (cluster, memory, before), depth)
    );
    objects.holders = holders;
    let mut observed = Observed {
        objects,
        members: members.into_iter().collect(),
        ..Observed::default()
    };
    movement::measure(host, (cluster, memory, before), depth, now, &mut observed).await;
    observed.high_water = position(&observed, memory).or(before.high_water);
    observed.reached_before = reached(before);
    observed.since = symptoms(&observed, memory)
        .into_iter()
        .map(|symptom| {
            let since = before.since.get(&symptom).copied().unwrap_or(now);
            (symptom, since)
        })
        .collect();
    beside::late(host, (cluster, memory, before), now, &mut observed).await;
    Ok(observed)
}

/// Where the log of the recorded primary stands, if it serves.
fn position(observed: &Observed, memory: &Memory) -> Option<(u32, Lsn)> {
    let facts = observed.members.get(memory.primary.as_ref()?)?.server.facts()?;
    let is_ours = memory.system_identifier == Some(facts.system_identifier);
    (is_ours && !facts.in_recovery).then_some((facts.timeline, facts.lsn))
}

/// How far each standby's log reached.
fn reached(observed: &Observed) -> BTreeMap<String, (u32, Lsn)> {
    let standbys = observed.members.iter().filter_map(|(member, seen)| {
        let facts = seen.server.facts().filter(|facts| facts.in_recovery)?;
        Some((member.clone(), facts.reach()))
    });
    standbys.collect()
}

/// Where a member's server is reached, while its container has an address.
pub fn target(cluster: &Cluster, container: &ContainerObserved) -> Option<SqlTarget> {
    let address = container.networks.get(&cluster.network_name())?;
    (!address.is_empty()).then(|| SqlTarget {
        container: container.id.clone(),
        address: address.clone(),
        port: conf::PORT,
        password: cluster.superuser_password(),
    })
}

fn something_is_missing(cluster: &Cluster, memory: &Memory, objects: &Objects) -> bool {
    let members = cluster.members(memory.primary.as_deref());
    let has = |member: &String| {
        let name = cluster.container_name(member);
        objects.containers.iter().any(|c| c.name == name)
    };
    let networks = [cluster.network_name(), cluster.service_network_name()];
    let stands = |name: &String| objects.networks.iter().any(|n| n.name == *name);
    !networks.iter().all(stands) || !members.iter().all(has)
}

fn question(cluster: &Cluster, depth: Depth, before: &Observed) -> PgQuestion {
    let login_roles = cluster.spec.roles.iter().filter(|role| role.login);
    let mut passwords: BTreeMap<_, _> = login_roles
        .map(|role| {
            let secret = cluster.password(&role.name, role.password_from.as_ref());
            (role.name.clone(), secret)
        })
        .collect();
    passwords.insert(conf::SUPERUSER.to_owned(), cluster.superuser_password());
    passwords.insert(conf::REPLICATOR.to_owned(), cluster.replicator_password());
    let databases = cluster.spec.databases.iter().filter(|_| depth.databases);
    PgQuestion {
        directory: conf::DIRECTORY.to_owned(),
        files: desired::WATCHED.map(str::to_owned).to_vec(),
        passwords,
        sizes: depth.sizes || before.sizes.is_none(),
        look_into: databases
            .filter(|database| !database.extensions.is_empty())
            .map(|database| database.name.clone())
            .collect(),
    }
}

async fn look<R: Reads>(
    host: &R,
    (memory, objects, question, was_silent): (&Memory, &Objects, &PgQuestion, bool),
    cluster: &Cluster,
    member: &str,
    container: &ContainerObserved,
) -> (String, MemberSeen) {
    let mut seen = MemberSeen {
        server: Server::Down(Down::NotRunning, "its container does not run".to_owned()),
        control: Seen::default(),
        role: Seen::default(),
        damage: None,
        log: String::new(),
        process: Seen::default(),
    };
    // Of another member that does not answer SQL it has to be known whether it takes writes.
    let is_primary = memory.primary.as_deref() == Some(member);
    let image = objects.image(&cluster.spec.image);
    match container.state {
        RunState::Running => {
            // Its last word is in the control file before the engine has cleaned up behind it, and an address that is
            // being taken away answers nobody.
            let is_leaving = memory.promotion.as_ref().is_some_and(|p| p.from == member);
            if is_leaving {
                (seen.control, _) = control_of(host, image, container).await;
            }
            let has_left = matches!(&seen.control, Seen::Known(control) if control.state == ControlState::ShutDown);
            seen.server = match target(cluster, container) {
                Some(_) if has_left => Server::Down(Down::ShuttingDown, "it has shut down".to_owned()),
                Some(target) => host.server(&target, question).await,
                None => Server::Down(Down::NoAnswer, "its container has no address".to_owned()),
            };
            let has_trouble = match &seen.server {
                // While the write role moves nobody streams, and the engine lets a log wait for whatever else it does to
                // the container.
                Server::Up(facts) => facts.in_recovery && !facts.receiver_streaming && memory.promotion.is_none(),
                Server::Down(..) => was_silent,
            };
            if has_trouble {
                seen.log = last_lines(host, container).await;
            }
            if was_silent && matches!(seen.server, Server::Down(Down::NoAnswer, _)) {
                seen.process = host.process(&container.id).await;
            }
            let is_cut_off = target(cluster, container).is_none();
            let is_shut = matches!(seen.server, Server::Down(Down::PasswordRejected, _));
            if is_shut || is_cut_off && !is_primary {
                (seen.control, _) = control_of(host, image, container).await;
            }
        }
        RunState::Exited | RunState::Created => {
            (seen.control, seen.damage) = control_of(host, image, container).await;
            // Only where the record is lost does the last role matter: it says who was the primary.
            if memory.primary.is_none() {
                let role = format!("{}/role", conf::DIRECTORY);
                seen.role = match host.read_file(&container.id, &role).await {
                    Seen::Known(bytes) => Seen::Known(String::from_utf8_lossy(&bytes).trim().to_owned()),
                    Seen::Absent => Seen::Absent,
                    Seen::Unknown(why) => Seen::Unknown(why),
                };
            }
            if container.exit_code != 0 {
                seen.log = last_lines(host, container).await;
            }
        }
        RunState::Paused => {
            seen.server = Server::Down(Down::NoAnswer, "its container is paused".to_owned());
            if !is_primary {
                (seen.control, _) = control_of(host, image, container).await;
            }
        }
        RunState::Between => {
            seen.server = Server::Down(Down::NoAnswer, "its container is between states".to_owned());
        }
    }
    (member.to_owned(), seen)
}

/// The control file, and what is wrong with one that was read and is none.
async fn control_of<R: Reads>(
    host: &R,
    image: &Seen<ImageFacts>,
    container: &ContainerObserved,
) -> (Seen<Control>, Option<String>) {
    let read = async |pgdata: &str| {
        let path = format!("{pgdata}/global/pg_control");
        match host.read_file(&container.id, &path).await {
            Seen::Known(bytes) => match control::parse(&bytes) {
                Ok(control) => (Seen::Known(control), None),
                Err(why) => (Seen::Unknown(why.clone()), Some(why)),
            },
            Seen::Absent => (Seen::Absent, None),
            Seen::Unknown(why) => (Seen::Unknown(why), None),
        }
    };
    if let Some(image) = image.known() {
        return read(&desired::data_place(image).pgdata).await;
    }
    // The image that the manifest names may be missing while the container of another one is there.
    for mount in desired::USUAL_MOUNTS {
        if let (Seen::Known(control), _) = read(&format!("{mount}/pgdata")).await {
            return (Seen::Known(control), None);
        }
    }
    let why = "the image is missing, so where its data lies is not known";
    (Seen::Unknown(why.to_owned()), None)
}

async fn last_lines<R: Reads>(host: &R, container: &ContainerObserved) -> String {
    match host.log_tail(&container.id, LOG_LINES).await {
        Seen::Known(text) => text,
        Seen::Absent | Seen::Unknown(_) => String::new(),
    }
}

/// The symptoms whose duration matters to the plan.
fn symptoms(observed: &Observed, memory: &Memory) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (member, seen) in &observed.members {
        let is_primary = memory.primary.as_deref() == Some(member);
        match &seen.server {
            Server::Up(facts) if !is_primary && facts.in_recovery && !facts.receiver_streaming => {
                found.insert(not_streaming(member));
            }
            Server::Up(facts) if is_primary && !facts.in_recovery => {
                found.insert(serves(member));
            }
            Server::Up(_) => {}
            Server::Down(Down::NotRunning, _) => {}
            Server::Down(..) => {
                found.insert(no_answer(member));
            }
        }
    }
    let main = memory
        .primary
        .as_ref()
        .and_then(|primary| observed.members.get(primary)?.server.facts())
        .filter(|main| !main.in_recovery);
    if let Some(main) = main {
        let voters = memory.sync.intended.iter().flat_map(|set| &set.voters);
        let streams = |voter: &String| main.standbys.get(voter).is_some_and(|s| s.state == "streaming");
        found.extend(voters.filter(|voter| !streams(voter)).map(|voter| not_followed(voter)));
    } else if let Some(primary) = &memory.primary {
        found.insert(not_serving(primary));
    }
    for container in &observed.objects.containers {
        if let Some(member) = container.labels.get(labels::MEMBER)
            && container.health == Health::Unhealthy
        {
            found.insert(unhealthy(member));
        }
    }
    found
}

/// The symptom that a replica does not stream.
pub fn not_streaming(member: &str) -> String {
    format!("{member} does not stream")
}

/// The symptom that a member that commits wait for has no stream, as the primary sees it.
pub fn not_followed(member: &str) -> String {
    format!("{member} is not streamed to")
}

/// Not a symptom of trouble: the recorded primary accepts writes.
pub fn serves(member: &str) -> String {
    format!("{member} serves")
}

/// The symptom that the recorded primary does not accept writes, whatever the reason.
pub fn not_serving(member: &str) -> String {
    format!("{member} does not serve")
}

/// The symptom that a running member does not answer SQL.
pub fn no_answer(member: &str) -> String {
    format!("{member} does not answer")
}

/// The symptom that the engine's health check fails.
pub fn unhealthy(member: &str) -> String {
    format!("{member} is unhealthy")
}
