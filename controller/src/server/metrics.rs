//! The agent's metrics, and the page that explains the alerts on them, over plain HTTP: read-only, and without a password,
//! so on loopback and on the gateways of networks that are the agent's own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::runbook;
use super::{Ask, Call};
use crate::agent::metrics::CONTENT_TYPE;

/// The port, when nobody says another.
pub const PORT: u16 = 9186;

/// Where the agent is asked for its metrics.
#[derive(Debug)]
pub struct Listeners {
    calls: mpsc::Sender<Call>,
    open: RefCell<BTreeMap<SocketAddr, JoinHandle<()>>>,
    /// The one that was opened first, which the command line names.
    first: Cell<Option<SocketAddr>>,
}

impl Listeners {
    /// None yet. Questions are handed to whoever hears `calls`.
    pub fn new(calls: mpsc::Sender<Call>) -> Self {
        Listeners {
            calls,
            open: RefCell::default(),
            first: Cell::new(None),
        }
    }

    /// Listens at an address from now on; where it is open already, nothing happens. The address that it got: port 0 is any.
    pub async fn listen(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        if self.addresses().contains(&address) {
            return Ok(address);
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let router = router(self.calls.clone());
        let task = tokio::task::spawn_local(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%address, %error, "the metrics are not served any more");
            }
        });
        self.open.borrow_mut().insert(address, task);
        self.first.set(self.first.get().or(Some(address)));
        Ok(address)
    }

    /// The addresses that are open, the first one first.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let mut open = self.open.borrow_mut();
        open.retain(|_, task| !task.is_finished());
        let mut addresses: Vec<SocketAddr> = open.keys().copied().collect();
        addresses.sort_by_key(|address| Some(*address) != self.first.get());
        addresses
    }
}

fn router(calls: mpsc::Sender<Call>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/runbook", get(async || Html(runbook::page())))
        .with_state(calls)
}

async fn metrics(State(calls): State<mpsc::Sender<Call>>) -> Response {
    let (reply, answer) = oneshot::channel();
    let asked = calls.send(Call {
        ask: Ask::Metrics,
        reply,
    });
    let gone = || StatusCode::SERVICE_UNAVAILABLE.into_response();
    if asked.await.is_err() {
        return gone();
    }
    match answer.await {
        Ok(Ok(Value::String(text))) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Ok(_) | Err(_) => gone(),
    }
}
