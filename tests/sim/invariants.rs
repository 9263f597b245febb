//! What must never happen. Looked at in the world and not in the agent, after every step.
//!
//! 1. Never two members that take writes while clients reach both. Clients reach a member whose processes run, awake,
//!    on a network: by the port that is published, or by a name. A member that a user started by hand, or promoted by
//!    hand, counts as the user's doing for as long as that process lives: the agent must not add a second writer of its
//!    own making, and it cannot undo in no time what somebody does behind its back.
//! 2. No acknowledged row is missing at rest, but those that a user gave up: by a forced promotion, what its target did
//!    not have then; by destroying a volume, what no other volume had; by asking for automatic failover of an asynchronous
//!    cluster, as many bytes as the manifest says.
//! 3. The agent destroys no volume with a row in it that no other volume has. By content, not by numbers.
//! 4. The agent promotes nobody while it cannot know that no other member takes writes, or would if somebody started it,
//!    and destroys nothing without a primary that answers.
//! 5. The agent never starts a second process on a volume, under whatever name the first one runs, and does not even try
//!    when it was told of the first one; and it touches no container that is not its own, nor one that only has the labels.
//! 6. A configuration of the manifest that no server starts with stops one member, and no other.
//! 7. The agent starts nobody as the primary on an older copy while a replica that it sees, or its own record, has more.
//! 8. No agent does anything to a cluster that another agent has a claim on, and none takes a claim from one that runs.
//! 9. No password is made anew while a member holds one that was made for the same before.
//! 10. A cluster that no manifest declares gets no member that it did not have, and what was never brought up is gone at rest.
//! 11. The agent kills no server whose shutdown only waits for those who receive its log, and drops no slot that
//!     somebody else made.
//! 12. At rest every member streams the primary's own log, nothing is left to plan, and what is not ours is untouched.

use std::collections::{BTreeMap, BTreeSet};

use reconciler::model::claim::{self, Claim};
use reconciler::model::container::{ContainerSpec, RunState};
use reconciler::model::labels;
use reconciler::model::plan::EngineOp;
use reconciler::model::postgres::ControlState;

use super::container::{By, Phase};
use super::copies::PutBack;
use super::volume::Volume;
use super::world::World;

/// What the agent was last told of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glimpse {
    /// The engine says that it does not run, and its control file was read or is not there.
    Stopped,
    /// The engine says that it does not run, and its control file could not be read.
    Unread,
    /// Its server says that it is a standby.
    Standby,
    /// Its server says that it is a primary.
    Primary,
    /// Its server said why it does not answer yet, or any more.
    Busy,
    /// Nothing is known.
    Unknown,
}

/// What must never happen, and whether it did.
#[derive(Debug, Default)]
pub struct Watch {
    /// What happened that must not.
    pub violation: Option<String>,
    /// The member whose promotion a user forced, until it is done.
    pub forced: Option<String>,
    /// What the agent was last told, by container. It forgets with the agent.
    pub glimpses: BTreeMap<String, Glimpse>,
    /// What it had been told when it delivered files to a container last: that is when it decides about a start.
    pub at_delivery: BTreeMap<String, BTreeMap<String, Glimpse>>,
    /// The volumes that are not ours, as they were.
    pub foreign: Vec<String>,
    /// How many bytes of log an automatic failover may lose; none where commits wait for replicas, or where a user decides.
    pub may_lose: Option<u64>,
    /// Containers whose files came late, from an agent that had died: the next agent may have delivered others meanwhile, and
    /// will again before it starts them.
    pub overtaken: BTreeSet<String>,
    /// Since when the agent has been told that a volume is mounted, and by which container. It forgets with the agent.
    pub told_beside: BTreeMap<(String, String), u64>,
    /// The member that could not be started with what the manifest says, since that was edited last.
    pub stopped_by_ours: Option<String>,
    /// The volume that was put back to an older copy last, until somebody starts it or decides otherwise.
    pub put_back: Option<PutBack>,
    /// The member that the agent asks for the second time to take over: it judged when it asked first.
    pub asked_before: Option<String>,
    /// The clusters that the manifests declare.
    pub declared: BTreeSet<String>,
    /// Whether a user asked for the cluster's deletion with its data.
    pub is_purging: bool,
}

impl World {
    /// Something happened that must not. The first counts: the others may follow from it.
    pub fn violated(&mut self, what: &str) {
        if self.watch.violation.is_none() {
            self.watch.violation = Some(what.to_owned());
            self.tell("INVARIANT", || what.to_owned());
        }
    }

    /// Looks at what can be seen at any moment.
    pub fn check(&mut self) {
        let mut count = 0;
        for container in &self.containers {
            let is_own = container.accepts_writes() && container.is_reached() && container.writer_by() == By::Agent;
            count += usize::from(is_own);
        }
        if count > 1 {
            let writers = self
                .writers()
                .into_iter()
                .map(|at| self.containers[at].member().to_owned());
            let names = writers.collect::<Vec<_>>().join(" and ");
            self.violated(&format!("two members take writes and clients reach both: {names}"));
        }
    }

