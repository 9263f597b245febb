//! What is told of a silent server by comparing looks at its processes: whether anything of it moves. Plain data; what
//! follows from it is decided in `plan::life`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Observed;
use crate::host::Reads;
use crate::model::Seen;
use crate::model::container::{ContainerObserved, ImageFacts};
use crate::model::postgres::{Control, Down, Server};
use crate::model::process::Vitals;

/// Seconds between two looks that rates are made of: less would be noise.
const RATE_SECS: i64 = 5;

/// What was found at one look at a server that does not answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Sign {
    /// Its processes.
    pub vitals: Vitals,
    /// Its control file, where it can be read: a recovery moves on in it.
    pub control: Option<Control>,
    /// The end of its log: a recovery reports its progress there.
    pub log: String,
}

/// What several looks at a server that does not answer have shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulse {
    /// The last look.
    pub last: Sign,
    /// Since when nothing of it has moved, in seconds since the epoch.
    pub still_since: i64,
    /// At how many looks since then it was found as it was.
    pub still_looks: u32,
    /// Since when its main process has not been given a CPU, as far as that is told.
    pub main_still_since: i64,
    /// At how many looks since then.
    pub main_still_looks: u32,
    /// How much CPU time it had lately, in thousandths of a CPU; `None` until that can be told.
    pub cpu_permille: Option<u64>,
    /// For how much of the last while its limit on CPU held it back, in percent of one CPU's time.
    pub throttled_percent: u64,
    /// When the rates began to be measured, and the totals then.
    base: (i64, u64, u64),
}

impl Observed {
    /// The same, had it been seen that much later: a while in which the agent got no time says nothing of others' silence.
    pub fn delayed(&self, secs: i64) -> Cow<'_, Observed> {
        if secs == 0 {
            return Cow::Borrowed(self);
        }
        let mut later = self.clone();
        later.since.values_mut().for_each(|since| *since += secs);
        for pulse in later.pulses.values_mut() {
            pulse.still_since += secs;
            pulse.main_still_since += secs;
        }
        Cow::Owned(later)
    }
}

/// Whether a server's processes have to be looked at to know whether it lives, or gets on with its shutdown.
pub(super) fn is_of_use(server: &Server) -> bool {
    matches!(server, Server::Down(Down::NoAnswer | Down::ShuttingDown, _))
}

/// Signs of life of a server that does not answer.
pub(super) async fn sign_of<R: Reads>(
    host: &R,
    image: &Seen<ImageFacts>,
    container: &ContainerObserved,
    log: &str,
) -> Option<Sign> {
    let Seen::Known(vitals) = host.process(&container.id).await else {
        return None;
    };
    let (control, _) = super::control_of(host, image, container).await;
    Some(Sign {
        vitals,
        control: control.known().copied(),
        log: log.to_owned(),
    })
}

/// What is known of the silent servers after this look. Where nothing could be seen, what was known before stays as it was.
pub(super) fn pulses(observed: &Observed, before: &Observed, now: i64) -> BTreeMap<String, Pulse> {
    let silent = observed.members.iter().filter(|(_, seen)| is_of_use(&seen.server));
    let known = silent.filter_map(|(member, seen)| {
        let before = before.pulses.get(member);
        let pulse = match &seen.sign {
            Some(sign) => Some(next(before, sign.clone(), now)),
            None => before.cloned(),
        };
        Some((member.clone(), pulse?))
    });
    known.collect()
}

/// What is known after one more look.
pub fn next(before: Option<&Pulse>, sign: Sign, now: i64) -> Pulse {
    let base = (now, sign.vitals.cpu_ms, sign.vitals.throttled_ms);
    let Some(before) = before.filter(|before| before.last.vitals.born == sign.vitals.born) else {
        return Pulse {
            last: sign,
            still_since: now,
            still_looks: 0,
            main_still_since: now,
            main_still_looks: 0,
            cpu_permille: None,
            throttled_percent: 0,
            base,
        };
    };
    let moves = moves(&before.last, &sign);
    let main_moves = main_moves(&before.last, &sign);
    let mut pulse = Pulse {
        still_since: if moves { now } else { before.still_since },
        still_looks: if moves { 0 } else { before.still_looks + 1 },
        main_still_since: if main_moves { now } else { before.main_still_since },
        main_still_looks: if main_moves { 0 } else { before.main_still_looks + 1 },
        last: sign,
        ..before.clone()
    };
    let secs = now - before.base.0;
    if secs >= RATE_SECS {
        let rate = |total: u64, was: u64| total.saturating_sub(was) / secs.unsigned_abs();
        pulse.cpu_permille = Some(rate(base.1, before.base.1));
        pulse.throttled_percent = rate(base.2, before.base.2) / 10;
        pulse.base = base;
    }
    pulse
}

