//! What resources show to each other, and who has to be woken when it changes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Key, Shared};
use crate::kinds::peers::{Face, Peer, Peers};
use crate::model::Seen;

/// All resources as others see them.
#[derive(Debug, Default)]
pub struct Faces {
    peers: RefCell<BTreeMap<Key, Peer>>,
    onlookers: RefCell<BTreeSet<Key>>,
}

impl<H> Shared<H> {
    /// A resource is there, or its labels changed. What it shows stays.
    pub fn meet(&self, peer: Peer, is_onlooker: bool) {
        let key = (peer.kind.to_owned(), peer.name.clone());
        if is_onlooker {
            self.faces.onlookers.borrow_mut().insert(key.clone());
        }
        let mut peers = self.faces.peers.borrow_mut();
        let face = peers.get(&key).map_or_else(Seen::default, |known| known.face.clone());
        let peer = Peer { face, ..peer };
        if peers.get(&key) != Some(&peer) {
            peers.insert(key.clone(), peer);
            self.wake_onlookers(&key);
        }
    }

    /// A resource shows something.
    pub fn show(&self, key: &Key, face: Option<Face>) {
        let mut peers = self.faces.peers.borrow_mut();
        let (Some(face), Some(peer)) = (face.map(Seen::Known), peers.get_mut(key)) else {
            return;
        };
        if peer.face != face {
            peer.face = face;
            self.wake_onlookers(key);
        }
    }

    /// A resource is gone.
    pub fn part(&self, key: &Key) {
        self.faces.onlookers.borrow_mut().remove(key);
        self.faces.peers.borrow_mut().remove(key);
        self.wake_onlookers(key);
    }

    /// All resources but one.
    pub fn others(&self, key: &Key) -> Peers {
        let peers = self.faces.peers.borrow();
        let others = peers.iter().filter(|(other, _)| *other != key);
        Peers(others.map(|(_, peer)| peer.clone()).collect())
    }

    fn wake_onlookers(&self, about: &Key) {
        let onlookers = self.faces.onlookers.borrow();
        for key in onlookers.iter().filter(|key| *key != about) {
            self.queue.wake(key, Duration::ZERO);
        }
    }
}
