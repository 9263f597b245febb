//! Who is dead and who is only slow, at the edges of what counts as a proof.

use super::world::{NOW, World};
use crate::kinds::peers::{Face, Peer, Peers};
use crate::kinds::postgres::face;
use crate::kinds::postgres::memory::Starts;
use crate::kinds::postgres::observe;
use crate::kinds::postgres::observe::pulse::{self, Pulse, Sign};
use crate::model::Seen;
use crate::model::container::Health;
use crate::model::postgres::{ControlState, Down};
use crate::model::process::{Pressure, ProcessState, Switches, Vitals};

pub fn vitals() -> Vitals {
    Vitals {
        born: 7,
        processes: 6,
        cpu_ms: 400,
        switches: Some(Switches { main: 3, all: 30 }),
        pressure: Some(Pressure::default()),
        ..Vitals::default()
    }
}

/// What enough looks over some seconds have shown of processes that do not change.
pub fn still_for(secs: i64, vitals: &Vitals) -> Pulse {
    let sign = Sign {
        vitals: vitals.clone(),
        control: None,
        log: String::new(),
    };
    let mut pulse = pulse::next(None, sign.clone(), NOW - secs);
    for _ in 0..5 {
        pulse = pulse::next(Some(&pulse), sign.clone(), NOW - secs / 2);
    }
    pulse
}

impl World {
    /// A member that has been silent for long and is unhealthy, and what looks at its processes have shown.
    pub fn silent(mut self, member: &str, pulse: Pulse) -> World {
        self = self.down(member, Down::NoAnswer, "timeout");
        self = self.container(member, |c| c.health = Health::Unhealthy);
        self = self.since(&observe::no_answer(member), 600);
        self = self.seen(member, |seen| seen.sign = Some(pulse.last.clone()));
        self.observed.pulses.insert(member.to_owned(), pulse);
        self
    }
}

fn plan(secs: i64, vitals: &Vitals) -> String {
    World::new(0).healthy().silent("master", still_for(secs, vitals)).plan()
}

fn is_killed(secs: i64, change: impl FnOnce(&mut Vitals)) -> bool {
    let mut vitals = vitals();
    change(&mut vitals);
    plan(secs, &vitals).contains("SIGKILL")
}

#[test]
fn a_server_that_does_not_move_for_long_enough_is_killed() {
    insta::assert_snapshot!(plan(30, &vitals()), @"master: send SIGKILL, because its health check fails, it has not answered for 600 s (timeout), and none of its 6 processes has moved for 30 s");
    insta::assert_snapshot!(plan(29, &vitals()), @"master: waiting, its server does not answer (timeout); it has not moved at the last 5 looks, it gets 0.00 CPUs, the host waits for a CPU 0 %, for a disk 0 %, for memory 0 % of the time");
    let healthy = World::new(0).healthy().silent("master", still_for(600, &vitals()));
    let healthy = healthy.container("master", |c| c.health = Health::Pending);
    assert!(!healthy.plan().contains("SIGKILL"), "its health check does not fail");
    let unseen = World::new(0).healthy().silent("master", still_for(600, &vitals()));
    let unseen = unseen.seen("master", |seen| seen.sign = None);
    assert!(!unseen.plan().contains("SIGKILL"), "what was seen earlier is no news");
}

#[test]
fn the_time_that_a_proof_takes_grows_with_the_hosts_load() {
    let pressed = |cpu: u8, secs| {
        is_killed(secs, |vitals| {
            vitals.pressure = Some(Pressure {
                cpu,
                ..Pressure::default()
            })
        })
    };
    assert!(!pressed(50, 74) && pressed(50, 75));
    assert!(!pressed(100, 119) && pressed(100, 120));
    let unknown = |secs| is_killed(secs, |vitals| vitals.pressure = None);
    assert!(!unknown(119) && unknown(120), "another host's load is not known");
    let by_ps = |secs| is_killed(secs, |vitals| vitals.switches = None);
    assert!(!by_ps(59) && by_ps(60), "seconds are not much to go by");
}