/// Whether anything of a server has moved between two looks, or is about to: who has something to do and no CPU for it waits
/// in the kernel's queue, and who waits for a disk is woken by it.
fn moves(before: &Sign, now: &Sign) -> bool {
    let counts = |sign: &Sign| (sign.vitals.processes, sign.vitals.cpu_ms, sign.vitals.switches);
    now.vitals.runnable > 0
        || now.vitals.in_disk_sleep > 0
        || counts(before) != counts(now)
        || before.vitals.throttled_ms != now.vitals.throttled_ms
        || before.control != now.control
        || before.log != now.log
}

/// The same of the main process alone.
fn main_moves(before: &Sign, now: &Sign) -> bool {
    let main = |sign: &Sign| sign.vitals.switches.map(|switches| switches.main);
    main(now).is_none() || main(before) != main(now) || now.vitals.main_waits
}

#[cfg(test)]
mod tests {
    use super::{Pulse, Sign, next};
    use crate::model::process::{Switches, Vitals};

    fn sign(main: u64, all: u64) -> Sign {
        Sign {
            vitals: Vitals {
                born: 7,
                processes: 6,
                cpu_ms: 400,
                switches: Some(Switches { main, all }),
                ..Vitals::default()
            },
            control: None,
            log: "ready".to_owned(),
        }
    }

    fn still(pulse: &Pulse) -> (i64, u32) {
        (pulse.still_since, pulse.still_looks)
    }

    #[test]
    fn whatever_moves_begins_the_count_anew() {
        let first = next(None, sign(1, 9), 100);
        let second = next(Some(&first), sign(1, 9), 101);
        assert_eq!(still(&second), (100, 1), "it was found as it was");
        let changes: [fn(&mut Sign); 9] = [
            |sign| sign.vitals.cpu_ms += 10,
            |sign| sign.vitals.processes += 1,
            |sign| sign.vitals.switches = Some(Switches { main: 1, all: 10 }),
            |sign| sign.vitals.switches = None,
            |sign| sign.vitals.runnable = 1,
            |sign| sign.vitals.in_disk_sleep = 1,
            |sign| sign.vitals.throttled_ms = 1,
            |sign| sign.log.push_str("\nredo in progress"),
            |sign| sign.vitals.born = 8,
        ];
        for change in changes {
            let mut moved = sign(1, 9);
            change(&mut moved);
            assert_eq!(still(&next(Some(&second), moved.clone(), 105)), (105, 0), "{moved:?}");
        }
    }

    #[test]
    fn a_main_process_is_still_while_others_move() {
        let first = next(None, sign(1, 9), 100);
        let second = next(Some(&first), sign(1, 12), 130);
        assert_eq!((second.main_still_since, second.main_still_looks), (100, 1));
        let woken = next(Some(&second), sign(2, 13), 131);
        assert_eq!((woken.main_still_since, woken.main_still_looks), (131, 0));
        let mut waiting = sign(1, 12);
        waiting.vitals.main_waits = true;
        assert_eq!(
            next(Some(&second), waiting, 132).main_still_since,
            132,
            "it waits for a CPU"
        );
        let mut untold = sign(1, 12);
        untold.vitals.switches = None;
        assert_eq!(next(Some(&second), untold, 132).main_still_since, 132, "nobody tells");
    }

    #[test]
    fn rates_are_of_some_seconds() {
        let first = next(None, sign(1, 9), 100);
        let mut busy = sign(1, 10);
        busy.vitals.cpu_ms += 1_500;
        busy.vitals.throttled_ms += 3_500;
        let soon = next(Some(&first), busy.clone(), 102);
        assert_eq!(soon.cpu_permille, None);
        let later = next(Some(&soon), busy, 105);
        assert_eq!((later.cpu_permille, later.throttled_percent), (Some(300), 70));
    }
}
