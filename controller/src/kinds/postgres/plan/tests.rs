//! The planner's tests: one rule, one story, and the printed plan as the oracle.

mod adoption;
mod arbitrary;
mod configuration;
mod contents;
mod disk;
mod failover;
mod foundation;
mod history;
mod life;
mod parts;
mod primary;
mod promotion;
mod promotion_trouble;
mod properties;
mod receivers;
mod rejoining;
mod replicas;
mod reseeding;
mod rollout;
mod routes;
mod scaling;
mod slots;
mod sync;
mod sync_protocol;
mod tablespaces;
mod trial;
pub mod world;
