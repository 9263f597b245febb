//! Makes networks, volumes and containers. What is there already and ours is no error: an agent that was killed between
//! a call and its answer calls again.

use std::collections::BTreeMap;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Ipam, IpamConfig, Mount,
    MountType, MountVolumeOptions, NetworkCreateRequest, NetworkingConfig, PortBinding, RestartPolicy,
    RestartPolicyNameEnum, VolumeCreateRequest,
};
use bollard::query_parameters::CreateContainerOptionsBuilder;

use super::{Docker, LOOK, WORK, convert, mounted, observe};
use crate::host::{FailureKind, HostError};
use crate::model::container::{ContainerSpec, HealthSpec, NamedSpec, PortSpec};
use crate::model::labels;

/// The log driver that has no bound of its own.
const UNBOUNDED: &str = "json-file";
/// What bounds it.
const BOUND: [(&str, &str); 2] = [("max-size", "10m"), ("max-file", "5")];
/// Longest host name that the kernel takes; a longer one would keep the container from starting.
const MAX_HOST_NAME: usize = 63;

/// Makes a bridge network.
pub(super) async fn network(docker: &Docker, spec: &NamedSpec) -> Result<(), HostError> {
    let what = format!("create network {}", spec.name);
    // Engines below 25 would make a second network of the same name, and do when two calls cross: the planner removes it.
    let named = |network: &bollard::models::Network| network.name.as_deref() == Some(&spec.name);
    if let Some(existing) = observe::networks(docker, None).await?.into_iter().find(named) {
        return already(&what, "network", spec, &convert::labels(existing.labels));
    }
    let request = async |engine: bollard::Docker| {
        let config = NetworkCreateRequest {
            name: spec.name.clone(),
            driver: Some("bridge".to_owned()),
            labels: Some(spec.labels.clone().into_iter().collect()),
            ipam: spec.labels.get(labels::SUBNET).map(|subnet| ipam(subnet)),
            ..NetworkCreateRequest::default()
        };
        let _turn = docker.network_turn.lock().await;
        engine.create_network(config).await
    };
    docker.call(&what, WORK, request).await?;
    Ok(())
}

