//! `reconciler status`: members, conditions and the operation in progress.

use std::fmt::Write as _;

use super::client::{Client, pick};
use super::error::{CommandError, CommandResult, Exit};
use super::output::{Format, age, bytes, print, print_for_scripts, table};
use crate::agent::view::{Overview, ResourceView};
use crate::model::status::{MemberStatus, READY, SlotStatus, Truth};

/// Prints the status of one resource, or of all.
pub async fn status(client: &Client, name: Option<&str>, format: Format) -> CommandResult {
    let overview = client.overview(true).await?;
    let chosen = match name {
        Some(_) => vec![pick(overview.resources.clone(), name)?],
        None => overview.resources.clone(),
    };
    let shown = Overview {
        resources: chosen,
        ..overview
    };
    if print_for_scripts(&shown, format)? {
        return Ok(());
    }
    let mut text = String::new();
    for resource in &shown.resources {
        text.push_str(&describe_status(resource));
        text.push('\n');
    }
    for problem in &shown.agent.problems {
        let _ = writeln!(text, "{problem}\n");
    }
    if shown.resources.is_empty() && shown.agent.problems.is_empty() {
        let _ = writeln!(
            text,
            "no resources are declared in {}",
            shown.agent.manifests.join(", ")
        );
    }
    print(text.trim_end())
}

/// The status of one resource for people.
pub fn describe_status(resource: &ResourceView) -> String {
    let status = &resource.status;
    let ready = status.condition(READY);
    let word = ready.map_or("not looked at yet", |ready| match ready.status {
        Truth::True => "Ready",
        Truth::False => "not ready",
        Truth::Unknown => "unknown",
    });
    let mut text = format!("{}/{}: {word}", resource.kind, resource.name);
    if let Some(ready) = ready {
        let _ = write!(text, " for {}, {}", age(ready.last_transition_time), ready.message);
    }
    text.push_str("\n\n");
    if !status.members.is_empty() {
        let _ = writeln!(text, "{}\n", members(&status.members));
    }
    // Members' own slots go without saying.
    let others: Vec<&SlotStatus> = status.slots.iter().filter(|slot| !slot.is_own).collect();
    if !others.is_empty() {
        let _ = writeln!(text, "{}\n", slots(&others));
    }
    if let Some(operation) = &status.operation {
        let _ = writeln!(text, "  in progress: {operation}");
    }
    for condition in status.conditions.iter().filter(|c| c.kind != READY) {
        let mark = match condition.status {
            Truth::True => "yes",
            Truth::False => "NO",
            Truth::Unknown => "?",
        };
        let _ = writeln!(text, "  {} {mark}: {}", condition.kind, condition.message);
    }
    for note in &status.notes {
        let _ = writeln!(text, "  note: {note}");
    }
    text
}

/// The members; where nothing replicates, without what only replication has.
fn members(members: &[MemberStatus]) -> String {
    let header = ["MEMBER", "ROLE", "STATE", "TL", "LSN", "LAG", "DELAY", "ADDRESS"];
    let replicates = members.iter().any(|m| m.role == "primary" || m.role == "replica");
    if replicates {
        return table(&header, members.iter().map(row).collect());
    }
    let short = |row: Vec<String>| [&row[..3], &row[7..]].concat();
    table(
        &["MEMBER", "ROLE", "STATE", "ADDRESS"],
        members.iter().map(|member| short(row(member))).collect(),
    )
}

fn slots(slots: &[&SlotStatus]) -> String {
    let row = |slot: &&SlotStatus| {
        let state = match slot {
            slot if !slot.invalidation.is_empty() => format!("invalid: {}", slot.invalidation),
            slot if slot.synced && slot.temporary => "copy, not whole yet".to_owned(),
            slot if slot.synced && slot.active => "in use".to_owned(),
            slot if slot.synced => "copy".to_owned(),
            slot if slot.active => "in use".to_owned(),
            _ => "not in use".to_owned(),
        };
        let database = match slot.database.as_str() {
            "" => "-",
            database => database,
        };
        let failover = if slot.failover { "yes" } else { "-" };
        vec![
            slot.name.clone(),
            slot.member.clone(),
            slot.kind.clone(),
            database.to_owned(),
            failover.to_owned(),
            state,
            bytes(slot.held_bytes),
        ]
    };
    let header = ["SLOT", "MEMBER", "TYPE", "DATABASE", "FAILOVER", "STATE", "HOLDS"];
    table(&header, slots.iter().map(row).collect())
}

