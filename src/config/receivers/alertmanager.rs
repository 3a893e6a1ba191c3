//! `alertmanager` of a `[[receiver]]`: one, or the members of a cluster.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Context;
use crate::config::network::{headers, one_url};
use crate::config::secret::{SecretKeys, pem, secret};
use crate::config::source::basic_auth;
use crate::notify::alertmanager::{AlertmanagerConfig, LABELS, label_name, place};
use crate::problem::{Kind, Table, listed, quoted};
use crate::rules::Service;
use crate::time::Span;

/// The keys of a bearer token.
const BEARER: SecretKeys = ["bearer_token", "bearer_token_file", "bearer_token_env"];
/// More members than this are no cluster that anybody runs.
const URLS_MAX: usize = 20;
/// More labels do not route better.
const LABELS_MAX: usize = 20;
/// More often would be a load test.
const KEEP_ALIVE_MIN: Span = Span::from_secs(5);
/// Less often, and an alert outlives its end by hours when grayflag is stopped.
const KEEP_ALIVE_MAX: Span = Span::from_mins(30);
/// As often as Prometheus repeats its own.
pub(in crate::config) const KEEP_ALIVE_DEFAULT: Span = Span::MINUTE;

pub(super) fn alertmanager(
    table: Table<'_>,
    context: &Context<'_>,
    services: &BTreeMap<String, Service>,
) -> Option<AlertmanagerConfig> {
    let urls = urls(&table);
    let mut headers = headers(&table, context);
    one_authorization(&table, &headers);
    let login = table.table("basic_auth").and_then(|t| basic_auth(t, context));
    headers.extend(bearer(&table, context).map(|value| ("Authorization".to_owned(), value)));
    let ca_file = pem(&table, "ca_file", context);
    let labels = labels(&table);
    let keep_alive = table.span_within("keep_alive", KEEP_ALIVE_MIN..=KEEP_ALIVE_MAX);
    table.finish();
    let owned = services.iter().filter_map(|(name, service)| {
        service.owner.as_ref().map(|owner| (name.clone(), owner.clone()))
    });
    Some(AlertmanagerConfig {
        urls: urls?,
        headers,
        login: login.map(|login| (login.username, login.password)),
        ca_file,
        labels,
        keep_alive: keep_alive.map_or(KEEP_ALIVE_DEFAULT, |span| span.value),
        owners: owned.collect(),
    })
}

/// The members under `urls`, each once.
fn urls(table: &Table<'_>) -> Option<Vec<Url>> {
    let texts = table.required("urls", Table::texts)?;
    if texts.is_empty() || URLS_MAX < texts.len() {
        let what = format!("must hold 1 to {URLS_MAX} addresses");
        table.wrong("urls", &table.at_value("urls"), &what);
        return None;
    }
    let mut seen = BTreeSet::new();
    let mut urls = Vec::with_capacity(texts.len());
    for text in &texts {
        let url = one_url(table, "urls", text, &["http", "https"], "http://127.0.0.1:9093");
        let Some(url) = url else { continue };
        if url.query().is_some() || url.fragment().is_some() {
            let hint = "give the address up to the path before `/api/v2`";
            table.wrong_hint("urls", &text.at, "must end with a path", hint);
        } else if !seen.insert(place(&url)) {
            table.wrong("urls", &text.at, "holds an address twice");
        }
        urls.push(url);
    }
    // One that is left out is a problem, so that it is never missing from what is used.
    Some(urls)
}

/// Two ways to say who we are would overwrite each other.
fn one_authorization(table: &Table<'_>, headers: &[(String, SecretString)]) {
    let by_header = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let bearer = BEARER.into_iter().find(|key| table.has(key));
    let ways =
        [table.has("basic_auth").then_some("basic_auth"), bearer, by_header.then_some("headers")];
    let ways: Vec<_> = ways.into_iter().flatten().collect();
    if let [_, second, ..] = ways.as_slice() {
        let (given, place) = (listed(ways.clone()), table.whereabouts());
        let message = format!("`Authorization` is set more than once {place}: {given}");
        let problem = table.error(table.at_key(second), message);
        table.report(problem.hint("keep one of them"));
    }
}

/// A token, as the value of the header that it becomes.
fn bearer(table: &Table<'_>, context: &Context<'_>) -> Option<SecretString> {
    let token = secret(table, BEARER, context)?;
    let value = SecretString::from(format!("Bearer {}", token.expose_secret()));
    if reqwest::header::HeaderValue::from_str(value.expose_secret()).is_err() {
        let key = BEARER.into_iter().find(|key| table.has(key)).unwrap_or_default();
        let message = format!("the bearer token {} cannot be sent", table.whereabouts());
        let problem = table.error(table.at_key(key), message);
        table.report(problem.hint("a token is one line of plain text"));
    }
    Some(value)
}

/// The table under `labels`, whose names the user chooses.
fn labels(outer: &Table<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let Some(table) = outer.table("labels") else { return labels };
    for (name, value) in table.entries(&[Kind::Text]) {
        let what = if LABELS.contains(&name.value) {
            "is set from the incident"
        } else if label_name(name.value) != name.value {
            "is not a name that every Alertmanager takes"
        } else if let Some(text) = value.get_ref().as_str().filter(|text| !text.trim().is_empty()) {
            labels.insert(name.value.to_owned(), text.to_owned());
            continue;
        } else {
            "must be a string that is not empty"
        };
        let message = format!("label {} {what}", quoted(name.value));
        let hint = "names are letters, digits and `_`, for example `team = \"shop\"`";
        table.report(table.error(name.at.clone(), message).hint(hint));
    }
    if labels.len() > LABELS_MAX {
        let message = format!("more than {LABELS_MAX} labels");
        table.report(table.error(table.at(), message));
    }
    labels
}
