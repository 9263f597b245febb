//! A Grafana's HTTP API, versions 9 to 12: looks at what is kept by uid, and puts it right. What is to be kept, and what is
//! wrong with what is there, is decided elsewhere.
//!
//! No list tells a dashboard's version, so a look is one GET for each: three requests, one for each dashboard,
//! and in a Grafana of our own a search, some milliseconds each beside the database. Grafana 12 answers the same paths in
//! front of another store; a search may lag behind there, which is why nothing is done on account of one.

mod read;
mod write;

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::http::{Call, Credentials, Http, Method, Trouble};
use super::{FailureKind, GrafanaRead, GrafanaWrite, HostError, Secrets};
use crate::model::SecretRef;
use crate::model::grafana::{GrafanaAuth, GrafanaOp, GrafanaQuestion, GrafanaSeen, GrafanaTarget};

/// How long one request may take. Grafana answers in milliseconds when all is well.
const DEADLINE: Duration = Duration::from_secs(5);

/// Grafanas, as whoever the target says.
pub struct Grafana {
    secrets: Rc<dyn Secrets>,
    http: Rc<Http>,
}

impl Grafana {
    /// Grafanas whose passwords and tokens are in `secrets`.
    pub fn new(secrets: Rc<dyn Secrets>, http: Rc<Http>) -> Self {
        Grafana { secrets, http }
    }

    /// Who we are, revealed for the requests of one look or one change. A generated password is not made here: one that
    /// no Grafana was started with cannot be the right one.
    fn login(&self, target: &GrafanaTarget) -> Result<Credentials, HostError> {
        let secret = |secret: &SecretRef| {
            let missing = || HostError::new(FailureKind::Invalid, format!("read {secret}"), "it does not exist");
            self.secrets.peek(secret)?.ok_or_else(missing)
        };
        Ok(match &target.auth {
            GrafanaAuth::User { name, password } => Credentials::Basic(name.clone(), secret(password)?),
            GrafanaAuth::Token(token) => Credentials::Bearer(secret(token)?),
        })
    }

    /// Whether a generated password is gone, which nobody can ever tell again.
    fn is_lost(&self, target: &GrafanaTarget) -> bool {
        match &target.auth {
            GrafanaAuth::User {
                password: password @ SecretRef::Generated { .. },
                ..
            } => self.secrets.peek(password) == Ok(None),
            GrafanaAuth::User { .. } | GrafanaAuth::Token(_) => false,
        }
    }
}

impl fmt::Debug for Grafana {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Grafana")
    }
}

impl GrafanaRead for Grafana {
    async fn grafana(&self, target: &GrafanaTarget, question: &GrafanaQuestion) -> GrafanaSeen {
        read::look(self, target, question).await
    }
}

impl GrafanaWrite for Grafana {
    async fn change_grafana(&self, target: &GrafanaTarget, op: &GrafanaOp) -> Result<(), HostError> {
        let fail = |kind, why: String| HostError::new(kind, format!("{op} in Grafana at {}", shown(&target.url)), why);
        let credentials = self
            .login(target)
            .map_err(|error| fail(error.kind, error.to_string()))?;
        let session = Session::new(self, target, &credentials);
        let done = write::carry_out(&session, op).await;
        done.map_err(|trouble| fail(trouble.kind(), write::words(&trouble, &credentials)))
    }
}

/// One target for the length of one look or change.
struct Session<'a> {
    http: &'a Http,
    base: String,
    credentials: &'a Credentials,
}

impl<'a> Session<'a> {
    fn new(grafana: &'a Grafana, target: &GrafanaTarget, credentials: &'a Credentials) -> Self {
        Session {
            http: &grafana.http,
            base: target.url.trim_end_matches('/').to_owned(),
            credentials,
        }
    }

    async fn get(&self, path: &str) -> Result<Value, Trouble> {
        self.send(Method::Get, path, None).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Trouble> {
        let url = format!("{}{path}", self.base);
        let call = Call {
            method,
            body,
            ..Call::get(&url, self.credentials, DEADLINE)
        };
        self.http.call(&call).await
    }
}

/// A uid as part of a path. What Grafana would refuse is refused here: `../` would be another path.
fn checked(uid: &str) -> Result<&str, Trouble> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if uid.is_empty() || uid.len() > 40 || !uid.chars().all(is_fine) {
        let why = format!("{uid:?} is no uid: at most 40 letters, digits, - and _");
        return Err(Trouble::Refused(400, Value::String(why)));
    }
    Ok(uid)
}

/// A URL for people: without what may be a password in it.
fn shown(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    }
}
