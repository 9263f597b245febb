//! The engine's objects: made, found again, refused, removed.

use reconciler::host::FailureKind;
use reconciler::kinds::postgres::desired::{self, Role};
use reconciler::model::container::{NamedSpec, RunState};
use reconciler::model::labels;
use reconciler::model::plan::EngineOp;

use crate::ground::{Blow, Ground, Host};

pub async fn what_is_made_twice_is_made_once_and_what_is_gone_is_gone<H: Host>(ground: &Ground<H>) {
    ground.make("master").await;
    ground.make("master").await;
    let objects = ground.objects().await;
    assert_eq!(objects.containers.len(), 1);
    assert_eq!(objects.containers[0].state, RunState::Created);
    assert_eq!(objects.containers[0].volumes, [ground.cluster.volume_name("master", 1)]);
    assert_eq!((objects.volumes.len(), objects.networks.len()), (1, 1));
    let container = ground.cluster.container_name("master");
    let grace_secs = 1;
    for _ in 0..2 {
        let stop = EngineOp::Stop {
            container: container.clone(),
            grace_secs,
        };
        ground.engine(stop).await.unwrap();
        ground.signal("master", "SIGKILL").await.unwrap();
        ground
            .engine(EngineOp::RemoveContainer(container.clone()))
            .await
            .unwrap();
    }
    let error = ground.signal("master", "SIGHUP").await.unwrap_err();
    assert_eq!(error.kind, FailureKind::NotFound, "{error}");
    let error = ground.engine(EngineOp::Start(container.clone())).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::NotFound, "{error}");
    let files = ground.files("master", Role::Bootstrap, "master");
    let delivery = desired::delivery(&ground.cluster, "master", files);
    let error = ground.engine(EngineOp::Deliver(delivery)).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::NotFound, "{error}");
    for _ in 0..2 {
        let volume = ground.cluster.volume_name("master", 1);
        ground.engine(EngineOp::RemoveVolume(volume)).await.unwrap();
        let network = ground.cluster.network_name();
        ground.engine(EngineOp::RemoveNetwork(network)).await.unwrap();
    }
    let objects = ground.objects().await;
    assert!(objects.containers.is_empty() && objects.volumes.is_empty() && objects.networks.is_empty());
}

pub async fn a_name_that_somebody_else_has_is_a_conflict<H: Host>(ground: &Ground<H>) {
    ground.make("master").await;
    let others = |spec: NamedSpec| {
        let mut spec = spec;
        spec.labels.insert(labels::UID.to_owned(), "another".to_owned());
        spec
    };
    let image = ground.image().await;
    let volume = others(desired::volume(&ground.cluster, "master", 1, &image));
    let error = ground.engine(EngineOp::CreateVolume(volume)).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Conflict, "{error}");
    let network = others(desired::network(&ground.cluster));
    let error = ground.engine(EngineOp::CreateNetwork(network)).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Conflict, "{error}");
    let mut container = desired::container(&ground.cluster, "master", 1, &image);
    container.labels.insert(labels::UID.to_owned(), "another".to_owned());
    let error = ground.engine(EngineOp::CreateContainer(Box::new(container))).await;
    assert_eq!(error.unwrap_err().kind, FailureKind::Conflict);
}

pub async fn what_is_in_use_is_not_removed<H: Host>(ground: &Ground<H>) {
    ground.primary().await;
    let volume = ground.cluster.volume_name("master", 1);
    let container = ground.cluster.container_name("master");
    let network = ground.cluster.network_name();
    assert!(
        ground.engine(EngineOp::RemoveVolume(volume.clone())).await.is_err(),
        "it is mounted"
    );
    assert!(
        ground
            .engine(EngineOp::RemoveContainer(container.clone()))
            .await
            .is_err(),
        "it runs"
    );
    assert!(
        ground.engine(EngineOp::RemoveNetwork(network)).await.is_err(),
        "it is used"
    );
    ground.up("master").await;
    ground.signal("master", "SIGINT").await.unwrap();
    ground.ended("master").await;
    assert!(
        ground.engine(EngineOp::RemoveVolume(volume.clone())).await.is_err(),
        "a stopped one mounts it too"
    );
    ground.engine(EngineOp::RemoveContainer(container)).await.unwrap();
    assert_eq!(ground.objects().await.volumes.len(), 1, "its volume stays");
    ground.engine(EngineOp::RemoveVolume(volume)).await.unwrap();
}

pub async fn a_container_leaves_a_network_and_comes_back<H: Host>(ground: &Ground<H>) {
    ground.primary().await;
    let service = desired::service_network(&ground.cluster);
    ground.engine(EngineOp::CreateNetwork(service.clone())).await.unwrap();
    let container = ground.cluster.container_name("master");
    for _ in 0..2 {
        let connect = EngineOp::Connect {
            container: container.clone(),
            network: service.name.clone(),
            aliases: vec!["a-role".to_owned()],
        };
        ground.engine(connect).await.unwrap();
    }
    let seen = ground.container("master").await.unwrap();
    assert!(!seen.networks[&service.name].is_empty(), "it has an address there");
    assert!(seen.aliases[&service.name].contains("a-role"), "{:?}", seen.aliases);
    for _ in 0..2 {
        let disconnect = EngineOp::Disconnect {
            container: container.clone(),
            network: service.name.clone(),
        };
        ground.engine(disconnect).await.unwrap();
    }
    let seen = ground.container("master").await.unwrap();
    assert!(!seen.networks.contains_key(&service.name));
    ground.up("master").await;
}

