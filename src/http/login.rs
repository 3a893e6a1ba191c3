//! Logging in with a browser: a token is shown once, in a form, and a cookie stands for it then.
//!
//! The cookie holds no secret and nothing is kept about it: it names the token and when it runs
//! out, signed with a key made of the token. Scripts cannot read it (`HttpOnly`). Other sites can
//! make a browser send it with nothing but a link that somebody follows (`SameSite=Lax`): whoever
//! comes from a message about an incident is not asked to log in again.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::access::{Shown, Token};
use super::endpoint::{Access, Body, Content, Endpoint, Parameter, text as text_schema};
use super::listener::Peer;
use super::problem::Refusal;
use super::query::Parameters;
use super::{Api, text};
use crate::html::Templates;
use crate::time::{Span, Timestamp};

/// The name of the cookie.
pub(super) const COOKIE: &str = "grayflag_session";
/// How long one holds.
const HOLDS: Span = Span::WEEK;
/// Where people log in.
pub(super) const PATH: &str = "/-/login";

const PAGE: &str = include_str!("login.html");

pub(super) const FORM: Endpoint = Endpoint {
    access: Access::Open,
    parameters: &[Parameter {
        name: "next",
        about: "Where to go on afterwards: a path of this server.",
        schema: text_schema,
    }],
    refusals: &[400],
    ..Endpoint::get(
        PATH,
        ("showLogin", "The form in which people show a token."),
        || get(form),
        &[(200, Content::Html)],
    )
};

pub(super) const LOGIN: Endpoint = Endpoint {
    access: Access::Open,
    body: Some(Body { kind: FORM_TYPE, required: true, schema: body }),
    refusals: &[400, 403, 413, 415, 429],
    ..Endpoint::post(
        PATH,
        ("logIn", "Takes a token and sets a cookie that stands for it."),
        || post(log_in),
        &[(303, Content::Nothing), (401, Content::Html)],
    )
};

pub(super) const LOGOUT: Endpoint = Endpoint {
    access: Access::Open,
    refusals: &[403],
    ..Endpoint::post(
        "/-/logout",
        ("logOut", "Takes the cookie back."),
        || post(log_out),
        &[(303, Content::Nothing)],
    )
};

/// What browsers send forms as.
const FORM_TYPE: &str = "application/x-www-form-urlencoded";

fn body() -> Value {
    json!({
        "type": "object",
        "required": ["token"],
        "properties": {"token": {"type": "string"}, "next": {"type": "string"}}
    })
}

/// The form as it is sent.
#[derive(Deserialize)]
struct Sent {
    token: String,
    #[serde(default)]
    next: String,
}

/// What the page shows.
#[derive(Serialize)]
struct View<'v> {
    next: &'v str,
    wrong: bool,
    /// As whom the browser is logged in already, and what that allows.
    who: Option<(&'v str, &'static str)>,
}

