//! Single values of a spec: types, bounds, words, formats.

use super::{errors_of_spec, valid_spec};

#[test]
fn numbers_have_bounds() {
    insta::assert_snapshot!(errors_of_spec("image: postgres:17\nreplicas: 33\nports: {base: 0}\nroles:\n- {name: a, connectionLimit: -2}\n- {name: b, connectionLimit: 3000000000}\n- {name: c, connectionLimit: 99999999999999999999999999999999999999999}"), @"
    error: `spec.replicas` cannot be 33
      --> pg.yaml:7:13
       |
     7 |   replicas: 33
       |             ^^
       = help: write a whole number from 0 to 32
    error: `spec.ports.base` cannot be 0
      --> pg.yaml:8:17
       |
     8 |   ports: {base: 0}
       |                 ^
       = help: write a whole number from 1 to 65500
    error: `spec.roles[0].connectionLimit` cannot be -2
      --> pg.yaml:10:32
       |
    10 |   - {name: a, connectionLimit: -2}
       |                                ^^
       = help: write -1 or more
    error: `spec.roles[1].connectionLimit` cannot be 3000000000
      --> pg.yaml:11:32
       |
    11 |   - {name: b, connectionLimit: 3000000000}
       |                                ^^^^^^^^^^
       = help: write 2147483647 or less
    error: `spec.roles[2].connectionLimit` must be a whole number, found the number `99999999999999999999999999999999999999999`
      --> pg.yaml:12:32
       |
    12 |   - {name: c, connectionLimit: 99999999999999999999999999999999999999999}
       |                                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       = help: write a smaller number
    ");
}

#[test]
fn a_wrong_type_says_what_was_found_and_how_to_repair_it() {
    insta::assert_snapshot!(errors_of_spec("image: 17\nreplicas: \"2\"\nhba: host all all\ndatabases:\n  name: a\nports:\n- 1\nlabels: {tier: 1, live: true}\nroles: {}\nprimaryName: [a]"), @r#"
    error: `spec.image` must be text, found the whole number `17`
      --> pg.yaml:6:10
       |
     6 |   image: 17
       |          ^^
       = help: quote it: `"17"`
    error: `spec.replicas` must be a whole number, found the text `2`
      --> pg.yaml:7:13
       |
     7 |   replicas: "2"
       |             ^^^
       = help: remove the quotes: `2`
    error: `spec.hba` must be a list, found the text `host all all`
      --> pg.yaml:8:8
       |
     8 |   hba: host all all
       |        ^^^^^^^^^^^^
       = help: write a list: `hba: [host all all]`
    error: `spec.databases` must be a list, found a map
      --> pg.yaml:10:5
       |
    10 |     name: a
       |     ^
       = help: begin each entry with `- `
    error: `spec.ports` must be a map, found a list
      --> pg.yaml:12:5
       |
    12 |   - 1
       |     ^
       = help: write `key: value` lines without `- `
    error: `spec.labels.tier` must be text, found the whole number `1`
      --> pg.yaml:13:18
       |
    13 |   labels: {tier: 1, live: true}
       |                  ^
       = help: quote it: `"1"`
    error: `spec.labels.live` must be text, found the truth value true
      --> pg.yaml:13:27
       |
    13 |   labels: {tier: 1, live: true}
       |                           ^^^^
       = help: quote it: `"true"`
    error: `spec.roles` must be a list, found a map
      --> pg.yaml:14:10
       |
    14 |   roles: {}
       |          ^
       = help: begin each entry with `- `
    error: `spec.primaryName` must be text, found a list
      --> pg.yaml:15:16
       |
    15 |   primaryName: [a]
       |                ^
       = help: write a single value
    "#);
    insta::assert_snapshot!(errors_of_spec("image: postgres:17\nreplicas: 1.0\nhealth: {retries: 1e1}"), @"
    error: `spec.replicas` must be a whole number, found the number `1.0`
      --> pg.yaml:7:13
       |
     7 |   replicas: 1.0
       |             ^^^
       = help: write it without fraction or exponent
    error: `spec.health.retries` must be a whole number, found the number `1e1`
      --> pg.yaml:8:21
       |
     8 |   health: {retries: 1e1}
       |                     ^^^
       = help: write it without fraction or exponent
    ");
}

#[test]
fn words_for_truth_of_older_yaml_are_explained() {
    insta::assert_snapshot!(errors_of_spec("image: postgres:17\nroles:\n- name: a\n  login: yes\n  createdb: off\n  superuser: maybe"), @"
    error: `spec.roles[0].login` must be `true` or `false`, found the text `yes`
      --> pg.yaml:9:12
       |
     9 |     login: yes
       |            ^^^
       = help: write `true`
    error: `spec.roles[0].createdb` must be `true` or `false`, found the text `off`
      --> pg.yaml:10:15
       |
    10 |     createdb: off
       |               ^^^
       = help: write `false`
    error: `spec.roles[0].superuser` must be `true` or `false`, found the text `maybe`
      --> pg.yaml:11:16
       |
    11 |     superuser: maybe
       |                ^^^^^
       = help: write `true` or `false`
    ");
}

#[test]
fn enumerations_suggest_a_word() {
    insta::assert_snapshot!(errors_of_spec("image: postgres:17\npullPolicy: Alwys\nstorage: {onScaleDown: Recycle}\nreplication: {mode: synchronos}\nupdateStrategy: {primary: [a]}"), @"
    error: `spec.pullPolicy` cannot be `Alwys`
      --> pg.yaml:7:15
       |
     7 |   pullPolicy: Alwys
       |               ^^^^^
       = help: did you mean `Always`?
    error: `spec.storage.onScaleDown` cannot be `Recycle`
      --> pg.yaml:8:26
       |
     8 |   storage: {onScaleDown: Recycle}
       |                          ^^^^^^^
       = help: possible are `Keep` and `Delete`
    error: `spec.replication.mode` cannot be `synchronos`
      --> pg.yaml:9:23
       |
     9 |   replication: {mode: synchronos}
       |                       ^^^^^^^^^^
       = help: did you mean `synchronous`?
    error: `spec.updateStrategy.primary` must be one word, found a list
      --> pg.yaml:10:29
       |
    10 |   updateStrategy: {primary: [a]}
       |                             ^
       = help: possible are `InPlace` and `Switchover`
    ");
}

#[test]
fn quantities_are_checked() {
    insta::assert_snapshot!(errors_of_spec("image: postgres:17\nstopGracePeriod: 60\nresources: {cpu: many, memory: 512m, shm: 1XB}\nhealth: {interval: 1.5}"), @"
    error: `spec.stopGracePeriod`: `60` has no unit
      --> pg.yaml:7:20
       |
     7 |   stopGracePeriod: 60
       |                    ^^
       = help: write `60s` for seconds
    error: `spec.resources.cpu`: `many` is not a number of CPUs
      --> pg.yaml:8:20
       |
     8 |   resources: {cpu: many, memory: 512m, shm: 1XB}
       |                    ^^^^
       = help: write `2`, `1.5` or `500m`
    error: `spec.resources.memory`: `512m` is ambiguous: `m` means milli in Kubernetes and mega in Docker
      --> pg.yaml:8:34
       |
     8 |   resources: {cpu: many, memory: 512m, shm: 1XB}
       |                                  ^^^^
       = help: write `512MB`
    error: `spec.resources.shm`: `1XB` is not a size: the unit `XB` is not known
      --> pg.yaml:8:45
       |
     8 |   resources: {cpu: many, memory: 512m, shm: 1XB}
       |                                             ^^^
       = help: write kB, MB, GB or TB, or KiB, MiB, GiB or TiB
    error: `spec.health.interval`: `1.5` is not a duration
      --> pg.yaml:9:22
       |
     9 |   health: {interval: 1.5}
       |                      ^^^
       = help: write whole numbers with units, such as `500ms`, `10s`, `5m` or `1m30s`
    ");
}

#[test]
fn names_addresses_and_images_are_checked() {
    insta::assert_snapshot!(errors_of_spec("image: Postgres:17\nprimaryName: Master_1\nports: {address: localhost}\ndatabases:\n- name: 1/t\n- name: .ab\n- name: 2024_x\n- {name: app.prod, owner: a@b}"), @"
    error: `spec.image`: `Postgres:17` is not an image: its name has upper-case letters
      --> pg.yaml:6:10
       |
     6 |   image: Postgres:17
       |          ^^^^^^^^^^^
       = help: write the name in lower case
    error: `spec.primaryName`: `Master_1` is not a name that can be a host name
      --> pg.yaml:7:16
       |
     7 |   primaryName: Master_1
       |                ^^^^^^^^
       = help: use at most 63 lower-case letters, digits and `-`; begin with a letter, and do not end with `-`
    error: `spec.ports.address`: `localhost` is not an IP address
      --> pg.yaml:8:20
       |
     8 |   ports: {address: localhost}
       |                    ^^^^^^^^^
       = help: write an address such as `127.0.0.1`, `0.0.0.0` or `::1`; names are not resolved
    error: `spec.databases[0].name`: `1/t` is not an identifier
      --> pg.yaml:10:11
       |
    10 |   - name: 1/t
       |           ^^^
       = help: use at most 63 bytes, without `/` and control characters, and no `.` at the beginning
    error: `spec.databases[1].name`: `.ab` is not an identifier
      --> pg.yaml:11:11
       |
    11 |   - name: .ab
       |           ^^^
       = help: use at most 63 bytes, without `/` and control characters, and no `.` at the beginning
    ");
    for image in [
        "postgres",
        "postgres:17-alpine",
        "localhost/pg:1",
        "r.local:5000/team/pg:17.2",
        "ghcr.io/a/b__c-d",
    ] {
        valid_spec(&format!("image: {image}"));
    }
    let digest = format!("image: postgres:17@sha256:{}", "a1".repeat(32));
    valid_spec(&digest);
    for image in [
        "postgres:",
        "postgres:-a",
        "a//b",
        "a@sha256:1",
        "r.local:x/pg",
        "\"\"",
        "a:b:c",
        "-a",
        "http://a/b",
    ] {
        assert_ne!(errors_of_spec(&format!("image: {image}")), "", "{image}");
    }
}

#[test]
fn every_format_takes_what_it_should() {
    valid_spec(
        "image: a\nprimaryName: m-1\nports: {address: \"::1\"}\nstopGracePeriod: 1m30s\nresources: {cpu: 0.5, memory: 1073741824, shm: 0}\nreplication: {maxLag: 64kB}\ndatabases: [{name: my-db_1, owner: _x}]",
    );
}

#[test]
fn a_parameter_takes_any_scalar_but_nothing_else() {
    insta::assert_snapshot!(errors_of_spec("image: postgres:17\nparameters:\n  a: [1]\n  b:\n  c: {d: 1}"), @"
    error: `spec.parameters.a` must be text, found a list
      --> pg.yaml:8:8
       |
     8 |     a: [1]
       |        ^
       = help: write a single value
    error: `spec.parameters.b` must be text, found nothing
      --> pg.yaml:9:5
       |
     9 |     b:
       |     ^
       = help: write a value behind it
    error: `spec.parameters.c` must be text, found a map
      --> pg.yaml:10:8
       |
    10 |     c: {d: 1}
       |        ^
       = help: write a single value
    ");
}
