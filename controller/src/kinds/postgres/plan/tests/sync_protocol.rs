//! The whole way of a change, with writes, deaths and edits at every step of it: whoever the planner would promote after
//! a crash at any instant has every write that a client was told to be safe.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::sync::asked;
use super::world::World;
use crate::kinds::postgres::memory::{Change, Memory};
use crate::kinds::postgres::observe;
use crate::kinds::postgres::plan::sync;
use crate::kinds::postgres::quorum::SyncSet;
use crate::model::Lsn;
use crate::model::plan::{Op, Plan};
use crate::model::postgres::SqlOp;

const MEMBERS: [&str; 4] = ["master", "replica-1", "replica-2", "replica-3"];
/// Nothing was ever seen at position 0: there it means that a replica still reads its own log.
const START: u64 = 0x1000;

#[derive(Debug, Clone)]
enum Event {
    Write,
    Flush(usize, u64),
    Die(usize),
    Return(usize),
    Pass,
    Reload,
    Wait(i64),
    Edit(bool, u32, bool),
    /// The primary dies, some replicas cannot be asked, and one of the others takes over if that is proved to be safe.
    Lose(usize, Vec<bool>),
}

fn event() -> impl Strategy<Value = Event> {
    let member = 0_usize..MEMBERS.len();
    prop_oneof![
        6 => Just(Event::Write),
        6 => (member.clone(), 0_u64..4).prop_map(|(m, n)| Event::Flush(m, n)),
        1 => member.clone().prop_map(Event::Die),
        2 => member.clone().prop_map(Event::Return),
        8 => Just(Event::Pass),
        4 => Just(Event::Reload),
        4 => (1_i64..4).prop_map(Event::Wait),
        1 => (any::<bool>(), 1_u32..4, any::<bool>()).prop_map(|(s, n, r)| Event::Edit(s, n, r)),
        1 => (member, prop::collection::vec(any::<bool>(), MEMBERS.len())).prop_map(|(m, a)| Event::Lose(m, a)),
    ]
}

/// Some processes of the server still go by an older set. All of them read the names within two seconds, except that
/// the checkpointer, which alone says whether commits wait at all, may be busy for long.
#[derive(Debug, Clone)]
struct Stale {
    set: SyncSet,
    since: i64,
}

#[derive(Debug, Clone)]
struct Model {
    replication: serde_json::Value,
    memory: Memory,
    now: i64,
    primary: usize,
    flushed: Vec<u64>,
    acknowledged: u64,
    running: SyncSet,
    stale: Vec<Stale>,
    gone: BTreeMap<usize, i64>,
}

impl Model {
    fn new() -> Self {
        let world = asked(3, json!({}));
        Model {
            replication: json!({}),
            now: world.now,
            memory: world.memory,
            primary: 0,
            flushed: vec![START; MEMBERS.len()],
            acknowledged: START,
            running: SyncSet::nobody(),
            stale: Vec::new(),
            gone: BTreeMap::new(),
        }
    }

    /// What the planner sees.
    fn world(&self) -> World {
        let primary = MEMBERS[self.primary];
        let mut world = World::new(3);
        let mut replication = self.replication.clone();
        if replication["mode"].is_null() {
            replication["mode"] = json!("synchronous");
        }
        world = world.edit(|spec| spec.replication = serde_json::from_value(replication).expect("a valid spec"));
        world = world.healthy_with(primary);
        world.memory.sync = self.memory.sync.clone();
        world.now = self.now;
        for (at, member) in MEMBERS.iter().enumerate() {
            let lsn = Lsn(self.flushed[at]);
            world = world.facts(member, |facts| {
                facts.lsn = lsn;
                facts.receive_lsn = lsn;
                facts.flush_lsn = lsn;
            });
            world = world.facts(primary, |facts| {
                facts
                    .standbys
                    .entry((*member).to_owned())
                    .and_modify(|standby| standby.flush_lsn = lsn);
            });
        }
        world = world.facts(primary, |facts| facts.sync_names = self.running.names());
        for (at, since) in &self.gone {
            world = world
                .kill(MEMBERS[*at])
                .since(&observe::not_followed(MEMBERS[*at]), self.now - since);
        }
        world
    }

    fn apply(&mut self, plan: &Plan<Change>) {
        for action in plan.actions() {
            match &action.op {
                Op::Remember(change) => self.memory.apply(change),
                Op::Sql(_, SqlOp::Checkpoint) => self.stale.retain(|stale| !stale.set.is_nobody()),
                Op::Sql(..) | Op::Listen(_) | Op::Grafana(..) | Op::Engine(_) => {}
            }
        }
    }

    /// What the clients of this instant are told to be safe.
    fn acknowledge(&mut self) {
        let in_force = self.stale.iter().map(|stale| &stale.set).chain([&self.running]);
        let safe = in_force.map(|set| {
            let mut voters: Vec<u64> = (0..MEMBERS.len())
                .filter(|at| *at != self.primary && set.voters.iter().any(|v| v == MEMBERS[*at]))
                .map(|at| self.flushed[at])
                .collect();
            voters.sort_unstable_by_key(|lsn| std::cmp::Reverse(*lsn));
            if set.is_nobody() {
                return self.flushed[self.primary];
            }
            voters.get(set.number as usize - 1).copied().unwrap_or(START)
        });
        self.acknowledged = safe.max().unwrap_or(START).max(self.acknowledged);
    }

