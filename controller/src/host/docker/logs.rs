//! The output of containers.

use std::ops::ControlFlow;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;

use super::{Docker, LOOK};
use crate::host::{FailureKind, HostError};
use crate::model::Seen;

/// Most text that a tail returns: a line may be of any length, and this goes into a status.
const MAX_TAIL_BYTES: usize = 64 << 10;

/// Which of its streams a container wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Its standard output, or its terminal.
    Stdout,
    /// Its standard error.
    Stderr,
}

impl Docker {
    /// Hands out a container's output piece by piece: the last `tail` lines (all for `None`), then what follows, if
    /// `follow` is set, until the container stops or `on_chunk` breaks. Drop the future to end it early.
    pub async fn logs(
        &self,
        container: &str,
        tail: Option<u32>,
        follow: bool,
        mut on_chunk: impl FnMut(LogStream, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), HostError> {
        let what = format!("read the log of container {container}");
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .follow(follow)
            .tail(&tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string()))
            .build();
        let engine = self.reached(&what).await?;
        let mut chunks = engine.logs(container, Some(options));
        // A quiet container is no failure, so a log that is followed has no deadline.
        let patience = if follow { Duration::MAX } else { LOOK };
        loop {
            let next = tokio::time::timeout(patience, chunks.next()).await;
            let Some(chunk) = next.unwrap_or(Some(Err(Error::RequestTimeoutError))) else {
                return Ok(());
            };
            let chunk = chunk.map_err(|error| self.failed(&what, &error))?;
            let stream = match chunk {
                LogOutput::StdErr { .. } => LogStream::Stderr,
                LogOutput::StdOut { .. } | LogOutput::StdIn { .. } | LogOutput::Console { .. } => LogStream::Stdout,
            };
            if on_chunk(stream, chunk.as_ref()).is_break() {
                return Ok(());
            }
        }
    }
}

/// The last lines of a container's log.
pub(super) async fn tail(docker: &Docker, container: &str, lines: u32) -> Seen<String> {
    let mut text = Vec::new();
    let collected = docker.logs(container, Some(lines), false, |_, chunk| {
        text.extend_from_slice(chunk);
        ControlFlow::Continue(())
    });
    match tokio::time::timeout(LOOK, collected).await {
        Ok(Ok(())) => Seen::Known(last_bytes(&text)),
        Ok(Err(error)) if error.kind == FailureKind::NotFound => Seen::Absent,
        Ok(Err(error)) => Seen::Unknown(error.to_string()),
        Err(_) => Seen::Unknown(format!("the log of container {container} did not come in time")),
    }
}

fn last_bytes(text: &[u8]) -> String {
    let from = text.len().saturating_sub(MAX_TAIL_BYTES);
    String::from_utf8_lossy(&text[from..]).into_owned()
}
