//! Works out which calls bring a Grafana to what is wanted, and why each is made.

mod content;

use std::collections::BTreeMap;
use std::fmt;

use self::content::{Subject, dashboard, datasource, folder};
use super::{Content, Kept, Remembered, What};
use crate::model::Seen;
use crate::model::grafana::{DashboardSeen, GrafanaOp, GrafanaSeen, TAG, has_tag, title_of};

/// One call and why it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it concerns.
    pub what: What,
    /// The call.
    pub op: GrafanaOp,
    /// Why, in words that a user reads.
    pub cause: String,
    /// Whether somebody else changed what was kept here.
    pub is_drift: bool,
    /// What to remember when it is done.
    pub kept: Option<Kept>,
}

/// Why less than everything is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// It cannot be seen.
    Waiting(String),
    /// Somebody has to do something: a code and the way out.
    Blocked(&'static str, String),
}

/// What is to be done. All is as wanted when there are neither chains nor notes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GrafanaPlan {
    /// Independent sequences of calls.
    pub chains: Vec<Vec<Step>>,
    /// What to remember at once: it is as wanted already, or is nobody's affair any more.
    pub remember: Vec<Kept>,
    /// Why less than everything is done.
    pub notes: Vec<Note>,
    /// Dashboards with our tag that are neither wanted nor remembered: somebody's copies, or left from before memory was
    /// lost. They are left alone; only known where they were searched for.
    pub strays: Vec<String>,
}

/// Plans for all that is wanted and all that was kept before. What cannot be seen is left alone.
pub fn plan(wanted: &Content, seen: &GrafanaSeen, remembered: &Remembered) -> GrafanaPlan {
    let mut plan = GrafanaPlan::default();
    if let Some(why) = seen.version.unknown() {
        plan.notes
            .push(Note::Waiting(format!("Grafana cannot be asked: {why}")));
        return plan;
    }
    if let Some(why) = &seen.refused {
        plan.block("LoginRefused", format!("Grafana does not let us in: {why}"));
        return plan;
    }
    for (uid, settings) in &wanted.datasources {
        let subject = Subject::new(What::Datasource, uid, settings, remembered.datasources.get(uid));
        let step = datasource(&subject, settings, of(&seen.datasources, uid), &mut plan);
        plan.chains.extend(step.map(|step| vec![step]));
    }
    let mut folders: BTreeMap<&str, Vec<Step>> = BTreeMap::new();
    for (uid, title) in &wanted.folders {
        let subject = Subject::new(What::Folder, uid, title, remembered.folders.get(uid));
        folders.insert(uid, folder(&subject, title, of(&seen.folders, uid), &mut plan));
    }
    for (uid, board) in &wanted.dashboards {
        let wish = (&board.folder, &board.json);
        let subject = Subject::new(What::Dashboard, uid, &wish, remembered.dashboards.get(uid));
        let Some(step) = dashboard(&subject, board, of(&seen.dashboards, uid), &mut plan) else {
            continue;
        };
        match board.folder.as_deref().and_then(|folder| folders.get_mut(folder)) {
            // A folder that is being made, renamed or moved comes first.
            Some(steps) if !steps.is_empty() => steps.push(step),
            _ => plan.chains.push(vec![step]),
        }
    }
    let folders = folders.into_values().filter(|steps| !steps.is_empty());
    plan.chains.extend(folders);
    forget(wanted, seen, remembered, &mut plan);
    let tagged = seen.tagged.known().into_iter().flatten();
    let is_known = |uid: &&String| wanted.dashboards.contains_key(*uid) || remembered.dashboards.contains_key(*uid);
    plan.strays = tagged.filter(|uid| !is_known(uid)).cloned().collect();
    plan
}

/// What was kept here and is wanted no more.
fn forget(wanted: &Content, seen: &GrafanaSeen, remembered: &Remembered, plan: &mut GrafanaPlan) {
    let dashboards = remembered.dashboards.keys();
    for uid in dashboards.filter(|uid| !wanted.dashboards.contains_key(*uid)) {
        abandon(uid, of(&seen.dashboards, uid), plan);
    }
    let folders = remembered.folders.keys();
    for uid in folders.filter(|uid| !wanted.folders.contains_key(*uid)) {
        // Somebody may have put dashboards into it, and deleting it would delete them.
        plan.remember.push(Kept::no_more(What::Folder, uid));
    }
    let datasources = remembered.datasources.keys();
    for uid in datasources.filter(|uid| !wanted.datasources.contains_key(*uid)) {
        // Somebody's dashboards may ask it.
        plan.remember.push(Kept::no_more(What::Datasource, uid));
    }
}

/// A dashboard goes when its wish goes. Without our tag somebody has made it their own; what Grafana has from a file it lets
/// nobody delete (`dashboards.ErrDashboardCannotDeleteProvisionedDashboard`), and removes soon after the file is gone.
fn abandon(uid: &str, seen: Seen<&DashboardSeen>, plan: &mut GrafanaPlan) {
    let forget = Kept::no_more(What::Dashboard, uid);
    match seen {
        Seen::Unknown(_) => {}
        Seen::Absent => plan.remember.push(forget),
        Seen::Known(live) if !has_tag(&live.json, TAG) || live.provisioned.is_some() => plan.remember.push(forget),
        Seen::Known(live) if live.has_file => {
            let title = title_of(&live.json);
            let why = format!("dashboard {title} goes when Grafana has seen that its file is gone");
            plan.notes.push(Note::Waiting(why));
        }
        Seen::Known(live) => plan.chains.push(vec![Step {
            what: What::Dashboard,
            op: GrafanaOp::DeleteDashboard {
                uid: uid.to_owned(),
                title: title_of(&live.json).to_owned(),
            },
            cause: "it is not wanted any more".to_owned(),
            is_drift: false,
            kept: Some(forget),
        }]),
    }
}

fn of<'a, T>(seen: &'a BTreeMap<String, Seen<T>>, uid: &str) -> Seen<&'a T> {
    match seen.get(uid) {
        Some(Seen::Known(value)) => Seen::Known(value),
        Some(Seen::Absent) => Seen::Absent,
        Some(Seen::Unknown(why)) => Seen::Unknown(why.clone()),
        None => Seen::default(),
    }
}

impl GrafanaPlan {
    /// All steps.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.chains.iter().flatten()
    }

    fn wait(&mut self, reason: String) {
        self.notes.push(Note::Waiting(reason));
    }

    fn block(&mut self, code: &'static str, reason: String) {
        self.notes.push(Note::Blocked(code, reason));
    }
}

impl fmt::Display for GrafanaPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in self.steps() {
            writeln!(f, "{}, because {}", step.op, step.cause)?;
        }
        for note in &self.notes {
            match note {
                Note::Waiting(reason) => writeln!(f, "waiting, {reason}")?,
                Note::Blocked(_, reason) => writeln!(f, "blocked, {reason}")?,
            }
        }
        if self.chains.is_empty() && self.notes.is_empty() {
            writeln!(f, "nothing to do")?;
        }
        Ok(())
    }
}
