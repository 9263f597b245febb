//! What a user can declare. One folder per kind; [`Kind`] is all that the rest of the house knows of them, and
//! [`schemas`] the table that lists them. To add a kind is to add a folder, a line in the table, and a line where the
//! agent dispatches (`agent::pass`).

pub mod monitoring;
pub mod password;
pub mod peers;
pub mod postgres;
pub mod problems;
pub mod teardown;
pub mod undeclared;

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::peers::{Face, Peers};
use crate::host::{HostError, Reads};
use crate::manifest::load::KindSchema;
use crate::model::SecretRef;
use crate::model::container::Objects;
use crate::model::plan::{Action, Plan};
use crate::model::status::Status;

/// Which resource it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its uid, which its objects carry.
    pub uid: String,
    /// The generation of its spec; grows with every change of it.
    pub generation: u64,
}

/// How to look, and what else is there.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// Whether to look at what is costly and seldom changes.
    pub deep: bool,
    /// Seconds since the epoch.
    pub now: i64,
    /// Seconds since the last look in which this process itself got no time: the silence of others means nothing then.
    pub late_secs: i64,
    /// The other resources.
    pub peers: &'a Peers,
}

/// Everything that a decision rests on.
#[derive(Debug)]
pub struct Scene<'a, K: Kind + ?Sized> {
    /// What is wanted.
    pub wanted: &'a K::Wanted,
    /// What was seen.
    pub observed: &'a K::Observed,
    /// What is remembered.
    pub memory: &'a K::Memory,
    /// Seconds since the epoch.
    pub now: i64,
    /// Whether a manifest declares it. Else nothing of it is to be other than it is.
    pub is_declared: bool,
}

/// What somebody asks of a resource beyond its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "camelCase")]
pub enum Request {
    /// Makes a member the primary.
    Promote {
        /// The member.
        member: String,
        /// Whether writes that only the old primary has may be lost.
        force: bool,
        /// Whether only the preconditions are looked at.
        dry_run: bool,
    },
    /// Restarts a member, or all of them.
    Restart {
        /// The member; all when it is not named.
        member: Option<String>,
    },
    /// Gives a replica new data.
    Reseed {
        /// The member.
        member: String,
        /// How, in the kind's own word; as the manifest says when it is not named.
        by: Option<String>,
        /// Whether it is done although nobody could take over meanwhile.
        force: bool,
    },
    /// Removes a volume that is not used any more.
    RemoveVolume {
        /// The volume.
        volume: String,
        /// Whether somebody was told what is lost; else only that is answered.
        confirmed: bool,
    },
}

/// One precondition of a request and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What has to hold.
    pub name: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was found.
    pub found: String,
    /// Whether `--force` overrules it.
    pub forceable: bool,
}

impl Check {
    /// Whether it stands in the way.
    pub fn fails(&self, force: bool) -> bool {
        !(self.holds || force && self.forceable)
    }