    /// A member's server does not start with what the manifest says.
    pub fn fails_with_ours(&mut self, at: usize) {
        let member = self.containers[at].member().to_owned();
        if self.watch.overtaken.contains(&self.containers[at].seen.name) {
            return;
        }
        match &self.watch.stopped_by_ours {
            Some(other) if *other != member => {
                self.violated(&format!("what {other} could not be started with stops {member} too"));
            }
            Some(_) => {}
            None => self.watch.stopped_by_ours = Some(member),
        }
    }

    /// The agent that has a claim.
    pub fn holder(&self) -> Option<usize> {
        let claim = Claim::read(self.claims.get("reconciler-claim-postgrescluster-pg")?)?;
        claim.holder.state_dir.rsplit('-').next()?.parse().ok()
    }

    /// An agent is about to change something; a claim, if no call of the engine's is another's affair.
    pub fn check_claim(&mut self, agent: usize, op: Option<&EngineOp>) {
        let other = self.holder().filter(|holder| *holder != agent);
        let Some(other) = other else {
            return;
        };
        // Of the cluster by another name, which has a claim of its own.
        if op.is_some_and(|op| op.to_string().contains("renamed")) {
            return;
        }
        match op {
            Some(EngineOp::CreateVolume(spec)) if claim::is_claim(&spec.labels) => {}
            Some(EngineOp::RemoveVolume(name)) if self.claims.contains_key(name) => {
                if self.agents[other].lives {
                    self.violated(&format!("agent {agent} takes what agent {other} has, which runs"));
                }
            }
            Some(_) | None => self.violated(&format!("agent {agent} acts on what agent {other} has")),
        }
    }

    /// The agent is about to make something.
    pub fn check_declared(&mut self, op: Option<&EngineOp>) {
        let (found, name) = match op {
            Some(EngineOp::CreateVolume(spec)) if !claim::is_claim(&spec.labels) => (&spec.labels, &spec.name),
            Some(EngineOp::CreateContainer(spec)) => (&spec.labels, &spec.name),
            _ => return,
        };
        let get =
            |found: &BTreeMap<String, String>| (found.get(labels::NAME).cloned(), found.get(labels::MEMBER).cloned());
        let (owner, member) = get(found);
        let is_declared = owner.as_ref().is_some_and(|owner| self.watch.declared.contains(owner));
        let volumes = self.volumes.iter().map(|volume| &volume.seen.labels);
        let mut there = volumes.chain(self.containers.iter().map(|one| &one.seen.labels));
        let wanted = (owner, member);
        if !is_declared && !there.any(|found| get(found) == wanted) {
            let text =
                format!("{name} is made, though no manifest declares its cluster and there was nothing of the kind");
            self.violated(&text);
        }
    }

    /// The agent is about to promote.
    pub fn check_promotion(&mut self, at: usize) {
        let target = self.containers[at].member().to_owned();
        for other in 0..self.containers.len() {
            let container = &self.containers[other];
            if other == at || container.member().is_empty() || container.is_copy() {
                continue;
            }
            let Some(data) = self.data(other).filter(|data| !data.is_standby) else {
                continue;
            };
            // Whoever runs on a primary's data takes writes, or will in a moment.
            let runs = matches!(container.seen.state, RunState::Running | RunState::Paused);
            let is_recorded = data.control.state == ControlState::ShutDown;
            let glimpse = self.watch.glimpses.get(&container.seen.name).copied();
            let is_forced = self.watch.forced.as_deref() == Some(target.as_str());
            let member = container.member().to_owned();
            let is_ending = container
                .process
                .as_ref()
                .is_some_and(|process| process.phase == Phase::Ending);
            if runs && !is_ending && container.writer_by() == By::Agent {
                return self.violated(&format!("{target} is promoted although {member} runs, as a primary"));
            }
            let is_judged = self.watch.asked_before.as_deref() == Some(target.as_str());
            if !runs && !is_forced && !is_judged && is_recorded && glimpse == Some(Glimpse::Unread) {
                return self.violated(&format!(
                    "{target} is promoted although nobody knows how {member} stopped"
                ));
            }
            let is_overtaken = self.watch.overtaken.contains(&container.seen.name);
            if (!runs || is_ending) && !is_overtaken && matches!(container.text("role"), "primary" | "bootstrap") {
                return self.violated(&format!(
                    "{target} is promoted although {member} would start as a primary"
                ));
            }
        }
        if self.watch.forced.as_deref() != Some(target.as_str()) {
            self.check_loss(at);
        }
    }

