//! `[[service]]`, `[topology]` and `[[change]]`: what the user knows about the fleet.

use std::collections::BTreeMap;

use crate::problem::{Table, quoted};
use crate::rules::{ChangeBy, ChangeRule, Names, SERVICE_LABEL, Service, label, query};
use crate::series::ChangeKind;
use crate::time::Span;

/// More described services than this are refused.
const SERVICES_MAX: usize = 10_000;

/// Reads every `[[service]]`, by name.
pub(super) fn services(root: &Table<'_>) -> BTreeMap<String, Service> {
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
    table.finish();
    found
}

/// Reads every `[[change]]`.
pub(super) fn changes(root: &Table<'_>) -> Vec<ChangeRule> {
    root.tables("change").into_iter().filter_map(change).collect()
}

fn change(table: Table<'_>) -> Option<ChangeRule> {
    let kinds = ChangeKind::ALL.map(|kind| (kind.name(), kind));
    let kind = table.required("kind", |t, key| t.choice(key, &kinds));
    let text = table.required("query", query);
    let service = label(&table, "service");
    let appears = label(&table, "appears").map(|label| ChangeBy::Appears(label.value.to_owned()));
    let value = table.choice("value", &[("timestamp", false), ("step", true)]);
    let value = value.map(|at| if at.value { ChangeBy::Step } else { ChangeBy::Timestamp });
    let message = match (table.has("appears"), table.has("value")) {
        (true, true) => Some("both `appears` and `value` say how a row becomes an event"),
        (false, false) => Some("nothing says how a row becomes an event"),
        _ => None,
    };
    if let Some(message) = message {
        let hint = "write one of `appears = \"version\"` (a label value not seen before), \
                    `value = \"timestamp\"` (the sample is the time) or `value = \"step\"` (the number moved)";
        let at = if table.has("value") { table.at_key("value") } else { table.at() };
        let problem = table.error(at, format!("{message} {}", table.whereabouts())).hint(hint);
        table.report(if table.has("value") { problem } else { problem.of_absence() });
    }
    table.finish();
    Some(ChangeRule {
        kind: kind?.value,
        query: text?,
        service: service.map_or(SERVICE_LABEL.to_owned(), |label| label.value.to_owned()),
        by: appears.or(value)?,
    })
}
