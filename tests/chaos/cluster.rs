//! One cluster, as seen from outside.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::host::{Host, LABEL, docker};
use crate::{Done, Mode};

/// How many ports a cluster may publish.
pub const PORTS: u16 = 8;
const POLL: Duration = Duration::from_millis(100);

/// One cluster.
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// How it replicates.
    pub mode: Mode,
    /// The first of its ports.
    pub base_port: u16,
    /// What is wanted.
    pub spec: Value,
}

/// A cluster as its status shows it.
pub struct Seen {
    /// Whether nothing is left to do.
    pub is_ready: bool,
    /// The primary, if one is known.
    pub primary: Option<String>,
    /// The members and their volumes.
    pub members: Vec<(String, String)>,
    /// All that is shown.
    pub resource: Value,
}

impl Seen {
    /// The replicas.
    pub fn replicas(&self) -> Vec<String> {
        let members = self.members.iter().map(|(name, _)| name.clone());
        members.filter(|name| Some(name) != self.primary.as_ref()).collect()
    }

    /// A member's volume.
    pub fn volume(&self, member: &str) -> Option<&str> {
        let found = self.members.iter().find(|(name, _)| name == member);
        found.map(|(_, volume)| volume.as_str())
    }
}

impl Cluster {
    /// A cluster of three with small limits, so that little makes much happen.
    pub fn new(host: &mut Host, mode: Mode) -> Self {
        let (suffix, replication) = match mode {
            Mode::Asynchronous => ("async", json!({"maxLag": "16MiB"})),
            Mode::Synchronous => {
                let how = json!({
                    "maxLag": "16MiB", "mode": "synchronous", "method": "any", "number": 1, "durability": "required",
                });
                ("sync", how)
            }
        };
        let mut replication = replication;
        replication["maxSlotWalKeepSize"] = json!("48MiB");
        let base_port = host.ports(PORTS);
        let spec = json!({
            "image": std::env::var("RECONCILER_TEST_IMAGE").unwrap_or_else(|_| "postgres:17".to_owned()),
            "replicas": 2,
            "pullPolicy": "Never",
            "ports": {"base": base_port},
            "parameters": {
                "shared_buffers": "16MB", "max_connections": 40, "max_wal_size": "64MB", "min_wal_size": "32MB",
                "wal_keep_size": "0", "log_min_duration_statement": 1000,
            },
            "replication": replication,
            "failover": {"mode": "automatic"},
            "health": {"interval": "2s"},
            "stopGracePeriod": "20s",
            "labels": {LABEL: host.name},
        });
        Cluster {
            name: format!("{}-{suffix}", host.name),
            mode,
            base_port,
            spec,
        }
    }

    /// Saves the manifest as editors do: a new file, then a rename.
    pub fn save(&self, host: &Host) -> Done<()> {
        let document = json!({
            "apiVersion": "reconciler.dev/v1alpha1",
            "kind": "PostgresCluster",
            "metadata": {"name": self.name},
            "spec": self.spec,
        });
        let path = host.manifest(&self.name);
        let beside = path.with_extension("new");
        fs::write(&beside, serde_yaml::to_string(&document)?)?;
        Ok(fs::rename(beside, path)?)
    }

    /// What the agent last saw of it; `None` while no agent answers. It makes the agent do nothing: that it notices
    /// things by itself is part of what is tried.
    pub fn look(&self, host: &Host) -> Done<Option<Seen>> {
        let name = format!("PostgresCluster/{}", self.name);
        let output = host.cli(&["get", &name, "-o", "json"])?;
        if !output.succeeded {
            return Ok(None);
        }
        let found: Value = serde_json::from_str(&output.out)?;
        Ok(Some(self.seen(&found[0])))
    }

    /// What the agent sees of it when it looks now; `None` while no agent answers.
    pub fn look_anew(&self, host: &Host) -> Done<Option<Seen>> {
        let output = host.cli(&["status", &self.name, "-o", "json"])?;
        if !output.succeeded {
            return Ok(None);
        }
        let overview: Value = serde_json::from_str(&output.out)?;
        Ok(Some(self.seen(&overview["resources"][0])))
    }

    fn seen(&self, resource: &Value) -> Seen {
        let status = &resource["status"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let members: Vec<&Value> = status["members"].as_array().into_iter().flatten().collect();
        let primary = members.iter().find(|member| member["role"] == "primary");
        let ready = &status["conditions"][0];
        let is_whole = members.len() as u64 == self.spec["replicas"].as_u64().unwrap_or_default() + 1;
        Seen {
            is_ready: ready["type"] == "Ready"
                && ready["status"] == "True"
                && status["observedGeneration"] == resource["generation"]
                && is_whole,
            primary: primary.map(|member| text(&member["name"])),
            members: members.iter().map(|m| (text(&m["name"]), text(&m["volume"]))).collect(),
            resource: resource.clone(),
        }
    }

    /// Waits until nothing is left to do.
    pub fn wait_ready(&self, host: &Host, limit: Duration, stop: &AtomicBool) -> Done<Seen> {
        let begin = Instant::now();
        loop {
            let seen = self.look(host)?;
            let last = match seen {
                Some(seen) if seen.is_ready && self.is_ready(host)? => return Ok(seen),
                Some(seen) => seen.resource["status"]["conditions"][0]["message"].clone(),
                None => Value::Null,
            };
            if begin.elapsed() > limit || stop.load(Ordering::SeqCst) {
                return Err(format!("not ready after {} s: {last}", begin.elapsed().as_secs()).into());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Whether it is ready at this moment.
    pub fn is_ready(&self, host: &Host) -> Done<bool> {
        Ok(self.look_anew(host)?.is_some_and(|seen| seen.is_ready))
    }

    /// A member's container.
    pub fn container(&self, member: &str) -> String {
        format!("{}-{member}", self.name)
    }

    /// Runs SQL in a member as the superuser; the answer without decoration.
    pub fn sql(&self, member: &str, sql: &str) -> Done<String> {
        let container = self.container(member);
        let psql = [
            "exec", "-u", "postgres", &container, "psql", "-U", "postgres", "-Atqc", sql,
        ];
        let output = docker(&psql)?;
        if output.succeeded {
            return Ok(output.out);
        }
        Err(format!("{member}: {}", output.err).into())
    }

    /// Runs SQL in the primary.
    pub fn sql_on_primary(&self, host: &Host, sql: &str) -> Done<String> {
        let primary = self.look(host)?.and_then(|seen| seen.primary);
        self.sql(&primary.ok_or("no primary is known")?, sql)
    }

    /// The superuser's password.
    pub fn password(&self, host: &Host) -> Done<String> {
        let path = host
            .state_dir()
            .join("secrets")
            .join("PostgresCluster")
            .join(&self.name)
            .join("postgres");
        Ok(fs::read_to_string(path)?.trim().to_owned())
    }

    /// All its volumes.
    pub fn volumes(&self) -> Done<Vec<String>> {
        let filter = format!("label=dev.reconciler.name={}", self.name);
        let listed = docker(&["volume", "ls", "-q", "--filter", &filter])?;
        let volumes = listed
            .out
            .lines()
            .filter(|volume| !volume.starts_with("reconciler-claim-"));
        Ok(volumes.map(str::to_owned).collect())
    }
}
