//! `grayflag feedback`, `grayflag acknowledge` and `grayflag incidents`: what people say about
//! incidents, beside a running daemon.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;

use super::Failure;
use super::table::write_table;
use crate::clock;
use crate::config::Config;
use crate::format;
use crate::notify::receiver::ReceiverConfig;
use crate::notify::view::clean;
use crate::problem::count;
use crate::series::Verdict;
use crate::store::{Acknowledged, Listed, Opinion, Store, Summary};
use crate::time::Timestamp;

/// Options of `grayflag feedback`.
#[derive(Debug, Args)]
pub struct FeedbackArgs {
    /// Id of the incident, as alerts and `grayflag incidents` show it
    incident: String,
    /// What it was worth
    #[arg(value_enum)]
    verdict: Word,
    /// Id of the true cause, where it was found: one of `rules/causes`
    #[arg(long, value_name = "ID")]
    cause: Option<String>,
    /// For other people
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Who says so
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
    by: Option<String>,
}

/// What an incident was worth.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Word {
    /// It was right to tell
    Useful,
    /// Nothing was wrong
    False,
    /// Something was unusual, and meant to be
    Expected,
    /// Another incident told the same already
    Duplicate,
}

/// Options of `grayflag acknowledge`.
#[derive(Debug, Args)]
pub struct AcknowledgeArgs {
    /// Id of the incident, as alerts and `grayflag incidents` show it
    incident: String,
    /// Who looks after it
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
    by: Option<String>,
}

/// Options of `grayflag incidents`.
#[derive(Debug, Args)]
pub struct IncidentsArgs {
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    /// How many, latest changed first
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

/// Writes down what a person says.
///
/// # Errors
///
/// An incident or a cause that does not exist, and a state file that cannot be written.
pub fn give(config: &Config, args: FeedbackArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let verdict = match args.verdict {
        Word::Useful => Verdict::Useful,
        Word::False => Verdict::False,
        Word::Expected => Verdict::Expected,
        Word::Duplicate => Verdict::Duplicate,
    };
    if let Some(cause) = &args.cause {
        let known = config.rules.causes.iter().map(|cause| cause.id.as_str());
        Opinion::check_cause(verdict, cause, known).map_err(Failure::of)?;
    }
    let opinion = Opinion {
        incident: args.incident,
        verdict,
        cause: args.cause,
        note: args.note,
        at: clock::now(),
        by: args.by,
    };
    let mut store = Store::open_beside(&config.store.path).map_err(Failure::of)?;
    store.give_feedback(&opinion).map_err(Failure::of)?;
    let Opinion { incident, verdict, cause, .. } = opinion;
    let cause = cause.map_or_else(String::new, |cause| format!(" ({cause})"));
    writeln!(out, "{incident}: {verdict}{cause}; the daemon hears it with its next tick")?;
    Ok(())
}

/// Writes down that somebody looks after an incident.
///
/// # Errors
///
/// An incident that does not exist, and a state file that cannot be written.
pub fn acknowledge(
    config: &Config,
    args: AcknowledgeArgs,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let AcknowledgeArgs { incident, by } = args;
    let now = clock::now();
    let pagers = ReceiverConfig::pagers(&config.receivers);
    let mut store = Store::open_beside(&config.store.path).map_err(Failure::of)?;
    let word = Acknowledged { at: now, by };
    let (word, new) = store.acknowledge(&incident, &word, &pagers).map_err(Failure::of)?;
    let before = if new { "" } else { " before" };
    let said = clean(&looked_after(&word, now, &config.poll.timezone));
    writeln!(out, "{incident}: acknowledged{before}, {said}")?;
    Ok(())
}

/// Since when an incident is looked after, and by whom.
fn looked_after(word: &Acknowledged, now: Timestamp, zone: &TimeZone) -> String {
    let by = word.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    format!("{}{by}", format::clock(word.at, now, zone))
}

fn cells(row: &Summary, now: Timestamp, zone: &TimeZone) -> [String; 8] {
    let lasted = row.ended_at.unwrap_or(now) - row.started_at;
    let cause = row.cause.as_deref().unwrap_or("none");
    let likely = row.probability.map_or_else(String::new, |p| format!(" {}", format::share(p)));
    // The newest word counts.
    let said = row.feedback.last().map_or_else(
        || "none".to_owned(),
        |said| match &said.cause {
            Some(cause) => format!("{} ({cause})", said.verdict),
            None => said.verdict.to_string(),
        },
    );
    let open = if row.ended_at.is_some() { "" } else { " so far" };
    [
        row.incident.clone(),
        row.severity.clone(),
        row.state.clone(),
        format::clock(row.started_at, now, zone),
        format!("{}{open}", lasted.rough()),
        format!("{cause}{likely}"),
        row.acknowledged.as_ref().map_or("no".to_owned(), |word| looked_after(word, now, zone)),
        said,
    ]
    .map(|cell| clean(&cell))
}

/// Lists the incidents that the state file holds, with what was said about them.
///
/// # Errors
///
/// A state file that cannot be read, or output that cannot be written.
pub fn list(config: &Config, args: &IncidentsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let store = Store::open_beside(&config.store.path).map_err(Failure::of)?;
    let Listed { incidents: rows, unreadable, last: _ } =
        store.summaries(args.limit, None).map_err(Failure::of)?;
    if unreadable > 0 {
        let what = count(unreadable, "incident");
        writeln!(io::stderr().lock(), "warning: {what} in the state file cannot be read")?;
    }
    if args.json {
        for row in &rows {
            writeln!(out, "{}", serde_json::to_string(row).map_err(Failure::of)?)?;
        }
    } else if rows.is_empty() {
        writeln!(out, "no incident was told yet")?;
    } else {
        let (now, zone) = (clock::now(), &config.poll.timezone);
        write_table(HEADS, rows.iter().map(|row| cells(row, now, zone)), out)?;
    }
    Ok(())
}

const HEADS: [&str; 8] =
    ["INCIDENT", "SEVERITY", "STATE", "STARTED", "LASTED", "CAUSE", "ACKNOWLEDGED", "FEEDBACK"];