#[test]
fn whoever_waits_for_something_is_alive() {
    for secs in [30, 600, 60_000] {
        assert!(
            !is_killed(secs, |v| (v.runnable, v.main_waits) = (1, true)),
            "it waits for a CPU"
        );
        assert!(
            !is_killed(secs, |v| (v.in_disk_sleep, v.main_waits) = (1, true)),
            "it waits for a disk"
        );
        assert!(!is_killed(secs, |v| v.is_frozen = true), "a kill would not end it");
    }
    assert!(
        !is_killed(59, |v| v.runnable = 1),
        "one of its sessions waits for a CPU"
    );
}

#[test]
fn a_recovery_that_moves_is_left_to_it_though_the_main_process_does_not_answer() {
    let mut recovering = vitals();
    recovering.runnable = 1;
    for (state, is_killed) in [
        (ControlState::InCrashRecovery, false),
        (ControlState::Startup, false),
        (ControlState::InProduction, true),
    ] {
        let mut pulse = still_for(600, &recovering);
        pulse.last.control = Some(super::world::control(state, super::world::HERE, 1));
        let world = World::new(0).healthy().silent("master", pulse);
        assert_eq!(world.plan().contains("SIGKILL"), is_killed, "{state:?}");
    }
}

#[test]
fn a_busy_server_is_said_to_be_slow_and_why() {
    let mut busy = vitals();
    busy.runnable = 81;
    busy.main_waits = true;
    busy.pressure = Some(Pressure {
        cpu: 40,
        io: 3,
        memory: 0,
    });
    let first = still_for(0, &busy);
    let mut later = first.last.clone();
    later.vitals.cpu_ms += 1_500;
    later.vitals.throttled_ms += 4_600;
    later.vitals.switches = Some(Switches { main: 4, all: 90 });
    let pulse = pulse::next(Some(&first), later, NOW + 5);
    let world = World::new(0).healthy().silent("master", pulse);
    insta::assert_snapshot!(world.plan(), @"master: waiting, it is alive but slow: it gets 0.30 CPUs, its CPU limit holds it back 92 % of the time, 81 of its processes run or wait for a CPU, the host waits for a CPU 40 %, for a disk 3 %, for memory 0 % of the time (timeout)");
}

#[test]
fn a_main_process_that_nobody_wakes_is_dead_though_others_move() {
    let pulse = |secs| {
        let mut first = still_for(secs, &vitals());
        first.last.vitals.switches = Some(Switches { main: 3, all: 20 });
        pulse::next(Some(&first), still_for(0, &vitals()).last, NOW)
    };
    let world = |secs| World::new(0).healthy().silent("master", pulse(secs));
    assert!(!world(59).plan().contains("SIGKILL"));
    insta::assert_snapshot!(world(60).plan(), @"master: send SIGKILL, because its health check fails, it has not answered for 600 s (timeout), and its main process, which makes sessions, has not moved for 60 s");
    let cut_off = world(600).container("master", |c| c.networks.values_mut().for_each(String::clear));
    assert!(!cut_off.plan().contains("SIGKILL"), "nobody could wake it");
}

#[test]
fn a_stopped_process_is_killed_sooner_than_its_health_check_fails() {
    let silent = |vitals: Vitals, secs| {
        let world = World::new(1).healthy().silent("master", still_for(0, &vitals));
        let world = world.container("master", |c| c.health = Health::Healthy);
        world.since(&observe::no_answer("master"), secs).plan()
    };
    let stopped = Vitals {
        main: ProcessState::Stopped,
        ..vitals()
    };
    insta::assert_snapshot!(silent(stopped.clone(), 2), @"master: send SIGKILL, because its process is stopped (SIGSTOP) and it has not answered for 2 s (timeout)");
    assert!(!silent(stopped, 1).contains("SIGKILL"));
    assert!(!silent(vitals(), 9).contains("SIGKILL"));
}

