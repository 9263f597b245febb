//! JSON over HTTP, for the APIs of what watches the databases. One request, one answer, one deadline: redirects are not
//! followed, because they would carry the credentials elsewhere, and answers have a limit.

use std::cell::OnceCell;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, LOCATION};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;
use tokio::time::timeout;

use super::FailureKind;

/// The largest answer that is read.
pub const MAX_BYTES: usize = 16 << 20;
/// How long a connection waits for the next request: long enough for the requests of one pass, too short to be closed by
/// the other side unnoticed.
const IDLE: Duration = Duration::from_secs(5);
/// Longest piece of somebody else's text in a failure.
const MAX_CHARS: usize = 300;

type Https = HttpsConnector<HttpConnector>;

/// A client. Connections are kept for a moment; the certificates of the host are read at the first `https://`.
pub struct Http {
    plain: Client<HttpConnector, Full<Bytes>>,
    tls: OnceCell<Result<Client<Https, Full<Bytes>>, String>>,
}

/// How a request is made known to be ours.
#[derive(Clone, Default)]
pub enum Credentials {
    /// It is anybody's.
    #[default]
    None,
    /// A user and a password.
    Basic(String, String),
    /// A token.
    Bearer(String),
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes.
    Post,
    /// Replaces.
    Put,
    /// Removes.
    Delete,
}

/// One request.
#[derive(Debug)]
pub struct Call<'a> {
    /// What to do.
    pub method: Method,
    /// The whole URL.
    pub url: &'a str,
    /// Who asks.
    pub credentials: &'a Credentials,
    /// What is sent with it.
    pub body: Option<&'a Value>,
    /// How long it may take, the answer included.
    pub deadline: Duration,
}

/// Why a request has no useful answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The URL is none.
    Url(String),
    /// It took longer than this.
    Late(Duration),
    /// The other side was not reached, or went away.
    Unreachable(String),
    /// The answer is not what it has to be.
    Unreadable(String),
    /// The other side declined: status and body.
    Refused(u16, Value),
}

impl<'a> Call<'a> {
    /// Reads something.
    pub fn get(url: &'a str, credentials: &'a Credentials, deadline: Duration) -> Self {
        Call {
            method: Method::Get,
            url,
            credentials,
            body: None,
            deadline,
        }
    }
}

impl Http {
    /// A client.
    pub fn new() -> Self {
        Http {
            plain: pool().build(connector()),
            tls: OnceCell::new(),
        }
    }

    /// Makes one request whose answer is JSON. Only a 2xx is an answer; an empty one is `null`.
    pub async fn call(&self, call: &Call<'_>) -> Result<Value, Trouble> {
        let bytes = self.bytes(call).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| Trouble::Unreadable(format!("it is no JSON: {error}")))
    }

    /// Makes one request, whatever is answered. Only a 2xx is an answer.
    pub async fn bytes(&self, call: &Call<'_>) -> Result<Bytes, Trouble> {
        let answer = timeout(call.deadline, self.exchange(call)).await;
        answer.unwrap_or(Err(Trouble::Late(call.deadline)))
    }

    async fn exchange(&self, call: &Call<'_>) -> Result<Bytes, Trouble> {
        let uri: Uri = call.url.parse().map_err(|e| Trouble::Url(format!("{e}")))?;
        if uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(Trouble::Url("it holds a user or a password".to_owned()));
        }
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(Trouble::Url("it does not begin with http:// or https://".to_owned())),
        };
        let answer = match self.send(request(call, &uri)?, is_tls).await {
            // A connection that was kept, and closed by the other side since. A read may simply be asked again.
            Err(error) if call.method == Method::Get && is_stale(&error) => {
                self.send(request(call, &uri)?, is_tls).await
            }
            answer => answer,
        };
        let answer = answer.map_err(|error| Trouble::Unreachable(root_cause(&error)))?;
        let status = answer.status();
        let location = answer.headers().get(LOCATION).cloned();
        let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
        let bytes = body.map_err(|error| unread(error.as_ref()))?.to_bytes();
        if status.is_redirection() {
            let to = location.as_ref().and_then(|to| to.to_str().ok()).unwrap_or("somewhere");
            let why = format!("it redirects to {}; use that URL", condense(to));
            return Err(Trouble::Unreadable(why));
        }
        if !status.is_success() {
            let text = || Value::String(condense(&String::from_utf8_lossy(&bytes)));
            let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
            return Err(Trouble::Refused(status.as_u16(), body));
        }
        Ok(bytes)
    }

    async fn send(&self, request: Request<Full<Bytes>>, is_tls: bool) -> Result<Response<Incoming>, SendError> {
        match is_tls {
            false => self.plain.request(request).await.map_err(SendError::Http),
            true => self
                .tls()
                .map_err(SendError::Tls)?
                .request(request)
                .await
                .map_err(SendError::Http),
        }
    }

    fn tls(&self) -> Result<&Client<Https, Full<Bytes>>, String> {
        let made = self.tls.get_or_init(|| {
            let builder = HttpsConnectorBuilder::new().with_native_roots();
            let builder = builder.map_err(|error| format!("the host's certificates cannot be read: {error}"))?;
            let connector = builder.https_only().enable_http1().wrap_connector(connector());
            Ok(pool().build(connector))
        });
        made.as_ref().map_err(Clone::clone)
    }
}

