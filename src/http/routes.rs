//! Every endpoint, and the router of them.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode};
use axum::middleware::from_fn_with_state;

use super::endpoint::{Access, Endpoint};
use super::problem::Refusal;
use super::{
    Api, BODY_BYTES_MAX, changes, coverage, digests, guard, health, incidents, login, metrics,
    openapi, pages, reload, rules, services, signals, silences, status,
};

/// Everything that is served, in the order in which it is documented.
pub const ENDPOINTS: &[&Endpoint] = &[
    &health::HEALTHY,
    &health::READY,
    &metrics::METRICS,
    &reload::RELOAD,
    &login::FORM,
    &login::LOGIN,
    &login::LOGOUT,
    &openapi::SERVED,
    &status::STATUS,
    &services::LIST,
    &services::ONE,
    &signals::LIST,
    &rules::LIST,
    &coverage::LIST,
    &changes::LIST,
    &changes::POST,
    &incidents::LIST,
    &incidents::ONE,
    &incidents::ACKNOWLEDGE,
    &incidents::FEEDBACK,
    &digests::LIST,
    &silences::LIST,
    &silences::ADD,
    &silences::END,
];

/// The routes.
pub fn router(api: Api) -> Router {
    let mut router = Router::new();
    for endpoint in ENDPOINTS {
        router = router.route(endpoint.path, (endpoint.handler)());
    }
    for route in pages::ROUTES {
        router = router.route(route.path, (route.handler)());
    }
    router
        .fallback(pages::nothing)
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(api.clone(), guard::guard))
        .layer(from_fn_with_state(api.clone(), metrics::measure))
        .with_state(api)
}

/// Who may send this. What is not in the list, such as a path that does not exist, is as careful as
/// can be: strangers learn nothing from it.
pub(super) fn access(method: &Method, path: Option<&str>) -> Access {
    let safe = matches!(*method, Method::GET | Method::HEAD);
    let method = if safe { "GET" } else { method.as_str() };
    let found =
        ENDPOINTS.iter().find(|endpoint| endpoint.method == method && Some(endpoint.path) == path);
    let page = || {
        let mut pages = pages::ROUTES.iter();
        pages.find(|route| route.method == method && Some(route.path) == path)
    };
    match found.map(|endpoint| endpoint.access).or_else(|| page().map(|route| route.access)) {
        Some(access) => access,
        None if safe => Access::Read,
        None => Access::Write,
    }
}
