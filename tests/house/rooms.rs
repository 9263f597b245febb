//! What lives where.

use crate::source::{self, Source};

const SOURCES: &str = "controller/src";

/// Files of the pure rooms: decisions are values there, made from values. A folder ends in `/`.
const PURE: [&str; 21] = [
    "/model/",
    "/plan/",
    "/spec/",
    "/memory/",
    "/desired.rs",
    "/conf.rs",
    "/cluster.rs",
    "/memory.rs",
    "/request.rs",
    "/status.rs",
    "/validate.rs",
    "/spec.rs",
    "/control.rs",
    "/teardown.rs",
    "/converge/",
    "/monitoring/grafana/",
    "/dashboards/",
    "/content.rs",
    "/monitor.rs",
    "/queries.rs",
    "/rules.rs",
];
/// What makes a decision depend on more than what it is given, or on the order of a hash table.
const IMPURE: [&str; 9] = [
    "async",
    "Instant",
    "SystemTime",
    "std::fs",
    "std::env",
    "tokio",
    "HashMap",
    "HashSet",
    "rand",
];

/// Crates that one room each may name, so that they can be replaced there.
const PORTS: [(&str, &str); 5] = [
    ("bollard", "controller/src/host/docker/"),
    ("tokio_postgres", "controller/src/host/postgres/"),
    ("saphyr_parser", "controller/src/manifest/"),
    ("hyper_rustls", "controller/src/host/http.rs"),
    ("prometheus_client", "controller/src/agent/metrics.rs"),
];

/// A longer file holds more than one thing.
const MAX_LINES: usize = 400;

fn product() -> Vec<Source> {
    let mut files = source::files(SOURCES);
    files.retain(Source::is_product);
    files
}

fn is_in(file: &Source, room: &str) -> bool {
    let in_house = file.path.contains("/model/") || file.path.contains("/kinds/") || file.path.contains("/converge/");
    in_house
        && if room.ends_with('/') {
            file.path.contains(room)
        } else {
            file.path.ends_with(room)
        }
}

#[test]
fn the_pure_rooms_know_no_clock_no_disk_no_chance_and_no_waiting() {
    let files = product();
    for room in PURE {
        let found = files.iter().any(|file| is_in(file, room));
        assert!(found, "no file is in {room} any more; has it got another name?");
    }
    let pure = files.iter().filter(|file| PURE.iter().any(|room| is_in(file, room)));
    let named: Vec<String> = pure.flat_map(|file| file.naming(&IMPURE)).collect();
    assert!(
        named.is_empty(),
        "a pure room names what is not pure:\n{}",
        named.join("\n")
    );
}

#[test]
fn a_crate_that_talks_to_the_outside_is_named_in_one_room_only() {
    let files = product();
    for (name, room) in PORTS {
        let (inside, outside): (Vec<&Source>, Vec<&Source>) = files.iter().partition(|f| f.path.starts_with(room));
        let inside = inside.iter().any(|file| !file.naming(&[name]).is_empty());
        assert!(inside, "{room} does not name {name} any more; is the rule out of date?");
        let outside: Vec<String> = outside.iter().flat_map(|file| file.naming(&[name])).collect();
        assert!(
            outside.is_empty(),
            "only {room} may name {name}:\n{}",
            outside.join("\n")
        );
    }
}

#[test]
fn no_file_is_too_long() {
    let files = source::files(SOURCES).into_iter().chain(source::files("tests"));
    let long: Vec<String> = files
        .map(|file| (file.text.lines().count(), file.path))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    assert!(
        long.is_empty(),
        "more than {MAX_LINES} lines; split it:\n{}",
        long.join("\n")
    );
}