impl Default for Http {
    fn default() -> Self {
        Http::new()
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::Basic(..) => "Basic(..)",
            Credentials::Bearer(_) => "Bearer(..)",
        })
    }
}

impl Credentials {
    fn header(&self) -> Option<String> {
        match self {
            Credentials::None => None,
            Credentials::Basic(user, password) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            Credentials::Bearer(token) => Some(format!("Bearer {token}")),
        }
    }

    /// A text without the secret in it, should somebody have echoed it.
    fn conceal(&self, text: &str) -> String {
        match self {
            Credentials::Basic(_, secret) | Credentials::Bearer(secret) if !secret.is_empty() => {
                text.replace(secret, "***")
            }
            Credentials::None | Credentials::Basic(..) | Credentials::Bearer(_) => text.to_owned(),
        }
    }
}

impl Trouble {
    /// What kind of failure it is.
    pub fn kind(&self) -> FailureKind {
        match self {
            Trouble::Url(_) => FailureKind::Invalid,
            Trouble::Late(_) | Trouble::Unreachable(_) => FailureKind::Unreachable,
            Trouble::Unreadable(_) => FailureKind::Other,
            Trouble::Refused(status, _) => match status {
                404 => FailureKind::NotFound,
                409 | 412 => FailureKind::Conflict,
                400 | 401 | 403 | 413 | 422 => FailureKind::Invalid,
                502..=504 => FailureKind::Unreachable,
                _ => FailureKind::Other,
            },
        }
    }

    /// It in words that a user reads, without the secret of whoever asked.
    pub fn words(&self, credentials: &Credentials) -> String {
        let text = match self {
            Trouble::Url(why) => format!("the URL cannot be used: {why}"),
            Trouble::Late(limit) => format!("it did not answer within {} s", limit.as_secs()),
            Trouble::Unreachable(why) => format!("it is not reached: {why}"),
            Trouble::Unreadable(why) => format!("its answer is not understood: {why}"),
            Trouble::Refused(status, body) => {
                let said = body.get("message").or_else(|| body.get("error")).unwrap_or(body);
                let said = said.as_str().map_or_else(|| said.to_string(), str::to_owned);
                match condense(&said).as_str() {
                    "" | "null" => format!("it answered {status}"),
                    said => format!("it answered {status}: {said}"),
                }
            }
        };
        credentials.conceal(&text)
    }
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    // Of the two that are built here, one speaks TLS over it.
    connector.enforce_http(false);
    connector
}

fn pool() -> Builder {
    let mut pool = Client::builder(TokioExecutor::new());
    pool.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new());
    pool
}

/// Why nothing came back.
enum SendError {
    Tls(String),
    Http(hyper_util::client::legacy::Error),
}

/// Whether the connection ended before anything was answered.
fn is_stale(error: &SendError) -> bool {
    let SendError::Http(error) = error else {
        return false;
    };
    let cause = error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
    cause.is_some_and(hyper::Error::is_incomplete_message)
}

fn request(call: &Call<'_>, uri: &Uri) -> Result<Request<Full<Bytes>>, Trouble> {
    let method = match call.method {
        Method::Get => hyper::Method::GET,
        Method::Post => hyper::Method::POST,
        Method::Put => hyper::Method::PUT,
        Method::Delete => hyper::Method::DELETE,
    };
    let mut request = Request::builder()
        .method(method)
        .uri(uri.clone())
        .header("accept", "application/json");
    if let Some(value) = call.credentials.header() {
        // The text of the error would not hold the value, but it says nothing that helps either.
        let mut value = hyper::header::HeaderValue::from_str(&value)
            .map_err(|_| Trouble::Url("the token or password holds a character that no header may hold".to_owned()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let body = match call.body {
        Some(value) => {
            request = request.header("content-type", "application/json");
            Bytes::from(value.to_string())
        }
        None => Bytes::new(),
    };
    request
        .body(Full::new(body))
        .map_err(|error| Trouble::Url(error.to_string()))
}

fn unread(error: &(dyn Error + 'static)) -> Trouble {
    match error.is::<http_body_util::LengthLimitError>() {
        true => Trouble::Unreadable(format!("it is larger than {} MiB", MAX_BYTES >> 20)),
        false => Trouble::Unreachable(error.to_string()),
    }
}

/// The innermost cause: the outer ones say only that a request failed.
fn root_cause(error: &SendError) -> String {
    let error = match error {
        SendError::Tls(why) => return why.clone(),
        SendError::Http(error) => error,
    };
    let mut inner: &dyn Error = error;
    while let Some(cause) = inner.source() {
        inner = cause;
    }
    condense(&inner.to_string())
}

/// Somebody else's text as one short line.
fn condense(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests;
