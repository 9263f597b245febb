//! What runs, held against what is asked for, value by value. The server's own flag (`pg_settings.pending_restart`) is not
//! believed alone: it stays set after an edit was taken back, and it does not tell the manifest's parameters from those
//! that an administrator sets with `ALTER SYSTEM`.

use std::collections::BTreeMap;

use super::super::conf::value;
use super::super::desired::Role;
use super::view::View;
use crate::model::postgres::{PgFacts, Running};

/// The longest value that is shown.
const MAX_CHARS: usize = 60;

/// The parameters for which a member has to restart, by the manifest's doing: what is asked for differs from what runs, or
/// what runs is from a file of ours in which it stands no more.
pub fn to_restart(view: &View<'_>, member: &str, facts: &PgFacts) -> Vec<String> {
    if !facts.running.values().any(|running| running.is_pending) {
        return Vec::new();
    }
    let asked = asked(view, member, facts);
    let waits = |(name, running): &(&String, &Running)| {
        let is_wanted = match asked.get(*name) {
            Some(asked) => running.context == "postmaster" && differs(asked, running),
            None => running.is_ours,
        };
        // What overrules our file is dealt with first, or is the administrator's.
        running.is_pending && is_wanted && altered(facts, name).is_none()
    };
    let waiting = facts.running.iter().filter(waits);
    waiting.map(|(name, _)| name.clone()).collect()
}

/// Where a member does not run with what is asked for, in words. What waits for a restart is left out.
pub fn differing(view: &View<'_>, member: &str, facts: &PgFacts) -> Vec<String> {
    let asked = asked(view, member, facts);
    let to_restart = to_restart(view, member, facts);
    let different = facts.running.iter().filter_map(|(name, running)| {
        let asked = asked.get(name).filter(|asked| differs(asked, running))?;
        let is_told = to_restart.contains(name) || altered(facts, name).is_some();
        (!is_told).then(|| match shown(name, &running.setting).zip(shown(name, asked)) {
            Some((runs, wanted)) => format!("{member} runs with {name} = {runs}, and {wanted} is asked for"),
            None => format!("{member} runs with another {name} than is asked for"),
        })
    });
    different.collect()
}

/// The parameters that wait for a restart, and are the administrator's: nothing is restarted for them unasked.
pub fn of_administrators(view: &View<'_>, member: &str, facts: &PgFacts) -> Vec<String> {
    if !facts.running.values().any(|running| running.is_pending) {
        return Vec::new();
    }
    let asked = asked(view, member, facts);
    let theirs = facts.running.iter().filter_map(|(name, running)| {
        let set = altered(facts, name).filter(|_| running.is_pending && !asked.contains_key(name))?;
        let differs = !value::is_same(set, &running.setting, &running.unit, &running.vartype);
        differs.then(|| format!("{name} = {}", shown(name, set).unwrap_or("...")))
    });
    theirs.collect()
}

fn asked(view: &View<'_>, member: &str, facts: &PgFacts) -> BTreeMap<String, String> {
    let role = if facts.in_recovery {
        Role::Replica
    } else {
        Role::Primary
    };
    view.asked(member, role)
}

/// What `ALTER SYSTEM` says of a parameter.
fn altered<'f>(facts: &'f PgFacts, name: &str) -> Option<&'f str> {
    let found = facts.auto_conf.iter().find(|(set, _)| set.eq_ignore_ascii_case(name))?;
    Some(found.1.as_str())
}

/// Whether a value that runs is another one than is asked for. Of one that looks different and was read from our line as it
/// stands there, the server has its own way of showing it; and what a session or the server sets for itself says nothing
/// of what others get.
fn differs(asked: &str, running: &Running) -> bool {
    if value::is_same(asked, &running.setting, &running.unit, &running.vartype) {
        return false;
    }
    let is_from_outside = ["configuration file", "default", "command line", "environment variable"];
    if !is_from_outside.contains(&running.source.as_str()) {
        return false;
    }
    let is_read = running.is_ours && running.file.as_deref() == Some(asked);
    running.context == "postmaster" || !is_read
}

/// A value that may be shown: not a long one, and not one that may hold a password.
fn shown<'v>(name: &str, value: &'v str) -> Option<&'v str> {
    let is_secret = [name, value]
        .iter()
        .any(|text| text.to_ascii_lowercase().contains("passw"));
    (!is_secret && !value.is_empty() && value.chars().count() <= MAX_CHARS).then_some(value)
}
