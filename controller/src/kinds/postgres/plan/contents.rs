//! What is inside the database: slots, roles, databases, extensions. All of it lives on the primary.

use super::super::conf;
use super::super::memory::Change;
use super::super::roles::{WantedRole, role_change};
use super::super::spec::{ExactExtension, Role as RoleSpec};
use super::keep;
use super::slots;
use super::view::View;
use crate::model::plan::{Action, Op, Plan};
use crate::model::postgres::{ExtensionFacts, PgFacts, RoleAttributes, RoleChange, RoleFacts, SqlOp};

/// Keeps slots, roles, databases and extensions.
pub fn keep(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) {
    let Some(facts) = view.primary_facts() else {
        return;
    };
    slots::keep(view, primary, facts, plan);
    roles(view, primary, facts, plan);
    databases(view, primary, facts, plan);
    extensions(view, primary, facts, plan);
    creation(view, primary, plan);
}

/// What `initdb` made cannot be made otherwise.
fn creation(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) {
    let (Some(wanted), Some(made)) = (&view.cluster.spec.initdb, &view.observed.made) else {
        return;
    };
    let differences = super::super::creation::differences(wanted, made);
    if !differences.is_empty() {
        plan.block(
            primary,
            "InitdbFixed",
            format!(
                "spec.initdb: {}. initdb runs once, for a new cluster. Put the old value back; to change it, start a second \
                 cluster and load a dump into it",
                differences.join("; ")
            ),
        );
    }
}

fn roles(view: &View<'_>, primary: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    let replicator = RoleAttributes {
        login: true,
        replication: true,
        connection_limit: -1,
        ..RoleAttributes::default()
    };
    let password = view.cluster.replicator_password();
    let mut wanted = vec![(conf::REPLICATOR.to_owned(), replicator, Some(password), Vec::new())];
    // Roles in the order of the manifest, except that a role comes after those that it is a member of.
    let mut specs: Vec<&RoleSpec> = view.cluster.spec.roles.iter().collect();
    specs.sort_by_key(|role| role.member_of.len());
    for role in specs {
        let password = role
            .login
            .then(|| view.cluster.password(&role.name, role.password_from.as_ref()));
        wanted.push((role.name.clone(), attributes(role), password, role.member_of.clone()));
    }
    for (name, attributes, password, member_of) in wanted {
        role(
            view,
            primary,
            facts.roles.get(&name),
            &name,
            (attributes, password, member_of),
            plan,
        );
    }
    superuser(view, primary, facts, plan);
    lost(view, primary, facts, plan);
}

/// The passwords that members know each other by are in every one of them. A user's that nobody knows any more is left alone:
/// clients use it.
fn lost(view: &View<'_>, primary: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    let is_lost = |role: &&str| {
        facts
            .roles
            .get(*role)
            .is_some_and(|facts| facts.password_fits.is_none())
    };
    let lost = [conf::SUPERUSER, conf::REPLICATOR].into_iter().find(is_lost);
    if let (Some(role), Some(container)) = (lost, view.container(primary)) {
        let why = format!("the password of {role} is not known any more");
        plan.step(keep::recover_passwords(view, primary, container, &why));
    }
}

fn attributes(role: &RoleSpec) -> RoleAttributes {
    RoleAttributes {
        login: role.login,
        superuser: role.superuser,
        createdb: role.createdb,
        createrole: role.createrole,
        replication: role.replication,
        connection_limit: role.connection_limit,
    }
}

fn role(
    view: &View<'_>,
    primary: &str,
    seen: Option<&RoleFacts>,
    name: &str,
    wanted: WantedRole,
    plan: &mut Plan<Change>,
) {
    let is_ours = name == conf::REPLICATOR;
    if let Some((change, cause)) = role_change(seen, name, wanted) {
        // Nobody but the agent says what its own role is like; others may be as the manifest said a moment ago.
        let is_drift = is_ours && !change.create;
        let step = view.sql(primary, SqlOp::Role(change), cause);
        let step = step.map(|step| if is_drift { step.drift() } else { step });
        plan.chain(step.into_iter().collect());
    }
}

