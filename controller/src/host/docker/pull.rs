//! Fetches images.

use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::{Docker, errors};
use crate::host::{FailureKind, HostError};

/// How long a pull may show no progress. A pull as a whole has no deadline: images are large and lines are slow.
const SILENCE: Duration = Duration::from_secs(180);

/// Fetches an image from its registry.
pub(super) async fn pull(docker: &Docker, image: &str) -> Result<(), HostError> {
    let what = format!("pull image {image}");
    let engine = docker.reached(&what).await?;
    let options = CreateImageOptionsBuilder::new().from_image(&with_tag(image)).build();
    let mut progress = engine.create_image(Some(options), None, None);
    loop {
        match tokio::time::timeout(SILENCE, progress.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return Err(refused(docker, what, &error)),
            Err(_) => {
                let why = format!("it made no progress for {} s", SILENCE.as_secs());
                return Err(HostError::new(FailureKind::Other, what, why));
            }
        }
    }
}

fn refused(docker: &Docker, what: String, error: &Error) -> HostError {
    let words = match error {
        Error::DockerStreamError { error } => error.as_str(),
        Error::DockerResponseServerError { message, .. } => message,
        _ => return docker.failed(&what, error),
    };
    let (kind, why) = reason(words);
    HostError::new(kind, what, why)
}

/// What a registry's refusal means.
fn reason(words: &str) -> (FailureKind, String) {
    let said = errors::condense(words);
    let has = |needles: &[&str]| needles.iter().any(|needle| words.contains(needle));
    if has(&[
        "no such host",
        "connection refused",
        "i/o timeout",
        "network is unreachable",
        "Client.Timeout",
        "deadline exceeded",
    ]) {
        return (
            FailureKind::Other,
            format!("its registry cannot be reached from this host ({said})"),
        );
    }
    if has(&["pull access denied", "unauthorized", "authentication required"]) {
        return (
            FailureKind::NotFound,
            format!("the repository is missing, or needs a login; pull it by hand, or check the name ({said})"),
        );
    }
    if has(&["manifest unknown", "not found"]) {
        return (
            FailureKind::NotFound,
            format!("its registry has no such image ({said})"),
        );
    }
    if has(&["invalid reference format"]) {
        return (FailureKind::Invalid, said);
    }
    (FailureKind::Other, said)
}

/// Without a tag the engine would fetch every tag of the repository.
fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || image.contains('@') {
        return image.to_owned();
    }
    format!("{image}:latest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tag_becomes_latest() {
        assert_eq!(with_tag("postgres"), "postgres:latest");
        assert_eq!(with_tag("localhost:5000/postgres"), "localhost:5000/postgres:latest");
        assert_eq!(with_tag("localhost:5000/postgres:17"), "localhost:5000/postgres:17");
        assert_eq!(with_tag("postgres@sha256:ab"), "postgres@sha256:ab");
    }

    #[test]
    fn refusals_are_told_apart() {
        let kind = |words: &str| reason(words).0;
        assert_eq!(
            kind("manifest for postgres:99 not found: manifest unknown"),
            FailureKind::NotFound
        );
        assert_eq!(
            kind("dial tcp: lookup registry-1.docker.io: no such host"),
            FailureKind::Other
        );
        assert_eq!(
            kind("pull access denied for x, repository does not exist"),
            FailureKind::NotFound
        );
    }
}
