//! `grayflag retro`: the post-incident review.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::instant::instant;
use super::progress::Progress;
use super::{Failure, truths};
use crate::clock;
use crate::config::Config;
use crate::coverage::{Coverage, ask, coverage};
use crate::daemon::settings;
use crate::engine::archive::MemoryArchive;
use crate::notify::view::clean;
use crate::replay::Driver;
use crate::retro::{
    Case, Noticed, Record, Review, Subject, Watched, Witness, html, markdown, review,
};
use crate::scorecard;
use crate::source::Prometheus;
use crate::store::{Store, StoreError};
use crate::time::{Span, Timestamp};

/// The time around the instant may be this long: more is a replay.
const WINDOW_MAX: Span = Span::from_hours(24 * 14);
/// An incident of the file is meant where its onset or end lies this near to the instant.
const FILE_NEAR: Span = Span::from_hours(6);

/// What `--help` says after the options.
pub(super) const HELP: &str = "\
Examples:
  grayflag retro --at 2026-03-02T11:00:00Z
  grayflag retro --at 2026-03-02T11:00:00Z --service checkout --noticed 2026-03-02T13:49:00Z
  grayflag retro --at 2026-03-02T11:00:00Z --format html --output review.html

Learns from the history before, replays the time around --at with today's rules, and writes what
was known when, with how long that was before users noticed (--noticed, --incidents, or signals
beyond the objective). Where there is a state file, what was really told, delivered and said is in
it too, and every line says how it is known. Changes nothing.

Exit status: 0 written, 2 could not be done.";

/// Options of `grayflag retro`.
#[derive(Debug, Args)]
pub struct RetroArgs {
    /// An instant of the incident (RFC 3339, Unix seconds or `now`)
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Timestamp,
    /// The service that it is about; else what was under way, or strongest
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// How long before it to begin
    #[arg(long, value_name = "DURATION", default_value = "6h")]
    before: Span,
    /// How long after it to end
    #[arg(long, value_name = "DURATION", default_value = "6h")]
    after: Span,
    /// When users noticed, if that is known (RFC 3339, Unix seconds or `now`)
    #[arg(long, value_name = "TIME", value_parser = instant)]
    noticed: Option<Timestamp>,
    /// What really happened: says when users noticed
    #[arg(long, value_name = "FILE")]
    incidents: Option<PathBuf>,
    /// How to lay it out
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    format: Format,
    /// Write it here instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For tickets and wikis
    Markdown,
    /// One page without outside parts
    Html,
}

/// Replays the time around an instant and writes the review of what was under way.
///
/// # Errors
///
/// A time that has not come or a service that was not seen, a backend or file that cannot be read,
/// an output that cannot be written, or a stop before the end.
pub async fn run(
    config: Config,
    args: RetroArgs,
    stop: CancellationToken,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let [from, to] = window(&config, &args)?;
    // Before hours of replay: what is wrong with it is told at once.
    let truths = args.incidents.as_deref().map(|path| truths::load(path, &config.rules));
    let truths = truths.transpose()?;
    let store = open_store(&config)?;
    let source = Prometheus::new(config.source.clone()).map_err(Failure::of)?;
    let archive = Box::<MemoryArchive>::default();
    let rules = Arc::new(config.rules.clone());
    let mut driver = Driver::new(rules, settings(&config, from), archive);
    driver.outside().annotations(&config.annotations).map_err(Failure::of)?;
    if let Some(store) = &store {
        // Deploys that were posted are part of what was known.
        let posted = store.changes_after(0).map_err(Failure::of)?;
        driver.outside().post(posted);
    }
    let watched = replay(&mut driver, &source, [from, to], &stop).await?;
    for warning in driver.warnings().iter().chain(driver.news()) {
        eprintln(&format!("warning: {warning}"))?;
    }
    let subject = Subject::choose(&watched, args.at, args.service.as_deref())
        .ok_or_else(|| no_subject(&watched, args.service.as_deref()))?;
    let noticed = args
        .noticed
        .map(|at| Noticed { at, by: Witness::Asked })
        .or_else(|| from_file(&truths.unwrap_or_default(), &subject, args.at));
    let record = store.map(|store| recall(&store, &subject, subject.span(&watched))).transpose();
    let case = Case {
        at: args.at,
        rules: &config.rules,
        zone: &config.poll.timezone,
        chart: driver.engine().chart(&subject.shown),
        noticed,
        record: record.map_err(Failure::of)?,
        coverage: measured(&config, &source, args.at).await?,
        subject,
    };
    write(&review(&case, &watched), &args, out)
}

/// What is replayed: no longer than the data is there.
fn window(config: &Config, args: &RetroArgs) -> Result<[Timestamp; 2], Failure> {
    let now = clock::now();
    if args.at > now {
        let at = args.at;
        return Err(Failure::could_not(format!(
            "cannot look back at {at}: it is {now} now\nhint: --at is an instant of an incident that \
             has begun"
        )));
    }
    if args.before + args.after > WINDOW_MAX {
        let (before, after) = (args.before, args.after);
        return Err(Failure::could_not(format!(
            "--before {before} and --after {after} are more than {WINDOW_MAX}\nhint: `grayflag \
             replay` looks at longer times"
        )));
    }
    let (from, settled) = (args.at - args.before, now - config.poll.settle);
    if settled < from {
        return Err(Failure::could_not(format!(
            "cannot look back from {from} on: nothing has settled since\nhint: a longer --before"
        )));
    }
    Ok([from, (args.at + args.after).min(settled)])
}

