//! The users' own files: a program of the image looks at each before it is put in force, and what is refused leaves the last
//! good text where it is.

use std::collections::BTreeMap;

use super::super::conf::{CHECK_DIRECTORY, DIRECTORY};
use super::super::memory::{Change, Refused};
use super::super::monitor::{ALERTMANAGER, PROMETHEUS};
use super::super::queries;
use super::View;
use crate::model::container::{FileSpec, RunState, short_hash};
use crate::model::plan::{Action, EngineOp, FileCheck, Op, Plan};

/// The file that Alertmanager's others belong to.
const ALERTMANAGER_FILE: &str = "alertmanager/alertmanager.yml";

/// The folder of queries.
const QUERIES: &str = "queries";

/// Files that are put in force together.
struct Unit<'a> {
    /// Their name, for people.
    name: &'a str,
    /// The member whose image has the program that looks at them.
    member: &'static str,
    /// Their texts, by folder and name.
    texts: BTreeMap<&'a str, &'a str>,
    /// The program and its arguments.
    command: Vec<String>,
}

impl Unit<'_> {
    fn hash(&self) -> String {
        hash(self.texts.iter().map(|(name, text)| (*name, *text)))
    }
}

fn hash<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let all: Vec<&str> = texts.flat_map(|(name, text)| [name, text]).collect();
    short_hash(all.join("\0").as_bytes())
}

/// Has files looked at that are new, and forgets those that are gone.
pub fn judge(view: &View<'_>, plan: &mut Plan<Change>) {
    for unit in units(view) {
        let is_in_force = unit
            .texts
            .iter()
            .all(|(name, text)| view.memory.accepted.get(*name).is_some_and(|accepted| accepted == text));
        let refused = view.memory.refused.get(unit.name);
        if is_in_force || refused.is_some_and(|refused| refused.hash == unit.hash()) {
            continue;
        }
        let container = view
            .observed
            .objects
            .container(&view.monitor.container_name(unit.member));
        let Some(container) = container.filter(|container| container.state == RunState::Running) else {
            plan.wait(unit.name, format!("{} has to run to look at it", unit.member));
            continue;
        };
        let check = EngineOp::CheckFiles(FileCheck {
            container: container.id.clone(),
            directory: CHECK_DIRECTORY.to_owned(),
            files: unit
                .texts
                .iter()
                .map(|(name, text)| FileSpec::plain(name, (*text).to_owned()))
                .collect(),
            command: unit.command.clone(),
        });
        let mut steps = vec![Action::engine(unit.name, check, "it is new")];
        steps.extend(unit.texts.iter().map(|(name, text)| {
            let change = Change::Accept((*name).to_owned(), (*text).to_owned());
            Action::new(unit.name, Op::Remember(change), "nothing is wrong with it")
        }));
        plan.chain(steps);
    }
    let gone = view.memory.accepted.keys().chain(view.memory.refused.keys());
    for file in gone.filter(|file| !view.monitor.files.contains_key(*file)) {
        let change = Change::Drop(file.clone());
        plan.step(Action::new(
            file,
            Op::Remember(change),
            "its folder does not hold it any more",
        ));
    }
}

/// The users' queries that exporters are given, by file: without those that an exporter did not get along with.
pub fn queries_in_force<'a>(view: &View<'a>) -> BTreeMap<&'a str, &'a str> {
    let mut files = view.monitor.folder(QUERIES);
    files.retain(|name, text| {
        let refused = view.memory.refused.get(&format!("{QUERIES}/{name}"));
        refused.is_none_or(|refused| refused.hash != query_hash(view, name, text))
    });
    files
}

/// Another version may get along with it.
fn query_hash(view: &View<'_>, name: &str, text: &str) -> String {
    let image = view.monitor.spec.exporters.postgres.image.as_str();
    hash([(name, text), ("image", image)].into_iter())
}

/// Where a query stands, as editors take it.
pub fn place_of(view: &View<'_>, file: &str, query: &str) -> String {
    let folder = view
        .monitor
        .spec
        .exporters
        .postgres
        .queries
        .as_deref()
        .unwrap_or(QUERIES);
    let text = view.monitor.folder(QUERIES).get(file).copied().unwrap_or_default();
    let line = queries::line_of(text, query).unwrap_or(1);
    format!("{folder}/{file}:{line}")
}

