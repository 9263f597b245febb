//! Has a program in a container look at files before anything else reads them.

use std::time::{SystemTime, UNIX_EPOCH};

use super::archive::{self, Packed};
use super::{Docker, Exec};
use crate::host::{FailureKind, HostError};
use crate::model::plan::FileCheck;

/// A complaint is one; other codes say that the program could not be run, or something else of it.
const COMPLAINT: i64 = 1;
/// Longer complaints are cut.
const MAX_CHARS: usize = 1000;

/// Puts the files aside and runs the program.
pub(super) async fn files(docker: &Docker, check: &FileCheck) -> Result<(), HostError> {
    let what = format!("check files in container {}", check.container);
    let packed: Vec<Packed> = check
        .files
        .iter()
        .map(|file| Packed {
            name: file.name.clone(),
            mode: file.mode,
            content: file.text.clone().into_bytes(),
        })
        .collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let tar = archive::pack(&check.directory, (0, 0), &packed, now)
        .map_err(|error| HostError::new(FailureKind::Invalid, what.as_str(), error.to_string()))?;
    archive::upload(docker, &check.container, tar).await?;
    let argv: Vec<&str> = check.command.iter().map(String::as_str).collect();
    let exec = Exec {
        argv: &argv,
        ..Exec::default()
    };
    let output = docker.exec(&check.container, exec).await?;
    let kind = match output.code {
        0 => return Ok(()),
        COMPLAINT => FailureKind::Invalid,
        _ => FailureKind::Other,
    };
    let said = output.stderr.lines().chain(output.stdout.lines()).map(str::trim);
    let lines: Vec<&str> = said.filter(|line| !line.is_empty()).collect();
    Err(HostError::new(
        kind,
        what,
        lines.join("; ").chars().take(MAX_CHARS).collect::<String>(),
    ))
}
