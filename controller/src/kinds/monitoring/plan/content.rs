//! Keeps what a Grafana holds: what is to be called is worked out in `grafana`, and becomes steps here.

use std::collections::BTreeMap;

use super::super::conf;
use super::super::content;
use super::super::grafana::{self, Note};
use super::super::memory::{AdminAttempt, Change};
use super::super::monitor::GRAFANA;
use super::super::spec::Grafana;
use super::View;
use crate::model::Seen;
use crate::model::grafana::DatasourceSeen;
use crate::model::plan::{Action, EngineOp, Op, Plan};

/// How long an attempt to set a password lasts, in seconds, if an agent that ended in the middle of it made none.
const AGAIN_SECS: i64 = 3600;

/// Puts right what is not as it is wanted.
pub fn keep(view: &View<'_>, plan: &mut Plan<Change>) {
    let (Some(spec), Some(seen)) = (&view.monitor.spec.grafana, &view.observed.grafana) else {
        return;
    };
    // While it starts it answers nobody, which is known. New files are no reason to wait.
    let is_delivery = |op: &Op<Change>| matches!(op, Op::Engine(EngineOp::Deliver(_) | EngineOp::RemoveFiles { .. }));
    let is_busy = |action: &Action<Change>| action.subject == GRAFANA && !is_delivery(&action.op);
    if plan.actions().any(is_busy) {
        return;
    }
    let Some(target) = view.grafana_target() else {
        return;
    };
    if seen.refused.is_some() && spec.url.is_none() {
        let_us_in(view, spec, plan);
        return;
    }
    let is_seen = |one: &Seen<DatasourceSeen>| !matches!(one, Seen::Unknown(_));
    if view.memory.admin.is_some() && seen.datasources.values().any(is_seen) {
        let forget = Op::Remember(Change::LetIn);
        plan.step(Action::new(GRAFANA, forget, "its password is the wanted one"));
    }
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

/// A Grafana of our own takes the wanted password at its first start only: a manifest that names another one, a state
/// directory that was lost and somebody who changed it there all leave us outside. Its program sets the password of its first
/// user, whatever that is called now and whether it is let in, so that one attempt a process has to do.
fn let_us_in(view: &View<'_>, spec: &Grafana, plan: &mut Plan<Change>) {
    let Some(container) = view.observed.objects.container(&view.monitor.container_name(GRAFANA)) else {
        return;
    };
    let attempt = AdminAttempt {
        process: format!("{}@{}", container.id, container.started_at),
        at: view.now,
    };
    let is_again = |last: &AdminAttempt| {
        let pause = last.at..last.at + AGAIN_SECS;
        last.process == attempt.process && pause.contains(&view.now)
    };
    if view.memory.admin.as_ref().is_some_and(is_again) {
        let way_out = "Grafana does not let admin in, though setting its password anew was tried. Is its first user called \
                       admin, and not disabled? After five wrong passwords it has to wait for 5 minutes; `reconciler \
                       restart` has the password set again";
        plan.block(GRAFANA, "LoginRefused", way_out);
        return;
    }
    let reset = EngineOp::ResetAdmin {
        container: container.id.clone(),
        password: content::admin_password(view.monitor, spec),
    };
    let recover = EngineOp::RecoverPasswords {
        containers: vec![container.id.clone()],
        path: format!("{}/admin.password", conf::DIRECTORY),
        passwords: BTreeMap::from([("admin".to_owned(), content::admin_password(view.monitor, spec))]),
    };
    plan.chain(vec![
        Action::engine(GRAFANA, recover, "one that is lost may be in its container"),
        Action::new(GRAFANA, Op::Remember(Change::AdminAttempt(attempt)), "once a process"),
        Action::engine(GRAFANA, reset, "Grafana does not let us in with the wanted one"),
    ]);
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
            let copies = match plan.strays.as_slice() {
                [] => String::new(),
                strays => format!("; copies, with our tag, that are left alone: {}", strays.join(", ")),
            };
            (true, "InSync", format!("{count} dashboards are as wanted{copies}"))
        }
    })
}
