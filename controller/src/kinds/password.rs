//! Where passwords come from that a manifest names. Pure.

use super::postgres::spec::PasswordFrom;
use crate::model::SecretRef;

/// A password that a manifest names. One that names nothing is refused when the manifest is read.
pub fn named(from: &PasswordFrom, scope: &str, name: &str) -> SecretRef {
    match from {
        PasswordFrom { file: Some(path), .. } => SecretRef::File(path.clone()),
        PasswordFrom { env: Some(name), .. } => SecretRef::Env(name.clone()),
        PasswordFrom { .. } => SecretRef::Generated {
            scope: scope.to_owned(),
            name: name.to_owned(),
        },
    }
}
