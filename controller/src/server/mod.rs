//! The API on the unix socket: JSON over HTTP, for the command line and for scripts.
//!
//! Handlers own nothing: each sends a [`Call`] to the agent's thread and waits for the answer.

mod answer;
pub mod metrics;
mod runbook;

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tracing::warn;

pub use answer::serve_calls;

use crate::kinds::Request;

/// The socket's name in the state directory.
pub const SOCKET: &str = "agent.sock";

/// How often it is looked whether the socket is there.
const SOCKET_LOOK: Duration = Duration::from_millis(500);

/// What is asked of the agent.
#[derive(Debug)]
pub enum Ask {
    /// Everything; after a fresh look if that is asked for.
    Overview {
        /// Whether to look again first.
        fresh: bool,
    },
    /// What the last pass planned, of every resource.
    Plans,
    /// The metrics, as text.
    Metrics,
    /// A request to one resource.
    Request(String, String, Request),
    /// To leave a resource alone, or not any more.
    Pause(String, String, bool),
    /// To take a resource from another agent, though it cannot be seen whether that one runs if so asked.
    TakeOver(String, String, bool),
    /// To delete a resource.
    Delete(String, String, bool),
}

/// A question with a place for the answer.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub ask: Ask,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Value, Refusal>>,
}

/// Why the agent did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Whether it is for safety, as opposed to a resource that does not exist.
    pub refused: bool,
    /// Why.
    pub message: String,
}

type Calls = mpsc::Sender<Call>;

#[derive(Debug, Deserialize)]
struct Options {
    #[serde(default)]
    fresh: bool,
    #[serde(default)]
    purge: bool,
    #[serde(default)]
    force: bool,
}

/// Listens on the socket of a state directory and hands calls on, for ever. Where somebody removes the socket another one is
/// made; the directory itself is not.
pub async fn listen(state_dir: &Path, calls: Calls) -> io::Result<()> {
    let path = state_dir.join(SOCKET);
    let mut listener = bind(&path)?;
    loop {
        let bound = number(&path);
        tokio::select! {
            ended = axum::serve(listener, router(calls.clone())) => return ended,
            () = vanished(&path, bound) => warn!(path = %path.display(), "the socket is lost; another one is made"),
        }
        listener = loop {
            // While the directory is missing, it is the agent's to make, or the agent ends.
            match bind(&path) {
                Ok(listener) => break listener,
                Err(_) => sleep(SOCKET_LOOK).await,
            }
        };
    }
}

/// Waits until a socket is not the one any more that it was.
async fn vanished(path: &Path, bound: Option<(u64, u64)>) {
    while number(path) == bound {
        sleep(SOCKET_LOOK).await;
    }
}

fn number(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

fn bind(path: &PathBuf) -> io::Result<UnixListener> {
    // A socket that an agent left behind when it was killed; the lock on the directory says that none listens.
    if std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

fn router(calls: Calls) -> Router {
    Router::new()
        .route(
            "/v1/overview",
            get(async |State(calls): State<Calls>, Query(options): Query<Options>| {
                call(calls, Ask::Overview { fresh: options.fresh }).await
            }),
        )
        .route(
            "/v1/plans",
            get(async |State(calls): State<Calls>| call(calls, Ask::Plans).await),
        )
        .route(
            "/v1/resources/{kind}/{name}/request",
            post(
                async |State(calls): State<Calls>, UrlPath((kind, name)): UrlPath<(String, String)>, Json(request)| {
                    call(calls, Ask::Request(kind, name, request)).await
                },
            ),
        )
        .route(
            "/v1/resources/{kind}/{name}/pause",
            post(async |State(calls): State<Calls>, UrlPath((kind, name))| {
                call(calls, Ask::Pause(kind, name, true)).await
            }),
        )
        .route(
            "/v1/resources/{kind}/{name}/resume",
            post(async |State(calls): State<Calls>, UrlPath((kind, name))| {
                call(calls, Ask::Pause(kind, name, false)).await
            }),
        )
        .route(
            "/v1/resources/{kind}/{name}/take-over",
            post(
                async |State(calls): State<Calls>, UrlPath((kind, name)), Query(options): Query<Options>| {
                    call(calls, Ask::TakeOver(kind, name, options.force)).await
                },
            ),
        )
        .route(
            "/v1/resources/{kind}/{name}/delete",
            post(
                async |State(calls): State<Calls>, UrlPath((kind, name)), Query(options): Query<Options>| {
                    call(calls, Ask::Delete(kind, name, options.purge)).await
                },
            ),
        )
        .with_state(calls)
}

async fn call(calls: Calls, ask: Ask) -> Response {
    let (reply, answer) = oneshot::channel();
    let gone = || StatusCode::SERVICE_UNAVAILABLE.into_response();
    if calls.send(Call { ask, reply }).await.is_err() {
        return gone();
    }
    match answer.await {
        Ok(Ok(value)) => Json(value).into_response(),
        Ok(Err(refusal)) => {
            let status = if refusal.refused {
                StatusCode::CONFLICT
            } else {
                StatusCode::NOT_FOUND
            };
            (status, Json(refusal)).into_response()
        }
        Err(_) => gone(),
    }
}
