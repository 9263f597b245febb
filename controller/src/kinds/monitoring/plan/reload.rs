//! Has programs read their files again. Prometheus says itself which configuration it runs; a signal says only that somebody
//! was asked, so what is to be read is remembered before it is put in place.

use std::time::Duration;

use super::super::desired;
use super::super::memory::Change;
use super::super::monitor::{ALERTMANAGER, PROMETHEUS};
use super::View;
use crate::converge::{self, Piece, Stage};
use crate::model::Seen;
use crate::model::plan::{Action, EngineOp, Op, Plan};

/// How long a reload may take before it is asked for again, in seconds.
const PATIENCE_SECS: i64 = 10;
/// How long a process may need until it listens for signals, in seconds: before that, SIGHUP ends it (`signal.Notify` in the
/// `main` of both; the runtime of Go ends on SIGHUP otherwise).
const DEAF_SECS: i64 = 3;
/// Who reads files when it is told to.
const LISTENERS: [&str; 2] = [PROMETHEUS, ALERTMANAGER];

/// Remembers, before files are put right, that somebody has to read them: the wrong ones may be in force, and neither of the
/// two tells which rules or receivers it runs. Targets are read without a word.
pub fn note_deliveries(plan: &mut Plan<Change>) {
    for chain in &mut plan.chains {
        if let Some(subject) = may_be_missed(chain) {
            let unread = Op::Remember(Change::Unread(subject.clone()));
            chain.insert(0, Action::new(&subject, unread, "it may have read what is wrong"));
        }
    }
}

/// Whose files a chain puts right, if he may not read them then. A container that is made here reads them when it starts. One
/// that was there before may be started by somebody else a moment earlier (`docker restart`), with what was in it.
fn may_be_missed(chain: &[Action<Change>]) -> Option<String> {
    let is_told = |name: &str| !name.starts_with("targets/");
    let delivers = |action: &Action<Change>| match &action.op {
        Op::Engine(EngineOp::Deliver(delivery)) => delivery.files.iter().any(|file| is_told(&file.name)),
        Op::Engine(_) | Op::Sql(..) | Op::Listen(_) | Op::Grafana(..) | Op::Remember(_) => false,
    };
    let makes = |action: &Action<Change>| matches!(action.op, Op::Engine(EngineOp::CreateContainer(_)));
    let found = chain.iter().find(|action| delivers(action))?;
    let is_listener = LISTENERS.contains(&found.subject.as_str());
    (is_listener && !chain.iter().any(makes)).then(|| found.subject.clone())
}

/// Asks for a reload where files are right and something else is in force.
pub fn reload(view: &View<'_>, pieces: &[Piece], plan: &mut Plan<Change>) {
    let is_up = |piece: &&Piece| converge::stage(piece, &view.observed.objects) == Stage::Up;
    for piece in pieces
        .iter()
        .filter(|piece| LISTENERS.contains(&piece.member.as_str()))
        .filter(is_up)
    {
        // What it is given first is what it shall read.
        if !plan.touches(&piece.member) {
            tell(view, piece, plan);
        }
    }
}

fn tell(view: &View<'_>, piece: &Piece, plan: &mut Plan<Change>) {
    let member = piece.member.as_str();
    let is_unread = view.memory.unread.contains(member);
    let wanted = (member == PROMETHEUS).then(|| desired::mark(view));
    let runs_another = match (&view.observed.running, &wanted) {
        (Seen::Known(mark), Some(wanted)) => mark != wanted,
        (Seen::Known(_) | Seen::Absent | Seen::Unknown(_), _) => false,
    };
    if !runs_another && !is_unread {
        return;
    }
    let asked = view.memory.reload.as_ref();
    let asked = asked.filter(|asked| Some(&asked.mark) == wanted.as_ref() && !is_unread);
    if let Some(asked) = asked.filter(|asked| view.now - asked.at < PATIENCE_SECS) {
        plan.wait(member, "it reads its configuration");
        let is_fresh = asked.at == view.now;
        plan.again_in(Duration::from_millis(if is_fresh { 100 } else { 500 }));
        return;
    }
    let Some(container) = view.observed.objects.container(&piece.container.name) else {
        return;
    };
    // A start in the future is a clock that was set back, and nothing to wait for.
    if (0..DEAF_SECS).contains(&(view.now - container.started_at)) {
        plan.wait(member, "it has only just started");
        plan.again_in(Duration::from_secs(1));
        return;
    }
    let signal = EngineOp::Signal {
        container: container.id.clone(),
        signal: "SIGHUP".to_owned(),
    };
    let cause = match runs_another {
        true => "it runs another configuration",
        false => "its files were put right",
    };
    let mut steps = vec![Action::engine(member, signal, cause)];
    let mut remember = |change| steps.push(Action::new(member, Op::Remember(change), "it was asked to"));
    if is_unread {
        remember(Change::Read(member.to_owned()));
    }
    if let Some(wanted) = wanted {
        remember(Change::Reloading(wanted, view.now));
    }
    plan.chain(steps);
}
