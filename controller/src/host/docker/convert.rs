//! From the engine's words to the model's. Pure. What is missing in an answer becomes the value that decides least.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary, EndpointSettings,
    HealthStatusEnum, HostConfig, ImageInspect, MountPoint, Network, NetworkInspect, Volume,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::model::container::{ContainerObserved, Health, ImageFacts, Limits, NamedObserved, Neighbour, RunState};

/// Stands for "no limit" in place of a CPU count that the engine cannot take back: see [`super::limits`].
/// Nobody asks for a CPU count finer than a thousandth.
pub(super) const NO_CPU_LIMIT_TAIL: i64 = 999_999;
/// Stands for "no limit" in place of a memory limit that the engine cannot take back: an exbibyte.
pub(super) const NO_MEMORY_LIMIT: i64 = 1 << 60;
/// A thousandth of a CPU, in units of 10⁻⁹ CPU.
pub(super) const MILLI_CPU: i64 = 1_000_000;

/// A container as it was inspected; `None` if it lacks an id or a name.
pub(super) fn container(inspected: ContainerInspectResponse) -> Option<ContainerObserved> {
    let config = inspected.config.unwrap_or_default();
    let state = inspected.state.unwrap_or_default();
    let networks = inspected.network_settings.and_then(|settings| settings.networks);
    let networks = networks.unwrap_or_default();
    let id = inspected.id?;
    let name = plain_name(&inspected.name?);
    let hostname = config.hostname.unwrap_or_default();
    Some(ContainerObserved {
        aliases: aliases([id.get(..12).unwrap_or(&id), &name, &hostname], &networks),
        id,
        name,
        labels: labels(config.labels),
        state: run_state(state.status),
        exit_code: state.exit_code.unwrap_or_default(),
        error: state.error.clone().unwrap_or_default(),
        oom_killed: state.oom_killed.unwrap_or_default(),
        started_at: unix_secs(state.started_at.as_deref()),
        finished_at: unix_secs(state.finished_at.as_deref()),
        health: health(&state, config.healthcheck.and_then(|check| check.retries)),
        networks: addresses(networks),
        volumes: volume_names(inspected.mounts.unwrap_or_default()),
        limits: limits(&inspected.host_config.unwrap_or_default()),
    })
}

/// A volume without what only the engine cares for.
pub(super) fn volume(volume: Volume) -> NamedObserved {
    NamedObserved {
        name: volume.name,
        labels: labels(Some(volume.labels)),
        ..NamedObserved::default()
    }
}

/// A network without what only the engine cares for.
pub(super) fn network(network: Network) -> NamedObserved {
    let ranges = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    NamedObserved {
        name: network.name.unwrap_or_default(),
        labels: labels(network.labels),
        // Engines write some with the length of their prefix.
        gateway: ranges
            .into_iter()
            .find_map(|range| range.gateway)
            .map(|gateway| gateway.split('/').next().unwrap_or_default().to_owned())
            .unwrap_or_default(),
    }
}

/// The names of the containers that are attached to a network.
pub(super) fn guests(network: &NetworkInspect) -> Vec<String> {
    let attached = network.containers.iter().flat_map(|all| all.values());
    let mut names: Vec<String> = attached.filter_map(|container| container.name.clone()).collect();
    names.sort_unstable();
    names
}

/// A foreign container, reduced to what can be in our way.
pub(super) fn neighbour(summary: ContainerSummary) -> Neighbour {
    let ports = summary.ports.unwrap_or_default();
    // One port is listed once per address family.
    let host_ports: BTreeSet<u16> = ports.iter().filter_map(|port| port.public_port).collect();
    let names = summary.names.unwrap_or_default();
    Neighbour {
        name: names.first().map(|name| plain_name(name)).unwrap_or_default(),
        image: summary.image.unwrap_or_default(),
        host_ports: host_ports.into_iter().collect(),
    }
}

