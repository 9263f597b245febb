//! What the kernel says of the processes in a container, and of how busy the host is. By this a server that is slow is
//! told from one that is dead: who waits for a CPU or a disk looks silent from outside, and is alive.

use serde::{Deserialize, Serialize};

/// What the kernel says of a container's main process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ProcessState {
    /// It runs, or waits for something.
    #[default]
    Alive,
    /// A signal stopped it, and only another wakes it.
    Stopped,
}

/// The main process of a container and all that came from it, added up. What was put beside them, such as the engine's
/// health checks, does not count: it would move for ever beside a server that is dead.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Vitals {
    /// What the main process is doing.
    pub main: ProcessState,
    /// Whether the main process runs, waits for a CPU, or for what no signal interrupts.
    pub main_waits: bool,
    /// Tells the main process from an earlier one of the same container.
    pub born: u64,
    /// How many processes there are.
    pub processes: u32,
    /// Those that run or wait for a CPU.
    pub runnable: u32,
    /// Those that wait for a disk, or for anything else that no signal interrupts.
    pub in_disk_sleep: u32,
    /// CPU time that they have had, those that have ended included.
    pub cpu_ms: u64,
    /// How often the kernel has switched between them and others; not known where only `ps` tells.
    pub switches: Option<Switches>,
    /// How long the limit on CPU has held them back; 0 where that is not known.
    pub throttled_ms: u64,
    /// Whether their control group is frozen.
    pub is_frozen: bool,
    /// How busy the host is, where it is this process's own.
    pub pressure: Option<Pressure>,
}

/// Context switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Switches {
    /// Those of the main process.
    pub main: u64,
    /// Those of all processes that live.
    pub all: u64,
}

/// The share of the last ten seconds, in percent, in which somebody on the host had to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pressure {
    /// For a CPU.
    pub cpu: u8,
    /// For a disk.
    pub io: u8,
    /// For memory.
    pub memory: u8,
}

impl Pressure {
    /// The worst of them.
    pub fn worst(&self) -> u8 {
        self.cpu.max(self.io).max(self.memory)
    }
}
