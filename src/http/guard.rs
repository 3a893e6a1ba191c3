//! Who may ask, who may write, and for how long.
//!
//! A web page that somebody on this machine opens can send requests to loopback. It cannot choose
//! `Host`, so a page whose name was pointed here (DNS rebinding) is recognised by that; it cannot
//! hide `Origin`, nor send JSON elsewhere without asking first (Fetch standard, "CORS").

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::{Authority, PathAndQuery};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::Shown;
use super::listener::Peer;
use super::problem::Refusal;
use super::{Api, Config, login, routes, text};
use crate::telemetry::Limit;

/// Longest that one request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Lets a request through, or says why not.
pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let Ok(_permit) = api.requests.try_acquire() else {
        api.telemetry.left_out(Limit::Requests, 1);
        let detail = "too many requests are under way; ask again";
        return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response();
    };
    if let Err(refusal) = admit(&api, &request) {
        return refusal.map_or_else(|| to_login(&request), Refusal::into_response);
    }
    let answered = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_| {
        let detail = "the request was not complete within 10 s";
        Refusal::new(StatusCode::REQUEST_TIMEOUT, detail).into_response()
    });
    let headers = response.headers_mut();
    // What never changes under its address says so itself.
    headers.entry(header::CACHE_CONTROL).or_insert(header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}

/// Whether a request may go on. No refusal: a person is asked to log in.
fn admit(api: &Api, request: &Request) -> Result<(), Option<Refusal>> {
    let (method, headers) = (request.method(), request.headers());
    let now = (api.now)();
    let shown = api.config.shown(headers, now);
    from_ours(&api.config, (method, headers), shown).map_err(Some)?;
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    api.config.admit(routes::access(method, path), shown).map_err(|refusal| {
        if shown == Shown::Wrong {
            if let Err(too_many) = api.throttle.check(peer, now) {
                return Some(too_many);
            }
            api.throttle.wrong(peer, now);
        }
        // A form, too: its page's script leads there as a browser does.
        let person = !request.uri().path().starts_with("/api/")
            && text(headers, "accept").is_some_and(|accept| accept.contains("text/html"));
        (!(person && refusal.is_unauthorized())).then_some(refusal)
    })
}

/// Sends a person to the page on which to log in, and back: from a form to the page that it is on.
fn to_login(request: &Request) -> Response {
    let asked = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let page = || {
        let from = text(request.headers(), header::REFERER.as_str())?.parse::<Uri>().ok()?;
        Some(from.path_and_query()?.as_str().to_owned())
    };
    let path = match *request.method() {
        Method::GET => asked.to_owned(),
        _ => page().unwrap_or_else(|| "/".to_owned()),
    };
    let place = login::address(&path);
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

/// Whether a request is meant for this server, and not made by a page of another one.
fn from_ours(
    config: &Config,
    (method, headers): (&Method, &HeaderMap),
    shown: Shown<'_>,
) -> Result<(), Refusal> {
    let host = text(headers, header::HOST.as_str()).unwrap_or_default();
    if !is_ours(config, host) {
        let detail = format!(
            "`Host: {host}` is not a name of this server; use its address, or add the name to \
             `http.hosts`"
        );
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let foreign = match text(headers, header::ORIGIN.as_str()) {
        Some(origin) => origin.split_once("://").is_none_or(|(_, from)| from != host),
        None => match text(headers, "sec-fetch-site") {
            // Browsers that leave `Origin` out still say this.
            Some(site) => !matches!(site, "same-origin" | "none"),
            // Whoever has a cookie is a browser, and says either.
            None => matches!(shown, Shown::Cookie(..)),
        },
    };
    if foreign {
        let detail = "web pages of other servers may not write here";
        return Err(Refusal::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(())
}

/// Whether a `Host` names this server: by address, as `localhost`, or as configured.
fn is_ours(config: &Config, host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    let by_address = name.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost");
    by_address || config.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
}
