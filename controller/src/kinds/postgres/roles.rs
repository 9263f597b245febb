//! What makes a role as it is wanted. Pure.

use crate::model::SecretRef;
use crate::model::postgres::{RoleAttributes, RoleChange, RoleFacts};

/// A role's attributes, its password if it has one, and the roles that it is a member of.
pub type WantedRole = (RoleAttributes, Option<SecretRef>, Vec<String>);

/// The change that makes a role as it is wanted, and why; nothing when it is. A password that nobody knows any more is not set
/// anew: somebody may use it.
pub fn role_change(
    seen: Option<&RoleFacts>,
    name: &str,
    (attributes, password, member_of): WantedRole,
) -> Option<(RoleChange, String)> {
    let mut causes = Vec::new();
    let mut change = RoleChange {
        name: name.to_owned(),
        create: seen.is_none(),
        attributes,
        password: None,
        grant: member_of,
    };
    match seen {
        None => {
            causes.push("it is missing");
            change.password = password;
        }
        Some(facts) => {
            change.grant.retain(|role| !facts.member_of.contains(role));
            if facts.attributes != attributes {
                causes.push("its attributes are not as the manifest says");
            }
            if !change.grant.is_empty() {
                causes.push("it is not a member of all roles that the manifest names");
            }
            if password.is_some() && facts.password_fits == Some(false) {
                causes.push("its password is not the wanted one");
                change.password = password;
            }
        }
    }
    (!causes.is_empty()).then(|| (change, causes.join(", and ")))
}
