//! Claims: which agent looks after a resource is settled on the engine, by an empty volume that is made by name before any
//! other object of the resource. The engine makes one volume of a name and hands it to whoever asks for it again, with the
//! labels of whoever made it: who reads back its own labels has the resource, and nobody else acts on it. Labels never
//! change, so a claim changes hands only by being removed and made anew. Pure.

use std::collections::BTreeMap;

use super::container::NamedSpec;
use super::labels;

/// An agent, as others can tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claimant {
    /// The id in its state directory. A copy of the directory has it too.
    pub agent: String,
    /// Its state directory, as an absolute path.
    pub state_dir: String,
    /// The name of its host.
    pub host: String,
    /// Which machine that is.
    pub machine: String,
    /// The lock in its state directory, by device and number: no copy of the directory has it.
    pub lock: String,
    /// Which file systems it sees: where two see the same, a path means the same to both.
    pub mounts: String,
    /// The container that it runs in, if the engine knows it.
    pub container: String,
}

/// What can be told of another agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Liveness {
    /// It runs: this is how that is known.
    Alive(String),
    /// It does not run, and its state directory still holds the resource: somebody may start it again.
    Stopped,
    /// It does not run, and what it knew of the resource is gone.
    Gone,
    /// It cannot be seen from here, so it may run: this is why.
    Unseen(String),
}

impl Claimant {
    /// Whether another description is of this very agent, or of one that had this state directory before it.
    pub fn is(&self, other: &Claimant) -> bool {
        // Whoever holds the lock of the directory is the only one, wherever it was moved or mounted to.
        if self.agent == other.agent && self.lock == other.lock {
            return true;
        }
        // A path names one directory of a host, and this agent holds the lock in it. In containers it names many.
        let is_one_place = self.state_dir == other.state_dir && self.is_beside(other);
        is_one_place && self.container == other.container && (self.container.is_empty() || self.agent == other.agent)
    }

    /// Whether it runs on the same host.
    pub fn is_beside(&self, other: &Claimant) -> bool {
        self.host == other.host && self.machine == other.machine
    }

    /// It, for people.
    pub fn shown(&self) -> String {
        match self.container.get(..12) {
            Some(short) => format!("the agent in container {short} with state directory {}", self.state_dir),
            None => format!(
                "the agent of host {} with state directory {}",
                self.host, self.state_dir
            ),
        }
    }

    fn fields(&self) -> [(&'static str, &String); 7] {
        [
            ("dev.reconciler.agent", &self.agent),
            ("dev.reconciler.agent-state-dir", &self.state_dir),
            ("dev.reconciler.agent-host", &self.host),
            ("dev.reconciler.agent-machine", &self.machine),
            ("dev.reconciler.agent-lock", &self.lock),
            ("dev.reconciler.agent-mounts", &self.mounts),
            ("dev.reconciler.agent-container", &self.container),
        ]
    }
}

/// A claim, as its labels say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The number of this claim: no two have the same.
    pub token: String,
    /// The uid of the resource.
    pub uid: String,
    /// Who has it.
    pub holder: Claimant,
}

impl Claim {
    /// What labels say; nothing, if they are no claim's.
    pub fn read(found: &BTreeMap<String, String>) -> Option<Claim> {
        let get = |key: &str| found.get(key).cloned().unwrap_or_default();
        let token = found.get(labels::CLAIM)?.clone();
        let mut holder = Claimant::default();
        let keys = holder.fields().map(|(key, _)| key);
        let [agent, state_dir, host, machine, lock, mounts, container] = keys.map(get);
        holder = Claimant {
            agent,
            state_dir,
            host,
            machine,
            lock,
            mounts,
            container,
        };
        Some(Claim {
            token,
            uid: get(labels::UID),
            holder,
        })
    }

    /// The volume that is the claim of a resource with these labels.
    pub fn volume(&self, (kind, name): (&str, &str), of_resource: &BTreeMap<String, String>) -> NamedSpec {
        let mut labels = of_resource.clone();
        let of_holder = self.holder.fields();
        labels.extend(of_holder.map(|(key, value)| (key.to_owned(), value.clone())));
        labels.insert(labels::CLAIM.to_owned(), self.token.clone());
        labels.insert(labels::UID.to_owned(), self.uid.clone());
        NamedSpec {
            name: volume_name(kind, name),
            labels,
        }
    }
}

/// The name of the volume that is a resource's claim.
pub fn volume_name(kind: &str, name: &str) -> String {
    format!("reconciler-claim-{}-{name}", kind.to_ascii_lowercase())
}

/// Whether a volume is a claim, as its labels say.
pub fn is_claim(found: &BTreeMap<String, String>) -> bool {
    found.contains_key(labels::CLAIM)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Claim, Claimant, is_claim};

    fn agent(id: &str, state_dir: &str, lock: &str) -> Claimant {
        Claimant {
            agent: id.to_owned(),
            state_dir: state_dir.to_owned(),
            host: "h".to_owned(),
            lock: lock.to_owned(),
            ..Claimant::default()
        }
    }

    fn inside(container: &str, agent: Claimant) -> Claimant {
        Claimant {
            container: container.to_owned(),
            ..agent
        }
    }

    #[test]
    fn a_directory_that_was_moved_is_the_same_and_one_that_was_copied_is_not() {
        let me = agent("a", "/new", "1:7");
        assert!(me.is(&agent("a", "/old", "1:7")), "moved");
        assert!(!me.is(&agent("a", "/old", "1:8")), "copied");
        assert!(me.is(&agent("a", "/new", "1:9")), "restored from a backup");
        assert!(me.is(&agent("b", "/new", "1:9")), "lost and made anew");
        let elsewhere = Claimant {
            host: "other".to_owned(),
            ..agent("a", "/new", "1:9")
        };
        assert!(!me.is(&elsewhere), "the same path on another host");
    }

    #[test]
    fn a_path_in_a_container_is_not_the_path_in_another() {
        let me = inside("c1", agent("a", "/state", "1:7"));
        assert!(
            me.is(&inside("c2", agent("a", "/state", "1:7"))),
            "a new container of one volume"
        );
        assert!(
            !me.is(&inside("c2", agent("a", "/state", "1:8"))),
            "a copy of the volume"
        );
        assert!(!me.is(&agent("b", "/state", "1:8")), "on the host");
    }

    #[test]
    fn labels_say_who_has_it() {
        let claim = Claim {
            token: "t".to_owned(),
            uid: "u".to_owned(),
            holder: inside("c", agent("a", "/state", "1:7")),
        };
        let users = BTreeMap::from([("team".to_owned(), "db".to_owned())]);
        let volume = claim.volume(("PostgresCluster", "pg"), &users);
        assert_eq!(volume.name, "reconciler-claim-postgrescluster-pg");
        assert_eq!(Claim::read(&volume.labels), Some(claim));
        assert!(is_claim(&volume.labels) && volume.labels.contains_key("team"));
        assert_eq!(Claim::read(&users), None);
    }
}
