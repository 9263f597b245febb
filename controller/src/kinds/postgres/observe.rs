//! Looks at one cluster: the engine's objects, every running server, the control file of every stopped one.
//! Reads only; what cannot be read is said to be unknown.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::cluster::Cluster;
use super::memory::{Memory, Settings};
use super::{conf, control, desired};
use crate::converge::names;
use crate::host::{Ask, HostError, Reads};
use crate::model::container::{ContainerObserved, ImageFacts, Objects, RunState};
use crate::model::labels;
use crate::model::plan::SqlTarget;
use crate::model::postgres::{Control, ControlState, Down, Made, PgQuestion, Server, Sizes};
use crate::model::wal::{Mark, Place};
use crate::model::{Lsn, Seen};

mod beside;
mod history;
mod movement;
pub mod pulse;
mod symptoms;
mod tablespaces;

pub use history::{Source, Standing};
pub use movement::{Fill, Lag};
use pulse::{Pulse, Sign};
use symptoms::symptoms;
pub use symptoms::{no_answer, not_followed, not_serving, not_streaming, serves, stands_still, unhealthy};

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
    /// How the primary's data was made, as it was asked last.
    pub made: Option<Made>,
    /// How far replicas are behind that are beyond the limit, over time.
    pub lags: BTreeMap<String, Lag>,
    /// How far new volumes are filled, by member.
    pub fills: BTreeMap<String, Fill>,
    /// Bytes that retired volumes take, as they were measured last.
    pub volume_bytes: BTreeMap<String, u64>,
    /// Who had the volume of a running member mounted beside it when that was looked at last, in words.
    pub intruders: Vec<String>,
    /// What looks at silent servers have shown, by member.
    pub pulses: BTreeMap<String, Pulse>,
    /// Another cluster that mends a silent member now, or is to do so first.
    pub mends_first: Option<String>,
    /// The member that was the recorded primary, how far its log was on its disk when it served last, and when that was.
    pub mark: Option<(String, Mark, i64)>,
    /// The same of the look before.
    pub mark_before: Option<(String, Mark, i64)>,
    /// What the log of the recorded primary says of that, while it does not run.
    pub standing: Option<Standing>,
    /// Whether places that replicas have had are ends of records in the primary's log, by member.
    pub fits: BTreeMap<String, BTreeMap<Place, bool>>,
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
    /// The configuration that it was given last, by its own files; read only where the record is lost.
    pub settings: Option<Settings>,
    /// What is wrong with the control file of a container that does not run, if it could be read and is not one.
    pub damage: Option<String>,
    /// The last lines of the log, where something is wrong.
    pub log: String,
    /// Signs of life, where the server has been silent for more than one look and they could be seen.
    pub sign: Option<Sign>,
    /// Why the log cannot be read, where it was looked at.
    pub log_unreadable: Option<String>,
    /// Where its tablespaces lie, by name, or by number where no server says their names.
    pub tablespaces: Seen<BTreeMap<String, String>>,
}

impl MemberSeen {
    /// What is known of a container that does not run before anything is looked into.
    fn not_running() -> Self {
        MemberSeen {
            server: Server::Down(Down::NotRunning, "its container does not run".to_owned()),
            control: Seen::default(),
            role: Seen::default(),
            damage: None,
            log: String::new(),
            sign: None,
            log_unreadable: None,
            settings: None,
            tablespaces: Seen::default(),
        }
    }
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
    let of_primary = PgQuestion {
        mark: memory.history.noted.as_ref().map(|noted| noted.mark.clone()),
        places: history::asked(cluster, memory, before),
        ..question.clone()
    };
    let looks = objects.containers.iter().filter_map(|container| {
        let member = container.labels.get(labels::MEMBER)?;
        let since = before.since.get(&no_answer(member));
        let was_silent = since.is_some_and(|since| now - since >= SILENCE_SECS);
        let is_primary = memory.primary.as_ref() == Some(member);
        let question = if is_primary { &of_primary } else { &question };
        let given = (memory, &objects, question, was_silent);
        Some(look(host, given, cluster, member, container))
    });
    let (members, holders) = tokio::join!(
        join_all(looks),
        beside::early(host, &objects, (cluster, memory, before), depth)
    );
    objects.holders = holders;
    let members = tablespaces::of_all(host, cluster, (&objects, before), members).await;
    let mut observed = Observed {
        objects,
        members,
        ..Observed::default()
    };
    observed.pulses = pulse::pulses(&observed, before, now);
    movement::measure(host, (cluster, memory, before), depth, now, &mut observed).await;
    observed.high_water = history::position(&observed, memory).or(before.high_water);
    observed.reached_before = history::reached(before);
    observed.mark = history::mark(&observed, memory, before, now);
    observed.mark_before.clone_from(&before.mark);
    observed.fits = history::fits(cluster, memory, before, &observed);
    observed.standing = history::stand(host, cluster, memory, before, &observed).await;
    observed.made = made(&observed, memory).or_else(|| before.made.clone());
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

/// How the data of the recorded primary was made, if that was asked.
fn made(observed: &Observed, memory: &Memory) -> Option<Made> {
    let facts = observed.members.get(memory.primary.as_ref()?)?.server.facts()?;
    facts.made.clone()
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
        mark: None,
        places: Vec::new(),
    }
}