pub async fn two_networks_of_one_name_are_told_apart<H: Host>(ground: &Ground<H>) {
    let network = desired::network(&ground.cluster);
    ground.make("master").await;
    assert!(ground.objects().await.namesakes.is_empty());
    ground.host.twin(&network).await;
    let objects = ground.objects().await;
    assert_eq!(objects.networks.len(), 1, "one of each name");
    let names: Vec<&str> = objects.namesakes.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, [&network.name; 2]);
    assert!(objects.namesakes.iter().all(|one| one.guests.is_empty()));
    // The name leads nowhere, the ids do.
    ground
        .deliver("master", ground.files("master", Role::Bootstrap, "master"))
        .await;
    let container = ground.cluster.container_name("master");
    assert!(ground.engine(EngineOp::Start(container.clone())).await.is_err());
    let by_name = EngineOp::RemoveNetwork(network.name.clone());
    assert!(ground.engine(by_name).await.is_err(), "neither is meant");
    for _ in 0..2 {
        let newer = EngineOp::RemoveNetwork(objects.namesakes[1].id.clone());
        ground.engine(newer).await.unwrap();
    }
    assert!(ground.objects().await.namesakes.is_empty());
    ground.start("master").await;
    ground.up("master").await;

    ground.host.twin(&network).await;
    let namesakes = ground.objects().await.namesakes;
    assert_eq!(namesakes[0].id, objects.namesakes[0].id, "the oldest comes first");
    assert_eq!(namesakes[0].guests, std::slice::from_ref(&container));
    assert!(namesakes[1].guests.is_empty());
    let used = EngineOp::RemoveNetwork(namesakes[0].id.clone());
    assert!(ground.engine(used).await.is_err(), "it is used");
    ground
        .engine(EngineOp::RemoveNetwork(namesakes[1].id.clone()))
        .await
        .unwrap();
    ground.up("master").await;
}

pub async fn nothing_is_started_on_a_volume_that_another_container_has<H: Host>(ground: &Ground<H>) {
    ground.primary().await;
    let (own, volume) = (
        ground.cluster.container_name("master"),
        ground.cluster.volume_name("master", 1),
    );
    let held = || async { ground.host.holders(std::slice::from_ref(&volume)).await };
    let holders = held().await.known().cloned().expect("the engine tells");
    assert_eq!(holders.len(), 1);
    assert!(holders[0].container == own && holders[0].writes, "{holders:?}");

    let image = ground.image().await;
    let mut second = desired::container(&ground.cluster, "master", 1, &image);
    second.name = format!("{own}-2");
    let make = || EngineOp::CreateContainer(Box::new(second.clone()));
    let refused = |error: reconciler::host::HostError| {
        assert_eq!(error.kind, FailureKind::Conflict, "{error}");
        assert!(error.why.contains(&format!("container {own} ")), "{error}");
    };
    refused(ground.engine(make()).await.unwrap_err());
    ground.befall("master", Blow::Pause).await;
    refused(ground.engine(make()).await.unwrap_err());
    ground.signal("master", "SIGKILL").await.unwrap();
    ground.ended("master").await;
    assert_eq!(held().await.known().map(Vec::len), Some(0));

    // Beside one that does not run another may be made; but not started beside one that does.
    ground.engine(make()).await.unwrap();
    ground.start_as("master", Role::Primary, "master").await;
    ground.up("master").await;
    refused(ground.engine(EngineOp::Start(second.name.clone())).await.unwrap_err());
    ground.engine(EngineOp::Start(own.clone())).await.unwrap();
    ground
        .engine(EngineOp::RemoveContainer(second.name.clone()))
        .await
        .unwrap();
    ground.up("master").await;
}

pub async fn a_container_gets_another_name_and_runs_on<H: Host>(ground: &Ground<H>) {
    ground.primary().await;
    let own = ground.cluster.container_name("master");
    let before = ground.container("master").await.unwrap();
    let rename = |container: &str, name: &str| EngineOp::Rename {
        container: container.to_owned(),
        name: name.to_owned(),
    };
    let other = format!("{own}-old");
    ground.engine(rename(&own, &other)).await.unwrap();
    let seen = ground.objects().await.containers;
    assert_eq!((seen.len(), seen[0].name.as_str()), (1, other.as_str()));
    for _ in 0..2 {
        ground.engine(rename(&before.id, &own)).await.unwrap();
    }
    let after = ground.container("master").await.unwrap();
    assert_eq!((&after.id, after.started_at), (&before.id, before.started_at));
    ground.up("master").await;
}
