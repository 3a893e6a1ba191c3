//! `GET /-/healthy` and `GET /-/ready`, for probes.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use super::Api;
use super::endpoint::{Access, Content, Endpoint};
use super::problem::Refusal;

pub(super) const HEALTHY: Endpoint = Endpoint {
    access: Access::Open,
    ..Endpoint::get(
        "/-/healthy",
        ("isHealthy", "Says whether the polling loop gives signs of life; 503 when it does not."),
        || get(healthy),
        &[(200, Content::Text)],
    )
};

pub(super) const READY: Endpoint = Endpoint {
    access: Access::Open,
    ..Endpoint::get(
        "/-/ready",
        ("isReady", "Says whether all is learned and the newest tick is fresh; 503 while not."),
        || get(ready),
        &[(200, Content::Text)],
    )
};

async fn healthy(State(api): State<Api>) -> Result<&'static str, Refusal> {
    api.telemetry.healthy().map(|()| "healthy\n").map_err(unavailable)
}

async fn ready(State(api): State<Api>) -> Result<&'static str, Refusal> {
    api.telemetry.ready((api.now)()).map(|()| "ready\n").map_err(unavailable)
}

fn unavailable(why: String) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why)
}
