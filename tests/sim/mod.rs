//! A deterministic world for the agent: an engine, PostgreSQL servers, clients, users and accidents, all from one seed and
//! in a time of their own. The agent in it is the real one, behind the same `host` traits as in production.
//!
//! | room | what it models |
//! |---|---|
//! | `world` | all of it, and how time passes |
//! | `engine` | the engine's calls |
//! | `beside` | what else is on a member's volume, and who else has its labels |
//! | `container`, `server`, `checkpoint` | a container, and the entry point and PostgreSQL in it |
//! | `volume`, `wal`, `catalog` | what lies on disk; the logs of all servers as one tree |
//! | `seeding`, `replication` | base backups, streams, replay, slots |
//! | `sql`, `facts`, `conf` | what a server does, says, and makes of its configuration |
//! | `clients` | who writes, and what was acknowledged |
//! | `faults`, `accidents`, `mischief` | what goes wrong with calls, with the world, and at the worst moment |
//! | `invariants` | what must never happen |
//! | `host`, `listing` | the world behind the agent's traits |
//! | `stage` | the agent's lives, its users, and when all is at rest |
//! | `schedule` | a run from a seed |
//! | `story` | what happened, for people |
//!
//! What is simplified: a record is flushed at once where it is written, so an acknowledged row survives every kill; rows
//! that were written and not acknowledged do not exist. A base backup is a copy of the moment in which it ends.

#![allow(dead_code, reason = "each suite uses a part of it")]

pub mod accidents;
mod beside;
mod catalog;
mod checkpoint;
mod clients;
mod conf;
pub mod container;
pub mod engine;
mod facts;
mod faults;
pub mod host;
mod invariants;
mod listing;
mod mischief;
pub mod network;
mod replication;
pub mod rng;
pub mod schedule;
mod secrets;
mod seeding;
mod server;
mod sql;
pub mod stage;
mod story;
mod volume;
mod wal;
pub mod world;
