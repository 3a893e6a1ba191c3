//! `GET /incidents`: all that were ever told, page by page.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::view::rows::IncidentRow;
use super::view::{Choice, Reader};
use super::{Asked, asked, or_trouble, read, show};
use crate::engine::alert::Severity;
use crate::format::in_address;
use crate::http::Api;
use crate::http::problem::Refusal;
use crate::store::IncidentFilter;
use crate::time::Timestamp;

/// Incidents of one page.
const PAGE: u32 = 50;

/// Which incidents are asked for; what cannot be read is as good as not said.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    open: String,
    service: String,
    severity: String,
    /// The last incident of the page before: milliseconds and id.
    after: String,
}

#[derive(Serialize)]
struct View {
    incidents: Vec<IncidentRow>,
    unreadable: usize,
    /// All, those that go on, those that are over.
    choices: Vec<Choice>,
    open: String,
    service: String,
    severity: String,
    severities: [&'static str; 3],
    /// The first page of the same.
    newest: String,
    next: Option<String>,
    /// Whether this is not the first page.
    later: bool,
}

pub(super) async fn page(State(api): State<Api>, params: Asked<Params>) -> Response {
    let params = asked(params);
    let page = gather(&api, params).await;
    or_trouble(&api, page).await
}

async fn gather(api: &Api, params: Params) -> Result<Response, Refusal> {
    let severity = Severity::from_name(&params.severity);
    let filter = IncidentFilter {
        open: params.open.parse().ok(),
        service: Some(params.service.clone()).filter(|name| !name.is_empty()),
        severity,
        after: after(&params.after),
        limit: PAGE,
    };
    let later = filter.after.is_some();
    let (listed, next) = read(api, move |store| store.incident_page(&filter)).await?;
    let reader = Reader { now: (api.now)(), zone: &api.facts.zone };
    let rest = query(&params.service, severity);
    let choice = |(name, open): (&str, &str)| Choice {
        name: name.to_owned(),
        url: format!("/incidents?open={open}{rest}"),
        here: open == params.open,
    };
    let newest = format!("/incidents?open={}{rest}", in_address(&params.open));
    let next = next.map(|(at, id)| {
        format!("{newest}&after={}", in_address(&format!("{} {id}", at.as_millis())))
    });
    let view = View {
        incidents: listed.incidents.iter().map(|one| IncidentRow::new(one, reader)).collect(),
        unreadable: listed.unreadable,
        choices: [("All", ""), ("Open", "true"), ("Over", "false")].map(choice).into(),
        open: params.open.clone(),
        service: params.service.clone(),
        severity: params.severity.clone(),
        severities: Severity::ALL.map(Severity::name),
        newest,
        next,
        later,
    };
    Ok(show(api, "/incidents", "incidents.html", &view).await)
}

fn query(service: &str, severity: Option<Severity>) -> String {
    let severity = severity.map_or("", Severity::name);
    format!("&service={}&severity={severity}", in_address(service))
}

/// The place of an incident among those that changed before and after it.
fn after(text: &str) -> Option<(Timestamp, String)> {
    let (at, id) = text.split_once(' ')?;
    Some((Timestamp::from_millis(at.parse().ok()?), id.to_owned()))
}