    /// An automatic failover of an asynchronous cluster may lose rows, and no more than its manifest allows; but none that
    /// a primary that was stopped in order still has.
    fn check_loss(&mut self, at: usize) {
        let (Some(limit), Some(place)) = (self.watch.may_lose, self.data(at).map(|data| data.place)) else {
            return;
        };
        let mut others = (0..self.containers.len()).filter(|other| *other != at);
        let is_stopped_in_order = others.any(|other| {
            let data = self.data(other).filter(|data| !data.is_standby);
            data.is_some_and(|data| data.control.state == ControlState::ShutDown)
        });
        if is_stopped_in_order {
            return;
        }
        let lost = self.clients.missing_bytes(self, place);
        if lost > limit {
            let target = self.containers[at].member().to_owned();
            return self.violated(&format!("{target} takes over by itself and lacks {lost} bytes of rows"));
        }
        self.give_up_beyond(&[place]);
    }

    /// The agent is about to destroy a volume.
    pub fn check_destruction(&mut self, volume: usize) {
        if self.watch.is_purging {
            return;
        }
        let name = self.volumes[volume].seen.name.clone();
        if !self.watch.glimpses.values().any(|glimpse| *glimpse == Glimpse::Primary) {
            self.violated(&format!("{name} is destroyed although no primary was seen to answer"));
        }
        let Some(data) = self.volumes[volume].content.data() else {
            return;
        };
        let part = self.wal.last_data(data.place);
        let mut others = self.volumes.iter().enumerate().filter(|(at, _)| *at != volume);
        let is_elsewhere = others.any(|(_, other)| {
            let place = other.content.data().map(|data| data.place);
            place.is_some_and(|place| self.wal.contains(place, part))
        });
        if !is_elsewhere {
            self.violated(&format!("{name} is destroyed, and held rows that no other volume has"));
        }
    }

    /// The agent makes a container.
    pub fn check_secrets(&mut self, spec: &ContainerSpec) {
        let text = format!("{spec:?}");
        if self
            .passwords
            .all()
            .iter()
            .any(|password| text.contains(password.as_str()))
        {
            self.violated(&format!("a password is in what the engine shows of {}", spec.name));
        }
    }

    /// Looks at the world at rest.
    pub fn check_rest(&mut self, members: usize) {
        let writers = self.writers();
        let [primary] = writers.as_slice() else {
            let names: Vec<&str> = writers.iter().map(|at| self.containers[*at].member()).collect();
            let text = format!("at rest the members that take writes are: {}", names.join(" and "));
            return self.violated(&text);
        };
        let Some(place) = self.data(*primary).map(|data| data.place) else {
            return self.violated("at rest the primary has no data");
        };
        let missing = self.clients.missing(self, place);
        if missing > 0 {
            let name = self.containers[*primary].member().to_owned();
            self.violated(&format!("{missing} acknowledged rows are missing on {name}"));
        }
        let serial = self.containers[*primary].serial;
        let mut streaming = 0;
        for at in 0..self.containers.len() {
            if self.containers[at].member().is_empty() || self.containers[at].is_copy() {
                continue;
            }
            let Some(own) = self.data(at).map(|data| data.place) else {
                continue;
            };
            let member = self.containers[at].member().to_owned();
            if at != *primary && self.link(at).is_some_and(|link| link.source == serial) {
                streaming += 1;
                if !self.wal.contains(place, own) {
                    self.violated(&format!("{member} streams, and has rows that the primary never had"));
                }
            }
        }
        if streaming + 1 != members {
            self.violated(&format!("at rest {streaming} replicas stream, of {}", members - 1));
        }
        let is_ghost = |found: &BTreeMap<String, String>| {
            let owner = found.get(labels::NAME);
            owner.is_some_and(|owner| !self.watch.declared.contains(owner))
        };
        let networks = self.networks.iter().map(|one| &one.seen.labels);
        if networks.chain(self.claims.values()).any(is_ghost) {
            self.violated("something is left of a cluster that was never brought up and no manifest declares");
        }
        let foreign = self.foreign();
        if foreign != self.watch.foreign {
            self.violated("what is not ours was touched");
        }
    }

    /// What is not ours, described.
    pub fn foreign(&self) -> Vec<String> {
        let is_foreign = |found: &BTreeMap<String, String>| !found.contains_key(labels::UID);
        let volumes = self.volumes.iter().filter(|volume| is_foreign(&volume.seen.labels));
        let containers = self
            .containers
            .iter()
            .filter(|one| is_foreign(&one.seen.labels) && !one.is_stranger());
        let networks = self.networks.iter().filter(|one| is_foreign(&one.seen.labels));
        let described = volumes.map(|Volume { seen, .. }| format!("{seen:?}"));
        described
            .chain(containers.map(|one| format!("{:?}", one.seen)))
            .chain(networks.map(|one| format!("{one:?}")))
            .collect()
    }
}
