//! `PostgresCluster`: a primary and its streaming replicas.
//!
//! `spec` is what a user writes, `validate` what the schema cannot say of it, `cluster` the same with numbers for
//! quantities, `desired` and `conf` what one member looks like, `observe` what is there, `plan` what to do next,
//! `quorum` who must have
//! what was acknowledged, `status` what to tell, `request` what a command asks for; `memory` is what has to be remembered. Only `observe`
//! touches the outside.

pub mod capacity;
pub mod cluster;
pub mod conf;
pub mod control;
pub mod creation;
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
pub mod versions;

use std::collections::BTreeMap;

use serde_json::Value;

use self::cluster::Cluster;
use self::memory::{Change, HistoryChange, Memory, SyncChange, TrialChange};
use self::observe::{Depth, Observed};
use self::plan::View;
use super::peers::Face;
use super::{Identity, Kind, Look, Milestone, Reply, Request, Scene};
use crate::host::{FailureKind, HostError, Reads};
use crate::manifest::folders::Folder;
use crate::manifest::load::KindSchema;
use crate::model::SecretRef;
use crate::model::container::Objects;
use crate::model::plan::{Action, Plan};
use crate::model::status::Status;

/// The folder that a manifest may name. What is packed is kept in letters.
const FOLDERS: &[Folder] = &[Folder {
    name: desired::SCRIPTS,
    path: &["initScripts"],
    endings: &[".sh", ".sql", ".sql.gz"],
    packed: &[".gz"],
    check: |_, _| None,
    defines: |_, _| Vec::new(),
}];

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
            folders: FOLDERS,
        }
    }

    fn wanted(identity: Identity, spec: Value, files: &BTreeMap<String, String>) -> Result<Cluster, String> {
        let spec = serde_json::from_value(spec).map_err(|e| e.to_string())?;
        let cluster = Cluster::new(&identity.name, &identity.uid, identity.generation, spec)?;
        Ok(Cluster {
            init_scripts: files.clone(),
            ..cluster
        })
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
        let delayed = before.delayed(look.late_secs);
        let mut observed = observe::observe(host, wanted, memory, &delayed, depth, look.now).await?;
        observed.mends_first = face::mends_first(look.peers, &wanted.name);
        Ok(observed)
    }

    fn objects(observed: &Observed) -> &Objects {
        &observed.objects
    }

    fn labels(wanted: &Cluster) -> BTreeMap<String, String> {
        wanted.labels(None)
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
            | Change::Killed(_)
            | Change::SyncSlots(_)
            | Change::Promoted(_)
            | Change::Reject(_)
            | Change::Restart(..)
            | Change::Trial(TrialChange::Failed { rejects: Some(_), .. } | TrialChange::SetAside(..))
            | Change::History(
                HistoryChange::GiveUp { .. } | HistoryChange::Diverged { .. } | HistoryChange::WentBack { .. },
            )
            | Change::Sync(SyncChange::Intend(_) | SyncChange::Settled(_) | SyncChange::Off) => true,
            Change::Initialised(_)
            | Change::Started(..)
            | Change::Fenced(_)
            | Change::Checkpointed(_)
            | Change::Stopping { .. }
            | Change::Awaits { .. }
            | Change::SlotsOf(_)
            | Change::NoSlotOf(_)
            | Change::Works(..)
            | Change::Filled(_)
            | Change::RewindCut(..)
            | Change::Requested { .. }
            | Change::HighWater(..)
            | Change::Retire(..)
            | Change::Forget(_)
            | Change::Floor(..)
            | Change::Defaults(_)
            | Change::Accept(_)
            | Change::Extensions(_)
            | Change::Trial(
                TrialChange::Begins(_)
                | TrialChange::First(..)
                | TrialChange::Ran(..)
                | TrialChange::Failed { rejects: None, .. }
                | TrialChange::Checked(..),
            )
            | Change::History(HistoryChange::Note(_))
            | Change::Sync(SyncChange::Possible(_) | SyncChange::Heir(_) | SyncChange::ReadBack(..)) => false,
        }
    }

    fn begins(change: &Change) -> bool {
        matches!(change, Change::Bootstrap(_))
    }

    fn has_data(memory: &Memory) -> bool {
        memory.system_identifier.is_some()
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

    fn holds(scene: &Scene<'_, Self>) -> Option<String> {
        plan::tablespaces::holds(&view(scene))
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
        is_declared: scene.is_declared,
    }
}
