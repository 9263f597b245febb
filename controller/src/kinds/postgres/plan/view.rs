//! What every rule of the planner looks at: the wanted cluster, what was seen, what is remembered, and the time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::cluster::Cluster;
use super::super::desired::{self, FileInputs, Role};
use super::super::memory::{Change, Memory};
use super::super::observe::pulse::Pulse;
use super::super::observe::{self, Observed};
use super::history;
use super::rejoin;
use super::routes;
use super::slots;
use super::sync;
use super::tablespaces;
use crate::model::Seen;
use crate::model::container::{ContainerObserved, ContainerSpec, FileSpec, ImageFacts, NamedObserved, RunState};
use crate::model::labels;
use crate::model::plan::{Action, EngineOp, Op, SqlTarget};
use crate::model::postgres::{Control, Down, PgFacts, Server, SqlOp};

mod floor;

pub use floor::value_it_lacked;

/// A step of this kind.
pub type Step = Action<Change>;

/// What every rule looks at. Cheap to copy around by reference; holds no state of its own.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The wanted cluster.
    pub cluster: &'a Cluster,
    /// What was seen.
    pub observed: &'a Observed,
    /// What is remembered.
    pub memory: &'a Memory,
    /// Seconds since the epoch.
    pub now: i64,
    /// Whether a manifest declares it.
    pub is_declared: bool,
}

