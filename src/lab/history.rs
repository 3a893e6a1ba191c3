//! Scrapes kept in memory, in columns, and written as OpenMetrics text.

use std::io::{self, BufWriter, Write};

use super::breakdown::Ledger;
use super::{Lab, LabSeries, Scrape};
use crate::time::{Span, Timestamp};

/// Scrapes that a history keeps; the oldest quarter goes when it is full. Ten weeks at 30 s,
/// some 250 MB.
pub const SCRAPES_MAX: usize = 201_600;

/// How long a history keeps what tenants and routes did: they are many, and only what came
/// shortly before an incident is asked for.
const PARTS_KEPT: Span = Span::from_hours(4 * 24);

/// Scrapes on a regular grid, one column per series.
#[derive(Clone, Debug)]
pub struct History {
    /// Instant of the first row.
    start: Timestamp,
    step: Span,
    /// Rows so far.
    rows: usize,
    series: Vec<LabSeries>,
    /// One per series; NaN where there was no sample. A column may be shorter than `rows`: the
    /// rest is missing.
    columns: Vec<Vec<f64>>,
    /// Requests, failures and time by tenant and route.
    parts: Ledger,
}

impl History {
    /// An empty history that begins at `start` and has a row every `step`, a millisecond or more.
    pub fn new(start: Timestamp, step: Span) -> Self {
        let step = step.max(Span::from_millis(1));
        let parts = Ledger::keeping(PARTS_KEPT);
        Self { start, step, rows: 0, series: Vec::new(), columns: Vec::new(), parts }
    }

    /// Scrapes `lab` until `end`, that instant included, into a new history.
    pub fn record(lab: &mut Lab, end: Timestamp) -> Self {
        let step = lab.settings().scrape;
        let mut history = Self::new(lab.now() + step, step);
        history.extend(lab, end);
        history
    }

    /// Goes on scraping `lab` until `end`, that instant included.
    pub fn extend(&mut self, lab: &mut Lab, end: Timestamp) {
        while lab.now() + self.step <= end {
            let scrape = lab.scrape();
            self.push(lab.series(), &scrape);
        }
    }

    /// Adds a scrape, `series` being all that the lab knows by now. A scrape that is not later
    /// than the last row is ignored; grid points between the two are missing.
    pub fn push(&mut self, series: &[LabSeries], scrape: &Scrape) {
        let Some(row) = self.row(scrape.at).filter(|&row| self.rows <= row) else { return };
        let row = row - if row < SCRAPES_MAX { 0 } else { self.forget(row) };
        self.series.extend(series.iter().skip(self.series.len()).cloned());
        self.columns.resize(self.series.len(), Vec::new());
        for &(index, value) in &scrape.samples {
            if let Some(column) = self.columns.get_mut(index) {
                column.resize(row, f64::NAN);
                column.push(value);
            }
        }
        self.rows = row + 1;
        self.parts.push(scrape);
    }

    /// Makes room for `row` by dropping at least a quarter of the limit; returns how many rows.
    fn forget(&mut self, row: usize) -> usize {
        let gone = (row + 1 - SCRAPES_MAX).max(SCRAPES_MAX / 4);
        for column in &mut self.columns {
            column.drain(..gone.min(column.len()));
        }
        self.start = self.start + self.step.times(i64::try_from(gone).unwrap_or(i64::MAX));
        self.rows = self.rows.saturating_sub(gone);
        gone
    }

    /// Row of the latest grid point at or before `at`; none before the start.
    fn row(&self, at: Timestamp) -> Option<usize> {
        usize::try_from((at - self.start).as_millis().div_euclid(self.step.as_millis())).ok()
    }

    /// Instant of a row.
    pub fn at(&self, row: usize) -> Timestamp {
        self.start + self.step.times(i64::try_from(row).unwrap_or(i64::MAX))
    }

    /// Number of rows.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Time between two rows.
    pub const fn step(&self) -> Span {
        self.step
    }

    /// Instant of the latest row; none while empty.
    pub fn end(&self) -> Option<Timestamp> {
        self.rows.checked_sub(1).map(|row| self.at(row))
    }

    /// Every series, in the order of the lab.
    pub fn series(&self) -> &[LabSeries] {
        &self.series
    }

    /// What tenants and routes did in the last days.
    pub const fn parts(&self) -> &Ledger {
        &self.parts
    }

