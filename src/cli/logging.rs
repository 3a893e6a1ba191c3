//! Logs on standard error, as text or JSON.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Sets what is logged from now on.
pub(super) struct Filters(reload::Handle<EnvFilter, Registry>);

impl Filters {
    /// Another filter; one that is none changes nothing.
    pub(super) fn set(&self, filter: &str) {
        if let Ok(filter) = EnvFilter::try_new(filter) {
            // Only a subscriber that is gone cannot be told.
            drop(self.0.reload(filter));
        }
    }
}

/// Starts logging; `filter` is a level (`info`, `debug`) or a list such as
/// `info,grayflag::source=debug`. A second start changes nothing.
pub(super) fn start(filter: &str, format: LogFormat) -> Result<Filters, super::Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|problem| {
        super::Failure::could_not(format!(
            "cannot use log filter `{filter}`: {problem}\nhint: for example `info` or \
             `info,grayflag::source=debug`"
        ))
    })?;
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
    // Only a second start in one process fails, and that one is set up already.
    drop(started);
    Ok(Filters(handle))
}
