//! `[[signal]]`: a query and what its rows mean.

use super::load::{Names, plain_name};
use super::promql::{Wanted, advise, query, structure};
use super::{Breakdown, MinEffect, MinTraffic, Role, Scale, Signal, Worse};
use crate::problem::{At, Table, quoted};
use crate::time::Span;

/// Stands for the label in a breakdown's query.
pub const LABEL_PLACEHOLDER: &str = "{{label}}";

/// The result label that names the service, unless told otherwise.
pub const SERVICE_LABEL: &str = "service";

/// More labels than this split a signal into more series than can be watched.
pub const LABELS_MAX: usize = 20;

/// Data later than this is no weak signal any more, it is history.
pub const DELAY_MAX: Span = Span::HOUR;

const WORSE: [(&str, Worse); 3] =
    [("up", Worse::Up), ("down", Worse::Down), ("either", Worse::Either)];

const SCALES: [(&str, Scale); 4] = [
    ("log", Scale::Log),
    ("linear", Scale::Linear),
    ("logit", Scale::Logit),
    ("count", Scale::Count),
];

/// Reads one signal; `None` if anything that it needs is wrong.
pub(super) fn signal(mut table: Table<'_>, names: &mut Names) -> Option<Signal> {
    let t = &mut table;
    let name = names.claim(t, "name");
    if let Some(name) = &name {
        plain_name(t, "name", name);
    }
    let t = &table;
    let role = t.required("role", role);
    let text = t.required("query", query);
    let service = label(t, "service");
    let peer = label(t, "peer");
    let dependency = label(t, "dependency");
    let split = labels(t, "split");
    distinct(t, [&service, &peer, &dependency], &split);
    if let Some(text) = &text {
        let own = [("peer", &peer), ("dependency", &dependency)].into_iter();
        let own = own.filter_map(|(key, label)| Some(Wanted::named(key, label.as_ref()?)));
        let wanted: Vec<Wanted<'_>> = std::iter::once(Wanted::service(service.as_ref()))
            .chain(own)
            .chain(split.iter().map(|label| Wanted::named("split", label)))
            .collect();
        advise(t, "query", text, role, &wanted);
    }
    let unit = t.filled("unit");
    let worse = t.choice("worse", &WORSE);
    let scale = t.choice("scale", &SCALES);
    let min_effect = t.table("min_effect").map(min_effect).unwrap_or_default();
    let min_traffic = t.table("min_traffic").and_then(|t| min_traffic(t, service.as_ref()));
    let limit = t.number("limit");
    let delay = t.span_within("delay", Span::ZERO..=DELAY_MAX);
    let breakdown = t.table("breakdown").and_then(|t| breakdown(t, service.as_ref()));
    let requires = t.texts("requires").unwrap_or_default();
    table.finish();
    let role = role?;
    Some(Signal {
        name: name?,
        role,
        query: text?,
        service: service.map_or(SERVICE_LABEL.to_owned(), |label| label.value.to_owned()),
        peer: peer.map(|label| label.value.to_owned()),
        dependency: dependency.map(|label| label.value.to_owned()),
        split: owned(&split),
        unit: unit.map(|unit| unit.value.to_owned()),
        worse: worse.map_or(role.worse(), |worse| worse.value),
        scale: scale.map_or(role.scale(), |scale| scale.value),
        min_effect,
        min_traffic,
        limit: limit.map(|limit| limit.value),
        delay: delay.map_or(Span::ZERO, |delay| delay.value),
        breakdown,
        requires: owned(&requires),
    })
}

/// A role by its name, with the nearest one suggested.
pub(super) fn role(table: &Table<'_>, key: &'static str) -> Option<Role> {
    let words: Vec<_> = Role::ALL.iter().map(|&role| (role.name(), role)).collect();
    table.choice(key, &words).map(|role| role.value)
}

/// A result label's name.
pub(crate) fn label<'d>(table: &Table<'d>, key: &'static str) -> Option<At<&'d str>> {
    let label = table.filled(key)?;
    check_label(table, key, &label).then_some(label)
}

/// Several labels' names.
fn labels<'d>(table: &Table<'d>, key: &'static str) -> Vec<At<&'d str>> {
    let mut labels = few(table, key);
    labels.retain(|label| check_label(table, key, label));
    labels
}

