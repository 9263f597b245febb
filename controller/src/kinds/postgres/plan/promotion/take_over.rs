//! The old primary is down: promotes the target, when it has everything or nothing more can be had.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::super::conf;
use super::super::super::desired::{self, Role};
use super::super::super::memory::{Change, Loss, Promotion};
use super::super::history;
use super::super::own;
use super::super::position;
use super::super::sync;
use super::super::view::View;
use super::{ASK_AGAIN_SECS, PATIENCE_SECS, POLL, fence, finish, silent, strays};
use crate::model::Seen;
use crate::model::container::RunState;
use crate::model::plan::{Action, EngineOp, Op, Plan};
use crate::model::postgres::{ControlState, SqlOp};

/// How often it is looked whether somebody else has let go of the old primary's volume.
const PATIENT_POLL: Duration = Duration::from_millis(250);

/// Promotes the target when it is known to have everything, or when nothing more can be had.
pub(super) fn promote(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
    let (from, to) = (&promotion.from, &promotion.to);
    if own::holds_up(view, from, plan) {
        return plan.again_in(PATIENT_POLL);
    }
    match view.facts(to) {
        Some(facts) if facts.in_recovery => {}
        Some(_) => return writes_already(promotion, plan),
        None => return silent::target(view, promotion, plan),
    }
    let lack = match target_has_everything(view, promotion) {
        Ok(()) => return request(view, promotion, Loss::Nothing, plan),
        Err(lack) => lack,
    };
    let ended = view.container(from).map_or(0, |container| container.finished_at);
    // A shutdown may take long; the target's time begins when it is over.
    let waited = view.now - promotion.requested_at.max(ended);
    let may_lose = promotion.forced;
    if (may_lose || !lack.final_word)
        && waited <= PATIENCE_SECS
        && let Some(ahead) = ahead(view, from, to)
    {
        return catch_up(view, promotion, &ahead, plan);
    }
    if promotion.automatic
        && let Err(lack) = sync::quorum(view, to)
    {
        // It was proved when this was decided; but somebody may have started the old primary since, and commits went on.
        if waited > PATIENCE_SECS {
            return finish(promotion, false, lack.why, view, plan);
        }
        plan.wait(to, lack.why);
        return plan.again_in(POLL);
    }
    if lacks_only_the_end(view, promotion) {
        return request(view, promotion, Loss::Nothing, plan);
    }
    if may_lose {
        let loss = position::loss(view, from, to);
        return request(view, promotion, loss, plan);
    }
    if lack.final_word || waited > PATIENCE_SECS {
        return finish(promotion, false, lack.text, view, plan);
    }
    plan.wait(to, lack.text);
    plan.again_in(POLL);
}

/// Whether the target has everything of an old primary that has shut down.
pub(super) fn is_due(view: &View<'_>, promotion: &Promotion) -> bool {
    let is_standby = view.facts(&promotion.to).is_some_and(|facts| facts.in_recovery);
    is_standby && target_has_everything(view, promotion).is_ok()
}

fn writes_already(promotion: &Promotion, plan: &mut Plan<Change>) {
    let (from, to) = (&promotion.from, &promotion.to);
    plan.wait(to, "it accepts writes, but not on a new timeline");
    plan.confirm(
        to,
        format!("it accepts writes on {from}'s timeline; nothing is touched until you decide"),
    );
}

/// The request was sent, or was about to be when the agent died.
pub(super) fn ask_again(view: &View<'_>, promotion: &Promotion, plan: &mut Plan<Change>) {
    let to = &promotion.to;
    match view.facts(to) {
        Some(facts) if facts.in_recovery && view.now - promotion.sent_at > ASK_AGAIN_SECS => {
            let cause = format!("{} is down, and it is not the primary yet", promotion.from);
            plan.chain(view.sql(to, SqlOp::Promote, cause).into_iter().collect());
        }
        Some(facts) if facts.in_recovery => {
            plan.wait(to, "its promotion is under way");
            plan.chain(fence::move_names(view, promotion));
        }
        Some(_) => writes_already(promotion, plan),
        None => silent::target(view, promotion, plan),
    }
    plan.again_in(POLL);
}

/// What the target lacks.
struct Lack {
    text: String,
    /// Whether waiting cannot change it.
    final_word: bool,
}

/// Whether the target has every write that the old primary ever acknowledged. The shutdown checkpoint is the last
/// record of a clean stop: who has replayed beyond its start has everything.
fn target_has_everything(view: &View<'_>, promotion: &Promotion) -> Result<(), Lack> {
    let (from, to) = (&promotion.from, &promotion.to);
    let lack = |text: String, final_word| Lack { text, final_word };
    if view.container(from).is_none() {
        return Err(lack(
            format!("{from} is gone, so nobody can tell whether {to} has all its writes"),
            true,
        ));
    }
    let control = match view.control(from) {
        Seen::Known(control) => control,
        Seen::Absent => return Err(lack(format!("{from} holds no data any more"), true)),
        Seen::Unknown(why) => return Err(lack(format!("{from}'s control file cannot be read: {why}"), false)),
    };
    if control.state != ControlState::ShutDown {
        return Err(lack(format!("{from} did not stop cleanly"), true));
    }
    let replayed = view.facts(to).map(|facts| facts.lsn).unwrap_or_default();
    if replayed > control.checkpoint {
        return Ok(());
    }
    Err(lack(
        format!(
            "it has replayed up to {replayed}, and {from} stopped at {}",
            control.checkpoint
        ),
        false,
    ))
}

