//! A small world to plan in: a cluster, what is seen of it and what is remembered. It starts out empty or healthy; the
//! stories then break one thing each.

use std::collections::BTreeMap;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::super::cluster::Cluster;
use super::super::super::desired::{self, Role, WATCHED};
use super::super::super::memory::{Change, Memory, Promotion};
use super::super::super::observe::{self, MemberSeen, Observed};
use super::super::super::spec::{PostgresCluster, Scalar};
use super::super::{View, plan};
use super::parts::{container, facts, floor, seen};
pub use super::parts::{control, image, login, slot, standby};
use crate::model::container::{ContainerObserved, Disk, Health, ImageFacts, Neighbour, RunState};
use crate::model::plan::Plan;
use crate::model::postgres::{Control, ControlState, Down, PgFacts, Server};
use crate::model::{Lsn, Seen};

pub const NOW: i64 = 1_000_000;
pub const SYSTEM: u64 = 7_001;
/// Where everybody's log stands in a healthy world.
pub const HERE: Lsn = Lsn(0x500);

#[derive(Debug, Clone)]
pub struct World {
    pub cluster: Cluster,
    pub observed: Observed,
    pub memory: Memory,
    pub now: i64,
}

impl World {
    /// A manifest, an image, and nothing else.
    pub fn new(replicas: u32) -> Self {
        let spec = serde_json::from_value(json!({"image": "postgres:17", "replicas": replicas})).expect("a valid spec");
        let mut observed = Observed::default();
        observed.objects.holders = Seen::Known(Vec::new());
        observed.objects.disk = Seen::Known(Disk {
            path: "/var/lib/docker/volumes".to_owned(),
            free_bytes: 100 << 30,
            total_bytes: 200 << 30,
        });
        let mut world = World {
            cluster: Cluster::new("pg", "uid-1", 1, spec).expect("a valid cluster"),
            observed,
            memory: Memory::default(),
            now: NOW,
        };
        world.see_image(Seen::Known(image()));
        world
    }

    /// What the engine says of the manifest's image.
    pub fn see_image(&mut self, seen: Seen<ImageFacts>) {
        let reference = self.cluster.spec.image.clone();
        self.observed.objects.images.insert(reference, seen);
    }

    /// All is as it should be, and `master` is the primary.
    pub fn healthy(self) -> Self {
        self.healthy_with("master")
    }

    pub fn healthy_with(mut self, primary: &str) -> Self {
        self.memory.primary = Some(primary.to_owned());
        self.memory.system_identifier = Some(SYSTEM);
        self.memory.term = 1;
        self.memory.accepted = Some(self.cluster.settings());
        self.memory.extensions_generation = self.cluster.generation;
        self.observed.objects.networks = vec![
            seen(desired::network(&self.cluster)),
            seen(desired::service_network(&self.cluster)),
        ];
        let members = self.cluster.members(Some(primary));
        for member in &members {
            self = self.add(member);
        }
        self.memory.floor = floor();
        self.memory.slots_of = members.iter().cloned().collect();
        self.memory.high_water = Some((1, HERE));
        self.observed.high_water = Some((1, HERE));
        self.refresh()
    }

    /// A member that runs and does what the record says.
    pub fn add(mut self, member: &str) -> Self {
        let generation = self.memory.generation(member);
        let volume = seen(desired::volume(&self.cluster, member, generation, &image()));
        self.observed.objects.volumes.push(volume);
        let address = format!("10.0.0.{}", self.observed.objects.containers.len() + 1);
        let primary = self.memory.primary.clone().unwrap_or_default();
        let mut container = container(&self.cluster, member, generation, &address);
        let routes = if member == primary { ["rw", "r"] } else { ["ro", "r"] };
        let names = routes.map(|route| self.cluster.route_name(route));
        let service = self.cluster.service_network_name();
        container.aliases.insert(service, names.into());
        self.observed.objects.containers.push(container);
        let mut facts = facts(&self.cluster, member != primary);
        if member == primary {
            for replica in self.cluster.members(Some(&primary)).iter().filter(|m| **m != primary) {
                facts.standbys.insert(replica.clone(), standby());
                facts.slots.insert(replica.replace('-', "_"), slot("reserved", true));
            }
        }
        let answered = MemberSeen {
            server: Server::Up(Box::new(facts)),
            control: Seen::default(),
            role: Seen::default(),
            damage: None,
            log: String::new(),
            sign: None,
            log_unreadable: None,
            settings: None,
            tablespaces: Seen::Known(BTreeMap::new()),
        };
        self.observed.members.insert(member.to_owned(), answered);
        self
    }

