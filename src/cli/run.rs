//! `grayflag run`: the daemon.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::instant::instant;
use super::logging::{self, LogFormat};
use super::{Failure, load_recorded};
use crate::clock::Clock;
use crate::daemon::{self, Heed, Limits, Origin};
use crate::time::Timestamp;

/// Options of `grayflag run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Live through the past from here (RFC 3339 or Unix seconds), as fast as the backend answers,
    /// instead of now
    #[arg(long, value_name = "TIME", value_parser = instant)]
    rehearse: Option<Timestamp>,
    /// Stop after this tick (RFC 3339, Unix seconds or `now`), once everything is delivered
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// What to log: a level, or a list such as `info,grayflag::source=debug`; `log.filter` of the
    /// configuration unless told here
    #[arg(long, value_name = "FILTER", env = "GRAYFLAG_LOG")]
    log: Option<String>,
    /// How to write log lines
    #[arg(long, value_name = "FORMAT", env = "GRAYFLAG_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// Runs until stopped.
///
/// # Errors
///
/// What keeps it from starting, and a state file that cannot be written.
pub async fn run(path: PathBuf, args: RunArgs, stop: CancellationToken) -> Result<(), Failure> {
    let (config, read) = load_recorded(&path)?;
    let filter = args.log.as_deref().unwrap_or(&config.runtime.log);
    let filters = logging::start(filter, args.log_format)?;
    if let (Some(from), Some(to)) = (args.rehearse, args.to)
        && to < from
    {
        return Err(Failure::could_not(format!(
            "cannot run from {from} to {to}: that is backwards"
        )));
    }
    let clock = args.rehearse.map_or(Clock::Real, Clock::rehearsal);
    let limits = Limits { from: args.rehearse, to: args.to };
    let told = args.log.is_some();
    let heed: Heed = Arc::new(move |config| {
        if !told {
            filters.set(&config.runtime.log);
        }
    });
    let origin = Origin { path, read, heed };
    let running = daemon::run(config, clock, limits, stop, Some(origin));
    // Large, and made once.
    Box::pin(running).await.map_err(Failure::of)
}
