//! Looks at one monitoring resource: its containers and their files, what Prometheus says of itself, and the clusters that it
//! monitors. Reads only; what cannot be read is said to be unknown.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures_util::future::join_all;
use serde_json::Value;

use super::memory::Memory;
use super::monitor::{Monitor, PROMETHEUS, ROLE};
use super::plan::{self, View};
use super::{conf, content, desired};
use crate::converge::{self, names, occupied};
use crate::host::{Ask, HostError, Reads};
use crate::kinds::Look;
use crate::kinds::peers::{Face, Peer};
use crate::kinds::postgres::cluster;
use crate::model::Seen;
use crate::model::container::{ContainerObserved, Objects, RunState};
use crate::model::grafana::GrafanaSeen;
use crate::model::labels;
use crate::model::postgres::{PgQuestion, RoleFacts, Server};

/// A container that runs for so long did start, in seconds.
const SETTLED_SECS: i64 = 30;

/// How long a Grafana that refuses us is left alone, in seconds: five wrong passwords lock a user for five minutes.
const REFUSED_SECS: i64 = 75;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    /// The engine's objects.
    pub objects: Objects,
    /// The clusters that the selector names.
    pub clusters: BTreeMap<String, ClusterSeen>,
    /// The files of containers that run, by member.
    pub files: BTreeMap<String, Seen<BTreeMap<String, Vec<u8>>>>,
    /// Which configuration Prometheus runs.
    pub running: Seen<String>,
    /// What Prometheus scrapes, and how that went.
    pub targets: Seen<Vec<TargetSeen>>,
    /// What Grafana holds; nothing where there is none to be asked.
    pub grafana: Option<GrafanaSeen>,
    /// When it was asked, in seconds since the epoch.
    pub grafana_at: i64,
    /// Where the agent is asked for its metrics.
    pub doors: Vec<SocketAddr>,
    /// Since when Prometheus has had no answer from a container, by its name, in seconds since the epoch.
    pub silent_since: BTreeMap<String, i64>,
    /// How often in a row a container ended right after its start, by member.
    pub short_lives: BTreeMap<String, u32>,
    /// Who had the volume of a running container mounted beside it when that was looked at last, in words.
    pub intruders: Vec<String>,
}

/// What was seen of a cluster.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClusterSeen {
    /// What it shows.
    pub face: Seen<Face>,
    /// Whether its deletion was requested.
    pub is_leaving: bool,
    /// The role that exporters log in as.
    pub role: Seen<RoleFacts>,
}

/// A target of Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSeen {
    /// The job that it belongs to.
    pub job: String,
    /// Its address.
    pub instance: String,
    /// Whether the last scrape got an answer; nothing before the first one.
    pub is_up: Option<bool>,
    /// Why it got none.
    pub error: String,
}

/// Looks at a resource. `before` only serves to count short lives.
pub async fn observe<R: Reads>(
    host: &R,
    monitor: &Monitor,
    memory: &Memory,
    before: &Observed,
    look: Look<'_>,
) -> Result<Observed, HostError> {
    let mut ask = Ask {
        uid: monitor.uid.clone(),
        images: desired::images(monitor),
        ..Ask::default()
    };
    let selected = look.peers.selected(cluster::KIND, &monitor.spec.cluster_selector);
    let clusters = join_all(selected.map(|peer| cluster_seen(host, peer))).await;
    let name_of = |member: &str| monitor.container_name(member);
    let mut objects = host.objects(&ask).await?;
    names::set_apart(&mut objects, name_of);
    let mut observed = Observed {
        objects,
        clusters: clusters.into_iter().collect(),
        doors: host.open_doors(),
        ..Observed::default()
    };
    if something_is_missing(monitor, memory, &observed, look.now) {
        ask.neighbours = true;
        observed.objects = host.objects(&ask).await?;
        names::set_apart(&mut observed.objects, name_of);
    }
    let running = observed
        .objects
        .containers
        .iter()
        .filter(|container| container.state == RunState::Running);
    let files = running.filter_map(|container| {
        let member = container.labels.get(labels::MEMBER)?;
        Some(async move { (member.clone(), host.read_files(&container.id, conf::DIRECTORY).await) })
    });
    observed.files = join_all(files).await.into_iter().collect();
    if let Some(authority) = prometheus(monitor, &observed.objects) {
        let (config, targets) = tokio::join!(
            host.get(&authority, "/api/v1/status/config"),
            host.get(&authority, "/api/v1/targets?state=active"),
        );
        observed.running = read(config, conf::running_mark);
        observed.targets = read(targets, targets_in);
    }
    let grafana = View {
        monitor,
        observed: &observed,
        memory,
        now: look.now,
    };
    if let (Some(target), Some(spec)) = (grafana.grafana_target(), &monitor.spec.grafana) {
        let question = content::content(monitor, spec).question(&memory.grafana, spec.url.is_none());
        let is_news = memory
            .admin
            .as_ref()
            .is_some_and(|attempt| (before.grafana_at..=look.now).contains(&attempt.at));
        let refused = before.grafana.as_ref().filter(|seen| seen.refused.is_some());
        (observed.grafana, observed.grafana_at) = match refused {
            Some(seen) if look.now - before.grafana_at < REFUSED_SECS && !is_news => {
                (Some(seen.clone()), before.grafana_at)
            }
            Some(_) | None => (Some(host.grafana(&target, &question).await), look.now),
        };
    }
    observed.silent_since = silent_since(&observed, before, look.now);
    observed.short_lives = short_lives(&observed.objects, before, look.now);
    holders(host, monitor, (memory, before), look, &mut observed).await;
    Ok(observed)
}