/// Makes an empty volume. The engine hands out an existing one of that name without a word, so its labels decide.
pub(super) async fn volume(docker: &Docker, spec: &NamedSpec) -> Result<(), HostError> {
    let what = format!("create volume {}", spec.name);
    let request = async |engine: bollard::Docker| {
        let config = VolumeCreateRequest {
            name: Some(spec.name.clone()),
            labels: Some(spec.labels.clone().into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        engine.create_volume(config).await
    };
    let made = docker.call(&what, WORK, request).await?;
    already(&what, "volume", spec, &convert::labels(Some(made.labels)))
}

/// Makes a container, without starting it.
pub(super) async fn container(docker: &Docker, spec: &ContainerSpec) -> Result<(), HostError> {
    let what = format!("create container {}", spec.name);
    for volume in spec
        .volume
        .iter()
        .chain(spec.source.iter().map(|source| &source.volume))
    {
        check_volume(docker, spec, &volume.name, &what).await?;
    }
    mounted::check_create(docker, &what, spec).await?;
    let logging = log_config(docker, &what, spec).await?;
    let request = async |engine: bollard::Docker| {
        let options = CreateContainerOptionsBuilder::new().name(&spec.name).build();
        engine.create_container(Some(options), body(spec, logging)).await
    };
    let Err(error) = docker.call(&what, WORK, request).await else {
        return Ok(());
    };
    if error.kind != FailureKind::Conflict {
        return Err(error);
    }
    let Some(existing) = observe::inspect(docker, &spec.name).await? else {
        return Err(error);
    };
    let config = existing.config.unwrap_or_default();
    let labels = convert::labels(config.labels);
    if is_ours(&spec.labels, &labels) && labels.get(labels::SPEC_HASH) == Some(&spec.hash()) {
        return Ok(());
    }
    let image = config.image.unwrap_or_default();
    let why = format!("the name {} is taken by a container of image {image}", spec.name);
    Err(HostError::new(FailureKind::Conflict, what, why))
}

/// The engine would make a missing volume on the way, without labels: an empty one that nobody owns.
async fn check_volume(docker: &Docker, spec: &ContainerSpec, name: &str, what: &str) -> Result<(), HostError> {
    let look = format!("inspect volume {name}");
    let request = async |engine: bollard::Docker| engine.inspect_volume(name).await;
    let volume = docker.call(&look, WORK, request).await?;
    if is_ours(&spec.labels, &convert::labels(Some(volume.labels))) {
        return Ok(());
    }
    let why = format!("volume {name} belongs to somebody else");
    Err(HostError::new(FailureKind::Conflict, what, why))
}

fn already(what: &str, kind: &str, spec: &NamedSpec, found: &BTreeMap<String, String>) -> Result<(), HostError> {
    if is_ours(&spec.labels, found) {
        return Ok(());
    }
    let owner = match (found.get(labels::KIND), found.get(labels::NAME)) {
        (Some(kind), Some(name)) => format!("{kind} {name}, an earlier one of that name or another"),
        _ => "somebody else".to_owned(),
    };
    let why = format!("there is a {kind} {} already; it belongs to {owner}", spec.name);
    Err(HostError::new(FailureKind::Conflict, what, why))
}

fn is_ours(wanted: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> bool {
    wanted.get(labels::UID) == found.get(labels::UID)
}

fn ipam(subnet: &str) -> Ipam {
    let config = IpamConfig {
        subnet: Some(subnet.to_owned()),
        ..IpamConfig::default()
    };
    Ipam {
        config: Some(vec![config]),
        ..Ipam::default()
    }
}

/// Where a container's output goes. `json-file`, the engine's own driver unless somebody changed that, keeps everything for
/// ever, until the disk is full.
async fn log_config(
    docker: &Docker,
    what: &str,
    spec: &ContainerSpec,
) -> Result<Option<HostConfigLogConfig>, HostError> {
    if let Some(logging) = &spec.logging {
        return Ok(Some(HostConfigLogConfig {
            typ: Some(logging.driver.clone()),
            config: Some(logging.options.clone().into_iter().collect()),
        }));
    }
    let info = docker.call(what, LOOK, async |engine| engine.info().await).await?;
    let driver = info.logging_driver.filter(|driver| driver == UNBOUNDED);
    Ok(driver.map(|driver| HostConfigLogConfig {
        typ: Some(driver),
        config: Some(
            BOUND
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        ),
    }))
}

fn body(spec: &ContainerSpec, logging: Option<HostConfigLogConfig>) -> ContainerCreateBody {
    let mut labels = spec.labels.clone();
    labels.insert(labels::SPEC_HASH.to_owned(), spec.hash());
    let endpoint = EndpointSettings {
        aliases: Some(spec.aliases.clone()),
        ..EndpointSettings::default()
    };
    ContainerCreateBody {
        hostname: (spec.name.len() <= MAX_HOST_NAME).then(|| spec.name.clone()),
        user: Some(spec.user.clone()),
        image: Some(spec.image.clone()),
        entrypoint: Some(spec.entrypoint.clone()),
        // Not the image's own: those are arguments for the image's own entry point.
        cmd: Some(Vec::new()),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(labels.into_iter().collect()),
        exposed_ports: Some(spec.ports.iter().map(inner_port).collect()),
        healthcheck: spec.health.as_ref().map(health),
        stop_signal: Some(spec.stop_signal.clone()),
        stop_timeout: Some(spec.stop_grace_secs),
        host_config: Some(HostConfig {
            log_config: logging,
            ..host_config(spec)
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some([(spec.network.clone(), endpoint)].into_iter().collect()),
        }),
        ..ContainerCreateBody::default()
    }
}

fn host_config(spec: &ContainerSpec) -> HostConfig {
    let data = spec.volume.as_ref().map(|volume| mount(volume, &spec.mount));
    let source = spec.source.as_ref().map(|source| Mount {
        read_only: Some(true),
        ..mount(&source.volume, &source.mount)
    });
    let bindings = spec
        .ports
        .iter()
        .map(|port| (inner_port(port), Some(vec![binding(port)])));
    HostConfig {
        network_mode: Some(spec.network.clone()),
        mounts: Some(data.into_iter().chain(source).collect()),
        port_bindings: Some(bindings.collect()),
        shm_size: (spec.shm_bytes > 0).then_some(spec.shm_bytes),
        memory: Some(spec.limits.memory_bytes),
        nano_cpus: Some(spec.limits.nano_cpus),
        init: Some(false),
        // The engine would start an old primary after a reboot, before anybody can tell who is the primary now.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        ..HostConfig::default()
    }
}

fn mount(volume: &NamedSpec, target: &str) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.name.clone()),
        target: Some(target.to_owned()),
        // Somebody may remove the volume right now: the engine would make another, which must be known as ours too.
        volume_options: Some(MountVolumeOptions {
            labels: Some(volume.labels.clone().into_iter().collect()),
            ..MountVolumeOptions::default()
        }),
        // Without `no_copy` an empty volume takes over owner and mode of the image's directory.
        ..Mount::default()
    }
}

