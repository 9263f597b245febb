//! Everything around the spec.

use super::{errors, errors_of, text};

const SPEC: &str = "spec: {image: postgres:17}";

#[test]
fn documents_know_their_place() {
    let one = format!(
        "# first\napiVersion: reconciler.dev/v1alpha1\nkind: PostgresCluster\nmetadata:\n  name: a\n  labels: {{tier: gold}}\n  annotations: {{note: \"1\"}}\n{SPEC}\n"
    );
    let loaded = text(&format!("{one}---\n---\n{}", one.replace("name: a", "name: b")));
    assert_eq!(errors(&loaded), "");
    let [a, b] = loaded.documents.as_slice() else {
        panic!("{loaded:?}")
    };
    assert_eq!((a.name.as_str(), a.line, b.name.as_str(), b.line), ("a", 2, "b", 12));
    assert_eq!(
        (a.labels["tier"].as_str(), a.annotations["note"].as_str()),
        ("gold", "1")
    );
    assert_eq!((a.file.as_str(), a.kind.as_str()), ("pg.yaml", "PostgresCluster"));
}

#[test]
fn one_bad_document_leaves_the_others() {
    let good = format!("apiVersion: reconciler.dev/v1alpha1\nkind: PostgresCluster\nmetadata: {{name: a}}\n{SPEC}\n");
    let loaded = text(&format!(
        "{good}---\n{}",
        good.replace("name: a", "name: b").replace("image", "imag")
    ));
    assert_eq!(loaded.documents.len(), 1);
    assert_eq!(loaded.unusable, [("PostgresCluster".to_owned(), "b".to_owned())]);
    assert!(
        loaded
            .diagnostics
            .iter()
            .all(|d| d.resource.as_ref().is_some_and(|(_, name)| name == "b"))
    );
    assert!(loaded.broken.is_empty());
}

