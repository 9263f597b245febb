//! Configuration: checked before it is put in force, delivered to every member, loaded, and kept from drifting.

use std::time::Duration;

use super::super::conf::{self, value};
use super::super::desired::{self, Role};
use super::super::memory::{Change, Rejected, Settings};
use super::trial;
use super::view::{Step, View};
use crate::model::plan::{Action, ConfigCheck, EngineOp, Op, Plan};
use crate::model::postgres::{Down, PgFacts, Server, SqlOp};

/// Brings every answering member's files and running values to what is wanted.
pub fn configure(view: &View<'_>, plan: &mut Plan<Change>) {
    if let Some(facts) = view.primary_facts() {
        remember_floor(view, facts, plan);
        remember_defaults(view, facts, plan);
    }
    judge(view, plan);
    trial::confirm(view, plan);
    trial::follow(view, plan);
    trial::tell_set_aside(view, plan);
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
    trial::look_ahead(view, plan);
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
                "{}; the old configuration stays in force. Correct spec.parameters or spec.hba",
                rejected.message
            ),
        );
    }
    let subject = view.cluster.name.as_str();
    let Some(judge) = judge_of(view) else {
        return plan.wait(
            subject,
            "a member has to run before the new configuration can be checked",
        );
    };
    let accept = Action::new(
        subject,
        Op::Remember(Change::Accept(wanted.clone())),
        "the server accepts it",
    );
    if view.memory.accepted.is_none() && wanted == view.settings() && runs_with_it(view, &judge) {
        // It was initialised with this configuration, and answers.
        return plan.step(accept);
    }
    if let Some(message) = known_obstacle(view, &wanted) {
        let rejected = Rejected {
            settings: wanted,
            message: message.clone(),
        };
        return plan.step(Action::new(subject, Op::Remember(Change::Reject(rejected)), message));
    }
    let check = check_of(view, &judge, &wanted, false);
    plan.chain(vec![
        Action::engine(subject, check, "spec.parameters or spec.hba changed"),
        accept,
    ]);
}

/// Who can look at a configuration: one that answers, or else any that runs, because its program needs no SQL for that.
fn judge_of(view: &View<'_>) -> Option<String> {
    let members = view.members();
    let answers = members.iter().find(|member| view.facts(member).is_some());
    let is_settled =
        |member: &&String| view.runs(member) && !matches!(view.server(member), Some(Server::Down(Down::StartingUp, _)));
    answers.or_else(|| members.iter().find(is_settled)).cloned()
}

/// What of the data would keep a server from starting with a configuration: only the data's own server knows of it.
fn known_obstacle(view: &View<'_>, wanted: &Settings) -> Option<String> {
    let members = view.members();
    let mut answering = members.iter().filter_map(|member| Some((member, view.facts(member)?)));
    answering.find_map(|(member, facts)| {
        let (slots, logical, prepared) = facts.holds;
        let set = |name: &str, usual: &str| {
            let given = conf::given(&wanted.parameters, name).map(value::literal);
            let altered = || facts.auto_conf.get(name).cloned();
            given.or_else(altered).unwrap_or_else(|| usual.to_owned())
        };
        let short = |name: &str, usual: &str, has: u64, of: &str| {
            let most = u64::try_from(value::whole(&set(name, usual))?).unwrap_or(0);
            (most < has).then(|| format!("{name} is {most}, and {member} has {has} {of}: it would not start"))
        };
        let level = set("wal_level", "replica");
        let is_too_low = logical > 0 && !level.eq_ignore_ascii_case("logical");
        short("max_prepared_transactions", "0", prepared, "prepared transactions")
            .or_else(|| short("max_replication_slots", "10", slots, "replication slots"))
            .or_else(|| {
                let why = format!(
                    "wal_level is {level}, and {member} has {logical} logical replication slots: it would not start"
                );
                is_too_low.then_some(why)
            })
    })
}

/// The check of a configuration in a member's container: a server of its own comes as far as the data with it.
pub fn check_of(view: &View<'_>, member: &str, settings: &Settings, is_altered: bool) -> EngineOp {
    EngineOp::CheckConfig(ConfigCheck {
        container: view.cluster.container_name(member),
        text: check_text(view, settings),
        hba: conf::pg_hba_conf(&settings.hba, false),
        members: view.members().len(),
        is_altered,
    })
}

/// What a server's own program is asked to read: nothing in it depends on who reads it.
fn check_text(view: &View<'_>, wanted: &Settings) -> String {
    let frame = conf::Frame {
        title: view.cluster.name.clone(),
        max_slot_wal_keep_bytes: view.cluster.max_slot_wal_keep_bytes,
        following: None,
        floor: view.floor(&view.cluster.spec.primary_name, Role::Bootstrap, wanted),
        sync_names: None,
        standby_slots: None,
    };
    conf::postgresql_conf(&wanted.parameters, &frame)
}

/// Whether a check was one of this configuration.
pub fn is_check_of(view: &View<'_>, check: &ConfigCheck, settings: &Settings) -> bool {
    check.text == check_text(view, settings) && check.hba == conf::pg_hba_conf(&settings.hba, false)
}

/// Whether a member's configuration files are already the manifest's.
pub fn runs_with_it(view: &View<'_>, member: &str) -> bool {
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

/// Once for all: a default never changes within a major version. Earlier agents wrote PostgreSQL 18's default for a newer
/// server too; what runs with that keeps it, for nothing is restarted because of an upgrade of the agent.
fn remember_defaults(view: &View<'_>, facts: &PgFacts, plan: &mut Plan<Change>) {
    if facts.floor_defaults.is_empty() || !view.memory.defaults.is_empty() {
        return;
    }
    let named = view.settings().parameters;
    let mut defaults = facts.floor_defaults.clone();
    for (name, usual) in conf::STANDBY_FLOOR {
        let is_named = named.keys().any(|set| set.eq_ignore_ascii_case(name));
        if !is_named && facts.standby_floor.get(name) == Some(&usual) {
            defaults.insert(name.to_owned(), usual);
        }
    }
    plan.step(Action::new(
        &view.cluster.name,
        Op::Remember(Change::Defaults(defaults)),
        "what the manifest does not name stays as the server has it",
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

/// The role that a member is to have by the record, whatever it is.
pub fn role_by_record(view: &View<'_>, member: &str) -> Role {
    match view.primary() == Some(member) {
        true => Role::Primary,
        false => Role::Replica,
    }
}

/// `ALTER SYSTEM` overrules the configuration file. What the manifest or the agent sets is taken back; what nobody
/// manages is the administrator's own affair.
fn altered(view: &View<'_>, member: &str, facts: &PgFacts) -> Vec<Step> {
    let settings = view.settings_for(member);
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