    /// Lets every answering member have the files that it is to have now.
    pub fn refresh(mut self) -> Self {
        let names: Vec<String> = self.observed.members.keys().cloned().collect();
        for member in names {
            let hashes = self.hashes(&member);
            self = self.facts(&member, |facts| facts.file_hashes = hashes);
        }
        self
    }

    fn hashes(&self, member: &str) -> BTreeMap<String, String> {
        let is_primary = self.memory.primary.as_deref() == Some(member);
        let role = if is_primary { Role::Primary } else { Role::Replica };
        let files = self.view().files(member, role);
        let watched = files.iter().filter(|f| WATCHED.contains(&f.name.as_str()));
        watched
            .map(|file| {
                let digest = Sha256::digest(file.text.as_bytes());
                let hex = digest.iter().map(|b| format!("{b:02x}")).collect();
                (file.name.clone(), hex)
            })
            .collect()
    }

    /// An edit of the manifest.
    pub fn edit(mut self, change: impl FnOnce(&mut PostgresCluster)) -> Self {
        let mut spec = self.cluster.spec.clone();
        let image = self.observed.objects.image(&spec.image).clone();
        change(&mut spec);
        self.cluster = Cluster::new("pg", "uid-1", self.cluster.generation + 1, spec).expect("a valid cluster");
        self.memory.extensions_generation = self.cluster.generation;
        self.see_image(image);
        self
    }

    pub fn parameter(self, name: &str, value: &str) -> Self {
        self.edit(|spec| {
            spec.parameters.insert(name.to_owned(), Scalar(value.to_owned()));
        })
    }

    pub fn remember(mut self, change: impl FnOnce(&mut Memory)) -> Self {
        change(&mut self.memory);
        self
    }

    /// The configuration of the manifest was checked.
    pub fn accepted(self) -> Self {
        let settings = self.cluster.settings();
        self.remember(|memory| memory.accepted = Some(settings))
    }

    pub fn facts(mut self, member: &str, change: impl FnOnce(&mut PgFacts)) -> Self {
        if let Some(Server::Up(facts)) = self.observed.members.get_mut(member).map(|m| &mut m.server) {
            change(facts);
            if self.memory.primary.as_deref() == Some(member) {
                // What an earlier pass would have noted down.
                self.observed.high_water = Some((facts.timeline, facts.lsn));
                self.memory.high_water = self.observed.high_water;
            }
        }
        self
    }

    pub fn container(mut self, member: &str, change: impl FnOnce(&mut ContainerObserved)) -> Self {
        let name = self.cluster.container_name(member);
        let found = self.observed.objects.containers.iter_mut().find(|c| c.name == name);
        change(found.expect("the member has a container"));
        self
    }

    pub fn seen(mut self, member: &str, change: impl FnOnce(&mut MemberSeen)) -> Self {
        change(self.observed.members.get_mut(member).expect("the member was seen"));
        self
    }

    /// Its process ended with an exit code and its control file in a state.
    pub fn ended(self, member: &str, exit_code: i64, state: ControlState) -> Self {
        let primary = self.memory.primary.clone().unwrap_or_default();
        let control = control(state, HERE, 1);
        let role = if member == primary { "primary" } else { "replica" };
        let mut world = self
            .container(member, |c| {
                c.state = RunState::Exited;
                c.exit_code = exit_code;
                c.health = Health::Pending;
                c.networks.values_mut().for_each(String::clear);
            })
            .seen(member, |m| {
                m.server = Server::Down(Down::NotRunning, "its container does not run".to_owned());
                m.control = Seen::Known(control);
                m.role = Seen::Known(role.to_owned());
            })
            .facts(&primary, |facts| {
                facts.standbys.remove(member);
                facts
                    .slots
                    .entry(member.replace('-', "_"))
                    .and_modify(|s| s.active = false);
            });
        if member == primary {
            let others: Vec<String> = world.observed.members.keys().cloned().collect();
            for other in others {
                world = world.facts(&other, |facts| facts.receiver_streaming = false);
            }
        }
        world
    }

