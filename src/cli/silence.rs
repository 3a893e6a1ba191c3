//! `grayflag silence`: what is kept from receivers for a while, beside a running daemon.

use std::collections::BTreeMap;
use std::io::Write;

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;

use super::Failure;
use super::instant::instant;
use super::table::write_table;
use crate::clock;
use crate::config::Config;
use crate::engine::alert::Severity;
use crate::format;
use crate::matcher::{Matcher, Pattern};
use crate::notify::view::clean;
use crate::problem::{did_you_mean, quoted};
use crate::store::{Draft, Silence, Store};
use crate::time::{Span, Timestamp};

/// Silences that `list` shows, at most.
const LISTED_MAX: u32 = 1_000;

/// What to do with silences.
#[derive(Debug, Subcommand)]
pub enum SilenceCommand {
    /// Keep alerts that match from everybody until an end
    Add(Box<AddArgs>),
    /// List the silences that are not over
    List(ListArgs),
    /// End a silence now; what it held goes out
    End {
        /// The number of the silence
        number: i64,
    },
}

/// Options of `grayflag silence add`. Alerts match that have one value of each option; `*` in a
/// value stands for any text.
#[derive(Debug, Args)]
pub struct AddArgs {
    #[command(flatten)]
    matching: MatchArgs,
    /// How much they matter: notice, warning, critical
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    severity: Vec<Severity>,
    /// Silence everything: without any other option that says what
    #[arg(long)]
    all: bool,
    /// For how long
    #[arg(long = "for", value_name = "DURATION", required_unless_present = "until")]
    lasts: Option<Span>,
    /// Until when (RFC 3339 or Unix seconds)
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "lasts")]
    until: Option<Timestamp>,
    /// From when on (RFC 3339 or Unix seconds); now without it
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    comment: String,
    /// Who says so
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
    by: Option<String>,
}

/// What alerts are like.
#[derive(Debug, Args)]
pub(super) struct MatchArgs {
    /// A service in the incident
    #[arg(long, value_name = "NAME")]
    pub(super) service: Vec<String>,
    /// The owner of a service in the incident
    #[arg(long, value_name = "NAME")]
    pub(super) owner: Vec<String>,
    /// Id of the leading cause
    #[arg(long, value_name = "ID")]
    pub(super) cause: Vec<String>,
    /// A signal that moved
    #[arg(long, value_name = "NAME")]
    pub(super) signal: Vec<String>,
    /// A label of a signal that moved, of the culprit or of the breakdown
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(super) label: Vec<(String, String)>,
}

/// Options of `grayflag silence list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Those that are over too, newest first
    #[arg(long)]
    all: bool,
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn severity(text: &str) -> Result<Severity, String> {
    let words = Severity::ALL.map(Severity::name);
    Severity::from_name(text)
        .ok_or_else(|| did_you_mean(text, words, "it can be").unwrap_or_default())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    let pair = pair.ok_or_else(|| "write NAME=VALUE, for example `tenant=acme`".to_owned())?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

/// Does what was asked for.
///
/// # Errors
///
/// A silence that cannot be made or does not exist, and a state file that cannot be used.
pub fn run(config: &Config, command: SilenceCommand, out: &mut dyn Write) -> Result<(), Failure> {
    let mut store = Store::open_beside(&config.store.path).map_err(Failure::of)?;
    let (now, zone) = (clock::now(), &config.poll.timezone);
    match command {
        SilenceCommand::Add(args) => {
            let silence =
                store.add_silence(draft(config, *args, now)?, now).map_err(Failure::of)?;
            let (name, until) = (silence.name(), format::moment(silence.ends_at, now, zone));
            writeln!(out, "{name}: {} until {until}", clean(&silence.matcher.to_string()))?;
        }
        SilenceCommand::List(args) => list(&store, &args, (now, zone), out)?,
        SilenceCommand::End { number } => {
            let (silence, released) = store.end_silence(number, now).map_err(Failure::of)?;
            let messages = crate::problem::count(released, "message");
            let go = if released == 1 { "goes" } else { "go" };
            writeln!(out, "{}: over; {messages} {go} out", silence.name())?;
        }
    }
    Ok(())
}

fn draft(config: &Config, args: AddArgs, now: Timestamp) -> Result<Draft, Failure> {
    let AddArgs { matching, severity, all, lasts, until, from, comment, by } = args;
    let known = || config.rules.causes.iter().map(|cause| cause.id.as_str());
    for cause in &matching.cause {
        if !known().any(|id| Pattern::from(cause.as_str()).matches(id)) {
            let hint = did_you_mean(cause, known(), "causes").unwrap_or_default();
            let message = format!("no cause is called {}\nhint: {hint}", quoted(cause));
            return Err(Failure::could_not(message));
        }
    }
    let starts_at = from.unwrap_or(now);
    let ends_at = until.unwrap_or(starts_at + lasts.unwrap_or(Span::ZERO));
    let matcher = matcher(matching, severity);
    let draft = Draft { matcher, all, starts_at, ends_at, comment, by };
    let flaws = draft.flaws(now);
    if flaws.is_empty() {
        return Ok(draft);
    }
    let flaws: Vec<String> = flaws.iter().map(|(part, what)| format!("`{part}` {what}")).collect();
    let hint = "say which alerts with --service, --cause, --owner, --severity, --signal or \
                --label, or --all; when with --for or --until; and why with --comment";
    let message = format!("cannot keep this silence: {}\nhint: {hint}", flaws.join("; "));
    Err(Failure::could_not(message))
}

fn matcher(args: MatchArgs, severity: Vec<Severity>) -> Matcher {
    let patterns = |texts: Vec<String>| texts.iter().map(|t| Pattern::from(t.as_str())).collect();
    let mut label: BTreeMap<String, Vec<Pattern>> = BTreeMap::new();
    for (name, value) in args.label {
        label.entry(name).or_default().push(Pattern::from(value.as_str()));
    }
    Matcher {
        severity,
        service: patterns(args.service),
        owner: patterns(args.owner),
        cause: patterns(args.cause),
        signal: patterns(args.signal),
        label,
    }
}

const HEADS: [&str; 6] = ["SILENCE", "STATE", "FROM", "UNTIL", "MATCHES", "WHY"];

fn list(
    store: &Store,
    args: &ListArgs,
    (now, zone): (Timestamp, &TimeZone),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let found = if args.all { store.silences(LISTED_MAX) } else { store.open_silences(now) };
    let silences = found.map_err(Failure::of)?;
    if args.json {
        for silence in &silences {
            writeln!(out, "{}", serde_json::to_string(silence).map_err(Failure::of)?)?;
        }
    } else if silences.is_empty() {
        writeln!(out, "nothing is silenced")?;
    } else {
        write_table(HEADS, silences.iter().map(|silence| cells(silence, now, zone)), out)?;
    }
    Ok(())
}

fn cells(silence: &Silence, now: Timestamp, zone: &TimeZone) -> [String; 6] {
    let state = match (silence.holds_at(now), now < silence.starts_at) {
        (true, _) => "holds",
        (_, true) => "to come",
        _ => "over",
    };
    let by = silence.by.as_ref().map_or_else(String::new, |by| format!(" ({by})"));
    [
        silence.number.to_string(),
        state.to_owned(),
        format::clock(silence.starts_at, now, zone),
        format::moment(silence.ends_at, now, zone),
        silence.matcher.to_string(),
        format!("{}{by}", silence.comment),
    ]
    .map(|cell| clean(&cell))
}
