//! Proves the proof: each file beside this one changes one rule of the product for the worse, and the simulated world has to
//! find it out. Run with `make mutants`.
//!
//! A mutant is a text file: lines of `#` that say what it is, `file:` with the file that it changes, and between
//! `<<<<`, `====` and `>>>>` what is replaced and by what; the first must be there exactly once. One that does not apply
//! any more is an error like one that survives.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

type Done<T = ()> = Result<T, Box<dyn Error>>;

/// How many seeds each mutant is played with until one fails. Without a mutant none of them may fail, or it would count for
/// every mutant.
const SEEDS: &str = "10000";

struct Mutant {
    name: String,
    about: String,
    file: String,
    changes: Vec<(String, String)>,
}

fn main() -> Done {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let only: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let work = top.join("target/mutants");
    let tree = work.join("tree");
    copy(&top, &tree)?;
    let mut all = mutants(&top.join("tests/mutants"))?;
    all.retain(|mutant| only.is_empty() || only.iter().any(|word| mutant.name.contains(word.as_str())));
    let sound = play(&tree, SEEDS)?;
    if let Some(violation) = sound {
        return Err(format!("without any mutant a seed fails already: {violation}").into());
    }
    println!("| mutant | caught by, of {SEEDS} seeds | s |\n|---|---|---|");
    let mut survivors = Vec::new();
    for mutant in &all {
        let begin = Instant::now();
        let caught = verdict(&tree, mutant);
        let secs = begin.elapsed().as_secs();
        match caught {
            Ok(Some(violation)) => println!("| {} | {violation} | {secs} |", mutant.about),
            Ok(None) => {
                println!("| {} | NOTHING: it survives | {secs} |", mutant.about);
                survivors.push(mutant.name.clone());
            }
            Err(error) => {
                println!("| {} | NOT TRIED: {error} | {secs} |", mutant.about);
                survivors.push(mutant.name.clone());
            }
        }
    }
    match survivors.is_empty() {
        true => Ok(()),
        false => Err(format!("not caught: {}", survivors.join(", ")).into()),
    }
}

/// What catches a mutant, if anything does. The tree is as it was afterwards.
fn verdict(tree: &Path, mutant: &Mutant) -> Done<Option<String>> {
    let path = tree.join(&mutant.file);
    let sound = fs::read_to_string(&path)?;
    let mut text = sound.clone();
    for (from, to) in &mutant.changes {
        let found = text.matches(from.as_str()).count();
        if found != 1 {
            return Err(format!("{} holds {found} times what {} changes", mutant.file, mutant.name).into());
        }
        text = text.replace(from.as_str(), to);
    }
    fs::write(&path, text)?;
    let played = play(tree, SEEDS);
    fs::write(&path, sound)?;
    played
}

/// Plays seeds in a tree. What the first that fails violates.
fn play(tree: &Path, seeds: &str) -> Done<Option<String>> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(tree);
    command.args([
        "test",
        "--quiet",
        "--offline",
        "--package",
        "reconciler",
        "--test",
        "scenarios",
        "--",
    ]);
    command.args([
        "--exact",
        "schedules::whatever_goes_wrong_nothing_is_lost_and_all_comes_to_rest",
        "--nocapture",
    ]);
    command.env("CARGO_TARGET_DIR", tree.with_file_name("target"));
    command.env("SEEDS", seeds).env("FIRST", "1").env("RUST_BACKTRACE", "0");
    command.env_remove("SEED").env_remove("SEED_FROM");
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let violation = said.lines().find_map(|line| {
        let (seed, violation) = line.strip_prefix("seed ")?.split_once(": ")?;
        let short: String = violation
            .split(';')
            .next()
            .unwrap_or(violation)
            .chars()
            .take(110)
            .collect();
        Some(format!("{short} (seed {seed})"))
    });
    match (output.status.success(), violation) {
        (true, _) => Ok(None),
        (false, Some(violation)) => Ok(Some(violation)),
        (false, None) => {
            let why = String::from_utf8_lossy(&output.stderr);
            let why: Vec<&str> = why
                .lines()
                .filter(|line| line.starts_with("error") || line.contains("panicked"))
                .collect();
            Err(format!("it does not build or run: {}", why.join("; ")).into())
        }
    }
}

/// Brings the tree up to date. Files that are the same are left alone, so that little is built again.
fn copy(top: &Path, tree: &Path) -> Done {
    let listed = Command::new("git")
        .current_dir(top)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()?;
    for file in String::from_utf8(listed.stdout)?
        .split('\0')
        .filter(|file| !file.is_empty())
    {
        let (from, to) = (top.join(file), tree.join(file));
        let Ok(wanted) = fs::read(&from) else {
            continue;
        };
        if fs::read(&to).is_ok_and(|found| found == wanted) {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(tree))?;
        fs::write(&to, wanted)?;
    }
    Ok(())
}

fn mutants(dir: &Path) -> Done<Vec<Mutant>> {
    let entries = fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "mutant"));
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Done<Mutant> {
    let text = fs::read_to_string(path)?;
    let about: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    let file = text.lines().find_map(|line| line.strip_prefix("file: "));
    let mut changes = Vec::new();
    for part in text.split("<<<<\n").skip(1) {
        let (from, rest) = part.split_once("====\n").ok_or("no ==== after <<<<")?;
        let (to, _) = rest.split_once(">>>>").ok_or("no >>>> after ====")?;
        changes.push((from.to_owned(), to.to_owned()));
    }
    Ok(Mutant {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        about: about.join(" "),
        file: file.ok_or("it names no file")?.to_owned(),
        changes,
    })
}
