//! What can happen, when it does, and what was seen meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::cluster::Cluster;
use crate::host::Host;
use crate::strike::{self, Undo};
use crate::{Done, Mode};

/// How long a cluster is waited for before the next fault comes all the same.
const CALM: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `docker kill` of a member.
    Kill,
    /// `docker stop` of a member.
    Stop,
    /// `docker rm -f` of a member.
    Remove,
    /// `docker pause` of a member, for a while.
    Pause,
    /// SIGSTOP for a member's postmaster, for a while.
    Freeze,
    /// A member leaves the cluster's network.
    Disconnect,
    /// The agent is killed, and started again after a while.
    AgentKilled,
    /// A replica's container and volume are removed.
    ReplicaGone,
    /// The primary's container and volume are removed.
    PrimaryGone,
    /// A replica's slot is dropped.
    SlotDropped,
    /// `ALTER SYSTEM` in a member.
    AlterSystem,
    /// A member's configuration file is edited.
    FileEdited,
    /// One replica more, or less.
    Scaled,
    /// A parameter that needs no restart.
    Reload,
    /// A parameter that needs a restart.
    Restart,
    /// `reconciler promote`.
    Promote,
    /// `reconciler promote --force`.
    Force,
    /// So much WAL that a paused replica cannot follow any more.
    WalGone,
    /// The agent is killed and its state directory is lost.
    StateLost,
}

/// All of them, each as often as it is to be drawn.
const WEIGHTS: [(Fault, usize); 19] = [
    (Fault::Kill, 5),
    (Fault::Stop, 3),
    (Fault::Remove, 3),
    (Fault::Pause, 2),
    (Fault::Freeze, 2),
    (Fault::Disconnect, 2),
    (Fault::AgentKilled, 4),
    (Fault::ReplicaGone, 2),
    (Fault::PrimaryGone, 3),
    (Fault::SlotDropped, 2),
    (Fault::AlterSystem, 1),
    (Fault::FileEdited, 1),
    (Fault::Scaled, 2),
    (Fault::Reload, 1),
    (Fault::Restart, 1),
    (Fault::Promote, 5),
    (Fault::Force, 2),
    (Fault::WalGone, 1),
    (Fault::StateLost, 1),
];

impl Fault {
    /// Whether it takes away something that only a cluster at rest can do without.
    fn needs_rest(self) -> bool {
        matches!(
            self,
            Fault::ReplicaGone | Fault::PrimaryGone | Fault::WalGone | Fault::StateLost
        )
    }

    /// Whether it can happen to a cluster that replicates in this way.
    fn suits(self, mode: Mode) -> bool {
        // A forced promotion may lose what was acknowledged, and says so.
        self != Fault::Force || mode == Mode::Asynchronous
    }
}

/// A promotion that ended, as the status told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Whether there is a new primary.
    pub succeeded: bool,
    /// Bytes that are lost by it; `None` where nobody can tell.
    pub lost_bytes: Option<u64>,
    /// What happened.
    pub message: String,
}

impl Ended {
    /// Whether it is one that may lose something: forced, or decided by the agent.
    pub fn is_lossy(&self) -> bool {
        ["lost", "forced", "failover"]
            .iter()
            .any(|word| self.message.contains(word))
    }
}

/// What happened so far.
pub struct Story {
    chance: Chance,
    begin: Instant,
    undo: Vec<(Instant, Undo)>,
    /// The faults, counted.
    pub faults: BTreeMap<Fault, usize>,
    /// The volumes that were taken away on purpose.
    pub taken: BTreeSet<String>,
    /// The promotions that ended, by cluster, time and number.
    pub ended: BTreeMap<(String, i64, u64), Ended>,
    /// Who was the primary since when, with its volume, by cluster.
    pub primaries: BTreeMap<String, Vec<(Instant, String)>>,
    /// How long clusters took until they were ready, in seconds.
    pub recovered: Vec<f64>,
}

impl Story {
    /// Nothing yet.
    pub fn new(chance: Chance) -> Self {
        Story {
            chance,
            begin: Instant::now(),
            undo: Vec::new(),
            faults: BTreeMap::new(),
            taken: BTreeSet::new(),
            ended: BTreeMap::new(),
            primaries: BTreeMap::new(),
            recovered: Vec::new(),
        }
    }

