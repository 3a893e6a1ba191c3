//! `grayflag check --backend`: asks the backend every query once and says what came of it.

use std::io::{self, Write};

use crate::changes::grafana::Grafana;
use crate::config::Config;
use crate::problem::count;
use crate::rules::LABEL_PLACEHOLDER;
use crate::source::Prometheus;
use crate::time::{Span, Timestamp};

/// Over how long annotations are counted.
const ANNOTATIONS_SPAN: Span = Span::WEEK.times(4);

/// Asks every query of the rules at `now` and writes a line for each. Returns how many failed or
/// gave nothing.
///
/// # Errors
///
/// When the report cannot be written.
pub async fn check(
    config: &Config,
    source: &Prometheus,
    now: Timestamp,
    out: &mut (dyn Write + Send),
) -> io::Result<usize> {
    let (mut wrong, mut empty) = (0, false);
    for (name, query, label) in queries(config) {
        let said = match source.query(&query, now).await {
            Err(problem) => Err(problem.to_string()),
            Ok(rows) if rows.is_empty() => {
                empty = true;
                Err("no rows now".to_owned())
            }
            Ok(rows) => {
                let named = rows.iter().filter(|row| has(&row.labels, label)).count();
                if named == 0 {
                    Err(format!("{} rows, none with the label `{label}`", rows.len()))
                } else {
                    Ok(named)
                }
            }
        };
        match said {
            Ok(rows) => writeln!(out, "ok     {name}: {}", count(rows, "row"))?,
            Err(problem) => {
                wrong += 1;
                writeln!(out, "failed {name}: {problem}")?;
            }
        }
    }
    for annotations in &config.annotations {
        let said = match Grafana::new(annotations.clone()) {
            Ok(mut grafana) => {
                let read = grafana.read(now - ANNOTATIONS_SPAN, now).await;
                read.map(|changes| (changes.len(), grafana.unnamed()))
            }
            Err(problem) => Err(problem),
        };
        let name = format!("change `{}` from {}", annotations.kind, annotations.url);
        match said {
            Ok((0, unnamed)) if 0 < unnamed => {
                wrong += 1;
                let problem = "no annotation has a tag that names a service";
                writeln!(out, "failed {name}: {problem}")?;
            }
            // Days without a deploy are no fault.
            Ok((changes, _)) => {
                writeln!(out, "ok     {name}: {} in 4 weeks", count(changes, "change"))?;
            }
            Err(problem) => {
                wrong += 1;
                writeln!(out, "failed {name}: {problem}")?;
            }
        }
    }
    if empty {
        writeln!(out, "hint: are these metrics scraped, and are they named like this?")?;
    }
    Ok(wrong)
}

fn has(labels: &crate::series::Labels, label: &str) -> bool {
    labels.get(label).is_some_and(|value| !value.is_empty())
}

/// Every query with what it is for and the label that its rows must carry.
fn queries(config: &Config) -> Vec<(String, String, &str)> {
    let rules = &config.rules;
    let mut queries = Vec::new();
    for signal in &rules.signals {
        let name = format!("signal `{}`", signal.name);
        queries.push((name.clone(), signal.query.clone(), signal.service.as_str()));
        if let Some(traffic) = &signal.min_traffic {
            let name = format!("{name}, min_traffic");
            queries.push((name, traffic.query.clone(), signal.service.as_str()));
        }
        if let Some(breakdown) = &signal.breakdown {
            for label in &breakdown.by {
                let name = format!("{name}, breakdown by `{label}`");
                let query = breakdown.query.replace(LABEL_PLACEHOLDER, label);
                queries.push((name, query, signal.service.as_str()));
            }
        }
    }
    for change in &rules.changes {
        let name = format!("change `{}`", change.kind);
        queries.push((name, change.query.clone(), change.service.as_str()));
    }
    if let Some(topology) = &rules.topology {
        queries.push(("topology".to_owned(), topology.clone(), "client"));
    }
    queries
}
