//! Routes and matchers that nothing can reach: they are no errors, but nobody means them.

use std::collections::{BTreeMap, BTreeSet};

use crate::matcher::{Matcher, Pattern};
use crate::notify::routes::Route;
use crate::problem::{At, Place, Problem, Table, did_you_mean, quoted};
use crate::rules::Service;

/// Warns of routes that an earlier one keeps everything from. Only one route at a time is looked
/// at: several that leave nothing together are not noticed.
///
/// # Cost
/// The square of the number of routes.
pub(super) fn unreachable(root: &Table<'_>, routes: &[Route], places: &[Place]) {
    for (index, (route, place)) in routes.iter().zip(places).enumerate() {
        let before = routes.iter().zip(places).take(index);
        let taken = if route.default {
            // A default route gets what matches no other, wherever it stands.
            let all = |other: &Route| !other.default && other.hours.is_none();
            let others = routes.iter().zip(places);
            others.into_iter().find(|(other, _)| all(other) && other.matcher.is_empty())
        } else {
            let takes = |other: &Route| other.stop && !other.default && other.hours.is_none();
            before.into_iter().find(|(o, _)| takes(o) && covers(&o.matcher, &route.matcher))
        };
        let Some((_, first)) = taken else { continue };
        let (message, label, hint) = if route.default {
            (
                "no alert can reach this default route",
                "this route matches every alert",
                "give the other route a `match`, or remove this one",
            )
        } else {
            (
                "no alert can reach this route",
                "this route stops all that would match",
                "move this route before the other one, or remove `stop` there",
            )
        };
        let problem = Problem::warning(place.clone(), message).hint(hint);
        root.report(problem.also(first.clone(), label));
    }
}

/// Whether every alert that the second matches is matched by the first.
fn covers(first: &Matcher, second: &Matcher) -> bool {
    let lists = [
        (&first.service, &second.service),
        (&first.owner, &second.owner),
        (&first.cause, &second.cause),
        (&first.signal, &second.signal),
    ];
    let severities = first.severity.is_empty()
        || (!second.severity.is_empty()
            && second.severity.iter().all(|one| first.severity.contains(one)));
    severities
        && lists.into_iter().all(|(first, second)| all_of(first, second))
        && first.label.iter().all(|(name, values)| {
            second.label.get(name).is_some_and(|narrower| all_of(values, narrower))
        })
}

/// Whether whatever matches one of the second list matches one of the first.
fn all_of(first: &[Pattern], second: &[Pattern]) -> bool {
    // The text of a narrower pattern, its stars included, matches a wider one.
    let within = |narrow: &Pattern| first.iter().any(|wide| wide.matches(narrow.as_str()));
    first.is_empty() || (!second.is_empty() && second.iter().all(within))
}

/// Warns of values that match none of the names that there are.
pub(super) fn matches_none(
    table: &Table<'_>,
    key: &str,
    values: Option<&[At<&str>]>,
    names: &BTreeSet<&str>,
) {
    for value in values.unwrap_or_default() {
        let pattern = Pattern::from(value.value);
        if names.iter().any(|name| pattern.matches(name)) {
            continue;
        }
        let what = format!("no {key} is called {}", quoted(value.value));
        let hint = did_you_mean(value.value, names.iter().copied(), &format!("{key}s"));
        let hint = hint.unwrap_or_else(|| format!("no rule file has a [[{key}]]"));
        warn(table, key, value, &what, &hint);
    }
}

/// Warns of services that are spelt nearly as a described one. Others may exist: most are found
/// by their labels.
pub(super) fn misspelt_services(
    table: &Table<'_>,
    values: Option<&[At<&str>]>,
    described: &BTreeMap<String, Service>,
) {
    let known = || described.keys().map(String::as_str);
    for value in values.unwrap_or_default() {
        let pattern = Pattern::from(value.value);
        if known().any(|name| pattern.matches(name)) || !pattern.is_exact() {
            continue;
        }
        let hint = did_you_mean(value.value, known(), "");
        let Some(hint) = hint.filter(|hint| hint.starts_with("did you mean")) else { continue };
        let what = format!("no [[service]] has the name {}", quoted(value.value));
        warn(table, "service", value, &what, &hint);
    }
}

fn warn(table: &Table<'_>, key: &str, value: &At<&str>, what: &str, hint: &str) {
    let place = table.document().place(value.at.clone());
    let message = format!("`{key}` {}: {what}", table.whereabouts());
    table.report(Problem::warning(place, message).hint(hint));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::alert::Severity;

    fn services(patterns: &[&str]) -> Matcher {
        let service = patterns.iter().map(|&text| Pattern::from(text)).collect();
        Matcher { service, ..Matcher::default() }
    }

    #[test]
    fn a_matcher_covers_what_is_narrower() {
        let all = Matcher::default();
        let critical = Matcher { severity: vec![Severity::Critical], ..Matcher::default() };
        for (first, second, want) in [
            (&all, &critical, true),
            (&critical, &all, false),
            (&critical, &critical, true),
            (&services(&["pay*"]), &services(&["payments"]), true),
            (&services(&["pay*"]), &services(&["payments", "web"]), false),
            (&services(&["pay*"]), &services(&["pay-*"]), true),
            (&services(&["pay-*"]), &services(&["pay*"]), false),
            (&services(&["payments"]), &services(&["pay*"]), false),
            (&services(&["web"]), &critical, false),
        ] {
            assert_eq!(covers(first, second), want, "{first:?} {second:?}");
        }
    }
}
