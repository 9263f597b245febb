//! Whether a member that runs would start again.

use super::super::super::memory::{Change, StartCheck, TrialChange};
use super::super::configure;
use super::super::view::View;
use crate::model::container::short_hash;
use crate::model::plan::{Action, Op, Plan};

/// How long a member runs before it is checked whether it would start again, in seconds.
const SETTLED_SECS: i64 = 10;
/// How long the answer to that counts while nothing changes that the agent can see, in seconds: files may go.
const CHECK_SECS: i64 = 300;

/// Looks, now and then and after every change, whether a member that runs would start again: what it runs with was read
/// long ago, and since then files may have gone, and `ALTER SYSTEM` may have set what no server starts with.
pub fn look_ahead(view: &View<'_>, plan: &mut Plan<Change>) {
    if view.candidate().is_some() {
        return;
    }
    for member in view.members() {
        let (Some(facts), Some(container)) = (view.facts(&member), view.container(&member)) else {
            continue;
        };
        let Some(signature) = signature(view, &member) else {
            continue;
        };
        let last = view.memory.trials.checks.get(&member);
        let is_due = match last {
            // A look that measures nothing is one in a hurry.
            None => view.observed.sizes.is_some(),
            Some(last) => last.signature != signature || view.now - last.at >= CHECK_SECS,
        };
        let is_settled = view.now - container.started_at >= SETTLED_SECS && !facts.reload_due;
        if !is_due || !is_settled || plan.touches(&member) || view.is_foreign(&member) {
            continue;
        }
        let check = configure::check_of(view, &member, &view.settings_for(&member), true);
        let checked = StartCheck {
            signature,
            at: view.now,
            problem: None,
        };
        let remember = Op::Remember(Change::Trial(TrialChange::Checked(member.clone(), checked)));
        plan.chain(vec![
            Action::engine(&member, check, "what it runs with was read long ago").aside(),
            Action::new(&member, remember, "a server came as far as its data with it").aside(),
        ]);
    }
}

/// What is remembered of a look ahead that found something.
pub fn would_not_start(view: &View<'_>, member: &str, why: &str) -> Option<Change> {
    let check = StartCheck {
        signature: signature(view, member)?,
        at: view.now,
        problem: Some(why.to_owned()),
    };
    Some(Change::Trial(TrialChange::Checked(member.to_owned(), check)))
}

/// What would keep a member from starting again, if that is known.
pub fn next_start<'v>(view: &View<'v>, member: &str) -> Option<&'v str> {
    let check = view.memory.trials.checks.get(member)?;
    let counts = signature(view, member)? == check.signature;
    check.problem.as_deref().filter(|_| counts)
}

/// What decides whether a start succeeds, as far as the agent sees it.
fn signature(view: &View<'_>, member: &str) -> Option<String> {
    let facts = view.facts(member)?;
    let container = view.container(member)?;
    let files = format!("{:?} {:?} {}", facts.file_hashes, facts.auto_conf, container.id);
    Some(short_hash(files.as_bytes()))
}
