//! Plain HTTP to what runs in our own containers.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::model::Seen;

/// A program beside us that does not answer by then is not there.
const DEADLINE: Duration = Duration::from_secs(2);
/// Longer answers are not read.
const MAX_BYTES: usize = 8 << 20;

/// The body that `path` of a server has; absent when the server says that there is none.
pub(super) async fn get(authority: &str, path: &str) -> Seen<Vec<u8>> {
    let failed = |why: &dyn std::fmt::Display| Seen::Unknown(format!("{authority}{path}: {why}"));
    match tokio::time::timeout(DEADLINE, fetch(authority, path)).await {
        Ok(Ok((StatusCode::OK, body))) => Seen::Known(body.to_vec()),
        Ok(Ok((StatusCode::NOT_FOUND, _))) => Seen::Absent,
        Ok(Ok((status, _))) => failed(&status),
        Ok(Err(error)) => failed(&error),
        Err(_) => failed(&format!("no answer within {} s", DEADLINE.as_secs())),
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn fetch(authority: &str, path: &str) -> Result<(StatusCode, Bytes), Failure> {
    let stream = TcpStream::connect(authority).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header("host", authority)
        .body(Empty::<Bytes>::new())?;
    let talk = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await?;
        Ok((status, body.to_bytes()))
    };
    // The connection is driven from here: it ends with the answer.
    tokio::select! {
        answer = talk => answer,
        ended = connection => Err(ended.err().map_or_else(|| "it hung up".into(), Into::into)),
    }
}
