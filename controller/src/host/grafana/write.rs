//! Changes what a Grafana holds, through its API. Nothing is overwritten that was not seen: every change names the version
//! that it replaces, and `overwrite`, which in Grafana 9 replaces somebody else's dashboard of the same title, is never used.

use serde_json::{Value, json};

use super::{Session, checked, read};
use crate::host::http::{Credentials, Method, Trouble};
use crate::model::grafana::{Datasource, GrafanaOp};

/// The longest message that a dashboard's history takes.
const MAX_MESSAGE_CHARS: usize = 500;

pub(super) async fn carry_out(session: &Session<'_>, op: &GrafanaOp) -> Result<(), Trouble> {
    checked(op.uid())?;
    let (method, path, body) = request(op);
    match (session.send(method, &path, body.as_ref()).await, op) {
        // It is gone, as was wanted.
        (Err(Trouble::Refused(404, _)), GrafanaOp::DeleteDashboard { .. }) => Ok(()),
        (outcome, _) => outcome.map(drop),
    }
}

fn request(op: &GrafanaOp) -> (Method, String, Option<Value>) {
    match op {
        GrafanaOp::PutDatasource { uid, settings, version } => {
            let body = datasource(uid, settings, *version);
            match version {
                Some(_) => (Method::Put, format!("/api/datasources/uid/{uid}"), Some(body)),
                None => (Method::Post, "/api/datasources".to_owned(), Some(body)),
            }
        }
        GrafanaOp::PutFolder { uid, title, version } => match version {
            Some(version) => {
                let body = json!({"title": title, "version": version});
                (Method::Put, format!("/api/folders/{uid}"), Some(body))
            }
            None => {
                let body = json!({"uid": uid, "title": title});
                (Method::Post, "/api/folders".to_owned(), Some(body))
            }
        },
        GrafanaOp::RaiseFolder { uid, .. } => {
            let body = json!({"parentUid": ""});
            (Method::Post, format!("/api/folders/{uid}/move"), Some(body))
        }
        GrafanaOp::PutDashboard {
            uid,
            folder,
            json,
            version,
            message,
        } => {
            let mut dashboard = json.clone();
            if let Some(fields) = dashboard.as_object_mut() {
                // Without an id it goes by uid, whatever number it has there.
                fields.remove("id");
                fields.insert("uid".to_owned(), json!(uid));
                fields.insert("version".to_owned(), json!(version.unwrap_or(0)));
            }
            let message: String = message.chars().take(MAX_MESSAGE_CHARS).collect();
            let folder = folder.as_deref().unwrap_or_default();
            let body = json!({"dashboard": dashboard, "folderUid": folder, "message": message, "overwrite": false});
            (Method::Post, "/api/dashboards/db".to_owned(), Some(body))
        }
        GrafanaOp::DeleteDashboard { uid, .. } => (Method::Delete, format!("/api/dashboards/uid/{uid}"), None),
    }
}

fn datasource(uid: &str, settings: &Datasource, version: Option<i64>) -> Value {
    let mut body = settings.fields(uid);
    if let Some(version) = version {
        body["version"] = json!(version);
    }
    body
}

/// A refusal with the way out of it.
pub(super) fn words(trouble: &Trouble, credentials: &Credentials) -> String {
    let text = read::words(trouble, credentials);
    let is = |word: &str| text.to_lowercase().contains(word);
    let status = match trouble {
        Trouble::Refused(_, body) => body.get("status").and_then(Value::as_str).unwrap_or_default(),
        Trouble::Url(_) | Trouble::Late(_) | Trouble::Unreachable(_) | Trouble::Unreadable(_) => "",
    };
    let hint = match status {
        "version-mismatch" => "; it is looked at again",
        "name-exists" => "; rename or move the other one, or choose another folder",
        "plugin-dashboard" => "; choose another uid",
        _ if is("provisioned") => "; Grafana keeps it from a file of its own: remove it there",
        _ if is("read-only") => "; Grafana keeps it from a file of its own: remove it there",
        _ if is("already been updated") || is("changed by someone else") => "; it is looked at again",
        _ if is("same name") => "; rename the other one",
        _ => "",
    };
    format!("{text}{hint}")
}
