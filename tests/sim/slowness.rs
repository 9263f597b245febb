//! Members that are slow, the host that is, and a member that is dead and was not stopped by anybody: from outside all of them
//! look alike.

use reconciler::model::container::RunState;
use reconciler::model::process::{Pressure, ProcessState, Switches, Vitals};

use super::container::{By, Phase};
use super::world::World;

/// What the agent saw may be so old when it acts on it, in ms.
const OLD_NEWS: u64 = 5_000;

impl World {
    /// A member is too busy to answer for a while.
    pub fn slow_down(&mut self, at: usize, until: u64) {
        let now = self.now;
        if let Some(process) = &mut self.containers[at].process {
            if process.slow_until <= now {
                process.slow_since = now;
            }
            process.slow_until = until;
        }
    }

    /// Everybody on the host waits for a CPU for a while.
    pub fn slow_host(&mut self, ms: u64) {
        self.tell("accident", || format!("the host is busy for {ms} ms"));
        self.pressed_until = self.now + ms;
        for at in self.members() {
            self.slow_down(at, self.pressed_until);
        }
    }

    /// Somebody stops a member's processes by a signal, or lets them go on; or they wait for each other, and nothing but
    /// their end helps.
    pub fn freeze(&mut self, at: usize, is_frozen: bool, hangs: bool) {
        let now = self.now;
        if let Some(process) = &mut self.containers[at].process
            && !process.hangs
        {
            process.hangs = hangs;
            process.is_frozen = is_frozen;
            process.turned_at = now;
            process.silent_since = (is_frozen || process.phase == Phase::Starting).then_some(now);
        }
    }

    /// What the kernel says of a container's processes.
    pub fn vitals(&self, at: usize) -> Option<Vitals> {
        let process = self.containers[at].process.as_ref()?;
        let is_slow = process.slow_until > self.now;
        let turns = match process.is_frozen {
            true => process.turned_at,
            false => self.now,
        };
        let is_pressed = self.pressed_until > self.now;
        Some(Vitals {
            main: match process.is_frozen && !process.hangs {
                true => ProcessState::Stopped,
                false => ProcessState::Alive,
            },
            born: process.serial,
            processes: 6,
            runnable: u32::from(is_slow && !process.is_frozen),
            cpu_ms: turns / 10,
            // What waits for a CPU has got none lately.
            switches: Some(Switches {
                main: if is_slow { turns / 20_000 } else { turns },
                all: turns,
            }),
            main_waits: is_slow && !process.is_frozen,
            pressure: Some(Pressure {
                cpu: if is_pressed { 90 } else { 5 },
                ..Pressure::default()
            }),
            ..Vitals::default()
        })
    }

    /// The agent kills a member. Not one that is only slow, unless somebody insists that another takes over.
    pub fn killed_by_agent(&mut self, at: usize) {
        let container = &self.containers[at];
        let is_running = container.seen.state == RunState::Running && container.is_awake();
        if let Some(process) = container.process.as_ref().filter(|_| is_running) {
            let is_busy = process.slow_until > self.now || process.errors_until > self.now;
            let is_slow = is_busy && self.now - process.turned_at > OLD_NEWS;
            let serves = matches!(process.phase, Phase::Starting | Phase::Up);
            if is_slow && serves && process.by == By::Agent && self.watch.forced.is_none() {
                let member = container.member().to_owned();
                self.violated(&format!("{member} is killed, and is only slow or full"));
            }
        }
        self.exit(at, 137, "killed");
    }
}
