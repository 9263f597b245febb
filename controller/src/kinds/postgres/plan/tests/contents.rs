//! Slots, roles, databases and extensions.

use std::collections::BTreeMap;

use super::world::{World, login, slot};
use crate::kinds::postgres::memory::Change;
use crate::kinds::postgres::spec::{Database, ExactExtension, Extension, Initdb, Role};
use crate::model::plan::{Action, Op};
use crate::model::postgres::{ExtensionFacts, Made, SqlOp};

fn role(name: &str) -> Role {
    serde_json::from_value(serde_json::json!({"name": name})).expect("a valid role")
}

fn database(name: &str, owner: Option<&str>, extensions: &[&str]) -> Database {
    Database {
        name: name.to_owned(),
        owner: owner.map(str::to_owned),
        extensions: extensions.iter().map(|e| Extension::Name((*e).to_owned())).collect(),
    }
}

fn wanting(role: Role) -> World {
    World::new(0).healthy().edit(|spec| spec.roles.push(role))
}

#[test]
fn every_replica_has_a_slot_on_the_primary() {
    let world = World::new(2).healthy().facts("master", |facts| facts.slots.clear());
    insta::assert_snapshot!(world.plan(), @r"
    master: create replication slot replica_1, because replica-1 has none, and the WAL that it needs could be recycled
    master: create replication slot replica_2, because replica-2 has none, and the WAL that it needs could be recycled
    ");
}

#[test]
fn slots_of_ours_that_nobody_uses_are_dropped_and_others_are_left_alone() {
    let world = World::new(1).healthy().facts("master", |facts| {
        facts.slots.insert("master".to_owned(), slot("reserved", false));
        facts.slots.insert("replica_2".to_owned(), slot("extended", false));
        facts.slots.insert("replica_3".to_owned(), slot("reserved", true));
        facts.slots.insert("replica_backup".to_owned(), slot("reserved", false));
        facts.slots.insert("debezium".to_owned(), slot("reserved", false));
    });
    let world = world.remember(|memory| memory.slots_of.extend(["replica-2", "replica-3"].map(str::to_owned)));
    insta::assert_snapshot!(world.plan(), @r"
    master: drop replication slot master, because no replica uses it, and it would hold WAL for ever
    master: drop replication slot replica_2, because no replica uses it, and it would hold WAL for ever
    ");
}

#[test]
fn a_former_primarys_slots_are_dropped() {
    let world = World::new(1).healthy_with("replica-1").facts("master", |facts| {
        facts.slots.insert("replica_1".to_owned(), slot("reserved", false));
        facts.slots.insert("debezium".to_owned(), slot("reserved", false));
    });
    insta::assert_snapshot!(world.plan(), @"master: drop replication slot replica_1, because no replica uses it, and it would hold WAL for ever");
}

#[test]
fn a_lost_slot_stays_while_the_replicas_volume_does() {
    let world = World::new(1).healthy().facts("master", |facts| {
        facts.slots.insert("replica_1".to_owned(), slot("lost", false));
    });
    insta::assert_snapshot!(world.plan(), @"nothing to do");
}

#[test]
fn a_missing_role_is_created() {
    insta::assert_snapshot!(wanting(role("app")).plan(), @"master: create role app, because it is missing");
}

#[test]
fn attributes_memberships_and_passwords_are_put_right_together() {
    let mut app = role("app");
    app.createdb = true;
    app.member_of = vec!["readers".to_owned()];
    let world = wanting(app).facts("master", |facts| {
        let mut seen = login();
        seen.password_fits = Some(false);
        facts.roles.insert("app".to_owned(), seen);
    });
    insta::assert_snapshot!(world.plan(), @"master: alter role app, because its attributes are not as the manifest says, and it is not a member of all roles that the manifest names, and its password is not the wanted one");
}

#[test]
fn a_users_password_that_nobody_can_tell_is_left_alone() {
    let world = wanting(role("app")).facts("master", |facts| {
        let mut seen = login();
        seen.password_fits = None;
        facts.roles.insert("app".to_owned(), seen);
    });
    insta::assert_snapshot!(world.plan(), @"nothing to do");
}

#[test]
fn the_replicas_own_password_and_the_superusers_are_kept() {
    let wrong = |name: &str, fits| {
        World::new(0).healthy().facts("master", |facts| {
            facts.roles.get_mut(name).expect("the role").password_fits = fits;
        })
    };
    insta::assert_snapshot!(wrong("replicator", Some(false)).plan(), @"master: alter role replicator, because its password is not the wanted one");
    insta::assert_snapshot!(wrong("replicator", None).plan(), @"master: recover lost passwords, because the password of replicator is not known any more");
    insta::assert_snapshot!(wrong("postgres", Some(false)).plan(), @"master: alter role postgres, because its password is not the wanted one");
}

#[test]
fn a_role_that_left_the_manifest_is_not_dropped() {
    let world = World::new(0).healthy().facts("master", |facts| {
        facts.roles.insert("old".to_owned(), login());
    });
    insta::assert_snapshot!(world.plan(), @"nothing to do");
}

#[test]
fn a_database_waits_for_its_owner_and_belongs_to_it() {
    let world = World::new(0)
        .healthy()
        .edit(|spec| spec.databases.push(database("shop", Some("app"), &[])));
    insta::assert_snapshot!(world.plan(), @"master: waiting, database shop waits for its owner app");
    let owned = world.facts("master", |facts| {
        facts.roles.insert("app".to_owned(), login());
    });
    insta::assert_snapshot!(owned.plan(), @"master: create database shop, because it is missing");
    let stolen = owned.facts("master", |facts| {
        facts.databases.insert("shop".to_owned(), "postgres".to_owned());
    });
    insta::assert_snapshot!(stolen.plan(), @"master: give database shop to app, because it belongs to postgres");
}

#[test]
fn missing_extensions_are_created_where_the_database_was_looked_into() {
    let world = World::new(0)
        .healthy()
        .edit(|spec| spec.databases.push(database("shop", None, &["pgcrypto", "hstore"])))
        .facts("master", |facts| {
            facts.databases.insert("shop".to_owned(), "postgres".to_owned());
        })
        .remember(|memory| memory.extensions_generation = 1);
    insta::assert_snapshot!(world.plan(), @"nothing to do");
    let present = |names: &[&str]| {
        let found = names.iter().map(|name| ((*name).to_owned(), ExtensionFacts::default()));
        found.collect::<BTreeMap<_, _>>()
    };
    let some = world.facts("master", |facts| {
        facts
            .extensions
            .insert("shop".to_owned(), present(&["plpgsql", "hstore"]));
    });
    insta::assert_snapshot!(some.plan(), @"master: create extension pgcrypto in database shop, because it is missing");
    let all = some.facts("master", |facts| {
        facts
            .extensions
            .insert("shop".to_owned(), present(&["pgcrypto", "hstore"]));
    });
    insta::assert_snapshot!(all.plan(), @"pg: remember that the extensions exist, because all of them were seen");
}

#[test]
fn an_extension_is_brought_to_its_version_and_schema_where_postgresql_can() {
    let exact = ExactExtension {
        name: "hstore".to_owned(),
        schema: Some("tools".to_owned()),
        version: Some("1.8".to_owned()),
        cascade: true,
    };
    let mut wanted = database("shop", None, &[]);
    wanted.extensions = vec![Extension::Exact(exact)];
    let seen = |schema: &str, is_relocatable| {
        let facts = ExtensionFacts {
            version: "1.7".to_owned(),
            schema: schema.to_owned(),
            is_relocatable,
        };
        World::new(0)
            .healthy()
            .edit(|spec| spec.databases.push(wanted.clone()))
            .facts("master", |seen| {
                seen.databases.insert("shop".to_owned(), "postgres".to_owned());
                let found = BTreeMap::from([("hstore".to_owned(), facts)]);
                seen.extensions.insert("shop".to_owned(), found);
            })
            .remember(|memory| memory.extensions_generation = 1)
    };
    insta::assert_snapshot!(seen("public", true).plan(), @r"
    master: update extension hstore in database shop to 1.8, because it is 1.7
    master: move extension hstore in database shop to schema tools, because it is in schema public
    ");
    let fixed = seen("public", false).plan().to_string();
    assert!(
        fixed.contains("cannot be moved to tools: PostgreSQL does not move this one"),
        "{fixed}"
    );
    insta::assert_snapshot!(seen("tools", false).plan(), @"master: update extension hstore in database shop to 1.8, because it is 1.7");
}

#[test]
fn what_initdb_made_is_not_made_otherwise() {
    let world = World::new(0).healthy().edit(|spec| {
        spec.initdb = Some(Initdb {
            encoding: Some("LATIN1".to_owned()),
            ..Initdb::default()
        });
    });
    insta::assert_snapshot!(world.plan(), @"nothing to do");
    let mut world = world;
    world.observed.made = Some(Made {
        encoding: "UTF8".to_owned(),
        ..Made::default()
    });
    insta::assert_snapshot!(world.plan(), @"master: blocked, spec.initdb: `encoding` is LATIN1, and the data was made with UTF8. initdb runs once, for a new cluster. Put the old value back; to change it, start a second cluster and load a dump into it");
}

#[test]
fn many_roles_and_databases_are_one_step_in_the_order_of_their_need() {
    let world = |count: u32| {
        World::new(0).healthy().edit(|spec| {
            for number in 0..count {
                let name = format!("app{number}");
                spec.databases
                    .push(database(&format!("shop{number}"), Some(&name), &[]));
                spec.roles.push(role(&name));
            }
        })
    };
    insta::assert_snapshot!(world(1).plan(), @r"
    master: create role app0, because it is missing
    master: waiting, create database shop0: its owner is made first
    ");
    insta::assert_snapshot!(world(30).plan(), @"master: create 30 roles, create 30 databases, because they are missing, or not as the manifest says");
    let plan = world(300).next();
    let ops: Vec<&SqlOp> = plan.actions().filter_map(many).flatten().collect();
    assert_eq!(ops.len(), 400, "the rest is for the next look");
    let is_role = |op: &&SqlOp| matches!(op, SqlOp::Role(_));
    assert_eq!(ops.iter().take_while(|op| is_role(op)).count(), 300);
}

fn many(action: &Action<Change>) -> Option<&Vec<SqlOp>> {
    match &action.op {
        Op::Sql(_, SqlOp::Many(ops)) => Some(ops),
        _ => None,
    }
}
