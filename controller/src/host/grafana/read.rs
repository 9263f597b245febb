//! Looks at what a Grafana holds.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Grafana, Session, checked};
use crate::host::http::{Credentials, Trouble};
use crate::model::Seen;
use crate::model::grafana::{
    DashboardSeen, Datasource, DatasourceSeen, FolderSeen, GrafanaQuestion, GrafanaSeen, GrafanaTarget, TAG,
};

/// Requests at a time: somebody's Grafana is not to notice us.
const ABREAST: usize = 4;
/// Hits of a search at a time.
const PAGE: usize = 500;
/// Pages of a search at most: more means that the other side ignores the page.
const MAX_PAGES: usize = 100;
/// What else of a data source changes what it does, and its value where nobody has touched it.
const EXTRAS: [&str; 5] = ["access", "basicAuth", "withCredentials", "user", "database"];

/// Looks at all that is asked for. Five wrong passwords lock a user, and every deadline counts, so the first request
/// that nobody lets through is the last.
pub(super) async fn look(grafana: &Grafana, target: &GrafanaTarget, question: &GrafanaQuestion) -> GrafanaSeen {
    let nobody = Credentials::None;
    let mut seen = GrafanaSeen {
        version: health(&Session::new(grafana, target, &nobody)).await,
        ..GrafanaSeen::default()
    };
    let mut closed = seen.version.unknown().map(|why| Closed::by(why.to_owned()));
    let credentials = match (grafana.login(target), &closed) {
        (Ok(credentials), _) => credentials,
        (Err(_), Some(_)) => nobody,
        (Err(_), None) if grafana.is_lost(target) => {
            closed = Some(Closed {
                why: "nobody knows the password any more".to_owned(),
                is_refusal: true,
            });
            nobody
        }
        (Err(error), None) => {
            closed = Some(Closed::by(error.to_string()));
            nobody
        }
    };
    let session = Session::new(grafana, target, &credentials);
    seen.datasources = all(
        &session,
        "/api/datasources/uid/",
        &question.datasources,
        datasource,
        &mut closed,
    )
    .await;
    seen.folders = all(&session, "/api/folders/", &question.folders, folder, &mut closed).await;
    seen.dashboards = all(
        &session,
        "/api/dashboards/uid/",
        &question.dashboards,
        dashboard,
        &mut closed,
    )
    .await;
    seen.refused = closed
        .iter()
        .find(|closed| closed.is_refusal)
        .map(|closed| closed.why.clone());
    seen.tagged = match (question.tagged, closed) {
        (false, _) => Seen::default(),
        (true, Some(closed)) => Seen::Unknown(closed.why),
        (true, None) => tagged(&session).await,
    };
    seen
}

/// Why no further request is made.
struct Closed {
    why: String,
    is_refusal: bool,
}

impl Closed {
    fn by(why: String) -> Self {
        Closed { why, is_refusal: false }
    }
}

/// Whether it is up. Grafana answers 503 when its own database fails, and hides its version if it is told to.
async fn health(session: &Session<'_>) -> Seen<String> {
    match session.get("/api/health").await {
        Ok(answer) => Seen::Known(text(&answer, "version")),
        Err(trouble) => Seen::Unknown(trouble.words(session.credentials)),
    }
}

/// Several things of a kind by uid; the first alone, to find out whether we are let in.
async fn all<T>(
    session: &Session<'_>,
    path: &str,
    uids: &BTreeSet<String>,
    read: fn(&Value) -> Option<T>,
    closed: &mut Option<Closed>,
) -> BTreeMap<String, Seen<T>> {
    let uids: Vec<&String> = uids.iter().collect();
    let (first, rest) = uids.split_at(uids.len().min(1));
    let mut seen = BTreeMap::new();
    for some in [first].into_iter().chain(rest.chunks(ABREAST)) {
        if let Some(Closed { why, .. }) = &closed {
            seen.extend(some.iter().map(|uid| ((*uid).clone(), Seen::Unknown(why.clone()))));
            continue;
        }
        let answers = join_all(some.iter().map(|uid| one(session, path, uid))).await;
        for (uid, answer) in some.iter().zip(answers) {
            let what = match answer {
                Ok(value) => read(&value).map_or_else(|| Seen::Unknown(NOT_UNDERSTOOD.to_owned()), Seen::Known),
                Err(Trouble::Refused(404, _)) => Seen::Absent,
                Err(trouble) => {
                    let why = words(&trouble, session.credentials);
                    if closes(&trouble) {
                        let is_refusal = matches!(trouble, Trouble::Refused(401, _));
                        closed.get_or_insert_with(|| Closed {
                            why: why.clone(),
                            is_refusal,
                        });
                    }
                    Seen::Unknown(why)
                }
            };
            seen.insert((*uid).clone(), what);
        }
    }
    seen
}

