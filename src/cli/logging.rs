//! Logs on standard error, as text or JSON.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging; `filter` is a level (`info`, `debug`) or a list such as
/// `info,grayflag::source=debug`. A second start changes nothing.
pub(super) fn start(filter: &str, format: LogFormat) -> Result<(), super::Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|problem| {
        super::Failure::could_not(format!(
            "cannot use log filter `{filter}`: {problem}\nhint: for example `info` or \
             `info,grayflag::source=debug`"
        ))
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // Only a second start in one process fails, and that one is set up already.
    drop(started);
    Ok(())
}
