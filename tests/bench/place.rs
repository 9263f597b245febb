//! Where a run lives, and the end of all that it made: the agent's process, then every object that carries the run's
//! label. Left behind by a run that was killed outright, they are found by `docker ps -a --filter label=dev-test`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptions,
};
use reconciler::model::labels;
use tempfile::TempDir;
use tokio::process::Child;

use crate::Done;

/// The label that all objects of all runs carry.
pub const LABEL: &str = "dev-test";

/// Where a run lives.
pub struct Place {
    /// Names the run: its cluster, its label's value.
    pub name: String,
    /// The engine.
    pub engine: Docker,
    /// The agent, once it runs.
    pub agent: RefCell<Option<Child>>,
    dir: TempDir,
}

impl Place {
    /// A new place, with nothing in it.
    pub fn new() -> Done<Self> {
        Ok(Place {
            name: format!("bench-{}", std::process::id()),
            engine: Docker::connect_with_unix_defaults()?,
            agent: RefCell::default(),
            dir: TempDir::with_prefix("reconciler-bench-")?,
        })
    }

    /// The agent's state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The manifest.
    pub fn manifest(&self) -> PathBuf {
        self.dir.path().join("manifests").join("bench.yaml")
    }

    /// A directory for files of a contender's.
    pub fn files(&self, of: &str) -> Done<PathBuf> {
        let path = self.dir.path().join(of);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// The agent's log.
    pub fn log(&self) -> PathBuf {
        self.dir.path().join("agent.log")
    }

    /// Ends the agent and removes every object of this run.
    pub async fn sweep(&self) -> Done<()> {
        // What cannot be removed keeps nothing else from going.
        let mut failures = Vec::new();
        match self.agent.take() {
            Some(mut agent) => failures.extend(agent.kill().await.err().map(|error| error.to_string())),
            // Nothing was made where there is no engine.
            None if self.engine.ping().await.is_err() => return Ok(()),
            None => {}
        }
        for label in [
            format!("{LABEL}={}", self.name),
            format!("{}={}", labels::NAME, self.name),
        ] {
            self.remove_all(&label, &mut failures).await?;
        }
        if failures.is_empty() {
            return Ok(());
        }
        Err(format!("not all of {} could be removed: {}", self.name, failures.join("; ")).into())
    }

    async fn remove_all(&self, label: &str, failures: &mut Vec<String>) -> Done<()> {
        let mut note = |outcome: Result<(), Error>| match outcome {
            // A client's container removes itself when it ends.
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(error) => failures.push(error.to_string()),
        };
        let filter = HashMap::from([("label", vec![label])]);
        let all = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
        for container in self.engine.list_containers(Some(all)).await? {
            let forced = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            let id = container.id.unwrap_or_default();
            note(self.engine.remove_container(&id, Some(forced)).await);
        }
        let all = ListVolumesOptionsBuilder::new().filters(&filter).build();
        for volume in self.engine.list_volumes(Some(all)).await?.volumes.unwrap_or_default() {
            let removed = self.engine.remove_volume(&volume.name, None::<RemoveVolumeOptions>);
            note(removed.await);
        }
        let all = ListNetworksOptionsBuilder::new().filters(&filter).build();
        for network in self.engine.list_networks(Some(all)).await? {
            note(self.engine.remove_network(&network.id.unwrap_or_default()).await);
        }
        Ok(())
    }
}
