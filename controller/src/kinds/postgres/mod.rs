//! `PostgresCluster`: a primary and its streaming replicas.
//!
//! `spec` is what a user writes, `validate` what the schema cannot say of it, `cluster` the same with numbers for
//! quantities, `desired` and `conf` what one member looks like, `observe` what is there, `plan` what to do next,
//! `quorum` who must have
//! what was acknowledged, `status` what to tell, `request` what a command asks for; `memory` is what has to be remembered. Only `observe`
//! touches the outside.

pub mod cluster;
pub mod conf;
pub mod control;
pub mod desired;
pub mod face;
pub mod memory;
pub mod observe;
pub mod plan;
pub mod quorum;
pub mod request;
pub mod roles;
pub mod spec;
pub mod status;
pub mod uses;
pub mod validate;

use std::collections::BTreeMap;

use serde_json::Value;

use self::cluster::Cluster;
use self::memory::{Change, Memory, SyncChange};
use self::observe::{Depth, Observed};
use self::plan::View;
use super::peers::Face;
use super::{Identity, Kind, Look, Milestone, Reply, Request, Scene};
use crate::host::{FailureKind, HostError, Reads};
use crate::manifest::load::KindSchema;
use crate::model::SecretRef;
use crate::model::plan::{Action, Plan};
use crate::model::status::Status;

/// The kind `PostgresCluster`.
#[derive(Debug, Clone, Copy)]
pub struct Postgres;

impl Kind for Postgres {
    const NAME: &'static str = cluster::KIND;
    type Wanted = Cluster;
    type Observed = Observed;
    type Memory = Memory;
    type Change = Change;

    fn schema() -> KindSchema {
        KindSchema {
            kind: cluster::KIND,
            schema: schemars::schema_for!(spec::PostgresCluster).to_value(),
            validate: validate::validate,
            uses: uses::uses,
            folders: &[],
        }
    }

    fn wanted(identity: Identity, spec: Value, _: &BTreeMap<String, String>) -> Result<Cluster, String> {
        let spec = serde_json::from_value(spec).map_err(|e| e.to_string())?;
        Cluster::new(&identity.name, &identity.uid, identity.generation, spec)
    }

    fn secrets(wanted: &Cluster) -> Vec<SecretRef> {
        wanted.secrets()
    }

    async fn observe<R: Reads>(
        host: &R,
        wanted: &Cluster,
        memory: &Memory,
        before: &Observed,
        look: Look<'_>,
    ) -> Result<Observed, HostError> {
        let deep = look.deep;
        let databases = deep || memory.extensions_generation != wanted.generation;
        let depth = Depth { databases, sizes: deep };
        observe::observe(host, wanted, memory, before, depth, look.now).await
    }

    fn plan(scene: &Scene<'_, Self>) -> Plan<Change> {
        plan::plan(&view(scene))
    }

    fn on_failure(scene: &Scene<'_, Self>, action: &Action<Change>, error: &HostError) -> Option<Change> {
        let invalid = error.kind == FailureKind::Invalid;
        plan::on_failure(&view(scene), action, invalid, &error.why)
    }

    fn admits(memory: &Memory, change: &Change) -> Result<(), String> {
        memory.admits(change)
    }

    fn apply(memory: &mut Memory, change: &Change) {
        memory.apply(change);
    }

    fn is_news(change: &Change) -> bool {
        match change {
            Change::Bootstrap(_)
            | Change::Adopt { .. }
            | Change::Reseed(_)
            | Change::NoRewind(..)
            | Change::TryAgain(_)
            | Change::Release(..)
            | Change::Promote(_)
            | Change::CatchUp { .. }
            | Change::Promoted(_)
            | Change::Reject(_)
            | Change::Restart(..)
            | Change::Sync(SyncChange::Intend(_) | SyncChange::Settled(_) | SyncChange::Off) => true,
            Change::Initialised(_)
            | Change::Started(..)
            | Change::Fenced(_)
            | Change::Checkpointed(_)
            | Change::Stopping { .. }
            | Change::Works(..)
            | Change::Filled(_)
            | Change::Requested { .. }
            | Change::HighWater(..)
            | Change::Retire(..)
            | Change::Forget(_)
            | Change::Floor(..)
            | Change::Accept(_)
            | Change::Extensions(_)
            | Change::Sync(SyncChange::Possible(_) | SyncChange::Heir(_) | SyncChange::ReadBack(..)) => false,
        }
    }

    fn status(scene: &Scene<'_, Self>, plan: &Plan<Change>) -> Status {
        status::status(&view(scene), plan)
    }

    fn milestone(change: &Change) -> Option<Milestone<'_>> {
        match change {
            Change::Reseed(reseed) => Some(Milestone::Reseed(&reseed.member)),
            Change::Stopping { .. } => Some(Milestone::WritesStop),
            Change::Promoted(result) => Some(Milestone::Promoted(result.succeeded)),
            _ => None,
        }
    }

    fn face(scene: &Scene<'_, Self>, status: &Status) -> Option<Face> {
        Some(face::show(&view(scene), status))
    }

    fn request(scene: &Scene<'_, Self>, request: &Request) -> Reply<Change> {
        request::answer(&view(scene), request)
    }
}

fn view<'a>(scene: &Scene<'a, Postgres>) -> View<'a> {
    View {
        cluster: scene.wanted,
        observed: scene.observed,
        memory: scene.memory,
        now: scene.now,
    }
}
