//! One query over a range with all its labels, and the names of metrics: for checks.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::decode::Rows;
use super::{Prometheus, SourceError};
use crate::series::Labels;
use crate::time::{Span, Timestamp};

/// Rows of one range query that are kept; the others are counted.
pub const RANGE_ROWS_MAX: usize = 2_000;
/// Names of metrics that are kept.
const NAMES_MAX: usize = 200_000;

/// One row of a range query.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeRow {
    /// All labels that the backend gave, the metric's name included.
    pub labels: Labels,
    /// Those that are finite, in order of time.
    pub values: Vec<f64>,
}

/// What came of a range query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RangeRows {
    /// In order of their labels.
    pub rows: Vec<RangeRow>,
    /// How many there were.
    pub total: usize,
}

impl Prometheus {
    /// The rows of `promql` from `from` to `to`, every `step`; those beyond [`RANGE_ROWS_MAX`] are
    /// only counted.
    ///
    /// # Errors
    ///
    /// Anything that can go wrong, at the first attempt.
    pub async fn range(
        &self,
        promql: &str,
        (from, to): (Timestamp, Timestamp),
        step: Span,
    ) -> Result<RangeRows, SourceError> {
        let authorization = self.client.authorization().await?;
        let seconds = |at: Timestamp| format!("{:.3}", at.as_secs_f64());
        let form = [
            ("query", promql.to_owned()),
            ("start", seconds(from)),
            ("end", seconds(to)),
            ("step", format!("{:.3}", step.as_secs_f64())),
            ("timeout", format!("{}s", self.client.timeout().as_secs().max(1))),
            ("nocache", "1".to_owned()),
            ("latency_offset", "1ms".to_owned()),
        ];
        let mut rows = Collected::default();
        self.client.ask("api/v1/query_range", &form, &authorization, &mut rows).await?;
        rows.found.rows.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(rows.found)
    }

    /// The names of the metrics that the backend has between two instants.
    ///
    /// # Errors
    ///
    /// Anything that can go wrong, at the first attempt.
    pub async fn metric_names(
        &self,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<BTreeSet<String>, SourceError> {
        #[derive(Deserialize)]
        struct Names {
            data: Vec<String>,
        }
        let authorization = self.client.authorization().await?;
        // Without a range, some backends tell only of the last days.
        let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
        let path = format!("api/v1/label/__name__/values?start={from:.3}&end={to:.3}");
        let answered = self.client.get(&path, &authorization, self.client.timeout()).await?;
        let names: Names = serde_json::from_slice(&answered.body).map_err(|_| {
            let reason = format!("HTTP {}: no list of names", answered.status.as_u16());
            SourceError::Garbage { url: self.url().to_owned(), reason }
        })?;
        Ok(names.data.into_iter().take(NAMES_MAX).collect())
    }
}

#[derive(Default)]
struct Collected {
    found: RangeRows,
    labels: Labels,
    values: Vec<f64>,
}

impl Rows for Collected {
    fn label(&mut self, name: &str, value: &str) {
        self.labels.insert(name.to_owned(), value.to_owned());
    }

    fn point(&mut self, _: f64, value: f64) {
        self.values.extend(Some(value).filter(|value| value.is_finite()));
    }

    fn end_row(&mut self) {
        let (labels, values) = (std::mem::take(&mut self.labels), std::mem::take(&mut self.values));
        if values.is_empty() {
            return;
        }
        self.found.total += 1;
        if self.found.rows.len() < RANGE_ROWS_MAX {
            self.found.rows.push(RangeRow { labels, values });
        }
    }
}
