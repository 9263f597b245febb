//! What documents take on the host for themselves alone: names of containers and networks, ports. Two that take one thing
//! would fight over it, or the second would wait for ever, so that is an error while they are only text.

use std::fmt;

use super::load::PathPart;

/// Something of the host that one resource can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// A container's name. Names of volumes follow from it.
    Container(String),
    /// A network's name.
    Network(String),
    /// A port of the host.
    Port {
        /// The address that it is bound to.
        address: String,
        /// The port.
        port: u16,
    },
}

impl Thing {
    /// Whether two resources cannot have them both.
    fn excludes(&self, other: &Thing) -> bool {
        let is_any = |address: &str| matches!(address, "0.0.0.0" | "::");
        match (self, other) {
            (
                Thing::Port { address, port },
                Thing::Port {
                    address: bound,
                    port: taken,
                },
            ) => port == taken && (address == bound || is_any(address) || is_any(bound)),
            (Thing::Container(_) | Thing::Network(_) | Thing::Port { .. }, _) => self == other,
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Thing::Container(name) => write!(f, "container `{name}`"),
            Thing::Network(name) => write!(f, "network `{name}`"),
            Thing::Port { port, .. } => write!(f, "port {port}"),
        }
    }
}

/// A thing that a document takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// What it takes.
    pub thing: Thing,
    /// The field below `spec` that says so; empty where the document's name does.
    pub path: Vec<PathPart>,
}

impl Use {
    /// What a document takes by its name.
    pub fn named(thing: Thing) -> Self {
        Use {
            thing,
            path: Vec::new(),
        }
    }
}

/// A document that takes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taker {
    /// Its kind and name.
    pub resource: (String, String),
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: u32,
}

/// What the documents so far take.
#[derive(Debug, Default)]
pub(super) struct Taken(Vec<(Thing, Taker)>);

impl Taken {
    /// Adds what a document takes. For every other document that takes something of it, the first such thing.
    pub fn add(&mut self, taker: &Taker, uses: Vec<Use>) -> Vec<(Use, Taker)> {
        let mut found: Vec<(Use, Taker)> = Vec::new();
        for one in &uses {
            let others = self.0.iter().filter(|(thing, _)| thing.excludes(&one.thing));
            for (_, other) in others.filter(|(_, other)| other.resource != taker.resource) {
                if !found.iter().any(|(_, known)| known == other) {
                    found.push((one.clone(), other.clone()));
                }
            }
        }
        self.0.extend(uses.into_iter().map(|one| (one.thing, taker.clone())));
        found
    }
}
