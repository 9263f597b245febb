//! What goes wrong with single calls.

use super::rng::Rng;

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// As it should.
    Fine,
    /// It fails, and nothing is done.
    Refused,
    /// It is done, and the answer is an error.
    Lost,
    /// It is done, and the answer does not come before the caller's deadline.
    Late,
    /// The agent dies before it is done.
    CrashBefore,
    /// The agent dies before it hears that it was done.
    CrashAfter,
    /// The agent dies while the engine is about it, and the engine gets it done later: perhaps when the next agent is.
    CrashAmid,
}

/// What goes wrong.
#[derive(Debug, Default)]
pub struct Faults {
    /// Whether anything does.
    pub are_on: bool,
    /// Calls in a thousand that change something and go wrong.
    write_per_mille: u64,
    /// Calls in a thousand that look and go wrong.
    read_per_mille: u64,
    /// Calls in a thousand at which the agent dies.
    crash_per_mille: u64,
}

impl Faults {
    /// Draws how much goes wrong in a world; in every third one no call does.
    pub fn new(rng: &mut Rng) -> Self {
        let mut often = |most: u64| if rng.chance(333) { 0 } else { rng.below(most) };
        Faults {
            are_on: false,
            write_per_mille: often(120),
            read_per_mille: often(60),
            crash_per_mille: often(40),
        }
    }

    /// Draws how a call goes that changes something.
    pub fn of_write(&self, rng: &mut Rng) -> Fate {
        if !self.are_on {
            return Fate::Fine;
        }
        if rng.chance(self.crash_per_mille) {
            let fates = [Fate::CrashBefore, Fate::CrashAfter, Fate::CrashAmid];
            return fates[usize::try_from(rng.below(3)).unwrap_or(0)];
        }
        match rng.chance(self.write_per_mille) {
            false => Fate::Fine,
            true => [Fate::Refused, Fate::Lost, Fate::Late][usize::try_from(rng.below(3)).unwrap_or(0)],
        }
    }

    /// Whether a call that looks goes wrong.
    pub fn of_read(&self, rng: &mut Rng) -> bool {
        self.are_on && rng.chance(self.read_per_mille)
    }
}
