//! Configuration: checked before it is put in force, delivered to every member, loaded, and kept from drifting.

use std::time::Duration;

use super::super::conf;
use super::super::desired::{self, Role};
use super::super::memory::{Change, Settings};
use super::view::{Step, View};
use crate::model::plan::{Action, EngineOp, Op, Plan};
use crate::model::postgres::{PgFacts, SqlOp};

/// Brings every answering member's files and running values to what is wanted.
pub fn configure(view: &View<'_>, plan: &mut Plan<Change>) {
    if let Some(facts) = view.primary_facts() {
        remember_floor(view, facts, plan);
    }
    judge(view, plan);
    let is_known = view.memory.accepted.is_some() || view.members().iter().any(|m| runs_with_it(view, m));
    if !is_known {
        // After the record was lost nobody knows what the members run; they keep it until the manifest's is checked.
        return;
    }
    for member in view.members() {
        // A member that is being started or stopped in this pass is looked at again in the next.
        if let Some(facts) = view.facts(&member)
            && !plan.touches(&member)
            && !view.is_foreign(&member)
        {
            one(view, &member, facts, plan);
        }
    }
}

/// New settings are read by a running server's own program first. Only what it accepts is delivered, because a server
/// does not start with a file that it cannot read.
fn judge(view: &View<'_>, plan: &mut Plan<Change>) {
    let wanted = view.cluster.settings();
    if view.memory.accepted.as_ref() == Some(&wanted) {
        return;
    }
    if let Some(rejected) = view.memory.rejected.as_ref().filter(|r| r.settings == wanted) {
        return plan.block(
            &view.cluster.name,
            "InvalidConfiguration",
            format!(
                "{}; every member keeps the old configuration. Correct spec.parameters",
                rejected.message
            ),
        );
    }
    let Some(judge) = view.members().into_iter().find(|m| view.facts(m).is_some()) else {
        return plan.wait(
            &view.cluster.name,
            "a member has to answer before the new configuration can be checked",
        );
    };
    let subject = view.cluster.name.as_str();
    let accept = Action::new(
        subject,
        Op::Remember(Change::Accept(wanted.clone())),
        "the server accepts it",
    );
    if view.memory.accepted.is_none() && runs_with_it(view, &judge) {
        // It was initialised with this configuration, and answers.
        return plan.step(accept);
    }
    let check = EngineOp::CheckConfig {
        container: view.cluster.container_name(&judge),
        text: check_text(view, &wanted),
    };
    plan.chain(vec![
        Action::engine(subject, check, "spec.parameters or spec.hba changed"),
        accept,
    ]);
}

/// What a server's own program is asked to read: nothing in it depends on who reads it.
pub fn check_text(view: &View<'_>, wanted: &Settings) -> String {
    let frame = conf::Frame {
        title: view.cluster.name.clone(),
        max_slot_wal_keep_bytes: view.cluster.max_slot_wal_keep_bytes,
        following: None,
        floor: view.floor(&view.cluster.spec.primary_name, Role::Bootstrap, wanted),
        sync_names: None,
    };
    conf::postgresql_conf(&wanted.parameters, &frame)
}

/// Whether a member's configuration files are already the manifest's.
fn runs_with_it(view: &View<'_>, member: &str) -> bool {
    let Some(facts) = view.facts(member) else {
        return false;
    };
    let Some(role) = role_of(view, member, facts) else {
        return false;
    };
    let wanted = desired::watched_hashes(&view.files(member, role));
    ["pg_hba.conf", "postgresql.conf"]
        .iter()
        .all(|name| wanted.get(*name).is_some_and(|hash| is_as_delivered(facts, name, hash)))
}

fn is_as_delivered(facts: &PgFacts, name: &str, hash: &str) -> bool {
    facts.file_hashes.get(name).is_some_and(|seen| seen.starts_with(hash))
}

fn remember_floor(view: &View<'_>, facts: &PgFacts, plan: &mut Plan<Change>) {
    if facts.standby_floor.is_empty() || facts.standby_floor == view.memory.floor {
        return;
    }
    plan.step(Action::new(
        &view.cluster.name,
        Op::Remember(Change::Floor(facts.standby_floor.clone(), facts.lsn)),
        "a replica does not start with less than its primary has",
    ));
}

fn one(view: &View<'_>, member: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    let Some(role) = role_of(view, member, facts) else {
        return;
    };
    let mut steps: Vec<Step> = altered(view, member, facts);
    let wanted = desired::watched_hashes(&view.files(member, role));
    let edited: Vec<&str> = wanted
        .iter()
        .filter(|(name, hash)| !is_as_delivered(facts, name, hash))
        .map(|(name, _)| name.as_str())
        .collect();
    if !edited.is_empty() {
        let theirs: Vec<&str> = edited
            .iter()
            .copied()
            .filter(|name| facts.files_edited.contains(*name))
            .collect();
        let deliver = |cause| view.deliver(member, role, cause);
        steps.push(match theirs.as_slice() {
            [] => deliver(format!("{} differ from what the manifest asks for", edited.join(", "))),
            theirs => deliver(format!("somebody changed {}", theirs.join(", "))).drift(),
        });
        steps.extend(view.sql(member, SqlOp::Reload, "its files changed"));
    } else if facts.reload_due {
        steps.extend(view.sql(member, SqlOp::Reload, "its files changed after it last read them"));
    }
    if !steps.is_empty() {
        plan.again_in(Duration::from_millis(50));
    }
    for problem in &facts.conf_errors {
        plan.block(member, "ConfigurationError", problem.clone());
    }
    plan.chain(steps);
}

/// The role whose files a running member shall have; `None` while it is not what it is recorded to be.
fn role_of(view: &View<'_>, member: &str, facts: &PgFacts) -> Option<Role> {
    match (view.primary() == Some(member), facts.in_recovery) {
        (true, false) => Some(Role::Primary),
        (false, true) => Some(Role::Replica),
        (true, true) | (false, false) => None,
    }
}

/// `ALTER SYSTEM` overrules the configuration file. What the manifest or the agent sets is taken back; what nobody
/// manages is the administrator's own affair.
fn altered(view: &View<'_>, member: &str, facts: &PgFacts) -> Vec<Step> {
    let settings = view.settings();
    let is_ours = |name: &str, value: &str| {
        let lower = name.to_ascii_lowercase();
        conf::refusal(name, value).is_some()
            || conf::STANDBY_FLOOR.iter().any(|(floor, _)| *floor == lower)
            || settings.parameters.keys().any(|set| set.to_ascii_lowercase() == lower)
    };
    facts
        .auto_conf
        .iter()
        .filter(|(name, value)| is_ours(name, value))
        .filter_map(|(name, value)| {
            let cause = format!("ALTER SYSTEM set {name} to '{value}' beside the manifest");
            let reset = view.sql(member, SqlOp::ResetParameter(name.clone()), cause)?;
            Some(reset.drift())
        })
        .collect()
}
