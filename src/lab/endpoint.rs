//! The lab over HTTP: its metrics to scrape, and as much of Prometheus' query API as grayflag
//! needs to read a history from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize, Serializer};
use tokio::net::TcpListener;

use super::{History, LabSeries};
use crate::selector::{Selector, SelectorError};
use crate::time::{Span, Timestamp};

/// How long a sample is the answer to later instants, as in Prometheus.
pub const LOOKBACK: Span = Span::from_mins(5);
/// Points per series of one range query, as in Prometheus.
pub const POINTS_MAX: i64 = 11_000;

/// A history that others read while its owner extends it.
pub type Shared = Arc<RwLock<History>>;

/// Serves `history` on `listener` until `shutdown` is done, then finishes what is under way.
///
/// # Errors
///
/// When the listener cannot accept any more.
pub async fn serve(
    listener: TcpListener,
    history: Shared,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(history)).with_graceful_shutdown(shutdown).await
}

/// The routes over `history`.
pub fn router(history: Shared) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/api/v1/query", get(query).post(query))
        .route("/api/v1/query_range", get(query_range).post(query_range))
        .route("/api/v1/label/__name__/values", get(names))
        .route("/api/v1/status/buildinfo", get(build_info))
        .with_state(history)
}

/// Parameters of both kinds of query; those that the lab has no use for are ignored.
#[derive(Debug, Deserialize)]
struct Params {
    query: Option<String>,
    time: Option<String>,
    start: Option<String>,
    end: Option<String>,
    step: Option<String>,
}

type Asked = Result<Form<Params>, FormRejection>;

/// Why a query is refused: the text of `error` beside `bad_data`.
#[derive(Debug, thiserror::Error)]
enum BadData {
    #[error("cannot read the parameters: {0}")]
    Form(String),
    #[error("invalid parameter \"{0}\": {1}")]
    Parameter(&'static str, String),
    #[error(
        "invalid parameter \"query\": {0}\nhint: the lab answers plain selectors only, for example \
         `lab_errors{{service=\"web\"}}`; use a real backend for expressions"
    )]
    Selector(#[from] SelectorError),
    #[error(
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query \
         resolution (?step=XX)"
    )]
    Resolution,
}

/// What Prometheus wraps around every answer.
#[derive(Serialize)]
struct Success<T> {
    status: &'static str,
    data: T,
}

#[derive(Serialize)]
struct Failure {
    status: &'static str,
    #[serde(rename = "errorType")]
    error_type: &'static str,
    error: String,
}

#[derive(Serialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Answer {
    Vector(Vec<Row>),
    Matrix(Vec<Row>),
}

/// A series of an answer: `value` of a vector, `values` of a matrix.
#[derive(Serialize)]
struct Row {
    metric: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Point>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<Point>,
}

/// `[seconds, "value"]`.
struct Point(Timestamp, f64);

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.1.to_string();
        if self.0.as_millis() % 1_000 == 0 {
            (self.0.as_secs(), value).serialize(serializer)
        } else {
            (self.0.as_secs_f64(), value).serialize(serializer)
        }
    }
}

async fn query(State(history): State<Shared>, asked: Asked) -> Response {
    let Params { query, time, .. } = match asked {
        Ok(Form(params)) => params,
        Err(error) => return refused(&BadData::Form(error.body_text())),
    };
    answer(history, move |history| {
        let selector = Selector::parse(query.as_deref().unwrap_or(""))?;
        let at = match &time {
            Some(_) => instant("time", time.as_deref())?,
            None => history.end().unwrap_or_default(),
        };
        let row = |track: Track<'_>| {
            let value = Some(Point(at, track.latest(at)?));
            Some(Row { metric: metric(track.series), value, values: Vec::new() })
        };
        Ok(Answer::Vector(sorted(selected(history, &selector).filter_map(row).collect())))
    })
    .await
}

async fn query_range(State(history): State<Shared>, asked: Asked) -> Response {
    let params = match asked {
        Ok(Form(params)) => params,
        Err(error) => return refused(&BadData::Form(error.body_text())),
    };
    answer(history, move |history| range(history, &params)).await
}

fn range(history: &History, params: &Params) -> Result<Answer, BadData> {
    let start = instant("start", params.start.as_deref())?;
    let end = instant("end", params.end.as_deref())?;
    if end < start {
        let text = "end timestamp must not be before start time".to_owned();
        return Err(BadData::Parameter("end", text));
    }
    let step = length("step", params.step.as_deref())?;
    if (end - start).as_millis() / step.as_millis() > POINTS_MAX {
        return Err(BadData::Resolution);
    }
    let selector = Selector::parse(params.query.as_deref().unwrap_or(""))?;
    let points = (end - start).as_millis() / step.as_millis();
    let row = |track: Track<'_>| {
        let values: Vec<Point> = (0..=points)
            .map(|n| start + step.times(n))
            .filter_map(|at| Some(Point(at, track.latest(at)?)))
            .collect();
        (!values.is_empty()).then(|| Row { metric: metric(track.series), value: None, values })
    };
    Ok(Answer::Matrix(sorted(selected(history, &selector).filter_map(row).collect())))
}

