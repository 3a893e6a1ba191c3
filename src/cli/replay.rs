//! `grayflag replay`: the past through the same engine.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::progress::Progress;
use crate::clock;
use crate::config::Config;
use crate::daemon::settings;
use crate::engine::Engine;
use crate::engine::alert::{Alert, State};
use crate::engine::archive::MemoryArchive;
use crate::notify::text::{self, Style};
use crate::replay::{Driver, Ticked};
use crate::source::Prometheus;
use crate::time::{Span, Timestamp};

/// Options of `grayflag replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// First instant that may alert (RFC 3339 or Unix seconds)
    #[arg(long, value_name = "TIME")]
    from: Timestamp,
    /// Last instant
    #[arg(long, value_name = "TIME")]
    to: Timestamp,
    /// How to print the alerts
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write the alerts here instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write how every series stood at every tick, as CSV
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
}

/// How alerts are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As a person would get them
    Text,
    /// One JSON object a line, in order of time
    Jsonl,
}

/// Replays and prints.
///
/// # Errors
///
/// A range that is none, a backend that cannot be read, a file that cannot be written, or a stop
/// before the end.
pub async fn run(config: Config, args: ReplayArgs, stop: CancellationToken) -> Result<(), Failure> {
    if args.to < args.from {
        let ReplayArgs { from, to, .. } = args;
        return Err(Failure::could_not(format!(
            "cannot replay from {from} to {to}: that is backwards"
        )));
    }
    let now = clock::now();
    if args.to > now {
        return Err(Failure::could_not(format!(
            "cannot replay to {}: it is {now} now\nhint: `grayflag run` watches what is to come",
            args.to
        )));
    }
    let source = Prometheus::new(config.source.clone()).map_err(Failure::of)?;
    let mut sink = Sink::open(&args, config.poll.timezone.clone())?;
    let rules = Arc::new(config.rules.clone());
    let archive = Box::<MemoryArchive>::default();
    let mut driver = Driver::new(rules, settings(&config, args.from), archive);
    driver.outside().annotations(&config.annotations).map_err(Failure::of)?;
    let first = driver.next_tick();
    let learning = seconds(args.from - first);
    let mut learns = true;
    let mut progress = Progress::quiet();
    progress.begin("learning", learning);
    let mut written = Ok(());
    let read = driver
        .advance(&source, args.to, |ticked| {
            if ticked.learning {
                progress.reach(seconds(ticked.at - first));
            } else {
                if std::mem::take(&mut learns) {
                    progress.begin("replaying", seconds(args.to - args.from));
                }
                progress.reach(seconds(ticked.at - args.from));
                written = sink.take(&ticked);
            }
            written.is_ok() && !stop.is_cancelled()
        })
        .await;
    progress.end();
    written?;
    read.map_err(Failure::of)?;
    let mut err = io::stderr().lock();
    for warning in driver.warnings().iter().chain(driver.news()) {
        writeln!(err, "warning: {warning}")?;
    }
    sink.finish()?;
    if stop.is_cancelled() {
        return Err(Failure::could_not("stopped before the end; what was printed is incomplete"));
    }
    if driver.engine().is_blank() {
        writeln!(
            err,
            "warning: no signal returned a single series in this range\nhint: `grayflag check` looks at the rules; try one of their queries in the backend"
        )?;
    }
    Ok(())
}

fn seconds(span: Span) -> u64 {
    u64::try_from(span.as_secs()).unwrap_or(0)
}

/// Where alerts and scores go.
struct Sink {
    format: Format,
    out: Box<dyn Write + Send>,
    colour: bool,
    zone: TimeZone,
    scores: Option<BufWriter<File>>,
    incidents: usize,
    /// Lines about what crept, in order of time.
    crept: Vec<String>,
}

impl Sink {
    fn open(args: &ReplayArgs, zone: TimeZone) -> Result<Self, Failure> {
        let create = |path: &Path| {
            File::create(path).map(BufWriter::new).map_err(|problem| {
                Failure::could_not(format!("cannot write `{}`: {problem}", path.display()))
            })
        };
        let out: Box<dyn Write + Send> = match &args.output {
            Some(path) => Box::new(create(path)?),
            None => Box::new(io::stdout()),
        };
        let mut scores = args.scores.as_deref().map(create).transpose()?;
        if let Some(scores) = &mut scores {
            writeln!(scores, "at,service,signal,labels,value,expected,residual,score")?;
        }
        let colour = args.output.is_none() && io::stdout().is_terminal();
        let format = args.format;
        Ok(Self { format, out, colour, zone, scores, incidents: 0, crept: Vec::new() })
    }

    fn take(&mut self, ticked: &Ticked<'_>) -> Result<(), Failure> {
        for alert in &ticked.outcome.alerts {
            self.alert(alert)?;
        }
        let crept = ticked.outcome.report.crept.iter();
        self.crept.extend(crept.map(|crept| format!("{}: {crept}", ticked.at)));
        if let Some(scores) = &mut self.scores {
            write_scores(scores, ticked.at, ticked.engine)?;
        }
        Ok(())
    }

    fn alert(&mut self, alert: &Alert) -> Result<(), Failure> {
        self.incidents += usize::from(alert.state == State::Firing);
        match self.format {
            Format::Jsonl => writeln!(self.out, "{}", alert.to_json())?,
            Format::Text => {
                let text = text::render(alert, Style { colour: self.colour }, &self.zone);
                writeln!(self.out, "{text}\n")?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.format == Format::Text {
            let n = self.incidents;
            writeln!(self.out, "{n} incident{}", if n == 1 { "" } else { "s" })?;
            if !self.crept.is_empty() {
                writeln!(self.out, "\nCrept")?;
            }
            for line in &self.crept {
                writeln!(self.out, "  {line}")?;
            }
        }
        self.out.flush()?;
        if let Some(scores) = &mut self.scores {
            scores.flush()?;
        }
        Ok(())
    }
}

/// One line per series: RFC 4180, labels as `name="value"` pairs, absent numbers empty.
fn write_scores(out: &mut impl Write, at: Timestamp, engine: &Engine) -> io::Result<()> {
    let number = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
    for row in engine.scores() {
        let labels: Vec<String> =
            row.series.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        writeln!(
            out,
            "{at},{},{},{},{},{},{},{:.6}",
            csv(&row.series.service),
            csv(&row.series.signal),
            csv(&labels.join(",")),
            row.value,
            number(row.expected),
            number(row.residual),
            row.score
        )?;
    }
    Ok(())
}

/// A field of a CSV line.
fn csv(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_commas_quotes_or_line_ends_are_quoted() {
        assert_eq!(csv("plain"), "plain");
        assert_eq!(csv("a=\"b\",c"), "\"a=\"\"b\"\",c\"");
        assert_eq!(csv("two\nlines"), "\"two\nlines\"");
    }
}
