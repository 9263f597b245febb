//! The labels on everything that is made here. What does not carry [`UID`] with the resource's own uid is foreign
//! and is never touched.

use std::collections::BTreeMap;

/// The kind of the resource that owns the object, such as `PostgresCluster`.
pub const KIND: &str = "dev.reconciler.kind";
/// The name of the resource that owns the object.
pub const NAME: &str = "dev.reconciler.name";
/// The uid of the resource: two resources of one name at different times are two resources.
pub const UID: &str = "dev.reconciler.uid";
/// The member that the object serves.
pub const MEMBER: &str = "dev.reconciler.member";
/// The hash of the desired container, without what can be changed in place.
pub const SPEC_HASH: &str = "dev.reconciler.spec-hash";
/// The generation of a volume: a re-seed fills the next one.
pub const GENERATION: &str = "dev.reconciler.generation";
/// The major version of PostgreSQL that initialised a volume.
pub const POSTGRES_MAJOR: &str = "dev.reconciler.postgres-major";
/// The number of a claim; only the volume that is a resource's claim carries it.
pub const CLAIM: &str = "dev.reconciler.claim";
/// The subnet that a network was made with, where a manifest names one.
pub const SUBNET: &str = "dev.reconciler.subnet";

/// The labels of an object of a resource: the users' own, and ours.
pub fn of(
    (kind, name, uid): (&str, &str, &str),
    member: Option<&str>,
    users: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let ours = [(KIND, kind), (NAME, name), (UID, uid)];
    let ours = ours.into_iter().chain(member.map(|member| (MEMBER, member)));
    let mut labels = users.clone();
    labels.extend(ours.map(|(key, value)| (key.to_owned(), value.to_owned())));
    labels
}

/// The labels of a network, with its subnet if one is wanted.
pub fn with_subnet(mut labels: BTreeMap<String, String>, subnet: Option<String>) -> BTreeMap<String, String> {
    labels.extend(subnet.map(|subnet| (SUBNET.to_owned(), subnet)));
    labels
}

/// The prefix that users' own labels must not carry.
pub const PREFIX: &str = "dev.reconciler.";
