//! Folders beside a manifest: their files belong to the document that names them, and are read and checked with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::diagnostic::{Diagnostic, Finding, Position, Span};
use super::load::PathPart;
use super::{files, text};

/// For all files of one document: they are kept with its spec.
const MAX_BYTES: u64 = 8 << 20;

/// A folder that a spec may name.
#[derive(Debug, Clone, Copy)]
pub struct Folder {
    /// What the kind calls it: the first part of its files' keys.
    pub name: &'static str,
    /// The fields that lead to its path below `spec`.
    pub path: &'static [&'static str],
    /// How the names of its files end; others are not looked at.
    pub endings: &'static [&'static str],
    /// How the names of those end that are no text: they are kept as base64.
    pub packed: &'static [&'static str],
    /// What is wrong with a file, if anything.
    pub check: fn(name: &str, text: &str) -> Option<Complaint>,
    /// What a file defines, each as a user would call it, such as "the uid orders": no two files may define the same.
    pub defines: fn(name: &str, text: &str) -> Vec<String>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Where; nothing when it is about the whole file.
    pub at: Option<Position>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// What was found in the folders of one document.
#[derive(Debug, Default)]
pub struct Found {
    /// The files' texts, by folder and name, such as `rules/disk.yml`.
    pub files: BTreeMap<String, String>,
    /// The folders that were looked for.
    pub folders: Vec<PathBuf>,
    /// What is wrong with a folder, with the field that names it.
    pub findings: Vec<(Vec<PathPart>, Finding)>,
    /// What is wrong with files.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the folders that a spec names. A relative path begins where the manifest is.
pub fn read(known: &[Folder], spec: &Value, manifest: &Path) -> Found {
    let mut found = Found::default();
    let mut budget_bytes = MAX_BYTES;
    for folder in known {
        let named = folder.path.iter().try_fold(spec, |value, key| value.get(key));
        let Some(named) = named.and_then(Value::as_str) else {
            continue;
        };
        let directory = manifest.parent().unwrap_or(Path::new("")).join(named);
        found.folders.push(directory.clone());
        if let Err(finding) = read_one(folder, &directory, &mut budget_bytes, &mut found) {
            let path = folder.path.iter().map(|key| PathPart::Key((*key).to_owned()));
            found.findings.push((path.collect(), finding));
        }
    }
    found
}

fn read_one(folder: &Folder, directory: &Path, budget_bytes: &mut u64, found: &mut Found) -> Result<(), Finding> {
    let shown = directory.display();
    let paths = files::list_folder(directory, folder.endings).map_err(|why| {
        Finding::whole(format!("the folder {shown} cannot be read: {why}"))
            .help("a relative path begins where the manifest is; until it can be read, what came from it is kept")
    })?;
    if paths.is_empty() {
        let wanted = folder.endings.join("` or `*");
        return Err(Finding::whole(format!("the folder {shown} holds no `*{wanted}`"))
            .help("remove the field if there shall be none; until then what came from it is kept"));
    }
    let mut defined: BTreeMap<String, String> = BTreeMap::new();
    for path in paths {
        let file = path.display().to_string();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_packed = folder.packed.iter().any(|ending| name.ends_with(ending));
        let decode = |bytes: Vec<u8>| match is_packed {
            true => Ok(STANDARD.encode(bytes)),
            false => text::decode(&bytes),
        };
        match files::read(&path, budget_bytes).and_then(decode) {
            Ok(text) => {
                let wrong = (folder.check)(&name, &text);
                let wrong = wrong.or_else(|| twice((folder.defines)(&name, &text), &name, &mut defined));
                let wrong = wrong.map(|complaint| diagnostic(&file, &text, complaint));
                found.diagnostics.extend(wrong);
                found.files.insert(format!("{}/{name}", folder.name), text);
            }
            Err(finding) => found.diagnostics.push(Diagnostic::new(&file, &[], finding, None)),
        }
    }
    Ok(())
}

/// What another file has defined already.
fn twice(defines: Vec<String>, name: &str, defined: &mut BTreeMap<String, String>) -> Option<Complaint> {
    let mut complaint = None;
    for what in defines {
        if let Some(other) = defined.get(&what) {
            complaint = Some(Complaint {
                at: None,
                message: format!("{other} has {what} already"),
                help: Some("rename one of them, or remove it".to_owned()),
            });
        } else {
            defined.insert(what, name.to_owned());
        }
    }
    complaint
}

fn diagnostic(file: &str, text: &str, complaint: Complaint) -> Diagnostic {
    let lines: Vec<&str> = text.split('\n').collect();
    let finding = Finding {
        span: complaint.at.map(|at| Span { at, width: 1 }),
        message: complaint.message,
        help: complaint.help,
    };
    Diagnostic::new(file, &lines, finding, None)
}
