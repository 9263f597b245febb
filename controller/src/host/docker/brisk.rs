//! A look for somebody who waits while containers stop and start. To inspect a container waits for the engine to be done
//! with it, and cleaning up behind one that has ended takes the engine 60 to 75 ms (20.10); its list, which is a copy that
//! the engine keeps for this, answers in 1 ms. So only what is listed otherwise than a moment ago is inspected.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bollard::models::{ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum, MountPoint};
use tokio::time::timeout;

use super::{Docker, convert, observe};
use crate::host::{Ask, HostError};
use crate::model::container::{ContainerObserved, Objects};
use crate::model::labels;

/// How long what was seen counts: what is listed alike and is not the same is seen by then.
const FRESH: Duration = Duration::from_secs(1);
/// How long a container that is attached or detached is waited for.
const PATIENCE: Duration = Duration::from_millis(10);

/// The last whole look at one resource.
#[derive(Debug)]
pub(super) struct Lately {
    at: Instant,
    /// What was seen.
    pub objects: Objects,
    /// How each container was listed, by id.
    listed: BTreeMap<String, Listed>,
    /// What each container has mounted, by id; it never changes.
    mounts: BTreeMap<String, Vec<MountPoint>>,
}

/// What the list shows of a container's state and attachments.
#[derive(Debug, Clone, PartialEq)]
struct Listed {
    names: Option<Vec<String>>,
    state: Option<ContainerSummaryStateEnum>,
    /// Endpoint and address by network.
    endpoints: BTreeMap<String, (Option<String>, Option<String>)>,
}

impl Lately {
    /// What was listed and inspected just now.
    pub(super) fn new(summaries: &[ContainerSummary], inspected: &[ContainerInspectResponse]) -> Self {
        let listed = summaries
            .iter()
            .filter_map(|summary| Some((summary.id.clone()?, listed(summary))));
        let mounts = inspected
            .iter()
            .filter_map(|container| Some((container.id.clone()?, container.mounts.clone()?)));
        Lately {
            at: Instant::now(),
            objects: Objects::default(),
            listed: listed.collect(),
            mounts: mounts.collect(),
        }
    }
}

fn listed(summary: &ContainerSummary) -> Listed {
    let networks = summary.network_settings.as_ref().and_then(|s| s.networks.as_ref());
    let endpoints = networks.into_iter().flatten().map(|(network, endpoint)| {
        let place = (endpoint.endpoint_id.clone(), endpoint.ip_address.clone());
        (network.clone(), place)
    });
    Listed {
        names: summary.names.clone(),
        state: summary.state,
        endpoints: endpoints.collect(),
    }
}

/// What a container has mounted, if it was seen lately. By id only: a name may be another container's by now.
pub(super) fn mounts(docker: &Docker, id: &str) -> Option<Vec<MountPoint>> {
    let lately = docker.lately.borrow();
    lately.values().find_map(|lately| lately.mounts.get(id).cloned())
}

/// The objects of a resource, if a brisk look is asked for and can tell. `None`: a whole look is needed.
pub(super) async fn objects(docker: &Docker, ask: &Ask) -> Result<Option<Objects>, HostError> {
    let is_fresh = |lately: &Lately| ask.brisk && !ask.neighbours && lately.at.elapsed() < FRESH;
    let known = docker
        .lately
        .borrow()
        .get(&ask.uid)
        .filter(|lately| is_fresh(lately))
        .map(|lately| (lately.objects.clone(), lately.listed.clone()));
    let Some((mut objects, before)) = known else {
        return Ok(None);
    };
    let filter = format!("{}={}", labels::UID, ask.uid);
    let summaries = observe::summaries(docker, Some(&filter)).await?;
    let now: BTreeMap<String, Listed> = summaries
        .iter()
        .filter_map(|summary| Some((summary.id.clone()?, listed(summary))))
        .collect();
    if !now.keys().eq(before.keys()) {
        return Ok(None);
    }
    for container in &mut objects.containers {
        let (Some(now), Some(before)) = (now.get(&container.id), before.get(&container.id)) else {
            return Ok(None);
        };
        if now == before {
            continue;
        }
        let look = observe::inspect(docker, &container.id);
        // Of one that is being attached or detached the list says enough: its names follow with the end of the call.
        let inspected = match (&now.names, now.state) == (&before.names, before.state) {
            true => timeout(PATIENCE, look).await.ok(),
            false => Some(look.await),
        };
        let Some(inspected) = inspected else {
            now.clone().attach(container);
            continue;
        };
        let Some(seen) = inspected?.and_then(convert::container) else {
            return Ok(None);
        };
        *container = seen.clone();
        if let Some(lately) = docker.lately.borrow_mut().get_mut(&ask.uid) {
            lately.renew(seen, now);
        }
    }
    Ok(Some(objects))
}

impl Lately {
    fn renew(&mut self, seen: ContainerObserved, now: &Listed) {
        self.listed.insert(seen.id.clone(), now.clone());
        for container in &mut self.objects.containers {
            if container.id == seen.id {
                *container = seen.clone();
            }
        }
    }
}

impl Listed {
    /// Puts the addresses that are listed in place of those that a container had.
    fn attach(self, container: &mut ContainerObserved) {
        let addresses = self.endpoints.into_iter();
        container.networks = addresses
            .map(|(network, (_, address))| (network, address.unwrap_or_default()))
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerSummaryNetworkSettings, EndpointSettings};

    use super::*;

    fn summary(state: ContainerSummaryStateEnum, endpoint: &str) -> ContainerSummary {
        let endpoint = EndpointSettings {
            endpoint_id: Some(endpoint.to_owned()),
            ip_address: Some("172.18.0.3".to_owned()),
            ..EndpointSettings::default()
        };
        ContainerSummary {
            id: Some("c0".to_owned()),
            state: Some(state),
            network_settings: Some(ContainerSummaryNetworkSettings {
                networks: Some([("pg".to_owned(), endpoint)].into()),
            }),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn a_new_state_and_a_new_attachment_are_listed_otherwise() {
        let seen = listed(&summary(ContainerSummaryStateEnum::RUNNING, "e0"));
        assert_eq!(seen, listed(&summary(ContainerSummaryStateEnum::RUNNING, "e0")));
        assert_ne!(seen, listed(&summary(ContainerSummaryStateEnum::EXITED, "e0")));
        assert_ne!(seen, listed(&summary(ContainerSummaryStateEnum::RUNNING, "e1")));
    }
}
