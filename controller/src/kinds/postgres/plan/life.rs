//! Whether a member that does not answer is dead or only slow, and whose turn it is to be restarted for it.
//!
//! How soon a new session is made, and whether the engine's health check passes, both tell how busy the host is as much as
//! how the server is. So neither is enough to end a server, nor are both: it has to be seen that it does not move, over
//! a time that grows with the host's load. What cannot be seen is no proof, and a server that moves is never ended.

use std::time::Duration;

use super::super::memory::Change;
use super::super::observe::pulse::Pulse;
use super::keep;
use super::view::View;
use crate::model::container::{ContainerObserved, Health, RunState};
use crate::model::plan::{Action, EngineOp, Op, Plan};
use crate::model::postgres::{ControlState, Down, Server};
use crate::model::process::{ProcessState, Vitals};

/// How long a server is silent until it is killed because a signal stopped it, in seconds: a debugger may stop it too.
const STOPPED_SECS: i64 = 2;
/// How long nothing of a server may move until that is a proof, in seconds. An idle one stirs every ten seconds at the least
/// (PostgreSQL's `bgwriter.c`, `HIBERNATE_FACTOR`).
const STILL_SECS: i64 = 30;
/// The same for its main process, which everybody who wants a session wakes: the health check does, and the agent.
const MAIN_STILL_SECS: i64 = 60;
/// What the time is multiplied by where the host waits for something all the time, less one; in between in proportion.
const WORST_PRESSURE: i64 = 3;
/// At how many looks it has to be so, at the least.
const LOOKS: u32 = 5;
/// From how much CPU time on a shutdown gets on, in thousandths of a CPU: who waits is woken now and then.
const BUSY_PERMILLE: u64 = 10;
/// How long a member that was started is left to come up before the next is killed, in seconds.
const ONE_AT_A_TIME_SECS: i64 = 60;
/// How long another cluster goes first, in seconds: its turn may never come.
const OTHERS_FIRST_SECS: i64 = 120;

/// What is known of a member that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// A signal stopped its main process.
    Stopped,
    /// It is proved not to move; for how long.
    Still {
        /// Since when it has been proved, in seconds.
        proved_for: i64,
        /// The proof, in words.
        proof: String,
    },
    /// It moves; in words.
    Slow(String),
    /// It has not moved for a while, and that is no proof yet; in words.
    Doubtful(String),
    /// Its processes cannot be seen.
    Unseen,
}

impl Life {
    /// Whether it is known to be alive.
    pub fn is_alive(&self) -> bool {
        matches!(self, Life::Slow(_))
    }
}

/// What is known of a running member that does not answer.
pub fn of(view: &View<'_>, member: &str) -> Life {
    let Some(pulse) = view.pulse(member) else {
        return Life::Unseen;
    };
    let vitals = &pulse.last.vitals;
    if vitals.main == ProcessState::Stopped {
        return Life::Stopped;
    }
    let is_unhealthy = view.container(member).is_some_and(|c| c.health == Health::Unhealthy);
    let proof = still(view, pulse).or_else(|| main_is_still(view, member, pulse));
    match proof.filter(|_| is_unhealthy && !vitals.is_frozen) {
        Some((proved_for, proof)) => Life::Still { proved_for, proof },
        None if pulse.still_looks > 0 || vitals.is_frozen => Life::Doubtful(words(pulse)),
        None => Life::Slow(words(pulse)),
    }
}

/// The time that a proof takes on a host that is as busy as this one.
fn window(vitals: &Vitals, secs: i64) -> i64 {
    let worst = vitals
        .pressure
        .map_or(100, |pressure| i64::from(pressure.worst()).min(100));
    secs + secs * WORST_PRESSURE * worst / 100
}

/// Nothing of it moves.
fn still(view: &View<'_>, pulse: &Pulse) -> Option<(i64, String)> {
    let still_secs = view.now - pulse.still_since;
    // Where only `ps` tells, which counts whole seconds, a little more patience is in place.
    let precision = if pulse.last.vitals.switches.is_some() { 1 } else { 2 };
    let proved_for = still_secs - window(&pulse.last.vitals, STILL_SECS) * precision;
    (proved_for >= 0 && pulse.still_looks >= LOOKS).then(|| {
        let processes = pulse.last.vitals.processes;
        let proof = format!("none of its {processes} processes has moved for {still_secs} s");
        (proved_for, proof)
    })
}

/// Others of it move, but the main process is not even woken by those who want a session.
fn main_is_still(view: &View<'_>, member: &str, pulse: &Pulse) -> Option<(i64, String)> {
    let still_secs = view.now - pulse.main_still_since;
    let proved_for = still_secs - window(&pulse.last.vitals, MAIN_STILL_SECS);
    let is_asked = view.target(member).is_some() && !is_recovering(pulse);
    (is_asked && proved_for >= 0 && pulse.main_still_looks >= LOOKS).then(|| {
        let proof = format!("its main process, which makes sessions, has not moved for {still_secs} s");
        (proved_for, proof)
    })
}

/// Whether its control file says that it recovers from a crash. That ends by itself, and a kill begins it anew.
fn is_recovering(pulse: &Pulse) -> bool {
    let state = pulse.last.control.map(|control| control.state);
    matches!(state, Some(ControlState::Startup | ControlState::InCrashRecovery))
}

