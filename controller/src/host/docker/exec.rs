//! Runs programs inside containers. It costs about 50 ms, so it is for what nothing else can do.

use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Docker;
use crate::host::HostError;

/// A hung program must not hold a pass up.
const DEADLINE: Duration = Duration::from_secs(30);
/// Output beyond this is dropped.
const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// The engine notes an exit code a moment after the output ended.
const EXIT_POLL: Duration = Duration::from_millis(10);

/// A program to be run inside a container.
#[derive(Debug, Clone, Copy, Default)]
pub struct Exec<'a> {
    /// The program and its arguments. Anybody on the host can read them: never a secret.
    pub argv: &'a [&'a str],
    /// `NAME=value`, in addition to the container's. The engine shows it to whoever asks: never a secret.
    pub env: &'a [&'a str],
    /// What it reads; `None` for nothing.
    pub stdin: Option<&'a [u8]>,
    /// The user that it runs as; empty for the container's.
    pub user: &'a str,
}

/// What a program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit code; 126 and 127 if it could not be run.
    pub code: i64,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

impl Docker {
    /// Runs a program inside a running container and waits for its end. Past the deadline it is left to itself.
    pub async fn exec(&self, container: &str, exec: Exec<'_>) -> Result<ExecOutput, HostError> {
        let program = exec.argv.first().copied().unwrap_or_default();
        let what = format!("run {program} in container {container}");
        self.call(&what, DEADLINE, async |engine| run(&engine, container, exec).await)
            .await
    }
}

async fn run(engine: &bollard::Docker, container: &str, exec: Exec<'_>) -> Result<ExecOutput, Error> {
    let options = CreateExecOptions {
        attach_stdin: Some(exec.stdin.is_some()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(exec.argv.to_vec()),
        env: Some(exec.env.to_vec()),
        user: Some(exec.user),
        ..CreateExecOptions::default()
    };
    let id = engine.create_exec(container, options).await?.id;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    if let StartExecResults::Attached { output, mut input } = engine.start_exec(&id, None).await? {
        // Both at once: a program that writes much before it has read all would block for ever.
        let (_, collected) = tokio::join!(feed(&mut input, exec.stdin), collect(output, &mut stdout, &mut stderr));
        collected?;
    }
    let code = exit_code(engine, &id).await?;
    Ok(ExecOutput {
        code,
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

/// Writes and closes. A program that ended before it read all says so by its exit code.
async fn feed(input: &mut Pin<Box<dyn AsyncWrite + Send>>, stdin: Option<&[u8]>) {
    if let Some(bytes) = stdin
        && input.write_all(bytes).await.is_ok()
    {
        let _ = input.shutdown().await;
    }
}

async fn collect(
    mut output: impl Stream<Item = Result<LogOutput, Error>> + Unpin,
    stdout: &mut Vec<u8>,
    stderr: &mut Vec<u8>,
) -> Result<(), Error> {
    while let Some(chunk) = output.next().await {
        let chunk = chunk?;
        let target: &mut Vec<u8> = match chunk {
            LogOutput::StdErr { .. } => stderr,
            LogOutput::StdOut { .. } | LogOutput::StdIn { .. } | LogOutput::Console { .. } => stdout,
        };
        let room = MAX_OUTPUT_BYTES.saturating_sub(target.len());
        target.extend(chunk.as_ref().iter().take(room));
    }
    Ok(())
}

async fn exit_code(engine: &bollard::Docker, id: &str) -> Result<i64, Error> {
    loop {
        let seen = engine.inspect_exec(id).await?;
        if let (Some(false), Some(code)) = (seen.running, seen.exit_code) {
            return Ok(code);
        }
        tokio::time::sleep(EXIT_POLL).await;
    }
}