fn superuser(view: &View<'_>, primary: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    let Some(seen) = facts.roles.get(conf::SUPERUSER) else {
        return;
    };
    if seen.password_fits == Some(false) {
        let change = RoleChange {
            name: conf::SUPERUSER.to_owned(),
            create: false,
            attributes: seen.attributes,
            password: Some(view.cluster.superuser_password()),
            grant: Vec::new(),
        };
        let cause = "its password is not the wanted one";
        plan.chain(view.sql(primary, SqlOp::Role(change), cause).into_iter().collect());
    }
}

fn databases(view: &View<'_>, primary: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    for database in &view.cluster.spec.databases {
        let owner = database.owner.clone().unwrap_or_default();
        if !owner.is_empty() && !facts.roles.contains_key(&owner) {
            plan.wait(
                primary,
                format!("database {} waits for its owner {owner}", database.name),
            );
            continue;
        }
        let step = match facts.databases.get(&database.name) {
            None => view.sql(
                primary,
                SqlOp::CreateDatabase {
                    name: database.name.clone(),
                    owner,
                },
                "it is missing",
            ),
            Some(now) if !owner.is_empty() && *now != owner => {
                let cause = format!("it belongs to {now}");
                let name = database.name.clone();
                view.sql(primary, SqlOp::DatabaseOwner { name, owner }, cause)
            }
            Some(_) => None,
        };
        plan.chain(step.into_iter().collect());
    }
}

fn extensions(view: &View<'_>, primary: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    let mut all_seen = true;
    for database in &view.cluster.spec.databases {
        let Some(present) = facts.extensions.get(&database.name) else {
            all_seen &= database.extensions.is_empty();
            continue;
        };
        for extension in &database.extensions {
            let wanted = extension.exact();
            match present.get(&wanted.name) {
                None => {
                    all_seen = false;
                    let op = SqlOp::CreateExtension {
                        database: database.name.clone(),
                        name: wanted.name,
                        schema: wanted.schema.unwrap_or_default(),
                        version: wanted.version.unwrap_or_default(),
                        cascade: wanted.cascade,
                    };
                    plan.chain(view.sql(primary, op, "it is missing").into_iter().collect());
                }
                Some(seen) => all_seen &= adjust(view, primary, (&database.name, seen), wanted, plan),
            }
        }
    }
    let exist = facts.databases.len() >= view.cluster.spec.databases.len();
    if all_seen && exist && view.memory.extensions_generation != view.cluster.generation {
        plan.step(Action::new(
            &view.cluster.name,
            Op::Remember(Change::Extensions(view.cluster.generation)),
            "all of them were seen",
        ));
    }
}

/// Brings an extension that is there to the version and the schema that are named. `false` while there is something to do.
fn adjust(
    view: &View<'_>,
    primary: &str,
    (database, seen): (&str, &ExtensionFacts),
    wanted: ExactExtension,
    plan: &mut Plan<Change>,
) -> bool {
    let ExactExtension {
        name, schema, version, ..
    } = wanted;
    let mut steps = Vec::new();
    if let Some(version) = version.filter(|version| *version != seen.version) {
        let cause = format!("it is {}", seen.version);
        let op = SqlOp::UpdateExtension {
            database: database.to_owned(),
            name: name.clone(),
            version,
        };
        steps.extend(view.sql(primary, op, cause));
    }
    if let Some(schema) = schema.filter(|schema| *schema != seen.schema) {
        if !seen.is_relocatable {
            plan.block(
                primary,
                "ExtensionFixed",
                format!(
                    "extension {name} in database {database} is in schema {} and cannot be moved to {schema}: PostgreSQL does \
                     not move this one. Name the schema that it is in, or drop it yourself and have it made anew",
                    seen.schema
                ),
            );
            return false;
        }
        let op = SqlOp::MoveExtension {
            database: database.to_owned(),
            name,
            schema,
        };
        steps.extend(view.sql(primary, op, format!("it is in schema {}", seen.schema)));
    }
    let is_so = steps.is_empty();
    plan.chain(steps);
    is_so
}
