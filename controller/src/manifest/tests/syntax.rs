//! What is wrong before anything has a meaning.

use super::{errors, errors_of, kinds, text, with_spec};
use crate::manifest::load::load_text;

#[test]
fn an_empty_text_holds_nothing_and_is_no_error() {
    for nothing in ["", "\n", "# a comment\n", "---\n", "---\n...\n", "~\n", "\u{feff}"] {
        let loaded = text(nothing);
        assert_eq!(
            (loaded.documents.len(), errors(&loaded)),
            (0, String::new()),
            "{nothing:?}"
        );
        assert!(loaded.broken.is_empty());
    }
}

#[test]
fn line_breaks_and_marks_of_other_systems_are_taken() {
    let manifest = with_spec("image: postgres:17");
    let windows = format!("\u{feff}{}", manifest.replace('\n', "\r\n"));
    assert_eq!(text(&windows).documents, text(&manifest).documents);
    assert!(errors_of(&windows.replace("image", "imag")).contains("pg.yaml:6:3"));
}

#[test]
fn a_tab_in_the_indentation_is_named() {
    insta::assert_snapshot!(errors_of("kind: PostgresCluster\nspec:\n\timage: a\n"), @"
    error: line 3 begins with a tab; YAML indents with spaces
      --> pg.yaml:3:1
       |
     3 |  image: a
       | ^
       = help: replace the tab by spaces
    ");
    for tabbed in ["spec:\n  a: 1\n\tb: 2\n", "\ta: 1\n", "a:\n  \tb: 1\n", "a:\n\t- b\n"] {
        assert!(
            errors_of(tabbed).contains("begins with a tab"),
            "{tabbed:?}: {}",
            errors_of(tabbed)
        );
    }
    let within = "a: |\n  x\n  \ty\nb: [1,\n\t2]\nc: x\ty # \t\n";
    assert!(!errors_of(within).contains("tab"), "{}", errors_of(within));
}

#[test]
fn errors_of_syntax_have_a_place_and_a_way_out() {
    insta::assert_snapshot!(errors_of("a: b: c\n"), @"
    error: this is not YAML: mapping values are not allowed in this context
      --> pg.yaml:1:5
       |
     1 | a: b: c
       |     ^
       = help: put quotes around a value that contains `: `, or check the indentation
    ");
    insta::assert_snapshot!(errors_of("a: [1, 2\nb: 3\n"), @"
    error: this is not YAML: illegal placement of ':' indicator
      --> pg.yaml:2:2
       |
     2 | b: 3
       |  ^
       = help: close the bracket that was opened before
    ");
    insta::assert_snapshot!(errors_of("a: \"x\nb: 1\n"), @r#"
    error: this is not YAML: invalid indentation in quoted scalar
      --> pg.yaml:1:4
       |
     1 | a: "x
       |    ^
       = help: close the quotes
    "#);
    insta::assert_snapshot!(errors_of("a:\nb\n\n# end\n"), @"
    error: this line is neither `key: value` nor part of a list
      --> pg.yaml:2:1
       |
     2 | b
       | ^
       = help: check for a missing `:`, and for the indentation of a value that spans lines
    ");
    insta::assert_snapshot!(errors_of("a: 1\n  b: 2\n"), @"
    error: this is not YAML: mapping values are not allowed in this context
      --> pg.yaml:2:4
       |
     2 |   b: 2
       |    ^
       = help: put quotes around a value that contains `: `, or check the indentation
    ");
    insta::assert_snapshot!(errors_of("a: *.example.org\n"), @"
    error: this is not YAML: while parsing node, found unknown anchor
      --> pg.yaml:1:4
       |
     1 | a: *.example.org
       |    ^
       = help: put quotes around a value that begins with `*`
    ");
    insta::assert_snapshot!(errors_of("a: @x\n"), @"
    error: this is not YAML: unexpected character: `@'
      --> pg.yaml:1:4
       |
     1 | a: @x
       |    ^
       = help: put quotes around a value that begins with `@`, `%` or a backquote
    ");
    insta::assert_snapshot!(errors_of("a:\n  b:\n c: 1\n"), @"
    error: this is not YAML: while parsing a block mapping, did not find expected key
      --> pg.yaml:3:2
       |
     3 |  c: 1
       |  ^
       = help: indent all fields of a map alike
    ");
}

#[test]
fn nothing_is_taken_from_a_file_that_ends_in_an_error() {
    let loaded = text(&format!("{}---\na: [\n", with_spec("image: postgres:17")));
    assert!(loaded.documents.is_empty());
    assert_eq!(loaded.broken, ["pg.yaml"]);
    assert_eq!(loaded.unusable, [("PostgresCluster".to_owned(), "orders".to_owned())]);
}

#[test]
fn a_key_twice_names_both_lines() {
    insta::assert_snapshot!(errors_of(&with_spec("image: postgres:17\nreplicas: 1\nreplicas: 2")), @"
    error: the key `replicas` is in line 7 and again in line 8
      --> pg.yaml:8:3
       |
     8 |   replicas: 2
       |   ^^^^^^^^
       = help: keep one of the two
    ");
}

#[test]
fn merge_keys_tags_and_strange_keys_are_refused() {
    insta::assert_snapshot!(errors_of(&with_spec("image: postgres:17\nlabels: &a {x: y}\nports:\n  <<: *a\nprimary: !secret x\nreplicas: !!int 1\nstopGracePeriod: !!str 5s\nhba: [{{ hba }}]\n")), @"
    error: merge keys (`<<`) are not supported; YAML 1.2 does not have them
      --> pg.yaml:9:5
       |
     9 |     <<: *a
       |     ^^
       = help: write out the fields, or use an alias for a whole value
    error: the tag `!secret` is not supported
      --> pg.yaml:10:12
       |
    10 |   primary: !secret x
       |            ^^^^^^^^^
       = help: remove it; the kind's schema decides what type a value has
    error: the tag `!!int` is not supported
      --> pg.yaml:11:13
       |
    11 |   replicas: !!int 1
       |             ^^^^^^^
       = help: remove it; the kind's schema decides what type a value has
    error: `spec.hba[0]` must be text, found a map
      --> pg.yaml:13:9
       |
    13 |   hba: [{{ hba }}]
       |         ^
       = help: write a single value
    error: a key is a word, not a list or a map
      --> pg.yaml:13:10
       |
    13 |   hba: [{{ hba }}]
       |          ^^
       = help: put quotes around a value that begins with `{` or `[`
    ");
    insta::assert_snapshot!(errors_of("a: 1\n: 2\n"), @"
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
    error: a key is missing before `:`
      --> pg.yaml:2:1
       |
     2 | : 2
       | ^
       = help: write `field: value`
    ");
}

#[test]
fn an_anchor_cannot_hold_itself_and_ends_with_its_document() {
    insta::assert_snapshot!(errors_of("a: &x [1, *x]\n"), @"
    error: the alias refers to an anchor that is not complete or not in this document
      --> pg.yaml:1:11
       |
     1 | a: &x [1, *x]
       |           ^^
       = help: write out the value
    ");
    insta::assert_snapshot!(errors_of("a: &x 1\n---\nb: *x\n"), @"
    error: `apiVersion` is missing
      --> pg.yaml:1:1
       |
     1 | a: &x 1
       | ^
       = help: write `apiVersion: reconciler.dev/v1alpha1`
    error: `kind` is missing
      --> pg.yaml:1:1
       |
     1 | a: &x 1
       | ^
       = help: write `kind: …` with `PostgresCluster`
    error: `metadata` is missing
      --> pg.yaml:1:1
       |
     1 | a: &x 1
       | ^
       = help: add `metadata:` and under it `name: …`
    error: `spec` is missing
      --> pg.yaml:1:1
       |
     1 | a: &x 1
       | ^
       = help: add `spec:` and its fields under it
    error: unknown field `a`
      --> pg.yaml:1:1
       |
     1 | a: &x 1
       | ^
       = help: possible are `apiVersion`, `kind`, `metadata` and `spec`
    error: the alias refers to an anchor that is not complete or not in this document
      --> pg.yaml:3:4
       |
     3 | b: *x
       |    ^^
       = help: write out the value
    ");
}

#[test]
fn what_is_no_text_is_refused_with_its_place() {
    let of = |bytes: &[u8]| errors(&load_text("pg.yaml", bytes, &kinds()));
    insta::assert_snapshot!(of(b"a: 1\nb: \xe9\n"), @"
    error: the file is not UTF-8: byte 0xE9 at offset 8 (line 2)
      --> pg.yaml
       = help: save it as UTF-8
    ");
    insta::assert_snapshot!(of(b"\x7fELF\0\0\xff\xfe"), @"
    error: the file is binary, not text: byte 0xFF at offset 6 (line 1)
      --> pg.yaml
       = help: move it out of the manifests' directory
    ");
    insta::assert_snapshot!(of(b"a: 1\nb: \0\n"), @"
    error: the file is binary or damaged: zero byte at offset 8 (line 2)
      --> pg.yaml:2:4
       |
     2 | b: �
       |    ^
       = help: write the file again from a good copy
    ");
    insta::assert_snapshot!(of(b"a: \x1b[31mred\n"), @"
    error: control character U+001B at offset 3 (line 1)
      --> pg.yaml:1:4
       |
     1 | a: �[31mred
       |    ^
       = help: remove it, or write it as an escape in double quotes
    ");
    insta::assert_snapshot!(of(b"\xff\xfea\0:\0"), @"
    error: the file is UTF-16; a manifest is UTF-8
      --> pg.yaml
       = help: save it as UTF-8
    ");
    insta::assert_snapshot!(of(&vec![b'#'; 10 << 20]), @"
    error: the file is 10 MB; a manifest may have 1 MiB
      --> pg.yaml
       = help: check that it is a manifest, and split it into several files if it is
    ");
    assert_eq!(load_text("pg.yaml", b"\xff", &kinds()).broken, ["pg.yaml"]);
}