#[test]
fn everything_missing_is_named() {
    insta::assert_snapshot!(errors_of("a: 1\n"), @"
    error: `apiVersion` is missing
      --> pg.yaml:1:1
       |
     1 | a: 1
       | ^
       = help: write `apiVersion: reconciler.dev/v1alpha1`
    error: `kind` is missing
      --> pg.yaml:1:1
       |
     1 | a: 1
       | ^
       = help: write `kind: …` with `PostgresCluster`
    error: `metadata` is missing
      --> pg.yaml:1:1
       |
     1 | a: 1
       | ^
       = help: add `metadata:` and under it `name: …`
    error: `spec` is missing
      --> pg.yaml:1:1
       |
     1 | a: 1
       | ^
       = help: add `spec:` and its fields under it
    error: unknown field `a`
      --> pg.yaml:1:1
       |
     1 | a: 1
       | ^
       = help: possible are `apiVersion`, `kind`, `metadata` and `spec`
    ");
}

#[test]
fn a_document_must_be_a_map() {
    insta::assert_snapshot!(errors_of("- a\n"), @"
    error: a manifest is a map, found a list
      --> pg.yaml:1:1
       |
     1 | - a
       | ^
       = help: begin it with `apiVersion: reconciler.dev/v1alpha1`
    ");
    insta::assert_snapshot!(errors_of("hello\n"), @"
    error: a manifest is a map, found the text `hello`
      --> pg.yaml:1:1
       |
     1 | hello
       | ^^^^^
       = help: begin it with `apiVersion: reconciler.dev/v1alpha1`
    ");
}

#[test]
fn version_and_kind_are_checked() {
    insta::assert_snapshot!(errors_of(&format!("apiVersion: v1\nkind: PostgresClutser\nmetadata: {{name: a}}\n{SPEC}")), @"
    error: `apiVersion` must be `reconciler.dev/v1alpha1`, found the text `v1`
      --> pg.yaml:1:13
       |
     1 | apiVersion: v1
       |             ^^
       = help: write `apiVersion: reconciler.dev/v1alpha1`
    error: unknown kind `PostgresClutser`
      --> pg.yaml:2:7
       |
     2 | kind: PostgresClutser
       |       ^^^^^^^^^^^^^^^
       = help: did you mean `PostgresCluster`?
    ");
    insta::assert_snapshot!(errors_of(&format!("apiVersion: reconciler.dev/v1alpha1\nkind: 1\nmetadata: {{name: a}}\n{SPEC}")), @"
    error: `kind` must be text, found the whole number `1`
      --> pg.yaml:2:7
       |
     2 | kind: 1
       |       ^
       = help: the only one possible is `PostgresCluster`
    ");
}

#[test]
fn names_are_dns_labels_of_40_characters() {
    let named = |name: &str| {
        text(&format!(
            "apiVersion: reconciler.dev/v1alpha1\nkind: PostgresCluster\nmetadata: {{name: {name}}}\n{SPEC}"
        ))
    };
    insta::assert_snapshot!(errors(&named("Orders_1")), @"
    error: `metadata.name` cannot be `Orders_1`
      --> pg.yaml:3:18
       |
     3 | metadata: {name: Orders_1}
       |                  ^^^^^^^^
       = help: use at most 40 lower-case letters, digits and `-`; begin with a letter, and do not end with `-`
    ");
    insta::assert_snapshot!(errors(&named("17")), @"
    error: `metadata.name` must be text, found the whole number `17`
      --> pg.yaml:3:18
       |
     3 | metadata: {name: 17}
       |                  ^^
       = help: write a name such as `orders`
    ");
    for good in ["a", "a-1", &"a".repeat(40)] {
        assert_eq!(errors(&named(good)), "", "{good}");
    }
    for bad in ["1a", "-a", "a-", "a.b", "ä", "\"\"", &"a".repeat(41)] {
        assert_ne!(errors(&named(bad)), "", "{bad}");
    }
}

#[test]
fn metadata_has_three_fields_of_text() {
    insta::assert_snapshot!(errors_of(&format!("apiVersion: reconciler.dev/v1alpha1\nkind: PostgresCluster\nmetadata:\n  nmae: a\n  namespace: b\n  labels: {{a: 1}}\n  annotations: []\n{SPEC}")), @r#"
    error: `metadata.name` is missing
      --> pg.yaml:3:1
       |
     3 | metadata:
       | ^^^^^^^^
       = help: add `name: …` under it
    error: unknown field `nmae` in `metadata`
      --> pg.yaml:4:3
       |
     4 |   nmae: a
       |   ^^^^
       = help: did you mean `name`?
    error: unknown field `namespace` in `metadata`
      --> pg.yaml:5:3
       |
     5 |   namespace: b
       |   ^^^^^^^^^
       = help: remove it; there are no namespaces
    error: `a` in `metadata.labels` must be text, found the whole number `1`
      --> pg.yaml:6:15
       |
     6 |   labels: {a: 1}
       |               ^
       = help: quote it: `"1"`
    error: `metadata.annotations` must be a map, found a list
      --> pg.yaml:7:16
       |
     7 |   annotations: []
       |                ^
       = help: write under it, indented, `key: value`
    "#);
    insta::assert_snapshot!(errors_of(&format!("apiVersion: reconciler.dev/v1alpha1\nkind: PostgresCluster\nmetadata:\n{SPEC}")), @"
    error: `metadata` must be a map, found nothing
      --> pg.yaml:3:1
       |
     3 | metadata:
       | ^^^^^^^^
       = help: write under it, indented, `name: …`
    ");
}

#[test]
fn unknown_fields_are_sent_to_their_place() {
    insta::assert_snapshot!(errors_of(&format!("apiVersion: reconciler.dev/v1alpha1\nkind: PostgresCluster\nmetadata: {{name: a}}\nreplicas: 2\nname: a\nstatus: {{}}\nspce: 1\n{SPEC}")), @"
    error: unknown field `replicas`
      --> pg.yaml:4:1
       |
     4 | replicas: 2
       | ^^^^^^^^
       = help: it belongs under `spec`
    error: unknown field `name`
      --> pg.yaml:5:1
       |
     5 | name: a
       | ^^^^
       = help: it belongs under `metadata`
    error: unknown field `status`
      --> pg.yaml:6:1
       |
     6 | status: {}
       | ^^^^^^
       = help: remove it; `reconciler get` shows the status
    error: unknown field `spce`
      --> pg.yaml:7:1
       |
     7 | spce: 1
       | ^^^^
       = help: did you mean `spec`?
    ");
}

#[test]
fn the_spec_is_a_map() {
    let document = "apiVersion: reconciler.dev/v1alpha1\nkind: PostgresCluster\nmetadata: {name: a}\n";
    insta::assert_snapshot!(errors_of(&format!("{document}spec:\n")), @"
    error: `spec` is empty
      --> pg.yaml:4:1
       |
     4 | spec:
       | ^^^^
       = help: indent the spec's fields under it
    ");
    insta::assert_snapshot!(errors_of(&format!("{document}spec: []\n")), @"
    error: `spec` must be a map, found a list
      --> pg.yaml:4:7
       |
     4 | spec: []
       |       ^
       = help: write its fields under it, indented
    ");
}

#[test]
fn a_resource_that_is_there_twice_is_not_used_at_all() {
    let one = format!("apiVersion: reconciler.dev/v1alpha1\nkind: PostgresCluster\nmetadata: {{name: a}}\n{SPEC}\n");
    let loaded = text(&format!("{one}---\n{one}"));
    insta::assert_snapshot!(errors(&loaded), @"
    error: PostgresCluster `a` is already declared in pg.yaml:1
      --> pg.yaml:8:18
       |
     8 | metadata: {name: a}
       |                  ^
       = help: rename or remove one of the two; until then neither is used
    ");
    assert!(loaded.documents.is_empty());
    assert_eq!(loaded.unusable, [("PostgresCluster".to_owned(), "a".to_owned())]);
}
