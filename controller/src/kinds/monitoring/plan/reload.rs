//! Has Prometheus read its configuration again. It says itself which one it runs; a signal says only that it was asked.

use super::super::desired;
use super::super::memory::Change;
use super::super::monitor::PROMETHEUS;
use super::View;
use crate::converge::{self, Piece, Stage};
use crate::model::Seen;
use crate::model::plan::{Action, EngineOp, Op, Plan};

/// How long a reload may take before it is asked for again, in seconds.
const PATIENCE_SECS: i64 = 10;

/// Asks for a reload when the files are right and Prometheus runs something else.
pub fn reload(view: &View<'_>, piece: &Piece, plan: &mut Plan<Change>) {
    let wanted = desired::mark(view);
    let is_up = converge::stage(piece, &view.observed.objects) == Stage::Up;
    // What it is given first is what it shall read.
    if !is_up || plan.touches(PROMETHEUS) || !matches!(&view.observed.running, Seen::Known(mark) if *mark != wanted) {
        return;
    }
    let asked = view.memory.reload.as_ref().filter(|asked| asked.mark == wanted);
    if let Some(asked) = asked.filter(|asked| view.now - asked.at < PATIENCE_SECS) {
        plan.wait(PROMETHEUS, "it reads its configuration");
        plan.again_in(std::time::Duration::from_millis(if asked.at == view.now {
            100
        } else {
            500
        }));
        return;
    }
    let Some(container) = view.observed.objects.container(&piece.container.name) else {
        return;
    };
    let signal = EngineOp::Signal {
        container: container.id.clone(),
        signal: "SIGHUP".to_owned(),
    };
    let cause = "it runs another configuration";
    plan.chain(vec![
        Action::engine(PROMETHEUS, signal, cause),
        Action::new(
            PROMETHEUS,
            Op::Remember(Change::Reloading(wanted, view.now)),
            "it was asked to",
        ),
    ]);
}
