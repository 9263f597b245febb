//! What to tell about a cluster: members, conditions, the operation in progress. Pure.

use super::conf;
use super::memory::{Change, HistoryChange, TrialChange};
use super::observe;
use super::plan::View;
use super::plan::disk;
use super::plan::keep;
use super::plan::life;
use super::plan::own;
use super::plan::reseed;
use super::plan::slots::left_behind;
use super::plan::tablespaces;
use super::plan::values;
use crate::converge::{names, occupied};
use crate::model::container::{ContainerObserved, Health, RunState};
use crate::model::plan::{EngineOp, Note, Op, Plan};
use crate::model::postgres::{Down, Server};
use crate::model::status::{Condition, MemberStatus, OperationResult, READY, Status, condition};

mod configuration;
mod filling;
mod slots;

/// The state of a cluster, as the pass that made `plan` saw it.
pub fn status(view: &View<'_>, plan: &Plan<Change>) -> Status {
    let members: Vec<MemberStatus> = view.members().iter().map(|m| member(view, m)).collect();
    let mut conditions = vec![
        primary_available(view),
        replicas_streaming(view, &members),
        configuration(view, plan),
    ];
    conditions.extend(sync::condition_of(view));
    conditions.extend(last_promotion(view));
    conditions.extend(warnings(view));
    conditions.extend(occupied::condition(&view.observed.intruders));
    conditions.extend(names::condition(&view.observed.objects, |member| own::of(view, member)));
    conditions.extend(needs_human(view));
    conditions.extend(configuration::warnings(view));
    conditions.insert(0, ready(view, plan, &members));
    let disk = view.observed.objects.disk.known();
    Status {
        disk: disk.map(|disk| (disk.free_bytes, disk.total_bytes)),
        observed_generation: view.cluster.generation,
        conditions,
        operation: operation(view, plan, &members),
        last_operation: view.memory.last_promotion.as_ref().map(|last| OperationResult {
            id: last.id,
            succeeded: last.succeeded,
            lost_bytes: last.lost_bytes,
            message: last.message.clone(),
            at: last.at,
        }),
        members,
        notes: plan.notes.iter().map(ToString::to_string).collect(),
        facts: facts(view),
        volumes: filling::volumes(view),
        slots: slots::all(view),
    }
}

fn needs_human(view: &View<'_>) -> Option<Condition> {
    let stuck: Vec<String> = view
        .replicas()
        .iter()
        .filter_map(|member| Some(format!("{member}: {}", reseed::advice(view, member)?)))
        .collect();
    (!stuck.is_empty()).then(|| condition(reseed::NEEDS_HUMAN, true, "SeedFails", stuck.join("; ")))
}

fn ready(view: &View<'_>, plan: &Plan<Change>, members: &[MemberStatus]) -> Condition {
    for note in &plan.notes {
        match note {
            Note::NeedsConfirmation { subject, reason } => {
                return condition(READY, false, "NeedsConfirmation", format!("{subject}: {reason}"));
            }
            Note::Blocked { subject, code, reason } => {
                return condition(READY, false, code, format!("{subject}: {reason}"));
            }
            Note::Waiting { .. } => {}
        }
    }
    let unready: Vec<&str> = members.iter().filter(|m| !m.ready).map(|m| m.name.as_str()).collect();
    if !unready.is_empty() {
        let message = format!(
            "{} of {} members are not ready: {}",
            unready.len(),
            members.len(),
            unready.join(", ")
        );
        return condition(READY, false, "MembersNotReady", message);
    }
    // A note for later is no progress towards anything.
    let is_change = |op: &Op<Change>| {
        let is_note = matches!(
            op,
            Op::Remember(
                Change::Works(..)
                    | Change::HighWater(..)
                    | Change::SlotsOf(_)
                    | Change::NoSlotOf(_)
                    | Change::Trial(TrialChange::Checked(..))
                    | Change::History(HistoryChange::Note(_))
            )
        );
        !is_note && !matches!(op, Op::Engine(EngineOp::CheckConfig(check)) if check.is_altered)
    };
    if let Some(action) = plan.actions().find(|action| is_change(&action.op)) {
        return condition(READY, false, "Progressing", action.to_string());
    }
    if let Some(note) = plan.notes.first() {
        return condition(READY, false, "Progressing", note.to_string());
    }
    let replicas = view.cluster.spec.replicas;
    let message = match replicas {
        0 => "the primary answers; there are no replicas".to_owned(),
        1 => "the primary answers and its replica streams".to_owned(),
        many => format!("the primary answers and {many} replicas stream"),
    };
    condition(READY, true, "AllMembersReady", message)
}

