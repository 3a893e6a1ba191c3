//! What is asked: every query of the rules, and further questions about values that look odd.

use super::Problem;
use super::judge;
use crate::rules::{LABEL_PLACEHOLDER, Rules, Signal, metrics};
use crate::source::{Prometheus, RangeRows};
use crate::time::{Span, Timestamp};

/// Further questions about one query, at most.
const METRICS_MAX: usize = 3;

/// What a query is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose<'r> {
    /// The query of a signal.
    Signal(&'r Signal),
    /// Another query of a signal: traffic, or a breakdown by a label.
    Beside(&'r Signal),
    /// A query for change events.
    Change,
    /// The query for who calls whom.
    Topology,
}

/// One query.
#[derive(Clone, Debug)]
pub(super) struct Asked<'r> {
    pub(super) name: String,
    pub(super) query: String,
    pub(super) purpose: Purpose<'r>,
    /// Labels that a row must have to be used.
    pub(super) needs: Vec<&'r str>,
}

impl Asked<'_> {
    /// How late the data is.
    pub(super) fn delay(&self) -> Span {
        match self.purpose {
            Purpose::Signal(signal) | Purpose::Beside(signal) => signal.delay,
            Purpose::Change | Purpose::Topology => Span::ZERO,
        }
    }

    /// Whether its values over time say something about it.
    pub(super) fn is_looked_back(&self) -> bool {
        matches!(self.purpose, Purpose::Signal(_))
    }
}

/// Every query of the rules.
pub(super) fn queries(rules: &Rules) -> Vec<Asked<'_>> {
    let mut queries = Vec::new();
    for signal in &rules.signals {
        let name = format!("signal `{}`", signal.name);
        let service = signal.service.as_str();
        let mut ask = |name, query: String, purpose, needs| {
            queries.push(Asked { name, query, purpose, needs });
        };
        ask(name.clone(), signal.query.clone(), Purpose::Signal(signal), vec![service]);
        let beside = Purpose::Beside(signal);
        if let Some(traffic) = &signal.min_traffic {
            ask(format!("{name}, min_traffic"), traffic.query.clone(), beside, vec![service]);
        }
        if let Some(breakdown) = &signal.breakdown {
            for label in &breakdown.by {
                let query = breakdown.query.replace(LABEL_PLACEHOLDER, label);
                // A value of nothing is a value: rows need not have the label itself.
                ask(format!("{name}, breakdown by `{label}`"), query, beside, vec![service]);
            }
        }
    }
    for change in &rules.changes {
        let (name, query) = (format!("change `{}`", change.kind), change.query.clone());
        let needs = vec![change.service.as_str()];
        queries.push(Asked { name, query, purpose: Purpose::Change, needs });
    }
    if let Some(query) = &rules.topology {
        let (name, query) = ("topology".to_owned(), query.clone());
        queries.push(Asked {
            name,
            query,
            purpose: Purpose::Topology,
            needs: vec!["client", "server"],
        });
    }
    queries
}

/// Asks further where only the metrics behind a query can tell: whether a rate is that of a
/// counter, and between which bounds of a histogram its quantiles lie. What cannot be asked is no
/// problem of the query.
pub(super) async fn deeper(
    source: &Prometheus,
    asked: &Asked<'_>,
    rows: &RangeRows,
    at: Timestamp,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for metric in metrics(&asked.query).iter().filter(|metric| metric.is_rated).take(METRICS_MAX) {
        let name = &metric.name;
        if let Some(base) = name.strip_suffix("_bucket") {
            let bounds = source.query(&format!("group by (le) ({name})"), at).await;
            let bounds = judge::bounds(&bounds.unwrap_or_default());
            problems.extend(judge::one_bucket(asked, rows, base, &bounds));
        } else if !["_total", "_count", "_sum"].iter().any(|end| name.ends_with(end)) {
            let falls = source.query(&format!("max(resets({name}[1h]))"), at).await;
            let falls = falls.unwrap_or_default().first().map(|row| row.value);
            problems.extend(falls.and_then(|falls| judge::gauge_under_rate(name, falls)));
        }
    }
    problems
}
