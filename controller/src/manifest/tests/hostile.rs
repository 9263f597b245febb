//! Texts that are made to hurt.

use std::fmt::Write;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{errors, kinds, text, with_spec};
use crate::manifest::load::{Loaded, load_text};

/// Unoptimised code on a machine that builds meanwhile; anything exponential or quadratic takes minutes.
const PATIENCE: Duration = Duration::from_secs(60);

fn in_time(what: &str, manifest: &str) -> Loaded {
    let started = Instant::now();
    let loaded = text(manifest);
    let taken = started.elapsed();
    assert!(taken < PATIENCE, "{what} took {taken:?}");
    assert!(
        errors(&loaded).len() < 200_000,
        "{what}: the errors are {} bytes",
        errors(&loaded).len()
    );
    loaded
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{inner}]").unwrap();
    }
    insta::assert_snapshot!(errors(&in_time("bomb", &bomb)), @"
    error: the file holds more than 100000 values or 4 MiB of text, with its aliases written out
      --> pg.yaml:5:40
       |
     5 | a4: &a4 [*a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3]
       |                                        ^^^
       = help: split the file, and use fewer aliases (`*name`)
    ");
}

#[test]
fn a_bomb_of_one_long_text_is_refused() {
    let bomb = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(500_000),
        vec!["*a"; 100_000].join(",")
    );
    assert!(errors(&in_time("text bomb", &bomb)).contains("4 MiB of text"));
}

#[test]
fn deep_nesting_is_refused() {
    for deep in ["[", "{", "[{", "- ", "? ", "{a: ", "a: [", "&a [", "!!seq ["] {
        let loaded = in_time(deep, &deep.repeat((1 << 20) / deep.len()));
        assert_eq!(loaded.broken.len(), 1, "{deep}");
    }
    insta::assert_snapshot!(errors(&text(&"- ".repeat(65))), @"
    error: the file is nested deeper than 64 levels
      --> pg.yaml:1:129
       |
     1 | - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -
       |                                                                                                                                 ^
       = help: check the indentation and the brackets
    ");
    let mut aliased = format!("a: &a {}x{}\n", "[".repeat(40), "]".repeat(40));
    writeln!(aliased, "b: {}*a{}", "[".repeat(40), "]".repeat(40)).unwrap();
    assert!(errors(&text(&aliased)).contains("deeper"));
}

#[test]
fn much_of_anything_takes_little_time() {
    let size = 1 << 19;
    let patterns = [
        "a",
        " ",
        "\n",
        "\t",
        "#",
        "'",
        "\"",
        "|",
        ">",
        "&a ",
        "*a ",
        "!a ",
        "%a\n",
        "---\n",
        "---",
        "...\n",
        "- a\n",
        "a: b\n",
        "? a\n: b\n",
        ": ",
        "[],",
        "{}",
        "\u{e4}",
        "\\",
        "a:\n",
        "- - -\n",
        "[a: b]\n",
        "? ",
        ",",
        "a #b\n",
        "\r",
        "\u{2028}",
        "x y ",
    ];
    for pattern in patterns {
        in_time(pattern, &pattern.repeat(size / pattern.len()));
        for opening in ["a: [", "a: \"", "a: |\n "] {
            let rest = pattern.repeat((size - opening.len()) / pattern.len());
            in_time(&format!("{opening}{pattern}"), &format!("{opening}{rest}"));
        }
    }
}

#[test]
fn a_large_spec_full_of_errors_is_cut_short() {
    let mut spec = String::from("image: postgres:17\n");
    for number in 0..20_000 {
        writeln!(spec, "field{number}: {number}").unwrap();
    }
    let loaded = in_time("unknown fields", &with_spec(&spec));
    assert_eq!(loaded.diagnostics.len(), 100);
    let many = (0..2000).map(|_| "a: 1").collect::<Vec<_>>().join("\n---\n");
    let loaded = in_time("bad documents", &many);
    assert_eq!(loaded.diagnostics.len(), 101);
    assert!(errors(&loaded).contains("further errors in this file"));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = load_text("pg.yaml", &bytes, &kinds());
    }

    #[test]
    fn random_yaml_never_panics(parts in prop::collection::vec(prop::sample::select(PARTS.to_vec()), 0..60)) {
        let loaded = text(&parts.concat());
        prop_assert!(loaded.broken.is_empty() || !loaded.diagnostics.is_empty());
        // Printing is part of it: positions must lie within what is shown.
        let _ = errors(&loaded);
    }

    #[test]
    fn random_edits_of_a_manifest_are_valid_or_explained(at in 0usize..400, cut in 0usize..6, part in prop::sample::select(PARTS.to_vec())) {
        let mut chars: Vec<char> = with_spec("image: postgres:17\nreplicas: 2\nports:\n  base: 5432\nhba:\n- a b c\nroles:\n- {name: a, login: true}\n").chars().collect();
        let at = at.min(chars.len());
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, part.chars());
        let loaded = text(&chars.into_iter().collect::<String>());
        prop_assert!(loaded.documents.len() == 1 || !loaded.diagnostics.is_empty());
    }
}

const PARTS: [&str; 44] = [
    "a",
    "b",
    ": ",
    ":",
    "\n",
    "  ",
    " ",
    "- ",
    "-",
    "[",
    "]",
    "{",
    "}",
    ",",
    "\"",
    "'",
    "|",
    ">",
    "|-\n",
    "&x ",
    "*x",
    "!t ",
    "!!str ",
    "#",
    "---\n",
    "...\n",
    "? ",
    "%",
    "@",
    "`",
    "\t",
    "\r\n",
    "~",
    "1",
    "-1.5e3",
    "true",
    "<<",
    "kind: PostgresCluster\n",
    "spec:\n",
    "metadata: {name: a}\n",
    "\u{feff}",
    "ä",
    "\\",
    "\u{85}",
];