    /// The sample of a series in a row; none where it is missing.
    pub fn value(&self, series: usize, row: usize) -> Option<f64> {
        self.columns.get(series)?.get(row).copied().filter(|value| !value.is_nan())
    }

    /// The latest sample of a series in (`at` − `lookback`, `at`], which is how Prometheus 3
    /// answers an instant query.
    pub fn latest(&self, series: usize, at: Timestamp, lookback: Span) -> Option<f64> {
        let newest = self.row(at)?.min(self.rows.checked_sub(1)?);
        (0..=newest)
            .rev()
            .take_while(|&row| at - self.at(row) < lookback)
            .find_map(|row| self.value(series, row))
    }

    /// Writes everything as OpenMetrics text with timestamps in seconds, one metric after the
    /// other: what `promtool tsdb create-blocks-from openmetrics` reads.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write_openmetrics(&self, to: &mut impl Write) -> io::Result<()> {
        let mut to = BufWriter::new(to);
        let mut names: Vec<&str> = Vec::new();
        for series in &self.series {
            if !names.contains(&series.metric) {
                names.push(series.metric);
            }
        }
        for name in names {
            writeln!(to, "# TYPE {name} gauge")?;
            let of_metric = self.series.iter().zip(&self.columns).filter(|(s, _)| s.metric == name);
            for (series, column) in of_metric {
                let head = series.to_string();
                for (row, value) in column.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                    writeln!(to, "{head} {value} {}", self.at(row).as_secs())?;
                }
            }
        }
        let mut last = "";
        for (index, series) in self.parts.series().iter().enumerate() {
            for (n, (at, value)) in self.parts.values(index).enumerate() {
                if n == 0 && series.metric != last {
                    last = series.metric;
                    writeln!(to, "# TYPE {last} gauge")?;
                }
                writeln!(to, "{series} {value} {}", at.as_secs())?;
            }
        }
        writeln!(to, "# EOF")?;
        to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Labels;

    fn one_series(values: &[(i64, f64)]) -> History {
        let mut history = History::new(Timestamp::from_secs(0), Span::MINUTE);
        let labels = Labels::from([("service".to_owned(), "a\"b\\c".to_owned())]);
        let series = [LabSeries { metric: "lab_traffic", labels }];
        for &(minute, value) in values {
            let at = Timestamp::from_secs(minute * 60);
            history.push(&series, &Scrape { at, samples: vec![(0, value)], parts: Vec::new() });
        }
        history
    }

    #[test]
    fn a_sample_is_seen_for_the_lookback_and_no_longer() {
        let history = one_series(&[(0, 1.0), (1, 2.0), (8, 3.0)]);
        let look = |second| history.latest(0, Timestamp::from_secs(second), Span::from_mins(5));
        assert_eq!(look(-1), None);
        assert_eq!(look(59), Some(1.0));
        assert_eq!(look(60 + 299), Some(2.0));
        assert_eq!(look(60 + 300), None, "the window is open on its left");
        assert_eq!(look(480), Some(3.0));
        assert_eq!(look(10_000), None);
    }

    #[test]
    fn late_scrapes_are_ignored_and_skipped_rows_are_missing() {
        let history = one_series(&[(3, 1.0), (2, 9.0), (3, 9.0), (5, 2.0)]);
        assert_eq!(history.rows(), 6);
        assert_eq!(history.value(0, 3), Some(1.0));
        assert_eq!(history.value(0, 2), None);
        assert_eq!(history.value(0, 4), None);
        assert_eq!(history.end(), Some(Timestamp::from_secs(300)));
    }

    #[test]
    fn a_full_history_forgets_its_oldest_rows() {
        let last = i64::try_from(SCRAPES_MAX).unwrap();
        let history = one_series(&[(0, 1.0), (last - 1, 2.0), (last, 3.0)]);
        assert!(history.rows() <= SCRAPES_MAX);
        assert_eq!(history.end(), Some(Timestamp::from_secs(last * 60)));
        assert_eq!(history.value(0, history.rows() - 1), Some(3.0));
        assert_eq!(history.value(0, history.rows() - 2), Some(2.0));
        assert_eq!(history.value(0, 0), None);
    }

    #[test]
    fn openmetrics_escapes_labels_and_ends() {
        let mut text = Vec::new();
        one_series(&[(1, 0.5)]).write_openmetrics(&mut text).unwrap();
        let expected = "# TYPE lab_traffic gauge\n\
                        lab_traffic{service=\"a\\\"b\\\\c\"} 0.5 60\n# EOF\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