async fn look<R: Reads>(
    host: &R,
    (memory, objects, question, was_silent): (&Memory, &Objects, &PgQuestion, bool),
    cluster: &Cluster,
    member: &str,
    container: &ContainerObserved,
) -> (String, MemberSeen) {
    let mut seen = MemberSeen::not_running();
    // Of another member that does not answer SQL it has to be known whether it takes writes.
    let is_primary = memory.primary.as_deref() == Some(member);
    let image = objects.image(&cluster.spec.image);
    if memory.primary.is_none() {
        seen.settings = settings_of(host, container).await;
    }
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
                Server::Up(facts) => {
                    let is_cut_off = facts.in_recovery && !facts.receiver_streaming;
                    (is_cut_off || facts.replay_paused) && memory.promotion.is_none()
                }
                Server::Down(..) => was_silent,
            };
            if has_trouble {
                (seen.log, seen.log_unreadable) = last_lines(host, container).await;
            }
            if was_silent && pulse::is_of_use(&seen.server) {
                seen.sign = pulse::sign_of(host, image, container, &seen.log).await;
            }
            let is_cut_off = target(cluster, container).is_none();
            let is_shut = matches!(seen.server, Server::Down(Down::PasswordRejected | Down::Errors, _));
            // Whether it was promoted before it fell silent decides whether the old primary may go on.
            let is_target = memory.promotion.as_ref().is_some_and(|p| p.to == member);
            let is_lost = is_target && was_silent && matches!(seen.server, Server::Down(..));
            if is_shut || is_lost || is_cut_off && !is_primary {
                (seen.control, _) = control_of(host, image, container).await;
            }
        }
        RunState::Exited | RunState::Created => {
            (seen.control, seen.damage) = control_of(host, image, container).await;
            // Only where the record is lost does the last role matter: it says who was the primary.
            if memory.primary.is_none() {
                seen.role = role_of(host, container).await;
            }
            if container.exit_code != 0 {
                (seen.log, seen.log_unreadable) = last_lines(host, container).await;
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

/// The configuration that a member was given last.
async fn settings_of<R: Reads>(host: &R, container: &ContainerObserved) -> Option<Settings> {
    let path = format!("{}/postgresql.conf", conf::DIRECTORY);
    let found = host.read_file(&container.id, &path).await;
    conf::recorded(&String::from_utf8_lossy(found.known()?))
}

/// The word in the role file. What a new cluster is made with may follow on further lines.
async fn role_of<R: Reads>(host: &R, container: &ContainerObserved) -> Seen<String> {
    let path = format!("{}/role", conf::DIRECTORY);
    match host.read_file(&container.id, &path).await {
        Seen::Known(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            Seen::Known(text.lines().next().unwrap_or("").trim().to_owned())
        }
        Seen::Absent => Seen::Absent,
        Seen::Unknown(why) => Seen::Unknown(why),
    }
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

/// The last lines of a log, and why there are none if it cannot be read: the engine keeps none with some log drivers.
async fn last_lines<R: Reads>(host: &R, container: &ContainerObserved) -> (String, Option<String>) {
    match host.log_tail(&container.id, LOG_LINES).await {
        Seen::Known(text) => (text, None),
        Seen::Absent => (String::new(), None),
        Seen::Unknown(why) => (String::new(), Some(why)),
    }
}
