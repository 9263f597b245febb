//! The API on the unix socket: JSON over HTTP, for the command line and for scripts.
//!
//! Handlers own nothing: each sends a [`Call`] to the agent's thread and waits for the answer.

mod answer;
pub mod metrics;
mod runbook;

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

pub use answer::serve_calls;

use crate::kinds::Request;

/// The socket's name in the state directory.
pub const SOCKET: &str = "agent.sock";

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
}

/// Listens on the socket of a state directory and hands calls on, for ever.
pub async fn listen(state_dir: &Path, calls: Calls) -> io::Result<()> {
    let listener = bind(&state_dir.join(SOCKET))?;
    axum::serve(listener, router(calls)).await
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
