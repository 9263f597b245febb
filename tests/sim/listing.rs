//! What the engine lists, and what the agent is thereby taken to know.

use std::collections::{BTreeMap, BTreeSet};

use reconciler::host::{Ask, Owner};
use reconciler::model::container::{ImageFacts, NamedObserved, Neighbour, Objects, RunState};
use reconciler::model::{Seen, labels};

use super::invariants::Glimpse;
use super::world::World;

/// All resources that have something on the host.
pub fn owners(world: &World) -> Vec<Owner> {
    let containers = world.containers.iter().map(|one| &one.seen.labels);
    let all = containers.chain(world.volumes.iter().map(|one| &one.seen.labels));
    let owned = all.filter(|found| found.contains_key(labels::UID));
    let owners: BTreeSet<Owner> = owned.map(owner).collect();
    let is_new = |owner: &Owner| !owners.iter().any(|o| (&o.kind, &o.name) == (&owner.kind, &owner.name));
    let of_networks = world.networks.iter().map(|one| owner(&one.seen.labels));
    let of_claims = world.claims.values().map(owner);
    let others: BTreeSet<Owner> = of_networks.chain(of_claims).filter(is_new).collect();
    owners.into_iter().chain(others).collect()
}

fn owner(found: &BTreeMap<String, String>) -> Owner {
    let get = |key: &str| found.get(key).cloned().unwrap_or_default();
    Owner {
        kind: get(labels::KIND),
        name: get(labels::NAME),
        uid: get(labels::UID),
    }
}

/// The objects of one resource, and if asked for, those of all others.
pub fn objects(world: &mut World, ask: &Ask) -> Objects {
    let is_ours = |found: &BTreeMap<String, String>| found.get(labels::UID) == Some(&ask.uid);
    let image = ImageFacts {
        id: "sha256:17".to_owned(),
        env: BTreeMap::from([("PG_MAJOR".to_owned(), "17".to_owned())]),
        volumes: vec!["/var/lib/postgresql/data".to_owned()],
    };
    let asked = ask.images.iter();
    let mut objects = Objects {
        images: asked
            .map(|name| match world.missing_image.as_ref() == Some(name) {
                true => (name.clone(), Seen::Absent),
                false => (name.clone(), Seen::Known(image.clone())),
            })
            .collect(),
        ..Objects::default()
    };
    for at in 0..world.containers.len() {
        let health = world.health(at);
        let container = &mut world.containers[at];
        container.seen.health = health;
        let seen = container.seen.clone();
        if is_ours(&seen.labels) {
            let stops = matches!(seen.state, RunState::Created | RunState::Exited);
            // What was known of it before stays known until it is asked anew: what has stopped changes no more.
            let glimpse = world
                .watch
                .glimpses
                .entry(seen.name.clone())
                .or_insert(Glimpse::Unknown);
            match (stops, *glimpse) {
                (true, Glimpse::Stopped) => {}
                (true, _) => *glimpse = Glimpse::Unread,
                (false, Glimpse::Stopped | Glimpse::Unread) => *glimpse = Glimpse::Unknown,
                (false, _) => {}
            }
            objects.containers.push(seen);
        } else if ask.neighbours {
            objects.neighbours.push(Neighbour {
                name: seen.name,
                image: "other".to_owned(),
                host_ports: Vec::new(),
            });
        }
    }
    for volume in &world.volumes {
        match is_ours(&volume.seen.labels) {
            true => objects.volumes.push(volume.seen.clone()),
            false if ask.neighbours => objects.foreign_volumes.push(volume.seen.name.clone()),
            false => {}
        }
    }
    let mut claims = world.claims.iter();
    let claim = claims.find(|(_, found)| is_ours(found));
    objects.claim = claim.map(|(name, found)| NamedObserved {
        name: name.clone(),
        labels: found.clone(),
        ..NamedObserved::default()
    });
    objects.namesakes = world.namesakes(|seen| is_ours(&seen.labels));
    for network in world.networks.iter().map(|network| &network.seen) {
        match is_ours(&network.labels) {
            true if objects.networks.contains(network) => {}
            true => objects.networks.push(network.clone()),
            false if ask.neighbours => objects.foreign_networks.push(network.name.clone()),
            false => {}
        }
    }
    objects
}
