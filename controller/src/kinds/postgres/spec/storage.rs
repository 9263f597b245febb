//! `spec.storage`: the data volumes, and what becomes of those that are no longer used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The data volumes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Storage {
    /// What becomes of the volume of a replica that is scaled away.
    #[serde(default)]
    pub on_scale_down: OnScaleDown,
    /// How a replica that cannot follow any more gets new data. The old volume is kept as it was in either case.
    #[serde(default)]
    pub reseed: ReseedMethod,
    /// How long a volume stays that a re-seed replaced.
    #[serde(default)]
    pub quarantine: Quarantine,
}

/// How a replica that cannot follow any more gets new data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ReseedMethod {
    /// By whichever of the two is expected to be quicker.
    #[default]
    Auto,
    /// By a base backup of the primary.
    Clone,
    /// By a copy of its own data and `pg_rewind`, where that is possible; else by a base backup.
    Rewind,
}

/// How long a volume stays that a re-seed replaced. One that may hold what nobody else has stays until it is removed
/// with `reconciler volumes rm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quarantine {
    /// How long a volume stays although it is proved to be a copy; `0s` removes it as soon as its member streams again.
    #[serde(default = "retention")]
    #[schemars(extend("format" = "duration", "examples" = ["24h"]))]
    pub retention: String,
    /// How many bytes such volumes may take together; beyond that the oldest go first.
    #[serde(default = "quarantine_size")]
    #[schemars(extend("format" = "bytes", "x-scalar" = true))]
    pub max_size: String,
}

impl Default for Quarantine {
    fn default() -> Self {
        Quarantine {
            retention: retention(),
            max_size: quarantine_size(),
        }
    }
}

/// What becomes of a volume that is no longer used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnScaleDown {
    /// It stays, and is used again when the replica comes back.
    #[default]
    Keep,
    /// It is removed, once it is proved to be a copy.
    Delete,
}

fn retention() -> String {
    // Long enough for somebody to come back from a week off and look into what happened.
    "168h".to_owned()
}

fn quarantine_size() -> String {
    // A copy of a large database is not worth its room; that of a small one costs nothing.
    "20GiB".to_owned()
}
