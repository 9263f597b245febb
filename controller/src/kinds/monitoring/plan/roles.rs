//! The role that exporters log in as, in every cluster that is monitored. It may look at everything and change nothing.

use std::collections::BTreeMap;

use super::super::conf;
use super::super::memory::Change;
use super::super::monitor::{Monitor, ROLE};
use super::View;
use crate::kinds::peers::Face;
use crate::kinds::postgres::roles::role_change;
use crate::model::Seen;
use crate::model::plan::{Action, EngineOp, Op, Plan};
use crate::model::postgres::{RoleAttributes, SqlOp};

/// Keeps the role where the cluster takes statements.
pub fn keep(view: &View<'_>, plan: &mut Plan<Change>) {
    let attributes = RoleAttributes {
        login: true,
        connection_limit: -1,
        ..RoleAttributes::default()
    };
    for (cluster, face) in view.clusters() {
        let Some((writer, seen)) = face.writer.as_ref().zip(view.observed.clusters.get(cluster)) else {
            continue;
        };
        let seen = match &seen.role {
            Seen::Known(facts) => Some(facts),
            Seen::Absent => None,
            Seen::Unknown(_) => continue,
        };
        let wanted = (
            attributes,
            Some(Monitor::password(cluster)),
            vec!["pg_monitor".to_owned()],
        );
        if seen.is_some_and(|role| role.password_fits.is_none()) {
            plan.step(recover(view, cluster, face));
        }
        if let Some((change, cause)) = role_change(seen, ROLE, wanted) {
            let mut steps = Vec::new();
            if !change.create && change.password.is_some() {
                // They read it when they start; asked for first, so that nobody can end in between and leave them on the old one.
                let exporters = face
                    .members
                    .iter()
                    .map(|member| Monitor::exporter(cluster, &member.name));
                let restart = Op::Remember(Change::Restart(exporters.collect(), view.now));
                steps.push(Action::new(cluster, restart, "the password of their role is set anew"));
            }
            let is_new = change.create;
            let step = Action::new(cluster, Op::Sql(writer.clone(), SqlOp::Role(change)), cause);
            steps.push(if is_new { step } else { step.drift() });
            plan.chain(steps);
        }
    }
}

/// Whether an exporter has to wait until its cluster takes statements, because it is not known whether its role exists, and with
/// it whether there is a password.
pub fn is_awaited(view: &View<'_>, exporter: &str) -> bool {
    let container = view.monitor.container_name(exporter);
    let is_its = |cluster: &str, face: &Face| {
        let mut members = face.members.iter();
        members.any(|member| Monitor::exporter(cluster, &member.name) == exporter)
    };
    let cluster = view.clusters().find(|(cluster, face)| is_its(cluster, face));
    let seen = cluster.and_then(|(cluster, _)| view.observed.clusters.get(cluster));
    let is_unknown = seen.is_some_and(|seen| seen.role.unknown().is_some());
    is_unknown && view.observed.objects.container(&container).is_none()
}

/// Every exporter has the password of the role.
fn recover(view: &View<'_>, cluster: &str, face: &Face) -> Action<Change> {
    let members = face.members.iter();
    let exporters = members.map(|member| view.monitor.container_name(&Monitor::exporter(cluster, &member.name)));
    let there = exporters.filter_map(|name| view.observed.objects.container(&name));
    let op = EngineOp::RecoverPasswords {
        containers: there.map(|container| container.id.clone()).collect(),
        path: format!("{}/password", conf::DIRECTORY),
        passwords: BTreeMap::from([(ROLE.to_owned(), Monitor::password(cluster))]),
    };
    Action::engine(cluster, op, format!("the password of {ROLE} is not known any more"))
}