/// One query that gives a metric twice, or one that the exporter has by itself, and the exporter answers nothing at all. What
/// it complains of is left out; where it does not say, all of the users' queries are. Until it was restarted without a file it
/// complains of that file.
pub fn leave_out(view: &View<'_>, plan: &mut Plan<Change>) {
    let in_force = queries_in_force(view);
    let all = view.monitor.folder(QUERIES);
    let mut guilty: BTreeMap<&str, String> = BTreeMap::new();
    for (exporter, said) in &view.observed.failing {
        let Some(metric) = queries::blamed(said) else {
            guilty.extend(in_force.keys().map(|file| {
                let place = place_of(view, file, "");
                (
                    *file,
                    format!("{place}: {exporter} answers nothing, and this may be why: {said}"),
                )
            }));
            continue;
        };
        if let Some((file, query)) = queries::source_of(metric, &all)
            && in_force.contains_key(file)
        {
            let place = place_of(view, file, &query);
            guilty.insert(
                file,
                format!("{place}: with the query `{query}`, {exporter} answers nothing: {said}"),
            );
        }
    }
    for (file, why) in guilty {
        let refused = Refused {
            hash: query_hash(view, file, in_force.get(file).copied().unwrap_or_default()),
            why,
        };
        let change = Change::Refuse(format!("{QUERIES}/{file}"), refused);
        plan.step(Action::new(
            &format!("{QUERIES}/{file}"),
            Op::Remember(change),
            "an exporter that answers nothing is worse than one without it",
        ));
    }
}

fn units<'a>(view: &View<'a>) -> Vec<Unit<'a>> {
    let files = &view.monitor.files;
    let rules = files.iter().filter(|(name, _)| name.starts_with("rules/"));
    let mut units: Vec<Unit<'a>> = rules
        .map(|(name, text)| Unit {
            name,
            member: PROMETHEUS,
            texts: BTreeMap::from([(name.as_str(), text.as_str())]),
            command: ["/bin/promtool", "check", "rules"]
                .map(str::to_owned)
                .into_iter()
                .chain([format!("{CHECK_DIRECTORY}/{name}")])
                .collect(),
        })
        .collect();
    let texts: BTreeMap<&str, &str> = files
        .iter()
        .filter(|(name, _)| name.starts_with("alertmanager/"))
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    if texts.contains_key(ALERTMANAGER_FILE) {
        units.push(Unit {
            name: ALERTMANAGER_FILE,
            member: ALERTMANAGER,
            texts,
            command: vec![
                "/bin/amtool".to_owned(),
                "check-config".to_owned(),
                format!("{CHECK_DIRECTORY}/{ALERTMANAGER_FILE}"),
            ],
        });
    }
    units
}

/// What is to be remembered when a step failed, if anything: that a file was refused.
pub fn on_failure(view: &View<'_>, action: &Action<Change>, invalid: bool, why: &str) -> Option<Change> {
    let Op::Engine(EngineOp::CheckFiles(check)) = &action.op else {
        return None;
    };
    let looked_at = hash(check.files.iter().map(|file| (file.name.as_str(), file.text.as_str())));
    // The file may have been edited meanwhile: what was refused is then no longer what is wanted.
    let units = units(view);
    let unit = units.iter().find(|unit| unit.name == action.subject)?;
    (invalid && unit.hash() == looked_at).then(|| {
        let refused = Refused {
            hash: looked_at,
            why: complaint(view, unit, why),
        };
        Change::Refuse(unit.name.to_owned(), refused)
    })
}

/// What the program said, with the user's own paths. What Alertmanager's says may quote passwords.
fn complaint(view: &View<'_>, unit: &Unit<'_>, said: &str) -> String {
    let spec = &view.monitor.spec;
    let folder = match unit.member {
        ALERTMANAGER => spec.alertmanager.as_ref().and_then(|spec| spec.config.as_deref()),
        _ => spec.prometheus.rules.as_deref(),
    };
    let (ours, _) = unit.name.split_once('/').unwrap_or((unit.name, ""));
    let places = [CHECK_DIRECTORY, DIRECTORY].map(|directory| format!("{directory}/{ours}/"));
    let is_noise = |line: &&str| !line.starts_with("Checking ") && !line.starts_with("FAILED") && !line.is_empty();
    let lines: Vec<String> = said
        .split("; ")
        .map(str::trim)
        .filter(is_noise)
        .map(|line| {
            let line = places.iter().fold(line.to_owned(), |line, place| {
                line.replace(place.as_str(), &format!("{}/", folder.unwrap_or(ours)))
            });
            // promtool puts a space between the file and the line, where editors expect none.
            line.replacen(".yml: ", ".yml:", 1).replacen(".yaml: ", ".yaml:", 1)
        })
        .collect();
    let text = lines.join("; ");
    match unit.member {
        ALERTMANAGER => without_quotes(&text),
        _ => text,
    }
}

/// The text with what stands in quotes or backquotes left out.
fn without_quotes(text: &str) -> String {
    let mut shown = String::new();
    let mut closing = None;
    for c in text.chars() {
        match closing {
            Some(end) if c == end => {
                closing = None;
                shown.push('…');
                shown.push(c);
            }
            Some(_) => {}
            None => {
                closing = matches!(c, '"' | '`' | '\'').then_some(c);
                shown.push(c);
            }
        }
    }
    shown
}
