//! What to tell of a monitoring resource. Pure.

use std::collections::BTreeMap;

use super::memory::Change;
use super::monitor::{ALERTMANAGER, GRAFANA, Monitor, PROMETHEUS};
use super::plan::{self, View};
use super::{content, desired, queries};
use crate::converge::{self, Piece, Stage, names, occupied};
use crate::model::Seen;
use crate::model::container::ContainerObserved;
use crate::model::plan::{Note, Plan};
use crate::model::status::{Condition, MemberStatus, READY, Status, condition};

/// Members, conditions and facts.
pub fn status(view: &View<'_>, plan: &Plan<Change>) -> Status {
    let pieces = desired::pieces(view);
    let members: Vec<MemberStatus> = pieces.iter().map(|piece| member(view, piece)).collect();
    let mut conditions = vec![
        ready(view, plan, &members),
        in_force(view),
        targets(view),
        exporters(view),
        files(view),
    ];
    let grafana = plan::content::standing(view);
    conditions.extend(grafana.map(|(holds, reason, message)| condition("GrafanaInSync", holds, reason, message)));
    conditions.extend(occupied::condition(&view.observed.intruders));
    let own = |member: &str| plan::own(view, &pieces, member);
    conditions.extend(names::condition(&view.observed.objects, own));
    Status {
        observed_generation: view.monitor.generation,
        conditions,
        members,
        notes: plan.notes.iter().map(ToString::to_string).collect(),
        facts: facts(view),
        ..Status::default()
    }
}

fn member(view: &View<'_>, piece: &Piece) -> MemberStatus {
    let objects = &view.observed.objects;
    let stage = converge::stage(piece, objects);
    let port = piece.container.ports.first();
    MemberStatus {
        name: piece.member.clone(),
        role: role(&piece.member).to_owned(),
        state: match stage {
            Stage::Missing => "missing".to_owned(),
            Stage::Down => objects.container(&piece.container.name).map_or_else(String::new, down),
            Stage::Up => "running".to_owned(),
            Stage::Outdated => "running, outdated".to_owned(),
            Stage::Between => "between states".to_owned(),
        },
        ready: stage == Stage::Up,
        address: port
            .map(|port| format!("{}:{}", port.address, port.host))
            .unwrap_or_default(),
        container: piece.container.name.clone(),
        volume: piece
            .container
            .volume
            .as_ref()
            .map(|volume| volume.name.clone())
            .unwrap_or_default(),
        ..MemberStatus::default()
    }
}

fn down(container: &ContainerObserved) -> String {
    format!("ended ({})", container.exit_code)
}

fn role(member: &str) -> &'static str {
    match member {
        PROMETHEUS => "collector",
        ALERTMANAGER => "alerter",
        GRAFANA => "dashboards",
        _ => "exporter",
    }
}

fn ready(view: &View<'_>, plan: &Plan<Change>, members: &[MemberStatus]) -> Condition {
    let obstacle = plan.notes.iter().find_map(|note| match note {
        Note::Blocked { code, subject, reason } => Some((code.clone(), format!("{subject}: {reason}"))),
        Note::Waiting { .. } | Note::NeedsConfirmation { .. } => None,
    });
    if let Some((code, reason)) = obstacle {
        return condition(READY, false, &code, reason);
    }
    let unready: Vec<&str> = members.iter().filter(|m| !m.ready).map(|m| m.name.as_str()).collect();
    if !unready.is_empty() {
        let message = format!(
            "{} of {} containers are not ready: {}",
            unready.len(),
            members.len(),
            unready.join(", ")
        );
        return condition(READY, false, "ContainersNotReady", message);
    }
    let in_force = in_force(view);
    if !in_force.is_true() {
        return condition(READY, false, &in_force.reason, in_force.message);
    }
    let exporters = exporters(view);
    if !exporters.is_true() {
        return condition(READY, false, &exporters.reason, exporters.message);
    }
    let unseen = view
        .observed
        .clusters
        .iter()
        .find(|(_, cluster)| cluster.face.known().is_none());
    if let Some((name, _)) = unseen {
        return condition(
            READY,
            false,
            "ClusterUnknown",
            format!("nothing is known of cluster {name} yet"),
        );
    }
    let clusters = view.clusters().count();
    let watched = match clusters {
        1 => "1 cluster is".to_owned(),
        many => format!("{many} clusters are"),
    };
    let message = format!("all {} containers run, {watched} monitored", members.len());
    condition(READY, true, "AllRunning", message)
}

