//! What went wrong with a server, in the two vocabularies in which it is passed on. SQLSTATEs are those of PostgreSQL's
//! documentation, appendix A.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::host::{FailureKind, HostError};
use crate::model::SecretRef;
use crate::model::postgres::{Down, PORT_CLOSED};

/// Why a server was not asked, or gave no answer.
#[derive(Debug)]
pub enum Trouble {
    /// The password for it cannot be had.
    Secret(HostError),
    /// There is no such password any more.
    Forgotten(SecretRef),
    /// The connection or the server failed.
    Client(tokio_postgres::Error),
    /// It took longer than this.
    Late(Duration),
    /// It answered something that is not understood.
    Unreadable(String),
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        Trouble::Client(error)
    }
}

impl Trouble {
    /// The state that it tells of a server.
    pub fn down(&self) -> (Down, String) {
        let down = match self {
            Trouble::Late(_) => Down::NoAnswer,
            // Neither tells anything against the server.
            Trouble::Secret(_) | Trouble::Unreadable(_) => Down::Errors,
            // A new one has to be made and set, as if somebody had changed it.
            Trouble::Forgotten(_) => Down::PasswordUnknown,
            Trouble::Client(error) => match error.as_db_error() {
                Some(answer) => by_state(answer.code(), answer.message()),
                None if is_refused(error) => {
                    return (Down::StartingUp, PORT_CLOSED.to_owned());
                }
                None => Down::NoAnswer,
            },
        };
        let words = self.words();
        match (down, self) {
            (Down::Errors, Trouble::Client(_)) => (down, format!("it answers, with an error: {words}")),
            _ => (down, words),
        }
    }

    /// The failure of a statement; `what` says which and where.
    pub fn host_error(&self, what: String) -> HostError {
        let kind = match self {
            Trouble::Secret(error) => error.kind,
            Trouble::Late(_) => FailureKind::Unreachable,
            Trouble::Unreadable(_) => FailureKind::Other,
            Trouble::Forgotten(_) => FailureKind::NotFound,
            Trouble::Client(_) if self.breaks_connection() => FailureKind::Unreachable,
            Trouble::Client(error) => error.code().map_or(FailureKind::Other, kind_of),
        };
        HostError::new(kind, what, self.words())
    }

    /// Whether the connection is of no use any more. Another one may be.
    pub fn breaks_connection(&self) -> bool {
        match self {
            Trouble::Client(error) => error
                .code()
                .is_none_or(|code| code.code().starts_with("57P") || class(code) == "08"),
            _ => false,
        }
    }

    /// Whether the server understood, and declined for a reason that lies in what it was asked (not in its own
    /// state: class 53, resources; class 57, an administrator or a timeout).
    pub fn is_refusal(&self) -> bool {
        match self {
            Trouble::Client(error) => error
                .code()
                .is_some_and(|code| !matches!(class(code), "08" | "53" | "57")),
            _ => false,
        }
    }

    /// Whether there is no such database, or it takes no connections.
    pub fn is_about_database(&self) -> bool {
        self.is(&SqlState::INVALID_CATALOG_NAME) || self.is(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE)
    }

    /// Whether it may be that something that only newer servers have keeps others from logging in.
    pub fn may_be_of_newer(&self) -> bool {
        match self {
            Trouble::Late(_) => true,
            Trouble::Client(error) => error.code().is_some_and(|code| {
                let is_timeout = code.code() == "25P04";
                is_timeout || !matches!(class(code), "08" | "28" | "3D" | "53" | "55" | "57")
            }),
            Trouble::Secret(_) | Trouble::Forgotten(_) | Trouble::Unreadable(_) => false,
        }
    }

    /// Whether it is the server's error of this code.
    pub fn is(&self, state: &SqlState) -> bool {
        matches!(self, Trouble::Client(error) if error.code() == Some(state))
    }

