//! The agent is killed at every boundary of what it does, and started again: before each call to the engine or to a
//! server, so that what it had remembered is all that is left, and after each, so that nobody heard of the effect.
//!
//! `host` dies at a call, `life` is an agent from its start to its death, `stage` sweeps over the calls of an operation.

mod bring_up;
mod host;
mod life;
mod roles;
mod rollout;
mod scale;
mod stage;
mod sudden;
