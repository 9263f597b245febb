//! What is said about a Grafana's content, and what is to be done about it. Everything goes by uid.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{SecretRef, Seen};

/// The tag of every dashboard that is kept here.
pub const TAG: &str = "managed-by-reconciler";

/// A Grafana and who we are there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GrafanaTarget {
    /// Where it is, with the path that it is served under, if any.
    pub url: String,
    /// Who we are there.
    pub auth: GrafanaAuth,
}

/// Who we are to a Grafana. Data sources need an administrator of the organisation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GrafanaAuth {
    /// A user with a password.
    User {
        /// The user.
        name: String,
        /// The password.
        password: SecretRef,
    },
    /// A service account, by its token.
    Token(SecretRef),
}

/// What to look at: nothing else is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrafanaQuestion {
    /// The data sources.
    pub datasources: BTreeSet<String>,
    /// The folders.
    pub folders: BTreeSet<String>,
    /// The dashboards.
    pub dashboards: BTreeSet<String>,
    /// Whether all dashboards with [`TAG`] are listed too. One search of some pages.
    pub tagged: bool,
}

/// What a Grafana holds of what was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrafanaSeen {
    /// Its version, empty if it does not tell. Known means that it is up, not that it lets us in.
    pub version: Seen<String>,
    /// Why we are not let in at all, if so. Five wrong passwords lock a user for 5 minutes: do not ask again at once.
    pub refused: Option<String>,
    /// The data sources that were asked for.
    pub datasources: BTreeMap<String, Seen<DatasourceSeen>>,
    /// The folders that were asked for.
    pub folders: BTreeMap<String, Seen<FolderSeen>>,
    /// The dashboards that were asked for.
    pub dashboards: BTreeMap<String, Seen<DashboardSeen>>,
    /// The uids of all dashboards with [`TAG`], if asked for.
    pub tagged: Seen<BTreeSet<String>>,
}

/// A dashboard as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DashboardSeen {
    /// Its content.
    pub json: Value,
    /// The uid of its folder; `None` at the top.
    pub folder: Option<String>,
    /// The title of its folder.
    pub folder_title: String,
    /// Its version, which grows with every save.
    pub version: i64,
    /// Who saved it last.
    pub updated_by: String,
    /// The file that Grafana itself keeps it from; then it takes it from nobody else.
    pub provisioned: Option<String>,
    /// Whether Grafana takes it from a file, if only when that changes: then it goes when the file goes, and not before.
    pub has_file: bool,
}

/// A folder as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderSeen {
    /// Its title.
    pub title: String,
    /// The uid of the folder that it is in; `None` at the top.
    pub parent: Option<String>,
    /// Its version.
    pub version: i64,
}

/// A data source as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasourceSeen {
    /// Its settings.
    pub settings: Datasource,
    /// What it has beside them that changes what it does, such as basic auth.
    pub extras: BTreeMap<String, Value>,
    /// Its version.
    pub version: i64,
    /// Whether it comes from a file of Grafana's own; then it takes it from nobody else.
    pub is_read_only: bool,
}

/// The settings of a data source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datasource {
    /// Its name, which is shown.
    pub name: String,
    /// The plugin: `prometheus`, `alertmanager`.
    pub plugin: String,
    /// Where Grafana finds it.
    pub url: String,
    /// Whether it is taken where none is named.
    pub is_default: bool,
    /// The plugin's own settings.
    pub json_data: Value,
}

/// One call that changes a Grafana. `version` is the one that it replaces: somebody else's later change is never
/// overwritten unseen. `None` makes what is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrafanaOp {
    /// Makes or replaces a data source. Secrets that it holds stay.
    PutDatasource {
        /// Its uid.
        uid: String,
        /// Its settings.
        settings: Datasource,
        /// What it replaces.
        version: Option<i64>,
    },
    /// Makes or renames a folder.
    PutFolder {
        /// Its uid.
        uid: String,
        /// Its title.
        title: String,
        /// What it replaces.
        version: Option<i64>,
    },
    /// Moves a folder to the top, with all that is in it.
    RaiseFolder {
        /// Its uid.
        uid: String,
        /// Its title.
        title: String,
    },
    /// Makes, replaces or moves a dashboard.
    PutDashboard {
        /// Its uid.
        uid: String,
        /// The folder that it goes to; the top if there is none.
        folder: Option<String>,
        /// Its content.
        json: Value,
        /// What it replaces.
        version: Option<i64>,
        /// What its history says of it.
        message: String,
    },
    /// Removes a dashboard.
    DeleteDashboard {
        /// Its uid.
        uid: String,
        /// Its title.
        title: String,
    },
}

impl GrafanaQuestion {
    /// How many requests a look takes at most, a search of one page and the health included.
    pub fn requests(&self) -> usize {
        1 + self.datasources.len() + self.folders.len() + self.dashboards.len() + usize::from(self.tagged)
    }
}

impl Datasource {
    /// Its settings as both Grafana's API and its provisioning files have them.
    pub fn fields(&self, uid: &str) -> Value {
        json!({
            "uid": uid,
            "name": self.name,
            "type": self.plugin,
            "access": "proxy",
            "url": self.url,
            "isDefault": self.is_default,
            "jsonData": self.json_data,
        })
    }
}

impl GrafanaOp {
    /// What it acts on.
    pub fn uid(&self) -> &str {
        match self {
            GrafanaOp::PutDatasource { uid, .. }
            | GrafanaOp::PutFolder { uid, .. }
            | GrafanaOp::RaiseFolder { uid, .. }
            | GrafanaOp::PutDashboard { uid, .. }
            | GrafanaOp::DeleteDashboard { uid, .. } => uid,
        }
    }
}

/// The title of a dashboard.
pub fn title_of(json: &Value) -> &str {
    json.get("title").and_then(Value::as_str).unwrap_or_default()
}

/// Whether a dashboard has a tag.
pub fn has_tag(json: &Value, tag: &str) -> bool {
    let tags = json.get("tags").and_then(Value::as_array);
    tags.is_some_and(|tags| tags.iter().any(|one| one == tag))
}

impl fmt::Display for GrafanaOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = |version: &Option<i64>| if version.is_some() { "update" } else { "create" };
        match self {
            GrafanaOp::PutDatasource { settings, version, .. } => {
                write!(f, "{} data source {}", verb(version), settings.name)
            }
            GrafanaOp::PutFolder { title, version, .. } => write!(f, "{} folder {title}", verb(version)),
            GrafanaOp::RaiseFolder { title, .. } => write!(f, "move folder {title} to the top"),
            GrafanaOp::PutDashboard { json, version, .. } => {
                write!(f, "{} dashboard {}", verb(version), title_of(json))
            }
            GrafanaOp::DeleteDashboard { title, .. } => write!(f, "delete dashboard {title}"),
        }
    }
}