/// Whether the target has all but the record of the shutdown checkpoint, and no more is to come. All sessions have ended before
/// that record, so every commit lies before it; a sender that is not waited for any more leaves it out
/// (`wal_sender_shutdown_timeout` of PostgreSQL 19). The old primary then has one record that its successor has not, and
/// cannot follow as it is: so this is the answer only where the record will not come.
fn lacks_only_the_end(view: &View<'_>, promotion: &Promotion) -> bool {
    let (from, to) = (&promotion.from, &promotion.to);
    let (Some(target), Some(control)) = (view.facts(to), view.control(from).known()) else {
        return false;
    };
    let container = view.container(from);
    let has_ended = container.is_some_and(|container| container.state == RunState::Exited);
    let has_replayed_all = target.receive_lsn <= target.lsn && !target.receiver_streaming;
    let is_shut = control.state == ControlState::ShutDown;
    has_ended && is_shut && has_replayed_all && target.lsn.begins_next_record(control.checkpoint)
}

/// The replica that has received most beyond the target, if one has.
fn ahead(view: &View<'_>, from: &str, to: &str) -> Option<String> {
    let reach = view.facts(to)?.reach();
    let others = view
        .replicas()
        .into_iter()
        .filter(|member| member != to && member != from);
    let usable = others.filter(|member| {
        let has_volume = view
            .container(member)
            .is_some_and(|c| view.has_current_volume(member, c));
        has_volume && !view.is_foreign(member)
    });
    let answering = usable.filter_map(|member| Some((view.facts(&member)?, member)));
    answering
        .filter(|(facts, _)| facts.in_recovery && facts.reach() > reach)
        .max_by_key(|(facts, _)| facts.reach())
        .map(|(_, member)| member)
}

/// What another replica has received more is fetched from there before the target is promoted.
fn catch_up(view: &View<'_>, promotion: &Promotion, source: &str, plan: &mut Plan<Change>) {
    let to = &promotion.to;
    let (Some(facts), Some(ahead)) = (view.facts(to), view.facts(source)) else {
        return;
    };
    let cause = format!(
        "{source} has received up to {}, {to} up to {}",
        ahead.reach().1,
        facts.reach().1
    );
    let mut steps = Vec::new();
    if promotion.via.as_deref() != Some(source) {
        let change = Change::CatchUp {
            id: promotion.id,
            via: source.to_owned(),
        };
        steps.push(Action::new(to, Op::Remember(change), cause.clone()));
    }
    let slot = conf::slot_name(to);
    if !ahead.slots.contains_key(&slot) {
        steps.extend(view.sql(source, SqlOp::CreateSlot(slot), format!("{to} catches up from it")));
    }
    let files = view.files_behind(to, Role::Replica, source);
    let wanted: BTreeMap<String, String> = desired::watched_hashes(&files);
    let is_delivered = wanted
        .iter()
        .all(|(name, hash)| facts.file_hashes.get(name).is_some_and(|seen| seen.starts_with(hash)));
    if !is_delivered {
        let deliver = EngineOp::Deliver(desired::delivery(view.cluster, to, files));
        steps.push(Action::engine(to, deliver, cause.clone()));
    }
    if !is_delivered || facts.reload_due {
        steps.extend(view.sql(to, SqlOp::Reload, "its files were delivered"));
    }
    if steps.is_empty() {
        plan.wait(to, format!("it catches up first: {cause}"));
    }
    plan.chain(steps);
    plan.again_in(POLL);
}

fn request(view: &View<'_>, promotion: &Promotion, loss: Loss, plan: &mut Plan<Change>) {
    let (from, to) = (&promotion.from, &promotion.to);
    let mut steps = Vec::new();
    if view.container(from).is_some() && !promotion.fenced {
        steps.extend(fence::fence(view, promotion));
    }
    let cause = match loss {
        Loss::Nothing => format!("{from} is down and it has everything"),
        Loss::Seen { .. } | Loss::Unacknowledged { .. } | Loss::Unknown => {
            format!("{from} is down; {}", loss.told(from))
        }
    };
    let sent = Change::Requested {
        id: promotion.id,
        loss,
        at: view.now,
    };
    let why = "from now on there is only forward";
    steps.extend(strays::set_aside(view, promotion));
    steps.extend(history::beside(view, to));
    steps.extend(sync::before_promotion(view, to));
    steps.push(Action::new(to, Op::Remember(sent), why));
    steps.extend(view.sql(to, SqlOp::Promote, cause));
    plan.chain(steps);
    plan.chain(fence::move_names(view, promotion));
    if !promotion.fenced || promotion.forced {
        plan.chain(fence::slots(view, to));
    }
    plan.again_in(POLL);
}
