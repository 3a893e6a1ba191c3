//! `[[route]]`: which alerts go where.

mod reach;

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use super::hours::schedule;
use super::receivers::stranger;
use crate::engine::alert::Severity;
use crate::matcher::{Matcher, Pattern, VALUE_CHARS_MAX, VALUES_MAX};
use crate::notify::routes::{Quiet, Route};
use crate::problem::{At, Kind, Problem, Table, did_you_mean, quoted};
use crate::rules::{Names, Service};

/// More routes than this are refused: each alert is held against all of them.
pub const ROUTES_MAX: usize = 1_000;

/// What routes can speak of.
pub(super) struct Known<'a> {
    /// Names of receivers.
    pub(super) receivers: &'a Names,
    /// Ids of causes; none where they are not known.
    pub(super) causes: Option<&'a BTreeSet<&'a str>>,
    /// Names of signals; none where they are not known.
    pub(super) signals: Option<&'a BTreeSet<&'a str>>,
    /// Services that are described, by name.
    pub(super) services: &'a BTreeMap<String, Service>,
    /// The zone unless told otherwise.
    pub(super) timezone: &'a TimeZone,
}

/// Reads every `[[route]]`. Without any, what interrupts a person goes to every receiver.
pub(super) fn routes(root: &Table<'_>, known: &Known<'_>) -> Vec<Route> {
    let tables = root.tables("route");
    if tables.len() > ROUTES_MAX {
        let place = tables.get(ROUTES_MAX).map_or(0..0, Table::at);
        root.report(root.error(place, format!("more than {ROUTES_MAX} routes")));
    }
    if tables.is_empty() && !root.has("route") {
        return default_route(known.receivers).into_iter().collect();
    }
    let mut used = BTreeSet::new();
    let exists = |name: &String| known.receivers.iter().any(|(known, _)| known == name);
    let mut routes: Vec<Route> = Vec::with_capacity(tables.len());
    let mut places = Vec::with_capacity(tables.len());
    for table in tables {
        places.push(root.document().place(table.at()));
        let route = route(table, known);
        used.extend(route.to.iter().cloned());
        routes.push(route);
    }
    reach::unreachable(root, &routes, &places);
    // A misspelt name in a route is told there.
    let all_exist = used.iter().all(exists);
    for (name, place) in known.receivers.iter() {
        if all_exist && !used.contains(name) {
            let message = format!("no route leads to the receiver {}", quoted(name));
            let hint = "name it in the `to` of a [[route]], or remove it";
            root.report(Problem::warning(place.clone(), message).hint(hint).of_absence());
        }
    }
    routes
}

fn default_route(receivers: &Names) -> Option<Route> {
    let to: Vec<String> = receivers.iter().map(|(name, _)| name.to_owned()).collect();
    let severity = vec![Severity::Warning, Severity::Critical];
    let matcher = Matcher { severity, ..Matcher::default() };
    (!to.is_empty()).then(|| Route { matcher, to, ..Route::default() })
}

fn route(table: Table<'_>, known: &Known<'_>) -> Route {
    let mut route = Route::default();
    if let Some(matching) = table.table("match") {
        route.matcher = matcher(&matching, known);
        route.hours = schedule(&matching, known.timezone);
        matching.finish();
    }
    route.default = table.boolean("default").is_some_and(|default| default.value);
    route.stop = table.boolean("stop").is_some_and(|stop| stop.value);
    for key in ["match", "stop"] {
        if route.default && table.has(key) {
            let message = format!("`{key}` beside `default` {}", table.whereabouts());
            let hint = "a default route gets what no other route matches; write a second [[route]]";
            table.report(table.error(table.at_key(key), message).hint(hint));
        }
    }
    let to = table.required("to", Table::texts);
    if to.as_ref().is_some_and(Vec::is_empty) {
        let hint = "name at least one receiver; an alert that goes nowhere needs no route";
        table.wrong_hint("to", &table.at_value("to"), "must not be empty", hint);
    }
    for text in to.into_iter().flatten() {
        if let Some((what, hint)) = stranger(known.receivers, text.value) {
            let message = format!("`to` {}: {what}", table.whereabouts());
            table.report(table.error(text.at.clone(), message).hint(hint).of_absence());
        }
        route.to.push(text.value.to_owned());
    }
    table.finish();
    route
}

