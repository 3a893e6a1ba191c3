//! `[[maintenance]]`: planned work that returns.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::hours::schedule;
use crate::problem::{Problem, Table, did_you_mean, quoted};
use crate::rules::{Maintenance, Names, Service};

/// More windows than this are refused: each is looked at for every block.
pub const MAINTENANCE_MAX: usize = 100;

/// Reads every `[[maintenance]]`; `usual` is the zone unless told otherwise.
pub(super) fn maintenance(
    root: &Table<'_>,
    services: &BTreeMap<String, Service>,
    usual: &TimeZone,
) -> Vec<Maintenance> {
    let mut names = Names::new("maintenance", MAINTENANCE_MAX);
    let tables = root.tables("maintenance");
    tables.into_iter().filter_map(|table| window(table, &mut names, services, usual)).collect()
}

fn window(
    mut table: Table<'_>,
    names: &mut Names,
    services: &BTreeMap<String, Service>,
    usual: &TimeZone,
) -> Option<Maintenance> {
    let name = names.claim(&mut table, "name");
    let about = table.texts("services").unwrap_or_default();
    if table.is_empty_list("services") {
        let hint = "leave `services` out where the work is on all of them";
        table.wrong_hint("services", &table.at_value("services"), "must not be empty", hint);
    }
    for service in about.iter().filter(|service| !services.contains_key(service.value)) {
        let known = services.keys().map(String::as_str);
        let hint = did_you_mean(service.value, known, "services");
        // Services are discovered too: only what looks misspelt is worth a word.
        if let Some(hint) = hint.filter(|hint| hint.starts_with("did you mean")) {
            let what = format!("no [[service]] is called {}", quoted(service.value));
            let message = format!("`services` {}: {what}", table.whereabouts());
            let place = table.document().place(service.at.clone());
            table.report(Problem::warning(place, message).hint(hint));
        }
    }
    let schedule = table.required("hours", |table, _| schedule(table, usual));
    table.finish();
    let services = about.into_iter().map(|service| service.value.to_owned()).collect();
    Some(Maintenance { name: name?, services, schedule: schedule? })
}
