//! The ports of exporters on the host. Each gets one once and keeps it, since somebody may scrape it from elsewhere.

use std::collections::BTreeSet;

use super::super::memory::Change;
use super::super::monitor::Monitor;
use super::View;
use crate::model::plan::{Action, Op, Plan};

/// The port of the first member's exporter.
const FIRST: u16 = 9190;
/// Replica 1 has the next one.
const REPLICA_0: u16 = 9187;
/// What is taken from when the classic ports are taken.
const SPARE: u16 = 9192;

/// Whether a member has the port that it shall have, or needs none.
pub fn is_settled(view: &View<'_>, member: &str) -> bool {
    let exporters = wanted(view);
    let Some(exporter) = exporters.iter().find(|exporter| exporter.member == member) else {
        return true;
    };
    match (view.memory.ports.get(member), exporter.named) {
        (Some(port), Some(named)) => *port == named,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Gives ports to exporters that have none, and takes back those of exporters that are gone.
pub fn assign(view: &View<'_>, plan: &mut Plan<Change>) {
    let exporters = wanted(view);
    let spec = &view.monitor.spec;
    let mut taken: BTreeSet<u16> = view.memory.ports.values().copied().collect();
    taken.extend(exporters.iter().filter_map(|exporter| exporter.named));
    taken.extend(spec.exporters.redis.servers.iter().filter_map(|server| server.port));
    taken.insert(spec.prometheus.port);
    taken.extend(spec.alertmanager.iter().map(|alertmanager| alertmanager.port));
    for exporter in exporters.iter().filter(|exporter| !is_settled(view, &exporter.member)) {
        let port = exporter.named.unwrap_or_else(|| free(&taken, exporter.classic));
        taken.insert(port);
        let change = Change::Port(exporter.member.clone(), port);
        let cause = match exporter.named {
            Some(_) => "the manifest says so",
            None => "it is the first that is free",
        };
        plan.step(Action::new(&exporter.member, Op::Remember(change), cause));
    }
    for member in view.memory.ports.keys() {
        if !exporters.iter().any(|exporter| exporter.member == *member) && !view.may_be_wanted(member) {
            let change = Change::Release(member.clone());
            plan.step(Action::new(member, Op::Remember(change), "its member is gone"));
        }
    }
}

struct Exporter {
    member: String,
    /// What the manifest says.
    named: Option<u16>,
    /// What the usual Compose template has.
    classic: Option<u16>,
}

fn wanted(view: &View<'_>) -> Vec<Exporter> {
    let ports = &view.monitor.spec.exporters.postgres.ports;
    let exporters = view.clusters().flat_map(|(cluster, face)| {
        face.members.iter().map(move |member| {
            let number = member.name.strip_prefix("replica-").and_then(|n| n.parse::<u16>().ok());
            Exporter {
                member: Monitor::exporter(cluster, &member.name),
                named: ports
                    .get(cluster)
                    .and_then(|members| members.get(&member.name))
                    .copied(),
                classic: match member.is_first {
                    true => Some(FIRST),
                    false => number.and_then(|n| REPLICA_0.checked_add(n)),
                },
            }
        })
    });
    exporters.collect()
}

fn free(taken: &BTreeSet<u16>, classic: Option<u16>) -> u16 {
    let candidates = classic.into_iter().chain(SPARE..);
    candidates
        .into_iter()
        .find(|port| !taken.contains(port))
        .unwrap_or(SPARE)
}