/// The page on which to log in and out; it leads on to a path of this server.
pub(super) fn address(next: &str) -> String {
    let escaped = |byte: u8| {
        let plain = byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    format!("{PATH}?next={}", next.bytes().map(escaped).collect::<String>())
}

static TEMPLATES: LazyLock<Option<Templates>> = LazyLock::new(|| {
    let made = Templates::new(&[("login.html", PAGE)]);
    made.inspect_err(|problem| tracing::error!(%problem, "the page to log in is broken")).ok()
});

fn page(status: StatusCode, view: &View<'_>) -> Result<Response, Refusal> {
    let made = TEMPLATES.as_ref().and_then(|templates| templates.render("login.html", view).ok());
    let page = made.ok_or_else(|| {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the page cannot be laid out")
    })?;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    Ok((status, headers, page).into_response())
}

/// No script, nothing from elsewhere, in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

async fn form(State(api): State<Api>, headers: HeaderMap, uri: Uri) -> Result<Response, Refusal> {
    let mut read = Parameters::new(&uri, &["next"]);
    let next = read.text("next").unwrap_or_default();
    read.finish()?;
    let who = match api.config.shown(&headers, (api.now)()) {
        Shown::Cookie(name, scope) => Some((name, scope.name())),
        _ => None,
    };
    page(StatusCode::OK, &View { next: place(&next), wrong: false, who })
}

async fn log_in(
    State(api): State<Api>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    sent: Result<Form<Sent>, FormRejection>,
) -> Result<Response, Refusal> {
    let Form(sent) = sent.map_err(|problem| match problem.status() {
        StatusCode::UNPROCESSABLE_ENTITY => Refusal::new(
            StatusCode::BAD_REQUEST,
            "the form has the field `token`, and may have `next`",
        ),
        status => Refusal::new(status, problem.body_text()),
    })?;
    let now = (api.now)();
    let peer = peer.map(|Extension(peer)| peer.0);
    api.throttle.check(peer, now)?;
    let next = place(&sent.next);
    let Some(token) = api.config.token(sent.token.trim()) else {
        api.throttle.wrong(peer, now);
        return page(StatusCode::UNAUTHORIZED, &View { next, wrong: true, who: None });
    };
    tracing::info!(token = token.name, "logged in");
    let session = sign(token, now + HOLDS);
    let cookie = cookie(&session, HOLDS.as_secs(), is_secure(&api, &headers));
    Ok(gone_to(next, &cookie))
}

async fn log_out(State(api): State<Api>, headers: HeaderMap) -> Response {
    gone_to(PATH, &cookie("", 0, is_secure(&api, &headers)))
}

fn gone_to(place: &str, cookie: &str) -> Response {
    let headers = [(header::LOCATION, place), (header::SET_COOKIE, cookie)];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// Where to go on: a path of this server, and nobody else's whatever the form says.
fn place(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && !next.starts_with("/\\")
        && next.bytes().all(|byte| byte.is_ascii_graphic());
    if ours { next } else { "/" }
}

/// Whether the browser came by TLS, to us or to a proxy before us.
fn is_secure(api: &Api, headers: &HeaderMap) -> bool {
    api.config.tls.is_some()
        || text(headers, "x-forwarded-proto").is_some_and(|by| by.eq_ignore_ascii_case("https"))
}

fn cookie(session: &str, holds: i64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={session}; Path=/; Max-Age={holds}; HttpOnly; SameSite=Lax{secure}")
}

/// What stands for a token until an instant.
fn sign(token: &Token, until: Timestamp) -> String {
    let said = said(token, until.as_secs());
    let tag = hmac::sign(&token.key(), said.as_bytes());
    format!("{}.{}", until.as_secs(), BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

fn said(token: &Token, until: i64) -> String {
    format!("grayflag session {until} {} {}", token.scope.name(), token.name)
}

/// The session that a request shows.
pub(super) fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|one| one.split_once('='));
    pairs.find(|(name, _)| name.trim() == COOKIE).map(|(_, value)| value.trim())
}

/// The token that a session stands for now.
pub(super) fn of<'t>(session: &str, tokens: &'t [Token], now: Timestamp) -> Option<&'t Token> {
    let (until, tag) = session.split_once('.')?;
    let until: i64 = until.parse().ok().filter(|until| now < Timestamp::from_secs(*until))?;
    let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
    tokens
        .iter()
        .find(|token| hmac::verify(&token.key(), said(token, until).as_bytes(), &tag).is_ok())
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::http::access::Scope;

    const NOW: Timestamp = Timestamp::from_secs(1_772_331_000);

    fn token(name: &str, secret: &str, scope: Scope) -> Token {
        Token { name: name.to_owned(), scope, secret: SecretString::from(secret) }
    }

    #[test]
    fn a_session_stands_for_its_token_until_it_runs_out() {
        let tokens = [
            token("ci", "0123456789abcdef", Scope::Read),
            token("oncall", "fedcba9876543210", Scope::Write),
        ];
        let session = sign(&tokens[1], NOW + Span::HOUR);
        let name = |session: &str, tokens: &[Token], now| {
            of(session, tokens, now).map(|token| token.name.clone())
        };
        assert_eq!(name(&session, &tokens, NOW).as_deref(), Some("oncall"));
        assert_eq!(name(&session, &tokens, NOW + Span::HOUR), None, "it ran out");
        // Longer, it is signed by nobody.
        let (until, tag) = session.split_once('.').unwrap();
        let longer = format!("{}.{tag}", until.parse::<i64>().unwrap() + 1);
        assert_eq!(name(&longer, &tokens, NOW), None);
        // Neither does it outlive its token, nor a narrower scope.
        let changed = [token("oncall", "fedcba9876543211", Scope::Write)];
        assert_eq!(name(&session, &changed, NOW), None);
        let narrowed = [token("oncall", "fedcba9876543210", Scope::Read)];
        assert_eq!(name(&session, &narrowed, NOW), None);
        for wrong in ["", ".", "1", "x.y", "99999999999999999999.AA"] {
            assert_eq!(name(wrong, &tokens, NOW), None, "{wrong}");
        }
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        for next in
            ["//evil.example.com", "/\\evil.example.com", "https://evil.example.com", "", "/a\r\nb"]
        {
            assert_eq!(place(next), "/", "{next}");
        }
        assert_eq!(place("/incidents/a?x=1"), "/incidents/a?x=1");
    }
}
