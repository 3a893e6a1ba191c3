//! `[source]`: the metrics backend.

use std::net::IpAddr;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::Context;
use super::network::{headers, url};
use super::secret::{PASSWORD, SecretKeys, given, path, pem, secret};
use crate::problem::{Table, listed, quoted};
use crate::source::{BasicAuth, Config, Tls};
use crate::time::Span;

/// More queries at once would be a load test of the backend.
const CONCURRENCY_MAX: i64 = 64;

/// Prometheus refuses more points per series than this.
const POINTS_MAX: i64 = 11_000;

/// Fewer would make a history of thousands of requests.
const POINTS_MIN: i64 = 100;

/// A query that takes longer is not worth a tick.
const TIMEOUT_MAX: Span = Span::from_mins(5);

/// The keys of a bearer token that does not stand in a file that is read again.
const BEARER: SecretKeys = ["bearer_token", "bearer_token_file", "bearer_token_env"];

/// The backend's address unless told otherwise.
const URL_DEFAULT: &str = "http://127.0.0.1:9090";

/// The backend unless told otherwise: one on this machine.
pub(super) fn default() -> Config {
    Config::new(URL_DEFAULT)
}

/// Reads `[source]`.
pub(super) fn source(table: Table<'_>, context: &Context<'_>) -> Option<Config> {
    let default = default();
    let kind = table.filled("kind");
    if let Some(kind) = kind.filter(|kind| kind.value != "prometheus") {
        let hint =
            "write `prometheus`: VictoriaMetrics, Thanos, Mimir and Cortex answer the same API";
        table.wrong_hint("kind", &kind.at, "can only be `prometheus`", hint);
    }
    let address = url(&table, "url", &["http", "https"], &default.url);
    if let Some(address) = &address
        && (address.query().is_some() || address.fragment().is_some())
    {
        let hint = "give the address up to the path before `/api/v1`";
        table.wrong_hint("url", &table.at_value("url"), "must end with a path", hint);
    }
    let mut headers = headers(&table, context);
    let basic_auth = table.table("basic_auth").and_then(|t| basic_auth(t, context));
    let bearer_token_file = bearer(&table, context, &mut headers);
    let tls = table.table("tls").map(|t| tls(t, context)).unwrap_or_default();
    one_authorization(&table, &headers);
    let timeout = table.span_within("timeout", Span::SECOND..=TIMEOUT_MAX);
    let concurrency = table.integer("max_concurrency", 1..=CONCURRENCY_MAX);
    let points = table.integer("max_points_per_query", POINTS_MIN..=POINTS_MAX);
    let gzip = table.boolean("gzip");
    let complete = address.is_some() || !table.has("url");
    table.finish();
    let whole = |number: Option<crate::problem::At<i64>>, default| {
        number.and_then(|number| usize::try_from(number.value).ok()).unwrap_or(default)
    };
    complete.then(|| Config {
        url: address.map_or(default.url, |url| url.as_str().trim_end_matches('/').to_owned()),
        headers,
        basic_auth,
        bearer_token_file,
        tls,
        timeout: timeout.map_or(default.timeout, |timeout| timeout.value),
        max_concurrency: whole(concurrency, default.max_concurrency),
        max_points_per_query: whole(points, default.max_points_per_query),
        max_response_bytes: default.max_response_bytes,
        gzip: gzip.map_or(default.gzip, |gzip| gzip.value),
    })
}

pub(super) fn basic_auth(table: Table<'_>, context: &Context<'_>) -> Option<BasicAuth> {
    let username = table.required("username", Table::filled);
    let password = secret(&table, PASSWORD, context);
    if !given(&table, PASSWORD) {
        let message = format!("missing the password {}", table.whereabouts());
        let hint = format!("give one of {}", listed(PASSWORD));
        table.report(table.error(table.at(), message).hint(hint).of_absence());
    }
    table.finish();
    Some(BasicAuth { username: username?.value.to_owned(), password: password? })
}

/// A token of the file or the environment becomes a header; a token file stays a path, because
/// such files are rotated while the program runs.
fn bearer(
    table: &Table<'_>,
    context: &Context<'_>,
    headers: &mut Vec<(String, SecretString)>,
) -> Option<PathBuf> {
    let [_, file, _] = BEARER;
    let only_file = BEARER.into_iter().all(|key| table.has(key) == (key == file));
    if only_file {
        table.know(&BEARER);
        return path(table, file, context);
    }
    let token = secret(table, BEARER, context)?;
    let value = SecretString::from(format!("Bearer {}", token.expose_secret()));
    if reqwest::header::HeaderValue::from_str(value.expose_secret()).is_err() {
        let message = format!("the bearer token {} cannot be sent", table.whereabouts());
        let key = BEARER.into_iter().find(|key| table.has(key)).unwrap_or(file);
        let problem = table.error(table.at_key(key), message);
        table.report(problem.hint("a token is one line of plain text"));
    }
    headers.push(("Authorization".to_owned(), value));
    None
}

/// Two ways to say who we are would overwrite each other.
fn one_authorization(table: &Table<'_>, headers: &[(String, SecretString)]) {
    let bearer = BEARER.into_iter().find(|key| table.has(key));
    let header = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let by_header = header.count() > usize::from(bearer.is_some_and(|key| key != BEARER[1]));
    let ways =
        [table.has("basic_auth").then_some("basic_auth"), bearer, by_header.then_some("headers")];
    let ways: Vec<_> = ways.into_iter().flatten().collect();
    if let [_, second, ..] = ways.as_slice() {
        let message = format!(
            "`Authorization` is set more than once {}: {}",
            table.whereabouts(),
            listed(ways.clone())
        );
        let problem = table.error(table.at_key(second), message);
        table.report(problem.hint("keep one of them"));
    }
}

fn tls(table: Table<'_>, context: &Context<'_>) -> Tls {
    for (key, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        if table.has(key) && !table.has(other) {
            let hint = "a client certificate needs both";
            let what = format!("`{other}` is missing beside it");
            table.wrong_hint(key, &table.at_value(key), &what, hint);
        }
    }
    let server_name = table.filled("server_name");
    if let Some(name) = &server_name
        && name.value.parse::<IpAddr>().is_ok()
    {
        let what = format!("{} is an address, not a name", quoted(name.value));
        let hint = "write the name that stands in the server's certificate";
        table.wrong_hint("server_name", &name.at, &what, hint);
    }
    let tls = Tls {
        ca_file: pem(&table, "ca_file", context),
        cert_file: pem(&table, "cert_file", context),
        key_file: pem(&table, "key_file", context),
        server_name: server_name.map(|name| name.value.to_owned()),
    };
    table.finish();
    tls
}
