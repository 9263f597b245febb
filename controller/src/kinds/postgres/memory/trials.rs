//! What is remembered of configurations: which one is known to run, which is tried where, and how tries ended.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Memory, Rejected, Settings};
use crate::model::container::short_hash;

/// What is known of configurations beside the one that was accepted last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trials {
    /// The last one that a server ran with. `None` while that is the accepted one, as far as is known.
    pub proven: Option<Settings>,
    /// What the first server of all was started with, or what a member's files tell where the record was lost, until a
    /// configuration is accepted.
    pub initial: Option<Settings>,
    /// The one before, while not all members run with the accepted one yet.
    pub previous: Option<Settings>,
    /// The member that gets the accepted one before the others do, and the hash of that one.
    pub first: Option<(String, String)>,
    /// What each member was last started with.
    pub starts: BTreeMap<String, Tried>,
    /// How many starts failed in a row, by the hash of the configuration.
    pub failures: BTreeMap<String, u32>,
    /// Whether each member's next start would succeed, as it was checked last.
    pub checks: BTreeMap<String, StartCheck>,
    /// The hash of what each member's entry point has set aside, so that it is told once.
    pub set_aside: BTreeMap<String, String>,
}

/// A start of a member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tried {
    /// The hash of the configuration.
    pub settings: String,
    /// When, in seconds since the epoch.
    pub at: i64,
    /// Whether it is not known yet how it ended.
    pub is_open: bool,
    /// Whether the server ended by itself before it worked.
    pub has_failed: bool,
    /// Whether the start before failed too, so that this one has looked into what `ALTER SYSTEM` had set.
    pub is_second: bool,
}

/// A look at whether a member's next start would succeed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StartCheck {
    /// What of the member it was made for.
    pub signature: String,
    /// When, in seconds since the epoch.
    pub at: i64,
    /// What would keep it from starting.
    pub problem: Option<String>,
}

/// A change of [`Trials`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrialChange {
    /// The first server of all is started with this configuration, or was, by the files of a member.
    Begins(Settings),
    /// A member gets the accepted configuration, of this hash, before the others do.
    First(String, String),
    /// A server runs with this configuration, and perhaps every member's does.
    Ran(Settings, bool),
    /// A member's server ended by itself when it was started.
    Failed {
        /// The member.
        member: String,
        /// The server's own words.
        message: String,
        /// What is given up because of that, where something else can be started.
        rejects: Option<Settings>,
    },
    /// Whether a member would start again.
    Checked(String, StartCheck),
    /// A member's entry point has set aside what `ALTER SYSTEM` had set; the hash says what.
    SetAside(String, String),
}

impl Settings {
    /// A hash that tells one configuration from another.
    pub fn hash(&self) -> String {
        short_hash(serde_json::to_string(self).unwrap_or_default().as_bytes())
    }
}

impl Memory {
    /// Notes a configuration that a server's program accepts. What was in force until then stays so for all members but
    /// one, until that one runs with it.
    pub(super) fn accept(&mut self, settings: Settings) {
        let initial = self.trials.initial.take();
        if self.trials.proven.is_none() && self.accepted.as_ref() != Some(&settings) {
            self.trials.proven = self.accepted.take().or(initial);
        }
        if self.trials.proven.as_ref() == Some(&settings) {
            self.trials.proven = None;
        }
        self.trials.failures.remove(&settings.hash());
        self.trials.first = None;
        self.trials.previous = None;
        self.accepted = Some(settings);
        self.rejected = None;
        // A member that crashed on the old configuration deserves a prompt try with the new one.
        self.starts.clear();
    }

    /// Notes a configuration that no server starts with. What ran last is in force again.
    pub(super) fn reject(&mut self, rejected: Rejected) {
        if self.accepted.as_ref() == Some(&rejected.settings)
            && let Some(last) = self.trials.proven.take().or_else(|| self.trials.previous.take())
        {
            self.accepted = Some(last);
            self.trials.previous = None;
            self.trials.first = None;
        }
        self.rejected = Some(rejected);
    }

    /// Notes that a member is about to be started.
    pub(super) fn start(&mut self, member: String, at: i64, settings: String) {
        let starts = self.starts.entry(member.clone()).or_default();
        starts.count = starts.count.saturating_add(1);
        starts.last = at;
        let before = self.trials.starts.get(&member);
        let tried = Tried {
            settings,
            at,
            is_open: true,
            has_failed: false,
            is_second: before.is_some_and(|before| before.has_failed),
        };
        self.trials.starts.insert(member, tried);
    }

    /// Notes that a member's start led to a server that works.
    pub(super) fn start_succeeded(&mut self, member: &str) {
        if let Some(tried) = self.trials.starts.get_mut(member) {
            tried.is_open = false;
            tried.has_failed = false;
            self.trials.failures.remove(&tried.settings);
        }
    }

    pub(super) fn try_out(&mut self, change: TrialChange) {
        match change {
            TrialChange::Begins(settings) => self.trials.initial = Some(settings),
            TrialChange::First(member, hash) => self.trials.first = Some((member, hash)),
            TrialChange::Ran(settings, is_everywhere) => {
                let last = self.trials.proven.take().or_else(|| self.trials.previous.take());
                let last = last.or_else(|| self.accepted.take());
                self.trials.initial = None;
                self.trials.previous = last.filter(|last| !is_everywhere && *last != settings);
                self.trials.first = None;
                self.trials.failures.clear();
                if self
                    .rejected
                    .as_ref()
                    .is_some_and(|rejected| rejected.settings == settings)
                {
                    self.rejected = None;
                }
                self.accepted = Some(settings);
            }
            TrialChange::Failed {
                member,
                message,
                rejects,
            } => {
                if let Some(tried) = self.trials.starts.get_mut(&member) {
                    tried.is_open = false;
                    tried.has_failed = true;
                    let count = self.trials.failures.entry(tried.settings.clone()).or_default();
                    *count = count.saturating_add(1);
                }
                if let Some(settings) = rejects {
                    self.reject(Rejected { settings, message });
                }
            }
            TrialChange::Checked(member, check) => {
                self.trials.checks.insert(member, check);
            }
            TrialChange::SetAside(member, hash) => {
                self.trials.set_aside.insert(member, hash);
            }
        }
    }
}

impl fmt::Display for TrialChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrialChange::Begins(_) => write!(f, "this configuration is its first"),
            TrialChange::First(member, _) => write!(f, "{member} gets the new configuration first"),
            TrialChange::Ran(_, true) => write!(f, "the new configuration is in force everywhere"),
            TrialChange::Ran(_, false) => write!(f, "the new configuration works"),
            TrialChange::Failed { rejects: Some(_), .. } => write!(
                f,
                "the new configuration does not work, and that the last one that did is in force"
            ),
            TrialChange::Failed { .. } => write!(f, "its start failed"),
            TrialChange::Checked(_, check) if check.problem.is_some() => write!(f, "it would not start again"),
            TrialChange::Checked(..) => write!(f, "it would start again"),
            TrialChange::SetAside(..) => write!(f, "what ALTER SYSTEM had set was set aside"),
        }
    }
}
