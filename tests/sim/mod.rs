//! A deterministic world for the agent: an engine, PostgreSQL servers, clients, users and accidents, all from one seed and
//! in a time of their own. The agent in it is the real one, behind the same `host` traits as in production.
//!
//! | room | what it models |
//! |---|---|
//! | `world` | all of it, and how time passes |
//! | `engine` | the engine's calls |
//! | `beside` | what else is on a member's volume, and who else has its labels |
//! | `container`, `server`, `checkpoint`, `promotion` | a container, and the entry point and PostgreSQL in it |
//! | `volume`, `wal`, `catalog` | what lies on disk; the logs of all servers as one tree |
//! | `seeding`, `replication`, `receivers` | base backups, streams, replay, slots; who does not get on |
//! | `sql`, `facts`, `conf` | what a server does, says, and makes of its configuration |
//! | `clients` | who writes, and what was acknowledged |
//! | `copies` | volumes that are put back to an older copy |
//! | `faults`, `accidents`, `mischief` | what goes wrong with calls, with the world, and at the worst moment |
//! | `slowness` | who is slow, and who is dead |
//! | `invariants` | what must never happen |
//! | `host`, `listing` | the world behind the agent's traits |
//! | `stage` | the agent's lives, its users, and when all is at rest |
//! | `rivals` | the lives of agents, of which there may be two |
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
mod copies;
pub mod engine;
mod facts;
mod faults;
pub mod host;
mod invariants;
mod listing;
mod mischief;
pub mod network;
mod promotion;
mod receivers;
mod replication;
mod rivals;
pub mod rng;
pub mod schedule;
mod secrets;
mod seeding;
mod server;
pub mod slowness;
mod sql;
pub mod stage;
mod story;
mod volume;
mod wal;
pub mod world;
