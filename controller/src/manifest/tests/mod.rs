//! The stages together, as a user meets them: a manifest in, documents or printed errors out.

mod envelope;
mod files;
mod folders;
mod hostile;
mod schema;
mod spec;
mod syntax;
mod uses;
mod values;

use serde_json::Value;

use super::load::{KindSchema, Loaded, PathPart, Problem, load_text};
use crate::kinds::postgres::spec::PostgresCluster;

/// The real kind with one rule of its own.
fn kinds() -> Vec<KindSchema> {
    vec![KindSchema {
        kind: "PostgresCluster",
        schema: schemars::schema_for!(PostgresCluster).to_value(),
        validate: |_, spec| {
            let odd = spec.get("hba").and_then(Value::as_array).into_iter().flatten();
            odd.enumerate()
                .filter(|(_, line)| line.as_str().is_some_and(|line| line.contains("trust")))
                .map(|(index, _)| Problem {
                    path: vec![PathPart::Key("hba".to_owned()), PathPart::Index(index)],
                    at_key: false,
                    message: "`trust` lets anybody in".to_owned(),
                    help: Some("write `scram-sha-256`".to_owned()),
                })
                .collect()
        },
        uses: |_, _| Vec::new(),
        folders: &[],
    }]
}

fn text(text: &str) -> Loaded {
    load_text("pg.yaml", text.as_bytes(), &kinds())
}

/// A document with these lines as its spec; the first of them is line 6.
fn with_spec(spec: &str) -> String {
    let lines: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!("apiVersion: reconciler.dev/v1alpha1\nkind: PostgresCluster\nmetadata:\n  name: orders\nspec:\n{lines}")
}

/// All errors as they are printed.
fn errors(loaded: &Loaded) -> String {
    let shown: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    shown.join("\n")
}

fn errors_of(manifest: &str) -> String {
    errors(&text(manifest))
}

fn errors_of_spec(spec: &str) -> String {
    errors_of(&with_spec(spec))
}

fn valid_spec(spec: &str) -> Value {
    let loaded = text(&with_spec(spec));
    assert_eq!(errors(&loaded), "");
    loaded.documents[0].spec.clone()
}
