//! The words that all rooms share: pure data, no I/O, no clock, no `async`.
//!
//! What lives here is what is said about the world (`container`, `observation`, `postgres`), what is to be done
//! about it (`plan`), and what is told to the user (`status`). What must not live here: a decision.

pub mod claim;
pub mod complaint;
pub mod container;
pub mod grafana;
pub mod holder;
pub mod labels;
pub mod lsn;
pub mod plan;
pub mod postgres;
pub mod process;
pub mod secret;
pub mod seen;
pub mod status;
pub mod wal;

pub use lsn::Lsn;
pub use secret::SecretRef;
pub use seen::Seen;
