//! Events of the engine. They only wake: what is true is looked up afterwards.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::errors::Error;
use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;

use super::Docker;
use crate::host::HostError;
use crate::model::labels;

/// The action of the first event of every subscription: list now, what happens from here on will be told.
pub const READY: &str = "ready";

/// What changes what we see of our containers. Probes make three events each (`exec_*`), so the actions are named.
const OF_CONTAINERS: [&str; 9] = [
    "start",
    "die",
    "destroy",
    "health_status",
    "pause",
    "unpause",
    "rename",
    "oom",
    "update",
];
/// These carry no labels of containers.
const OF_OTHERS: [&str; 3] = ["connect", "disconnect", "destroy"];
/// Events of this long before the subscription are told again, so that none falls between it and the list.
const OVERLAP: Duration = Duration::from_secs(1);

/// Something happened on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// Whose objects it happened to; `None` if that cannot be told, and everybody has to look.
    pub uid: Option<String>,
    /// What happened, such as `container die` or `network disconnect`; [`READY`] at first.
    pub action: String,
    /// The container, by name or id, or the volume.
    pub name: String,
}

impl EngineEvent {
    /// Whether a container's process has ended.
    pub fn is_end(&self) -> bool {
        self.action == "container die"
    }
}

impl Docker {
    /// Subscribes and hands out events, [`READY`] first, until the engine ends the stream (`Ok`) or something fails. One
    /// event that cannot be read ends the stream too. The caller subscribes again, after a pause that grows.
    pub async fn watch(&self, mut on_event: impl FnMut(EngineEvent)) -> Result<(), HostError> {
        let what = "watch the events of the Docker engine";
        self.ping().await?;
        let engine = self.reached(what).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = now.saturating_sub(OVERLAP);
        let options = |filters: &HashMap<&str, Vec<&str>>| {
            let since = format!("{}.{:09}", since.as_secs(), since.subsec_nanos());
            EventsOptionsBuilder::new().since(&since).filters(filters).build()
        };
        let ours = HashMap::from([
            ("type", vec!["container"]),
            ("label", vec![labels::UID]),
            ("event", OF_CONTAINERS.to_vec()),
        ]);
        let others = HashMap::from([("type", vec!["network", "volume"]), ("event", OF_OTHERS.to_vec())]);
        let mut containers = engine.events(Some(options(&ours)));
        let mut others = engine.events(Some(options(&others)));
        on_event(EngineEvent {
            uid: None,
            action: READY.to_owned(),
            name: String::new(),
        });
        loop {
            let next: Option<Result<EventMessage, Error>> = tokio::select! {
                next = containers.next() => next,
                next = others.next() => next,
            };
            match next {
                Some(Ok(message)) => on_event(event(message)),
                Some(Err(error)) => return Err(self.failed(what, &error)),
                None => return Ok(()),
            }
        }
    }
}

fn event(message: EventMessage) -> EngineEvent {
    let actor = message.actor.unwrap_or_default();
    let mut attributes = actor.attributes.unwrap_or_default();
    let kind = message.typ.map(|kind| kind.to_string()).unwrap_or_default();
    let action = message.action.unwrap_or_default();
    let name = match message.typ {
        // Of a network's event the container says more.
        Some(EventMessageTypeEnum::NETWORK) => attributes.remove("container").or_else(|| attributes.remove("name")),
        _ => attributes.remove("name"),
    };
    EngineEvent {
        uid: attributes.remove(labels::UID),
        action: format!("{kind} {action}"),
        name: name.or(actor.id).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> EngineEvent {
        event(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_containers_event_names_its_owner() {
        let text = r#"{"Type": "container", "Action": "health_status: unhealthy", "Actor": {"ID": "c0",
            "Attributes": {"name": "pg-a", "dev.reconciler.uid": "u1"}}, "scope": "local", "time": 1}"#;
        let expected = EngineEvent {
            uid: Some("u1".to_owned()),
            action: "container health_status: unhealthy".to_owned(),
            name: "pg-a".to_owned(),
        };
        assert_eq!(told(text), expected);
    }

    #[test]
    fn events_of_networks_and_volumes_wake_everybody() {
        let network = told(
            r#"{"Type": "network", "Action": "disconnect", "Actor": {"ID": "n0",
            "Attributes": {"container": "c0", "name": "pg", "type": "bridge"}}}"#,
        );
        assert_eq!((network.uid, network.name.as_str()), (None, "c0"));
        let volume = told(
            r#"{"Type": "volume", "Action": "destroy", "Actor": {"ID": "v0", "Attributes": {"driver": "local"}}}"#,
        );
        assert_eq!(
            (volume.uid, volume.action.as_str(), volume.name.as_str()),
            (None, "volume destroy", "v0")
        );
    }
}
