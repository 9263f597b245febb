//! The lives of agents in a world, and what two of them see of each other.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use reconciler::agent::Agent;
use reconciler::agent::clock::Clock;
use reconciler::host::{AgentRead, Restraint};
use reconciler::model::claim::{Claim, Claimant, Liveness};
use reconciler::store::{SecretFiles, Store};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use super::host::SimHost;
use super::stage::{KEY, Stage};
use super::world::{EPOCH, World};

/// An agent of this world, as the others can tell it.
pub(super) fn claimant(number: usize) -> Claimant {
    Claimant {
        agent: format!("agent-{number}"),
        state_dir: format!("/state-{number}"),
        lock: format!("1:{number}"),
        ..Claimant::default()
    }
}

impl Stage {
    /// One life of an agent after the other, each on what the one before it left on disk.
    pub(super) async fn live(self: Rc<Self>, number: usize) {
        let clock = Clock::Runtime {
            start: self.host.start(),
            at: EPOCH,
        };
        let host = self.host.of(number);
        loop {
            let is_kept = |world: &mut World| world.agents[number].is_held || world.agents[number].is_restrained;
            while host.see(is_kept) {
                sleep(Duration::from_millis(50)).await;
            }
            let secrets = Rc::new(SecretFiles::new(Path::new("/nonexistent")));
            let store = Store::on(host.shelf(), claimant(number));
            let Ok(agent) = Agent::at(clock, host.clone(), store, (secrets, Vec::new())) else {
                return host.with(|world| world.violated("the agent does not start"));
            };
            self.agents[number].replace(Some(Rc::clone(&agent)));
            self.declare();
            host.with(|world| {
                world.tell("agent", || format!("{number} starts"));
                world.agents[number].lives = true;
            });
            let life = LocalSet::new();
            life.run_until(async {
                tokio::select! {
                    biased;
                    () = host.death() => {}
                    _ = agent.run() => {}
                }
            })
            .await;
            self.agents[number].replace(None);
            drop(life);
            let pause = host.with(|world| {
                if world.holder().is_none_or(|holder| holder == number) {
                    world.watch.glimpses.clear();
                    world.watch.told_beside.clear();
                }
                world.rng.between((50, 3000))
            });
            sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Somebody starts a second agent, with the same manifest and a state directory of its own.
    pub fn bring_rival(self: &Rc<Self>) {
        if !self.has_rival.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).live(1));
        }
    }

    /// Kills an agent and keeps it from being started, or does so no longer.
    pub fn hold(&self, number: usize, is_held: bool) {
        self.host.with(|world| world.agents[number].is_held = is_held);
        if is_held {
            self.host.of(number).crash();
        }
    }

    /// The agent that looks after the cluster.
    pub fn acting(&self) -> usize {
        self.host.see(|world| world.holder()).unwrap_or(0)
    }

    /// The agent that looks after the cluster dies.
    pub fn crash(&self) {
        self.host.of(self.acting()).crash();
    }

    /// Somebody asks an agent to take the cluster over. An agent that dies over it never answers.
    pub async fn take_over(&self, number: usize) {
        let key = (KEY.0.to_owned(), KEY.1.to_owned());
        let runner = self.agents[number]
            .borrow()
            .as_ref()
            .and_then(|agent| agent.runner(&key));
        let Some(runner) = runner else {
            return;
        };
        let answer = timeout(Duration::from_secs(30), runner.take_over(false)).await;
        self.host.with(|world| {
            world.tell("user", || format!("has agent {number} take over: {answer:?}"));
            if matches!(&answer, Ok(Ok(_))) && world.holder() == Some(number) {
                // What was remembered is lost with the other agent.
                world.give_up_beside_a_second_writer();
                world.watch.stopped_by_ours = None;
                world.watch.glimpses.clear();
            }
        });
    }
}

impl AgentRead for SimHost {
    async fn agent(&self, _: &Claimant, _: &Claim, _: (&str, &str)) -> (Liveness, Restraint) {
        let Some(other) = self.see(|world| world.holder()) else {
            return (Liveness::Gone, Restraint::default());
        };
        if self.see(|world| world.agents[other].lives) {
            return (Liveness::Alive("it runs".to_owned()), Restraint::default());
        }
        if self.of(other).shelf().is_empty() {
            return (Liveness::Gone, Restraint::default());
        }
        self.see(|world| world.agents[other].is_restrained = true);
        (Liveness::Stopped, Restraint::by(Hand(self.of(other))))
    }
}

/// Keeps an agent from being started.
struct Hand(SimHost);

impl Drop for Hand {
    fn drop(&mut self) {
        self.0.see(|world| world.agents[self.0.number()].is_restrained = false);
    }
}
