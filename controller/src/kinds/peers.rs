//! What resources may know of each other. A kind that works for others, such as monitoring, looks at their faces and never
//! into their memory; when a face changes, the onlookers are woken.

use std::collections::BTreeMap;

use crate::model::Seen;
use crate::model::plan::SqlTarget;

/// A resource, as another one sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The labels of its manifest.
    pub labels: BTreeMap<String, String>,
    /// Whether its deletion was requested.
    pub is_leaving: bool,
    /// What it shows; unknown until it was looked at.
    pub face: Seen<Face>,
}

/// What a resource shows to others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Face {
    /// The network on which its members are reached by the names of their containers.
    pub network: String,
    /// Its members, in the order of its status.
    pub members: Vec<FaceMember>,
    /// Where statements that write go; nothing while no member takes any.
    pub writer: Option<SqlTarget>,
    /// Whether one of its members was started a moment ago and does not serve yet.
    pub is_mending: bool,
    /// Whether one of its members is known to be dead.
    pub has_dead: bool,
}

/// A member, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaceMember {
    /// Its name.
    pub name: String,
    /// Its container's name.
    pub container: String,
    /// The port of its server in the container.
    pub port: u16,
    /// `primary`, `replica` or `unknown`.
    pub role: String,
    /// Whether it is the first one, the one that started as the primary.
    pub is_first: bool,
}

/// All resources but the one that looks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Peers(pub Vec<Peer>);

impl Peers {
    /// Those of a kind that carry all of these labels, in the order of their names.
    pub fn selected<'a>(
        &'a self,
        kind: &'a str,
        labels: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'a Peer> {
        let carries = |peer: &Peer| labels.iter().all(|(key, value)| peer.labels.get(key) == Some(value));
        self.0.iter().filter(move |peer| peer.kind == kind && carries(peer))
    }
}
