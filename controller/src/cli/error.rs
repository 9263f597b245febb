//! Why a command did not do what was asked, and the exit code that says so to a script.

use std::fmt;

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was tried and failed.
    Failed = 1,
    /// The arguments or the manifests are wrong.
    Invalid = 2,
    /// There is something to do (`plan`).
    Differences = 3,
    /// It would not be safe.
    Refused = 4,
    /// No agent listens.
    Unreachable = 5,
}

/// A command's failure: what a user reads, and what to do next.
#[derive(Debug)]
pub struct CommandError {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong; empty when all has been said.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl CommandError {
    /// A failure.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        CommandError {
            exit,
            message: message.into(),
            hint: None,
        }
    }

    /// A failure of which everything has been printed already.
    pub fn silent(exit: Exit) -> Self {
        CommandError::new(exit, "")
    }

    /// The same with what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  = help: {hint}"),
            None => Ok(()),
        }
    }
}

/// What a command comes to.
pub type CommandResult = Result<(), CommandError>;

/// Anything that was tried and failed.
pub fn failed(error: impl fmt::Display) -> CommandError {
    CommandError::new(Exit::Failed, error.to_string())
}
