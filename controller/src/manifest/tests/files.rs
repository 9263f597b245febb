//! Files and directories.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{errors, kinds, with_spec};
use crate::manifest::load::{Loaded, fingerprint, load};

fn named(name: &str) -> String {
    with_spec("image: postgres:17").replace("orders", name)
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn loaded(path: &Path) -> Loaded {
    load(&[path.to_owned()], &kinds())
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.documents.iter().map(|document| document.name.as_str()).collect()
}

/// The errors without the directory's changing name.
fn shown(text: &str, directory: &TempDir) -> String {
    text.replace(&directory.path().display().to_string(), "manifests")
}

#[test]
fn a_directory_gives_its_manifests_in_order_and_nothing_else() {
    let others = [
        "b.yaml~",
        ".b.yaml.swp",
        "#b.yaml#",
        ".#b.yaml",
        "4913",
        ".hidden.yaml",
        "notes.txt",
    ];
    let dir = directory(&[("z.yml", &named("z")), ("a.yaml", &named("a"))]);
    for other in others {
        fs::write(dir.path().join(other), "{").unwrap();
    }
    fs::create_dir(dir.path().join("sub.yaml")).unwrap();
    let loaded = loaded(dir.path());
    assert_eq!((names(&loaded), errors(&loaded)), (vec!["a", "z"], String::new()));
    assert_eq!(loaded.files.len(), 2);
    assert_eq!(
        loaded.documents[0].file,
        dir.path().join("a.yaml").display().to_string()
    );
    assert_eq!(loaded.missing, None);
}

#[test]
fn an_empty_file_in_a_directory_is_broken_and_a_comment_is_not() {
    let dir = directory(&[("a.yaml", ""), ("b.yaml", "# off\n"), ("c.yaml", " \n\n")]);
    let loaded = loaded(dir.path());
    insta::assert_snapshot!(shown(&errors(&loaded), &dir), @"
    error: the file is empty
      --> manifests/a.yaml
       = help: write a manifest or remove the file; until then what came from it is kept
    error: the file is empty
      --> manifests/c.yaml
       = help: write a manifest or remove the file; until then what came from it is kept
    ");
    assert_eq!((loaded.broken.len(), loaded.missing), (2, None));
}

#[test]
fn a_named_file_without_documents_is_missing() {
    let dir = directory(&[("a.yaml", ""), ("b.yaml", "# off\n"), ("c.yaml", "a: [")]);
    for name in ["a.yaml", "b.yaml"] {
        let missing = loaded(&dir.path().join(name)).missing.unwrap();
        assert_eq!(
            shown(&missing, &dir),
            format!("manifests/{name} holds no documents (is it half-written?)")
        );
    }
    let broken = loaded(&dir.path().join("c.yaml"));
    assert_eq!((broken.broken.len(), broken.missing), (1, None));
}

#[test]
fn a_path_that_leads_nowhere_is_missing() {
    let dir = directory(&[]);
    insta::assert_snapshot!(shown(&loaded(&dir.path().join("gone")).missing.unwrap(), &dir), @"manifests/gone: No such file or directory (os error 2)");
    insta::assert_snapshot!(shown(&loaded(dir.path()).missing.unwrap(), &dir), @"manifests: the directory holds no manifest (`*.yaml` or `*.yml`)");
}

#[test]
fn what_is_no_file_is_reported_and_not_waited_for() {
    let dir = directory(&[("a.yaml", &named("a"))]);
    let pipe = dir.path().join("p.yaml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    symlink("/dev/zero", dir.path().join("q.yaml")).unwrap();
    symlink("gone", dir.path().join("r.yaml")).unwrap();
    let loaded_all = loaded(dir.path());
    insta::assert_snapshot!(shown(&errors(&loaded_all), &dir), @"
    error: this is a pipe, not a file
      --> manifests/p.yaml
       = help: name a regular file, or give the text on standard input with `-f -`
    error: this is a device, not a file
      --> manifests/q.yaml
       = help: name a regular file, or give the text on standard input with `-f -`
    error: the file cannot be read: No such file or directory (os error 2)
      --> manifests/r.yaml
       = help: check that it exists and that this user may read it
    ");
    assert_eq!((names(&loaded_all), loaded_all.broken.len()), (vec!["a"], 3));
    assert!(loaded(&pipe).missing.unwrap().contains("a pipe"));
}

#[test]
fn symlinks_are_followed_and_no_file_is_read_twice() {
    let dir = directory(&[("a.yaml", &named("a"))]);
    let link = dir.path().join("link");
    let other = directory(&[]);
    symlink(other.path(), &link).unwrap();
    symlink(dir.path().join("a.yaml"), other.path().join("b.yaml")).unwrap();
    assert_eq!(names(&loaded(&link)), ["a"]);
    let twice = load(&[dir.path().to_owned(), link, dir.path().join("a.yaml")], &kinds());
    assert_eq!((names(&twice), errors(&twice)), (vec!["a"], String::new()));
}

#[test]
fn a_resource_in_two_files_is_used_from_neither() {
    let dir = directory(&[
        ("a.yaml", &named("x")),
        ("b.yaml", &named("x")),
        ("c.yaml", &named("y")),
    ]);
    let loaded = loaded(dir.path());
    insta::assert_snapshot!(shown(&errors(&loaded), &dir), @"
    error: PostgresCluster `x` is already declared in manifests/a.yaml:1
      --> manifests/b.yaml:4:9
       |
     4 |   name: x
       |         ^
       = help: rename or remove one of the two; until then neither is used
    ");
    assert_eq!((names(&loaded), loaded.unusable.len()), (vec!["y"], 1));
}

#[test]
fn too_many_and_too_large_files_are_refused() {
    let dir = directory(&[]);
    for number in 0..=1000 {
        fs::write(dir.path().join(format!("{number}.yaml")), "# x").unwrap();
    }
    let many = loaded(dir.path());
    insta::assert_snapshot!(shown(&many.missing.unwrap(), &dir), @"manifests: more than 1000 manifests; name a directory that holds fewer");
    assert!(many.files.is_empty());
    let dir = directory(&[("a.yaml", &"#".repeat((1 << 20) + 1)), ("b.yaml", &"#".repeat(1 << 20))]);
    assert_eq!(loaded(dir.path()).broken.len(), 1);
    let file = "#".repeat(1 << 20);
    let dir = directory(&[]);
    for number in 10..43 {
        fs::write(dir.path().join(format!("{number}.yaml")), &file).unwrap();
    }
    assert_eq!(loaded(dir.path()).broken.len(), 1);
}

#[test]
fn the_fingerprint_changes_with_anything_that_is_read() {
    let dir = directory(&[("a.yaml", "x"), ("b.txt", "x")]);
    let paths: Vec<PathBuf> = vec![dir.path().to_owned()];
    let first = fingerprint(&paths, &[]);
    assert_eq!((first.len(), &first), (64, &fingerprint(&paths, &[])));
    fs::write(dir.path().join("b.txt"), "y").unwrap();
    assert_eq!(first, fingerprint(&paths, &[]));
    let mut seen = vec![first];
    fs::write(dir.path().join("a.yaml"), "y").unwrap();
    seen.push(fingerprint(&paths, &[]));
    fs::rename(dir.path().join("a.yaml"), dir.path().join("c.yaml")).unwrap();
    seen.push(fingerprint(&paths, &[]));
    fs::remove_file(dir.path().join("c.yaml")).unwrap();
    seen.push(fingerprint(&paths, &[]));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4);
}
