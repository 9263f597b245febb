//! A configuration that nothing is known of: one member gets it first, a replica where there is one, and all others keep
//! what ran last until that one runs with it. What no server starts with is undone by itself. Where nobody answers, the
//! manifest's configuration and the last one that ran are started in turn, the one that has failed less often first.

use std::time::Duration;

use super::super::memory::{Change, Rejected, Settings, TrialChange};
use super::configure;
use super::keep;
use super::values;
use super::view::{Step, View};
use crate::model::complaint::complaint;
use crate::model::container::{ContainerObserved, RunState, short_hash};
use crate::model::plan::{Action, EngineOp, Op, Plan};
use crate::model::postgres::{Down, PgFacts, Server};

mod ahead;

pub use ahead::{look_ahead, next_start, would_not_start};

/// Exit codes of the entry point, which say what they mean: none of them is the configuration's doing.
const ENTRY_POINT: std::ops::RangeInclusive<i64> = 78..=84;
/// The exit code of a process that was killed from outside.
const KILLED: i64 = 137;
/// How long a replica that was started is waited for before the primary tries a configuration, in seconds.
const COMES_UP_SECS: i64 = 60;
/// What a session is told that a library of sessions keeps out.
const SHUT_BY_LIBRARY: [&str; 2] = ["could not access file", "could not load library"];

impl View<'_> {
    /// What ran last, as far as is known; before anything did, what the manifest says.
    pub fn settings(&self) -> Settings {
        let known = self
            .memory
            .trials
            .proven
            .clone()
            .or_else(|| self.memory.accepted.clone())
            .or_else(|| self.memory.trials.initial.clone().filter(|_| self.is_made()));
        known.unwrap_or_else(|| self.cluster.settings())
    }

    /// Whether a server of the cluster has run.
    fn is_made(&self) -> bool {
        self.memory.system_identifier.is_some() || self.primary_facts().is_some()
    }

    /// What is to be remembered before the first server of all is started.
    pub fn begins_with(&self, settings: &Settings) -> Option<Change> {
        let trials = &self.memory.trials;
        let is_first = self.memory.accepted.is_none() && trials.proven.is_none() && !self.is_made();
        let is_news = is_first && trials.initial.as_ref() != Some(settings);
        is_news.then(|| Change::Trial(TrialChange::Begins(settings.clone())))
    }

    /// The manifest's configuration, while it is to be tried and is not known to run.
    pub fn candidate(&self) -> Option<Settings> {
        let wanted = self.cluster.settings();
        let known = self.settings();
        if wanted == known {
            return None;
        }
        let is_accepted = self.memory.accepted.as_ref() == Some(&wanted);
        (is_accepted || self.is_last_resort(&known, &wanted)).then_some(wanted)
    }

    /// Whether nobody is there who could check the manifest's configuration, and the one that ran last does not start.
    fn is_last_resort(&self, known: &Settings, wanted: &Settings) -> bool {
        let failures = |settings: &Settings| self.memory.trials.failures.get(&settings.hash()).copied().unwrap_or(0);
        let nobody_answers = self.members().iter().all(|member| self.facts(member).is_none());
        nobody_answers && failures(known) > failures(wanted)
    }

    /// What a member's files are made of.
    pub fn settings_for(&self, member: &str) -> Settings {
        match self.candidate() {
            Some(candidate) if self.tries(member, &candidate) => candidate,
            Some(_) | None => self.settings(),
        }
    }

    fn tries(&self, member: &str, candidate: &Settings) -> bool {
        if self.memory.accepted.as_ref() != Some(candidate) {
            // The last resort is the primary's: replicas wait for it.
            return self.primary() == Some(member);
        }
        self.goes_first(candidate).is_some_and(|first| first == member)
    }

    /// The member that gets a configuration first, once that is decided. One that gets a new volume has other troubles.
    fn goes_first(&self, candidate: &Settings) -> Option<&str> {
        let (member, hash) = self.memory.trials.first.as_ref()?;
        let is_seeded = self.memory.reseed(member).is_some_and(|reseed| reseed.is_active());
        let counts = *hash == candidate.hash() && self.members().contains(member) && !is_seeded;
        counts.then_some(member.as_str())
    }

    /// The mark of the start before, where that failed: the entry point then looks at what `ALTER SYSTEM` has set.
    pub fn suspicion(&self, member: &str) -> Option<String> {
        let tried = self.memory.trials.starts.get(member)?;
        tried.has_failed.then(|| tried.at.to_string())
    }

    /// Whether the next start of a member is with another configuration than the last one.
    pub fn starts_differently(&self, member: &str) -> bool {
        let tried = self.memory.trials.starts.get(member);
        tried.is_some_and(|tried| tried.settings != self.settings_for(member).hash())
    }
}

