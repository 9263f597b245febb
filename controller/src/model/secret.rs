//! References to secrets. Plans, specs, logs and status carry only these; the bytes are fetched by the executor
//! at the moment of use and live nowhere else.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SecretRef {
    /// Generated here and kept in the state directory under `secrets/<kind>/<scope>/<name>`.
    Generated {
        /// The kind of the resource that it belongs to: names are unique among resources of one kind only.
        kind: String,
        /// The name of the resource that it belongs to.
        scope: String,
        /// The role that it belongs to.
        name: String,
    },
    /// The first line of a file on the host.
    File(String),
    /// An environment variable of the agent.
    Env(String),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Generated { kind, scope, name } => {
                write!(f, "secrets/{kind}/{scope}/{name} in the state directory")
            }
            SecretRef::File(path) => write!(f, "file {path}"),
            SecretRef::Env(name) => write!(f, "environment variable {name}"),
        }
    }
}
