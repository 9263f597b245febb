//! The manifests that people copy.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reconciler::kinds::monitoring::Monitoring;
use reconciler::kinds::postgres::Postgres;
use reconciler::kinds::{self, Identity, Kind};
use reconciler::manifest::load::{Document, load};

use crate::source;

fn paths() -> Vec<PathBuf> {
    let files = source::files("manifests").into_iter();
    let yaml = files.filter(|file| file.path.ends_with(".yaml"));
    yaml.map(|file| source::top().join(file.path)).collect()
}

fn documents() -> Vec<Document> {
    let loaded = load(&paths(), &kinds::schemas());
    let problems: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(loaded.missing, None);
    loaded.documents
}

#[test]
fn every_example_is_valid_and_says_what_is_wanted() {
    let documents = documents();
    assert!(documents.len() >= 4, "only {} documents were found", documents.len());
    for document in documents {
        let identity = Identity {
            name: document.name.clone(),
            uid: "0000000000000000".to_owned(),
            generation: 1,
        };
        let wanted = match document.kind.as_str() {
            Postgres::NAME => Postgres::wanted(identity, document.spec.clone(), &document.files).map(drop),
            Monitoring::NAME => Monitoring::wanted(identity, document.spec.clone(), &document.files).map(drop),
            other => panic!("{}: this test does not know the kind {other}", document.file),
        };
        assert_eq!(wanted, Ok(()), "{}:{}", document.file, document.line);
    }
}

/// Somebody may run all of them on one host.
#[test]
fn no_two_examples_want_the_same_port_or_name() {
    let mut names = BTreeMap::new();
    let mut ports = BTreeMap::new();
    for document in documents() {
        let place = format!("{}:{}", document.file, document.line);
        if let Some(other) = names.insert(document.name.clone(), place.clone()) {
            panic!("{other} and {place} are both called {}", document.name);
        }
        let base = document.spec["ports"]["base"].as_u64();
        let replicas = document.spec["replicas"].as_u64().unwrap_or(0);
        for port in base.map_or(0..0, |base| base..base + replicas + 1) {
            if let Some(other) = ports.insert(port, place.clone()) {
                panic!("{other} and {place} both want port {port}");
            }
        }
    }
}
