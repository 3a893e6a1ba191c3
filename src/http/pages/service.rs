//! `GET /services/{name}`: one service.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::view::rows::IncidentRow;
use super::view::service::{ServiceView, range_of, service, unseen};
use super::view::{Reader, service_url};
use super::{Asked, asked, or_trouble, read, show};
use crate::http::Api;
use crate::http::problem::Refusal;
use crate::notify::view::clean;
use crate::store::IncidentFilter;

/// Incidents shown.
const INCIDENTS_MAX: u32 = 10;

/// Of what time the small charts are about.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    range: Option<String>,
}

#[derive(Serialize)]
struct View {
    service: ServiceView,
    incidents: Vec<IncidentRow>,
    /// Where all of its incidents are listed, if there are more.
    all: Option<String>,
    changes: String,
    /// Where a silence for it is made.
    silence: String,
}

pub(super) async fn page(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
    params: Asked<Params>,
) -> Response {
    let range = asked(params).range;
    let page = match name {
        Ok(Path(name)) => gather(&api, name, range.as_deref()).await,
        Err(_) => Err(Refusal::new(StatusCode::NOT_FOUND, "the name of a service is UTF-8 text")),
    };
    or_trouble(&api, page).await
}

async fn gather(api: &Api, name: String, range: Option<&str>) -> Result<Response, Refusal> {
    let (now, overview) = ((api.now)(), api.live.overview());
    let reader = Reader { now, zone: &api.facts.zone };
    let place = overview.services.binary_search_by(|one| one.service.as_str().cmp(&name));
    let seen = place.ok().and_then(|place| overview.services.get(place)).cloned();
    let standing = seen.or_else(|| unseen(&name, (&api.facts, overview.at))).ok_or_else(|| {
        let detail = format!("no service `{}` was seen, and none is configured", clean(&name));
        Refusal::new(StatusCode::NOT_FOUND, detail)
    })?;
    let (range, back) = range_of(range);
    let of = name.clone();
    let chart = api.live.ask(move |engine| engine.draw_service(&of, back)).await;
    let filter = IncidentFilter {
        service: Some(name.clone()),
        limit: INCIDENTS_MAX,
        ..IncidentFilter::default()
    };
    let (listed, next) = read(api, move |store| store.incident_page(&filter)).await?;
    let query = service_url(&name).replace("/services/", "");
    let view = View {
        service: service(&standing, (&overview, chart.as_ref()), range, &api.facts, reader),
        incidents: listed.incidents.iter().map(|one| IncidentRow::new(one, reader)).collect(),
        all: next.map(|_| format!("/incidents?service={query}")),
        changes: format!("/changes?service={query}"),
        silence: format!("/silences?service={query}#new"),
    };
    Ok(show(api, "", "service.html", &view).await)
}
