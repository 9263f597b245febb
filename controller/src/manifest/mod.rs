//! YAML text to typed manifests.
pub mod quantity;
