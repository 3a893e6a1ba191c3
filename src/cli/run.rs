//! `grayflag run`: the daemon.

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::logging::{self, LogFormat};
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::{self, Limits};
use crate::time::Timestamp;

/// Options of `grayflag run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Live through the past from here, as fast as the backend answers, instead of now
    #[arg(long, value_name = "TIME")]
    rehearse: Option<Timestamp>,
    /// Stop after this tick, once everything is delivered
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// What to log: a level, or a list such as `info,grayflag::source=debug`
    #[arg(long, value_name = "FILTER", env = "GRAYFLAG_LOG", default_value = "info")]
    log: String,
    /// How to write log lines
    #[arg(long, value_name = "FORMAT", env = "GRAYFLAG_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// Runs until stopped.
///
/// # Errors
///
/// What keeps it from starting, and a state file that cannot be written.
pub async fn run(config: Config, args: RunArgs, stop: CancellationToken) -> Result<(), Failure> {
    logging::start(&args.log, args.log_format)?;
    if let (Some(from), Some(to)) = (args.rehearse, args.to)
        && to < from
    {
        return Err(Failure::could_not(format!(
            "cannot run from {from} to {to}: that is backwards"
        )));
    }
    let clock = args.rehearse.map_or(Clock::Real, Clock::rehearsal);
    let limits = Limits { from: args.rehearse, to: args.to };
    daemon::run(config, clock, limits, stop).await.map_err(Failure::of)
}