fn primary_available(view: &View<'_>) -> Condition {
    const KIND: &str = "PrimaryAvailable";
    let Some(primary) = view.primary() else {
        return condition(KIND, false, "NoPrimary", "no member is recorded as the primary");
    };
    match view.server(primary) {
        Some(Server::Up(facts)) if facts.in_recovery => {
            condition(KIND, false, "NotPromoted", format!("{primary} runs as a replica"))
        }
        Some(Server::Up(_)) => condition(KIND, true, "AcceptsWrites", format!("{primary} accepts writes")),
        Some(Server::Down(_, why)) => match life::of(view, primary) {
            life::Life::Slow(words) if life::is_slow(view, primary) => {
                let told = format!("{primary} is alive but slow: {words} ({why})");
                condition(KIND, false, "Slow", told)
            }
            life::Life::Slow(_)
            | life::Life::Stopped
            | life::Life::Still { .. }
            | life::Life::Doubtful(_)
            | life::Life::Unseen => condition(KIND, false, "NoAnswer", format!("{primary}: {why}")),
        },
        None => condition(KIND, false, "Missing", format!("{primary} has no container")),
    }
}

fn replicas_streaming(view: &View<'_>, members: &[MemberStatus]) -> Condition {
    const KIND: &str = "ReplicasStreaming";
    let replicas = view.replicas();
    let unready: Vec<String> = members
        .iter()
        .filter(|m| replicas.contains(&m.name) && !m.ready)
        .map(|m| format!("{} is {}", m.name, m.state))
        .collect();
    if unready.is_empty() {
        let message = format!("{} of {} stream", replicas.len(), replicas.len());
        return condition(KIND, true, "AllStream", message);
    }
    condition(KIND, false, "NotAllStream", unready.join(", "))
}

fn configuration(view: &View<'_>, plan: &Plan<Change>) -> Condition {
    const KIND: &str = "ConfigurationApplied";
    let wanted = view.cluster.settings();
    if let Some(rejected) = view.memory.rejected.as_ref().filter(|r| r.settings == wanted) {
        let message = format!("{}; the old configuration stays in force", rejected.message);
        return condition(KIND, false, "Rejected", message);
    }
    if view.memory.accepted.as_ref() != Some(&wanted) {
        return condition(KIND, false, "Pending", "the configuration is not checked yet");
    }
    let behind: Vec<String> = view
        .members()
        .into_iter()
        .filter(|m| {
            view.facts(m)
                .is_some_and(|f| f.reload_due || !values::to_restart(view, m, f).is_empty())
                || plan.touches(m)
        })
        .collect();
    if view.candidate().is_some() || view.memory.trials.previous.is_some() {
        let (first, _) = view.memory.trials.first.clone().unwrap_or_default();
        let message = match first.as_str() {
            "" => "not all members run with it yet".to_owned(),
            first => format!("{first} gets it before the others do"),
        };
        return condition(KIND, false, "RollingOut", message);
    }
    let different: Vec<String> = view
        .members()
        .iter()
        .filter_map(|m| Some(values::differing(view, m, view.facts(m)?)))
        .flatten()
        .collect();
    if behind.is_empty() && !different.is_empty() {
        return condition(KIND, false, "Differs", different.join("; "));
    }
    if behind.is_empty() {
        return condition(
            KIND,
            true,
            "InForce",
            "every member that answers runs the manifest's configuration",
        );
    }
    condition(
        KIND,
        false,
        "RollingOut",
        format!("{} still to be changed", behind.join(", ")),
    )
}

