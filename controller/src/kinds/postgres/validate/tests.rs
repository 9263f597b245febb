//! One rule of the manifest a test.

use serde_json::{Value, json};

use super::validate;
use crate::manifest::load::PathPart;

/// What is found, one line each: where, and what is wrong.
fn found(name: &str, mut spec: Value) -> String {
    spec["image"] = json!("postgres:17");
    let problems = validate(name, &spec);
    let lines = problems.iter().map(|problem| {
        let path: Vec<String> = problem.path.iter().map(part).collect();
        let at = if problem.at_key { " (key)" } else { "" };
        format!("{}{at}: {}", path.join("."), problem.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn part(part: &PathPart) -> String {
    match part {
        PathPart::Key(key) => key.clone(),
        PathPart::Index(at) => at.to_string(),
    }
}

fn of(spec: Value) -> String {
    found("pg", spec)
}

#[test]
fn a_plain_cluster_is_valid() {
    assert_eq!(of(json!({})), "");
    let full = json!({
        "replicas": 2, "primary": "replica-2", "primaryName": "first",
        "ports": {"base": 5432, "members": {"replica-1": 6000}},
        "parameters": {"work_mem": "64MB", "auto_explain.log_nested_statements": "on", "max_wal_senders": "4"},
        "hba": ["hostssl all all 0.0.0.0/0 cert clientcert=verify-full"],
        "roles": [{"name": "app", "passwordFrom": {"file": "/run/app"}}, {"name": "readers", "login": false}],
        "databases": [{"name": "app", "owner": "app"}],
        "superuser": {"passwordFrom": {"env": "PGPASSWORD"}},
    });
    assert_eq!(of(full), "");
}

#[test]
fn the_first_members_name_is_not_a_replicas() {
    insta::assert_snapshot!(of(json!({"primaryName": "replica-1"})), @"primaryName: `replica-` and a number is what replicas are called; choose another name for the first member");
    assert_eq!(of(json!({"primaryName": "replica-one"})), "");
    insta::assert_snapshot!(of(json!({"primaryName": "rw"})), @"primaryName: `pg-rw` is the DNS name of a role; choose another name for the first member");
}

#[test]
fn a_members_dns_name_is_not_too_long() {
    let name = "a".repeat(53);
    insta::assert_snapshot!(found(&name, json!({})), @"primaryName: with the cluster's name it makes a DNS name of 64 characters; 63 are allowed");
    assert_eq!(found(&name[1..], json!({})), "");
}

#[test]
fn the_named_primary_is_a_member() {
    insta::assert_snapshot!(of(json!({"replicas": 1, "primary": "replica-2"})), @"primary: `replica-2` is not a member; the members are master, replica-1");
}

#[test]
fn ports_belong_to_members_and_each_port_to_one() {
    insta::assert_snapshot!(of(json!({"replicas": 1, "ports": {"members": {"replica-2": 6000}}})), @"ports.members.replica-2 (key): `replica-2` is not a member; the members are master, replica-1");
    insta::assert_snapshot!(of(json!({"replicas": 2, "ports": {"base": 5432, "members": {"replica-2": 5433}}})), @"ports (key): replica-1 and replica-2 would both have port 5433");
}

#[test]
fn no_port_is_zero() {
    insta::assert_snapshot!(of(json!({"ports": {"members": {"master": 0}}})), @"ports.members.master: a port is 1 to 65535");
}

#[test]
fn parameters_are_named_once_well_and_not_ours() {
    insta::assert_snapshot!(of(json!({"parameters": {"work mem": "1"}})), @"parameters.work mem (key): `work mem` is not a parameter name: it is made of letters, digits and `_`, with one prefix and a `.` before it at most");
    insta::assert_snapshot!(of(json!({"parameters": {"Port": "1"}})), @"parameters.Port (key): parameter `Port` cannot be set: inside a container it is always 5432; set the host's side with `spec.ports`");
    insta::assert_snapshot!(of(json!({"parameters": {"fsync": "off"}})), @"parameters.fsync (key): parameter `fsync` cannot be set: a crash would then corrupt the data");
    insta::assert_snapshot!(of(json!({"parameters": {"WORK_MEM": "1MB", "work_mem": "2MB"}})), @r"
    parameters.WORK_MEM (key): parameter `WORK_MEM` is set twice, also as `work_mem`; PostgreSQL does not tell upper from lower case
    parameters.work_mem (key): parameter `work_mem` is set twice, also as `WORK_MEM`; PostgreSQL does not tell upper from lower case
    ");
    insta::assert_snapshot!(of(json!({"parameters": {"MAX_Connections": "lots"}})), @"parameters.MAX_Connections: parameter `MAX_Connections` is a whole number, and not `lots`");
    insta::assert_snapshot!(of(json!({"parameters": {"work_mem": "1MB\nfsync = off"}})), @"parameters.work_mem: parameter `work_mem` must be one line");
}

#[test]
fn every_replica_can_stream_and_be_seeded() {
    insta::assert_snapshot!(of(json!({"replicas": 3, "parameters": {"max_wal_senders": "5"}})), @"parameters.max_wal_senders: 3 replicas need at least 6: one to stream and one to be seeded each");
}

#[test]
fn lines_of_pg_hba_are_complete() {
    insta::assert_snapshot!(of(json!({"hba": ["local all all trust", "host all all trusted"]})), @"hba.1: expected: host DATABASE USER ADDRESS METHOD");
}

#[test]
fn roles_of_the_agent_and_of_postgresql_are_not_declared() {
    insta::assert_snapshot!(of(json!({"roles": [{"name": "postgres"}, {"name": "replicator"}, {"name": "pg_monitor"}]})), @r"
    roles.0.name: role `postgres` is the agent's or PostgreSQL's own
    roles.1.name: role `replicator` is the agent's or PostgreSQL's own
    roles.2.name: role `pg_monitor` is the agent's or PostgreSQL's own
    ");
}

#[test]
fn names_are_declared_once() {
    insta::assert_snapshot!(of(json!({"roles": [{"name": "app"}, {"name": "app"}]})), @"roles.1.name: role `app` is declared twice");
    insta::assert_snapshot!(of(json!({"databases": [{"name": "app"}, {"name": "app"}]})), @"databases.1.name: database `app` is declared twice");
}

#[test]
fn a_role_that_may_not_log_in_has_no_password() {
    let role = json!({"name": "readers", "login": false, "passwordFrom": {"env": "X"}});
    insta::assert_snapshot!(of(json!({"roles": [role]})), @"roles.0.passwordFrom (key): role `readers` may not log in, so it has no password");
}

#[test]
fn memberships_make_no_circle() {
    let roles =
        json!([{"name": "a", "memberOf": ["b"]}, {"name": "b", "memberOf": ["a"]}, {"name": "c", "memberOf": ["a"]}]);
    insta::assert_snapshot!(of(json!({"roles": roles})), @r"
    roles.0.memberOf (key): roles are members of each other: a -> b -> a
    roles.1.memberOf (key): roles are members of each other: b -> a -> b
    ");
    insta::assert_snapshot!(of(json!({"roles": [{"name": "a", "memberOf": ["x", "a"]}]})), @"roles.0.memberOf (key): roles are members of each other: a -> a");
}

#[test]
fn a_circle_is_found_behind_another_membership() {
    let roles = json!([{"name": "a", "memberOf": ["x", "b"]}, {"name": "x"}, {"name": "b", "memberOf": ["a"]}]);
    insta::assert_snapshot!(of(json!({"roles": roles})), @r"
    roles.0.memberOf (key): roles are members of each other: a -> b -> a
    roles.2.memberOf (key): roles are members of each other: b -> a -> b
    ");
}

#[test]
fn templates_are_not_declared() {
    insta::assert_snapshot!(of(json!({"databases": [{"name": "template1"}]})), @"databases.0.name: `template1` is PostgreSQL's own template");
}

#[test]
fn a_password_has_one_source_and_an_absolute_path() {
    let from = |from: Value| of(json!({"superuser": {"passwordFrom": from}}));
    insta::assert_snapshot!(from(json!({})), @"superuser.passwordFrom (key): name a `file` or an `env`");
    insta::assert_snapshot!(from(json!({"file": "/a", "env": "A"})), @"superuser.passwordFrom (key): name a file or an environment variable, not both");
    insta::assert_snapshot!(from(json!({"file": "secrets/a"})), @"superuser.passwordFrom (key): the file's path must be absolute: the agent runs elsewhere");
}

#[test]
fn our_labels_are_not_the_users() {
    insta::assert_snapshot!(of(json!({"labels": {"dev.reconciler.uid": "x", "team": "y"}})), @"labels.dev.reconciler.uid (key): labels that begin with `dev.reconciler.` are the agent's own");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let spec = json!({"primary": "x", "databases": [{"name": "template0"}], "parameters": {"port": "1"}});
    assert_eq!(of(spec).lines().count(), 3);
}

#[test]
fn what_only_synchronous_commits_know_is_refused_without_them() {
    insta::assert_snapshot!(of(json!({"replicas": 2, "replication": {"method": "any", "number": 1, "durability": "required"}})), @r"
    replication.method (key): `method` says how commits wait for replicas; without `mode: synchronous` they do not
    replication.number (key): `number` says how commits wait for replicas; without `mode: synchronous` they do not
    replication.durability (key): `durability` says how commits wait for replicas; without `mode: synchronous` they do not
    ");
    assert_eq!(
        of(
            json!({"replicas": 2, "replication": {"mode": "synchronous", "number": 2, "method": "first", "durability": "preferred"}})
        ),
        ""
    );
}

#[test]
fn commits_wait_for_no_more_replicas_than_there_are() {
    insta::assert_snapshot!(of(json!({"replicas": 1, "replication": {"mode": "synchronous", "number": 2}})), @"replication.number: commits would wait for 2 of 1 replicas");
    insta::assert_snapshot!(of(json!({"replication": {"mode": "synchronous"}})), @"replication.mode: commits would wait for 1 of 0 replicas");
}

#[test]
fn a_synchronous_cluster_does_not_acknowledge_by_itself() {
    let with = |value: &str| {
        of(json!({"replicas": 1, "replication": {"mode": "synchronous"}, "parameters": {"Synchronous_Commit": value}}))
    };
    insta::assert_snapshot!(with("remote_write"), @"parameters.Synchronous_Commit: with `mode: synchronous`, `Synchronous_Commit: remote_write` would acknowledge commits that no replica has on its disk; it is `on` or `remote_apply`. A session may still choose less for itself");
    assert_ne!(with("off"), "");
    assert_eq!(with("on"), "");
    assert_eq!(with("remote_apply"), "");
}
