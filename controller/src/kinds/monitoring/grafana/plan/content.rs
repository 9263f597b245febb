//! What is to be done about one data source, folder or dashboard.

use serde::Serialize;
use serde_json::{Value, json};

use super::super::compare::{Difference, compare, compare_values, summary};
use super::super::{Board, Kept, What, fingerprint};
use super::{GrafanaPlan, Step};
use crate::model::Seen;
use crate::model::grafana::{DashboardSeen, Datasource, DatasourceSeen, FolderSeen, GrafanaOp, title_of};

/// What Grafana Cloud writes into the settings of a data source by itself.
const INJECTED: &str = "pdcInjected";

/// One thing that is wanted, and what is remembered of it.
pub(super) struct Subject<'a> {
    what: What,
    uid: &'a str,
    print: String,
    before: Option<&'a String>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(what: What, uid: &'a str, wish: &impl Serialize, before: Option<&'a String>) -> Self {
        Subject {
            what,
            uid,
            print: fingerprint(wish),
            before,
        }
    }

    /// Whether it was put to what is wanted now, so that a difference is somebody else's.
    fn is_settled(&self) -> bool {
        self.before == Some(&self.print)
    }

    fn news(&self) -> Option<Kept> {
        (!self.is_settled()).then(|| Kept {
            what: self.what,
            uid: self.uid.to_owned(),
            fingerprint: Some(self.print.clone()),
        })
    }

    /// The step that makes what is not there.
    fn made(&self, op: GrafanaOp) -> Step {
        let cause = match self.before {
            Some(_) => "it was deleted",
            None => "it is missing",
        };
        Step {
            what: self.what,
            op,
            cause: cause.to_owned(),
            is_drift: self.before.is_some(),
            kept: self.news(),
        }
    }

    /// The step that puts right what is there: for what somebody did to it, or for how it differs from a new wish.
    fn changed(&self, op: GrafanaOp, deed: String, state: &str) -> Step {
        let cause = match self.before {
            None => format!("it was there before: {state}"),
            Some(_) if self.is_settled() => deed,
            Some(_) => format!("what is wanted has changed: {state}"),
        };
        Step {
            what: self.what,
            op,
            cause,
            is_drift: self.is_settled(),
            kept: self.news(),
        }
    }
}

pub(super) fn datasource(
    subject: &Subject<'_>,
    wanted: &Datasource,
    seen: Seen<&DatasourceSeen>,
    plan: &mut GrafanaPlan,
) -> Option<Step> {
    let name = &wanted.name;
    let put = |settings: Datasource, version| GrafanaOp::PutDatasource {
        uid: subject.uid.to_owned(),
        settings,
        version,
    };
    let live = match seen {
        Seen::Known(live) => live,
        Seen::Absent => return Some(subject.made(put(wanted.clone(), None))),
        Seen::Unknown(why) => {
            plan.wait(format!("data source {name} cannot be seen: {why}"));
            return None;
        }
    };
    let state = summary(&of_datasource(wanted, live));
    if state.is_empty() {
        plan.remember.extend(subject.news());
        return None;
    }
    if live.is_read_only {
        plan.block(
            "Provisioned",
            format!("data source {name} comes from a file of Grafana's own and differs ({state}); remove it there"),
        );
        return None;
    }
    let mut settings = wanted.clone();
    settings.is_default |= live.settings.is_default;
    let op = put(settings, Some(live.version));
    Some(subject.changed(op, format!("it was changed: {state}"), &state))
}

/// Which data source is the default is the administrator's affair, unless it has to be ours.
fn of_datasource(wanted: &Datasource, live: &DatasourceSeen) -> Vec<Difference> {
    let mut own = live.settings.json_data.clone();
    if let Some(fields) = own.as_object_mut() {
        fields.remove(INJECTED);
    }
    let fields = |one: &Datasource, json_data: &Value| json!({"name": one.name, "type": one.plugin, "url": one.url, "jsonData": json_data});
    let (ours, theirs) = (fields(wanted, &wanted.json_data), fields(&live.settings, &own));
    let mut found = compare_values("", &ours, &theirs);
    if wanted.is_default && !live.settings.is_default {
        found.extend(compare_values("isDefault", &json!(true), &json!(false)));
    }
    let extras = live.extras.iter();
    found.extend(extras.flat_map(|(key, value)| compare_values(key, &Value::Null, value)));
    found
}

