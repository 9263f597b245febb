//! The parameters that a standby must have at least as large as its primary: what each member gets.

use std::collections::BTreeMap;

use super::super::super::capacity;
use super::super::super::conf::{self, STANDBY_FLOOR, value};
use super::super::super::desired::Role;
use super::super::super::memory::Settings;
use super::super::super::versions;
use super::View;
use crate::model::labels;

impl View<'_> {
    /// The effective values of the parameters that a standby must have at least as large as its primary
    /// (documentation, 26.4.3). A replica gets the larger of the wanted value and the primary's running one; the
    /// primary gets the wanted value, but no more than its running replicas have: so raising reaches replicas first,
    /// lowering the primary first, and both in one edit take two rounds by themselves.
    pub fn floor(&self, member: &str, role: Role, settings: &Settings) -> BTreeMap<String, i64> {
        let replicas = self.cluster.spec.replicas;
        let senders = capacity::senders(replicas, self.running(capacity::SENDERS));
        let slots = capacity::slots(replicas, self.running(capacity::SLOTS));
        let slots = slots.filter(|_| conf::given(&settings.parameters, capacity::SLOTS).is_none());
        STANDBY_FLOOR
            .into_iter()
            .map(|(name, usual)| match name == capacity::SENDERS {
                true => (name, senders),
                false => (name, self.floor_default(name, usual)),
            })
            .chain(slots.map(|slots| (capacity::SLOTS, slots)))
            .map(|(name, default)| {
                let wanted = conf::given(&settings.parameters, name);
                let wanted = wanted.and_then(|given| value::whole(&value::literal(given)));
                let wanted = wanted.unwrap_or(default);
                let running = self.memory.floor.get(name).copied();
                let value = match role {
                    Role::Bootstrap => wanted,
                    Role::Replica | Role::Rewind => {
                        let needed = value_it_lacked(self.log(member), name);
                        wanted.max(running.unwrap_or(wanted)).max(needed.unwrap_or(wanted))
                    }
                    Role::Primary => self.primary_floor(member, name, wanted, running),
                };
                (name.to_owned(), value)
            })
            .collect()
    }

    /// The value of a parameter that the primary runs with, or ran with when it was last seen.
    fn running(&self, name: &str) -> Option<i64> {
        let running = self.primary_facts().and_then(|facts| facts.standby_floor.get(name));
        running.or_else(|| self.memory.floor.get(name)).copied()
    }

    /// What the cluster's server has for such a parameter where nobody sets it.
    fn floor_default(&self, name: &str, usual: i64) -> i64 {
        let known = self.memory.defaults.get(name).copied();
        known.unwrap_or_else(|| versions::floor_default(name, usual, self.major()))
    }

    /// The major version of the data, or else of the image.
    fn major(&self) -> Option<u32> {
        let volumes = self.observed.objects.volumes.iter();
        let mut made_by = volumes.filter_map(|volume| volume.labels.get(labels::POSTGRES_MAJOR));
        let major = made_by.next().or_else(|| self.image()?.env.get("PG_MAJOR"));
        major?.parse().ok()
    }

    fn primary_floor(&self, member: &str, name: &str, wanted: i64, running: Option<i64>) -> i64 {
        let Some(running) = running.filter(|running| wanted > *running) else {
            return wanted;
        };
        let lowest = self
            .replicas()
            .iter()
            .filter(|replica| replica.as_str() != member)
            .filter_map(|replica| self.facts(replica)?.standby_floor.get(name).copied())
            .min()
            .unwrap_or(wanted);
        if lowest >= wanted { wanted } else { running }
    }
}

/// The value of a parameter that a standby's log complains of not having (PostgreSQL's `xlogrecovery.c`,
/// `RecoveryRequiresIntParameter`). It stopped where the primary still had more than it has now.
pub fn value_it_lacked(log: &str, name: &str) -> Option<i64> {
    let complaint = log
        .lines()
        .rev()
        .find(|line| line.contains("is a lower setting than on the primary server"))?;
    let about = complaint.split_once(name)?.1;
    let value = about.strip_prefix(" = ")?.split_once("where its value was ")?.1;
    value.trim_end_matches('.').trim().parse().ok()
}
