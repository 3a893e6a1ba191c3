//! `grayflag check`: says everything that is wrong with a configuration and its rules.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use clap::{Args, ValueEnum};

use super::progress::Progress;
use super::unread::Unread;
use super::{Failure, check_backend, load};
use crate::clock;
use crate::config::{self, ConfigError, Loaded, Machine, World};
use crate::problem::count;
use crate::source::Prometheus;

pub(super) const HELP: &str = "\
Examples:
  grayflag check
  grayflag check --backend
  grayflag check --backend --format json | jq '.queries[] | select(.problems != [])'

Errors are what cannot be used. Warnings are what does not do all that its author hopes: labels that
a query cannot give, counters whose rate nobody takes, causes that no signal would show, routes that
nothing reaches. With --backend, every query is asked once over the last hour: how many series and
services it has, what it costs, and what is wrong with its values.

Exit status: 0 it can be used, 1 errors, or a query that the backend refuses or whose rows name no
service, 2 could not be done.";

/// What is checked, and how it is told.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Ask the backend every query too, and say what each gives and what is wrong with it
    #[arg(long)]
    backend: bool,
    /// How the backend's answers are told
    #[arg(long, value_enum, default_value_t = Format::Text, requires = "backend")]
    format: Format,
}

/// How answers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one object; problems of files go to standard error.
    Json,
}

/// Runs the command.
pub(super) async fn run(path: &Path, args: &CheckArgs) -> Result<(), Failure> {
    let mut out = Unread::new(io::stdout());
    let told = |problem| match problem {
        CheckError::Write(problem) => Failure::from(problem),
        problem @ CheckError::Config(_) => Failure::of(problem),
    };
    let verdict = match args.format {
        Format::Text => check(path, &Machine, &mut out, io::stdout().is_terminal()),
        Format::Json => check(path, &Machine, &mut io::stderr(), io::stderr().is_terminal()),
    };
    let verdict = verdict.map_err(told)?;
    if verdict.exit_status() != 0 {
        return Err(Failure::silent(verdict.exit_status()));
    }
    if !args.backend {
        return Ok(());
    }
    let config = load(path)?;
    let source = Prometheus::new(config.source.clone()).map_err(Failure::of)?;
    let now = clock::now() - config.poll.settle;
    let mut progress = Progress::quiet();
    let report = check_backend::check(&config, &source, now, &mut progress).await;
    progress.end();
    let report = report.map_err(Failure::of)?;
    report.write(args.format, &mut out)?;
    if report.is_useful() { Ok(()) } else { Err(Failure::silent(1)) }
}

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
    let mut loaded = config::load(config_path, world)?;
    loaded.problems.extend(std::mem::take(&mut loaded.advice.problems));
    out.write_all(loaded.problems.render(colour).as_bytes())?;
    for note in &loaded.advice.notes {
        writeln!(out, "note: {note}\n")?;
    }
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
