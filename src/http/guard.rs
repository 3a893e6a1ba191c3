//! Who may ask, who may write, and for how long.
//!
//! A web page that somebody on this machine opens can send requests to loopback. It cannot choose
//! `Host`, so a page whose name was pointed here (DNS rebinding) is recognised by that; it cannot
//! hide `Origin`, nor send JSON elsewhere without asking first (Fetch standard, "CORS").

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use super::problem::Refusal;
use super::{Api, Config};
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
    if let Err(refusal) = admit(&api.config, request.method(), request.headers()) {
        return refusal.into_response();
    }
    let answered = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_| {
        let detail = "the request was not complete within 10 s";
        Refusal::new(StatusCode::REQUEST_TIMEOUT, detail).into_response()
    });
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}

fn admit(config: &Config, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
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
        // Browsers that leave `Origin` out still say this.
        None => text(headers, "sec-fetch-site")
            .is_some_and(|site| !matches!(site, "same-origin" | "none")),
    };
    if foreign {
        let detail = "web pages of other servers may not write here";
        return Err(Refusal::new(StatusCode::FORBIDDEN, detail));
    }
    authorize(config, headers)
}

/// Whether a `Host` names this server: by address, as `localhost`, or as configured.
fn is_ours(config: &Config, host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    let by_address = name.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost");
    by_address || config.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn authorize(config: &Config, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(token) = &config.token else {
        // The configuration is refused without a token on such an address.
        return if config.listen.ip().is_loopback() {
            Ok(())
        } else {
            Err(Refusal::new(StatusCode::FORBIDDEN, "writing needs `http.token_file`"))
        };
    };
    let shown = text(headers, header::AUTHORIZATION.as_str())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, shown)| shown.trim());
    // In a time that does not tell how much of it is right.
    let right = shown
        .is_some_and(|shown| bool::from(shown.as_bytes().ct_eq(token.expose_secret().as_bytes())));
    if right {
        Ok(())
    } else {
        let detail = "writing needs the header `Authorization: Bearer TOKEN` with the token of \
                      `http.token_file`";
        Err(Refusal::new(StatusCode::UNAUTHORIZED, detail))
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
