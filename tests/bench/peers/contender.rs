//! Who takes part: this product, the bare recipe, and the peers.

use std::time::Instant;

use futures_util::future::try_join;
use rustix::process::{Pid, Signal, kill_process};

use crate::Done;
use crate::bare::Pair;
use crate::clients::{Clients, RoleName, Rows};
use crate::docker::docker;
use crate::engine;
use crate::live::{Live, MEMBERS};
use crate::members;
use crate::meter;
use crate::peer::Peer;
use crate::place::Place;
use crate::sql::Address;

/// What happens to a cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The primary's role is moved on request.
    Switchover,
    /// The primary's container is killed.
    PrimaryKilled,
    /// A replica's container is killed.
    ReplicaKilled,
    /// The primary's container and its volume are gone.
    PrimaryGone,
}

/// What an event came to.
pub struct Outcome {
    /// Each client's longest time without an acknowledged row, in milliseconds.
    pub outages: Vec<f64>,
    /// Until every replica streams, in milliseconds.
    pub streams: f64,
    /// Acknowledged rows that are not there any more.
    pub lost: usize,
}

/// Who keeps the cluster.
pub enum Keeper<'a> {
    /// This product.
    Agent(Live<'a>),
    /// Somebody who runs commands, at once and without looking.
    Bare(Pair<'a>),
    /// Another product.
    Peer(Peer),
}

/// One who takes part.
pub struct Contender<'a> {
    /// Its name in the tables.
    pub name: &'static str,
    /// Who keeps its cluster.
    pub keeper: Keeper<'a>,
    /// What its clients wrote.
    pub rows: Rows,
}

impl Contender<'_> {
    /// Whether something can happen to it.
    pub fn takes(&self, event: Event) -> bool {
        match event {
            Event::Switchover | Event::PrimaryKilled | Event::ReplicaKilled => true,
            Event::PrimaryGone => matches!(self.keeper, Keeper::Agent(_)),
        }
    }

    /// Waits until nothing is left to do.
    pub async fn settle(&self) -> Done<()> {
        match &self.keeper {
            Keeper::Agent(live) => live.settle().await.map(drop),
            Keeper::Bare(pair) => members::wait_for_streams(&pair.addresses(), None).await.map(drop),
            Keeper::Peer(peer) => peer.settle().await,
        }
    }

    /// Where the members are reached.
    pub fn addresses(&self) -> Done<Vec<Address>> {
        match &self.keeper {
            Keeper::Agent(live) => MEMBERS.into_iter().map(|member| live.address(member)).collect(),
            Keeper::Bare(pair) => Ok(pair.addresses()),
            Keeper::Peer(peer) => Ok(peer.addresses()),
        }
    }

    /// What its controllers hold of memory, in MB.
    pub async fn controllers_mb(&self) -> Done<Option<f64>> {
        match &self.keeper {
            Keeper::Agent(live) => meter::proportional_mb(live.process).map(Some),
            Keeper::Bare(_) => Ok(None),
            Keeper::Peer(peer) => peer.controllers_mb().await.map(Some),
        }
    }

    /// Lets an event happen while clients write.
    pub async fn undergo(&mut self, place: &Place, event: Event) -> Done<Outcome> {
        self.settle().await?;
        let addresses = self.addresses()?;
        let (primary, client) = members::wait_for_streams(&addresses, None).await?;
        let role = self.role_name(&addresses[primary]);
        let clients = Clients::start(place, &addresses, role.as_ref(), &self.rows).await?;
        let begin = Instant::now();
        let streams = match event {
            Event::Switchover => self.switch_over(&addresses, primary, &clients).await?,
            Event::PrimaryKilled => self.kill(&addresses, primary, &clients).await?,
            Event::PrimaryGone => self.make_vanish(&addresses, primary).await?,
            Event::ReplicaKilled => {
                let before = members::streams(&client).await?;
                self.kill_and_start((primary + 1) % addresses.len()).await?;
                members::wait_for_new_stream(&client, &before).await?;
                begin.elapsed()
            }
        };
        clients.wait().await?;
        let (_, client) = members::wait_for_streams(&addresses, None).await?;
        let (outages, lost) = clients.end(begin, &client, &mut self.rows).await?;
        Ok(Outcome {
            outages,
            streams: streams.as_secs_f64() * 1e3,
            lost,
        })
    }

    fn role_name(&self, primary: &Address) -> Option<RoleName> {
        let Keeper::Agent(live) = &self.keeper else {
            return None;
        };
        Some(RoleName {
            network: format!("{}-svc", live.place.name),
            host: format!("{}-rw", live.place.name),
            password: primary.password.clone(),
        })
    }

    async fn switch_over(
        &mut self,
        addresses: &[Address],
        from: usize,
        clients: &Clients,
    ) -> Done<std::time::Duration> {
        let begin = Instant::now();
        let follow = async {
            members::wait_for_streams(addresses, Some(from)).await?;
            Ok(begin.elapsed())
        };
        match &mut self.keeper {
            Keeper::Agent(live) => {
                let target = MEMBERS[(from + 1) % MEMBERS.len()];
                let command = ["promote", target, "--cluster", &live.place.name];
                Ok(try_join(live.command(&command), follow).await?.1)
            }
            Keeper::Bare(pair) => {
                pair.switch_over().await?;
                clients.wait().await?;
                pair.restore().await?;
                follow.await
            }
            Keeper::Peer(peer) => Ok(try_join(peer.switch_over(from), follow).await?.1),
        }
    }

    /// Kills the primary's container. A peer's is started again when another one writes: sooner would be in its way.
    async fn kill(&self, addresses: &[Address], primary: usize, clients: &Clients) -> Done<std::time::Duration> {
        let begin = Instant::now();
        if let Keeper::Peer(peer) = &self.keeper {
            peer.kill(primary).await?;
            clients.wait().await?;
            peer.start(primary).await?;
        } else {
            self.kill_and_start(primary).await?;
        }
        members::wait_for_streams(addresses, None).await?;
        Ok(begin.elapsed())
    }

    /// Kills a member's container. Where nobody else does it, it is started at once.
    async fn kill_and_start(&self, member: usize) -> Done<()> {
        match &self.keeper {
            Keeper::Agent(live) => {
                let container = live.container(MEMBERS[member]);
                engine::signal(&live.place.engine, &container, "SIGKILL").await
            }
            Keeper::Bare(pair) => pair.kill_and_start(member).await,
            Keeper::Peer(peer) => {
                peer.kill(member).await?;
                peer.start(member).await
            }
        }
    }

    /// Takes the primary's container and its volume away. The agent sleeps meanwhile, so that it does not make a
    /// container between the two.
    async fn make_vanish(&self, addresses: &[Address], primary: usize) -> Done<std::time::Duration> {
        let Keeper::Agent(live) = &self.keeper else {
            return Err("only the agent's primary is made to vanish".into());
        };
        let begin = Instant::now();
        let status = live.cluster().await?.status;
        let member = status.members.iter().find(|member| member.name == MEMBERS[primary]);
        let volume = member.ok_or("the primary has no status")?.volume.clone();
        let agent = i32::try_from(live.process)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or("the agent is gone")?;
        kill_process(agent, Signal::STOP)?;
        let gone = async {
            docker(&["rm", "-f", &live.container(MEMBERS[primary])]).await?;
            docker(&["volume", "rm", &volume]).await
        };
        let gone = gone.await;
        kill_process(agent, Signal::CONT)?;
        gone?;
        members::wait_for_streams(addresses, Some(primary)).await?;
        Ok(begin.elapsed())
    }
}
