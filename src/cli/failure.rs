//! Why a command did not succeed, and with which exit status that is told.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// A command that did not succeed.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    message: Option<String>,
}

impl Failure {
    /// The work could not be done: status 2 and one clear message.
    pub fn could_not(message: impl Into<String>) -> Self {
        Self { status: 2, message: Some(message.into()) }
    }

    /// The work could not be done because of `error`; its causes are told with it.
    pub fn of(error: impl Error) -> Self {
        let text = error.to_string();
        // The remedy stands last, behind the causes.
        let (said, hint) = text.split_once("\nhint:").map_or((&*text, None), |(s, h)| (s, Some(h)));
        let mut message = said.to_owned();
        let mut source = error.source();
        while let Some(cause) = source {
            let _ = write!(message, ": {cause}");
            source = cause.source();
        }
        if let Some(hint) = hint {
            let _ = write!(message, "\nhint:{hint}");
        }
        Self::could_not(message)
    }

    /// What was asked about is not as it should be: status 1 and one clear message.
    pub fn verdict(message: impl Into<String>) -> Self {
        Self { status: 1, message: Some(message.into()) }
    }

    /// What was checked is wrong, and has been said already.
    pub fn silent(status: u8) -> Self {
        Self { status, message: None }
    }

    /// Writes the message to standard error and gives the exit status.
    pub fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            // A closed standard error leaves nobody to tell.
            let _ = writeln!(io::stderr().lock(), "error: {message}");
        }
        ExitCode::from(self.status)
    }
}

impl From<io::Error> for Failure {
    /// A reader that has seen enough (`grayflag replay | head`) is no failure.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::silent(0)
        } else {
            Self::could_not(format!("cannot write: {error}"))
        }
    }
}
