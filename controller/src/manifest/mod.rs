//! YAML text to typed manifests.
pub mod load;
pub mod quantity;