const NOT_UNDERSTOOD: &str = "its answer is not understood: a field is missing";

async fn one(session: &Session<'_>, path: &str, uid: &str) -> Result<Value, Trouble> {
    session.get(&format!("{path}{}", checked(uid)?)).await
}

/// Whether further requests would fare no better.
fn closes(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Url(_) | Trouble::Late(_) | Trouble::Unreachable(_) => true,
        Trouble::Unreadable(_) => false,
        Trouble::Refused(status, _) => matches!(status, 401 | 429 | 502..=504),
    }
}

/// A trouble with the way out of it.
pub(super) fn words(trouble: &Trouble, credentials: &Credentials) -> String {
    let text = trouble.words(credentials);
    let hint = match (trouble, credentials) {
        (Trouble::Refused(401, _), Credentials::Bearer(_)) => "; the token is wrong, expired or revoked",
        (Trouble::Refused(401, _), _) => {
            "; the password is wrong, or too many wrong ones locked the user for 5 minutes"
        }
        (Trouble::Refused(403, _), Credentials::Bearer(_)) => "; its service account needs the role Admin",
        _ => "",
    };
    format!("{text}{hint}")
}

/// All dashboards that carry the tag, page by page.
async fn tagged(session: &Session<'_>) -> Seen<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for page in 1..=MAX_PAGES {
        let path = format!("/api/search?type=dash-db&tag={TAG}&limit={PAGE}&page={page}");
        match session.get(&path).await {
            Ok(Value::Array(hits)) => {
                let before = found.len();
                found.extend(hits.iter().map(|hit| text(hit, "uid")));
                if hits.len() < PAGE || found.len() == before {
                    return Seen::Known(found);
                }
            }
            Ok(_) => return Seen::Unknown(NOT_UNDERSTOOD.to_owned()),
            Err(trouble) => return Seen::Unknown(words(&trouble, session.credentials)),
        }
    }
    Seen::Unknown(format!("a search has more than {MAX_PAGES} pages"))
}

fn dashboard(answer: &Value) -> Option<DashboardSeen> {
    let meta = answer.get("meta")?;
    let json = answer.get("dashboard")?.clone();
    let is_provisioned = meta.get("provisioned").and_then(Value::as_bool) == Some(true);
    Some(DashboardSeen {
        version: json.get("version").or_else(|| meta.get("version"))?.as_i64()?,
        json,
        folder: place(&text(meta, "folderUid")),
        folder_title: text(meta, "folderTitle"),
        updated_by: text(meta, "updatedBy"),
        provisioned: is_provisioned.then(|| text(meta, "provisionedExternalId")),
        has_file: is_provisioned || !text(meta, "provisionedExternalId").is_empty(),
    })
}

fn folder(answer: &Value) -> Option<FolderSeen> {
    Some(FolderSeen {
        title: answer.get("title")?.as_str()?.to_owned(),
        parent: place(&text(answer, "parentUid")),
        version: answer.get("version")?.as_i64()?,
    })
}

fn datasource(answer: &Value) -> Option<DatasourceSeen> {
    let extras = EXTRAS.iter().filter_map(|key| {
        let value = answer.get(*key)?;
        let is_usual = matches!(value, Value::Null | Value::Bool(false)) || value == "" || value == "proxy";
        (!is_usual).then(|| ((*key).to_owned(), value.clone()))
    });
    Some(DatasourceSeen {
        settings: Datasource {
            name: answer.get("name")?.as_str()?.to_owned(),
            plugin: text(answer, "type"),
            url: text(answer, "url"),
            is_default: answer.get("isDefault").and_then(Value::as_bool) == Some(true),
            // It is null where nobody has ever set any.
            json_data: answer
                .get("jsonData")
                .filter(|data| data.is_object())
                .cloned()
                .unwrap_or_else(|| json!({})),
        },
        extras: extras.collect(),
        version: answer.get("version").and_then(Value::as_i64).unwrap_or_default(),
        is_read_only: answer.get("readOnly").and_then(Value::as_bool) == Some(true),
    })
}

/// The top of the tree is called nothing, or `general`.
fn place(uid: &str) -> Option<String> {
    (!uid.is_empty() && uid != "general").then(|| uid.to_owned())
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}