impl<'a> View<'a> {
    /// The recorded primary.
    pub fn primary(&self) -> Option<&'a str> {
        self.memory.primary.as_deref()
    }

    /// The members that shall exist, the primary among them.
    pub fn members(&self) -> Vec<String> {
        self.cluster.members(self.primary())
    }

    /// The members that shall exist without the primary.
    pub fn replicas(&self) -> Vec<String> {
        let primary = self.primary();
        let mut members = self.members();
        members.retain(|m| Some(m.as_str()) != primary);
        members
    }

    /// A member's container.
    pub fn container(&self, member: &str) -> Option<&'a ContainerObserved> {
        let name = self.cluster.container_name(member);
        self.observed.objects.containers.iter().find(|c| c.name == name)
    }

    /// Whether a member's container runs.
    pub fn runs(&self, member: &str) -> bool {
        self.container(member).is_some_and(|c| c.state == RunState::Running)
    }

    /// The volume that a member uses now.
    pub fn volume(&self, member: &str) -> Option<&'a NamedObserved> {
        let name = self.volume_name(member);
        self.observed.objects.volumes.iter().find(|v| v.name == name)
    }

    /// The name of the volume that a member uses now.
    pub fn volume_name(&self, member: &str) -> String {
        self.cluster.volume_name(member, self.memory.generation(member))
    }

    /// What the image says of itself.
    pub fn image(&self) -> Option<&'a ImageFacts> {
        self.observed.objects.image(&self.cluster.spec.image).known()
    }

    /// What a member's server answered.
    pub fn server(&self, member: &str) -> Option<&'a Server> {
        self.observed.members.get(member).map(|seen| &seen.server)
    }

    /// The facts of a member whose server answers.
    pub fn facts(&self, member: &str) -> Option<&'a PgFacts> {
        self.server(member).and_then(Server::facts)
    }

    /// The facts of the recorded primary, when it answers, is one, and has this cluster's data.
    pub fn primary_facts(&self) -> Option<&'a PgFacts> {
        let primary = self.primary()?;
        self.facts(primary)
            .filter(|facts| !facts.in_recovery && !self.is_foreign(primary))
    }

    /// Whether a member's data is known to be another cluster's. Such a member is left alone.
    pub fn is_foreign(&self, member: &str) -> bool {
        matches!((self.memory.system_identifier, self.identity(member)), (Some(ours), Some(found)) if ours != found)
    }

    /// Whose data a member has, as far as that is known.
    pub fn identity(&self, member: &str) -> Option<u64> {
        let answered = self.facts(member).map(|facts| facts.system_identifier);
        answered.or_else(|| self.control(member).known().map(|control| control.system_identifier))
    }

    /// What is wrong with the files of a member that does not run, if they could be read.
    pub fn damage(&self, member: &str) -> Option<&'a str> {
        self.observed.members.get(member)?.damage.as_deref()
    }

    /// Whether a container has the volume that its member uses now, and not one that a re-seed replaced.
    pub fn has_current_volume(&self, member: &str, container: &ContainerObserved) -> bool {
        container.volumes.contains(&self.volume_name(member))
    }

    /// The control file of a member that does not run.
    pub fn control(&self, member: &str) -> &'a Seen<Control> {
        static UNSEEN: Seen<Control> = Seen::Unknown(String::new());
        self.observed.members.get(member).map_or(&UNSEEN, |seen| &seen.control)
    }

    /// The last lines of a member's log, where something is wrong.
    pub fn log(&self, member: &str) -> &'a str {
        self.observed.members.get(member).map_or("", |seen| seen.log.as_str())
    }

    /// Why a member's log cannot be read, where it was looked at.
    pub fn log_unreadable(&self, member: &str) -> Option<&'a str> {
        self.observed.members.get(member)?.log_unreadable.as_deref()
    }

    /// Whether a replica streams from the recorded primary and is within the lag limit.
    pub fn replica_is_ready(&self, member: &str) -> bool {
        let (Some(primary), Some(replica)) = (self.primary_facts(), self.facts(member)) else {
            return false;
        };
        let streams = primary.standbys.get(member).is_some_and(|s| s.state == "streaming");
        let lag = primary.lsn.bytes_past(replica.lsn);
        let streams = streams && rejoin::ahead(self, member).is_none() && history::diverged(self, member).is_none();
        streams && replica.in_recovery && replica.timeline == primary.timeline && lag <= self.cluster.max_lag_bytes
    }

    /// How long a symptom has lasted, in seconds; `None` when it is not there.
    pub fn lasts(&self, symptom: &str) -> Option<i64> {
        self.observed.since.get(symptom).map(|since| self.now - since)
    }

    /// How long a member's server has not answered although its container runs, in seconds.
    pub fn silent_for(&self, member: &str) -> Option<i64> {
        self.lasts(&observe::no_answer(member))
    }

    /// Whether a member's server runs and no known password opens it.
    pub fn is_shut(&self, member: &str) -> bool {
        matches!(self.server(member), Some(Server::Down(Down::PasswordRejected, _)))
    }

    /// The error that a member's server answers everything with. It is alive, and may serve others.
    pub fn error(&self, member: &str) -> Option<&'a str> {
        match self.server(member) {
            Some(Server::Down(Down::Errors, why)) => Some(why),
            Some(Server::Down(..) | Server::Up(_)) | None => None,
        }
    }

    /// Whether a member is a standby, by its control file.
    pub fn is_standby_on_disk(&self, member: &str) -> bool {
        let control = self.control(member).known();
        control.is_some_and(|control| control.state.is_standby())
    }

    /// What looks at a silent member's processes have shown, if they could be seen in this look too.
    pub fn pulse(&self, member: &str) -> Option<&'a Pulse> {
        self.observed.members.get(member)?.sign.as_ref()?;
        self.observed.pulses.get(member)
    }

    /// Where a member's server is reached.
    pub fn target(&self, member: &str) -> Option<SqlTarget> {
        observe::target(self.cluster, self.container(member)?)
    }

    /// A statement to a member, if it can be reached.
    pub fn sql(&self, member: &str, op: SqlOp, cause: impl Into<String>) -> Option<Step> {
        Some(Action::new(member, Op::Sql(self.target(member)?, op), cause))
    }

    /// The files of a member in a role.
    pub fn files(&self, member: &str, role: Role) -> Vec<FileSpec> {
        self.files_behind(member, role, self.primary().unwrap_or(member))
    }

    /// The files of a member that follows `source`, if its role is to follow.
    pub fn files_behind(&self, member: &str, role: Role, source: &str) -> Vec<FileSpec> {
        self.with_inputs(member, role, source, |inputs| desired::files(self.cluster, inputs))
    }

    /// What a member's `postgresql.conf` asks for in a role, by name in lower case.
    pub fn asked(&self, member: &str, role: Role) -> BTreeMap<String, String> {
        let source = self.primary().unwrap_or(member);
        self.with_inputs(member, role, source, |inputs| desired::asked(self.cluster, inputs))
    }

    fn with_inputs<T>(&self, member: &str, role: Role, source: &str, make: impl FnOnce(&FileInputs<'_>) -> T) -> T {
        let settings = self.settings_for(member);
        make(&FileInputs {
            member,
            role,
            primary: source,
            settings: &settings,
            floor: self.floor(member, role, &settings),
            sync_names: self.sync_names(member, role),
            suspicion: self.suspicion(member),
            tablespaces: tablespaces::shared(self),
            standby_slots: self.standby_slots(member, role),
        })
    }

    /// What commits wait for, where the member's file says it. The server that `initdb` starts has no replicas yet.
    fn sync_names(&self, member: &str, role: Role) -> Option<String> {
        match role {
            Role::Bootstrap => None,
            Role::Primary | Role::Replica | Role::Rewind => sync::rendered(self, member).map(|set| set.names()),
        }
    }

    /// The slots that logical receivers must not get ahead of, where logical slots are copied. Whoever takes over begins with
    /// none, so that nobody waits for a replica that does not follow it yet.
    fn standby_slots(&self, member: &str, role: Role) -> Option<Vec<String>> {
        let serves = role == Role::Primary && self.primary() == Some(member);
        let is_copied = self.memory.syncs_slots && role != Role::Bootstrap;
        is_copied.then(|| match serves {
            true => slots::standby_slots(self, member),
            false => Vec::new(),
        })
    }

    /// The step that delivers a member's files.
    pub fn deliver(&self, member: &str, role: Role, cause: impl Into<String>) -> Step {
        let delivery = desired::delivery(self.cluster, member, self.files(member, role));
        Action::engine(member, EngineOp::Deliver(delivery), cause)
    }

    /// The steps that start a member's existing container in a role.
    pub fn start(&self, member: &str, role: Role, cause: &str) -> Vec<Step> {
        if role == Role::Replica && self.rewind_source(member).is_some() {
            return self.start_rewind(member, cause);
        }
        self.start_as(member, role, cause)
    }

    /// The steps that begin a rewind. Until its first checkpoint a promoted primary's control file names the old
    /// timeline, and `pg_rewind` would find nothing to do.
    fn start_rewind(&self, member: &str, cause: &str) -> Vec<Step> {
        let target = self.primary().and_then(|primary| self.target(primary));
        let checkpoint = target.map(|target| {
            let cause = "the primary's control file has to name its timeline before a rewind";
            Action::new(member, Op::Sql(target, SqlOp::Checkpoint), cause)
        });
        let start = self.start_as(member, Role::Rewind, cause);
        checkpoint.into_iter().chain(start).collect()
    }

    fn start_as(&self, member: &str, role: Role, cause: &str) -> Vec<Step> {
        let settings = self.settings_for(member);
        let mut steps = routes::before_start(self, member, role);
        steps.push(self.deliver(
            member,
            role,
            format!("its role is decided before PostgreSQL starts: {}", role.word()),
        ));
        if let Some(begins) = self.begins_with(&settings) {
            let cause = "an edit is told from what it runs with";
            steps.push(Action::new(member, Op::Remember(begins), cause));
        }
        let started = Change::Started(member.to_owned(), self.now, settings.hash());
        let cause_of_note = "a start that leads nowhere is not repeated at once";
        steps.push(Action::new(member, Op::Remember(started), cause_of_note));
        let start = EngineOp::Start(self.cluster.container_name(member));
        steps.push(Action::engine(member, start, cause));
        steps
    }

    /// The step that makes a member's container.
    pub fn create(&self, member: &str, image: &ImageFacts, cause: &str) -> Step {
        let spec = self.container_spec(member, image);
        Action::engine(member, EngineOp::CreateContainer(Box::new(spec)), cause)
    }

    /// A member's container as it is wanted now.
    pub fn container_spec(&self, member: &str, image: &ImageFacts) -> ContainerSpec {
        let spec = desired::container(self.cluster, member, self.memory.generation(member), image);
        match self.rewind_source(member) {
            Some(old) => desired::rewinding(spec, old),
            None => spec,
        }
    }

    /// The volume that a member's new one is to be filled from by a rewind.
    pub fn rewind_source(&self, member: &str) -> Option<&'a str> {
        self.memory
            .rewind_source(member)
            .filter(|_| self.primary() != Some(member))
    }

    /// The step that makes the volume that a member uses now.
    pub fn create_volume(&self, member: &str, image: &ImageFacts, cause: &str) -> Step {
        let spec = desired::volume(self.cluster, member, self.memory.generation(member), image);
        Action::engine(member, EngineOp::CreateVolume(spec), cause)
    }

    /// How long to wait before a member is started again: nothing after the first failure, then 1, 2, 4 ... 300 s.
    pub fn start_delay(&self, member: &str) -> Option<Duration> {
        let starts = self.memory.starts.get(member)?;
        if starts.count < 2 || self.starts_differently(member) {
            return None;
        }
        let pause = 1_i64 << (starts.count - 2).min(9);
        let due = starts.last + pause.min(300);
        u64::try_from(due - self.now)
            .ok()
            .filter(|s| *s > 0)
            .map(Duration::from_secs)
    }

    /// The volumes of a member that are not the one it uses.
    pub fn other_volumes(&self, member: &str) -> impl Iterator<Item = &'a NamedObserved> {
        let current = self.volume_name(member);
        let member = member.to_owned();
        self.observed
            .objects
            .volumes
            .iter()
            .filter(move |v| v.labels.get(labels::MEMBER) == Some(&member) && v.name != current)
    }
}