    /// It in words that a user reads.
    pub fn words(&self) -> String {
        match self {
            Trouble::Secret(error) => format!("its password cannot be read: {}", error.why),
            Trouble::Forgotten(secret) => format!("its password is not known any more: {secret} does not exist"),
            Trouble::Late(limit) => format!("it did not answer within {} s", limit.as_secs()),
            Trouble::Unreadable(why) => format!("its answer is not understood: {why}"),
            Trouble::Client(error) => words(error),
        }
    }
}

/// SQLSTATE 57P03 has one code for starting and for stopping. Only the message tells them apart, and it is translated
/// where `lc_messages` is; then it counts as starting, which is asked again soonest.
fn by_state(state: &SqlState, message: &str) -> Down {
    match state.code() {
        "57P03" if message.contains("shutting down") => Down::ShuttingDown,
        "57P03" => Down::StartingUp,
        "57P01" | "57P02" => Down::ShuttingDown,
        "28P01" | "28000" => Down::PasswordRejected,
        _ => Down::Errors,
    }
}

fn kind_of(state: &SqlState) -> FailureKind {
    match class(state) {
        // 0A is what an extension gives that the image does not have.
        "0A" | "22" | "42" => FailureKind::Invalid,
        _ => FailureKind::Other,
    }
}

fn class(state: &SqlState) -> &str {
    state.code().get(..2).unwrap_or_default()
}

fn is_refused(error: &tokio_postgres::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
}

/// The server's message, detail and hint; else the chain of causes.
fn words(error: &tokio_postgres::Error) -> String {
    if let Some(answer) = error.as_db_error() {
        let parts = [Some(answer.message()), answer.detail(), answer.hint()];
        let parts = parts.into_iter().flatten().map(|part| part.trim_end_matches('.'));
        return parts.collect::<Vec<_>>().join("; ");
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Trouble, by_state, kind_of};
    use crate::host::{FailureKind, HostError};
    use crate::model::postgres::Down;
    use std::time::Duration;
    use tokio_postgres::error::SqlState;

    #[test]
    fn a_state_tells_what_the_server_is_doing() {
        let state = |code, message| by_state(&SqlState::from_code(code), message);
        assert_eq!(state("57P03", "the database system is starting up"), Down::StartingUp);
        assert_eq!(
            state("57P03", "the database system is in recovery mode"),
            Down::StartingUp
        );
        assert_eq!(
            state("57P03", "the database system is shutting down"),
            Down::ShuttingDown
        );
        assert_eq!(state("57P01", ""), Down::ShuttingDown);
        assert_eq!(state("57P02", ""), Down::ShuttingDown);
        assert_eq!(state("28P01", ""), Down::PasswordRejected);
        assert_eq!(state("28000", ""), Down::PasswordRejected);
        assert_eq!(state("53300", "sorry, too many clients already"), Down::Errors);
        assert_eq!(state("3D000", "database \"postgres\" does not exist"), Down::Errors);
        assert_eq!(state("XX000", ""), Down::Errors, "whatever it is, it is an answer");
    }

    #[test]
    fn an_input_that_stays_wrong_is_told_from_bad_luck() {
        assert_eq!(kind_of(&SqlState::UNDEFINED_OBJECT), FailureKind::Invalid);
        assert_eq!(kind_of(&SqlState::FEATURE_NOT_SUPPORTED), FailureKind::Invalid);
        assert_eq!(kind_of(&SqlState::OBJECT_IN_USE), FailureKind::Other);
        assert_eq!(kind_of(&SqlState::QUERY_CANCELED), FailureKind::Other);
    }

    #[test]
    fn a_lateness_is_no_answer_and_a_missing_secret_says_nothing_of_the_server() {
        let late = Trouble::Late(Duration::from_secs(3));
        assert_eq!(late.down(), (Down::NoAnswer, "it did not answer within 3 s".to_owned()));
        assert_eq!(late.host_error("promote".to_owned()).kind, FailureKind::Unreachable);
        let secret = Trouble::Secret(HostError::new(FailureKind::NotFound, "read PW", "it is not set"));
        assert_eq!(
            secret.down(),
            (Down::Errors, "its password cannot be read: it is not set".to_owned())
        );
        assert_eq!(secret.host_error("promote".to_owned()).kind, FailureKind::NotFound);
    }
}
