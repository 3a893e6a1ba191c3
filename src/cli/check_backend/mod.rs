//! `grayflag check --backend`: asks the backend every query once, over the last hour, and says what
//! each gives, what it costs and what is wrong with it.

mod ask;
mod judge;
mod report;

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::progress::Progress;
use crate::changes::grafana::Grafana;
use crate::config::Config;
use crate::source::{Prometheus, SourceError};
use crate::time::{Span, Timestamp};

use ask::{Asked, Purpose};

/// Over how long signals are looked at.
const LOOK_BACK: Span = Span::HOUR;
/// Points per series of a look: enough to tell flat from rare.
const POINTS: i64 = 120;
/// Questions at once: a check must not be a load test, whatever the daemon may do.
const CONCURRENCY_MAX: usize = 4;
/// Over how long annotations are counted.
const ANNOTATIONS_SPAN: Span = Span::WEEK.times(4);

/// What the backend said to every query.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Its address, without secrets.
    pub backend: String,
    /// The newest instant that was asked for.
    pub at: Timestamp,
    /// One for each query, in the order of the rules.
    pub queries: Vec<Answered>,
}

/// What came of one query.
#[derive(Debug, Serialize)]
pub struct Answered {
    /// What asks it: ``signal `x` ``, ``change `deploy` ``, `topology`.
    pub name: String,
    /// The role of a signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Rows of the answer.
    pub series: usize,
    /// Services in them.
    pub services: usize,
    /// Peers in them.
    pub peers: usize,
    /// Points of the middle series, of those that were asked for.
    pub points: usize,
    /// How long the answer took.
    pub milliseconds: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Something wrong with a query or its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A word for programs: `refused`, `nothing`, `no-service`, `duplicates`, …
    pub kind: &'static str,
    /// Whether the query gives nothing that can be used.
    pub useless: bool,
    /// What is wrong.
    pub text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Report {
    /// Whether no query is refused, and none gives rows that cannot be used.
    pub fn is_useful(&self) -> bool {
        !self.queries.iter().flat_map(|query| &query.problems).any(|problem| problem.useless)
    }
}

/// Asks every query of the rules, at `now` and over the hour before.
///
/// # Errors
///
/// When the backend cannot be asked at all.
pub async fn check(
    config: &Config,
    source: &Prometheus,
    now: Timestamp,
    progress: &mut Progress,
) -> Result<Report, SourceError> {
    // One question first: a backend that is away is one problem and not forty.
    source.query("1", now).await?;
    // What a backend that does not tell its names lacks cannot be suggested; the rest can be said.
    let names = source.metric_names((now - Span::DAY, now)).await.unwrap_or_default();
    let asked = ask::queries(&config.rules);
    progress.begin("asking the backend", asked.len() as u64);
    let step = Span::from_millis((LOOK_BACK.as_millis() / POINTS).max(1_000));
    let step = step.max(config.poll.interval);
    let looks = asked.iter().map(|query| look(source, query, (now, step), &names));
    let mut looks =
        stream::iter(looks).buffered(config.source.max_concurrency.min(CONCURRENCY_MAX));
    let mut queries = Vec::with_capacity(asked.len());
    while let Some(answered) = looks.next().await {
        queries.push(answered);
        progress.reach(queries.len() as u64);
    }
    drop(looks);
    for annotations in &config.annotations {
        let asked = Grafana::new(annotations.clone());
        let name = format!("change `{}` from {}", annotations.kind, annotations.url);
        queries.push(annotated(name, asked, now).await);
    }
    Ok(Report { backend: source.url().to_owned(), at: now, queries })
}

/// Asks one query and judges its answer.
async fn look(
    source: &Prometheus,
    asked: &Asked<'_>,
    (now, step): (Timestamp, Span),
    names: &BTreeSet<String>,
) -> Answered {
    let to = now - asked.delay();
    let from = if asked.is_looked_back() { to - LOOK_BACK } else { to };
    let began = crate::clock::now();
    let answer = source.range(&asked.query, (from, to), step).await;
    let took = (crate::clock::now() - began).as_millis().unsigned_abs();
    let mut answered = Answered {
        name: asked.name.clone(),
        role: None,
        series: 0,
        services: 0,
        peers: 0,
        points: 0,
        milliseconds: took,
        problems: Vec::new(),
    };
    if let Purpose::Signal(signal) = asked.purpose {
        answered.role = Some(signal.role.name());
    }
    match answer {
        Err(error) => answered.problems.push(judge::refused(&error)),
        Ok(rows) => {
            judge::count(asked, &rows, &mut answered);
            let expected = usize::try_from((to - from).as_millis() / step.as_millis()).unwrap_or(0);
            answered.problems = judge::problems(asked, &rows, (expected + 1, took), names);
            if asked.is_looked_back() && rows.total > 0 {
                let deeper = ask::deeper(source, asked, &rows, to).await;
                // What is made up inside a bucket does not move: the bucket is the reason.
                let made_up = deeper.iter().any(|problem| problem.kind == "one-bucket");
                answered.problems.retain(|problem| !(made_up && problem.kind == "flat"));
                answered.problems.extend(deeper);
            }
        }
    }
    answered
}

/// What Grafana has of the last weeks.
async fn annotated(
    name: String,
    grafana: Result<Grafana, crate::changes::grafana::GrafanaError>,
    now: Timestamp,
) -> Answered {
    let began = crate::clock::now();
    let read = match grafana {
        Ok(mut grafana) => {
            let read = grafana.read(now - ANNOTATIONS_SPAN, now).await;
            read.map(|changes| (changes.len(), grafana.unnamed()))
        }
        Err(problem) => Err(problem),
    };
    let useless = |kind, text: String, hint: Option<&str>| {
        let hint = hint.map(str::to_owned);
        vec![Problem { kind, useless: true, text, hint }]
    };
    let (series, problems) = match read {
        Ok((0, unnamed)) if 0 < unnamed => {
            let text = "no annotation has a tag that names a service".to_owned();
            let hint = "`service_tag` says what stands before the name in a tag";
            (0, useless("no-service", text, Some(hint)))
        }
        // Days without a deploy are no fault.
        Ok((changes, _)) => (changes, Vec::new()),
        Err(problem) => (0, useless("refused", problem.to_string(), None)),
    };
    let milliseconds = (crate::clock::now() - began).as_millis().unsigned_abs();
    Answered { name, role: None, series, services: 0, peers: 0, points: 0, milliseconds, problems }
}
