//! What is inside the database: slots, roles, databases, extensions. All of it lives on the primary.

use super::super::conf;
use super::super::memory::Change;
use super::super::roles::{WantedRole, role_change};
use super::super::spec::{ExactExtension, Role as RoleSpec};
use super::access;
use super::slots;
use super::view::View;
use crate::model::plan::{Action, Op, Plan};
use crate::model::postgres::{ExtensionFacts, Maintenance, PgFacts, RoleAttributes, RoleChange, RoleFacts, SqlOp};

/// So many statements are told one by one.
const FEW: usize = 8;
/// How many statements are sent before the server is looked at again.
const BATCH: usize = 400;

/// Keeps slots, roles, databases and extensions.
pub fn keep(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) {
    let Some(facts) = view.primary_facts() else {
        return;
    };
    slots::keep(view, primary, facts, plan);
    let mut contents = Plan::default();
    roles(view, primary, facts, &mut contents);
    maintenance(view, primary, facts, &mut contents);
    let dependent = databases(view, primary, facts, &mut contents);
    extensions(view, primary, facts, &mut contents);
    gather(view, primary, (contents, dependent), plan);
    creation(view, primary, plan);
}

/// Few statements are steps of their own, each with its reason. Many are one step, one connection and one event, in the order in
/// which one needs the other: a database whose owner is only being made comes after it, or waits for the next look.
fn gather(view: &View<'_>, primary: &str, (contents, dependent): (Plan<Change>, Vec<SqlOp>), plan: &mut Plan<Change>) {
    plan.notes.extend(contents.notes);
    let (statements, others): (Vec<_>, Vec<_>) = contents
        .chains
        .into_iter()
        .partition(|chain| chain.iter().all(|step| matches!(step.op, Op::Sql(..))));
    plan.chains.extend(others);
    if statements.iter().flatten().count() + dependent.len() <= FEW {
        for op in &dependent {
            plan.wait(primary, format!("{op}: its owner is made first"));
        }
        return plan.chains.extend(statements);
    }
    let is_drift = dependent.is_empty() && statements.iter().flatten().all(|step| step.is_drift);
    let ops = statements.into_iter().flatten().filter_map(|step| match step.op {
        Op::Sql(_, op) => Some(op),
        Op::Engine(_) | Op::Grafana(..) | Op::Listen(_) | Op::Remember(_) => None,
    });
    let many = SqlOp::Many(ops.chain(dependent).take(BATCH).collect());
    let step = view.sql(primary, many, "they are missing, or not as the manifest says");
    let step = step.map(|step| if is_drift { step.drift() } else { step });
    plan.chain(step.into_iter().collect());
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
        plan.step(access::recover_passwords(view, primary, container, &why));
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

/// The agent's own role: its password, and what it cannot work without. Nobody else says what it is like.
fn superuser(view: &View<'_>, primary: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    let Some(seen) = facts.roles.get(conf::SUPERUSER) else {
        return;
    };
    let wanted = RoleAttributes {
        login: true,
        superuser: true,
        connection_limit: -1,
        ..seen.attributes
    };
    let is_wrong = seen.password_fits == Some(false);
    let found = [
        (is_wrong, "its password is not the wanted one"),
        (wanted != seen.attributes, "it lacks what the agent needs of it"),
        (
            seen.has_expired,
            "its password was only valid until a time that is past",
        ),
    ];
    let causes: Vec<&str> = found
        .iter()
        .filter(|(is_so, _)| *is_so)
        .map(|(_, cause)| *cause)
        .collect();
    if causes.is_empty() {
        return;
    }
    let change = RoleChange {
        name: conf::SUPERUSER.to_owned(),
        create: false,
        attributes: wanted,
        password: is_wrong.then(|| view.cluster.superuser_password()),
        grant: Vec::new(),
        never_expires: seen.has_expired,
    };
    plan.chain(
        view.sql(primary, SqlOp::Role(change), causes.join(", and "))
            .into_iter()
            .collect(),
    );
}

/// The database that tools connect to which are told of no other: the agent, `pg_rewind`, exporters.
fn maintenance(view: &View<'_>, primary: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    let name = conf::SUPERUSER.to_owned();
    let owner = String::new();
    let (op, cause) = match facts.maintenance {
        Maintenance::Fine => return,
        Maintenance::Missing => (
            SqlOp::CreateDatabase { name, owner },
            "somebody dropped it, and the agent, pg_rewind and exporters connect to it",
        ),
        Maintenance::Closed => (
            SqlOp::OpenDatabase(name),
            "it takes no connections, and the agent, pg_rewind and exporters need one",
        ),
    };
    let step = view.sql(primary, op, cause).map(Action::drift);
    plan.chain(step.into_iter().collect());
}

/// Returns the databases that are missing and whose owners are being made in the same plan.
fn databases(view: &View<'_>, primary: &str, facts: &PgFacts, plan: &mut Plan<Change>) -> Vec<SqlOp> {
    let creates = |owner: &str, action: &Action<Change>| {
        let change = match &action.op {
            Op::Sql(_, SqlOp::Role(change)) => change,
            Op::Sql(..) | Op::Engine(_) | Op::Grafana(..) | Op::Listen(_) | Op::Remember(_) => return false,
        };
        change.create && change.name == owner
    };
    let mut dependent = Vec::new();
    for database in &view.cluster.spec.databases {
        let owner = database.owner.clone().unwrap_or_default();
        if !owner.is_empty() && !facts.roles.contains_key(&owner) {
            if !facts.databases.contains_key(&database.name) && plan.actions().any(|action| creates(&owner, action)) {
                let name = database.name.clone();
                dependent.push(SqlOp::CreateDatabase { name, owner });
                continue;
            }
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
    dependent
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
