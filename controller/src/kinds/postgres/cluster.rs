//! A validated cluster: the spec with its quantities as numbers, and the names of everything that belongs to it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::conf;
use super::memory::Settings;
use super::spec::{PasswordFrom, PostgresCluster};
use crate::kinds::password;
use crate::manifest::quantity::{parse_bytes, parse_duration, parse_limits};
use crate::model::SecretRef;
use crate::model::container::Limits;
use crate::model::labels;

/// The kind's name in manifests and labels.
pub const KIND: &str = "PostgresCluster";

/// The role that exporters log in as.
pub const MONITORING_ROLE: &str = "reconciler_monitor";

/// A validated cluster. Building the desired state from it cannot fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// The resource's name.
    pub name: String,
    /// The resource's uid.
    pub uid: String,
    /// The generation of the spec.
    pub generation: u64,
    /// What the user wrote.
    pub spec: PostgresCluster,
    /// The files of the folder `spec.initScripts`, by folder and name.
    pub init_scripts: BTreeMap<String, String>,
    /// `spec.resources.cpu` and `.memory`.
    pub limits: Limits,
    /// `spec.resources.shm` in bytes.
    pub shm_bytes: i64,
    /// `spec.stopGracePeriod` in seconds.
    pub stop_grace_secs: i64,
    /// `spec.replication.maxLag` in bytes.
    pub max_lag_bytes: u64,
    /// `spec.replication.maxSlotWalKeepSize` in bytes.
    pub max_slot_wal_keep_bytes: u64,
    /// `spec.replication.receiverGracePeriod` in seconds.
    pub receiver_grace_secs: i64,
    /// `spec.storage.quarantine.retention` in seconds.
    pub retention_secs: i64,
    /// `spec.storage.quarantine.maxSize` in bytes.
    pub quarantine_bytes: u64,
    /// `spec.failover.delay` in seconds.
    pub failover_delay_secs: i64,
    /// `spec.health.interval` in seconds.
    pub probe_interval_secs: u64,
}

impl Cluster {
    /// Builds a cluster from a spec that has passed the schema.
    pub fn new(name: &str, uid: &str, generation: u64, spec: PostgresCluster) -> Result<Self, String> {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let whole_secs = |duration: Duration| signed(duration.as_secs() + u64::from(duration.subsec_nanos() > 0));
        let limits = parse_limits(spec.resources.cpu.as_deref(), spec.resources.memory.as_deref())?;
        Ok(Cluster {
            name: name.to_owned(),
            uid: uid.to_owned(),
            generation,
            init_scripts: BTreeMap::new(),
            limits,
            shm_bytes: signed(parse_bytes(&spec.resources.shm)?),
            stop_grace_secs: signed(parse_duration(&spec.stop_grace_period)?.as_secs().max(1)),
            max_lag_bytes: parse_bytes(&spec.replication.max_lag)?,
            max_slot_wal_keep_bytes: parse_bytes(&spec.replication.max_slot_wal_keep_size)?,
            receiver_grace_secs: whole_secs(parse_duration(&spec.replication.receiver_grace_period)?),
            retention_secs: signed(parse_duration(&spec.storage.quarantine.retention)?.as_secs()),
            quarantine_bytes: parse_bytes(&spec.storage.quarantine.max_size)?,
            failover_delay_secs: whole_secs(parse_duration(&spec.failover.delay)?),
            probe_interval_secs: parse_duration(&spec.health.interval)?.as_secs().max(1),
            spec,
        })
    }

    /// The names of the members: one more than there are replicas. `primary` is always among them, whatever its
    /// number: scaling down never removes the primary.
    pub fn members(&self, primary: Option<&str>) -> Vec<String> {
        let wanted = self.spec.replicas as usize + 1;
        let mut members: Vec<String> = std::iter::once(self.spec.primary_name.clone())
            .chain((1..=self.spec.replicas).map(|n| format!("replica-{n}")))
            .collect();
        if let Some(primary) = primary
            && !members.iter().any(|m| m == primary)
        {
            members.truncate(wanted.saturating_sub(1));
            members.push(primary.to_owned());
        }
        members
    }

    /// The container of a member; also its DNS name on the cluster's network.
    pub fn container_name(&self, member: &str) -> String {
        format!("{}-{member}", self.name)
    }

    /// The volume of a member in a generation.
    pub fn volume_name(&self, member: &str, generation: u32) -> String {
        format!("{}-{member}-g{generation}", self.name)
    }

    /// The network of the cluster: replication, the agent, the members' own names.
    pub fn network_name(&self) -> String {
        format!("{}-net", self.name)
    }

    /// The network that applications attach to. It sorts behind the cluster's own, from which the engine, going by
    /// name, takes a member's gateway and the way of its published port: joining and leaving this one harms neither.
    pub fn service_network_name(&self) -> String {
        format!("{}-svc", self.name)
    }

    /// The DNS name of a route on the service network.
    pub fn route_name(&self, route: &str) -> String {
        format!("{}-{route}", self.name)
    }

    /// The published port of a member.
    pub fn port(&self, member: &str) -> Option<u16> {
        if let Some(port) = self.spec.ports.members.get(member) {
            return Some(*port);
        }
        let base = self.spec.ports.base?;
        let offset = match member.strip_prefix("replica-") {
            Some(number) if member != self.spec.primary_name => number.parse::<u16>().ok()?,
            _ => 0,
        };
        base.checked_add(offset)
    }

    /// Our labels and the user's.
    pub fn labels(&self, member: Option<&str>) -> BTreeMap<String, String> {
        labels::of((KIND, &self.name, &self.uid), member, &self.spec.labels)
    }

    /// What of the spec ends up in the server's files.
    pub fn settings(&self) -> Settings {
        Settings {
            parameters: self.spec.parameters.clone(),
            hba: self.spec.hba.clone(),
        }
    }

    /// The superuser's password.
    pub fn superuser_password(&self) -> SecretRef {
        let from = self.spec.superuser.as_ref().map(|s| &s.password_from);
        self.password(conf::SUPERUSER, from)
    }

    /// The replication role's password; always generated.
    pub fn replicator_password(&self) -> SecretRef {
        self.password(conf::REPLICATOR, None)
    }

    /// The password of a role: as the manifest says, or generated.
    pub fn password(&self, role: &str, from: Option<&PasswordFrom>) -> SecretRef {
        password::of((KIND, &self.name), role, from)
    }

    /// The passwords that are generated for it. That of the role which monitoring logs in as is the cluster's too,
    /// whoever monitors it.
    pub fn secrets(&self) -> Vec<SecretRef> {
        let login = self.spec.roles.iter().filter(|role| role.login);
        let of_roles = login.map(|role| self.password(&role.name, role.password_from.as_ref()));
        let mut secrets = vec![
            self.superuser_password(),
            self.replicator_password(),
            self.password(MONITORING_ROLE, None),
        ];
        secrets.extend(of_roles);
        secrets.retain(|secret| matches!(secret, SecretRef::Generated { .. }));
        secrets
    }
}
