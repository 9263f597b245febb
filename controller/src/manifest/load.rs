//! From files to documents: every stage in its order, over one text or over all files of the paths.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::diagnostic::{Diagnostic, Finding, Span};
use super::envelope::{self, Envelope};
use super::folders::{self, Folder, Found};
use super::tree::Parsed;
use super::uses::{Taken, Taker, Use};
use super::{check, files, text, tree};

/// Beyond this many errors in a file nobody reads on.
const MAX_DIAGNOSTICS_PER_FILE: usize = 100;

/// A kind's name, the schema of its spec, and what the schema cannot say.
#[derive(Debug, Clone)]
pub struct KindSchema {
    /// The kind, as manifests write it.
    pub kind: &'static str,
    /// The JSON Schema of `spec`, as `schemars` makes it.
    pub schema: Value,
    /// Rules between fields. Called with the document's name and a spec that fits the schema.
    pub validate: fn(name: &str, spec: &Value) -> Vec<Problem>,
    /// What a document takes on the host for itself alone. Called like `validate`.
    pub uses: fn(name: &str, spec: &Value) -> Vec<Use>,
    /// The folders that a spec may name.
    pub folders: &'static [Folder],
}

/// What a kind's own rules object to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where below `spec`; when that is not in the manifest, the nearest ancestor that is will be shown.
    pub path: Vec<PathPart>,
    /// Whether the key is meant and not its value.
    pub at_key: bool,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A step from a node to one below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPart {
    /// Into a map.
    Key(String),
    /// Into a list, counted from 0.
    Index(usize),
}

/// A valid document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The kind; one of those that were asked for.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// The spec as it is written, without defaults; fits the kind's schema and rules.
    pub spec: Value,
    /// The texts of the files in the folders that the spec names, by folder and name.
    pub files: BTreeMap<String, String>,
    /// The file that it is in, as the user named it.
    pub file: String,
    /// The line that it begins in, counted from 1.
    pub line: u32,
}

/// All that was found in files.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Loaded {
    /// The valid documents, in the order of files and lines.
    pub documents: Vec<Document>,
    /// All errors.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were looked at, valid or not.
    pub files: Vec<String>,
    /// Files that could not be read or parsed, or are empty: what once came from them is not known to be gone.
    pub broken: Vec<String>,
    /// Kind and name of documents that are there but invalid, or there twice.
    pub unusable: Vec<(String, String)>,
    /// Why a path as such says nothing: gone, unreadable, or without any manifest.
    pub missing: Option<String>,
    /// The folders that documents name, whether they can be read or not.
    pub folders: Vec<PathBuf>,
}

/// Loads files and directories. A directory is not searched below its first level.
#[must_use]
pub fn load(paths: &[PathBuf], kinds: &[KindSchema]) -> Loaded {
    let listing = files::list(paths);
    let mut loader = Loader::new(kinds);
    let mut missing = listing.missing;
    let mut budget_bytes = files::MAX_TOTAL_BYTES;
    for file in &listing.files {
        let before = loader.recognised;
        match files::read(&file.path, &mut budget_bytes) {
            Ok(bytes) if file.from_directory && bytes.trim_ascii().is_empty() => {
                let finding = Finding::whole("the file is empty")
                    .help("write a manifest or remove the file; until then what came from it is kept");
                loader.broken(&file.shown, finding);
            }
            Ok(bytes) => loader.file(&file.shown, &bytes),
            Err(finding) if file.from_directory => loader.broken(&file.shown, finding),
            Err(finding) => {
                missing.push(format!("{}: {}", file.shown, finding.message));
                loader.broken(&file.shown, finding);
                continue;
            }
        }
        let broken = loader.loaded.broken.last() == Some(&file.shown);
        if !file.from_directory && !broken && loader.recognised == before {
            missing.push(format!("{} holds no documents (is it half-written?)", file.shown));
        }
    }
    let mut loaded = loader.finish();
    loaded.missing = (!missing.is_empty()).then(|| missing.join("; "));
    loaded
}

/// Loads one file's text; `file` is how the errors call it.
#[must_use]
pub fn load_text(file: &str, text: &[u8], kinds: &[KindSchema]) -> Loaded {
    let mut loader = Loader::new(kinds);
    loader.file(file, text);
    loader.finish()
}