/// What an image says of itself.
pub(super) fn image(inspected: ImageInspect) -> ImageFacts {
    let config = inspected.config.unwrap_or_default();
    let assignments = config.env.unwrap_or_default();
    let mut volumes = config.volumes.unwrap_or_default();
    volumes.sort();
    ImageFacts {
        id: inspected.id.unwrap_or_default(),
        env: assignments
            .iter()
            .filter_map(|assignment| assignment.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        volumes,
    }
}

/// The ports of the host that a container has for itself when it runs.
pub(super) fn published(container: &ContainerInspectResponse) -> Option<(String, Vec<u16>)> {
    let name = plain_name(container.name.as_ref()?);
    let bindings = container.host_config.as_ref()?.port_bindings.iter().flatten();
    let hosts = bindings.flat_map(|(_, bound)| bound.iter().flatten());
    let ports = hosts.filter_map(|binding| binding.host_port.as_ref()?.parse().ok());
    Some((name, ports.collect()))
}

/// Labels in order, so that equal ones print equally.
pub(super) fn labels(labels: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    labels.unwrap_or_default().into_iter().collect()
}

fn plain_name(name: &str) -> String {
    name.trim_start_matches('/').to_owned()
}

fn run_state(status: Option<ContainerStateStatusEnum>) -> RunState {
    match status {
        Some(ContainerStateStatusEnum::CREATED) => RunState::Created,
        Some(ContainerStateStatusEnum::RUNNING) => RunState::Running,
        Some(ContainerStateStatusEnum::PAUSED) => RunState::Paused,
        Some(ContainerStateStatusEnum::EXITED) => RunState::Exited,
        _ => RunState::Between,
    }
}

/// What probes found. The engine calls a container unhealthy without any when it is paused or asked to stop, and does so
/// until the next one (`daemon/health.go`, `updateHealthMonitor`): that is evidence of nothing.
fn health(state: &ContainerState, retries: Option<i64>) -> Health {
    // What the engine takes where none is set.
    const RETRIES: i64 = 3;
    let retries = retries.filter(|retries| *retries > 0).unwrap_or(RETRIES);
    let Some(health) = &state.health else {
        return Health::Pending;
    };
    match health.status {
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) if health.failing_streak.unwrap_or_default() >= retries => Health::Unhealthy,
        _ => Health::Pending,
    }
}

fn addresses(networks: HashMap<String, EndpointSettings>) -> BTreeMap<String, String> {
    networks
        .into_iter()
        .map(|(name, endpoint)| (name, endpoint.ip_address.unwrap_or_default()))
        .collect()
}

/// The names that were asked for. Engines below 25 add the short id and the host name to them, later ones keep both
/// apart.
fn aliases(engines_own: [&str; 3], networks: &HashMap<String, EndpointSettings>) -> BTreeMap<String, BTreeSet<String>> {
    let given = |endpoint: &EndpointSettings| {
        let all = endpoint.aliases.iter().flatten();
        all.filter(|alias| !engines_own.contains(&alias.as_str()))
            .cloned()
            .collect()
    };
    networks
        .iter()
        .map(|(name, endpoint)| (name.clone(), given(endpoint)))
        .collect()
}

fn volume_names(mounts: Vec<MountPoint>) -> Vec<String> {
    let of_volumes = mounts
        .into_iter()
        .filter(|mount| mount.typ.as_deref() == Some("volume"));
    of_volumes.filter_map(|mount| mount.name).collect()
}

fn limits(host: &HostConfig) -> Limits {
    let nano_cpus = host.nano_cpus.unwrap_or_default();
    let is_lifted = nano_cpus % MILLI_CPU == NO_CPU_LIMIT_TAIL;
    // `docker update` of newer engines lifts by -1.
    let memory_bytes = host.memory.unwrap_or_default().max(0);
    Limits {
        nano_cpus: if is_lifted { 0 } else { nano_cpus },
        memory_bytes: if memory_bytes >= NO_MEMORY_LIMIT {
            0
        } else {
            memory_bytes
        },
    }
}

