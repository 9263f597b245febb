//! The simulated world of the scenarios from seeds, in which nothing goes wrong by itself.

use std::time::Duration;

use crate::ground::{Blow, Ground, Host, cluster};
use crate::sim::accidents::Accident;
use crate::sim::engine::observed;
use crate::sim::host::SimHost;
use crate::sim::rng::Rng;
use crate::sim::world::{Pace, World};
use reconciler::model::container::NamedSpec;
use tokio::task::LocalSet;
use tokio::time::sleep;

/// How often somebody who waits looks again.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Plays a scenario.
pub fn on(play: impl AsyncFnOnce(&Ground<SimHost>)) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let mut world = World::new(Rng::new(1), Pace::CALM, false);
        world.clients.are_idle = true;
        let host = SimHost::new(world);
        let pumped = host.clone();
        tokio::task::spawn_local(async move { pumped.pump(|| {}).await });
        let ground = Ground {
            cluster: cluster("pg", "postgres:17"),
            host,
        };
        play(&ground).await;
    });
}

impl Host for SimHost {
    async fn befall(&self, container: &str, blow: Blow) {
        let accident = match blow {
            Blow::Kill => Accident::Killed,
            Blow::Pause => Accident::Paused,
            Blow::Freeze => Accident::Frozen,
        };
        self.with(|world| {
            let at = world.find(container).expect("there is a container");
            world.befall(at, accident);
        });
    }

    async fn write(&self, container: &str, rows: u64) {
        let before = self.see(|world| world.clients.rows);
        self.with(|world| {
            let at = world.find(container).expect("there is a container");
            for _ in 0..rows {
                world.insert(at);
            }
        });
        while self.see(|world| world.clients.rows) < before + rows {
            sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn rows(&self, container: &str) -> u64 {
        self.see(|world| world.find(container).map_or(0, |at| world.rows(at)))
    }

    async fn twin(&self, network: &NamedSpec) {
        self.with(|world| world.add_network(observed(network)));
    }

    async fn rest(&self, time: Duration) {
        sleep(time).await;
    }
}