/// A hash, in hexadecimal, of everything that [`load`] would read when it named `folders` the last time: as long as it
/// stays, loading again is of no use.
#[must_use]
pub fn fingerprint(paths: &[PathBuf], folders: &[PathBuf]) -> String {
    files::fingerprint(paths, folders)
}

struct Loader<'k> {
    kinds: &'k [KindSchema],
    loaded: Loaded,
    /// How many documents were there at all, valid or not.
    recognised: usize,
    /// Where each resource was seen first.
    first: BTreeMap<(String, String), (String, u32)>,
    unusable: BTreeSet<(String, String)>,
    taken: Taken,
}

impl<'k> Loader<'k> {
    fn new(kinds: &'k [KindSchema]) -> Self {
        Loader {
            kinds,
            loaded: Loaded::default(),
            recognised: 0,
            first: BTreeMap::new(),
            unusable: BTreeSet::new(),
            taken: Taken::default(),
        }
    }

    fn broken(&mut self, file: &str, finding: Finding) {
        self.loaded.files.push(file.to_owned());
        self.loaded.broken.push(file.to_owned());
        self.loaded.diagnostics.push(Diagnostic::new(file, &[], finding, None));
    }

    fn file(&mut self, file: &str, bytes: &[u8]) {
        self.loaded.files.push(file.to_owned());
        let before = self.loaded.diagnostics.len();
        match text::decode(bytes) {
            Ok(text) => self.text(file, &text),
            Err(finding) => {
                self.loaded.broken.push(file.to_owned());
                let text =
                    String::from_utf8_lossy(bytes.get(..bytes.len().min(text::MAX_SHOWN_BYTES)).unwrap_or_default());
                let lines: Vec<&str> = text.lines().collect();
                self.loaded
                    .diagnostics
                    .push(Diagnostic::new(file, &lines, finding, None));
            }
        }
        let more = (self.loaded.diagnostics.len() - before).saturating_sub(MAX_DIAGNOSTICS_PER_FILE);
        if more > 0 {
            self.loaded.diagnostics.truncate(before + MAX_DIAGNOSTICS_PER_FILE);
            let finding =
                Finding::whole(format!("{more} further errors in this file")).help("correct those above first");
            self.loaded.diagnostics.push(Diagnostic::new(file, &[], finding, None));
        }
    }

    fn text(&mut self, file: &str, text: &str) {
        let lines: Vec<&str> = text.split('\n').collect();
        let tree = tree::parse(text);
        self.recognised += tree.documents.len();
        // What stands after an error of syntax is unknown, and so may be what stands before it: nothing is taken.
        let whole = tree.broken.is_none();
        for parsed in &tree.documents {
            self.document(file, &lines, parsed, whole);
        }
        if let Some(finding) = tree.broken {
            self.loaded.broken.push(file.to_owned());
            self.loaded
                .diagnostics
                .push(Diagnostic::new(file, &lines, finding, None));
        }
    }

    fn document(&mut self, file: &str, lines: &[&str], parsed: &Parsed, whole: bool) {
        let mut findings = parsed.findings.clone();
        let envelope = envelope::read(&parsed.root, self.kinds, &mut findings);
        let mut spec = Value::Null;
        let mut found = Found::default();
        if let (Some(kind), Some(entry)) = (envelope.kind, envelope.spec) {
            let checked = check::check(&kind.schema, &entry.value, entry.key_span);
            spec = checked.value;
            findings.extend(checked.findings);
            if let (true, Some(name)) = (parsed.findings.is_empty(), &envelope.name) {
                findings.extend(own_rules(kind, name, &spec, entry));
                found = folders::read(kind.folders, &spec, Path::new(file));
                findings.extend(misnamed(&mut found, entry));
            }
        }
        let resource = envelope.resource();
        if let Some(resource) = &resource {
            findings.extend(self.twice(file, parsed, resource, &envelope));
            findings.extend(self.taken(file, parsed, (resource, &spec), &envelope));
        }
        let line = parsed.root.span.at.line;
        // In the order of the file, so that people can work from top to bottom.
        findings.sort_by_key(|finding| finding.span.map(|span| span.at));
        let valid = findings.is_empty() && found.diagnostics.is_empty() && whole;
        let of_files = found.diagnostics.into_iter();
        self.loaded.diagnostics.extend(of_files.map(|diagnostic| Diagnostic {
            resource: resource.clone(),
            ..diagnostic
        }));
        self.loaded.folders.extend(found.folders);
        for finding in findings {
            self.loaded
                .diagnostics
                .push(Diagnostic::new(file, lines, finding, resource.clone()));
        }
        let Some((kind, name)) = resource else { return };
        if !valid {
            self.unusable.insert((kind, name));
            return;
        }
        self.loaded.documents.push(Document {
            kind,
            name,
            labels: envelope.labels,
            annotations: envelope.annotations,
            spec,
            files: found.files,
            file: file.to_owned(),
            line,
        });
    }