fn last_promotion(view: &View<'_>) -> Option<Condition> {
    let last = view.memory.last_promotion.as_ref()?;
    let reason = if last.succeeded { "Succeeded" } else { "RolledBack" };
    Some(condition(
        "LastPromotionSucceeded",
        last.succeeded,
        reason,
        last.message.clone(),
    ))
}

/// Conditions that are there only while something is wrong, or about to be.
fn warnings(view: &View<'_>) -> Vec<Condition> {
    let members = view.members();
    let full = members
        .iter()
        .find_map(|m| Some(format!("{m}: {}", disk::is_full(view, m)?)));
    let found = [
        ("DiskFull", "NoSpaceLeft", full),
        ("DiskPressure", "LittleSpaceLeft", disk::pressure(view)),
        ("SlotWal", "HoldsMuchWal", disk::slots(view)),
        ("LogWentBack", "OlderCopy", went_back(view)),
        ("PasswordLost", "NobodyKnowsIt", lost_passwords(view)),
        (tablespaces::OUTSIDE, "LostWithItsContainer", tablespaces::warning(view)),
        ("SlotLeftBehind", "NobodyUsesIt", left_behind(view)),
    ];
    let there = found
        .into_iter()
        .filter_map(|(kind, reason, text)| Some(condition(kind, true, reason, text?)));
    there.collect()
}

/// What was lost stays to be read for a day.
fn went_back(view: &View<'_>) -> Option<String> {
    const TOLD_SECS: i64 = 86_400;
    let found = view.memory.history.went_back.as_ref()?;
    let primary = view.primary().unwrap_or("the primary");
    (view.now - found.at < TOLD_SECS).then(|| format!("{primary}: {}", found.message))
}

/// The roles whose password this agent does not have, though their clients may.
fn lost_passwords(view: &View<'_>) -> Option<String> {
    let facts = view.primary_facts()?;
    let login = view.cluster.spec.roles.iter().filter(|role| role.login);
    let is_lost = |name: &str| facts.roles.get(name).is_some_and(|role| role.password_fits.is_none());
    let lost = login.filter(|role| is_lost(&role.name)).map(|role| {
        let secret = view.cluster.password(&role.name, role.password_from.as_ref());
        format!("{} ({secret})", role.name)
    });
    let lost: Vec<String> = lost.collect();
    (!lost.is_empty()).then(|| {
        format!(
            "the passwords of {} are not known any more; the roles keep them. Put each into its file, or name another              with passwordFrom",
            lost.join(", ")
        )
    })
}

fn operation(view: &View<'_>, plan: &Plan<Change>, members: &[MemberStatus]) -> Option<String> {
    if let Some(promotion) = &view.memory.promotion {
        let step = plan.actions().next().map(ToString::to_string);
        let step = step
            .or_else(|| plan.notes.first().map(ToString::to_string))
            .unwrap_or_default();
        let kind = if promotion.automatic {
            "failover"
        } else if promotion.forced {
            "forced promotion"
        } else {
            "switchover"
        };
        return Some(format!("{kind} {} -> {}: {step}", promotion.from, promotion.to));
    }
    filling::filling(view, members)
}

const SEEDING: &str = "seeding";

mod sync;

