//! What is inside the database: slots, roles, databases, extensions. All of it lives on the primary.

use super::super::conf;
use super::super::memory::Change;
use super::super::roles::{WantedRole, role_change};
use super::super::spec::Role as RoleSpec;
use super::view::View;
use crate::model::plan::{Action, Op, Plan};
use crate::model::postgres::{PgFacts, RoleAttributes, RoleChange, RoleFacts, SqlOp};

/// Keeps slots, roles, databases and extensions.
pub fn keep(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) {
    let Some(facts) = view.primary_facts() else {
        return;
    };
    slots(view, primary, facts, plan);
    roles(view, primary, facts, plan);
    databases(view, primary, facts, plan);
    extensions(view, primary, facts, plan);
}

fn slots(view: &View<'_>, primary: &str, facts: &PgFacts, plan: &mut Plan<Change>) {
    let replicas = view.replicas();
    for replica in &replicas {
        if !facts.slots.contains_key(&conf::slot_name(replica)) {
            let op = SqlOp::CreateSlot(conf::slot_name(replica));
            let cause = format!("{replica} has none, and the WAL that it needs could be recycled");
            plan.chain(view.sql(primary, op, cause).into_iter().collect());
        }
    }
    renew_lost_slots(view, primary, facts, &replicas, plan);
    drop_slots(view, primary, facts, &replicas, plan);
    for replica in &replicas {
        if let Some(facts) = view.facts(replica).filter(|f| f.in_recovery) {
            drop_slots(view, replica, facts, &[], plan);
        }
    }
}

/// A lost slot holds no WAL ever again. While the replica's volume is there it is the sign that the replica cannot go on;
/// once the volume is given up, the next seed needs a good one.
fn renew_lost_slots(view: &View<'_>, primary: &str, facts: &PgFacts, replicas: &[String], plan: &mut Plan<Change>) {
    for replica in replicas {
        let slot = conf::slot_name(replica);
        let is_lost = facts
            .slots
            .get(&slot)
            .is_some_and(|s| s.wal_status == "lost" && !s.active);
        let is_made = view.container(replica).is_some() || view.volume(replica).is_some();
        if is_lost && (!is_made || view.control(replica).is_absent()) {
            let cause = format!("it lost the WAL that it held, and {replica} is to be seeded anew");
            let drop = view.sql(primary, SqlOp::DropSlot(slot.clone()), cause.clone());
            let create = view.sql(primary, SqlOp::CreateSlot(slot), cause);
            plan.chain(drop.into_iter().chain(create).collect());
        }
    }
}

/// Slots of ours that nobody uses any more hold WAL for ever. Slots of other names belong to somebody else.
fn drop_slots(view: &View<'_>, member: &str, facts: &PgFacts, wanted: &[String], plan: &mut Plan<Change>) {
    let wanted: Vec<String> = wanted.iter().map(|m| conf::slot_name(m)).collect();
    let first = conf::slot_name(&view.cluster.spec.primary_name);
    let is_ours = |slot: &str| {
        let number = slot.strip_prefix("replica_");
        slot == first || number.is_some_and(|n| n.parse::<u32>().is_ok())
    };
    for (slot, state) in &facts.slots {
        if is_ours(slot) && !wanted.contains(slot) && !state.active {
            let op = SqlOp::DropSlot(slot.clone());
            plan.chain(
                view.sql(member, op, "no replica uses it, and it would hold WAL for ever")
                    .into_iter()
                    .collect(),
            );
        }
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
    // A user's password that nobody knows any more is left alone: clients use it. The replicas' own is not.
    let is_ours = name == conf::REPLICATOR;
    if let Some((change, cause)) = role_change(seen, name, wanted, is_ours) {
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
        for name in database.extensions.iter().filter(|e| !present.contains(e)) {
            all_seen = false;
            let op = SqlOp::CreateExtension {
                database: database.name.clone(),
                name: name.clone(),
            };
            plan.chain(view.sql(primary, op, "it is missing").into_iter().collect());
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
