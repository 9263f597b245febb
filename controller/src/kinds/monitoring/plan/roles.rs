//! The role that exporters log in as, in every cluster that is monitored. It may look at everything and change nothing.

use super::super::memory::Change;
use super::super::monitor::{Monitor, ROLE};
use super::View;
use crate::kinds::postgres::roles::role_change;
use crate::model::Seen;
use crate::model::plan::{Action, Op, Plan};
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
        if let Some((change, cause)) = role_change(seen, ROLE, wanted, true) {
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
