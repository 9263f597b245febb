//! Worlds as odd as they come, for the properties.

use proptest::prelude::*;

use super::world::{HERE, SYSTEM, World, control, slot};
use crate::kinds::postgres::memory::Retired;
use crate::kinds::postgres::observe;
use crate::model::container::{Health, RunState};
use crate::model::postgres::{Control, ControlState, Down, Server};
use crate::model::{Lsn, Seen};

/// Two that are always there, and two that may be beyond the count.
pub const MEMBERS: [&str; 4] = ["master", "replica-1", "replica-2", "replica-5"];

fn run_state() -> impl Strategy<Value = RunState> {
    prop_oneof![
        4 => Just(RunState::Running),
        3 => Just(RunState::Exited),
        1 => Just(RunState::Created),
        1 => Just(RunState::Paused),
        1 => Just(RunState::Between),
    ]
}

fn control_seen() -> impl Strategy<Value = Seen<Control>> {
    let states = prop::sample::select(vec![
        ControlState::Startup,
        ControlState::ShutDown,
        ControlState::ShutDownInRecovery,
        ControlState::ShuttingDown,
        ControlState::InCrashRecovery,
        ControlState::InArchiveRecovery,
        ControlState::InProduction,
    ]);
    let known = (states, 0x4f0_u64..0x510, 1_u32..4, foreign()).prop_map(|(state, lsn, timeline, system)| {
        let mut control = control(state, Lsn(lsn), timeline);
        control.system_identifier = system;
        Seen::Known(control)
    });
    prop_oneof![
        6 => known,
        1 => Just(Seen::Absent),
        1 => Just(Seen::Unknown("it cannot be read".to_owned())),
    ]
}

fn foreign() -> impl Strategy<Value = u64> {
    prop_oneof![9 => Just(SYSTEM), 1 => Just(SYSTEM + 1)]
}

fn down() -> impl Strategy<Value = Down> {
    prop::sample::select(vec![
        Down::NotRunning,
        Down::StartingUp,
        Down::ShuttingDown,
        Down::PasswordRejected,
        Down::PasswordUnknown,
        Down::Errors,
        Down::NoAnswer,
    ])
}

/// What is odd about one member.
#[derive(Debug, Clone)]
struct Odd {
    state: RunState,
    exit_code: i64,
    answers: Option<(bool, u32, u64, u64)>,
    down: Down,
    control: Seen<Control>,
    role: Seen<String>,
    presence: u8,
    generation: u32,
    silent: Option<i64>,
    unhealthy: bool,
    lost_slot: bool,
}

fn odd() -> impl Strategy<Value = Odd> {
    let answers = prop::option::weighted(0.7, (any::<bool>(), 1_u32..4, 0x4f0_u64..0x510, foreign()));
    let role = prop_oneof![
        Just(Seen::Known("primary".to_owned())),
        Just(Seen::Known("replica".to_owned())),
        Just(Seen::Absent),
        Just(Seen::Unknown("it cannot be read".to_owned())),
    ];
    let seen = (run_state(), answers, down(), control_seen(), role);
    let exit_code = prop::sample::select(vec![0_i64, 1, 79, 80, 81, 137]);
    let rest = (
        exit_code,
        0_u8..8,
        1_u32..3,
        prop::option::of(0_i64..100),
        any::<bool>(),
        any::<bool>(),
    );
    (seen, rest).prop_map(|((state, answers, down, control, role), rest)| Odd {
        state,
        exit_code: rest.0,
        answers,
        down,
        control,
        role,
        presence: rest.1,
        generation: rest.2,
        silent: rest.3,
        unhealthy: rest.4,
        lost_slot: rest.5,
    })
}

fn apply(mut world: World, member: &str, odd: &Odd) -> World {
    let primary = world.memory.primary.clone().unwrap_or_default();
    if !world.observed.members.contains_key(member) {
        world = world.add(member);
    }
    world.memory.generations.insert(member.to_owned(), odd.generation);
    world = world
        .container(member, |c| {
            c.state = odd.state;
            c.exit_code = odd.exit_code;
            c.health = if odd.unhealthy {
                Health::Unhealthy
            } else {
                Health::Healthy
            };
        })
        .seen(member, |seen| {
            seen.role = odd.role.clone();
            match odd.answers.filter(|_| odd.state == RunState::Running) {
                Some((in_recovery, timeline, lsn, system)) => {
                    if let Server::Up(facts) = &mut seen.server {
                        facts.in_recovery = in_recovery;
                        facts.timeline = timeline;
                        facts.lsn = Lsn(lsn);
                        facts.system_identifier = system;
                        facts.receiver_streaming = odd.silent.is_none();
                        facts.history = vec![(1, HERE)];
                    }
                }
                None => seen.server = Server::Down(odd.down, "it does not answer".to_owned()),
            }
            if matches!(odd.state, RunState::Exited | RunState::Created) {
                seen.control = odd.control.clone();
            }
        });
    if odd.lost_slot {
        world = world.facts(&primary, |facts| {
            facts.slots.insert(member.replace('-', "_"), slot("lost", false));
        });
    }
    if let Some(secs) = odd.silent {
        world = world.since(&observe::no_answer(member), secs);
        world = world.since(&observe::not_streaming(member), secs);
    }
    match odd.presence {
        0 => world.remove(member),
        1 => world.lose(member),
        _ => world,
    }
}

/// A cluster in which anything may be odd: states, answers, control files, the record.
pub fn worlds() -> impl Strategy<Value = World> {
    let members = prop::collection::vec(prop::option::weighted(0.6, odd()), MEMBERS.len());
    let record = (
        prop::option::weighted(0.9, prop::sample::select(MEMBERS.to_vec())),
        prop::option::weighted(0.9, Just(SYSTEM)),
        prop::option::weighted(0.4, (prop::sample::select(MEMBERS.to_vec()), any::<bool>(), 0_i64..60)),
        prop::collection::vec((prop::sample::select(MEMBERS.to_vec()), any::<bool>()), 0..3),
    );
    (0_u32..4, members, record, 0_u8..6).prop_map(|(replicas, odds, record, image)| {
        let (primary, system, promotion, retired) = record;
        let mut world = World::new(replicas).healthy_with(primary.unwrap_or("master"));
        for (member, odd) in MEMBERS.iter().zip(&odds) {
            world = odd.iter().fold(world, |world, odd| apply(world, member, odd));
        }
        if let Some((to, forced, ago)) = promotion {
            world = world.promoting(to).later(ago);
            world.memory.promotion = world.memory.promotion.filter(|p| p.from != p.to);
            world = if forced { world.forced() } else { world };
            // Sent or not, automatic or not: by the age, so that every mixture comes up.
            world.memory.promotion.iter_mut().for_each(|p| {
                p.requested = ago % 3 == 0;
                p.automatic = forced && ago % 2 == 0;
            });
        }
        for (member, proved_copy) in retired {
            let retired = Retired {
                member: member.to_owned(),
                reason: "it was replaced".to_owned(),
                proved_copy,
                ..Retired::default()
            };
            world.memory.retired.insert(format!("pg-{member}-g1"), retired);
        }
        world.memory.primary = primary.map(str::to_owned);
        world.memory.system_identifier = system;
        match image {
            0 => world.see_image(Seen::Absent),
            1 => world.see_image(Seen::Unknown("the engine timed out".to_owned())),
            _ => {}
        }
        world
    })
}
