//! Lists and inspects. One list per kind of object, then one inspect per container of ours, all at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{ContainerInspectResponse, ContainerSummary, Network, Volume};
use bollard::query_parameters::{
    InspectNetworkOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
};
use futures_util::future::join_all;

use super::brisk::Lately;
use super::{Docker, LOOK, convert, disk};
use crate::host::{Ask, FailureKind, HostError, Owner};
use crate::model::Seen;
use crate::model::container::{ImageFacts, Namesake, Objects};
use crate::model::{claim, labels};

/// The objects of one resource, and if asked for, those of all others.
pub(super) async fn objects(docker: &Docker, ask: &Ask) -> Result<Objects, HostError> {
    let ours = format!("{}={}", labels::UID, ask.uid);
    let filter = if ask.neighbours { None } else { Some(ours.as_str()) };
    let (summaries, volumes, networks, images, disk) = tokio::join!(
        summaries(docker, filter),
        volumes(docker, filter),
        networks(docker, filter),
        join_all(ask.images.iter().map(|name| image(docker, name))),
        disk::of_volumes(docker),
    );
    let (ours, neighbours): (Vec<_>, Vec<_>) = summaries?.into_iter().partition(|summary| {
        let uid = summary.labels.as_ref().and_then(|labels| labels.get(labels::UID));
        uid == Some(&ask.uid)
    });
    let inspected = inspect_all(docker, &ours).await?;
    let mut lately = Lately::new(&ours, &inspected);
    let mut objects = Objects {
        published: inspected.iter().filter_map(convert::published).collect(),
        containers: inspected.into_iter().filter_map(convert::container).collect(),
        neighbours: neighbours.into_iter().map(convert::neighbour).collect(),
        images: ask.images.iter().cloned().zip(images).collect(),
        disk,
        ..Objects::default()
    };
    for volume in volumes?.into_iter().map(convert::volume) {
        if claim::is_claim(&volume.labels) {
            if volume.labels.get(labels::UID) == Some(&ask.uid) {
                objects.claim = Some(volume);
            }
            continue;
        }
        match volume.labels.get(labels::UID) {
            Some(uid) if *uid == ask.uid => objects.volumes.push(volume),
            _ => objects.foreign_volumes.push(volume.name),
        }
    }
    let networks = networks?;
    let is_ours =
        |network: &Network| network.labels.as_ref().and_then(|found| found.get(labels::UID)) == Some(&ask.uid);
    objects.namesakes = namesakes(docker, networks.iter().filter(|network| is_ours(network)).collect()).await?;
    let (ours, others): (Vec<_>, Vec<_>) = networks.into_iter().partition(is_ours);
    objects.networks = ours.into_iter().map(convert::network).collect();
    objects.foreign_networks = others.into_iter().filter_map(|network| network.name).collect();
    sort(&mut objects);
    lately.objects = objects.clone();
    docker.lately.borrow_mut().insert(ask.uid.clone(), lately);
    Ok(objects)
}