    /// Waits a while and lets something happen.
    pub fn go_on(&mut self, host: &mut Host, clusters: &mut [Cluster], end: Instant, stop: &AtomicBool) -> Done<()> {
        // Some faults hit a cluster at rest, some one that has not got over the last one.
        let pause = if self.chance.percent(60) {
            let begin = Instant::now();
            while begin.elapsed() < CALM && Instant::now() < end && !stop.load(Ordering::SeqCst) {
                if self.tick(host, clusters)? {
                    self.recovered.push(begin.elapsed().as_secs_f64());
                    break;
                }
                std::thread::sleep(POLL);
            }
            self.chance.time(200, 3000)
        } else {
            self.chance.time(50, 2000)
        };
        let begin = Instant::now();
        let mut at_rest = self.tick(host, clusters)?;
        while begin.elapsed() < pause && !stop.load(Ordering::SeqCst) {
            std::thread::sleep(POLL);
            at_rest = self.tick(host, clusters)?;
        }
        if Instant::now() < end && !stop.load(Ordering::SeqCst) {
            self.draw(host, clusters, at_rest)?;
        }
        Ok(())
    }

    /// Does what is due and notes what is seen. Returns whether everything is at rest.
    fn tick(&mut self, host: &mut Host, clusters: &[Cluster]) -> Done<bool> {
        if host.agent_died()? {
            return Err("the agent ended by itself".into());
        }
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) = self.undo.drain(..).partition(|(at, _)| *at <= now);
        self.undo = later;
        for (_, undo) in due {
            undo.carry_out(host)?;
        }
        let mut at_rest = self.undo.is_empty() && host.has_agent();
        for cluster in clusters {
            at_rest &= self.note(host, cluster)?;
        }
        Ok(at_rest)
    }

    /// Notes what a cluster's status tells. Returns whether it is ready.
    fn note(&mut self, host: &Host, cluster: &Cluster) -> Done<bool> {
        let Some(seen) = cluster.look(host)? else {
            return Ok(false);
        };
        let last = &seen.resource["status"]["lastOperation"];
        if let (Some(id), Some(at)) = (last["id"].as_u64(), last["at"].as_i64()) {
            let ended = Ended {
                succeeded: last["succeeded"] == true,
                lost_bytes: last["lostBytes"].as_u64(),
                message: last["message"].as_str().unwrap_or_default().to_owned(),
            };
            self.ended.insert((cluster.name.clone(), at, id), ended);
        }
        if let Some(volume) = seen.primary.as_ref().and_then(|primary| seen.volume(primary)) {
            let primaries = self.primaries.entry(cluster.name.clone()).or_default();
            if primaries.last().is_none_or(|(_, last)| last != volume) {
                primaries.push((Instant::now(), volume.to_owned()));
            }
        }
        Ok(seen.is_ready)
    }

    fn draw(&mut self, host: &mut Host, clusters: &mut [Cluster], at_rest: bool) -> Done<()> {
        let which = self.chance.below(clusters.len());
        let Some(cluster) = clusters.get_mut(which) else {
            return Ok(());
        };
        let possible: Vec<Fault> = WEIGHTS
            .into_iter()
            .filter(|(fault, _)| fault.suits(cluster.mode) && (at_rest || !fault.needs_rest()))
            .flat_map(|(fault, weight)| std::iter::repeat_n(fault, weight))
            .collect();
        let Some(fault) = self.chance.one_of(&possible).copied() else {
            return Ok(());
        };
        if fault.needs_rest() && !cluster.is_ready(host)? {
            return Ok(());
        }
        let struck = strike::strike(fault, host, cluster, &mut self.chance)?;
        let Some(struck) = struck else {
            return Ok(());
        };
        let elapsed = self.begin.elapsed().as_secs_f64();
        println!("{elapsed:7.1} s  {fault:?}  {}: {}", cluster.name, struck.what);
        *self.faults.entry(fault).or_default() += 1;
        self.taken.extend(struck.taken);
        self.undo.extend(
            struck
                .undo
                .into_iter()
                .map(|(after, undo)| (Instant::now() + after, undo)),
        );
        Ok(())
    }

    /// Undoes what is still to be undone.
    pub fn settle(&mut self, host: &mut Host, clusters: &mut [Cluster]) -> Done<()> {
        for (_, undo) in std::mem::take(&mut self.undo) {
            undo.carry_out(host)?;
        }
        if !host.has_agent() {
            host.start_agent()?;
        }
        self.tick(host, clusters).map(drop)
    }
}