fn member(view: &View<'_>, name: &str) -> MemberStatus {
    let is_primary = view.primary() == Some(name);
    let mut status = MemberStatus {
        name: name.to_owned(),
        role: if is_primary { "primary" } else { "replica" }.to_owned(),
        container: view.cluster.container_name(name),
        volume: view.volume_name(name),
        address: address(view, name),
        ..MemberStatus::default()
    };
    let main = view.primary_facts();
    if let Some(facts) = view.facts(name) {
        status.timeline = Some(facts.timeline);
        status.lsn = Some(facts.lsn.to_string());
        if facts.in_recovery {
            status.lag_bytes = main.map(|main| main.lsn.bytes_past(facts.lsn));
            status.lag_seconds = Some(facts.replay_lag_secs);
            status.sync_state = sync::state_of(view, name);
        }
    }
    let slot = main.and_then(|main| main.slots.get(&conf::slot_name(name)));
    status.slot_held_bytes = slot.map(|slot| slot.held_bytes);
    let fill = view.observed.fills.get(name).filter(|_| view.facts(name).is_none());
    let reseed = view.memory.reseed(name).filter(|reseed| reseed.is_active());
    status.seed_failures = reseed.map_or(0, |reseed| reseed.rounds.saturating_sub(1));
    status.progress = fill.map(|fill| (fill.done, fill.total));
    status.eta_seconds = fill.and_then(|fill| fill.seconds_left(view.now));
    status.ready = if is_primary {
        view.primary_facts().is_some()
    } else {
        view.replica_is_ready(name)
    };
    status.state = state(view, name, status.progress.is_some());
    status
}

fn state(view: &View<'_>, name: &str, is_seeding: bool) -> String {
    let Some(container) = view.container(name) else {
        return "missing".to_owned();
    };
    let word = match (container.state, view.server(name)) {
        (RunState::Created, _) => "created",
        (RunState::Exited, _) if keep::is_crash_looping(view, name) => "crash looping",
        (RunState::Exited, _) => return stopped(container),
        (RunState::Paused, _) => "paused",
        (RunState::Between, _) => "between states",
        (RunState::Running, _) if view.rewind_source(name).is_some() => "rewinding",
        (RunState::Running, _) if is_seeding => SEEDING,
        (RunState::Running, Some(Server::Up(facts))) if facts.in_recovery => {
            let standby = view.primary_facts().and_then(|main| main.standbys.get(name));
            return match (standby, view.primary_facts()) {
                (Some(standby), _) => standby.state.clone(),
                // What the primary sees is not known.
                (None, None) if facts.receiver_streaming => "streaming".to_owned(),
                (None, _) => "not streaming".to_owned(),
            };
        }
        (RunState::Running, Some(Server::Up(_))) => "running",
        (RunState::Running, Some(Server::Down(Down::StartingUp, _))) => "starting",
        (RunState::Running, Some(Server::Down(Down::ShuttingDown, _))) => "stopping",
        (RunState::Running, Some(Server::Down(Down::PasswordUnknown, _))) => "password unknown",
        (RunState::Running, Some(Server::Down(Down::PasswordRejected, _))) => "password rejected",
        (RunState::Running, Some(Server::Down(Down::Errors, _))) => "error",
        (RunState::Running, _) if life::is_slow(view, name) => "slow",
        (RunState::Running, _) if container.health == Health::Unhealthy => "unhealthy",
        (RunState::Running, _) if view.lasts(&observe::no_answer(name)).is_some() => "no answer",
        (RunState::Running, _) => "starting",
    };
    word.to_owned()
}

fn stopped(container: &ContainerObserved) -> String {
    match container.exit_code {
        0 => "stopped".to_owned(),
        code => format!("exited ({code})"),
    }
}

fn address(view: &View<'_>, name: &str) -> String {
    let port = view.cluster.port(name);
    port.map_or_else(String::new, |port| {
        format!("{}:{port}", view.cluster.spec.ports.address)
    })
}

fn facts(view: &View<'_>) -> std::collections::BTreeMap<String, String> {
    let mut facts = std::collections::BTreeMap::new();
    if let Some(id) = view.memory.system_identifier {
        facts.insert("system identifier".to_owned(), id.to_string());
    }
    let superuser = view.cluster.superuser_password();
    facts.insert(format!("password of {}", conf::SUPERUSER), superuser.to_string());
    for role in view.cluster.spec.roles.iter().filter(|role| role.login) {
        let secret = view.cluster.password(&role.name, role.password_from.as_ref());
        facts.insert(format!("password of {}", role.name), secret.to_string());
    }
    for (volume, retired) in &view.memory.retired {
        facts.insert(format!("retired volume {volume}"), retired.reason.clone());
    }
    facts
}

#[cfg(test)]
mod tests;
