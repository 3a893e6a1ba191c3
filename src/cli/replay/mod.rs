//! `grayflag replay`: the past through the same engine.

mod drive;
mod page;
mod rows;
mod sink;
mod text;
mod timeline;

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::instant::instant;
use super::progress::Progress;
use super::{Failure, truths};
use crate::config::Config;
use crate::scorecard::{Bounds, Comparison, Record, Scorecard, Truth};
use crate::time::Timestamp;
use page::Page;
use sink::Sink;

pub(super) use drive::{CacheArgs, Past, Replayed, settled_range};

/// The value of the `schema` field of what `--summary` writes.
const SUMMARY_SCHEMA: &str = "grayflag.replay/v1";

/// What `grayflag replay --help` ends with.
pub(super) const HELP: &str = "\
Examples:
  grayflag replay --from 2026-03-01T00:00:00Z --to 2026-03-08T00:00:00Z
  grayflag replay --from 1772323200 --to now --format jsonl --output alerts.jsonl
  grayflag replay --from … --to … --format html --output review.html --incidents incidents.toml
  grayflag replay --from … --to … --incidents incidents.toml --require 'caught>=0.9,lead>=30m'
  grayflag replay --from … --to … --against old/grayflag.toml

Learns from the history before --from (poll.history), gives no alerts for it, then gives what
`grayflag run` would have given from --from to --to. Touches neither store nor receivers.
Downloads are kept, so that a replay that was stopped, or one with other rules, asks only for what
is not there.

What can be required: caught, before_noticed, named, named_in_three (shares: 0.9 or 90%), lead,
delay (30m, -1h), missed, false_alerts, false_notices, and both of these with _per_week; each with
>= or <=, separated by commas. docs/replay.md says how each is measured.

Exit status: 0 done, 1 a bound of --require is missed, 2 could not be done.";

/// Options of `grayflag replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// First instant that may alert (RFC 3339, Unix seconds or `now`)
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Timestamp,
    /// Last instant; `now` for the newest that has settled
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Timestamp,
    /// How to tell the alerts
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write the alerts here instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write how every series stood at every tick, as CSV
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Score the replay against what really happened (incidents.toml)
    #[arg(long, value_name = "FILE")]
    incidents: Option<PathBuf>,
    /// Fail unless the scorecard keeps these bounds, such as 'caught>=0.9,lead>=30m'
    #[arg(long, value_name = "BOUNDS", requires = "incidents")]
    require: Option<Bounds>,
    /// Compare with the rules of another configuration over the same range
    #[arg(long, value_name = "CONFIG")]
    against: Option<PathBuf>,
    /// Write what was told, the scorecard and the comparison, as JSON
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheArgs,
}

/// How alerts are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As a person would get them
    Text,
    /// One JSON object a line, in order of time
    Jsonl,
    /// One page for a review, with charts
    Html,
}

/// What `--summary` writes.
#[derive(Serialize)]
struct Summary<'a> {
    schema: &'static str,
    told: &'a Record,
    scorecard: Option<&'a Scorecard>,
    comparison: Option<&'a Comparison>,
}

/// Replays and prints.
///
/// # Errors
///
/// A range that is none, a backend that cannot be read, a file that cannot be read or written, a
/// stop before the end, or a bound that is missed.
pub async fn run(config: Config, args: ReplayArgs, stop: CancellationToken) -> Result<(), Failure> {
    let range = settled_range(&config, args.from, args.to)?;
    let truths = match &args.incidents {
        Some(path) => truths::load(path, &config.rules)?,
        None => Vec::new(),
    };
    let other = args.against.as_deref().map(super::load).transpose()?;
    let mut sink = Sink::open(&args, config.poll.timezone.clone())?;
    let mut page = (args.format == Format::Html).then(|| Page::new(&config));
    let mut progress = Progress::quiet();
    let source = args.cache.source(&config)?;
    let past = Past { config: &config, source: &source, range, truths: &truths, stop: &stop };
    let replayed = Box::pin(past.replay(&mut progress, |ticked| {
        if let Some(page) = &mut page {
            page.take(ticked);
        }
        sink.take(ticked)
    }))
    .await?;
    let card = args.incidents.is_some().then(|| Scorecard::new(&truths, &replayed.record));
    let mut warnings = replayed.warnings;
    let comparison = match &other {
        Some(other) => {
            let source = args.cache.source(other)?;
            let past = Past { config: other, source: &source, ..past };
            let other = Box::pin(past.replay(&mut progress, |_| Ok(()))).await?;
            warnings.extend(other.warnings.iter().map(|warning| format!("the other: {warning}")));
            Some(compare((&replayed.record, card.as_ref()), &other.record, &truths))
        }
        None => None,
    };
    {
        let mut err = io::stderr().lock();
        for warning in &warnings {
            writeln!(err, "warning: {warning}")?;
        }
    }
    let results = Results {
        record: &replayed.record,
        scorecard: card.as_ref(),
        comparison: comparison.as_ref(),
    };
    match page {
        Some(page) => sink.finish_with(page.render(&results)?.as_bytes())?,
        None => sink.finish(&results)?,
    }
    if let Some(path) = &args.summary {
        write_summary(path, &results)?;
    }
    judge(args.require.as_ref(), card.as_ref())
}

/// What a replay came to.
struct Results<'a> {
    record: &'a Record,
    scorecard: Option<&'a Scorecard>,
    comparison: Option<&'a Comparison>,
}

fn compare(
    (record, card): (&Record, Option<&Scorecard>),
    other: &Record,
    truths: &[Truth],
) -> Comparison {
    let other_card = card.map(|_| Scorecard::new(truths, other));
    Comparison::new([record, other], card.zip(other_card.as_ref()).map(|(a, b)| [a, b]))
}

fn write_summary(path: &Path, results: &Results<'_>) -> Result<(), Failure> {
    let Results { record, scorecard, comparison } = *results;
    let summary = Summary { schema: SUMMARY_SCHEMA, told: record, scorecard, comparison };
    let mut file = create(path)?;
    serde_json::to_writer_pretty(&mut file, &summary).map_err(io::Error::from)?;
    writeln!(file)?;
    Ok(file.flush()?)
}

/// Says which bounds are missed, and fails if any is.
fn judge(bounds: Option<&Bounds>, card: Option<&Scorecard>) -> Result<(), Failure> {
    let Some((bounds, card)) = bounds.zip(card) else { return Ok(()) };
    let missed = bounds.missed(&card.figures, &card.budget);
    let mut err = io::stderr().lock();
    for line in &missed {
        writeln!(err, "missed: {line}")?;
    }
    if missed.is_empty() { Ok(()) } else { Err(Failure::silent(1)) }
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    File::create(path).map(BufWriter::new).map_err(|problem| {
        Failure::could_not(format!("cannot write `{}`: {problem}", path.display()))
    })
}
