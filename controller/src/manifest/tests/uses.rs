//! Documents that take the same things.

use super::errors;
use crate::kinds;
use crate::manifest::load::{Loaded, load_text};

fn document(kind: &str, name: &str, spec: &str) -> String {
    format!("---\napiVersion: reconciler.dev/v1alpha1\nkind: {kind}\nmetadata:\n  name: {name}\nspec: {spec}\n")
}

fn loaded(documents: &[String]) -> Loaded {
    load_text("all.yaml", documents.concat().as_bytes(), &kinds::schemas())
}

fn cluster(name: &str, rest: &str) -> String {
    document("PostgresCluster", name, &format!("{{image: \"postgres:17\"{rest}}}"))
}

#[test]
fn two_kinds_of_one_name_share_names_of_objects_and_neither_is_used() {
    let both = loaded(&[
        cluster("zz", ""),
        document("Monitoring", "zz", "{}"),
        cluster("free", ""),
    ]);
    insta::assert_snapshot!(errors(&both), @r"
    error: network `zz-net` is taken by PostgresCluster `zz`, which is declared in all.yaml:2
      --> all.yaml:11:9
       |
    11 |   name: zz
       |         ^^
       = help: rename one of the two; until then neither is used
    ");
    let names: Vec<&str> = both.documents.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["free"]);
    assert_eq!(both.unusable.len(), 2, "what they said before stays in force");
}

#[test]
fn names_that_meet_in_the_middle_are_one_container() {
    let both = loaded(&[cluster("a", ", primaryName: b-master"), cluster("a-b", "")]);
    let text = errors(&both);
    assert!(
        text.contains("container `a-b-master` is taken by PostgresCluster `a`"),
        "{text}"
    );
}

#[test]
fn a_port_of_the_host_is_one_resources() {
    let ports = |name: &str, ports: &str| cluster(name, &format!(", replicas: 2, ports: {{{ports}}}"));
    let clash = loaded(&[ports("one", "base: 5432"), ports("two", "base: 5434")]);
    insta::assert_snapshot!(errors(&clash), @r#"
    error: port 5434 is taken by PostgresCluster `one`, which is declared in all.yaml:2
      --> all.yaml:12:57
       |
    12 | spec: {image: "postgres:17", replicas: 2, ports: {base: 5434}}
       |                                                         ^^^^
       = help: change one of the two; until then neither is used
    "#);
    let apart = [
        ports("one", "base: 5432, address: 10.0.0.1"),
        ports("two", "base: 5432, address: 10.0.0.2"),
    ];
    assert_eq!(errors(&loaded(&apart)), "");
    let any = [
        ports("one", "base: 5432, address: 10.0.0.1"),
        ports("two", "base: 5432, address: 0.0.0.0"),
    ];
    assert!(errors(&loaded(&any)).contains("port 5432 is taken"));
    let monitoring = document("Monitoring", "watch", "{prometheus: {port: 5433}}");
    assert!(errors(&loaded(&[ports("one", "base: 5432"), monitoring])).contains("port 5433 is taken"));
    let watches = [document("Monitoring", "a", "{}"), document("Monitoring", "b", "{}")];
    assert!(errors(&loaded(&watches)).contains("port 9091 is taken by Monitoring `a`"));
}

#[test]
fn a_document_that_stands_there_twice_is_told_once() {
    let twice = errors(&loaded(&[cluster("zz", ""), cluster("zz", "")]));
    assert!(
        twice.contains("already declared") && !twice.contains("is taken"),
        "{twice}"
    );
}
