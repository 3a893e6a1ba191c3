//! `[[route]]`: which alerts go where.

use std::collections::BTreeSet;

use crate::engine::alert::Severity;
use crate::notify::routes::Route;
use crate::problem::{Problem, Table, did_you_mean, quoted};
use crate::rules::Names;

/// More routes than this are refused: each alert is held against all of them.
pub const ROUTES_MAX: usize = 1_000;

const SEVERITIES: [(&str, Severity); 3] = [
    ("notice", Severity::Notice),
    ("warning", Severity::Warning),
    ("critical", Severity::Critical),
];

/// Reads every `[[route]]`. Without any, what interrupts a person goes to every receiver.
pub(super) fn routes(
    root: &Table<'_>,
    receivers: &Names,
    causes: Option<&BTreeSet<&str>>,
) -> Vec<Route> {
    let tables = root.tables("route");
    if tables.len() > ROUTES_MAX {
        let place = tables.get(ROUTES_MAX).map_or(0..0, Table::at);
        root.report(root.error(place, format!("more than {ROUTES_MAX} routes")));
    }
    if tables.is_empty() && !root.has("route") {
        return default_route(receivers).into_iter().collect();
    }
    let mut used = BTreeSet::new();
    let exists = |name: &String| receivers.iter().any(|(known, _)| known == name);
    let mut routes = Vec::with_capacity(tables.len());
    for table in tables {
        let route = route(table, receivers, causes);
        used.extend(route.to.iter().cloned());
        routes.push(route);
    }
    // A misspelt name in a route is told there.
    let all_exist = used.iter().all(exists);
    for (name, place) in receivers.iter() {
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
    let severities = vec![Severity::Warning, Severity::Critical];
    (!to.is_empty()).then(|| Route { severities, to, ..Route::default() })
}

fn route(table: Table<'_>, receivers: &Names, causes: Option<&BTreeSet<&str>>) -> Route {
    let mut route = Route::default();
    if let Some(matching) = table.table("match") {
        route.severities = matching.choices("severity", &SEVERITIES).unwrap_or_default();
        let services = matching.texts("service").unwrap_or_default();
        route.services = services.into_iter().map(|text| text.value.to_owned()).collect();
        for cause in matching.texts("cause").unwrap_or_default() {
            if let Some(causes) = causes
                && !causes.contains(cause.value)
            {
                let what = format!("no cause has the id {}", quoted(cause.value));
                let hint = did_you_mean(cause.value, causes.iter().copied(), "causes")
                    .unwrap_or_else(|| "no rule file has a [[cause]]".to_owned());
                matching.wrong_hint("cause", &cause.at, &what, &hint);
            }
            route.causes.push(cause.value.to_owned());
        }
        matching.finish();
    }
    let to = table.required("to", Table::texts);
    if to.as_ref().is_some_and(Vec::is_empty) {
        let hint = "name at least one receiver; an alert that goes nowhere needs no route";
        table.wrong_hint("to", &table.at_value("to"), "must not be empty", hint);
    }
    for text in to.into_iter().flatten() {
        if receivers.iter().all(|(name, _)| name != text.value) {
            let what = format!("no receiver is called {}", quoted(text.value));
            let names = receivers.iter().map(|(name, _)| name);
            let hint = did_you_mean(text.value, names, "receivers")
                .unwrap_or_else(|| "add a [[receiver]] of this name".to_owned());
            let message = format!("`to` {}: {what}", table.whereabouts());
            table.report(table.error(text.at.clone(), message).hint(hint).of_absence());
        }
        route.to.push(text.value.to_owned());
    }
    table.finish();
    route
}
