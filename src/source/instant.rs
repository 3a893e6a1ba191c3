//! One query at one instant, with all its labels: for checks, discovery and breakdowns.

use super::decode::Rows;
use super::{Prometheus, SourceError};
use crate::series::Labels;
use crate::time::Timestamp;

/// Rows of one instant query that are kept.
pub const INSTANT_ROWS_MAX: usize = 10_000;

/// One row of an instant query.
#[derive(Clone, Debug, PartialEq)]
pub struct InstantRow {
    /// All labels that the backend gave, the metric's name included.
    pub labels: Labels,
    /// Finite.
    pub value: f64,
}

impl Prometheus {
    /// The rows of `promql` at `at`, in order of their labels; rows that are not finite are left
    /// out, and so is what comes after the first [`INSTANT_ROWS_MAX`].
    ///
    /// # Errors
    ///
    /// Anything that can go wrong, at the first attempt.
    pub async fn query(&self, promql: &str, at: Timestamp) -> Result<Vec<InstantRow>, SourceError> {
        let authorization = self.client.authorization().await?;
        let mut rows = Collected::default();
        let form = [
            ("query", promql.to_owned()),
            ("time", format!("{:.3}", at.as_secs_f64())),
            ("timeout", format!("{}s", self.client.timeout().as_secs().max(1))),
            ("nocache", "1".to_owned()),
            ("latency_offset", "1ms".to_owned()),
        ];
        self.client.ask("api/v1/query", &form, &authorization, &mut rows).await?;
        rows.rows.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(rows.rows)
    }
}

#[derive(Default)]
struct Collected {
    rows: Vec<InstantRow>,
    labels: Labels,
    value: Option<f64>,
}

impl Rows for Collected {
    fn label(&mut self, name: &str, value: &str) {
        self.labels.insert(name.to_owned(), value.to_owned());
    }

    fn point(&mut self, _: f64, value: f64) {
        self.value = Some(value).filter(|value| value.is_finite());
    }

    fn end_row(&mut self) {
        let labels = std::mem::take(&mut self.labels);
        if let Some(value) = self.value.take()
            && self.rows.len() < INSTANT_ROWS_MAX
        {
            self.rows.push(InstantRow { labels, value });
        }
    }
}