/// Those of our networks that share their name with another one, with who is attached: the list does not say.
async fn namesakes(docker: &Docker, mut ours: Vec<&Network>) -> Result<Vec<Namesake>, HostError> {
    ours.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    let mut namesakes = Vec::new();
    for network in &ours {
        let (Some(name), Some(id)) = (&network.name, &network.id) else {
            continue;
        };
        if ours.iter().filter(|other| other.name == network.name).count() < 2 {
            continue;
        }
        let look = async |engine: bollard::Docker| engine.inspect_network(id, None::<InspectNetworkOptions>).await;
        match docker.call(&format!("inspect network {name}"), LOOK, look).await {
            Ok(seen) => namesakes.push(Namesake {
                id: id.clone(),
                name: name.clone(),
                guests: convert::guests(&seen),
            }),
            // What vanished since the list is not there.
            Err(error) if error.kind == FailureKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(namesakes)
}

/// All resources that have something here. A network or a claim tells of its resource only where no container or other volume
/// does: it may be all that is left of one, and holds nothing.
pub(super) async fn owners(docker: &Docker) -> Result<Vec<Owner>, HostError> {
    let filter = Some(labels::UID);
    let (summaries, volumes, networks) = tokio::join!(
        summaries(docker, filter),
        volumes(docker, filter),
        networks(docker, filter)
    );
    let of_containers = summaries?.into_iter().map(|summary| convert::labels(summary.labels));
    let of_volumes = volumes?.into_iter().map(|volume| convert::labels(Some(volume.labels)));
    let (claims, of_volumes): (Vec<_>, Vec<_>) = of_volumes.partition(claim::is_claim);
    let owners: BTreeSet<Owner> = of_containers.chain(of_volumes).map(owner).collect();
    let is_new = |owner: &Owner| !owners.iter().any(|o| (&o.kind, &o.name) == (&owner.kind, &owner.name));
    let of_networks = networks?
        .into_iter()
        .map(|network| owner(convert::labels(network.labels)));
    let others: BTreeSet<Owner> = of_networks
        .chain(claims.into_iter().map(owner))
        .filter(is_new)
        .collect();
    Ok(owners.into_iter().chain(others).collect())
}

fn owner(mut labels: BTreeMap<String, String>) -> Owner {
    Owner {
        kind: labels.remove(labels::KIND).unwrap_or_default(),
        name: labels.remove(labels::NAME).unwrap_or_default(),
        uid: labels.remove(labels::UID).unwrap_or_default(),
    }
}

/// All containers, or those with a label.
pub(super) async fn summaries(docker: &Docker, label: Option<&str>) -> Result<Vec<ContainerSummary>, HostError> {
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&by_label(label))
        .build();
    let list = async |engine: bollard::Docker| engine.list_containers(Some(options)).await;
    docker.call("list the containers", LOOK, list).await
}

/// All networks, or those with a label.
pub(super) async fn networks(docker: &Docker, label: Option<&str>) -> Result<Vec<Network>, HostError> {
    let options = ListNetworksOptionsBuilder::new().filters(&by_label(label)).build();
    let list = async |engine: bollard::Docker| {
        let _turn = docker.network_turn.lock().await;
        engine.list_networks(Some(options)).await
    };
    docker.call("list the networks", LOOK, list).await
}

pub(super) async fn volumes(docker: &Docker, label: Option<&str>) -> Result<Vec<Volume>, HostError> {
    let options = ListVolumesOptionsBuilder::new().filters(&by_label(label)).build();
    let list = async |engine: bollard::Docker| engine.list_volumes(Some(options)).await;
    let response = docker.call("list the volumes", LOOK, list).await?;
    Ok(response.volumes.unwrap_or_default())
}

/// A container by name or id; `None` if it is not there.
pub(super) async fn inspect(docker: &Docker, container: &str) -> Result<Option<ContainerInspectResponse>, HostError> {
    let what = format!("inspect container {container}");
    let request = async |engine: bollard::Docker| engine.inspect_container(container, None).await;
    match docker.call(&what, LOOK, request).await {
        Ok(inspected) => Ok(Some(inspected)),
        Err(error) if error.kind == FailureKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The labels of a volume; `None` if it is not there.
pub(super) async fn volume_labels(docker: &Docker, name: &str) -> Result<Option<BTreeMap<String, String>>, HostError> {
    let request = async |engine: bollard::Docker| engine.inspect_volume(name).await;
    match docker.call(&format!("inspect volume {name}"), LOOK, request).await {
        Ok(volume) => Ok(Some(convert::labels(Some(volume.labels)))),
        Err(error) if error.kind == FailureKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn inspect_all(docker: &Docker, ours: &[ContainerSummary]) -> Result<Vec<ContainerInspectResponse>, HostError> {
    let ids = ours.iter().filter_map(|summary| summary.id.as_deref());
    let mut containers = Vec::new();
    for inspected in join_all(ids.map(|id| inspect(docker, id))).await {
        // What vanished since the list is not there, and so is no error.
        containers.extend(inspected?);
    }
    Ok(containers)
}

async fn image(docker: &Docker, name: &str) -> Seen<ImageFacts> {
    let what = format!("inspect image {name}");
    let request = async |engine: bollard::Docker| engine.inspect_image(name).await;
    match docker.call(&what, LOOK, request).await {
        Ok(inspected) => Seen::Known(convert::image(inspected)),
        Err(error) if error.kind == FailureKind::NotFound => Seen::Absent,
        Err(error) => Seen::Unknown(error.to_string()),
    }
}

/// The engine lists in an order of its own; equal observations shall be equal values.
fn sort(objects: &mut Objects) {
    objects.containers.sort_by(|a, b| a.name.cmp(&b.name));
    objects.volumes.sort_by(|a, b| a.name.cmp(&b.name));
    objects.networks.sort_by(|a, b| a.name.cmp(&b.name));
    objects.networks.dedup_by(|a, b| a.name == b.name);
    objects.neighbours.sort_by(|a, b| a.name.cmp(&b.name));
    objects.foreign_volumes.sort();
    objects.foreign_networks.sort();
}

fn by_label(label: Option<&str>) -> HashMap<&'static str, Vec<String>> {
    label
        .map(|label| ("label", vec![label.to_owned()]))
        .into_iter()
        .collect()
}
