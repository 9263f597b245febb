//! Looks at one monitoring resource: its containers and their files, what Prometheus says of itself, and the clusters that it
//! monitors. Reads only; what cannot be read is said to be unknown.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures_util::future::join_all;
use serde_json::Value;

use super::memory::Memory;
use super::monitor::{Monitor, PROMETHEUS, ROLE};
use super::plan::{self, View};
use super::{conf, content, desired, queries};
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
    /// What exporters that answer Prometheus with an error say to that, by the names of their containers.
    pub failing: BTreeMap<String, String>,
    /// The queries that PostgreSQL refuses, with its words, by the names of the exporters' containers.
    pub refused_queries: BTreeMap<String, (String, String)>,
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
        observed.failing = failing(host, monitor, &observed).await;
        observed.refused_queries = refused_queries(host, &authority, &observed.objects).await;
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
    observed.silent_since = silent_since(&observed, before, look);
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

/// What exporters say that answer with an error: Prometheus knows its number only.
async fn failing<R: Reads>(host: &R, monitor: &Monitor, observed: &Observed) -> BTreeMap<String, String> {
    let targets = observed.targets.known().into_iter().flatten();
    let answers_badly = |target: &&TargetSeen| {
        target.job == "postgres" && target.is_up == Some(false) && target.error.contains("HTTP status")
    };
    let asked = targets.filter(answers_badly).filter_map(|target| {
        let name = target.instance.rsplit_once(':')?.0.to_owned();
        let address = observed
            .objects
            .container(&name)?
            .networks
            .get(&monitor.network_name())?;
        let authority = format!("{address}:{}", conf::POSTGRES_EXPORTER_PORT);
        Some(async move {
            match host.get(&authority, "/metrics").await {
                Seen::Unknown(why) => Some((name, why.split_once("/metrics: ")?.1.to_owned())),
                Seen::Known(_) | Seen::Absent => None,
            }
        })
    });
    let said = join_all(asked).await.into_iter().flatten();
    said.filter(|(_, why)| why.contains("it answered")).collect()
}

/// `pg_exporter_last_scrape_error{job="postgres"} == 1 and on (instance) pg_up == 1`
const REFUSED: &str = "/api/v1/query?query=pg_exporter_last_scrape_error%7Bjob%3D%22postgres%22%7D%20%3D%3D%201%20and%20on%20\
                       (instance)%20pg_up%20%3D%3D%201";
/// How much of a log is read for the reason.
const LOG_LINES: u32 = 60;

async fn refused_queries<R: Reads>(host: &R, authority: &str, objects: &Objects) -> BTreeMap<String, (String, String)> {
    let answer = host.get(authority, REFUSED).await;
    let series = answer
        .known()
        .and_then(|answer| answer.pointer("/data/result")?.as_array());
    let instances = series
        .into_iter()
        .flatten()
        .filter_map(|one| one["metric"]["instance"].as_str());
    let names = instances.filter_map(|instance| Some(instance.rsplit_once(':')?.0));
    let containers = names.filter_map(|name| objects.container(name));
    let asked = containers.map(|container| async move {
        let log = host.log_tail(&container.id, LOG_LINES).await;
        let unknown = || ("a query".to_owned(), "its log does not say why".to_owned());
        let said = log.known().and_then(|log| queries::refused_in(log));
        (container.name.clone(), said.unwrap_or_else(unknown))
    });
    join_all(asked).await.into_iter().collect()
}

fn silent_since(observed: &Observed, before: &Observed, look: Look<'_>) -> BTreeMap<String, i64> {
    let Seen::Known(targets) = &observed.targets else {
        // Nothing is known of who answers; what was known before still holds.
        return before.silent_since.clone();
    };
    let silent = targets.iter().filter(|target| target.is_up == Some(false));
    let name = |target: &TargetSeen| target.instance.rsplit_once(':').map(|(name, _)| name.to_owned());
    silent
        .filter_map(name)
        .map(|name| {
            // A while in which the agent itself got no time is a while in which others on this host may have got none.
            let since = before.silent_since.get(&name).map(|since| since + look.late_secs);
            (name, since.unwrap_or(look.now))
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
