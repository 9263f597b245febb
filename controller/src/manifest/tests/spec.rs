//! The spec of a real kind.

use serde_json::json;

use super::{errors, errors_of_spec, text, valid_spec, with_spec};
use crate::kinds::postgres::spec::{OnScaleDown, PostgresCluster, PullPolicy};
use crate::manifest::deserialize;

#[test]
fn a_spec_becomes_its_type_with_defaults() {
    let loaded = text(&with_spec(
        "image: postgres:17\nreplicas: 2\nparameters: {shared_buffers: 256MB, max_connections: 100, random_page_cost: 1.10, jit: off, fsync: true}\nresources: {cpu: 2, memory: 2GiB}\nports:\n  base: 5432\n  members: {replica-1: 6000}\nroles:\n- name: app\n  connectionLimit: -1\nstorage: {onScaleDown: Delete}\n",
    ));
    assert_eq!(errors(&loaded), "");
    let cluster: PostgresCluster = deserialize(&loaded.documents[0]).unwrap();
    assert_eq!((cluster.replicas, cluster.ports.base), (2, Some(5432)));
    assert_eq!(cluster.parameters["random_page_cost"].0, "1.10");
    assert_eq!(cluster.parameters["jit"].0, "off");
    assert_eq!(cluster.parameters["fsync"].0, "true");
    assert_eq!(cluster.parameters["max_connections"].0, "100");
    assert_eq!(cluster.resources.cpu.as_deref(), Some("2"));
    assert_eq!(cluster.resources.shm, "256MiB");
    assert_eq!(cluster.storage.on_scale_down, OnScaleDown::Delete);
    assert_eq!(cluster.pull_policy, PullPolicy::IfNotPresent);
    assert_eq!(cluster.stop_grace_period, "60s");
    assert!(cluster.roles[0].login);
}

#[test]
fn a_written_out_type_loads_again_as_the_same() {
    let small: PostgresCluster = serde_json::from_value(json!({"image": "postgres:17", "resources": {}})).unwrap();
    let yaml = serde_yaml::to_string(&small).unwrap();
    let loaded = text(&with_spec(&yaml));
    assert_eq!(errors(&loaded), "");
    assert_eq!(deserialize::<PostgresCluster>(&loaded.documents[0]), Ok(small));
}

#[test]
fn a_spec_that_does_not_fit_its_type_is_told_apart() {
    let loaded = text(&with_spec("image: postgres:17"));
    let error = deserialize::<Vec<u8>>(&loaded.documents[0]).unwrap_err();
    insta::assert_snapshot!(error, @"pg.yaml:1: the spec of PostgresCluster/orders passed its schema but does not fit its type: invalid type: map, expected a sequence");
}

#[test]
fn null_leaves_an_optional_field_out() {
    let spec = valid_spec("image: postgres:17\nreplication:\nports: ~\nprimary: null\nresources: {cpu: }");
    assert_eq!(spec, json!({"image": "postgres:17", "resources": {}}));
}

