//! Answers who asks for a re-seed, or for the removal of a volume.

use super::super::super::Reply;
use super::super::memory::{Change, Method, Retired};
use super::super::plan::rejoin::{self, Finding, Verdict};
use super::super::plan::{View, reseed, volumes};
use crate::model::labels;
use crate::model::plan::{Note, Plan};

/// Answers who asks for a re-seed of a member.
pub fn reseed(view: &View<'_>, member: &str, by: Option<&str>, force: bool) -> Reply<Change> {
    let method = match by {
        None => None,
        Some("clone") => Some(Method::Clone),
        Some("rewind") => Some(Method::Rewind),
        Some(other) => return Reply::refused(format!("there is no method {other}; there are clone and rewind")),
    };
    if let Some(why) = obstacle(view, member) {
        return Reply::refused(why);
    }
    if reseed::stuck(view, member).is_some() {
        return try_again(view, member, method);
    }
    if let Some(state) = view.memory.reseed(member) {
        let message = format!(
            "{member} is being re-seeded already, by {}, because {}",
            state.method, state.reason
        );
        return Reply::accepted(message, Vec::new());
    }
    if let Some(other) = reseed::under_way(view, member, &Plan::default()) {
        return Reply::refused(format!("{other} is being re-seeded; one at a time"));
    }
    let container = view.container(member);
    if !container.is_some_and(|container| view.has_current_volume(member, container)) {
        return Reply::refused(format!(
            "{member} has no container with a volume of its own yet; it gets one by itself"
        ));
    }
    let is_needed = |other: &String| other != member && view.replica_is_ready(other);
    if !force && view.replica_is_ready(member) && !view.replicas().iter().any(is_needed) {
        return Reply::refused(format!(
            "{member} is the only replica that streams: until its new volume is filled nobody could take over. \
             `--force` does it all the same"
        ));
    }
    begin(view, member, method)
}

fn begin(view: &View<'_>, member: &str, method: Option<Method>) -> Reply<Change> {
    let finding = finding(view, member);
    if method == Some(Method::Rewind)
        && let Some(why) = reseed::rewind_obstacle(view, member, &finding)
    {
        return Reply::refused(format!("{member} cannot be rewound: {why}"));
    }
    let choice = reseed::choose(view, member, &finding, method);
    let mut notes = Plan::default();
    let Some(room) = reseed::has_room(view, member, choice.method, &mut notes) else {
        let why = notes.notes.first().map(Note::to_string).unwrap_or_default();
        return Reply::refused(why);
    };
    let old = view.volume_name(member);
    let message = format!(
        "{member} gets a new volume in place of {old}, which is kept{}{room}",
        choice.words
    );
    Reply::accepted(message, vec![reseed::change(view, member, &finding, choice.method)])
}

/// What is known of the member's data, so that its old volume is dealt with as it deserves.
fn finding(view: &View<'_>, member: &str) -> Finding {
    let verdict = match view.facts(member) {
        Some(facts) if facts.in_recovery => rejoin::running(view, member, facts),
        Some(_) | None => rejoin::stopped(view, member),
    };
    match verdict {
        Verdict::Reseed(finding) => finding,
        Verdict::Follow | Verdict::Wait(_) => Finding {
            proved_copy: rejoin::is_copy(view, member),
            ..Finding::unproved("it was asked for")
        },
    }
}

fn obstacle(view: &View<'_>, member: &str) -> Option<String> {
    if let Some(promotion) = &view.memory.promotion {
        return Some(format!("the promotion of {} is under way", promotion.to));
    }
    let primary = view.primary()?;
    if member == primary {
        return Some(format!(
            "{member} is the primary: all others are copies of it. Promote another member first, then re-seed this one"
        ));
    }
    let replicas = view.replicas();
    if !replicas.iter().any(|replica| replica == member) {
        return Some(format!(
            "there is no replica {member}; the replicas are {}",
            replicas.join(", ")
        ));
    }
    view.primary_facts()
        .is_none()
        .then(|| format!("{primary}, the primary, does not answer, and there is nothing else to copy from"))
}

fn try_again(view: &View<'_>, member: &str, method: Option<Method>) -> Reply<Change> {
    let mut changes = vec![Change::TryAgain(member.to_owned())];
    if method == Some(Method::Clone) && view.rewind_source(member).is_some() {
        let why = "a clone was asked for".to_owned();
        changes.push(Change::NoRewind(member.to_owned(), why));
    }
    Reply::accepted(format!("the seed of {member} is tried again at once"), changes)
}

/// Answers who asks for the removal of a volume. Unless it is confirmed, it is only told what would be lost.
pub fn remove_volume(view: &View<'_>, volume: &str, confirmed: bool) -> Reply<Change> {
    let Some(seen) = view.observed.objects.volumes.iter().find(|v| v.name == volume) else {
        return Reply::refused(format!("this cluster has no volume {volume}; see `reconciler volumes`"));
    };
    let member = seen.labels.get(labels::MEMBER).cloned().unwrap_or_default();
    let is_current = view.members().contains(&member) && view.volume_name(&member) == volume;
    if is_current || volumes::is_mounted(view, volume) {
        return Reply::refused(format!("{volume} is in use by {member}"));
    }
    let retired = view.memory.retired.get(volume).cloned().unwrap_or_else(|| Retired {
        member: member.clone(),
        reason: "no member uses it".to_owned(),
        since: view.now,
        ..Retired::default()
    });
    let lost = if retired.proved_copy {
        "it was proved to be a copy: nothing is lost".to_owned()
    } else {
        format!(
            "what is in it may be nowhere else, and is lost for good: the volume was {member}'s, and {}",
            retired.reason
        )
    };
    let message = format!("{volume}: {lost}");
    if !confirmed {
        return Reply::accepted(message, Vec::new());
    }
    let released = Retired {
        released: true,
        ..retired
    };
    Reply::accepted(message, vec![Change::Release(volume.to_owned(), released)])
}
