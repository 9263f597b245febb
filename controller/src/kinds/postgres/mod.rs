//! `PostgresCluster`: a primary and its streaming replicas.
//!
//! `spec` is what a user writes, `cluster` the same with numbers for quantities, `desired` and `conf` what one member
//! looks like, `observe` what is there, `plan` what to do next, `status` what to tell; `memory` is what has to be
//! remembered. Only `observe` touches the outside.

pub mod cluster;
pub mod conf;
pub mod control;
pub mod desired;
pub mod memory;
pub mod observe;
pub mod plan;
pub mod spec;
