//! The statements that are sent to a server.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::secret::SecretRef;
use super::RoleAttributes;

/// One statement, or a few that belong together. Secrets are references; the executor makes verifiers of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SqlOp {
    /// `CHECKPOINT`.
    Checkpoint,
    /// `pg_promote(wait => false)`.
    Promote,
    /// `pg_reload_conf()`.
    Reload,
    /// `pg_wal_replay_resume()`.
    ResumeReplay,
    /// Creates a physical slot that reserves WAL from now on.
    CreateSlot(String),
    /// Drops a physical slot.
    DropSlot(String),
    /// `ALTER SYSTEM RESET`, then a reload.
    ResetParameter(String),
    /// Creates a role or sets its attributes, memberships and password.
    Role(RoleChange),
    /// `CREATE DATABASE name OWNER owner`.
    CreateDatabase {
        /// The database.
        name: String,
        /// Its owner; empty for the superuser.
        owner: String,
    },
    /// `ALTER DATABASE name OWNER TO owner`.
    DatabaseOwner {
        /// The database.
        name: String,
        /// Its owner.
        owner: String,
    },
    /// Has a database take connections again.
    OpenDatabase(String),
    /// `CREATE EXTENSION IF NOT EXISTS`.
    CreateExtension {
        /// The database that it is created in.
        database: String,
        /// The extension.
        name: String,
        /// The schema, made if it is missing; empty for the first of the search path.
        schema: String,
        /// The version; empty for the image's default.
        version: String,
        /// Whether to create what it needs.
        cascade: bool,
    },
    /// `ALTER EXTENSION name UPDATE TO version`.
    UpdateExtension {
        /// The database that it is in.
        database: String,
        /// The extension.
        name: String,
        /// The version.
        version: String,
    },
    /// `ALTER EXTENSION name SET SCHEMA schema`.
    MoveExtension {
        /// The database that it is in.
        database: String,
        /// The extension.
        name: String,
        /// The schema, made if it is missing.
        schema: String,
    },
    /// Many of these, one after the other: roles, databases and what is in them. What fails keeps no other from being done.
    Many(Vec<SqlOp>),
    /// Ends the connections of all clients, so that a demoted member has none.
    TerminateClients,
    /// Ends WAL senders, by their processes. One that is stuck in sending only takes note the first time, and ends the second.
    EndSenders(Vec<i32>),
}

/// A role as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleChange {
    /// The role.
    pub name: String,
    /// Whether it is missing and created.
    pub create: bool,
    /// The attributes that it shall have.
    pub attributes: RoleAttributes,
    /// The password to set; `None` leaves it as it is.
    pub password: Option<SecretRef>,
    /// The roles to become a member of.
    pub grant: Vec<String>,
    /// Whether its password is to be valid for ever again.
    #[serde(default)]
    pub never_expires: bool,
}

impl fmt::Display for SqlOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SqlOp::Checkpoint => write!(f, "checkpoint"),
            SqlOp::Promote => write!(f, "promote"),
            SqlOp::Reload => write!(f, "reload the configuration"),
            SqlOp::ResumeReplay => write!(f, "resume the replay"),
            SqlOp::CreateSlot(name) => write!(f, "create replication slot {name}"),
            SqlOp::DropSlot(name) => write!(f, "drop replication slot {name}"),
            SqlOp::ResetParameter(name) => write!(f, "reset parameter {name} set by ALTER SYSTEM"),
            SqlOp::Role(role) if role.create => write!(f, "create role {}", role.name),
            SqlOp::Role(role) => write!(f, "alter role {}", role.name),
            SqlOp::CreateDatabase { name, .. } => write!(f, "create database {name}"),
            SqlOp::DatabaseOwner { name, owner } => write!(f, "give database {name} to {owner}"),
            SqlOp::OpenDatabase(name) => write!(f, "let database {name} take connections"),
            SqlOp::Many(ops) => write!(f, "{}", summary(ops)),
            SqlOp::CreateExtension { database, name, .. } => {
                write!(f, "create extension {name} in database {database}")
            }
            SqlOp::UpdateExtension {
                database,
                name,
                version,
            } => {
                write!(f, "update extension {name} in database {database} to {version}")
            }
            SqlOp::MoveExtension { database, name, schema } => {
                write!(f, "move extension {name} in database {database} to schema {schema}")
            }
            SqlOp::TerminateClients => write!(f, "end the clients' connections"),
            SqlOp::EndSenders(pids) if pids.len() == 1 => write!(f, "end a WAL sender"),
            SqlOp::EndSenders(pids) => write!(f, "end {} WAL senders", pids.len()),
        }
    }
}

/// What many statements do, by their number.
fn summary(ops: &[SqlOp]) -> String {
    let mut counts: Vec<(&str, &str, usize)> = Vec::new();
    for (verb, what) in ops.iter().map(kind) {
        match counts.iter_mut().find(|(v, w, _)| (*v, *w) == (verb, what)) {
            Some((_, _, number)) => *number += 1,
            None => counts.push((verb, what, 1)),
        }
    }
    let told = counts
        .iter()
        .map(|(verb, what, number)| format!("{verb} {number} {what}{}", if *number == 1 { "" } else { "s" }));
    told.collect::<Vec<String>>().join(", ")
}

/// What a statement does, and to what kind of thing.
fn kind(op: &SqlOp) -> (&'static str, &'static str) {
    match op {
        SqlOp::Role(role) if role.create => ("create", "role"),
        SqlOp::Role(_) => ("alter", "role"),
        SqlOp::CreateDatabase { .. } => ("create", "database"),
        SqlOp::DatabaseOwner { .. } => ("give away", "database"),
        SqlOp::OpenDatabase(_) => ("open", "database"),
        SqlOp::CreateExtension { .. } => ("create", "extension"),
        SqlOp::UpdateExtension { .. } => ("update", "extension"),
        SqlOp::MoveExtension { .. } => ("move", "extension"),
        SqlOp::CreateSlot(_) => ("create", "replication slot"),
        SqlOp::DropSlot(_) => ("drop", "replication slot"),
        SqlOp::Checkpoint
        | SqlOp::Promote
        | SqlOp::Reload
        | SqlOp::ResumeReplay
        | SqlOp::ResetParameter(_)
        | SqlOp::Many(_)
        | SqlOp::TerminateClients
        | SqlOp::EndSenders(_) => ("send", "statement"),
    }
}
