//! Restarts an exporter that runs and answers nobody. postgres_exporter asks through one connection without a time limit: a
//! server that vanished without a word, as when somebody pulls a network away, leaves it waiting for a quarter of an hour.

use super::super::memory::Change;
use super::View;
use crate::converge::{self, Piece, Stage};
use crate::model::plan::{Action, EngineOp, Plan};

/// How long Prometheus is left without an answer, in seconds: a database that is down does not take that long to be told of.
const PATIENCE_SECS: i64 = 60;

/// Stops exporters that have been silent for too long; they are started again as whatever does not run.
pub fn end(view: &View<'_>, pieces: &[Piece], plan: &mut Plan<Change>) {
    let is_exporter = |piece: &&Piece| piece.member.contains("exporter-");
    for piece in pieces.iter().filter(is_exporter) {
        let objects = &view.observed.objects;
        let (Some(since), Some(container)) = (
            view.observed.silent_since.get(&piece.container.name),
            objects.container(&piece.container.name),
        ) else {
            continue;
        };
        let silent_secs = view.now - since.max(&container.started_at);
        let is_up = converge::stage(piece, objects) == Stage::Up;
        if !is_up || silent_secs < PATIENCE_SECS || plan.touches(&piece.member) {
            continue;
        }
        let stop = EngineOp::Stop {
            container: container.id.clone(),
            grace_secs: piece.container.stop_grace_secs,
        };
        let cause = format!("it has not answered Prometheus for {silent_secs} s");
        plan.step(Action::engine(&piece.member, stop, cause));
    }
}
