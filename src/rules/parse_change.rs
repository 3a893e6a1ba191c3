//! `[[change]]`: queries whose rows are change events.

use super::parse_signal::{SERVICE_LABEL, label};
use super::promql::{Wanted, advise, query};
use super::{ChangeBy, ChangeRule};
use crate::problem::Table;
use crate::series::ChangeKind;
use crate::time::Span;

/// Nothing that goes on for longer explains an onset.
pub const LASTS_MAX: Span = Span::WEEK;

/// Reads one `[[change]]` with a query.
pub(crate) fn change(table: Table<'_>) -> Option<ChangeRule> {
    if table.has("grafana") {
        // Whatever else is wrong with it is told where it belongs.
        let message = format!("`grafana` {} of a rule file", table.whereabouts());
        let problem = table.error(table.at_key("grafana"), message);
        table.report(problem.hint("move this [[change]] to the configuration, grayflag.toml"));
        return None;
    }
    let (kind, lasts) = kind_and_span(&table);
    let text = table.required("query", query);
    let service = label(&table, "service");
    let appears = label(&table, "appears");
    if let Some(text) = &text {
        let value = appears.as_ref().map(|label| Wanted::named("appears", label));
        let wanted: Vec<Wanted<'_>> =
            std::iter::once(Wanted::service(service.as_ref())).chain(value).collect();
        advise(&table, "query", text, None, &wanted);
    }
    let appears = appears.map(|label| ChangeBy::Appears(label.value.to_owned()));
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
        kind: kind?,
        query: text?,
        service: service.map_or(SERVICE_LABEL.to_owned(), |label| label.value.to_owned()),
        by: appears.or(value)?,
        lasts,
    })
}

/// What every `[[change]]` has, wherever its events come from: the kind, and how long it goes on.
pub(crate) fn kind_and_span(table: &Table<'_>) -> (Option<ChangeKind>, Option<Span>) {
    let kinds = ChangeKind::ALL.map(|kind| (kind.name(), kind));
    let kind = table.required("kind", |t, key| t.choice(key, &kinds));
    let lasts = table.span_within("lasts", Span::SECOND..=LASTS_MAX);
    (kind.map(|kind| kind.value), lasts.map(|lasts| lasts.value))
}