/// A series and where its values are.
#[derive(Clone, Copy)]
struct Track<'a> {
    series: &'a LabSeries,
    index: usize,
    history: &'a History,
    /// Whether it is one of those by tenant and route.
    part: bool,
}

impl Track<'_> {
    /// What an instant query answers.
    fn latest(&self, at: Timestamp) -> Option<f64> {
        if self.part {
            self.history.parts().latest(self.index, at, LOOKBACK)
        } else {
            self.history.latest(self.index, at, LOOKBACK)
        }
    }
}

/// Everything that is served.
fn tracks(history: &History) -> impl Iterator<Item = Track<'_>> {
    let main = history.series().iter().enumerate().map(|one| (one, false));
    let parts = history.parts().series().iter().enumerate().map(|one| (one, true));
    main.chain(parts).map(|((index, series), part)| Track { series, index, history, part })
}

fn selected<'a>(history: &'a History, selector: &'a Selector) -> impl Iterator<Item = Track<'a>> {
    tracks(history).filter(|track| selector.matches(track.series.metric, &track.series.labels))
}

/// In order of labels, as Prometheus sorts a matrix.
fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| a.metric.cmp(&b.metric));
    rows
}

fn metric(series: &LabSeries) -> BTreeMap<String, String> {
    let mut labels = series.labels.clone();
    labels.insert("__name__".to_owned(), series.metric.to_owned());
    labels
}

fn instant(name: &'static str, text: Option<&str>) -> Result<Timestamp, BadData> {
    let text = text.unwrap_or("");
    text.parse().map_err(|_| {
        BadData::Parameter(name, format!("cannot parse {text:?} to a valid timestamp"))
    })
}

/// A length in seconds or as a Prometheus duration; it must be positive.
fn length(name: &'static str, text: Option<&str>) -> Result<Span, BadData> {
    let text = text.unwrap_or("");
    let seconds = text.parse::<f64>().ok().and_then(Timestamp::from_secs_f64);
    let span = match seconds {
        Some(seconds) => seconds - Timestamp::default(),
        None => text.parse().map_err(|_| {
            BadData::Parameter(name, format!("cannot parse {text:?} to a valid duration"))
        })?,
    };
    if span <= Span::ZERO {
        let text = "zero or negative query resolution step widths are not accepted. Try a positive \
                    integer";
        return Err(BadData::Parameter(name, text.to_owned()));
    }
    Ok(span)
}

async fn names(State(history): State<Shared>) -> Response {
    answer(history, |history| {
        let names: BTreeSet<&str> = tracks(history).map(|track| track.series.metric).collect();
        Ok(names.into_iter().map(str::to_owned).collect::<Vec<_>>())
    })
    .await
}

async fn build_info() -> Response {
    let data =
        BTreeMap::from([("application", "grayflag lab"), ("version", env!("CARGO_PKG_VERSION"))]);
    json(StatusCode::OK, &Success { status: "success", data })
}

/// The newest row as a target of Prometheus shows it, stamped by whoever scrapes.
async fn metrics(State(history): State<Shared>) -> Response {
    let history = history.read().unwrap_or_else(PoisonError::into_inner);
    let text = exposition(&history);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Prometheus text format, version 0.0.4: one group per metric.
fn exposition(history: &History) -> String {
    let mut groups: BTreeMap<&str, String> = BTreeMap::new();
    let (row, now) = (history.rows().saturating_sub(1), history.end().unwrap_or_default());
    for track in tracks(history) {
        let Track { series, index, .. } = track;
        // What is recorded every five minutes is shown until the next record.
        let value = if track.part { track.latest(now) } else { history.value(index, row) };
        if let Some(value) = value {
            let group = groups
                .entry(series.metric)
                .or_insert_with(|| format!("# TYPE {} gauge\n", series.metric));
            // Writing to a text cannot fail.
            let _ = writeln!(group, "{series} {value}");
        }
    }
    groups.into_values().collect()
}

/// Asks the history away from the threads that serve, since a long range takes milliseconds.
async fn answer<T: Serialize + Send + 'static>(
    history: Shared,
    ask: impl FnOnce(&History) -> Result<T, BadData> + Send + 'static,
) -> Response {
    let work = tokio::task::spawn_blocking(move || {
        match ask(&history.read().unwrap_or_else(PoisonError::into_inner)) {
            Ok(data) => json(StatusCode::OK, &Success { status: "success", data }),
            Err(error) => refused(&error),
        }
    });
    work.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn refused(error: &BadData) -> Response {
    let error = error.to_string();
    json(StatusCode::BAD_REQUEST, &Failure { status: "error", error_type: "bad_data", error })
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