/// Whether Prometheus runs the configuration that is wanted.
fn in_force(view: &View<'_>) -> Condition {
    const KIND: &str = "ConfigurationApplied";
    match &view.observed.running {
        Seen::Known(mark) if *mark == desired::mark(view) => condition(
            KIND,
            true,
            "Applied",
            "Prometheus runs the wanted configuration and rules",
        ),
        Seen::Known(_) => condition(KIND, false, "Reloading", "Prometheus still runs another configuration"),
        Seen::Absent => condition(KIND, false, "Unreadable", "Prometheus does not tell what it runs"),
        Seen::Unknown(why) => condition(KIND, false, "NoAnswer", format!("Prometheus cannot be asked: {why}")),
    }
}

/// Whether Prometheus gets an answer from everybody.
fn targets(view: &View<'_>) -> Condition {
    const KIND: &str = "TargetsUp";
    let targets = match &view.observed.targets {
        Seen::Known(targets) => targets,
        Seen::Absent => return condition(KIND, false, "NoAnswer", "Prometheus does not tell its targets"),
        Seen::Unknown(why) => return condition(KIND, false, "NoAnswer", format!("Prometheus cannot be asked: {why}")),
    };
    let silent: Vec<String> = targets
        .iter()
        .filter(|target| target.is_up == Some(false))
        .map(|target| format!("{} ({})", target.instance, target.error))
        .collect();
    match silent.is_empty() {
        true => condition(KIND, true, "AllUp", format!("{} targets answer", targets.len())),
        false => condition(
            KIND,
            false,
            "TargetsDown",
            format!("no answer from {}", silent.join(", ")),
        ),
    }
}

/// How long Prometheus goes without an answer from an exporter that runs until that is a fault, in seconds.
const SILENT_SECS: i64 = 60;

/// Whether exporters answer, and PostgreSQL answers them.
fn exporters(view: &View<'_>) -> Condition {
    const KIND: &str = "ExportersAnswer";
    let observed = view.observed;
    if let Some((exporter, said)) = observed.failing.iter().next() {
        return condition(KIND, false, "ExporterFails", format!("{exporter}: {said}"));
    }
    if let Some((exporter, (query, said))) = observed.refused_queries.iter().next() {
        let files = plan::userfiles::queries_in_force(view);
        let file = queries::source_of(query, &files);
        let place = file.map_or_else(String::new, |(file, query)| {
            format!("{}: ", plan::userfiles::place_of(view, file, &query))
        });
        let message = format!("{place}{exporter} cannot have `{query}` answered: {said}");
        return condition(KIND, false, "QueryFails", message);
    }
    let targets = observed.targets.known().into_iter().flatten();
    let silent = targets.filter(|target| target.job != "reconciler" && target.is_up == Some(false));
    let silent = silent.filter_map(|target| Some((target, target.instance.rsplit_once(':')?.0)));
    for (target, name) in silent {
        let since = observed.silent_since.get(name).copied();
        let is_exporter = name.contains("exporter-");
        if is_exporter && since.is_some_and(|since| view.now - since >= SILENT_SECS) {
            return condition(
                KIND,
                false,
                "NoAnswer",
                format!("{name} does not answer: {}", target.error),
            );
        }
    }
    condition(KIND, true, "Answering", "every query has an answer")
}

/// Whether all of the users' files are in force.
fn files(view: &View<'_>) -> Condition {
    const KIND: &str = "FilesAccepted";
    let refused = &view.memory.refused;
    if refused.is_empty() {
        let count = view.memory.accepted.len();
        return condition(
            KIND,
            true,
            "Accepted",
            format!("{count} files of your own are in force"),
        );
    }
    let complaints: Vec<String> = refused
        .iter()
        .map(|(file, refused)| {
            let instead = match view.memory.accepted.contains_key(file) {
                true => "; what it said before stays in force",
                false => "; it is not in force",
            };
            format!("{}{instead}", refused.why)
        })
        .collect();
    condition(KIND, false, "Refused", complaints.join(". "))
}

fn facts(view: &View<'_>) -> BTreeMap<String, String> {
    let port = view.monitor.spec.prometheus.port;
    let mut facts = BTreeMap::from([(
        "prometheus".to_owned(),
        format!("http://{}:{port}/", view.monitor.reached_at()),
    )]);
    if let Some(alertmanager) = &view.monitor.spec.alertmanager {
        let address = format!("http://{}:{}/", view.monitor.reached_at(), alertmanager.port);
        facts.insert("alertmanager".to_owned(), address);
    }
    if let Some(grafana) = view
        .monitor
        .spec
        .grafana
        .as_ref()
        .filter(|grafana| grafana.url.is_none())
    {
        let address = format!("http://{}:{}/", view.monitor.reached_at(), grafana.port);
        facts.insert("grafana".to_owned(), address);
        let password = content::admin_password(view.monitor, grafana);
        facts.insert("password of admin in grafana".to_owned(), password.to_string());
    }
    for (cluster, _) in view.clusters() {
        let password = Monitor::password(cluster);
        facts.insert(
            format!("password of {} in {cluster}", super::monitor::ROLE),
            password.to_string(),
        );
    }
    facts
}
