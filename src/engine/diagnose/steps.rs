//! Fills a cause's steps with the incident's own facts.

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;

use crate::engine::alert::Culprit;
use crate::engine::correlate::Finding;
use crate::engine::detect::drift::Direction;
use crate::engine::diagnose::scene::Scene;
use crate::engine::diagnose::{dominance, recurrence};
use crate::engine::track::Tracked;
use crate::format;
use crate::rules::{Role, Steps};

/// Instructions a template may take: steps are short, a loop over thousands is a mistake.
const FUEL: u64 = 50_000;
/// Signals handed to a template, at most.
const SIGNALS_MAX: usize = 12;
/// Changes handed to a template, at most.
const CHANGES_MAX: usize = 8;

#[derive(Serialize)]
struct Facts {
    service: String,
    culprit: String,
    dependency: String,
    label: String,
    value: String,
    since: String,
    ago: String,
    signals: Vec<Moved>,
    changes: Vec<Changed>,
    services: Vec<String>,
    peer: String,
    roles: BTreeMap<&'static str, Moved>,
    queries: BTreeMap<&'static str, String>,
    seen_before: String,
}

#[derive(Clone, Serialize)]
struct Moved {
    service: String,
    signal: String,
    role: &'static str,
    labels: BTreeMap<String, String>,
    query: String,
    now: String,
    expected: String,
    onset: String,
    direction: &'static str,
}

#[derive(Serialize)]
struct Changed {
    kind: &'static str,
    service: String,
    at: String,
    what: String,
}

/// Renders every step; one that fails says so in its place and never stops the alert.
pub(super) fn fill(steps: &Steps, scene: &Scene<'_>, about: (&str, &Culprit)) -> Steps {
    let facts = Value::from(Serde(facts(scene, about)));
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    let render = |list: &[String]| -> Vec<String> {
        list.iter()
            .map(|step| match environment.render_str(step, facts.clone()) {
                Ok(text) => text,
                Err(error) => format!("{step} (this step could not be filled in: {error})"),
            })
            .filter(|text| !text.trim().is_empty())
            .collect()
    };
    Steps {
        first_ten_minutes: render(&steps.first_ten_minutes),
        compare: render(&steps.compare),
        reproduce: render(&steps.reproduce),
        fix: render(&steps.fix),
        verify: render(&steps.verify),
        avoid: render(&steps.avoid),
    }
}

fn facts(scene: &Scene<'_>, (service, culprit): (&str, &Culprit)) -> Facts {
    let mut roles = BTreeMap::new();
    let mut queries = BTreeMap::new();
    for finding in &scene.findings {
        let tracked = &scene.tracks[finding.place];
        if tracked.apart.is_some() {
            continue;
        }
        // A step that prints the numbers of a role prints the query that gave them.
        queries.entry(tracked.role.name()).or_insert_with(|| query_of(scene, tracked));
        roles.entry(tracked.role.name()).or_insert_with(|| moved(scene, finding));
    }
    for view in scene.views() {
        for &role in Role::ALL {
            if let Some(tracked) = scene.series_of(view, role).next() {
                queries.entry(role.name()).or_insert_with(|| query_of(scene, tracked));
            }
        }
    }
    let (label, value) = narrowed(scene, culprit);
    Facts {
        service: service.to_owned(),
        culprit: culprit.service.clone(),
        dependency: culprit.labels.get("dependency").cloned().unwrap_or_default(),
        label,
        value,
        since: scene.clock_time(scene.onset),
        ago: (scene.now - scene.onset).rough(),
        signals: scene.findings.iter().take(SIGNALS_MAX).map(|f| moved(scene, f)).collect(),
        changes: changes(scene),
        services: scene.members.iter().cloned().collect(),
        peer: odd_peer(scene),
        roles,
        queries,
        seen_before: recurrence::newest_alike(scene),
    }
}

/// The label that narrows the culprit down, and its value; else the value that holds the most
/// beyond its usual share; both empty where there is neither. The dependency is a fact of its own.
fn narrowed(scene: &Scene<'_>, culprit: &Culprit) -> (String, String) {
    let mut labels = culprit.labels.iter().filter(|(label, _)| *label != "dependency");
    let named = labels.next().map(|(label, value)| (label.clone(), value.clone()));
    let held = || dominance::strongest(scene).map(|(l, v)| (l.to_owned(), v.to_owned()));
    named.or_else(held).unwrap_or_default()
}

fn changes(scene: &Scene<'_>) -> Vec<Changed> {
    scene
        .near_changes(CHANGES_MAX)
        .into_iter()
        .map(|change| Changed {
            kind: change.kind.name(),
            service: change.service.clone(),
            at: scene.clock_time(change.at),
            what: change.what.clone(),
        })
        .collect()
}

fn moved(scene: &Scene<'_>, finding: &Finding) -> Moved {
    let tracked = &scene.tracks[finding.place];
    let signal = &scene.rules.signals[tracked.signal];
    let unit = signal.unit.as_deref();
    let (mut labels, mut numbers) =
        (tracked.series.labels.clone(), [scene.moved_to(tracked), scene.expected(tracked)]);
    if let Some((farthest, label)) = tracked.farthest().zip(signal.peer.as_ref()) {
        labels.insert(label.clone(), farthest.peer.clone());
        numbers = [Some(farthest.value), Some(farthest.others)];
    }
    Moved {
        service: tracked.series.service.clone(),
        signal: tracked.series.signal.clone(),
        role: tracked.role.name(),
        labels,
        query: query_of(scene, tracked),
        now: format::optional(numbers[0], unit),
        expected: format::optional(numbers[1], unit),
        onset: scene.clock_time(finding.onset),
        direction: if finding.direction == Direction::Up { "up" } else { "down" },
    }
}

fn query_of(scene: &Scene<'_>, tracked: &Tracked) -> String {
    scene.rules.signals[tracked.signal].query.clone()
}

/// The peer of the root that is apart from its siblings; empty where none is.
fn odd_peer(scene: &Scene<'_>) -> String {
    let moved = scene.findings.iter().map(|finding| &scene.tracks[finding.place]);
    let mut of_root = moved.filter(|tracked| tracked.series.service == scene.root);
    of_root.find_map(Tracked::farthest).map(|odd| odd.peer.clone()).unwrap_or_default()
}
