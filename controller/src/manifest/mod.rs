//! YAML text to typed manifests.
pub mod diagnostic;
pub mod load;
pub mod quantity;
