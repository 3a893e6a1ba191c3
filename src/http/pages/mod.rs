//! Pages for people: laid out on the server, readable without scripts, made live by a small one.
//!
//! A handler gathers what is known, a view cleans and formats it, a template lays it out. Forms go
//! to the pages' own routes and lead back to the page; what they say is read as the API reads it.

mod assets;
mod changes;
mod coverage;
mod digests;
mod fleet;
mod forms;
mod incident;
mod incidents;
mod rules;
mod service;
mod shell;
mod silences;
mod status;
mod view;

use std::sync::{Arc, LazyLock};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::Api;
use super::endpoint::Access;
use super::exchange::store_problem;
use super::problem::Refusal;
use crate::html::{HtmlError, Templates};
use crate::rules::Rules;
use crate::store::{Store, StoreError};
use crate::time::Span;

use shell::Shell;

/// What pages and API know beside the store and the engine: the same for as long as a
/// configuration is in force.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whose wall clock people read.
    pub zone: TimeZone,
    /// The backend's own pages, without anything secret; none leaves links out.
    pub source_url: Option<String>,
    /// What is watched, and for which causes.
    pub rules: Arc<Rules>,
    /// How far apart ticks are.
    pub interval: Span,
    /// What is learned from at first.
    pub history: Span,
    /// Receivers that are configured: without one, nobody is told.
    pub receivers: usize,
}

impl Default for Facts {
    fn default() -> Self {
        let (zone, rules) = (TimeZone::UTC, Arc::default());
        let (interval, history) = (Span::from_secs(30), Span::WEEK.times(4));
        Self { zone, source_url: None, rules, interval, history, receivers: 0 }
    }
}

/// Scripts, styles and forms of this server alone; pictures of charts in the page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// Every template of a page, by name.
macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("templates/", $name)))),*]
    };
}

static TEMPLATES: LazyLock<Result<Templates, HtmlError>> = LazyLock::new(|| {
    Templates::new(&templates![
        "page.html",
        "parts.html",
        "fleet.html",
        "incidents.html",
        "incident.html",
        "service.html",
        "rules.html",
        "changes.html",
        "coverage.html",
        "digests.html",
        "digest.html",
        "silences.html",
        "status.html",
        "trouble.html",
    ])
});

/// A route of the pages: guarded as endpoints of the API are, and no part of its description.
#[derive(Debug)]
pub struct Route {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// With `{name}` for what a link fills in.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    pub(super) handler: fn() -> MethodRouter<Api>,
}

impl Route {
    /// Something to look at.
    const fn page(path: &'static str, handler: fn() -> MethodRouter<Api>) -> Self {
        Self { method: "GET", path, access: Access::Read, handler }
    }

    /// Something to send.
    const fn form(path: &'static str, handler: fn() -> MethodRouter<Api>) -> Self {
        Self { method: "POST", path, access: Access::Write, handler }
    }
}

/// Every route of the pages.
pub const ROUTES: &[Route] = &[
    Route::page("/", || get(fleet::page)),
    Route::page("/incidents", || get(incidents::page)),
    Route::page("/incidents/{id}", || get(incident::page)),
    Route::page("/incidents/{id}/values", || get(incident::values)),
    Route::form("/incidents/{id}/acknowledge", || post(forms::acknowledge)),
    Route::form("/incidents/{id}/feedback", || post(forms::feedback)),
    Route::form("/incidents/{id}/silence", || post(forms::silence_incident)),
    Route::form("/incidents/{id}/steps", || post(forms::step)),
    Route::page("/services/{name}", || get(service::page)),
    Route::page("/rules", || get(rules::page)),
    Route::page("/changes", || get(changes::page)),
    Route::page("/coverage", || get(coverage::page)),
    Route::page("/digests", || get(digests::list)),
    Route::page("/digests/{every}/{at}", || get(digests::one)),
    Route::page("/silences", || get(silences::page)),
    Route::form("/silences", || post(forms::silence)),
    Route::form("/silences/{number}/end", || post(forms::end_silence)),
    Route::page("/status", || get(status::page)),
    Route::form("/status/retry", || post(forms::retry)),
    Route { access: Access::Open, ..Route::page("/assets/{hash}/{name}", || get(assets::asset)) },
];

/// What is answered where there is nothing: a page, or what programs understand.
pub(super) async fn nothing(State(api): State<Api>, uri: Uri) -> Response {
    let refusal = Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path");
    if ["/api/", "/-/"].iter().any(|program| uri.path().starts_with(program)) {
        return refusal.into_response();
    }
    trouble(&api, &refusal).await
}

/// What a page shows: what all have in common, and its own.
#[derive(Serialize)]
struct Page<'v, V> {
    shell: Shell,
    view: &'v V,
}

/// What a page that cannot be shown says.
#[derive(Serialize)]
struct Trouble<'a> {
    title: &'a str,
    detail: &'a str,
}

/// Lays a page out.
async fn show(api: &Api, here: &'static str, template: &str, view: &impl Serialize) -> Response {
    lay_out(api, (here, StatusCode::OK), template, view).await
}

/// The page of what went wrong.
async fn trouble(api: &Api, refusal: &Refusal) -> Response {
    let status = refusal.status();
    let title = status.canonical_reason().unwrap_or("Error");
    let view = Trouble { title, detail: refusal.detail() };
    lay_out(api, ("", status), "trouble.html", &view).await
}

async fn lay_out(
    api: &Api,
    (here, status): (&'static str, StatusCode),
    template: &str,
    view: &impl Serialize,
) -> Response {
    let shell = Shell::new(api, here).await;
    let page = Page { shell, view };
    let laid = match &*TEMPLATES {
        Ok(templates) => templates.render(template, &page).map_err(|problem| problem.to_string()),
        Err(problem) => Err(problem.to_string()),
    };
    let (status, text) = laid.map_or_else(
        |problem| {
            tracing::error!(template, problem, "a page cannot be laid out");
            (StatusCode::INTERNAL_SERVER_ERROR, "This page cannot be laid out.".to_owned())
        },
        |text| (status, text),
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        // Without a referrer, browsers would hide from which page a form comes.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
    ];
    (status, headers, Html(text)).into_response()
}

/// The parameters of a page, as they come.
type Asked<P> = Result<Query<P>, QueryRejection>;

/// The parameters of a page; those that cannot be read are as good as none: a link that somebody
/// cut short still shows the page.
fn asked<P: Default>(params: Asked<P>) -> P {
    params.map(|Query(params)| params).unwrap_or_default()
}

/// Reads from the store.
async fn read<T: Send + 'static>(
    api: &Api,
    read: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    api.store.with(read).await.map_err(|problem| store_problem(&problem))
}

/// The page, or the page of why there is none.
async fn or_trouble(api: &Api, page: Result<Response, Refusal>) -> Response {
    match page {
        Ok(page) => page,
        Err(refusal) => trouble(api, &refusal).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_one() {
        assert!(TEMPLATES.is_ok(), "{:?}", TEMPLATES.as_ref().err());
    }
}