    /// The same, overruled by `--force`.
    pub fn or_force(mut self) -> Self {
        self.forceable = true;
        self
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply<C> {
    /// Whether it is done or under way.
    pub accepted: bool,
    /// What happens now, or why nothing does.
    pub message: String,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// What to remember; the next passes do the rest.
    pub changes: Vec<C>,
}

impl<C> Reply<C> {
    /// Nothing is done, and this is why.
    pub fn refused(message: impl Into<String>) -> Self {
        Reply {
            accepted: false,
            message: message.into(),
            checks: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// It is done or under way.
    pub fn accepted(message: impl Into<String>, changes: Vec<C>) -> Self {
        Reply {
            accepted: true,
            message: message.into(),
            checks: Vec::new(),
            changes,
        }
    }

    /// With the preconditions that were looked at.
    pub fn with_checks(mut self, checks: Vec<Check>) -> Self {
        self.checks = checks;
        self
    }
}

/// A change that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Milestone<'a> {
    /// A member gets a new volume.
    Reseed(&'a str),
    /// From now on nobody accepts writes, for another member to take over.
    WritesStop,
    /// A promotion ended; whether it reached its goal.
    Promoted(bool),
}

/// A kind of resource.
pub trait Kind: Debug + 'static {
    /// Its name in manifests and labels.
    const NAME: &'static str;
    /// What is wanted: the validated spec with its identity.
    type Wanted: Debug;
    /// What is seen of it.
    type Observed: Debug + Default;
    /// What has to be remembered of it.
    type Memory: Debug + Clone + Default + Serialize + DeserializeOwned;
    /// A change of what is remembered.
    type Change: Debug + Clone + fmt::Display;

    /// Whether what others show changes what is wanted of it.
    const IS_ONLOOKER: bool = false;

    /// Its entry in the table of kinds.
    fn schema() -> KindSchema;
    /// Builds what is wanted from a spec, and the files that it names, that the loader has accepted.
    fn wanted(identity: Identity, spec: Value, files: &BTreeMap<String, String>) -> Result<Self::Wanted, String>;
    /// The passwords that are generated for it, under whatever names it keeps some.
    fn secrets(wanted: &Self::Wanted) -> Vec<SecretRef>;
    /// Looks at the world.
    fn observe<R: Reads>(
        host: &R,
        wanted: &Self::Wanted,
        memory: &Self::Memory,
        before: &Self::Observed,
        look: Look<'_>,
    ) -> impl Future<Output = Result<Self::Observed, HostError>>;
    /// What was seen of its objects.
    fn objects(observed: &Self::Observed) -> &Objects;
    /// The labels that its objects carry, whatever they are.
    fn labels(wanted: &Self::Wanted) -> BTreeMap<String, String>;
    /// Works out what to do next.
    fn plan(scene: &Scene<'_, Self>) -> Plan<Self::Change>;
    /// What is to be remembered when a step failed, if anything.
    fn on_failure(scene: &Scene<'_, Self>, action: &Action<Self::Change>, error: &HostError) -> Option<Self::Change>;
    /// Whether a change still fits what is remembered, or why not. A plan is made a moment before it is carried out.
    fn admits(memory: &Self::Memory, change: &Self::Change) -> Result<(), String>;
    /// Applies a change.
    fn apply(memory: &mut Self::Memory, change: &Self::Change);
    /// Whether a change is worth an event.
    fn is_news(change: &Self::Change) -> bool;
    /// Whether something new begins with a change, which a resource that no manifest declares is not to get.
    fn begins(change: &Self::Change) -> bool;
    /// Whether it is remembered to have data: whoever lost that is not as one that never had any.
    fn has_data(memory: &Self::Memory) -> bool;
    /// What to tell the user.
    fn status(scene: &Scene<'_, Self>, plan: &Plan<Self::Change>) -> Status;
    /// What a change means for those who count.
    fn milestone(change: &Self::Change) -> Option<Milestone<'_>> {
        let _ = change;
        None
    }
    /// Why its containers cannot be removed and its data kept, if that is so.
    fn holds(scene: &Scene<'_, Self>) -> Option<String> {
        let _ = scene;
        None
    }
    /// What it shows to others.
    fn face(scene: &Scene<'_, Self>, status: &Status) -> Option<Face> {
        let _ = (scene, status);
        None
    }
    /// Answers a request.
    fn request(scene: &Scene<'_, Self>, request: &Request) -> Reply<Self::Change>;
}

/// The table of kinds.
pub fn schemas() -> Vec<KindSchema> {
    vec![postgres::Postgres::schema(), monitoring::Monitoring::schema()]
}

/// The passwords that are generated for a resource of any kind; none of one whose spec is not understood.
pub fn secrets(kind: &str, identity: Identity, spec: &Value, files: &BTreeMap<String, String>) -> Vec<SecretRef> {
    fn of<K: Kind>(identity: Identity, spec: &Value, files: &BTreeMap<String, String>) -> Vec<SecretRef> {
        K::wanted(identity, spec.clone(), files).map_or_else(|_| Vec::new(), |wanted| K::secrets(&wanted))
    }
    match kind {
        postgres::Postgres::NAME => of::<postgres::Postgres>(identity, spec, files),
        monitoring::Monitoring::NAME => of::<monitoring::Monitoring>(identity, spec, files),
        _ => Vec::new(),
    }
}
