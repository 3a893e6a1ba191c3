//! `GET /metrics`: how grayflag itself is.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::Api;
use super::endpoint::{Access, Content, Endpoint};
use crate::telemetry::{Format, Process, Scene};

pub(super) const METRICS: Endpoint = Endpoint {
    access: Access::Open,
    ..Endpoint::get(
        "/metrics",
        ("getMetrics", "Every metric, as OpenMetrics or as the older text."),
        || get(metrics),
        &[(200, Content::Metrics)],
    )
};

/// Every metric, in the format that the reader asks for.
async fn metrics(State(api): State<Api>, headers: HeaderMap) -> Response {
    let now = (api.now)();
    // On a thread that may block, as the state file does.
    let read = api.store.with(move |store| Ok((store.figures(now), Process::read()))).await;
    let (figures, process) = read.unwrap_or_else(|problem| (Err(problem), None));
    let figures = figures.inspect_err(|problem| {
        tracing::debug!(%problem, "metrics go without the state file");
    });
    let scene = Scene {
        now,
        overview: api.live.overview(),
        receivers: api.receivers.all(),
        figures: figures.ok(),
        process,
    };
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept);
    let text = api.telemetry.page(&scene, format);
    ([(header::CONTENT_TYPE, format.content_type())], text).into_response()
}

/// Counts every request by the pattern of its path, refused ones too.
pub(super) async fn measure(State(api): State<Api>, request: Request, next: Next) -> Response {
    let began = api.telemetry.elapsed();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map(MatchedPath::as_str);
    api.telemetry.requested(route, response.status().as_u16(), began);
    response
}