    /// The finding for a resource that was seen before. Neither of the two is used: which one is meant is not ours
    /// to guess.
    fn twice(
        &mut self,
        file: &str,
        parsed: &Parsed,
        resource: &(String, String),
        envelope: &Envelope<'_>,
    ) -> Option<Finding> {
        let line = parsed.root.span.at.line;
        let Some((first_file, first_line)) = self.first.get(resource) else {
            self.first.insert(resource.clone(), (file.to_owned(), line));
            return None;
        };
        self.unusable.insert(resource.clone());
        let (kind, name) = resource;
        let message = format!("{kind} `{name}` is already declared in {first_file}:{first_line}");
        let span = envelope.name_span.unwrap_or(parsed.root.span);
        Some(Finding::at(span, message).help("rename or remove one of the two; until then neither is used"))
    }

    /// The findings for what another document takes already. Neither of the two is used, as if they were one twice.
    fn taken(
        &mut self,
        file: &str,
        parsed: &Parsed,
        (resource, spec): (&(String, String), &Value),
        envelope: &Envelope<'_>,
    ) -> Vec<Finding> {
        let (Some(kind), Some(entry)) = (envelope.kind, envelope.spec) else {
            return Vec::new();
        };
        let taker = Taker {
            resource: resource.clone(),
            file: file.to_owned(),
            line: parsed.root.span.at.line,
        };
        let found = self.taken.add(&taker, (kind.uses)(&resource.1, spec));
        let findings = found.into_iter().map(|(one, other)| {
            let (kind, name) = &other.resource;
            let (span, help) = match one.path.is_empty() {
                true => (
                    envelope.name_span.unwrap_or(parsed.root.span),
                    "rename one of the two; until then neither is used",
                ),
                false => (
                    check::locate(&entry.value, entry.key_span, &one.path, false),
                    "change one of the two; until then neither is used",
                ),
            };
            let place = format!("{kind} `{name}`, which is declared in {}:{}", other.file, other.line);
            self.unusable.insert(other.resource.clone());
            self.unusable.insert(resource.clone());
            Finding::at(span, format!("{} is taken by {place}", one.thing)).help(help)
        });
        findings.collect()
    }

    fn finish(self) -> Loaded {
        let Loader {
            mut loaded, unusable, ..
        } = self;
        loaded
            .documents
            .retain(|document| !unusable.contains(&(document.kind.clone(), document.name.clone())));
        loaded.unusable = unusable.into_iter().collect();
        loaded
    }
}

/// What is wrong with folders, where the manifest names them.
fn misnamed(found: &mut Found, entry: &tree::Entry) -> Vec<Finding> {
    let findings = std::mem::take(&mut found.findings).into_iter();
    findings
        .map(|(path, finding)| Finding {
            span: Some(check::locate(&entry.value, entry.key_span, &path, false)),
            ..finding
        })
        .collect()
}

fn own_rules(kind: &KindSchema, name: &str, spec: &Value, entry: &tree::Entry) -> Vec<Finding> {
    let place =
        |problem: &Problem| -> Span { check::locate(&entry.value, entry.key_span, &problem.path, problem.at_key) };
    (kind.validate)(name, spec)
        .into_iter()
        .map(|problem| Finding {
            span: Some(place(&problem)),
            message: problem.message,
            help: problem.help,
        })
        .collect()
}
