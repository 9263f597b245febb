//! `reconciler`: a Kubernetes-style controller for hosts that run plain Docker.

pub mod host;
pub mod kinds;
pub mod manifest;
pub mod model;
pub mod store;
