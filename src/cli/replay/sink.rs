//! Where the alerts of a replay go, one after the other.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};

use jiff::tz::TimeZone;

use super::{Format, ReplayArgs, Results, create, text as told};
use crate::cli::Failure;
use crate::cli::unread::Unread;
use crate::engine::Engine;
use crate::engine::alert::{Alert, State};
use crate::notify::text::{self, Style};
use crate::problem::count;
use crate::replay::Ticked;
use crate::time::Timestamp;

/// Where alerts and scores go.
pub(super) struct Sink {
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
    pub(super) fn open(args: &ReplayArgs, zone: TimeZone) -> Result<Self, Failure> {
        let out: Box<dyn Write + Send> = match &args.output {
            Some(path) => Box::new(create(path)?),
            // Whoever reads along does not change what is required.
            None if args.require.is_some() => Box::new(Unread::new(io::stdout())),
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

    pub(super) fn take(&mut self, ticked: &Ticked<'_>) -> Result<(), Failure> {
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
            Format::Html => {}
        }
        Ok(())
    }

    /// The replay is over: what it came to follows the alerts, where people read them.
    pub(super) fn finish(mut self, results: &Results<'_>) -> Result<(), Failure> {
        if self.format == Format::Text {
            writeln!(self.out, "{}", count(self.incidents, "incident"))?;
            if !self.crept.is_empty() {
                writeln!(self.out, "\nCrept")?;
            }
            for line in &self.crept {
                writeln!(self.out, "  {line}")?;
            }
            if let Some(card) = results.scorecard {
                told::scorecard(card, &mut self.out)?;
            }
            if let Some(comparison) = results.comparison {
                told::comparison(comparison, &mut self.out)?;
            }
        }
        self.finish_with(&[])
    }

    /// The replay is over, and this is all that is to be written.
    pub(super) fn finish_with(mut self, page: &[u8]) -> Result<(), Failure> {
        self.out.write_all(page)?;
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