/// A list of at most [`LABELS_MAX`] labels.
fn few<'d>(table: &Table<'d>, key: &'static str) -> Vec<At<&'d str>> {
    let mut labels = table.texts(key).unwrap_or_default();
    if labels.len() > LABELS_MAX {
        table.wrong(key, &table.at_value(key), &format!("must hold at most {LABELS_MAX} labels"));
        labels.truncate(LABELS_MAX);
    }
    labels
}

fn check_label(table: &Table<'_>, key: &'static str, label: &At<&str>) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "\"'`{}()[],=~!".contains(c);
    let good = !label.value.contains(odd);
    if !good {
        let what = format!("{} is not the name of a label", quoted(label.value));
        let hint = "write only the label's name, for example `service`";
        table.wrong_hint(key, &label.at, &what, hint);
    }
    good
}

/// One label cannot be two things: the series could not be told apart.
fn distinct(t: &Table<'_>, single: [&Option<At<&str>>; 3], split: &[At<&str>]) {
    let [service, peer, dependency] = single;
    let mut seen = vec![("service", service.as_ref().map_or(SERVICE_LABEL, |label| label.value))];
    let named = [("peer", peer.as_ref()), ("dependency", dependency.as_ref())];
    let named = named.into_iter().filter_map(|(key, label)| Some((key, label?)));
    for (key, label) in named.chain(split.iter().map(|label| ("split", label))) {
        if let Some((other, _)) = seen.iter().find(|(_, name)| *name == label.value) {
            let what = format!("the label {} is already the `{other}`", quoted(label.value));
            let hint = "each label of a result has one meaning; name another one, or remove this";
            t.wrong_hint(key, &label.at, &what, hint);
        }
        seen.push((key, label.value));
    }
}

fn min_effect(table: Table<'_>) -> MinEffect {
    let part = |key| {
        let found = table.number(key)?;
        if found.value < 0.0 {
            let hint = "it is the size of a move in either direction";
            table.wrong_hint(key, &found.at, "must not be negative", hint);
        }
        Some(found.value)
    };
    let effect = MinEffect {
        relative: part("relative").unwrap_or(0.0),
        absolute: part("absolute").unwrap_or(0.0),
    };
    table.finish();
    effect
}

fn min_traffic(table: Table<'_>, service: Option<&At<&str>>) -> Option<MinTraffic> {
    let text = table.required("query", query);
    if let Some(text) = &text {
        advise(&table, "query", text, Some(Role::Traffic), &[Wanted::service(service)]);
    }
    let at_least = table.required("at_least", Table::number);
    if let Some(at_least) = &at_least
        && at_least.value <= 0.0
    {
        let hint = "remove `min_traffic` if the signal is to be believed without traffic";
        table.wrong_hint("at_least", &at_least.at, "must be more than 0", hint);
    }
    table.finish();
    Some(MinTraffic { query: text?, at_least: at_least?.value })
}

fn breakdown(table: Table<'_>, service: Option<&At<&str>>) -> Option<Breakdown> {
    let by = table.required("by", |t, key| Some(few(t, key)));
    for label in by.iter().flatten() {
        check_label(&table, "by", label);
    }
    if table.is_empty_list("by") {
        let hint = "name the labels to compare by, for example [\"tenant\", \"route\"]";
        table.wrong_hint("by", &table.at_value("by"), "must not be empty", hint);
    }
    let text = table.required("query", Table::filled);
    if let Some(text) = &text {
        if !text.value.contains(LABEL_PLACEHOLDER) {
            let what = format!("`{LABEL_PLACEHOLDER}` does not occur in it");
            let hint = format!(
                "write `{LABEL_PLACEHOLDER}` where each label of `by` goes: `sum by (service, {LABEL_PLACEHOLDER}) (…)`"
            );
            table.wrong_hint("query", &text.at, &what, &hint);
        } else if let Some(broken) = structure(text.value) {
            table.wrong("query", &table.part(text, broken.at), &broken.message);
        } else if let Some(label) = by.iter().flatten().next() {
            // What is wrong with one label's query is wrong with all.
            let filled = text.value.replace(LABEL_PLACEHOLDER, label.value);
            let wanted = [Wanted::service(service), Wanted::named("by", label)];
            advise(&table, "query", &filled, Some(Role::Traffic), &wanted);
        }
    }
    table.finish();
    Some(Breakdown { by: owned(&by?), query: text?.value.to_owned() })
}

fn owned(texts: &[At<&str>]) -> Vec<String> {
    texts.iter().map(|text| text.value.to_owned()).collect()
}