#[test]
fn an_unknown_field_is_shown_with_its_line_and_the_nearest_name() {
    insta::assert_snapshot!(errors_of_spec("image: postgres:17\nreplica: 2"), @"
    error: unknown field `replica`
      --> pg.yaml:7:3
       |
     7 |   replica: 2
       |   ^^^^^^^
       = help: did you mean `replicas`?
    ");
}

#[test]
fn a_field_at_the_wrong_level_is_sent_to_its_place() {
    insta::assert_snapshot!(errors_of_spec("image: postgres:17\nmaxLag: 1GB\nname: x\npasswordFrom: {env: A}\nports: {replicas: 2}"), @"
    error: unknown field `maxLag`
      --> pg.yaml:7:3
       |
     7 |   maxLag: 1GB
       |   ^^^^^^
       = help: it belongs under `spec.replication`
    error: unknown field `name`
      --> pg.yaml:8:3
       |
     8 |   name: x
       |   ^^^^
       = help: it belongs under `metadata`, `spec.databases[]`, `spec.databases[].extensions[]` or `spec.roles[]`
    error: unknown field `passwordFrom`
      --> pg.yaml:9:3
       |
     9 |   passwordFrom: {env: A}
       |   ^^^^^^^^^^^^
       = help: it belongs under `spec.roles[]` or `spec.superuser`
    error: unknown field `replicas` in `spec.ports`
      --> pg.yaml:10:11
       |
    10 |   ports: {replicas: 2}
       |           ^^^^^^^^
       = help: it belongs under `spec`
    ");
}

#[test]
fn a_far_word_gets_the_list_of_fields() {
    insta::assert_snapshot!(errors_of_spec("image: postgres:17\nstorage: {volume: x}\nhealth: {path: /}"), @"
    error: unknown field `volume` in `spec.storage`
      --> pg.yaml:7:13
       |
     7 |   storage: {volume: x}
       |             ^^^^^^
       = help: possible are `onScaleDown`, `reseed` and `quarantine`
    error: unknown field `path` in `spec.health`
      --> pg.yaml:8:12
       |
     8 |   health: {path: /}
       |            ^^^^
       = help: possible are `interval` and `retries`
    ");
}

#[test]
fn all_errors_come_at_once_in_the_order_of_the_file() {
    insta::assert_snapshot!(errors_of_spec("replicas: two\npullPolicy: always\nports:\n  base: 70000\n  adress: ::1\nroles:\n- login: yes\n"), @"
    error: `spec.image` is missing
      --> pg.yaml:5:1
       |
     5 | spec:
       | ^^^^
       = help: add `image: postgres:17` or another value
    error: `spec.replicas` must be a whole number, found the text `two`
      --> pg.yaml:6:13
       |
     6 |   replicas: two
       |             ^^^
       = help: write digits, such as `2`
    error: `spec.pullPolicy` cannot be `always`
      --> pg.yaml:7:15
       |
     7 |   pullPolicy: always
       |               ^^^^^^
       = help: did you mean `Always`?
    error: `spec.ports.base` cannot be 70000
      --> pg.yaml:9:11
       |
     9 |     base: 70000
       |           ^^^^^
       = help: write a whole number from 1 to 65500
    error: unknown field `adress` in `spec.ports`
      --> pg.yaml:10:5
       |
    10 |     adress: ::1
       |     ^^^^^^
       = help: did you mean `address`?
    error: `spec.roles[0].name` is missing
      --> pg.yaml:12:5
       |
    12 |   - login: yes
       |     ^
       = help: add `name: …`
    error: `spec.roles[0].login` must be `true` or `false`, found the text `yes`
      --> pg.yaml:12:12
       |
    12 |   - login: yes
       |            ^^^
       = help: write `true`
    ");
}

#[test]
fn a_missing_field_is_shown_at_its_owner_with_an_example() {
    insta::assert_snapshot!(errors_of_spec("replicas: 1"), @"
    error: `spec.image` is missing
      --> pg.yaml:5:1
       |
     5 | spec:
       | ^^^^
       = help: add `image: postgres:17` or another value
    ");
    insta::assert_snapshot!(errors_of_spec("image: postgres:17\nsuperuser: {}"), @"
    error: `spec.superuser.passwordFrom` is missing
      --> pg.yaml:7:3
       |
     7 |   superuser: {}
       |   ^^^^^^^^^
       = help: add `passwordFrom: …`
    ");
}

#[test]
fn a_required_field_cannot_be_null() {
    insta::assert_snapshot!(errors_of_spec("image:\nreplicas: 1"), @"
    error: `spec.image` must be text, found nothing
      --> pg.yaml:6:3
       |
     6 |   image:
       |   ^^^^^
       = help: write a value behind it
    ");
}

#[test]
fn rules_of_the_kind_are_shown_where_they_apply() {
    insta::assert_snapshot!(errors_of_spec("image: postgres:17\nhba:\n- host all all ::1/128 scram-sha-256\n- host all all all trust"), @"
    error: `trust` lets anybody in
      --> pg.yaml:9:5
       |
     9 |   - host all all all trust
       |     ^^^^^^^^^^^^^^^^^^^^^^
       = help: write `scram-sha-256`
    ");
}

#[test]
fn rules_of_the_kind_are_told_in_the_same_go_as_the_schemas() {
    assert!(errors_of_spec("hba:\n- host all all all trust").contains("anybody"));
}

#[test]
fn an_error_within_an_alias_is_reported_once() {
    insta::assert_snapshot!(errors_of_spec("image: postgres:17\ndatabases:\n- &a {name: x, ownr: y}\n- *a"), @"
    error: unknown field `ownr` in `spec.databases[0]`
      --> pg.yaml:8:18
       |
     8 |   - &a {name: x, ownr: y}
       |                  ^^^^
       = help: did you mean `owner`?
    ");
}

#[test]
fn an_alias_stands_for_its_value() {
    let spec =
        valid_spec("image: postgres:17\nlabels: &l {a: b}\nprimary: &p replica-1\ndatabases: [{name: *p, owner: *p}]");
    assert_eq!(spec["databases"][0]["owner"], "replica-1");
}