/// Reads what an alert must be like.
fn matcher(table: &Table<'_>, known: &Known<'_>) -> Matcher {
    let severity = table.choices("severity", &Severity::named()).unwrap_or_default();
    let services = table.texts("service");
    reach::misspelt_services(table, services.as_deref(), known.services);
    let service = patterns(table, "service", services);
    let signals = table.texts("signal");
    if let Some(names) = known.signals {
        reach::matches_none(table, "signal", signals.as_deref(), names);
    }
    let signal = patterns(table, "signal", signals);
    let causes = table.texts("cause");
    for cause in causes.iter().flatten().filter(|cause| Pattern::from(cause.value).is_exact()) {
        if let Some(causes) = known.causes.filter(|causes| !causes.contains(cause.value)) {
            let what = format!("no cause has the id {}", quoted(cause.value));
            let hint = did_you_mean(cause.value, causes.iter().copied(), "causes")
                .unwrap_or_else(|| "no rule file has a [[cause]]".to_owned());
            table.wrong_hint("cause", &cause.at, &what, &hint);
        }
    }
    if let Some(ids) = known.causes {
        let open = causes.iter().flatten().filter(|cause| !Pattern::from(cause.value).is_exact());
        let open: Vec<At<&str>> = open.cloned().collect();
        reach::matches_none(table, "cause", Some(&open), ids);
    }
    let cause = patterns(table, "cause", causes);
    let owners = table.texts("owner");
    let described: BTreeSet<&str> =
        known.services.values().filter_map(|service| service.owner.as_deref()).collect();
    for owner in owners.iter().flatten() {
        let pattern = Pattern::from(owner.value);
        if !described.iter().any(|name| pattern.matches(name)) {
            let what = format!("no [[service]] has the owner {}", quoted(owner.value));
            let hint = did_you_mean(owner.value, described.iter().copied(), "owners")
                .unwrap_or_else(|| "add `owner` to a [[service]]".to_owned());
            table.wrong_hint("owner", &owner.at, &what, &hint);
        }
    }
    let owner = patterns(table, "owner", owners);
    let label = table.table("label").map(|labels| labels_of(&labels)).unwrap_or_default();
    Matcher { severity, service, owner, cause, signal, label }
}

fn patterns(table: &Table<'_>, key: &str, texts: Option<Vec<At<&str>>>) -> Vec<Pattern> {
    let texts = texts.unwrap_or_default();
    if VALUES_MAX < texts.len() {
        let what = format!("must hold at most {VALUES_MAX} values");
        table.wrong(key, &table.at_value(key), &what);
    }
    let long = |text: &&At<&str>| VALUE_CHARS_MAX < text.value.chars().count();
    if let Some(text) = texts.iter().find(long) {
        let what = format!("a value must have at most {VALUE_CHARS_MAX} characters");
        table.wrong(key, &text.at, &what);
    }
    texts.into_iter().map(|text| Pattern::from(text.value)).collect()
}

/// Labels with their values; the user chooses the names.
fn labels_of(table: &Table<'_>) -> BTreeMap<String, Vec<Pattern>> {
    let mut labels = BTreeMap::new();
    for (name, value) in table.entries(&[Kind::Texts]) {
        let list = value.get_ref().as_array();
        let items = list.map(|list| list.iter().collect::<Vec<_>>()).unwrap_or_default();
        let texts: Vec<At<&str>> = items
            .iter()
            .filter_map(|item| Some(At { value: item.get_ref().as_str()?, at: item.span() }))
            .collect();
        if texts.is_empty() || texts.len() < items.len() {
            let hint = "write its values as a list: `label = { tenant = [\"acme\"] }`";
            table.wrong_hint(name.value, &value.span(), "expected a list of strings", hint);
            continue;
        }
        labels.insert(name.value.to_owned(), patterns(table, name.value, Some(texts)));
    }
    labels
}

/// Reads `quiet` of a receiver.
pub(super) fn quiet(table: &Table<'_>, usual: &TimeZone) -> Option<Quiet> {
    let table = table.table("quiet")?;
    let except = table.choices("except", &Severity::named());
    let schedule = table.required("hours", |table, _| schedule(table, usual));
    table.finish();
    Some(Quiet { schedule: schedule?, except: except.unwrap_or_else(|| vec![Severity::Critical]) })
}
