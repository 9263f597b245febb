//! Who takes over from a primary that cannot be brought back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens when the primary cannot be brought back where it is. Restarting it comes first, always: that loses nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failover {
    /// Who decides that a replica takes over.
    #[serde(default)]
    pub mode: FailoverMode,
    /// How long the primary has to be without service before a replica takes over by itself.
    #[serde(default = "at_once")]
    #[schemars(extend("format" = "duration", "examples" = ["30s"]))]
    pub delay: String,
}

impl Default for Failover {
    fn default() -> Self {
        Failover {
            mode: FailoverMode::default(),
            delay: at_once(),
        }
    }
}

/// Who decides that a replica takes over from a primary that cannot be brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FailoverMode {
    /// Somebody, with `reconciler promote MEMBER --force`.
    #[default]
    Manual,
    /// The agent: when the primary's data is gone or damaged, or it fails to start again and again, and a replica is within
    /// `replication.maxLag` of all that is known of it.
    Automatic,
}

fn at_once() -> String {
    // Nothing is decided that waiting would change: a restart in place has failed by then.
    "0s".to_owned()
}
