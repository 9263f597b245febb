//! The engine's failures in the model's words. Pure.

use std::error::Error as _;

use bollard::errors::Error;

use crate::host::FailureKind;

/// Longest text of a failure: it goes into a log line, an event and a status.
const MAX_CHARS: usize = 400;

/// What kind of failure an error of the engine's client is.
pub fn classify(error: &Error) -> FailureKind {
    match error {
        Error::DockerResponseServerError { status_code, message } => of_answer(*status_code, message),
        Error::RequestTimeoutError
        | Error::IOError { .. }
        | Error::HyperResponseError { .. }
        | Error::HyperLegacyError { .. }
        | Error::SocketNotFoundError(_) => FailureKind::Unreachable,
        Error::URLParseError { .. } | Error::InvalidURIError { .. } | Error::URLEncodedError { .. } => {
            FailureKind::Invalid
        }
        _ => FailureKind::Other,
    }
}

fn of_answer(status_code: u16, message: &str) -> FailureKind {
    if taken_port(message).is_some() {
        return FailureKind::Conflict;
    }
    let is_about_state = message.contains("is not running") || message.contains("is paused");
    match status_code {
        404 => FailureKind::NotFound,
        409 if is_about_state => FailureKind::Other,
        // The engine says 403 when a network has endpoints.
        403 | 409 => FailureKind::Conflict,
        400 => FailureKind::Invalid,
        _ => FailureKind::Other,
    }
}

/// Whether the engine refused the version that was agreed with another engine behind the same socket.
pub(super) fn is_version_refused(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 400, message } if message.contains("client version"))
}

/// Whether what was acted on is not there.
pub(super) fn is_missing(error: &Error) -> bool {
    classify(error) == FailureKind::NotFound
}

/// What the engine answered; empty if it did not.
pub(super) fn answer(error: &Error) -> &str {
    match error {
        Error::DockerResponseServerError { message, .. } => message,
        _ => "",
    }
}

/// Why a call failed, in the engine's words where it said any.
pub(super) fn why(error: &Error, socket: &str) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => condense(message),
        Error::DockerStreamError { error } => condense(error),
        Error::SocketNotFoundError(_) => format!("there is no socket {socket}; is the Docker engine running?"),
        Error::RequestTimeoutError => "the engine did not answer in time".to_owned(),
        other => {
            let cause = root_cause(other);
            match cause.as_str() {
                text if text.contains("Permission denied") => {
                    format!("no permission for {socket}; run as root or as a member of the group docker")
                }
                text if text.contains("Connection refused") || text.contains("No such file") => {
                    format!("nothing listens on {socket}; is the Docker engine running?")
                }
                text => condense(text),
            }
        }
    }
}

fn root_cause(error: &Error) -> String {
    let mut last = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        last = source.to_string();
        next = source.source();
    }
    last
}

/// One line of bounded length.
pub(super) fn condense(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_CHARS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The host's port that the engine could not bind, if that is what it complains of. Its words changed over the years:
/// `Bind for 0.0.0.0:80 failed: port is already allocated`, `listen tcp4 0.0.0.0:80: bind: address already in use`,
/// `failed to bind host port for 0.0.0.0:80:172.17.0.2:80/tcp: address already in use`.
pub(super) fn taken_port(message: &str) -> Option<u16> {
    if !message.contains("port is already allocated") && !message.contains("address already in use") {
        return None;
    }
    message.match_indices(':').find_map(|(at, _)| {
        let follows_address = message[..at].ends_with(|c: char| c.is_ascii_digit() || c == ']' || c == ':');
        let digits: String = message[at + 1..].chars().take_while(char::is_ascii_digit).collect();
        follows_address.then(|| digits.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError {
            status_code,
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_taken_port_is_found_in_the_words_of_every_engine() {
        let messages = [
            "driver failed programming external connectivity on endpoint a (8f3c): Bind for 0.0.0.0:5433 failed: \
             port is already allocated",
            "driver failed programming external connectivity on endpoint a (8f3c): Error starting userland proxy: \
             listen tcp4 0.0.0.0:5433: bind: address already in use",
            "failed to bind host port for 0.0.0.0:5433:172.17.0.2:5432/tcp: address already in use",
            "failed to bind host port [::]:5433/tcp: address already in use",
            "listen tcp6 :::5433: bind: address already in use",
        ];
        for message in messages {
            assert_eq!(taken_port(message), Some(5433), "{message}");
            assert_eq!(classify(&answered(500, message)), FailureKind::Conflict);
        }
        assert_eq!(taken_port("Bind for 0.0.0.0:5433 failed: no such device"), None);
    }

    #[test]
    fn answers_are_told_apart_by_status_and_words() {
        assert_eq!(classify(&answered(404, "No such container: x")), FailureKind::NotFound);
        assert_eq!(
            classify(&answered(409, "Conflict. The name is in use")),
            FailureKind::Conflict
        );
        assert_eq!(
            classify(&answered(409, "Container x is not running")),
            FailureKind::Other
        );
        assert_eq!(
            classify(&answered(400, "invalid reference format")),
            FailureKind::Invalid
        );
        assert_eq!(classify(&Error::RequestTimeoutError), FailureKind::Unreachable);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(condense(" a\n\tb "), "a b");
        assert_eq!(condense(&"ü".repeat(500)).chars().count(), MAX_CHARS + 1);
    }
}