fn row(member: &MemberStatus) -> Vec<String> {
    let state = match member.progress {
        Some((done, 0)) => format!("{} {}", member.state, bytes(done)),
        Some((done, total)) => {
            let percent = done.saturating_mul(100) / total.max(1);
            format!("{} {} of {} ({percent} %)", member.state, bytes(done), bytes(total))
        }
        None => match &member.sync_state {
            Some(sync) => format!("{} ({sync})", member.state),
            None => member.state.clone(),
        },
    };
    let dash = || "-".to_owned();
    vec![
        member.name.clone(),
        member.role.clone(),
        state,
        member.timeline.map_or_else(dash, |t| t.to_string()),
        member.lsn.clone().unwrap_or_else(dash),
        member.lag_bytes.map_or_else(dash, bytes),
        member.lag_seconds.map_or_else(dash, |s| format!("{s} s")),
        if member.address.is_empty() {
            dash()
        } else {
            member.address.clone()
        },
    ]
}

/// Prints all that is known of one resource.
pub async fn describe(client: &Client, name: Option<&str>, state_dir: &std::path::Path) -> CommandResult {
    let resource = client.resource(name, true).await?;
    let mut text = describe_status(&resource);
    let _ = writeln!(
        text,
        "  declared in {}, generation {}, uid {}",
        resource.declared, resource.generation, resource.uid
    );
    let _ = writeln!(text, "  state directory: {}", state_dir.display());
    for member in &resource.status.members {
        if let Some(held) = member.slot_held_bytes {
            let _ = writeln!(text, "  WAL held for {}: {}", member.name, bytes(held));
        }
    }
    for (fact, value) in &resource.status.facts {
        let _ = writeln!(text, "  {fact}: {value}");
    }
    let spec = serde_yaml::to_string(&resource.spec).map_err(super::error::failed)?;
    let _ = writeln!(text, "\nspec:");
    for line in spec.lines() {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(text, "\nevents:");
    for event in resource.events.iter().rev().take(20).rev() {
        let _ = writeln!(
            text,
            "  {} ago  {}  {}  {}",
            age(event.last_time),
            event.kind,
            event.reason,
            event.message
        );
    }
    print(text.trim_end())
}

/// Prints resources of a kind.
pub async fn get(client: &Client, what: &str, format: Format) -> CommandResult {
    let overview = client.overview(false).await?;
    let (kind, name) = what
        .split_once('/')
        .map_or((what, None), |(kind, name)| (kind, Some(name)));
    let kinds: Vec<&str> = crate::kinds::schemas().iter().map(|s| s.kind).collect();
    let known = kinds.iter().find(|known| is_kind(known, kind));
    let Some(known) = known
        .filter(|_| kind != "all")
        .copied()
        .or((kind == "all").then_some(""))
    else {
        let hint = format!("the kinds are {}, or `all`", kinds.join(", "));
        return Err(CommandError::new(Exit::Invalid, format!("there is no kind {kind}")).hint(hint));
    };
    let fits = |r: &ResourceView| (known.is_empty() || r.kind == known) && name.is_none_or(|name| r.name == name);
    let found: Vec<ResourceView> = overview.resources.into_iter().filter(fits).collect();
    if found.is_empty() && name.is_some() {
        return Err(CommandError::new(Exit::Invalid, format!("there is no {what}")));
    }
    if print_for_scripts(&found, format)? {
        return Ok(());
    }
    let wide = format == Format::Wide;
    let mut header = vec!["KIND", "NAME", "READY", "REASON", "MEMBERS", "GENERATION"];
    if wide {
        header.extend(["PRIMARY", "DECLARED", "MESSAGE"]);
    }
    print(&table(&header, found.iter().map(|r| get_row(r, wide)).collect()))
}

fn get_row(resource: &ResourceView, wide: bool) -> Vec<String> {
    let status = &resource.status;
    let ready = status.condition(READY);
    let working = status.members.iter().filter(|m| m.ready).count();
    let mut row = vec![
        resource.kind.clone(),
        resource.name.clone(),
        ready.map_or_else(|| "-".to_owned(), |c| format!("{:?}", c.status)),
        ready.map(|c| c.reason.clone()).unwrap_or_default(),
        format!("{working}/{}", status.members.len()),
        resource.generation.to_string(),
    ];
    if wide {
        let primary = status.members.iter().find(|m| m.role == "primary");
        row.push(primary.map(|m| m.name.clone()).unwrap_or_default());
        row.push(resource.declared.clone());
        row.push(ready.map(|c| c.message.clone()).unwrap_or_default());
    }
    row
}

/// `postgrescluster`, `PostgresClusters` and `postgresclusters` are all the kind `PostgresCluster`.
pub fn is_kind(kind: &str, asked: &str) -> bool {
    let asked = asked.to_ascii_lowercase();
    let kind = kind.to_ascii_lowercase();
    asked == kind || asked.strip_suffix('s') == Some(&kind)
}