/// Who has the volumes mounted: looked at when a step hangs on it, once in a while, and while somebody else is there.
async fn holders<R: Reads>(
    host: &R,
    monitor: &Monitor,
    (memory, before): (&Memory, &Observed),
    look: Look<'_>,
    observed: &mut Observed,
) {
    let plan = plan::wished(&View {
        monitor,
        observed,
        memory,
        now: look.now,
    });
    if look.deep || !before.intruders.is_empty() || occupied::is_asked_for(&observed.objects, &plan) {
        let volumes = occupied::in_question(&observed.objects, Some(&plan));
        observed.objects.holders = host.holders(&volumes).await;
    }
    observed.intruders = match observed.objects.holders {
        Seen::Known(_) => occupied::intruders(&observed.objects),
        Seen::Absent | Seen::Unknown(_) => before.intruders.clone(),
    };
}

async fn cluster_seen<R: Reads>(host: &R, peer: &Peer) -> (String, ClusterSeen) {
    let mut seen = ClusterSeen {
        face: peer.face.clone(),
        is_leaving: peer.is_leaving,
        role: Seen::default(),
    };
    if let Some(writer) = peer.face.known().and_then(|face| face.writer.as_ref()) {
        let question = PgQuestion {
            passwords: BTreeMap::from([(ROLE.to_owned(), Monitor::password(&peer.name))]),
            ..PgQuestion::default()
        };
        seen.role = match host.server(writer, &question).await {
            // What is no primary any more shall not be told to write.
            Server::Up(facts) if facts.in_recovery => Seen::Unknown("it is a standby now".to_owned()),
            Server::Up(facts) => facts.roles.get(ROLE).cloned().map_or(Seen::Absent, Seen::Known),
            Server::Down(_, why) => Seen::Unknown(why),
        };
    }
    (peer.name.clone(), seen)
}

fn something_is_missing(monitor: &Monitor, memory: &Memory, observed: &Observed, now: i64) -> bool {
    let objects = &observed.objects;
    let view = View {
        monitor,
        observed,
        memory,
        now,
    };
    let has_network = objects
        .networks
        .iter()
        .any(|network| network.name == monitor.network_name());
    let pieces = desired::pieces(&view);
    !has_network
        || pieces
            .iter()
            .any(|piece| objects.container(&piece.container.name).is_none())
}

/// Where Prometheus answers, while its container has an address.
fn prometheus(monitor: &Monitor, objects: &Objects) -> Option<String> {
    let container = objects.container(&monitor.container_name(PROMETHEUS))?;
    let address = container.networks.get(&monitor.network_name())?;
    let is_up = container.state == RunState::Running && !address.is_empty();
    is_up.then(|| format!("{address}:{}", conf::PROMETHEUS_PORT))
}

fn read<T>(answer: Seen<Value>, parse: impl Fn(&Value) -> Option<T>) -> Seen<T> {
    match answer {
        Seen::Known(body) => parse(&body).map_or_else(
            || Seen::Unknown("Prometheus' answer cannot be read".to_owned()),
            Seen::Known,
        ),
        Seen::Absent => Seen::Absent,
        Seen::Unknown(why) => Seen::Unknown(why),
    }
}

fn targets_in(answer: &Value) -> Option<Vec<TargetSeen>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let targets = answer.pointer("/data/activeTargets")?.as_array()?.iter();
    let seen = targets.map(|target| TargetSeen {
        job: text(&target["labels"]["job"]),
        instance: text(&target["labels"]["instance"]),
        is_up: match target["health"].as_str() {
            Some("up") => Some(true),
            Some("down") => Some(false),
            _ => None,
        },
        error: text(&target["lastError"]),
    });
    Some(seen.collect())
}

fn silent_since(observed: &Observed, before: &Observed, now: i64) -> BTreeMap<String, i64> {
    let Seen::Known(targets) = &observed.targets else {
        // Nothing is known of who answers; what was known before still holds.
        return before.silent_since.clone();
    };
    let silent = targets.iter().filter(|target| target.is_up == Some(false));
    let name = |target: &TargetSeen| target.instance.rsplit_once(':').map(|(name, _)| name.to_owned());
    silent
        .filter_map(name)
        .map(|name| {
            let since = before.silent_since.get(&name).copied().unwrap_or(now);
            (name, since)
        })
        .collect()
}

/// A container that ended soon after its start counts once per end; one that has run for a while is forgiven.
fn short_lives(objects: &Objects, before: &Observed, now: i64) -> BTreeMap<String, u32> {
    let mut lives = BTreeMap::new();
    for container in &objects.containers {
        let Some(member) = container.labels.get(labels::MEMBER) else {
            continue;
        };
        let known = before.short_lives.get(member).copied().unwrap_or(0);
        let last = before.objects.containers.iter().find(|other| other.id == container.id);
        let has_just_ended = |last: &ContainerObserved| last.finished_at != container.finished_at;
        let count = match container.state {
            RunState::Exited if last.is_none_or(has_just_ended) && converge::was_short_lived(container) => known + 1,
            RunState::Running if now - container.started_at > SETTLED_SECS => 0,
            RunState::Exited if !converge::was_short_lived(container) => 0,
            RunState::Created | RunState::Running | RunState::Paused | RunState::Exited | RunState::Between => known,
        };
        if count > 0 {
            lives.insert(member.clone(), count);
        }
    }
    lives
}