    /// Killed: no time to write anything.
    pub fn kill(self, member: &str) -> Self {
        let state = self.state_if(member, ControlState::InProduction, ControlState::InArchiveRecovery);
        self.ended(member, 137, state)
    }

    /// Stopped in good order.
    pub fn stop(self, member: &str) -> Self {
        let state = self.state_if(member, ControlState::ShutDown, ControlState::ShutDownInRecovery);
        self.ended(member, 0, state)
    }

    fn state_if(&self, member: &str, primary: ControlState, replica: ControlState) -> ControlState {
        let is_primary = self.memory.primary.as_deref() == Some(member);
        if is_primary { primary } else { replica }
    }

    pub fn control(self, member: &str, control: Seen<Control>) -> Self {
        self.seen(member, |m| m.control = control)
    }

    /// The container is gone; its volume is there.
    pub fn remove(mut self, member: &str) -> Self {
        self = self.stop(member);
        let name = self.cluster.container_name(member);
        self.observed.objects.containers.retain(|c| c.name != name);
        self.observed.members.remove(member);
        self
    }

    /// The container and the volume are gone.
    pub fn lose(mut self, member: &str) -> Self {
        let volume = self.view().volume_name(member);
        self = self.remove(member);
        self.observed.objects.volumes.retain(|v| v.name != volume);
        self
    }

    /// Its container runs and its server does not answer.
    pub fn down(self, member: &str, down: Down, why: &str) -> Self {
        let primary = self.memory.primary.clone().unwrap_or_default();
        self.seen(member, |m| m.server = Server::Down(down, why.to_owned()))
            .facts(&primary, |facts| {
                facts.standbys.remove(member);
            })
    }

    /// A replica that has not streamed for a while.
    pub fn cut_off(self, replica: &str, secs: i64) -> Self {
        let primary = self.memory.primary.clone().unwrap_or_default();
        self.facts(replica, |facts| facts.receiver_streaming = false)
            .facts(&primary, |facts| {
                facts.standbys.remove(replica);
                facts
                    .slots
                    .entry(replica.replace('-', "_"))
                    .and_modify(|s| s.active = false);
            })
            .since(&observe::not_streaming(replica), secs)
    }

    pub fn since(mut self, symptom: &str, secs: i64) -> Self {
        self.observed.since.insert(symptom.to_owned(), self.now - secs);
        self
    }

    pub fn log(self, member: &str, text: &str) -> Self {
        self.seen(member, |m| m.log = text.to_owned())
    }

    pub fn neighbour(mut self, name: &str, ports: &[u16]) -> Self {
        self.observed.objects.neighbours.push(Neighbour {
            name: name.to_owned(),
            image: "nginx:1".to_owned(),
            host_ports: ports.to_vec(),
        });
        self
    }

    /// A promotion that was just requested.
    pub fn promoting(self, to: &str) -> Self {
        let from = self.memory.primary.clone().unwrap_or_default();
        let promotion = Promotion {
            id: 1,
            from,
            to: to.to_owned(),
            start_timeline: 1,
            requested_at: self.now,
            ..Promotion::default()
        };
        self.remember(|memory| memory.promotion = Some(promotion))
    }

    pub fn forced(self) -> Self {
        self.remember(|memory| memory.promotion.iter_mut().for_each(|p| p.forced = true))
    }

    pub fn later(mut self, secs: i64) -> Self {
        self.now += secs;
        self
    }

    pub fn view(&self) -> View<'_> {
        View {
            cluster: &self.cluster,
            observed: &self.observed,
            memory: &self.memory,
            now: self.now,
            is_declared: true,
        }
    }

    pub fn next(&self) -> Plan<Change> {
        plan(&self.view())
    }

    /// The plan as it is printed.
    pub fn plan(&self) -> String {
        self.next().to_string()
    }
}
