//! The product against a real engine: every test has an agent, a manifest, ports and containers of its own, does to them
//! what users and machines do, and waits until all is right again. What a test made is removed when it ends; of one that
//! failed the logs are kept under `target/failed/`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod access;
mod agent;
mod beside;
mod bring_up;
mod by_hand;
mod claims;
mod configuration;
mod crash;
mod creation;
mod damage;
mod edits;
mod engine;
mod engines;
mod failover;
mod fence;
mod grafana;
mod healing;
mod history;
mod input;
mod logical;
mod machine;
mod monitoring;
mod names;
mod neighbours;
mod promotion;
mod quarantine;
mod receivers;
mod reseed;
mod rewind;
mod scale;
mod slow;
mod state;
mod sync;
mod tablespaces;
mod trials;
#[path = "../contract/twin.rs"]
mod twin;
mod versions;
mod world;
