//! What makes a role as it is wanted. Pure.

use super::cluster::MONITORING_ROLE;
use super::conf;
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
        never_expires: false,
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
            // A user may want a password to end; the agent's own roles serve for as long as the cluster does.
            if facts.has_expired && [conf::REPLICATOR, MONITORING_ROLE].contains(&name) {
                causes.push("its password was only valid until a time that is past");
                change.never_expires = true;
            }
            if password.is_some() && facts.password_fits == Some(false) {
                causes.push("its password is not the wanted one");
                change.password = password;
            }
        }
    }
    (!causes.is_empty()).then(|| (change, causes.join(", and ")))
}
