//! Stories of a cluster in a simulated world: thousands from seeds, and those that were worth keeping, scripted.
//!
//! `SEED=n` replays one seed with its story; `SEEDS` and `SEED_FROM` say how many others are run, and from where; `FIRST=1`
//! ends with the first that fails.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

#[path = "../sim/mod.rs"]
mod sim;

mod schedules;
mod scripted;
