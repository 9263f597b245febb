//! The labels on everything that is made here. What does not carry [`UID`] with the resource's own uid is foreign
//! and is never touched.

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
/// The prefix that users' own labels must not carry.
pub const PREFIX: &str = "dev.reconciler.";
