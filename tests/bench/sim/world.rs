//! Many clusters on the simulated host, and their passes: the same functions in the same order as the agent calls them.

use std::cell::RefCell;

use reconciler::execute;
use reconciler::kinds::peers::Peers;
use reconciler::kinds::postgres::Postgres;
use reconciler::kinds::postgres::cluster::Cluster;
use reconciler::kinds::postgres::memory::Memory;
use reconciler::kinds::postgres::observe::Observed;
use reconciler::kinds::{Identity, Kind, Look, Scene};
use serde_json::json;

use super::SimHost;
use crate::Done;

/// Passes after which a cluster that is not at rest never will be.
const MAX_PASSES: usize = 60;

/// The host and its clusters.
pub struct World {
    host: SimHost,
    clusters: Vec<Resident>,
    now: i64,
}

struct Resident {
    wanted: Cluster,
    memory: Memory,
    observed: Observed,
}

impl World {
    /// A host with so many clusters of three members each, all of them healthy.
    pub async fn healthy(clusters: usize) -> Done<Self> {
        let mut world = World {
            host: SimHost::default(),
            clusters: Vec::new(),
            now: 1_000_000,
        };
        for number in 0..clusters {
            world.clusters.push(Resident {
                wanted: wanted(number, 1, 100)?,
                memory: Memory::default(),
                observed: Observed::default(),
            });
        }
        for resident in &mut world.clusters {
            resident.settle(&world.host, &mut world.now).await?;
            // Nothing here waits for anything, and an interruption shall be heard.
            tokio::task::yield_now().await;
        }
        world.host.is_crowded.set(true);
        Ok(world)
    }

    /// One pass over every cluster. They have nothing to do, or it is an error.
    pub async fn look_at_all(&mut self) -> Done<()> {
        for resident in &mut self.clusters {
            if !resident.pass(&self.host, self.now).await? {
                return Err(format!("{} is not at rest", resident.wanted.name).into());
            }
        }
        Ok(())
    }

    /// Passes of the first so many clusters until each is at rest again.
    pub async fn settle(&mut self, clusters: usize) -> Done<()> {
        for resident in self.clusters.iter_mut().take(clusters) {
            resident.settle(&self.host, &mut self.now).await?;
        }
        Ok(())
    }

    /// Edits a parameter of the first so many clusters that needs no restart.
    pub fn edit(&mut self, clusters: usize) -> Done<()> {
        for (number, resident) in self.clusters.iter_mut().take(clusters).enumerate() {
            let generation = resident.wanted.generation + 1;
            resident.wanted = wanted(number, generation, 100 + generation)?;
        }
        Ok(())
    }

    /// Kills a replica of the first so many clusters.
    pub fn kill(&mut self, clusters: usize) -> Done<()> {
        for resident in self.clusters.iter().take(clusters) {
            self.host.kill(&resident.wanted.container_name("replica-1"))?;
        }
        Ok(())
    }

    /// Removes a replica's container of the first so many clusters.
    pub fn remove(&mut self, clusters: usize) -> Done<()> {
        for resident in self.clusters.iter().take(clusters) {
            self.host.remove(&resident.wanted.container_name("replica-1"))?;
        }
        Ok(())
    }
}

impl Resident {
    /// Passes until it is at rest.
    async fn settle(&mut self, host: &SimHost, now: &mut i64) -> Done<()> {
        for _ in 0..MAX_PASSES {
            if self.pass(host, *now).await? {
                return Ok(());
            }
            *now += 1;
        }
        Err(format!("{} does not come to rest", self.wanted.name).into())
    }

    /// Looks, plans, tells and acts. Whether all is as it should be and nothing was left to do.
    async fn pass(&mut self, host: &SimHost, now: i64) -> Done<bool> {
        let (wanted, before) = (&self.wanted, &self.observed);
        let peers = Peers::default();
        let look = Look {
            deep: false,
            now,
            late_secs: 0,
            peers: &peers,
        };
        let observed = Postgres::observe(host, wanted, &self.memory, before, look).await?;
        let scene = Scene::<Postgres> {
            wanted,
            observed: &observed,
            memory: &self.memory,
            now,
            is_declared: true,
        };
        let plan = Postgres::plan(&scene);
        let is_ready = Postgres::status(&scene, &plan).is_ready();
        if !plan.is_idle() {
            let memory = RefCell::new(std::mem::take(&mut self.memory));
            let remember = |change: &_| {
                Postgres::apply(&mut memory.borrow_mut(), change);
                Ok(())
            };
            for chain in &plan.chains {
                if let Some((action, error)) = execute::chain(host, chain, async || Ok(()), remember, |_, _| {}).await {
                    return Err(format!("{}, {action}: {error}", wanted.name).into());
                }
            }
            self.memory = memory.into_inner();
        }
        self.observed = observed;
        Ok(is_ready && plan.is_idle())
    }
}

/// The quickstart's values.
fn wanted(number: usize, generation: u64, log_min_duration_ms: u64) -> Done<Cluster> {
    let identity = Identity {
        name: format!("pg-{number}"),
        uid: format!("{number:016x}"),
        generation,
    };
    let spec = json!({
        "image": "postgres:17",
        "replicas": 2,
        "parameters": {
            "wal_level": "replica",
            "max_wal_senders": "10",
            "shared_buffers": "256MB",
            "wal_keep_size": "1GB",
            "hot_standby": "on",
            "max_connections": "100",
            "shared_preload_libraries": "pg_stat_statements",
            "log_min_duration_statement": log_min_duration_ms.to_string(),
        },
        "databases": [{"name": "mydb", "extensions": ["pg_stat_statements"]}],
    });
    Ok(Postgres::wanted(identity, spec, &Default::default())?)
}
