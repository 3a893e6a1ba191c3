//! Step templates: checked when they are loaded, not when somebody needs them at night.

use std::collections::BTreeSet;

use minijinja::Environment;

use super::Role;
use crate::problem::{At, Problem, Table, did_you_mean, quoted};

/// The facts of an incident that steps can name.
pub const STEP_FACTS: [&str; 16] = [
    "service",
    "culprit",
    "dependency",
    "label",
    "value",
    "since",
    "ago",
    "signals",
    "changes",
    "services",
    "peer",
    "roles",
    "levels",
    "queries",
    "splits",
    "seen_before",
];

/// Facts that are maps by role.
const BY_ROLE: [&str; 4] = ["roles", "levels", "queries", "splits"];

/// Reports a template that does not compile, and facts in it that will always be empty.
pub(super) fn check_step(table: &Table<'_>, key: &'static str, text: &At<&str>) {
    let mut environment = Environment::new();
    environment.set_debug(true);
    match environment.template_from_str(text.value) {
        Err(error) => {
            let at = error.range().map_or(text.at.clone(), |range| table.part(text, range));
            let what = error.detail().unwrap_or("it is not a template").to_owned();
            let hint = "facts go in `{{ service }}`, conditions in `{% if peer %}…{% endif %}`";
            table.wrong_hint(key, &at, &format!("template: {what}"), hint);
        }
        Ok(template) => {
            let globals: BTreeSet<&str> = environment.globals().map(|(name, _)| name).collect();
            // `roles.latency.now` and `roles.latency.unit` are one fact.
            let fact = |name: String| name.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
            let names: BTreeSet<String> =
                template.undeclared_variables(true).into_iter().map(fact).collect();
            for name in names {
                unknown_fact(table, key, text, (&name, &globals));
            }
        }
    }
}

fn unknown_fact(
    table: &Table<'_>,
    key: &str,
    text: &At<&str>,
    (name, globals): (&str, &BTreeSet<&str>),
) {
    let mut parts = name.split('.');
    let fact = parts.next().unwrap_or_default();
    if globals.contains(fact) {
        return;
    }
    let (what, hint) = if !STEP_FACTS.contains(&fact) {
        (format!("no fact is called {}", quoted(fact)), did_you_mean(fact, STEP_FACTS, "facts"))
    } else if let Some(role) = parts.next()
        && BY_ROLE.contains(&fact)
        && Role::from_name(role).is_none()
    {
        let roles = Role::ALL.iter().map(|role| role.name());
        (format!("no role is called {}", quoted(role)), did_you_mean(role, roles, "roles"))
    } else {
        return;
    };
    let at = text
        .value
        .find(name)
        .map_or(text.at.clone(), |start| table.part(text, start..start + name.len()));
    let place = table.document().place(at);
    let message = format!("`{key}` {}: {what}, so it stays empty", table.whereabouts());
    table.report(Problem::warning(place, message).hint(hint.unwrap_or_default()));
}
