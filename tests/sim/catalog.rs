//! What is inside the databases, as far as the agent looks: roles, databases, extensions.

use std::collections::BTreeMap;

use reconciler::model::postgres::{RoleAttributes, RoleChange};

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its attributes.
    pub attributes: RoleAttributes,
    /// Its password; the real one is kept as a verifier.
    pub password: String,
    /// The roles that it is a member of.
    pub member_of: Vec<String>,
}

/// Roles, databases and extensions at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Roles by name.
    pub roles: BTreeMap<String, Role>,
    /// Databases and their owners.
    pub databases: BTreeMap<String, String>,
    /// Extensions by database.
    pub extensions: BTreeMap<String, Vec<String>>,
}

impl Catalog {
    /// What `initdb` makes.
    pub fn new(superuser_password: &str) -> Self {
        let superuser = Role {
            attributes: RoleAttributes {
                login: true,
                superuser: true,
                createdb: true,
                createrole: true,
                replication: true,
                connection_limit: -1,
            },
            password: superuser_password.to_owned(),
            member_of: Vec::new(),
        };
        Catalog {
            roles: BTreeMap::from([("postgres".to_owned(), superuser)]),
            databases: BTreeMap::from([("postgres".to_owned(), "postgres".to_owned())]),
            extensions: BTreeMap::new(),
        }
    }

    /// Creates or alters a role.
    pub fn change(&mut self, change: &RoleChange, password: Option<String>) {
        let role = self.roles.entry(change.name.clone()).or_insert(Role {
            attributes: change.attributes,
            password: String::new(),
            member_of: Vec::new(),
        });
        role.attributes = change.attributes;
        if let Some(password) = password {
            role.password = password;
        }
        role.member_of.extend(change.grant.iter().cloned());
    }
}
