//! `grayflag check`: says everything that is wrong with a configuration and its rules.

use std::io::{self, Write};
use std::path::Path;

use crate::config::{self, ConfigError, Loaded, World};
use crate::problem::count;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong.
    Fine,
    /// It can be used, but does not do all that its author hopes.
    Warnings,
    /// It cannot be used.
    Errors,
}

impl Verdict {
    /// The exit status of the command.
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Fine | Self::Warnings => 0,
            Self::Errors => 1,
        }
    }
}

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The report cannot be written.
    #[error("cannot write the report")]
    Write(#[from] io::Error),
}

/// Checks a configuration and the rule files that it names, and writes every problem with its
/// place and remedy, then one line that sums up.
///
/// # Errors
///
/// Returns an error if the configuration cannot be read or the report cannot be written.
pub fn check(
    config_path: &Path,
    world: &dyn World,
    out: &mut dyn Write,
    colour: bool,
) -> Result<Verdict, CheckError> {
    let loaded = config::load(config_path, world)?;
    out.write_all(loaded.problems.render(colour).as_bytes())?;
    writeln!(out, "{}", summary(&loaded))?;
    Ok(if loaded.problems.has_errors() {
        Verdict::Errors
    } else if loaded.problems.is_empty() {
        Verdict::Fine
    } else {
        Verdict::Warnings
    })
}

/// `checked 1 config and 2 rule files: 24 signals, 7 causes, 2 receivers; no problems`.
fn summary(loaded: &Loaded) -> String {
    let Some(config) = &loaded.config else { return loaded.problems.summary() };
    let problems = if loaded.problems.is_empty() {
        "no problems".to_owned()
    } else {
        loaded.problems.summary()
    };
    format!(
        "checked 1 config and {}: {}, {}, {}; {problems}",
        count(loaded.rule_files, "rule file"),
        count(config.rules.signals.len(), "signal"),
        count(config.rules.causes.len(), "cause"),
        count(config.receivers.len(), "receiver"),
    )
}