/// Seconds since the epoch; 0 for the year 1, by which the engine says never.
fn unix_secs(timestamp: Option<&str>) -> i64 {
    let parsed = timestamp.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    parsed.map_or(0, |at| at.unix_timestamp().max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_of_the_engine_become_seconds() {
        assert_eq!(unix_secs(Some("2024-05-01T10:00:00.123456789Z")), 1_714_557_600);
        assert_eq!(unix_secs(Some("2024-05-01T12:00:00+02:00")), 1_714_557_600);
        assert_eq!(unix_secs(Some("0001-01-01T00:00:00Z")), 0);
        assert_eq!(unix_secs(Some("yesterday")), 0);
        assert_eq!(unix_secs(None), 0);
    }

    #[test]
    fn an_inspected_container_becomes_an_observation() {
        let text = r#"{
            "Id": "c0ffee", "Name": "/pg-a",
            "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": true, "Error": "",
                      "StartedAt": "2024-05-01T10:00:00Z", "FinishedAt": "2024-05-01T10:00:05Z",
                      "Health": {"Status": "unhealthy", "FailingStreak": 3, "Log": []}},
            "HostConfig": {"NanoCpus": 1500000000, "Memory": 268435456},
            "Mounts": [{"Type": "volume", "Name": "pg-a-1"}, {"Type": "bind", "Source": "/x"}],
            "Config": {"Labels": {"k": "v"}, "Hostname": "host-a"},
            "NetworkSettings": {"Networks": {"pg": {"IPAddress": "", "Aliases": ["a", "c0ffee", "pg-a", "host-a"]}}}
        }"#;
        let inspected = serde_json::from_str(text).unwrap();
        let expected = ContainerObserved {
            id: "c0ffee".to_owned(),
            name: "pg-a".to_owned(),
            labels: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            state: RunState::Exited,
            exit_code: 137,
            error: String::new(),
            oom_killed: true,
            started_at: 1_714_557_600,
            finished_at: 1_714_557_605,
            health: Health::Unhealthy,
            networks: BTreeMap::from([("pg".to_owned(), String::new())]),
            aliases: BTreeMap::from([("pg".to_owned(), BTreeSet::from(["a".to_owned()]))]),
            volumes: vec!["pg-a-1".to_owned()],
            limits: Limits {
                nano_cpus: 1_500_000_000,
                memory_bytes: 268_435_456,
            },
        };
        assert_eq!(container(inspected), Some(expected));
    }

    #[test]
    fn states_between_two_others_are_one() {
        for status in [
            ContainerStateStatusEnum::RESTARTING,
            ContainerStateStatusEnum::REMOVING,
            ContainerStateStatusEnum::DEAD,
        ] {
            assert_eq!(run_state(Some(status)), RunState::Between);
        }
        assert_eq!(run_state(None), RunState::Between);
    }

    #[test]
    fn a_lifted_limit_reads_as_none() {
        let lifted = HostConfig {
            nano_cpus: Some(1_999_999_999),
            memory: Some(NO_MEMORY_LIMIT),
            ..HostConfig::default()
        };
        assert_eq!(limits(&lifted), Limits::default());
    }

    #[test]
    fn a_port_published_on_two_families_is_one_port() {
        let text = r#"{"Names": ["/web"], "Image": "nginx", "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"PrivatePort": 443, "Type": "tcp"}]}"#;
        let neighbour = neighbour(serde_json::from_str(text).unwrap());
        assert_eq!((neighbour.name.as_str(), neighbour.host_ports), ("web", vec![8080]));
    }

    #[test]
    fn an_images_environment_may_hold_equals_signs() {
        let text = r#"{"Id": "sha256:1", "Config": {"Env": ["PG_MAJOR=17", "A=b=c"], "Volumes": {"/data": {}}}}"#;
        let facts = image(serde_json::from_str(text).unwrap());
        assert_eq!(facts.env["A"], "b=c");
        assert_eq!(facts.volumes, ["/data"]);
    }
}
