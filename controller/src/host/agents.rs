//! What can be seen of another agent: whether its process holds the lock of its state directory, whether the directory still
//! knows a resource, whether its container runs. What cannot be seen may be alive.

use std::any::Any;
use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::path::Path;

use super::real::RealHost;
use crate::model::claim::{Claim, Claimant, Liveness};
use crate::store;

/// Keeps another agent from being started for as long as it is held.
#[derive(Debug, Default)]
pub struct Restraint(#[expect(dead_code, reason = "only its end does anything")] Option<Box<dyn Any>>);

impl Restraint {
    /// For as long as something exists.
    pub fn by(held: impl Any) -> Self {
        Restraint(Some(Box::new(held)))
    }
}

/// Looks at other agents.
#[expect(async_fn_in_trait, reason = "one thread: futures need not be Send")]
pub trait AgentRead {
    /// What can be told of the agent that has a claim on a resource. One that is known not to run cannot be started while the
    /// restraint is held, where its state directory can be seen.
    async fn agent(&self, me: &Claimant, claim: &Claim, resource: (&str, &str)) -> (Liveness, Restraint) {
        let _ = (me, claim, resource);
        let why = "other agents cannot be seen from here";
        (Liveness::Unseen(why.to_owned()), Restraint::default())
    }

    /// The container that this process runs in, if the engine knows it.
    async fn own_container(&self) -> Option<String> {
        None
    }
}

impl AgentRead for RealHost {
    async fn agent(&self, me: &Claimant, claim: &Claim, resource: (&str, &str)) -> (Liveness, Restraint) {
        let holder = &claim.holder;
        let unseen = |why: String| (Liveness::Unseen(why), Restraint::default());
        if !holder.container.is_empty() {
            let liveness = match self.docker.runs(&holder.container).await {
                Ok(Some(true)) => Liveness::Alive("its container runs".to_owned()),
                Ok(Some(false)) => Liveness::Stopped,
                Ok(None) => Liveness::Gone,
                Err(error) => Liveness::Unseen(error.to_string()),
            };
            return (liveness, Restraint::default());
        }
        if !me.is_beside(holder) {
            return unseen(format!("it is on host {}", holder.host));
        }
        if self.docker.in_container().is_some() {
            return unseen("its state directory is the host's, which this container does not show".to_owned());
        }
        in_directory(me, claim, resource)
    }

    async fn own_container(&self) -> Option<String> {
        let id = self.docker.in_container()?;
        // Where the engine is another host's, or another one of this host, it knows nothing of it.
        matches!(self.docker.runs(&id).await, Ok(Some(_))).then_some(id)
    }
}

/// What the state directory of an agent of this host tells.
fn in_directory(me: &Claimant, claim: &Claim, (kind, name): (&str, &str)) -> (Liveness, Restraint) {
    let dir = Path::new(&claim.holder.state_dir);
    let unseen = |why: String| (Liveness::Unseen(why), Restraint::default());
    let sees_the_same = me.mounts == claim.holder.mounts;
    let lost = || match sees_the_same {
        true => (Liveness::Gone, Restraint::default()),
        false => unseen(format!(
            "{} does not know the resource, but may be another directory there",
            dir.display()
        )),
    };
    let mut lock = match store::open_lock(dir) {
        Ok(lock) => lock,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return lost();
        }
        Err(error) => return unseen(format!("{} cannot be looked at: {error}", dir.display())),
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return (Liveness::Alive(holder_of(&mut lock)), Restraint::default()),
        Err(TryLockError::Error(error)) => return unseen(format!("{}: {error}", dir.display())),
    }
    match store::look(dir) {
        Ok(records) => {
            let knows = records
                .iter()
                .any(|r| r.kind == kind && r.name == name && r.uid == claim.uid);
            match knows {
                true => (Liveness::Stopped, Restraint::by(lock)),
                false => lost(),
            }
        }
        Err(error) => unseen(error.to_string()),
    }
}

fn holder_of(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!("process {} holds its lock", text.trim()),
        Ok(_) | Err(_) => "its lock is held".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

    use super::in_directory;
    use crate::model::claim::{Claim, Liveness};
    use crate::store::{Record, Store, identity};

    #[test]
    fn an_agent_of_this_host_is_alive_stopped_or_gone_as_its_directory_says() {
        let (mine, its) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let me = identity(mine.path());
        let store = Store::open(its.path()).unwrap();
        store.save(&Record::new("PostgresCluster", "pg", "u")).unwrap();
        let claim = Claim {
            token: "t".to_owned(),
            uid: "u".to_owned(),
            holder: identity(its.path()),
        };
        let look = |name: &str, claim: &Claim| in_directory(&me, claim, ("PostgresCluster", name));
        let (seen, _) = look("pg", &claim);
        assert!(
            matches!(&seen, Liveness::Alive(why) if why.contains(&std::process::id().to_string())),
            "{seen:?}"
        );
        drop(store);
        let (seen, restraint) = look("pg", &claim);
        assert_eq!(seen, Liveness::Stopped);
        assert!(Store::open(its.path()).is_err(), "it cannot be started meanwhile");
        drop(restraint);
        assert_eq!(look("other", &claim).0, Liveness::Gone);
        let mut elsewhere = claim.clone();
        elsewhere.holder.mounts = "mnt:[1]".to_owned();
        assert_eq!(look("pg", &elsewhere).0, Liveness::Stopped);
        std::fs::remove_dir_all(its.path()).unwrap();
        assert_eq!(look("pg", &claim).0, Liveness::Gone);
        assert!(
            matches!(look("pg", &elsewhere).0, Liveness::Unseen(_)),
            "a path may mean another directory"
        );
    }
}