/// What a primary that was recognised without a record was given last, by its own files or those of another member.
pub fn found(view: &View<'_>, primary: &str) -> Option<Change> {
    let own = view
        .observed
        .members
        .get(primary)
        .and_then(|seen| seen.settings.as_ref());
    let any = || view.observed.members.values().find_map(|seen| seen.settings.as_ref());
    let settings = own.or_else(any)?.clone();
    Some(Change::Trial(TrialChange::Begins(settings)))
}

/// The verdict on a start, once its server has ended by itself before it worked.
pub fn failed(view: &View<'_>, member: &str, container: &ContainerObserved) -> Option<Step> {
    let tried = view.memory.trials.starts.get(member).filter(|tried| tried.is_open)?;
    let code = container.exit_code;
    let is_own = code != 0 && code != KILLED && !ENTRY_POINT.contains(&code);
    let is_down = container.state == RunState::Exited && !container.oom_killed && container.error.is_empty();
    // Whoever noted a start down may have died before it.
    let is_down = is_down && container.started_at >= tried.at;
    if !is_own || !is_down || !is_of_configuration(view.log(member)) {
        return None;
    }
    let known = view.settings();
    // `ALTER SYSTEM` may be to blame: that is looked into by the next start.
    let tested = [Some(view.cluster.settings()), view.memory.accepted.clone()];
    let tested = tested.map(|settings| settings.filter(|_| tried.is_second));
    let mut tested = tested.into_iter().flatten();
    // While members are still being given what the first one runs with, it can be taken back as a whole.
    let is_undone = |settings: &Settings| *settings != known || view.memory.trials.previous.is_some();
    let rejects = tested.find(|settings| settings.hash() == tried.settings && is_undone(settings));
    let message = complaint(view.log(member)).unwrap_or_else(|| keep::why_down(view, member, container));
    let change = TrialChange::Failed {
        member: member.to_owned(),
        message: format!("{member} did not start with it: {message}"),
        rejects,
    };
    Some(Action::new(member, Op::Remember(Change::Trial(change)), message))
}

/// Whether the last start in a log may have failed because of the configuration. A server reads that before it looks at the
/// data: what its startup process complains of is the data's doing, but for a few.
fn is_of_configuration(log: &str) -> bool {
    let last = log
        .rfind("starting PostgreSQL")
        .and_then(|at| log.get(at..))
        .unwrap_or(log);
    let has = |words: &[&str]| words.iter().any(|word| last.contains(word));
    let is_about_data = has(&["PANIC:", "startup process", "insufficient parameter settings"]);
    let is_about_values = has(&["max_replication_slots", "\"wal_level\"", "max_prepared_transactions"]);
    let is_fatal = has(&["FATAL:"]) && !has(&["No space left on device"]);
    is_fatal && (!is_about_data || is_about_values)
}

