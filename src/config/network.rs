//! Addresses and headers, as sources and receivers share them.

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use super::Context;
use super::secret::{SecretKeys, secret};
use crate::problem::{At, Kind, Table, quoted};

/// More headers than this are refused by most servers.
const HEADERS_MAX: usize = 50;

/// The keys of a header's value when it does not stand in the file itself.
const HEADER_KEYS: SecretKeys = ["value", "file", "env"];

/// The address under a key, with one of the schemes, a host and no user in it.
pub(super) fn url(
    table: &Table<'_>,
    key: &'static str,
    schemes: &[&str],
    example: &str,
) -> Option<Url> {
    one_url(table, key, &table.filled(key)?, schemes, example)
}

/// The address in a text that stands under a key, alone or in a list.
pub(super) fn one_url(
    table: &Table<'_>,
    key: &str,
    text: &At<&str>,
    schemes: &[&str],
    example: &str,
) -> Option<Url> {
    let hint = format!("write it in full, for example `{example}`");
    // Messages never repeat the address: it may hold a password.
    let Ok(url) = Url::parse(text.value) else {
        table.wrong_hint(key, &text.at, "is not an address", &hint);
        return None;
    };
    let what = if !schemes.contains(&url.scheme()) {
        format!("must begin with {}", schemes.map_join("://"))
    } else if url.host_str().is_none_or(str::is_empty) {
        "names no host".to_owned()
    } else if !url.username().is_empty() || url.password().is_some() {
        let hint = "user and password have keys of their own, so that they are never shown";
        table.wrong_hint(key, &text.at, "must not hold a user or a password", hint);
        return None;
    } else {
        return Some(url);
    };
    table.wrong_hint(key, &text.at, &what, &hint);
    None
}

trait MapJoin {
    fn map_join(&self, end: &str) -> String;
}

impl MapJoin for [&str] {
    /// Every word with an end, joined by "or".
    fn map_join(&self, end: &str) -> String {
        self.iter().map(|word| format!("`{word}{end}`")).collect::<Vec<_>>().join(" or ")
    }
}

/// The table of headers under `headers`: each value in the file, in another one or in the
/// environment.
pub(super) fn headers(table: &Table<'_>, context: &Context<'_>) -> Vec<(String, SecretString)> {
    let Some(section) = table.table("headers") else { return Vec::new() };
    let mut headers = Vec::new();
    for (name, value) in section.entries(&[Kind::Text, Kind::Table]) {
        if HeaderName::from_bytes(name.value.as_bytes()).is_err() {
            let what = format!("{} is not the name of a header", quoted(name.value));
            let hint = "names are letters, digits and `-`, for example `X-Scope-OrgID`";
            table.wrong_hint("headers", &name.at, &what, hint);
            continue;
        }
        let found = if let Some(text) = value.get_ref().as_str() {
            Some(SecretString::from(text))
        } else {
            let title = format!("header {}", quoted(name.value));
            header_table(&section, &title, value, context)
        };
        let Some(found) = found else { continue };
        if HeaderValue::from_str(found.expose_secret()).is_err() {
            let what = format!("the value of {} cannot be sent", quoted(name.value));
            let at = At { value: (), at: value.span() };
            table.wrong_hint("headers", &at.at, &what, "a header is one line of plain text");
            continue;
        }
        headers.push((name.value.to_owned(), found));
    }
    if headers.len() > HEADERS_MAX {
        let what = format!("more than {HEADERS_MAX} headers");
        table.wrong("headers", &table.at_value("headers"), &what);
    }
    headers
}

fn header_table<'d>(
    section: &Table<'d>,
    title: &str,
    value: &'d toml::Spanned<toml::de::DeValue<'d>>,
    context: &Context<'_>,
) -> Option<SecretString> {
    let Some(inner) = section.inner(title.to_owned(), value) else {
        let message = format!("{title}: expected a string or `{{ file = \"…\" }}`");
        section.report(section.error(value.span(), message));
        return None;
    };
    let found = secret(&inner, HEADER_KEYS, context);
    if !super::secret::given(&inner, HEADER_KEYS) && !inner.has_unknown() {
        let message = format!("{title} has no value");
        let hint = "write the text itself, `{ file = \"…\" }` or `{ env = \"…\" }`";
        inner.report(inner.error(value.span(), message).hint(hint));
    }
    inner.finish();
    found
}
