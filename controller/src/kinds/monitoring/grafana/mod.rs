//! Grafana's content as desired state: data sources, folders and dashboards by uid, compared field by field. Pure; what is
//! there is looked at, and put right, through `host::grafana`.
//!
//! Only uids that are wanted, or that were kept here before, are ever touched.

mod compare;
mod import;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use compare::{Difference, compare, summary};
pub use import::{Unusable, import};
pub use plan::{GrafanaPlan, Note, Step, plan};

use crate::model::grafana::{Datasource, GrafanaQuestion, TAG, has_tag, title_of};

/// What a Grafana is to hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content {
    /// Data sources by uid.
    pub datasources: BTreeMap<String, Datasource>,
    /// The titles of folders by uid. All are at the top.
    pub folders: BTreeMap<String, String>,
    /// Dashboards by uid.
    pub dashboards: BTreeMap<String, Board>,
}

/// A dashboard that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    /// The uid of its folder; the top if there is none.
    pub folder: Option<String>,
    /// Its content, with the tag that says who keeps it.
    pub json: Value,
}

/// What was kept here, by uid, with the fingerprint of what was wanted then: it tells whether a difference comes from
/// somebody else or from a new wish. The caller stores it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Remembered {
    /// Data sources.
    pub datasources: BTreeMap<String, String>,
    /// Folders.
    pub folders: BTreeMap<String, String>,
    /// Dashboards.
    pub dashboards: BTreeMap<String, String>,
}

/// One thing to remember: what is kept under a uid now, or that nothing is any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What it is.
    pub what: What,
    /// Its uid.
    pub uid: String,
    /// The fingerprint of what was wanted; `None` when it is kept no more.
    pub fingerprint: Option<String>,
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A data source.
    Datasource,
    /// A folder.
    Folder,
    /// A dashboard.
    Dashboard,
}

impl Kept {
    /// Nothing is kept under a uid any more.
    fn no_more(what: What, uid: &str) -> Self {
        Kept {
            what,
            uid: uid.to_owned(),
            fingerprint: None,
        }
    }
}

impl What {
    /// Its word, as metrics and events say it.
    pub fn word(self) -> &'static str {
        match self {
            What::Datasource => "datasource",
            What::Folder => "folder",
            What::Dashboard => "dashboard",
        }
    }
}

impl Board {
    /// A dashboard with the tag that says who keeps it, and without what Grafana numbers itself.
    pub fn new(folder: Option<&str>, mut json: Value) -> Self {
        let is_tagged = has_tag(&json, TAG);
        let title = title_of(&json).trim().to_owned();
        if let Some(fields) = json.as_object_mut() {
            for own in compare::NUMBERED {
                fields.remove(own);
            }
            // Grafana trims it too.
            fields.insert("title".to_owned(), Value::String(title));
            match fields.get_mut("tags").and_then(Value::as_array_mut) {
                _ if is_tagged => {}
                Some(tags) => tags.push(json!(TAG)),
                None => {
                    fields.insert("tags".to_owned(), json!([TAG]));
                }
            }
        }
        Board {
            folder: folder.map(str::to_owned),
            json,
        }
    }
}

impl Content {
    /// What has to be looked at: what is wanted, what was kept before, and in a Grafana `of_our_own` whatever has our tag.
    pub fn question(&self, remembered: &Remembered, of_our_own: bool) -> GrafanaQuestion {
        let uids = |wanted: BTreeSet<String>, kept: &BTreeMap<String, String>| {
            wanted
                .into_iter()
                .chain(kept.keys().cloned())
                .collect::<BTreeSet<String>>()
        };
        GrafanaQuestion {
            datasources: self.datasources.keys().cloned().collect(),
            folders: self.folders.keys().cloned().collect(),
            dashboards: uids(self.dashboards.keys().cloned().collect(), &remembered.dashboards),
            tagged: of_our_own,
        }
    }
}

impl Remembered {
    /// Takes note of what is kept now.
    pub fn apply(&mut self, kept: &Kept) {
        let of_kind = match kept.what {
            What::Datasource => &mut self.datasources,
            What::Folder => &mut self.folders,
            What::Dashboard => &mut self.dashboards,
        };
        match &kept.fingerprint {
            Some(fingerprint) => of_kind.insert(kept.uid.clone(), fingerprint.clone()),
            None => of_kind.remove(&kept.uid),
        };
    }
}

/// A short hash of what is wanted.
fn fingerprint(wanted: &impl Serialize) -> String {
    let text = serde_json::to_string(wanted).unwrap_or_default();
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
