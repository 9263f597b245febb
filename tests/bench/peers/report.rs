//! What the run came to, in tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::NAMES;
use crate::clients::KINDS;
use crate::contender::{Event, Outcome};
use crate::table::{Limit, Samples, Table};

/// A switchover may take so many times what the script takes.
const TIMES_BARE: f64 = 1.5;
/// A switchover is to be so many times shorter than the best peer's.
const SWITCHOVER_SHORTER: f64 = 5.0;
/// A killed primary is to be so many times sooner back than with the best peer.
const KILL_SHORTER: f64 = 20.0;
/// A primary that is restarted in place accepts writes again by then, in milliseconds.
const IN_PLACE_MS: f64 = 600.0;
/// Another one accepts writes by then where the primary is gone for good, in milliseconds.
const FAILOVER_MS: f64 = 500.0;
/// A killed replica streams again by then, in milliseconds.
const REPLICA_MS: f64 = 1000.0;

/// This product and the script, and from where on the peers are.
const OURS: &str = NAMES[0];
const BARE: &str = NAMES[1];
const FIRST_PEER: usize = 2;

/// All outcomes.
#[derive(Default)]
pub struct Figures {
    events: BTreeMap<(Event, &'static str), Sums>,
    memory: Vec<(&'static str, f64)>,
}

/// The outcomes of one event for one contender.
#[derive(Default)]
struct Sums {
    outages: [Samples; KINDS.len()],
    streams: Samples,
    lost: usize,
}

fn title(event: Event) -> &'static str {
    match event {
        Event::Switchover => "switchover: the primary's role moves on request",
        Event::PrimaryKilled => "the primary's container is killed",
        Event::ReplicaKilled => "a replica's container is killed",
        Event::PrimaryGone => "the primary's container and volume are gone",
    }
}

/// One outcome, for whoever watches.
pub fn line(name: &str, event: Event, outcome: &Outcome) -> String {
    let outages: Vec<String> = outcome.outages.iter().map(|ms| format!("{ms:.0}")).collect();
    format!(
        "{}: {name}: {} ms without an acknowledged row, {:.0} ms until all stream, {} lost",
        title(event),
        outages.join(" / "),
        outcome.streams,
        outcome.lost
    )
}

impl Figures {
    /// Takes an outcome.
    pub fn push(&mut self, name: &'static str, event: Event, outcome: Outcome) {
        let sums = self.events.entry((event, name)).or_default();
        for (samples, outage) in sums.outages.iter_mut().zip(outcome.outages) {
            samples.push(outage);
        }
        sums.streams.push(outcome.streams);
        sums.lost += outcome.lost;
    }

    /// Takes what a contender's controllers hold of memory.
    pub fn memory(&mut self, name: &'static str, held_mb: Option<f64>) {
        self.memory.extend(held_mb.map(|mb| (name, mb)));
    }

    fn sums(&self, event: Event) -> impl Iterator<Item = (&'static str, &Sums)> {
        NAMES
            .into_iter()
            .filter_map(move |name| Some((name, self.events.get(&(event, name))?)))
    }

    /// The least median of the peers.
    fn best_peer(&self, event: Event, of: impl Fn(&Sums) -> &Samples) -> f64 {
        let peers = NAMES[FIRST_PEER..].iter();
        let medians = peers.filter_map(|name| Some(of(self.events.get(&(event, *name))?).median()));
        medians.fold(f64::NAN, f64::min)
    }

    fn of_bare(&self, event: Event, of: impl Fn(&Sums) -> &Samples) -> f64 {
        self.events
            .get(&(event, BARE))
            .map_or(f64::NAN, |sums| of(sums).median())
    }

    /// All tables.
    pub fn tables(&self) -> String {
        let mut text = String::new();
        for event in [
            Event::Switchover,
            Event::PrimaryKilled,
            Event::PrimaryGone,
            Event::ReplicaKilled,
        ] {
            if self.sums(event).next().is_some() {
                let _ = writeln!(text, "{}", self.table(event));
            }
        }
        let mut table = Table::new("memory of the controllers, the databases' own left out");
        let ours = self.memory.iter().find(|(name, _)| *name == OURS);
        for (name, held_mb) in &self.memory {
            let limit = ours
                .filter(|_| *name != OURS)
                .map_or(Limit::None, |ours| Limit::Beside(ours.1));
            table.once(*name, *held_mb, "MB", limit);
        }
        let _ = writeln!(text, "{table}");
        text
    }

    fn table(&self, event: Event) -> Table {
        let mut table = Table::new(title(event));
        let ours = self.events.get(&(event, OURS));
        for (kind, client) in KINDS.iter().enumerate() {
            if event == Event::ReplicaKilled {
                break;
            }
            let of = |sums: &'_ Sums| sums.outages[kind].clone();
            for (name, sums) in self.sums(event) {
                if of(sums).median().is_nan() {
                    continue;
                }
                let what = format!("{client}: without an acknowledged row, {name}");
                let beside = ours.filter(|_| name != OURS);
                let limit = beside.map_or(Limit::None, |ours| Limit::Beside(of(ours).median()));
                table.row(what, &of(sums), "ms", limit);
            }
            if let Some(ours) = ours {
                // A role name has no counterpart: it is held against the best that others reach with a list.
                let base = if self.best_peer(event, |sums| &sums.outages[kind]).is_nan() {
                    0
                } else {
                    kind
                };
                self.aims(&mut table, event, &ours.outages[kind], base);
            }
        }
        for (name, sums) in self.sums(event) {
            let limit = match event {
                Event::ReplicaKilled if name == OURS => Limit::Most(REPLICA_MS),
                _ if name == OURS => Limit::None,
                _ => ours.map_or(Limit::None, |ours| Limit::Beside(ours.streams.median())),
            };
            table.row(
                format!("until every replica streams, {name}"),
                &sums.streams,
                "ms",
                limit,
            );
        }
        for (name, sums) in self.sums(event) {
            let limit = if name == OURS { Limit::Most(0.0) } else { Limit::None };
            table.once(
                format!("acknowledged rows lost, {name}"),
                sums.lost as f64,
                "rows",
                limit,
            );
        }
        table
    }

    /// What is aimed at, each with its verdict.
    fn aims(&self, table: &mut Table, event: Event, ours: &Samples, base: usize) {
        let bare = self.of_bare(event, |sums| &sums.outages[base]);
        let peer = self.best_peer(event, |sums| &sums.outages[base]);
        let mut aim = |what: &str, limit: Limit| table.row(format!("- aim: {what}"), ours, "ms", limit);
        match event {
            Event::Switchover => {
                aim("beside the bare recipe", Limit::Times(TIMES_BARE, bare));
                aim("beside the best peer", Limit::Times(1.0 / SWITCHOVER_SHORTER, peer));
            }
            Event::PrimaryKilled => {
                aim("restarted in place", Limit::Most(IN_PLACE_MS));
                aim("beside the bare recipe", Limit::Beside(bare));
                aim("beside the best peer", Limit::Times(1.0 / KILL_SHORTER, peer));
            }
            Event::PrimaryGone => {
                aim("replaced", Limit::Most(FAILOVER_MS));
                // To the peers it is the same event: nobody restarts a primary in place.
                let peer = self.best_peer(Event::PrimaryKilled, |sums| &sums.outages[base]);
                aim(
                    "beside the best peer's killed primary",
                    Limit::Times(1.0 / KILL_SHORTER, peer),
                );
            }
            Event::ReplicaKilled => {}
        }
    }
}