#[test]
fn dead_members_are_killed_one_at_a_time_and_replicas_first() {
    let dead = || {
        let mut world = World::new(2).healthy();
        for member in ["master", "replica-1", "replica-2"] {
            world = world.silent(member, still_for(60, &vitals()));
        }
        world
    };
    let killed = |world: World| -> Vec<String> {
        let plan = world.plan();
        let lines = plan.lines().filter(|line| line.contains("send SIGKILL"));
        lines
            .map(|line| line.split(':').next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(killed(dead()), ["replica-1"]);
    let started = |ago: i64, count| {
        let world = dead().down("replica-1", Down::StartingUp, "it recovers");
        world.remember(|memory| {
            let starts = Starts { count, last: NOW - ago };
            memory.starts.insert("replica-1".to_owned(), starts);
        })
    };
    assert!(killed(started(59, 1)).is_empty(), "it has to come up first");
    assert_eq!(killed(started(60, 1)), ["replica-2"], "it may never do");
    assert_eq!(killed(started(5, 3)), ["replica-2"], "it does not");
    let mut one_left = World::new(2).healthy().silent("master", still_for(60, &vitals()));
    assert_eq!(killed(one_left.clone()), ["master"]);
    one_left.observed.mends_first = Some("other".to_owned());
    assert!(killed(one_left.clone()).is_empty());
    assert!(one_left.plan().contains("cluster other goes first"));
    let mut long_ago = World::new(2).healthy().silent("master", still_for(150, &vitals()));
    long_ago.observed.mends_first = Some("other".to_owned());
    assert_eq!(killed(long_ago), ["master"], "its turn may never come");
}

#[test]
fn clusters_take_turns() {
    let peer = |name: &str, is_mending, has_dead| Peer {
        kind: "PostgresCluster",
        name: name.to_owned(),
        labels: std::collections::BTreeMap::new(),
        is_leaving: false,
        face: Seen::Known(Face {
            is_mending,
            has_dead,
            ..Face::default()
        }),
    };
    let first = |peers: Vec<Peer>| face::mends_first(&Peers(peers), "pg");
    assert_eq!(first(vec![peer("a", false, false)]), None);
    assert_eq!(first(vec![peer("a", false, true)]).as_deref(), Some("a"));
    assert_eq!(first(vec![peer("z", false, true)]), None, "it comes after this one");
    assert_eq!(
        first(vec![peer("z", true, true)]).as_deref(),
        Some("z"),
        "it is at it already"
    );
}

#[test]
fn a_slow_replica_keeps_its_names_and_a_dead_one_does_not() {
    let mut busy = vitals();
    busy.runnable = 9;
    let leaves = |world: World| world.plan().contains("replica-1: disconnect");
    let slow = || World::new(1).healthy().silent("replica-1", still_for(0, &busy));
    assert!(leaves(slow()), "the primary does not stream to it");
    let streams = |world: World| {
        world.facts("master", |facts| {
            facts.standbys.insert("replica-1".to_owned(), super::world::standby());
        })
    };
    assert!(!leaves(streams(slow())));
    let stopped = Vitals {
        main: ProcessState::Stopped,
        ..vitals()
    };
    let frozen = World::new(1).healthy().silent("replica-1", still_for(0, &stopped));
    assert!(leaves(streams(frozen)), "its stream has not been missed yet");
    let all_slow = slow().silent("master", still_for(0, &busy));
    assert!(!leaves(all_slow), "nobody can tell, and it moves");
}

#[test]
fn a_target_that_is_only_slow_is_not_cut_off_by_a_promotion() {
    let mut busy = vitals();
    busy.runnable = 9;
    let silent = |requested: bool, state: Option<ControlState>| {
        let mut pulse = still_for(0, &busy);
        pulse.last.control = state.map(|state| super::world::control(state, super::world::HERE, 1));
        let world = World::new(1).healthy().stop("master").promoting("replica-1");
        let world = world.silent("replica-1", pulse);
        world.remember(|memory| memory.promotion.iter_mut().for_each(|p| p.requested = requested))
    };
    let standby = Some(ControlState::InArchiveRecovery);
    assert!(silent(false, standby).plan().contains("master stays the primary"));
    for world in [silent(true, standby), silent(false, None), silent(true, None)] {
        let plan = world.plan();
        assert!(
            !plan.contains("SIGKILL") && plan.contains("whether it was promoted cannot be told yet"),
            "{plan}"
        );
    }
}
