//! Scorecards and comparisons as text for a terminal.

use std::io::{self, Write};

use super::rows::{
    CHANGED, DIFFERENCE, SIGNAL, budget, cells, changed, difference, evidence, figures, signal,
    summary,
};
use crate::cli::table::write_table;
use crate::notify::view::clean;
use crate::problem::count;
use crate::scorecard::{Alone, Comparison, Scorecard, Tally};

/// Rows of a list; the rest is counted.
const ROWS_MAX: usize = 200;

/// A scorecard.
pub(super) fn scorecard(card: &Scorecard, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nScorecard, {} to {}", card.from, card.to)?;
    for line in summary(&card.figures).iter().chain(&budget(&card.budget, true)) {
        writeln!(out, "  {line}")?;
    }
    if card.outside > 0 {
        let outside = count(card.outside, "incident");
        writeln!(out, "  outside of the range: {outside} of the file")?;
    }
    if !card.incidents.is_empty() {
        writeln!(out)?;
        let heads = ["ONSET", "SERVICE", "CAUSE", "CAUGHT", "DELAY", "LEAD", "SEVERITY", "NAMED"];
        write_table(heads, card.incidents.iter().take(ROWS_MAX).map(cells), out)?;
        more(card.incidents.len(), out)?;
    }
    for one in card.incidents.iter().take(ROWS_MAX) {
        if let Some(evidence) = evidence(one) {
            let service = clean(&one.truth.service);
            writeln!(out, "\nMissed: {service} at {}", one.truth.onset)?;
            writeln!(out, "  {evidence}")?;
        }
    }
    tallies(("SIGNAL", "ALONE"), &card.signals, out)?;
    tallies(("CAUSE", "FIRST"), &card.causes, out)?;
    tallies(("SERVICE", ""), &card.services, out)
}

fn tallies((name, alone): (&str, &str), tallies: &[Tally], out: &mut dyn Write) -> io::Result<()> {
    if tallies.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let shown = tallies.iter().take(ROWS_MAX);
    if alone.is_empty() {
        let row = |t: &Tally| {
            [clean(&t.name), n(t.caught), n(t.missed), n(t.false_alerts), n(t.false_notices)]
        };
        let heads = [name, "CAUGHT", "MISSED", "FALSE ALERTS", "FALSE IN ALL"];
        write_table(heads, shown.map(row), out)?;
    } else {
        let row = |t: &Tally| {
            let name = clean(&t.name);
            [name, n(t.caught), n(t.alone), n(t.missed), n(t.false_alerts), n(t.false_notices)]
        };
        let heads = [name, "CAUGHT", alone, "MISSED", "FALSE ALERTS", "FALSE IN ALL"];
        write_table(heads, shown.map(row), out)?;
    }
    more(tallies.len(), out)
}

fn n(count: usize) -> String {
    count.to_string()
}

fn more(all: usize, out: &mut dyn Write) -> io::Result<()> {
    match all.saturating_sub(ROWS_MAX) {
        0 => Ok(()),
        more => writeln!(out, "and {more} more; --summary has them all"),
    }
}

/// A comparison.
pub(super) fn comparison(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nComparison")?;
    write_table(["", "THIS", "OTHER"], figures(comparison), out)?;
    list(DIFFERENCE, &comparison.incidents, difference, out)?;
    alone("Told by this only", &comparison.only_this, out)?;
    alone("Told by the other only", &comparison.only_other, out)?;
    list(CHANGED, &comparison.changed, changed, out)?;
    list(SIGNAL, &comparison.signals, signal, out)
}

fn list<T, const N: usize>(
    heads: [&str; N],
    all: &[T],
    cells: fn(&T) -> [String; N],
    out: &mut dyn Write,
) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let heads = heads.map(str::to_uppercase);
    write_table(heads.each_ref().map(String::as_str), all.iter().take(ROWS_MAX).map(cells), out)?;
    more(all.len(), out)
}

fn alone(name: &str, all: &[Alone], out: &mut dyn Write) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{name}")?;
    for one in all.iter().take(ROWS_MAX) {
        let verdict = match one.is_false {
            Some(true) => " (false)",
            Some(false) => " (true)",
            None => "",
        };
        let (service, title) = (clean(&one.service), clean(&one.title));
        writeln!(out, "  {} {} {service}{verdict}: {title}", one.at, one.severity)?;
    }
    more(all.len(), out)
}