/// Brings the manifest's configuration from the first member that has it to all others, or takes it back.
pub fn follow(view: &View<'_>, plan: &mut Plan<Change>) {
    let Some(candidate) = view.candidate() else {
        return spread(view, plan);
    };
    let subject = view.cluster.name.as_str();
    let Some(first) = view.goes_first(&candidate) else {
        if view.memory.accepted.as_ref() == Some(&candidate) {
            choose(view, &candidate, plan);
        }
        return;
    };
    if plan.touches(first) {
        return;
    }
    let reject = |message: String| {
        let settings = candidate.clone();
        Op::Remember(Change::Reject(Rejected { settings, message }))
    };
    match view.server(first) {
        Some(Server::Up(facts)) => match verdict(view, first, facts) {
            Verdict::Waits => plan.wait(subject, format!("{first} gets the new configuration first")),
            Verdict::Works => {
                let is_everywhere = view.members().len() == 1;
                let ran = Op::Remember(Change::Trial(TrialChange::Ran(candidate, is_everywhere)));
                plan.step(Action::new(subject, ran, format!("{first} runs with it")));
            }
            Verdict::Fails(why) => plan.step(Action::new(subject, reject(why.clone()), why)),
        },
        Some(Server::Down(Down::NoAnswer | Down::Errors, why)) if is_shut_by_library(why) => {
            let why = format!("{first} lets nobody in with it: {why}");
            plan.step(Action::new(subject, reject(why.clone()), why));
        }
        // Whatever it is that it ends of, without the new configuration it may not.
        Some(Server::Down(Down::NotRunning, _))
            if keep::is_crash_looping(view, first)
                && has_started_with(view, first, &candidate)
                && !view.container(first).is_some_and(is_innocent) =>
        {
            let words = view
                .container(first)
                .map(|container| keep::why_down(view, first, container));
            let why = format!("{first} does not stay up with it: {}", words.unwrap_or_default());
            plan.step(Action::new(subject, reject(why.clone()), why));
        }
        Some(Server::Down(..)) | None => plan.wait(subject, format!("{first} gets the new configuration first")),
    }
}

/// What ran before is forgotten when all members run with what the first one does.
fn spread(view: &View<'_>, plan: &mut Plan<Change>) {
    if view.memory.trials.previous.is_some() && runs_everywhere(view) {
        let ran = Op::Remember(Change::Trial(TrialChange::Ran(view.settings(), true)));
        plan.step(Action::new(&view.cluster.name, ran, "every member runs with it"));
    }
}

fn runs_everywhere(view: &View<'_>) -> bool {
    let runs = |member: &String| {
        let facts = view.facts(member);
        facts.is_some_and(|facts| matches!(verdict(view, member, facts), Verdict::Works))
    };
    view.members().iter().all(runs)
}

/// What came out of nobody knowing better: the manifest's configuration was started, and it runs.
pub fn confirm(view: &View<'_>, plan: &mut Plan<Change>) {
    let wanted = view.cluster.settings();
    let is_news = wanted != view.settings() && view.memory.accepted.as_ref() != Some(&wanted);
    let is_it = |member: &String| {
        let tried = view.memory.trials.starts.get(member);
        tried.is_some_and(|tried| tried.settings == wanted.hash() && !tried.has_failed)
    };
    let runs = |member: &String| {
        view.facts(member)
            .is_some_and(|facts| !facts.reload_due && facts.conf_errors.is_empty())
    };
    let primary = view.primary().map(str::to_owned);
    if let Some(member) = primary.filter(|member| is_news && is_it(member) && runs(member)) {
        let ran = Op::Remember(Change::Trial(TrialChange::Ran(wanted, false)));
        plan.step(Action::new(&view.cluster.name, ran, format!("{member} runs with it")));
    }
}

/// Whether a configuration has no part in how a container ended: somebody stopped it, or killed it, but not for want of memory;
/// the engine could not start it, or the entry point says what was missing.
fn is_innocent(container: &ContainerObserved) -> bool {
    let is_killed = container.exit_code == KILLED && !container.oom_killed;
    is_killed || container.exit_code == 0 || !container.error.is_empty() || ENTRY_POINT.contains(&container.exit_code)
}