pub(super) fn folder(subject: &Subject<'_>, title: &str, seen: Seen<&FolderSeen>, plan: &mut GrafanaPlan) -> Vec<Step> {
    let put = |version| GrafanaOp::PutFolder {
        uid: subject.uid.to_owned(),
        title: title.to_owned(),
        version,
    };
    let live = match seen {
        Seen::Known(live) => live,
        Seen::Absent => return vec![subject.made(put(None))],
        Seen::Unknown(why) => {
            plan.wait(format!("folder {title} cannot be seen: {why}"));
            return Vec::new();
        }
    };
    let renamed = (live.title != title).then(|| {
        let deed = format!("it was renamed to \"{}\"", live.title);
        let state = format!("it is called \"{}\"", live.title);
        subject.changed(put(Some(live.version)), deed, &state)
    });
    let moved = live.parent.as_ref().map(|parent| {
        let op = GrafanaOp::RaiseFolder {
            uid: subject.uid.to_owned(),
            title: title.to_owned(),
        };
        let deed = format!("it was moved into the folder with uid {parent}");
        subject.changed(op, deed, &format!("it is in the folder with uid {parent}"))
    });
    let steps: Vec<Step> = renamed.into_iter().chain(moved).collect();
    if steps.is_empty() {
        plan.remember.extend(subject.news());
    }
    steps
}

pub(super) fn dashboard(
    subject: &Subject<'_>,
    board: &Board,
    seen: Seen<&DashboardSeen>,
    plan: &mut GrafanaPlan,
) -> Option<Step> {
    let title = title_of(&board.json);
    let put = |version, message: &str| GrafanaOp::PutDashboard {
        uid: subject.uid.to_owned(),
        folder: board.folder.clone(),
        json: board.json.clone(),
        version,
        message: format!("reconciler: {message}"),
    };
    let live = match seen {
        Seen::Known(live) => live,
        Seen::Absent => {
            let step = subject.made(put(None, ""));
            let op = put(None, &step.cause);
            return Some(Step { op, ..step });
        }
        Seen::Unknown(why) => {
            plan.wait(format!("dashboard {title} cannot be seen: {why}"));
            return None;
        }
    };
    let differences = compare(&board.json, &live.json);
    let state = state(board, live, &differences);
    if state.is_empty() {
        plan.remember.extend(subject.news());
        return None;
    }
    if let Some(file) = &live.provisioned {
        plan.block(
            "Provisioned",
            format!("dashboard {title} comes from Grafana's own file {file} and differs ({state}); remove that file"),
        );
        return None;
    }
    let step = subject.changed(put(None, ""), deeds(board, live, &differences), &state);
    let op = put(Some(live.version), &step.cause);
    Some(Step { op, ..step })
}

/// What somebody did to a dashboard: its name and place first, they are what people look for.
fn deeds(board: &Board, live: &DashboardSeen, differences: &[Difference]) -> String {
    let is_title = |one: &Difference| one.path == "title";
    let (title, rest): (Vec<Difference>, Vec<Difference>) = differences.iter().cloned().partition(is_title);
    let renamed = (!title.is_empty()).then(|| format!("it was renamed to \"{}\"", title_of(&live.json)));
    let moved = (live.folder != board.folder).then(|| format!("it was moved to the folder {}", live.folder_title));
    let edited = (!rest.is_empty()).then(|| format!("it was changed: {}", summary(&rest)));
    let deeds: Vec<String> = [renamed, moved, edited].into_iter().flatten().collect();
    match live.updated_by.as_str() {
        "" => deeds.join("; "),
        who => format!("{} (saved by {who})", deeds.join("; ")),
    }
}

/// How a dashboard differs, whoever is the cause of it.
fn state(board: &Board, live: &DashboardSeen, differences: &[Difference]) -> String {
    let place = (live.folder != board.folder).then(|| format!("it is in the folder {}", live.folder_title));
    let rest = (!differences.is_empty()).then(|| summary(differences));
    place.into_iter().chain(rest).collect::<Vec<_>>().join("; ")
}
