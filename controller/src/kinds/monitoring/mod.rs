//! `Monitoring`: Prometheus, one exporter per database member, alert rules, Alertmanager, and Grafana with dashboards.
//!
//! `spec` is what a user writes, `validate` what the schema cannot say of it, `monitor` the same with numbers for
//! quantities, `desired` what the containers look like, `conf`, `rules` and `queries` what is in their files, `content`, `dashboards` and `grafana` what
//! Grafana holds, `observe` what is
//! there, `plan` what to do next, `status` what to tell; `memory` is what has to be remembered. Only `observe` touches the
//! outside. The clusters that it monitors are seen by their faces alone.

pub mod conf;
pub mod content;
pub mod dashboards;
pub mod desired;
pub mod grafana;
pub mod memory;
pub mod monitor;
pub mod observe;
pub mod plan;
pub mod queries;
pub mod request;
pub mod rules;
pub mod spec;
pub mod status;
pub mod uses;
pub mod validate;
mod windows;

use std::collections::BTreeMap;

use serde_json::Value;

use self::memory::{Change, Memory};
use self::monitor::Monitor;
use self::observe::Observed;
use self::plan::View;
use super::{Identity, Kind, Look, Reply, Request, Scene};
use crate::host::{FailureKind, HostError, Reads};
use crate::manifest::folders::Folder;
use crate::manifest::load::KindSchema;
use crate::model::SecretRef;
use crate::model::container::Objects;
use crate::model::plan::{Action, Plan};
use crate::model::status::Status;

/// The kind `Monitoring`.
#[derive(Debug, Clone, Copy)]
pub struct Monitoring;

/// The folders that a manifest may name.
const FOLDERS: &[Folder] = &[
    Folder {
        name: "rules",
        path: &["prometheus", "rules"],
        endings: &[".yml", ".yaml"],
        packed: &[],
        // What is wrong with rules is for promtool to say.
        check: |_, _| None,
        defines: |_, _| Vec::new(),
    },
    Folder {
        name: "queries",
        path: &["exporters", "postgres", "queries"],
        endings: &[".yml", ".yaml"],
        packed: &[],
        check: |_, text| queries::complaint(text),
        defines: |_, text| queries::defines(text),
    },
    Folder {
        name: "dashboards",
        path: &["grafana", "dashboards"],
        endings: &[".json"],
        packed: &[],
        check: content::complaint,
        defines: content::defines,
    },
    Folder {
        name: "alertmanager",
        path: &["alertmanager", "config"],
        endings: &[".yml", ".yaml", ".tmpl"],
        packed: &[],
        check: |_, _| None,
        defines: |_, _| Vec::new(),
    },
];

impl Kind for Monitoring {
    const NAME: &'static str = monitor::KIND;
    const IS_ONLOOKER: bool = true;
    type Wanted = Monitor;
    type Observed = Observed;
    type Memory = Memory;
    type Change = Change;

    fn schema() -> KindSchema {
        KindSchema {
            kind: monitor::KIND,
            schema: schemars::schema_for!(spec::Monitoring).to_value(),
            validate: validate::validate,
            uses: uses::uses,
            folders: FOLDERS,
        }
    }

    fn wanted(identity: Identity, spec: Value, files: &BTreeMap<String, String>) -> Result<Monitor, String> {
        let spec = serde_json::from_value(spec).map_err(|e| e.to_string())?;
        let identity = (identity.name.as_str(), identity.uid.as_str(), identity.generation);
        Monitor::new(identity, spec, files.clone())
    }

    fn secrets(wanted: &Monitor) -> Vec<SecretRef> {
        wanted.secrets()
    }

    async fn observe<R: Reads>(
        host: &R,
        wanted: &Monitor,
        memory: &Memory,
        before: &Observed,
        look: Look<'_>,
    ) -> Result<Observed, HostError> {
        observe::observe(host, wanted, memory, before, look).await
    }

    fn objects(observed: &Observed) -> &Objects {
        &observed.objects
    }

    fn labels(wanted: &Monitor) -> BTreeMap<String, String> {
        wanted.labels(None)
    }

    fn plan(scene: &Scene<'_, Self>) -> Plan<Change> {
        plan::plan(&view(scene))
    }

    fn on_failure(scene: &Scene<'_, Self>, action: &Action<Change>, error: &HostError) -> Option<Change> {
        let invalid = error.kind == FailureKind::Invalid;
        plan::on_failure(&view(scene), action, invalid, &error.why)
    }

    fn admits(_: &Memory, _: &Change) -> Result<(), String> {
        Ok(())
    }

    fn apply(memory: &mut Memory, change: &Change) {
        memory.apply(change);
    }

    fn is_news(change: &Change) -> bool {
        match change {
            Change::Accept(..) | Change::Refuse(..) | Change::Drop(_) | Change::Restart(..) => true,
            Change::Port(..)
            | Change::Release(_)
            | Change::Kept(_)
            | Change::AdminAttempt(_)
            | Change::LetIn
            | Change::Unread(_)
            | Change::Read(_)
            | Change::Reloading(..) => false,
        }
    }

    fn begins(change: &Change) -> bool {
        matches!(change, Change::Port(..))
    }

    fn has_data(_: &Memory) -> bool {
        false
    }

    fn status(scene: &Scene<'_, Self>, plan: &Plan<Change>) -> Status {
        status::status(&view(scene), plan)
    }

    fn request(scene: &Scene<'_, Self>, request: &Request) -> Reply<Change> {
        request::answer(&view(scene), request)
    }
}

fn view<'a>(scene: &Scene<'a, Monitoring>) -> View<'a> {
    View {
        monitor: scene.wanted,
        observed: scene.observed,
        memory: scene.memory,
        now: scene.now,
    }
}