fn inner_port(port: &PortSpec) -> String {
    format!("{}/tcp", port.container)
}

fn binding(port: &PortSpec) -> PortBinding {
    PortBinding {
        host_ip: Some(port.address.clone()),
        host_port: Some(port.host.to_string()),
    }
}

fn health(spec: &HealthSpec) -> HealthConfig {
    let mut test = vec!["CMD".to_owned()];
    test.extend(spec.command.iter().cloned());
    HealthConfig {
        test: Some(test),
        interval: Some(nanoseconds(spec.interval_secs)),
        timeout: Some(nanoseconds(spec.timeout_secs)),
        retries: Some(i64::from(spec.retries)),
        ..HealthConfig::default()
    }
}

fn nanoseconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::docker::fixture;

    #[test]
    fn a_spec_becomes_the_body_of_a_create_call() {
        let spec = fixture::container_spec("unit");
        let value = serde_json::to_value(body(&spec, None)).unwrap();
        assert_eq!(value["Cmd"], serde_json::json!([]));
        assert_eq!(value["Healthcheck"]["Interval"], 1_000_000_000_i64);
        assert_eq!(value["Labels"][labels::SPEC_HASH], spec.hash());
        assert_eq!(value["HostConfig"]["RestartPolicy"]["Name"], "no");
        assert_eq!(value["HostConfig"]["Mounts"][0]["Type"], "volume");
        let binding = &value["HostConfig"]["PortBindings"]["5432/tcp"][0];
        assert_eq!(
            (&binding["HostIp"], &binding["HostPort"]),
            (&"127.0.0.1".into(), &"55432".into())
        );
        assert_eq!(value["NetworkingConfig"]["EndpointsConfig"]["unit"]["Aliases"][0], "a");
    }

    #[test]
    fn a_volume_of_another_uid_is_a_conflict() {
        let labels = |uid: &str| BTreeMap::from([(labels::UID.to_owned(), uid.to_owned())]);
        let spec = NamedSpec {
            name: "v".to_owned(),
            labels: labels("u1"),
        };
        assert_eq!(already("create volume v", "volume", &spec, &labels("u1")), Ok(()));
        let error = already("create volume v", "volume", &spec, &BTreeMap::new()).unwrap_err();
        assert_eq!(error.kind, FailureKind::Conflict);
        assert_eq!(error.why, "there is a volume v already; it belongs to somebody else");
    }
}
