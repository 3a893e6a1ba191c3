//! `[[service]]` and `[topology]`: what the user knows about the fleet.

use std::collections::BTreeMap;

use crate::problem::{Table, quoted};
use crate::rules::{Names, Service, Wanted, advise, query};
use crate::time::Span;

/// More described services than this are refused.
const SERVICES_MAX: usize = 10_000;

/// Reads every `[[service]]`, by name.
pub(crate) fn services(root: &Table<'_>) -> BTreeMap<String, Service> {
    let mut names = Names::new("service", SERVICES_MAX);
    let mut services = BTreeMap::new();
    for mut table in root.tables("service") {
        let name = names.claim(&mut table, "name");
        let service = service(table, name.as_deref());
        if let Some(name) = name {
            services.insert(name, service);
        }
    }
    services
}

fn service(table: Table<'_>, name: Option<&str>) -> Service {
    let depends_on = table.texts("depends_on").unwrap_or_default();
    if let Some(own) = depends_on.iter().find(|other| Some(other.value) == name) {
        let hint = "name what the service calls, not the service itself";
        table.wrong_hint("depends_on", &own.at, "a service cannot depend on itself", hint);
    }
    let owner = table.filled("owner").map(|owner| owner.value.to_owned());
    let (objective_latency, objective_errors) =
        table.table("objective").map(objective).unwrap_or_default();
    table.finish();
    Service {
        depends_on: depends_on.into_iter().map(|other| other.value.to_owned()).collect(),
        owner,
        objective_latency,
        objective_errors,
    }
}

/// Latency in seconds and errors as a share.
fn objective(table: Table<'_>) -> (Option<f64>, Option<f64>) {
    let latency = table.span("latency").and_then(|latency| {
        let good = Span::ZERO < latency.value;
        if !good {
            let hint = "it is the latency that users would notice, for example `800ms`";
            table.wrong_hint("latency", &latency.at, "must be more than 0", hint);
        }
        good.then(|| latency.value.as_secs_f64())
    });
    let errors = table.text("errors").and_then(|text| {
        let percent = text.value.strip_suffix('%').and_then(|n| n.trim().parse::<f64>().ok());
        let good = percent.filter(|percent| 0.0 < *percent && *percent < 100.0);
        if good.is_none() {
            let what = format!("expected a share such as `0.1%`, found {}", quoted(text.value));
            let hint =
                "it is the failed share that users would notice: more than 0%, less than 100%";
            table.wrong_hint("errors", &text.at, &what, hint);
        }
        good.map(|percent| percent / 100.0)
    });
    table.finish();
    (latency, errors)
}

/// Reads `[topology]`.
pub(super) fn topology(table: Table<'_>) -> Option<String> {
    let found = table.required("query", query);
    if let Some(found) = &found {
        let wanted = ["client", "server"].map(|label| Wanted { key: label, label, at: None });
        advise(&table, "query", found, None, &wanted);
    }
    table.finish();
    found
}
