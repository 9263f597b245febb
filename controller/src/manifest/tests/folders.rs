//! Folders beside a manifest: their files come with the document, or nothing does.

use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::diagnostic::Position;
use crate::manifest::folders::{Complaint, Folder};
use crate::manifest::load::{KindSchema, Loaded, fingerprint, load};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Shape {
    rules: Option<String>,
}

fn complaint(_: &str, text: &str) -> Option<Complaint> {
    let line = text.lines().position(|line| line.contains("wrong"))?;
    Some(Complaint {
        at: Some(Position {
            line: u32::try_from(line).unwrap() + 1,
            column: 1,
        }),
        message: "this is wrong".to_owned(),
        help: None,
    })
}

fn loaded(dir: &Path) -> Loaded {
    let kinds = [KindSchema {
        kind: "Shape",
        schema: schemars::schema_for!(Shape).to_value(),
        validate: |_, _| Vec::new(),
        uses: |_, _| Vec::new(),
        folders: &[Folder {
            name: "rules",
            path: &["rules"],
            endings: &[".yml"],
            packed: &[],
            check: complaint,
            defines: |_, text| text.lines().map(|line| format!("the line {line}")).collect(),
        }],
    }];
    load(&[dir.join("shape.yaml")], &kinds)
}

/// A manifest that names the folder `own`.
fn manifest() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text = "apiVersion: reconciler.dev/v1alpha1\nkind: Shape\nmetadata: {name: a}\nspec:\n  rules: own\n";
    fs::write(dir.path().join("shape.yaml"), text).unwrap();
    fs::create_dir(dir.path().join("own")).unwrap();
    dir
}

#[test]
fn files_come_with_the_document_that_names_their_folder() {
    let dir = manifest();
    let own = dir.path().join("own");
    fs::write(own.join("b.yml"), "b\n").unwrap();
    fs::write(own.join(".hidden.yml"), "x").unwrap();
    fs::write(own.join("c.txt"), "x").unwrap();
    let found = loaded(dir.path());
    assert_eq!(found.diagnostics, []);
    let files: Vec<_> = found.documents[0].files.iter().collect();
    assert_eq!(files, [(&"rules/b.yml".to_owned(), &"b\n".to_owned())]);
    assert_eq!(found.folders, std::slice::from_ref(&own));

    let before = fingerprint(&[], &found.folders);
    fs::write(own.join("b.yml"), "c\n").unwrap();
    assert_ne!(fingerprint(&[], &found.folders), before, "an edit is seen");
}

#[test]
fn a_wrong_file_is_shown_with_its_line_and_nothing_is_taken() {
    let dir = manifest();
    fs::write(dir.path().join("own/a.yml"), "good\nwrong here\n").unwrap();
    let found = loaded(dir.path());
    assert!(found.documents.is_empty());
    assert_eq!(found.unusable, [("Shape".to_owned(), "a".to_owned())]);
    let shown = found.diagnostics[0].to_string();
    assert!(
        shown.contains("own/a.yml:2:1") && shown.contains("wrong here"),
        "{shown}"
    );
}

#[test]
fn what_two_files_define_is_said_and_nothing_is_taken() {
    let dir = manifest();
    fs::write(dir.path().join("own/a.yml"), "one\ntwo\n").unwrap();
    fs::write(dir.path().join("own/b.yml"), "three\ntwo\n").unwrap();
    let found = loaded(dir.path());
    assert!(found.documents.is_empty());
    let shown = found.diagnostics[0].to_string();
    assert!(
        shown.contains("own/b.yml") && shown.contains("a.yml has the line two already"),
        "{shown}"
    );
}

#[test]
fn a_folder_that_is_empty_or_gone_is_an_error_where_it_is_named() {
    let dir = manifest();
    let shown = loaded(dir.path()).diagnostics[0].to_string();
    assert!(
        shown.contains("holds no `*.yml`") && shown.contains("shape.yaml:5:"),
        "{shown}"
    );
    fs::remove_dir(dir.path().join("own")).unwrap();
    let found = loaded(dir.path());
    let shown = found.diagnostics[0].to_string();
    assert!(
        shown.contains("own cannot be read") && shown.contains("is kept"),
        "{shown}"
    );
    assert_eq!(found.folders, [dir.path().join("own")], "it is watched all the same");
}
