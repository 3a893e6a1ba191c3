//! `[[change]]`: where change events come from.

use super::Context;
use super::network::url;
use super::secret::{SecretKeys, secret};
use crate::changes::grafana::{Annotations, ServiceOf};
use crate::problem::Table;
use crate::rules::{CHANGES_MAX, ChangeRule, change, kind_and_span};

/// The keys of Grafana's token.
const TOKEN: SecretKeys = ["token", "token_file", "token_env"];

/// More Grafanas than this are refused: each is asked at every tick.
const GRAFANAS_MAX: usize = 20;

/// More tags than this are refused.
const TAGS_MAX: usize = 20;

/// Reads every `[[change]]`: those with a query, and those with annotations.
pub(super) fn changes(
    root: &Table<'_>,
    context: &Context<'_>,
) -> (Vec<ChangeRule>, Vec<Annotations>) {
    let (mut rules, mut annotations) = (Vec::new(), Vec::new());
    let tables = root.tables("change");
    let marked = tables.iter().filter(|table| table.has("grafana")).count();
    for (limit, count, what) in [
        (CHANGES_MAX, tables.len() - marked, "queries"),
        (GRAFANAS_MAX, marked, "entries with `grafana`"),
    ] {
        if limit < count {
            let message = format!("more than {limit} [[change]] {what}");
            root.report(root.error(root.at_key("change"), message));
        }
    }
    for table in tables {
        if table.has("grafana") {
            annotations.extend(marks(table, context));
        } else {
            rules.extend(change(table));
        }
    }
    (rules, annotations)
}

fn marks(table: Table<'_>, context: &Context<'_>) -> Option<Annotations> {
    let (kind, lasts) = kind_and_span(&table);
    let both: Vec<&str> =
        ["query", "service", "appears", "value"].into_iter().filter(|k| table.has(k)).collect();
    table.know(&["query", "service", "appears", "value"]);
    if let [first, ..] = both.as_slice() {
        let message = format!("both `{first}` and `grafana` {}", table.whereabouts());
        let hint = "a change comes from a query or from annotations: write two [[change]]";
        table.report(table.error(table.at_key(first), message).hint(hint));
    }
    let grafana = table.table("grafana");
    let found = grafana.and_then(|table| grafana_table(table, context));
    table.finish();
    let (url, token, tags, service) = found?;
    Some(Annotations { kind: kind?, lasts, url, token, tags, service })
}

type Found = (reqwest::Url, Option<secrecy::SecretString>, Vec<String>, ServiceOf);

fn grafana_table(table: Table<'_>, context: &Context<'_>) -> Option<Found> {
    let address =
        table.required("url", |t, key| url(t, key, &["http", "https"], "http://grafana:3000"));
    if let Some(address) = &address
        && (address.query().is_some() || address.fragment().is_some())
    {
        let hint = "give the address up to the path before `/api/annotations`";
        table.wrong_hint("url", &table.at_value("url"), "must end with a path", hint);
    }
    let token = secret(&table, TOKEN, context);
    let tags = table.texts("tags").unwrap_or_default();
    if TAGS_MAX < tags.len() {
        table.wrong("tags", &table.at_value("tags"), &format!("more than {TAGS_MAX} tags"));
    }
    let named = table.filled("service").map(|name| ServiceOf::Named(name.value.to_owned()));
    let tag = table.filled("service_tag").map(|tag| ServiceOf::Tag(tag.value.to_owned()));
    let message = match (table.has("service"), table.has("service_tag")) {
        (true, true) => Some("both `service` and `service_tag` name the service"),
        (false, false) => Some("nothing says which service an annotation is about"),
        _ => None,
    };
    if let Some(message) = message {
        let hint = "write `service_tag = \"service:\"` (what follows it in a tag is the name) or \
                    `service = \"checkout\"` (always this one)";
        let at = if table.has("service") { table.at_key("service") } else { table.at() };
        table.report(table.error(at, format!("{message} {}", table.whereabouts())).hint(hint));
    }
    table.finish();
    let tags = tags.into_iter().map(|tag| tag.value.to_owned()).collect();
    Some((address?, token, tags, named.or(tag)?))
}
