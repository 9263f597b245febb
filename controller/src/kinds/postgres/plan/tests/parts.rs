//! The things that a world is made of, as they are when all is well.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::cluster::Cluster;
use super::super::super::conf::STANDBY_FLOOR;
use super::super::super::desired;
use super::world::{HERE, NOW, SYSTEM};
use crate::model::container::{ContainerObserved, Health, ImageFacts, Limits, RunState};
use crate::model::container::{NamedObserved, NamedSpec};
use crate::model::postgres::{Control, ControlState, PgFacts, RoleAttributes, RoleFacts};
use crate::model::postgres::{SlotFacts, StandbyFacts};
use crate::model::{Lsn, labels};

pub fn image() -> ImageFacts {
    ImageFacts {
        id: "sha256:1".to_owned(),
        env: BTreeMap::from([("PG_MAJOR".to_owned(), "17".to_owned())]),
        volumes: vec!["/var/lib/postgresql/data".to_owned()],
    }
}

pub fn control(state: ControlState, checkpoint: Lsn, timeline: u32) -> Control {
    Control {
        system_identifier: SYSTEM,
        state,
        checkpoint,
        timeline,
        min_recovery: checkpoint,
        written_at: NOW - 100,
        segment_bytes: 16 << 20,
    }
}

pub fn slot(wal_status: &str, active: bool) -> SlotFacts {
    SlotFacts {
        active,
        wal_status: wal_status.to_owned(),
        ..SlotFacts::default()
    }
}

pub fn standby() -> StandbyFacts {
    StandbyFacts {
        state: "streaming".to_owned(),
        replay_lsn: HERE,
        flush_lsn: HERE,
        sync_state: "async".to_owned(),
    }
}

pub fn login() -> RoleFacts {
    RoleFacts {
        attributes: RoleAttributes {
            login: true,
            connection_limit: -1,
            ..RoleAttributes::default()
        },
        password_fits: Some(true),
        member_of: Vec::new(),
        has_expired: false,
    }
}

pub fn floor() -> BTreeMap<String, i64> {
    STANDBY_FLOOR
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect()
}

pub fn seen(spec: NamedSpec) -> NamedObserved {
    NamedObserved {
        name: spec.name,
        labels: spec.labels,
        ..NamedObserved::default()
    }
}

pub fn container(cluster: &Cluster, member: &str, generation: u32, address: &str) -> ContainerObserved {
    let spec = desired::container(cluster, member, generation, &image());
    let mut marks = spec.labels.clone();
    marks.insert(labels::SPEC_HASH.to_owned(), spec.hash());
    ContainerObserved {
        id: format!("id-{member}"),
        name: spec.name,
        labels: marks,
        state: RunState::Running,
        exit_code: 0,
        error: String::new(),
        oom_killed: false,
        started_at: NOW - 1000,
        finished_at: 0,
        health: Health::Healthy,
        networks: BTreeMap::from([
            (spec.network.clone(), address.to_owned()),
            (cluster.service_network_name(), address.replace("10.0.0", "10.0.1")),
        ]),
        aliases: BTreeMap::from([(spec.network, BTreeSet::from([member.to_owned()]))]),
        volumes: spec.volume.into_iter().map(|volume| volume.name).collect(),
        limits: Limits::default(),
    }
}

pub fn facts(cluster: &Cluster, in_recovery: bool) -> PgFacts {
    let mut replicator = login();
    replicator.attributes.replication = true;
    let mut superuser = login();
    superuser.attributes.superuser = true;
    let mut roles = BTreeMap::from([
        ("postgres".to_owned(), superuser),
        ("replicator".to_owned(), replicator),
    ]);
    roles.extend(cluster.spec.roles.iter().map(|role| (role.name.clone(), login())));
    PgFacts {
        system_identifier: SYSTEM,
        in_recovery,
        timeline: 1,
        lsn: HERE,
        receive_lsn: HERE,
        flush_lsn: HERE,
        receiver_streaming: in_recovery,
        version: 170_005,
        standby_floor: floor(),
        roles,
        databases: BTreeMap::from([("postgres".to_owned(), "postgres".to_owned())]),
        ..PgFacts::default()
    }
}
