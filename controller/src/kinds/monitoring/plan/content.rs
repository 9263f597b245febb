//! Keeps what a Grafana holds: what is to be called is worked out in `grafana`, and becomes steps here.

use super::super::content;
use super::super::grafana::{self, Note};
use super::super::memory::Change;
use super::super::monitor::GRAFANA;
use super::View;
use crate::model::Seen;
use crate::model::plan::{Action, Op, Plan};

/// Puts right what is not as it is wanted.
pub fn keep(view: &View<'_>, plan: &mut Plan<Change>) {
    let (Some(spec), Some(seen)) = (&view.monitor.spec.grafana, &view.observed.grafana) else {
        return;
    };
    // While it starts it answers nobody, which is known.
    if plan.touches(GRAFANA) {
        return;
    }
    let Some(target) = view.grafana_target() else {
        return;
    };
    let wanted = content::content(view.monitor, spec);
    let worked_out = grafana::plan(&wanted, seen, &view.memory.grafana);
    for chain in worked_out.chains {
        let mut steps = Vec::new();
        for step in chain {
            let call = Action::new(GRAFANA, Op::Grafana(target.clone(), step.op), step.cause);
            steps.push(if step.is_drift { call.drift() } else { call });
            let kept = step.kept.map(|kept| Op::Remember(Change::Kept(kept)));
            steps.extend(kept.map(|kept| Action::new(GRAFANA, kept, "it was put there")));
        }
        plan.chain(steps);
    }
    for kept in worked_out.remember {
        plan.step(Action::new(
            GRAFANA,
            Op::Remember(Change::Kept(kept)),
            "it is so already",
        ));
    }
    for note in worked_out.notes {
        match note {
            Note::Waiting(reason) => plan.wait(GRAFANA, reason),
            Note::Blocked(code, reason) => plan.block(GRAFANA, code, reason),
        }
    }
}

/// Whether all is there, and if not, why.
pub fn standing(view: &View<'_>) -> Option<(bool, &'static str, String)> {
    let spec = view.monitor.spec.grafana.as_ref()?;
    let unreachable = |why: &str| (false, "NoAnswer", format!("Grafana cannot be asked: {why}"));
    let Some(seen) = &view.observed.grafana else {
        return Some(unreachable("it does not run"));
    };
    let wanted = content::content(view.monitor, spec);
    let plan = grafana::plan(&wanted, seen, &view.memory.grafana);
    let steps = plan.steps().count();
    Some(match (&seen.version, plan.notes.first()) {
        (Seen::Unknown(why), _) => unreachable(why),
        (_, Some(Note::Waiting(reason) | Note::Blocked(_, reason))) => (false, "Incomplete", reason.clone()),
        (_, None) if steps > 0 => (false, "Restoring", format!("{steps} things are not as wanted")),
        (_, None) => {
            let count = wanted.dashboards.len();
            (true, "InSync", format!("{count} dashboards are as wanted"))
        }
    })
}
