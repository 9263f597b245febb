//! A server that runs and does not let the agent in, or answers it with an error. It is alive: nothing here ends it, and
//! files reach it all the same, because a delivery and a signal need no session.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::conf;
use super::super::desired::Role;
use super::super::memory::Change;
use super::configure;
use super::sync;
use super::view::{Step, View};
use super::writers;
use crate::model::container::ContainerObserved;
use crate::model::labels;
use crate::model::plan::{Action, EngineOp, Plan};

/// How long a server answers with an error until that is said to be in the way, in seconds: one that is full is not for long.
const ERRORS_SECS: i64 = 10;
/// How often its files are delivered then, and for how long each time, in seconds: a look a second is to meet that.
const FILES_EVERY_SECS: i64 = 30;
const FILES_FOR_SECS: i64 = 2;

/// The state directory was lost, or its passwords: every member holds those that replication needs.
pub fn recover_passwords(view: &View<'_>, member: &str, container: &ContainerObserved, why: &str) -> Step {
    let cluster = view.cluster;
    let others = view.observed.objects.containers.iter();
    let others = others.filter(|other| other.id != container.id && other.labels.contains_key(labels::MEMBER));
    let recover = EngineOp::RecoverPasswords {
        containers: std::iter::once(container)
            .chain(others)
            .map(|one| one.id.clone())
            .collect(),
        path: format!("{}/pgpass", conf::DIRECTORY),
        passwords: BTreeMap::from([
            (conf::SUPERUSER.to_owned(), cluster.superuser_password()),
            (conf::REPLICATOR.to_owned(), cluster.replicator_password()),
        ]),
    };
    Action::engine(member, recover, why)
}

/// Sets the superuser's password through the socket inside the container.
pub fn reset_password(view: &View<'_>, member: &str, container: &ContainerObserved, cause: &str) -> Step {
    let reset = EngineOp::ResetPassword {
        container: container.id.clone(),
        role: conf::SUPERUSER.to_owned(),
        password: view.cluster.superuser_password(),
    };
    Action::engine(member, reset, cause)
}

/// Somebody changed the superuser's password, or pg_hba.conf: which of the two, the server does not say.
pub fn let_us_in(view: &View<'_>, member: &str, container: &ContainerObserved, why: &str, plan: &mut Plan<Change>) {
    let role = configure::role_by_record(view, member);
    let cause = format!("its server does not let the agent in: {why}");
    let mut steps = files(view, member, container, cause.clone());
    if role == Role::Primary && view.is_standby_on_disk(member) {
        if writers::is_another_feared(view, member, plan) {
            return;
        }
        steps.extend(writers::fence(view, member));
        steps.extend(sync::before_start(view, member));
        let promote = EngineOp::PromoteInside(container.id.clone());
        steps.push(Action::engine(
            member,
            promote,
            "it is the recorded primary and runs as a replica",
        ));
    } else if role == Role::Primary {
        // A replica gets the password with the stream, and cannot be written to.
        steps.push(reset_password(view, member, container, &cause));
    }
    plan.chain(steps);
    plan.again_in(Duration::from_secs(1));
}

/// It answers whoever logs in or asks with an error. What it reads from files may be why, so they reach it now and then; all
/// else is for whoever reads the words.
pub fn errors(view: &View<'_>, member: &str, container: &ContainerObserved, why: &str, plan: &mut Plan<Change>) {
    plan.again_in(Duration::from_secs(1));
    let lasts_secs = view.silent_for(member).unwrap_or(0) - ERRORS_SECS;
    if lasts_secs < 0 {
        return plan.wait(member, why);
    }
    plan.block(member, "AnswersWithError", why);
    // Whose files a member gets, the record says; and one that is not what it says gets others before it is started.
    let is_other = view.primary() == Some(member) && view.is_standby_on_disk(member);
    if view.primary().is_none() || is_other || lasts_secs % FILES_EVERY_SECS >= FILES_FOR_SECS {
        return;
    }
    let cause = format!("for {ERRORS_SECS} s and more {why}");
    plan.chain(files(view, member, container, cause));
}

/// The steps that bring a member its files without asking it.
fn files(view: &View<'_>, member: &str, container: &ContainerObserved, cause: String) -> Vec<Step> {
    let reload = EngineOp::Signal {
        container: container.id.clone(),
        signal: "SIGHUP".to_owned(),
    };
    vec![
        view.deliver(member, configure::role_by_record(view, member), cause),
        Action::engine(member, reload, "its files were delivered"),
    ]
}
