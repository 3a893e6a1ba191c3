//! `GET /silences`: what is kept back, by what, and for how long.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::view::{Reader, When, first};
use super::{Asked, asked, or_trouble, read, show};
use crate::engine::alert::Severity;
use crate::http::Api;
use crate::http::problem::Refusal;
use crate::notify::view::clean;
use crate::store::Silence;

/// Silences shown that are not over.
const OPEN_MAX: usize = 100;
/// The newest silences that are looked at for those that are over, and how many of them are shown.
const NEWEST: u32 = 100;
const OVER_MAX: usize = 20;
/// For how long a silence can be made with a click.
pub(super) const LENGTHS: [&str; 6] = ["30m", "1h", "2h", "8h", "1d", "1w"];

/// What the form is filled with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    service: String,
    cause: String,
}

#[derive(Serialize)]
struct View {
    open: Vec<Row>,
    open_more: usize,
    over: Vec<Row>,
    /// What is held by other things than silences.
    others: Vec<(String, u64)>,
    service: String,
    cause: String,
    lengths: [&'static str; 6],
    severities: [&'static str; 3],
    services: Vec<String>,
    causes: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    number: i64,
    matcher: String,
    /// Whether it holds now, and is not still to begin.
    holds: bool,
    starts: When,
    ends: When,
    comment: String,
    by: Option<String>,
    /// Messages that wait for its end.
    held: u64,
}

/// Names that a form suggests.
const SUGGESTED_MAX: usize = 200;

pub(super) async fn page(State(api): State<Api>, params: Asked<Params>) -> Response {
    let params = asked(params);
    let page = gather(&api, params).await;
    or_trouble(&api, page).await
}

async fn gather(api: &Api, params: Params) -> Result<Response, Refusal> {
    let now = (api.now)();
    let (open, newest, held) = read(api, move |store| {
        Ok((store.open_silences(now)?, store.silences(NEWEST)?, store.held_counts()?))
    })
    .await?;
    let mut held: BTreeMap<String, u64> = held.into_iter().collect();
    let reader = Reader { now, zone: &api.facts.zone };
    let mut row = |silence: &Silence| Row {
        number: silence.number,
        matcher: clean(&silence.matcher.to_string()),
        holds: silence.holds_at(now),
        starts: reader.clock(silence.starts_at),
        ends: reader.moment(silence.ends_at),
        comment: clean(&silence.comment),
        by: silence.by.as_deref().map(clean),
        held: held.remove(&silence.name()).unwrap_or(0),
    };
    let open: Vec<Row> = open.iter().map(&mut row).collect();
    let over = newest.iter().filter(|silence| silence.ends_at <= now).take(OVER_MAX);
    let over = over.map(&mut row).collect();
    let (open, open_more) = first(open, OPEN_MAX);
    let overview = api.live.overview();
    let services = overview.services.iter().take(SUGGESTED_MAX);
    let view = View {
        open,
        open_more,
        over,
        others: held.into_iter().map(|(by, count)| (clean(&by), count)).collect(),
        service: params.service,
        cause: params.cause,
        lengths: LENGTHS,
        severities: Severity::ALL.map(Severity::name),
        services: services.map(|one| one.service.clone()).collect(),
        causes: api.causes.iter().take(SUGGESTED_MAX).cloned().collect(),
    };
    Ok(show(api, "/silences", "silences.html", &view).await)
}