    fn step(&mut self, event: &Event) {
        match event {
            Event::Write => self.flushed[self.primary] += 1,
            Event::Flush(at, count) if *at != self.primary && !self.gone.contains_key(at) => {
                self.flushed[*at] = (self.flushed[*at] + count).min(self.flushed[self.primary]);
            }
            Event::Die(at) if *at != self.primary => {
                self.gone.entry(*at).or_insert(self.now);
            }
            Event::Return(at) => {
                self.gone.remove(at);
            }
            Event::Pass => {
                let world = self.world();
                let mut plan = Plan::default();
                sync::keep(&world.view(), MEMBERS[self.primary], &mut plan);
                self.apply(&plan);
            }
            Event::Reload => {
                let rendered = sync::rendered(&self.world().view(), MEMBERS[self.primary]).unwrap_or_default();
                if rendered != self.running {
                    let set = std::mem::replace(&mut self.running, rendered);
                    self.stale.push(Stale { set, since: self.now });
                }
            }
            Event::Wait(secs) => {
                self.now += secs;
                self.stale
                    .retain(|stale| stale.set.is_nobody() || self.now - stale.since < 2);
            }
            Event::Edit(synchronous, number, required) => {
                let durability = if *required { "required" } else { "preferred" };
                self.replication = json!({"number": number, "durability": durability});
                if !synchronous {
                    self.replication["mode"] = json!("asynchronous");
                }
            }
            Event::Lose(to, asked) => self.lose(*to, asked),
            Event::Flush(..) | Event::Die(_) => {}
        }
        self.acknowledge();
    }

    /// The world in which the primary is dead and only some can be asked.
    fn after_loss(&self, world: &World, asked: &[bool]) -> World {
        let mut world = world.clone().kill(MEMBERS[self.primary]);
        for (at, member) in MEMBERS.iter().enumerate() {
            if at != self.primary && !asked[at] && !self.gone.contains_key(&at) {
                world = world.kill(member);
            }
        }
        world
    }

    fn lose(&mut self, to: usize, asked: &[bool]) {
        let world = self.after_loss(&self.world(), asked);
        let is_safe = self.memory.sync.promised && sync::quorum(&world.view(), MEMBERS[to]).is_ok();
        if to == self.primary || !is_safe {
            return;
        }
        let target = MEMBERS[to].to_owned();
        let rendered = sync::rendered(&world.view(), &target).unwrap_or_default();
        let world = world.facts(&target, |facts| facts.sync_names = rendered.names());
        let heir = sync::before_promotion(&world.view(), &target);
        self.memory.primary = Some(target);
        let mut plan = Plan::default();
        plan.chain(heir.into_iter().collect());
        self.apply(&plan);
        self.memory.sync.promoted(true);
        let reach = self.flushed[to];
        self.flushed.iter_mut().for_each(|lsn| *lsn = (*lsn).min(reach));
        // What only the old primary has is gone with it; it comes back as a copy.
        self.flushed[self.primary] = START;
        self.gone.insert(self.primary, self.now);
        self.gone.remove(&to);
        self.primary = to;
        self.running = rendered;
        self.stale.clear();
    }

    /// Everybody who would be promoted unforced has everything, whoever can be asked.
    fn check(&self) -> Result<(), TestCaseError> {
        if !self.memory.sync.promised {
            return Ok(());
        }
        let before = self.world();
        let subsets = (0..1_usize << MEMBERS.len()).map(|bits| (0..MEMBERS.len()).map(move |at| (bits >> at) & 1 == 1));
        for asked in subsets {
            let asked: Vec<bool> = asked.collect();
            let world = self.after_loss(&before, &asked);
            for (at, member) in MEMBERS.iter().enumerate().filter(|(at, _)| *at != self.primary) {
                if sync::quorum(&world.view(), member).is_ok() {
                    prop_assert!(
                        self.flushed[at] >= self.acknowledged,
                        "{member} has {} of {}, asked {asked:?}, sets {:?}",
                        self.flushed[at],
                        self.acknowledged,
                        self.memory.sync.sets()
                    );
                }
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_takes_over_has_what_was_acknowledged(events in prop::collection::vec(event(), 20..60)) {
        let mut model = Model::new();
        for event in &events {
            model.step(event);
            model.check()?;
        }
    }
}

/// The property above is not true for want of anything that happens.
#[test]
fn left_alone_every_edit_settles_and_a_loss_is_survived() {
    let mut model = Model::new();
    let mut primaries = BTreeSet::new();
    for edit in [
        Event::Edit(true, 2, true),
        Event::Edit(true, 1, false),
        Event::Edit(true, 2, false),
    ] {
        model.step(&edit);
        for _ in 0..12 {
            for event in [Event::Write, Event::Pass, Event::Reload, Event::Wait(1)] {
                model.step(&event);
            }
            for at in 0..MEMBERS.len() {
                model.step(&Event::Flush(at, 9));
            }
        }
        assert!(model.memory.sync.is_settled(), "{:?}", model.memory.sync);
        let asked = vec![true; MEMBERS.len()];
        model.step(&Event::Lose((model.primary + 1) % MEMBERS.len(), asked));
        assert!(primaries.insert(model.primary), "somebody else took over");
        model
            .gone
            .keys()
            .copied()
            .collect::<Vec<_>>()
            .iter()
            .for_each(|at| model.step(&Event::Return(*at)));
    }
}
