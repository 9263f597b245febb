//! Where passwords come from. Pure.

use super::postgres::spec::PasswordFrom;
use crate::model::SecretRef;

/// A generated password of a resource, by the resource's kind and name.
pub fn generated((kind, scope): (&str, &str), name: &str) -> SecretRef {
    SecretRef::Generated {
        kind: kind.to_owned(),
        scope: scope.to_owned(),
        name: name.to_owned(),
    }
}

/// A password as a manifest says, or generated where it says nothing. A `passwordFrom` that names nothing is refused when
/// the manifest is read.
pub fn of(resource: (&str, &str), name: &str, from: Option<&PasswordFrom>) -> SecretRef {
    match from {
        Some(PasswordFrom { file: Some(path), .. }) => SecretRef::File(path.clone()),
        Some(PasswordFrom { env: Some(name), .. }) => SecretRef::Env(name.clone()),
        Some(PasswordFrom { .. }) | None => generated(resource, name),
    }
}
