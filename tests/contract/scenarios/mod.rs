//! What is done on a host, and what has to be seen.

pub mod engine;
pub mod replication;
pub mod server;
