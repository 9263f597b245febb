//! Rules of the house itself: what its files may name, how long they get, and that what is written for people and for
//! editors is true. No engine is needed.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod commands;
mod manifests;
mod readme;
mod rooms;
mod schemas;
mod source;
