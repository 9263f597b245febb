//! The schemas for editors are those of the types.

use reconciler::cli::schema::manifest_schema;
use reconciler::kinds;

use crate::source;

const FOLDER: &str = "crd-like-specs";

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let mut wanted = vec!["README.md".to_owned()];
    for kind in kinds::schemas().iter().map(|schema| schema.kind) {
        let name = format!("{}.schema.json", kind.to_lowercase());
        let schema = manifest_schema(kind).unwrap_or_else(|error| panic!("{error}"));
        let generated = serde_json::to_string_pretty(&schema).unwrap();
        let committed = source::read(&format!("{FOLDER}/{name}"));
        let differs = committed
            .lines()
            .zip(generated.lines())
            .position(|(old, new)| old != new);
        assert!(
            committed.trim_end() == generated,
            "{FOLDER}/{name} is not what the types say (from line {} on); run `make specs`",
            differs.map_or(generated.lines().count(), |at| at + 1)
        );
        wanted.push(name);
    }
    let files = source::files(FOLDER).into_iter().map(|file| file.path);
    let stale: Vec<String> = files
        .filter(|path| !wanted.iter().any(|name| path.ends_with(name)))
        .collect();
    assert!(stale.is_empty(), "no kind has these schemas: {}", stale.join(", "));
}