/// How it is that it is slow.
fn words(pulse: &Pulse) -> String {
    let vitals = &pulse.last.vitals;
    if vitals.is_frozen {
        return "its control group is frozen, and not by the engine: whoever did it has to thaw it".to_owned();
    }
    let mut told = Vec::new();
    if pulse.still_looks > 0 {
        told.push(format!("it has not moved at the last {} looks", pulse.still_looks));
    }
    if let Some(permille) = pulse.cpu_permille {
        told.push(format!("it gets {}.{:02} CPUs", permille / 1000, permille % 1000 / 10));
    }
    if pulse.throttled_percent > 0 {
        let percent = pulse.throttled_percent.min(100);
        told.push(format!("its CPU limit holds it back {percent} % of the time"));
    }
    if vitals.runnable > 0 {
        told.push(format!("{} of its processes run or wait for a CPU", vitals.runnable));
    }
    if vitals.in_disk_sleep > 0 {
        told.push(format!("{} wait for a disk", vitals.in_disk_sleep));
    }
    if let Some(pressure) = vitals.pressure {
        told.push(format!(
            "the host waits for a CPU {} %, for a disk {} %, for memory {} % of the time",
            pressure.cpu, pressure.io, pressure.memory
        ));
    }
    match told.is_empty() {
        true => "its processes move".to_owned(),
        false => told.join(", "),
    }
}

/// Deals with a running container whose server gives no answer: ends the server when it is known to be dead and it is its
/// turn, and says what is known else.
pub fn silent(view: &View<'_>, member: &str, container: &ContainerObserved, why: &str, plan: &mut Plan<Change>) {
    let silent_secs = view.silent_for(member).unwrap_or(0);
    plan.again_in(Duration::from_millis(500));
    let note = match of(view, member) {
        Life::Stopped if silent_secs >= STOPPED_SECS => {
            let cause = format!("its process is stopped (SIGSTOP) and it has not answered for {silent_secs} s ({why})");
            return plan.step(kill(member, container, cause));
        }
        Life::Still { proved_for, proof } => match turn(view, member, proved_for, plan) {
            None => {
                let cause =
                    format!("its health check fails, it has not answered for {silent_secs} s ({why}), and {proof}");
                return plan.step(kill(member, container, cause));
            }
            Some(first) => format!("it is to be restarted, because {proof}; {first}"),
        },
        Life::Slow(words) => format!("it is alive but slow: {words} ({why})"),
        Life::Doubtful(words) => format!("its server does not answer ({why}); {words}"),
        Life::Stopped | Life::Unseen => format!("its server does not answer: {why}"),
    };
    plan.wait(member, note);
}

fn kill(member: &str, container: &ContainerObserved, cause: String) -> Action<Change> {
    let signal = EngineOp::Signal {
        container: container.id.clone(),
        signal: "SIGKILL".to_owned(),
    };
    Action::engine(member, signal, cause)
}

/// What a member that is known to be dead waits for, if anything: one at a time, replicas first. Should a proof ever be wrong,
/// it is wrong about one member, and the others serve.
fn turn(view: &View<'_>, member: &str, proved_for: i64, plan: &Plan<Change>) -> Option<String> {
    let is_kill = |action: &&Action<Change>| matches!(&action.op, Op::Engine(EngineOp::Signal { signal, .. }) if signal == "SIGKILL");
    if let Some(other) = plan.actions().find(is_kill) {
        return Some(format!("{} goes first", other.subject));
    }
    let others = || view.members().into_iter().filter(|other| other != member);
    if let Some(other) = others().find(|other| is_coming_up(view, other)) {
        return Some(format!("{other} has to come up first"));
    }
    if view.primary() == Some(member)
        && let Some(other) = others().find(|other| matches!(of(view, other), Life::Still { .. }))
    {
        return Some(format!("{other} goes first"));
    }
    let cluster = view.observed.mends_first.as_ref();
    let cluster = cluster.filter(|_| proved_for < OTHERS_FIRST_SECS)?;
    Some(format!("cluster {cluster} goes first"))
}

/// Whether a member was started a moment ago and does not serve yet.
pub fn is_coming_up(view: &View<'_>, member: &str) -> bool {
    let is_fresh = view
        .memory
        .starts
        .get(member)
        .is_some_and(|starts| view.now - starts.last < ONE_AT_A_TIME_SECS);
    is_fresh && view.facts(member).is_none() && !keep::is_crash_looping(view, member)
}

/// How a shutdown gets on, if it does: it writes what is dirty in memory, which takes a disk and a CPU, or both are not there
/// for it. One that only waits for somebody uses neither.
pub fn gets_on(view: &View<'_>, member: &str) -> Option<String> {
    let pulse = view.pulse(member)?;
    let vitals = &pulse.last.vitals;
    let is_busy = vitals.runnable > 0 || vitals.in_disk_sleep > 0 || pulse.cpu_permille >= Some(BUSY_PERMILLE);
    (is_busy && vitals.main != ProcessState::Stopped).then(|| words(pulse))
}

/// Whether a running member is known to be dead.
pub fn is_dead(view: &View<'_>, member: &str) -> bool {
    view.runs(member) && matches!(of(view, member), Life::Stopped | Life::Still { .. })
}

/// Whether a running member is silent and known to be alive all the same.
pub fn is_slow(view: &View<'_>, member: &str) -> bool {
    let is_silent = matches!(view.server(member), Some(Server::Down(Down::NoAnswer, _)));
    let runs = view.container(member).is_some_and(|c| c.state == RunState::Running);
    is_silent && runs && of(view, member).is_alive()
}
