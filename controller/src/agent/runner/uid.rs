//! Which objects are a resource's own.

use std::fmt::Debug;

use super::{FailureKind, HostError, Inner, Kind, Reads, Writes, wanted};

impl<K: Kind, H: Reads + Writes + Debug + 'static> Inner<K, H> {
    /// A resource of this name may have objects already: from before the state directory was lost.
    pub(super) async fn find_uid(&self) -> Result<(), HostError> {
        if !self.state.borrow().record.uid.is_empty() {
            return Ok(());
        }
        let owners = self.shared.host.owners().await?;
        let mut uids = owners
            .iter()
            .filter(|o| o.kind == self.key.0 && o.name == self.key.1)
            .map(|o| &o.uid);
        let uid = match (uids.next(), uids.next()) {
            (Some(uid), None) => uid.clone(),
            (None, _) => random_hex()?,
            (Some(one), Some(other)) => {
                let why = format!(
                    "objects of two resources of this name exist, with the uids {one} and {other}; \
                     remove those that you do not need (label dev.reconciler.uid)"
                );
                return Err(HostError::new(
                    FailureKind::Conflict,
                    "tell which objects belong to it",
                    why,
                ));
            }
        };
        let mut state = self.state.borrow_mut();
        state.record.uid = uid;
        state.wanted = wanted::<K>(&state.record);
        // The uid is on disk before the first object carries it.
        self.save(&mut state)
    }
}

/// A random number that no other has: 64 bits in hexadecimal.
pub(super) fn random_hex() -> Result<String, HostError> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes)
        .map_err(|e| HostError::new(FailureKind::Other, "make a random number", e.to_string()))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
