//! What is served: rows of numbers in the formats that monitoring reads.

use std::collections::BTreeSet;
use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::catalogue::{Kind, Metric};
use crate::format::one_line;

/// Characters of a label's value; names from outside may be of any length.
const LABEL_CHARS_MAX: usize = 128;

/// The two formats, of which a reader says which it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' own, version 0.0.4.
    Plain,
}

impl Format {
    /// The best that a reader takes, by its `Accept`.
    pub fn accepted(accept: Option<&str>) -> Self {
        if accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            Self::OpenMetrics
        } else {
            Self::Plain
        }
    }

    /// For `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Metrics with their values, in the order in which they were put down.
#[derive(Debug, Default)]
pub(super) struct Sheet(Registry);

impl Sheet {
    /// A metric without labels.
    pub(super) fn number(&mut self, metric: Metric, value: f64) {
        self.rows(metric, [([], value)]);
    }

    /// A metric with labels; values that are no numbers are left out, and of rows whose labels
    /// are the same once they are clipped all but the first. Returns how many rows there are.
    pub(super) fn rows<'a, const N: usize>(
        &mut self,
        metric: Metric,
        rows: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) -> usize {
        let mut seen = BTreeSet::new();
        let mut kept = Vec::new();
        for (labels, value) in rows.into_iter().filter(|(_, value)| value.is_finite()) {
            let labels = labelled(metric, &labels);
            if seen.insert(labels.clone()) {
                kept.push((labels, value));
            }
        }
        let count = kept.len();
        self.put(metric, Rows { kind: metric.kind, rows: kept });
        count
    }

    /// Histograms by their only label.
    pub(super) fn histograms<'a>(
        &mut self,
        metric: Metric,
        rows: impl IntoIterator<Item = (&'a str, &'a Histogram)>,
    ) {
        let rows = rows.into_iter().map(|(label, h)| (labelled(metric, &[label]), h.clone()));
        self.put(metric, Histograms(rows.collect()));
    }

    fn put(&mut self, metric: Metric, values: impl prometheus_client::registry::Metric) {
        self.0.register(metric.family, metric.help, values);
    }

    /// The text. Empty if it cannot be written, which only memory can prevent.
    pub(super) fn text(&self, format: Format) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.0).is_err() {
            return String::new();
        }
        match format {
            Format::OpenMetrics => text,
            Format::Plain => plain(&text),
        }
    }
}

type Labelled = Vec<(&'static str, String)>;

fn labelled(metric: Metric, values: &[&str]) -> Labelled {
    let values = values.iter().map(|value| one_line(value, LABEL_CHARS_MAX));
    metric.labels.iter().copied().zip(values).collect()
}

/// In the older format a counter's family has the name of its samples, and the end has no mark.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF"), ..) => continue,
            // Help comes first, and the line after it says what it is about.
            (Some("#"), Some("HELP"), Some(family), Some(help))
                if lines.peek().is_some_and(|next| next.ends_with(" counter")) =>
            {
                plain.extend(["# HELP ", family, "_total ", help]);
            }
            (Some("#"), Some("TYPE"), Some(family), Some("counter")) => {
                plain.extend(["# TYPE ", family, "_total counter"]);
            }
            _ => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}

#[derive(Debug)]
struct Rows {
    kind: Kind,
    rows: Vec<(Labelled, f64)>,
}

impl Rows {
    fn value(&self, encoder: &mut MetricEncoder<'_>, value: f64) -> fmt::Result {
        match self.kind {
            Kind::Counter => encoder.encode_counter(&value, NO_EXEMPLAR),
            Kind::Gauge | Kind::Histogram => encoder.encode_gauge(&value),
        }
    }
}

impl EncodeMetric for Rows {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, value) in &self.rows {
            if labels.is_empty() {
                // A family without labels would be told with an empty pair of braces.
                self.value(&mut encoder, *value)?;
            } else {
                self.value(&mut encoder.encode_family(labels)?, *value)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        if self.kind == Kind::Counter { MetricType::Counter } else { MetricType::Gauge }
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, f64>> = None;

#[derive(Debug)]
struct Histograms(Vec<(Labelled, Histogram)>);

impl EncodeMetric for Histograms {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, histogram) in &self.0 {
            histogram.encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::catalogue::{DELIVERY_FAILURES, TICKS, UNANSWERED};

    #[test]
    fn names_from_outside_are_escaped_clipped_and_told_once() {
        let [long, shorter] = [1_000, 500].map(|chars| "x".repeat(chars));
        let mut sheet = Sheet::default();
        let rows = [
            (["a\"b\\c\nd", "timeout"], 1.0),
            ([long.as_str(), "tls"], 2.0),
            ([shorter.as_str(), "tls"], 3.0),
            (["e", "tls"], f64::NAN),
        ];
        assert_eq!(sheet.rows(DELIVERY_FAILURES, rows), 2);
        let text = sheet.text(Format::OpenMetrics);
        let clipped = format!("{}…", "x".repeat(LABEL_CHARS_MAX - 1));
        assert_eq!(
            text,
            format!(
                "# HELP grayflag_delivery_failures Attempts that failed.\n\
                 # TYPE grayflag_delivery_failures counter\n\
                 grayflag_delivery_failures_total{{receiver=\"a\\\"b\\\\c d\",class=\"timeout\"}} 1.0\n\
                 grayflag_delivery_failures_total{{receiver=\"{clipped}\",class=\"tls\"}} 2.0\n\
                 # EOF\n"
            )
        );
    }

    #[test]
    fn the_older_format_names_counters_by_their_samples() {
        let mut sheet = Sheet::default();
        sheet.number(TICKS, 3.0);
        sheet.number(UNANSWERED, 0.0);
        let text = sheet.text(Format::Plain);
        assert!(
            text.contains("\n# TYPE grayflag_ticks_total counter\ngrayflag_ticks_total 3.0\n"),
            "{text}"
        );
        assert!(text.contains("# HELP grayflag_ticks_total Ticks processed"), "{text}");
        assert!(text.contains("# HELP grayflag_signals_unanswered Signals"), "{text}");
        assert!(!text.contains("EOF"), "{text}");
        let accepts = "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(Some(accepts)), Format::OpenMetrics);
        assert_eq!(Format::accepted(Some("*/*")), Format::Plain);
    }
}
