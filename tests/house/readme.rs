//! The README speaks of commands that exist, and of all of them.

use std::collections::BTreeSet;

use clap::CommandFactory;
use reconciler::cli::Arguments;

use crate::commands::CODES;
use crate::source;

const README: &str = "README.md";

fn commands() -> BTreeSet<String> {
    let command = Arguments::command();
    command.get_subcommands().map(|c| c.get_name().to_owned()).collect()
}

/// What stands between backquotes, and the lines of fenced blocks.
fn fragments(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_fenced = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if is_fenced {
            found.push(line.to_owned());
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    assert!(!is_fenced, "{README} ends within a fenced block");
    found
}

/// The command of every call of `reconciler` in a fragment. Options come first, and those of the whole program have a
/// value each.
fn verbs(fragment: &str) -> Vec<String> {
    let words: Vec<&str> = fragment.split(|c: char| c.is_whitespace() || c == '(').collect();
    let is_program = |word: &str| word.rsplit('/').next() == Some("reconciler") && !word.starts_with("/var/lib/");
    let calls = words.iter().enumerate().filter(|(_, word)| is_program(word));
    let verb = |at: usize| {
        let mut rest = words[at + 1..].iter();
        loop {
            let word = rest.next()?;
            match *word {
                "--state-dir" => rest.next(),
                _ if word.starts_with('-') => None,
                _ => return Some(word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()),
            }?;
        }
    };
    calls.filter_map(|(at, _)| verb(at)).collect()
}

#[test]
fn the_readme_speaks_of_all_commands_and_of_no_others() {
    let known = commands();
    let readme = source::read(README);
    let spoken: BTreeSet<String> = fragments(&readme).iter().flat_map(|fragment| verbs(fragment)).collect();
    let unknown: Vec<&String> = spoken.difference(&known).collect();
    assert!(
        unknown.is_empty(),
        "{README} speaks of commands that do not exist: {unknown:?}"
    );
    let missing: Vec<&String> = known.difference(&spoken).collect();
    assert!(missing.is_empty(), "{README} does not speak of {missing:?}");
}

#[test]
fn the_readme_names_every_exit_code() {
    let readme = source::read(README);
    for (code, word) in CODES {
        let row = format!("| {code} | {word}");
        assert!(readme.contains(&row), "{README} has no line `{row}`");
    }
}

#[test]
fn every_file_that_the_readme_links_to_is_there() {
    let readme = source::read(README);
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local: Vec<&str> = links
        .filter(|link| !link.contains("://") && !link.starts_with('#'))
        .collect();
    assert!(!local.is_empty(), "{README} links to no file");
    for link in local {
        let path = link.split('#').next().unwrap_or_default();
        assert!(
            source::top().join(path).exists(),
            "{README} links to {path}, which is not there"
        );
    }
}

#[test]
fn a_call_is_found_whatever_surrounds_it() {
    assert_eq!(verbs("$ reconciler --state-dir /x status -o json"), ["status"]);
    assert_eq!(verbs("ExecStart=/usr/local/bin/reconciler run -f /etc"), ["run"]);
    assert_eq!(verbs("tar -C /var/lib/reconciler backup"), Vec::<String>::new());
}