fn has_started_with(view: &View<'_>, member: &str, settings: &Settings) -> bool {
    let tried = view.memory.trials.starts.get(member);
    tried.is_some_and(|tried| tried.settings == settings.hash())
}

fn choose(view: &View<'_>, candidate: &Settings, plan: &mut Plan<Change>) {
    let subject = view.cluster.name.as_str();
    let replicas = view.replicas();
    let ready = replicas.iter().find(|member| view.replica_is_ready(member));
    let coming = || replicas.iter().find(|member| was_started_lately(view, member));
    let (first, cause) = match (ready, view.primary()) {
        (Some(replica), _) => (replica.clone(), "a replica's trouble is nobody's outage"),
        (None, primary) => {
            if let Some(replica) = coming() {
                let text = format!("{replica} is to get the new configuration first, and comes up");
                plan.again_in(Duration::from_secs(1));
                return plan.wait(subject, text);
            }
            let primary = primary.unwrap_or(&view.cluster.spec.primary_name);
            (primary.to_owned(), "no replica is there to try it")
        }
    };
    let change = Change::Trial(TrialChange::First(first, candidate.hash()));
    plan.step(Action::new(subject, Op::Remember(change), cause));
}

/// Whether a member was started a moment ago, and may serve soon.
fn was_started_lately(view: &View<'_>, member: &str) -> bool {
    let tried = view.memory.trials.starts.get(member);
    let is_fresh = tried.is_some_and(|tried| view.now - tried.at < COMES_UP_SECS);
    is_fresh && !keep::is_crash_looping(view, member)
}

enum Verdict {
    Waits,
    Works,
    Fails(String),
}

fn verdict(view: &View<'_>, first: &str, facts: &PgFacts) -> Verdict {
    if !configure::runs_with_it(view, first) || facts.reload_due {
        return Verdict::Waits;
    }
    if !facts.conf_errors.is_empty() {
        return Verdict::Fails(format!("{first} cannot read it: {}", facts.conf_errors.join("; ")));
    }
    match values::to_restart(view, first, facts).is_empty() {
        true => Verdict::Works,
        false => Verdict::Waits,
    }
}

/// Whether a server refuses every session for want of a library.
pub fn is_shut_by_library(why: &str) -> bool {
    SHUT_BY_LIBRARY.iter().any(|words| why.contains(words))
}

/// Says once what a member's entry point has set aside of what `ALTER SYSTEM` had set.
pub fn tell_set_aside(view: &View<'_>, plan: &mut Plan<Change>) {
    for member in view.members() {
        let Some(facts) = view.facts(&member).filter(|facts| !facts.set_aside.is_empty()) else {
            continue;
        };
        let lines = facts.set_aside.join(", ");
        let hash = short_hash(lines.as_bytes());
        if view.memory.trials.set_aside.get(&member) != Some(&hash) && !plan.touches(&member) {
            let change = Change::Trial(TrialChange::SetAside(member.clone(), hash));
            plan.step(Action::new(
                &member,
                Op::Remember(change),
                format!(
                    "a server does not start with it, or it is the agent's to set: {lines}; it is kept in {SET_ASIDE}"
                ),
            ));
        }
    }
}

/// Where the entry point keeps what it sets aside, in the data directory.
pub const SET_ASIDE: &str = "postgresql.auto.conf.set-aside";

/// Lets a server in that refuses every session for want of a library have its files again, without asking it.
pub fn let_in(view: &View<'_>, member: &str, container: &ContainerObserved, why: &str, plan: &mut Plan<Change>) {
    let role = configure::role_by_record(view, member);
    let reload = EngineOp::Signal {
        container: container.id.clone(),
        signal: "SIGHUP".to_owned(),
    };
    plan.chain(vec![
        view.deliver(member, role, format!("its server refuses every session: {why}")),
        Action::engine(member, reload, "its files were delivered"),
    ]);
    plan.again_in(Duration::from_secs(2));
}