/// The state file, if there is one.
fn open_store(config: &Config) -> Result<Option<Store>, Failure> {
    match Store::open_beside(&config.store.path) {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::Missing { .. }) => Ok(None),
        Err(other) => Err(Failure::of(other)),
    }
}

async fn replay(
    driver: &mut Driver,
    source: &Prometheus,
    [from, to]: [Timestamp; 2],
    stop: &CancellationToken,
) -> Result<Watched, Failure> {
    let mut watched = Watched::new(from);
    let first = driver.next_tick();
    let seconds = |span: Span| u64::try_from(span.as_secs()).unwrap_or(0);
    let mut progress = Progress::quiet();
    progress.begin("learning and replaying", seconds(to - first));
    let read = driver.advance(source, to, |ticked| {
        progress.reach(seconds(ticked.at - first));
        if !ticked.learning {
            watched.take(ticked.at, ticked.engine, ticked.outcome);
        }
        !stop.is_cancelled()
    });
    let read = stop.run_until_cancelled(read).await;
    progress.end();
    read.unwrap_or(Ok(())).map_err(Failure::of)?;
    if stop.is_cancelled() {
        return Err(Failure::could_not("stopped before the end; nothing was written"));
    }
    watched.end(driver.engine());
    Ok(watched)
}

fn no_subject(watched: &Watched, wanted: Option<&str>) -> Failure {
    let known: Vec<&str> = watched.courses.all.keys().map(String::as_str).take(12).collect();
    match wanted {
        Some(wanted) if !known.is_empty() => Failure::could_not(format!(
            "no signal had data of the service `{}` in this time\nhint: services that had: {}",
            clean(wanted),
            clean(&known.join(", "))
        )),
        _ => Failure::could_not(
            "no signal returned a single series in this time\nhint: `grayflag check --backend` tries \
             every query",
        ),
    }
}

fn eprintln(line: &str) -> Result<(), Failure> {
    writeln!(std::io::stderr().lock(), "{line}").map_err(Failure::from)
}

/// When users noticed the incident of the file that is meant.
fn from_file(truths: &[scorecard::Truth], subject: &Subject, at: Timestamp) -> Option<Noticed> {
    let near = |truth: &&scorecard::Truth| {
        let end = truth.end.unwrap_or(truth.onset).max(truth.onset);
        truth.onset - FILE_NEAR <= at && at <= end + FILE_NEAR
    };
    let mine = truths.iter().filter(|truth| subject.services.contains(&truth.service));
    let meant = mine.filter(near).min_by_key(|truth| (truth.onset - at).as_millis().abs())?;
    Some(Noticed { at: meant.noticed?, by: Witness::File })
}

/// What the state file remembers of the services in question, while it went on.
fn recall(
    store: &Store,
    subject: &Subject,
    [from, to]: [Timestamp; 2],
) -> Result<Record, StoreError> {
    let mut alerts = store.open_at(from)?;
    alerts.extend(store.alerts_between(from, to + Span::SECOND)?);
    alerts.retain(|alert| alert.services.iter().any(|name| subject.services.contains(name)));
    let mut incidents: Vec<&str> = alerts.iter().map(|alert| alert.incident.as_str()).collect();
    incidents.sort_unstable();
    incidents.dedup();
    let mut record = Record::default();
    for incident in incidents {
        record.messages.extend(store.messages_about(incident, to)?);
        let word = store.acknowledged(incident)?;
        record.acknowledged.extend(word.map(|word| (incident.to_owned(), word)));
        let said = store.feedback_of(incident)?;
        record.said.extend(said.into_iter().map(|said| (incident.to_owned(), said.into())));
    }
    record.alerts = alerts;
    Ok(record)
}

/// What was measured of each service at the time; none where the backend no longer knows.
async fn measured(
    config: &Config,
    source: &Prometheus,
    at: Timestamp,
) -> Result<Option<Coverage>, Failure> {
    let mut progress = Progress::quiet();
    progress.begin("asking for signals", config.rules.signals.len() as u64);
    let rows = ask(source, &config.rules, at, |done| progress.reach(done)).await;
    progress.end();
    match rows {
        Ok(rows) => Ok(Some(coverage(&config.rules, rows, at, None))),
        Err(problem) => {
            eprintln(&format!("warning: what was measured is not known: {problem}"))?;
            Ok(None)
        }
    }
}

fn write(review: &Review, args: &RetroArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let text = match args.format {
        Format::Markdown => markdown(review),
        Format::Html => html(review).map_err(Failure::of)?,
    };
    match &args.output {
        None => out.write_all(text.as_bytes()).map_err(Failure::from),
        Some(path) => std::fs::write(path, text).map_err(|problem| {
            Failure::could_not(format!("cannot write `{}`: {problem}", path.display()))
        }),
    }
}
