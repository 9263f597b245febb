//! What the agent says of itself and its resources: the documents of its API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kinds::Check;
use crate::model::status::{Event, Status};
use crate::store::Deleting;

/// One resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceView {
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The uid that its objects carry.
    pub uid: String,
    /// The generation of its spec.
    pub generation: u64,
    /// The manifest's labels.
    pub labels: BTreeMap<String, String>,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Where it is declared: file and line.
    pub declared: String,
    /// Whether it is left alone.
    pub paused: bool,
    /// Its requested deletion.
    pub deleting: Option<Deleting>,
    /// The spec in force.
    pub spec: Value,
    /// Its state.
    pub status: Status,
    /// What happened, oldest first.
    pub events: Vec<Event>,
}

/// The agent itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentView {
    /// Its version.
    pub version: String,
    /// Its process id.
    pub process: u32,
    /// The state directory.
    pub state_dir: String,
    /// The manifests that it watches.
    pub manifests: Vec<String>,
    /// What is wrong with them.
    pub problems: Vec<String>,
    /// Passes since the start.
    pub passes: u64,
    /// The addresses at which it is asked for its metrics.
    #[serde(default)]
    pub metrics: Vec<String>,
}

/// Everything at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// The agent.
    pub agent: AgentView,
    /// Its resources.
    pub resources: Vec<ResourceView>,
}

/// What would be done to a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanView {
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The steps, each with its cause.
    pub steps: Vec<String>,
    /// What is waited for, what blocks, what has to be decided.
    pub notes: Vec<String>,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplyView {
    /// Whether it is done or under way.
    pub accepted: bool,
    /// What happens now, or why nothing does.
    pub message: String,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// The number of the last operation before this one.
    pub last_operation: u64,
}
