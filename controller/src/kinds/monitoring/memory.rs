//! What has to be remembered of a monitoring resource: what users' files said when they were last found good, which ports
//! exporters got, and what was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::grafana::{Kept, Remembered};

/// Durable memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Ports of exporters on the host, by member: whoever scrapes them from elsewhere finds them where they were.
    pub ports: BTreeMap<String, u16>,
    /// The users' files in force, by folder and name.
    pub accepted: BTreeMap<String, String>,
    /// The users' files that were refused as they are now.
    pub refused: BTreeMap<String, Refused>,
    /// When a restart was asked for, by member, in seconds since the epoch.
    pub restarts: BTreeMap<String, i64>,
    /// What was put into Grafana.
    pub grafana: Remembered,
    /// The configuration that Prometheus was asked to read last.
    pub reload: Option<Reload>,
    /// The last attempt to set the password of Grafana's administrator, until Grafana lets us in.
    pub admin: Option<AdminAttempt>,
    /// The members whose files were put right after they may have read wrong ones.
    pub unread: BTreeSet<String>,
}

/// An attempt to set the password of Grafana's administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdminAttempt {
    /// In which process: a container's id and start.
    pub process: String,
    /// When, in seconds since the epoch.
    pub at: i64,
}

/// A reload that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reload {
    /// Which configuration it is.
    pub mark: String,
    /// When, in seconds since the epoch.
    pub at: i64,
}

/// A file that is not put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// The hash of its text.
    pub hash: String,
    /// What is wrong with it.
    pub why: String,
}

/// A change of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An exporter gets a port.
    Port(String, u16),
    /// An exporter's port is free again.
    Release(String),
    /// A user's file is in force with this text.
    Accept(String, String),
    /// A user's file is not put in force as it is.
    Refuse(String, Refused),
    /// A user's file is gone.
    Drop(String),
    /// A member's files are put right after it may have read wrong ones.
    Unread(String),
    /// A member was asked to read its files.
    Read(String),
    /// Prometheus was asked to read a configuration.
    Reloading(String, i64),
    /// The password of Grafana's administrator is being set.
    AdminAttempt(AdminAttempt),
    /// Grafana lets us in.
    LetIn,
    /// Something is kept in Grafana, or not any more.
    Kept(Kept),
    /// Members are to be restarted.
    Restart(Vec<String>, i64),
}

impl Memory {
    /// Applies a change.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Port(member, port) => {
                self.ports.insert(member.clone(), *port);
            }
            Change::Release(member) => {
                self.ports.remove(member);
            }
            Change::Accept(file, text) => {
                self.refused.remove(file);
                self.accepted.insert(file.clone(), text.clone());
            }
            Change::Refuse(file, refused) => {
                self.refused.insert(file.clone(), refused.clone());
            }
            Change::Drop(file) => {
                self.refused.remove(file);
                self.accepted.remove(file);
            }
            Change::Unread(member) => {
                self.unread.insert(member.clone());
            }
            Change::Read(member) => {
                self.unread.remove(member);
            }
            Change::Reloading(mark, at) => {
                self.reload = Some(Reload {
                    mark: mark.clone(),
                    at: *at,
                });
            }
            Change::AdminAttempt(attempt) => self.admin = Some(attempt.clone()),
            Change::LetIn => self.admin = None,
            Change::Kept(kept) => self.grafana.apply(kept),
            Change::Restart(members, at) => {
                let asked = members.iter().map(|member| (member.clone(), *at));
                self.restarts.extend(asked);
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Port(member, port) => write!(f, "{member} has port {port}"),
            Change::Release(member) => write!(f, "the port of {member} is free"),
            Change::Accept(file, _) => write!(f, "{file} is in force"),
            Change::Refuse(file, refused) => write!(f, "{file} is refused: {}", refused.why),
            Change::Drop(file) => write!(f, "{file} is gone"),
            Change::Unread(member) => write!(f, "{member} has to read its files again"),
            Change::Read(member) => write!(f, "{member} reads its files"),
            Change::Reloading(mark, _) => write!(f, "configuration {mark} is being read"),
            Change::AdminAttempt(_) => write!(f, "the password of admin is being set"),
            Change::LetIn => write!(f, "Grafana lets us in"),
            Change::Kept(kept) => write!(f, "{} {} is kept", kept.what.word(), kept.uid),
            Change::Restart(members, _) => write!(f, "{} shall restart", members.join(", ")),
        }
    }
}
