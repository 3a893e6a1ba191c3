//! Fills a cause's steps with the incident's own facts.

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;

use crate::engine::alert::Culprit;
use crate::engine::breakdown::toward_trouble;
use crate::engine::correlate::Finding;
use crate::engine::detect::drift::Direction;
use crate::engine::diagnose::changes::came_too_late;
use crate::engine::diagnose::evidence::movement;
use crate::engine::diagnose::scene::{MOVED_MIN, Scene, View};
use crate::engine::diagnose::{dominance, recurrence};
use crate::engine::grid::block_start;
use crate::engine::track::Tracked;
use crate::format;
use crate::rules::{LABEL_PLACEHOLDER, Role, Rules, Steps, Worse, narrowed as rows_of};
use crate::time::Timestamp;

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
    levels: ByRole,
    queries: ByRole,
    splits: BTreeMap<&'static str, Split>,
    seen_before: String,
}

/// Queries that divide a signal among the values of a label.
#[derive(Serialize)]
struct Split {
    label: String,
    query: String,
    one: String,
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
    share: String,
    peer: String,
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

/// A text for each role of which something is known.
type ByRole = BTreeMap<&'static str, String>;

fn facts(scene: &Scene<'_>, (service, culprit): (&str, &Culprit)) -> Facts {
    let mut loudest: Vec<Move<'_>> = scene.findings.iter().map(|f| Move::of(scene, f)).collect();
    // Stable: of a service the strongest first.
    loudest.sort_by_key(|one| whose(scene, culprit, one.tracked));
    let roles = roles(scene, culprit, &loudest);
    let (levels, mut queries) = levels(scene);
    for (&role, fact) in &roles {
        queries.entry(role).or_insert_with(|| fact.query.clone());
    }
    let (label, value) = narrowed(scene, culprit);
    let splits = splits(scene, (&label, &value));
    Facts {
        service: service.to_owned(),
        culprit: culprit.service.clone(),
        dependency: culprit.labels.get("dependency").cloned().unwrap_or_default(),
        label,
        value,
        since: scene.clock_time(scene.onset),
        ago: (scene.now - scene.onset).rough(),
        signals: loudest.iter().take(SIGNALS_MAX).map(|one| moved(scene, one)).collect(),
        changes: changes(scene),
        services: scene.members.iter().cloned().collect(),
        peer: odd_peer(scene, culprit),
        roles,
        levels,
        queries,
        splits,
        seen_before: recurrence::newest_alike(scene),
    }
}

/// By role, the signal that moved: the culprit's where one did.
fn roles(
    scene: &Scene<'_>,
    culprit: &Culprit,
    loudest: &[Move<'_>],
) -> BTreeMap<&'static str, Moved> {
    let mut moves = loudest.to_vec();
    moves.extend(scene.views().into_iter().flat_map(|view| quiet_moves(scene, view)));
    moves.retain(|one| one.tracked.apart.is_none());
    moves.sort_by_key(|one| whose(scene, culprit, one.tracked));
    let mut roles = BTreeMap::new();
    for one in &moves {
        roles.entry(one.tracked.role.name()).or_insert_with(|| {
            let mut fact = moved(scene, one);
            if whose(scene, culprit, one.tracked) == Whose::Other {
                fact.now = format!("{} at {}", fact.now, fact.service);
            }
            fact
        });
    }
    roles
}

/// By role, where the service in which the trouble begins stands, and the query that tells it.
fn levels(scene: &Scene<'_>) -> (ByRole, ByRole) {
    // What is only called is known by its callers alone.
    let view = if scene.services.contains_key(&scene.root) { View::Inside } else { View::Outside };
    let (mut levels, mut queries) = (ByRole::new(), ByRole::new());
    for &role in Role::ALL {
        let seen = scene.strongest(view, role);
        let known = seen.map(|seen| seen.tracked);
        if let Some(tracked) = known.or_else(|| scene.series_of(view, role).next()) {
            queries.insert(role.name(), query_of(scene.rules, tracked));
        }
        if let Some(seen) = seen {
            levels.insert(role.name(), movement(scene, seen.tracked, seen.score));
        }
    }
    (levels, queries)
}

/// Whose a series is, as steps about a culprit tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    /// The culprit's, or a call to it.
    Culprits,
    /// That of the service in which the trouble begins, where nothing of the culprit is known.
    Roots,
    /// Another service's, whose numbers mean nothing without its name.
    Other,
}

fn whose(scene: &Scene<'_>, culprit: &Culprit, tracked: &Tracked) -> Whose {
    let series = &tracked.series;
    let blamed = [series.service.as_str(), series.dependency.as_deref().unwrap_or_default()];
    let knows_culprit = scene.services.contains_key(&culprit.service);
    if blamed.contains(&culprit.service.as_str()) {
        Whose::Culprits
    } else if series.service == scene.root && !knows_culprit {
        Whose::Roots
    } else {
        Whose::Other
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

/// Changes that may have begun it: by the time of a later message others may have been made to end
/// it.
fn changes(scene: &Scene<'_>) -> Vec<Changed> {
    scene
        .near_changes(CHANGES_MAX)
        .into_iter()
        .filter(|change| !came_too_late(change.at, scene.onset_range[1]))
        .map(|change| Changed {
            kind: change.kind.name(),
            service: change.service.clone(),
            at: scene.clock_time(change.at),
            what: change.what.clone(),
        })
        .collect()
}

/// A series that moved, and since when.
#[derive(Clone)]
struct Move<'a> {
    tracked: &'a Tracked,
    direction: Direction,
    onset: Timestamp,
}

impl<'a> Move<'a> {
    fn of(scene: &Scene<'a>, finding: &Finding) -> Self {
        let tracked = &scene.tracks.all[finding.place];
        Self { tracked, direction: finding.direction, onset: finding.onset }
    }
}

/// What moved too little for a finding and is evidence all the same: the strongest of each role,
/// toward worse.
fn quiet_moves<'a>(scene: &Scene<'a>, view: View) -> impl Iterator<Item = Move<'a>> {
    Role::ALL.iter().filter_map(move |&role| {
        let seen = scene.strongest(view, role).filter(|seen| seen.score.abs() >= MOVED_MIN)?;
        let direction = Direction::of(seen.score);
        let worse = scene.rules.signals[seen.tracked.signal].worse;
        let onset = seen.tracked.drift.onset(direction)?;
        let is_bad = worse == Worse::Either || direction == toward_trouble(worse);
        is_bad.then(|| Move { tracked: seen.tracked, direction, onset: block_start(onset.at) })
    })
}

fn moved(scene: &Scene<'_>, one: &Move<'_>) -> Moved {
    let tracked = one.tracked;
    let signal = &scene.rules.signals[tracked.signal];
    let unit = signal.unit.as_deref();
    let mut peer = String::new();
    let (mut labels, mut numbers) =
        (tracked.series.labels.clone(), [scene.moved_to(tracked), scene.expected(tracked)]);
    if let Some((farthest, label)) = tracked.farthest().zip(signal.peer.as_ref()) {
        labels.insert(label.clone(), farthest.peer.clone());
        peer.clone_from(&farthest.peer);
        numbers = [Some(farthest.value), Some(farthest.others)];
    }
    let [now, expected] = format::optional_pair(numbers, unit);
    Moved {
        service: tracked.series.service.clone(),
        signal: tracked.series.signal.clone(),
        role: tracked.role.name(),
        labels,
        query: query_of(scene.rules, tracked),
        now,
        expected,
        share: scene.share_of_calls(tracked).map(format::share).unwrap_or_default(),
        peer,
        onset: scene.clock_time(one.onset),
        direction: if one.direction == Direction::Up { "up" } else { "down" },
    }
}

/// The query of a series' signal, for the rows of its service and dependency where they can be
/// told apart.
pub(crate) fn query_of(rules: &Rules, tracked: &Tracked) -> String {
    let signal = &rules.signals[tracked.signal];
    let series = &tracked.series;
    let dependency = signal.dependency.as_deref().zip(series.dependency.as_deref());
    let service = (signal.service.as_str(), series.service.as_str());
    let labels: Vec<(&str, &str)> = std::iter::once(service).chain(dependency).collect();
    rows_of(&signal.query, &labels).unwrap_or_else(|| signal.query.clone())
}

/// By role, how the signals of the service in which the trouble begins are divided: by the label
/// that narrows the culprit down, or else the first that is known; and the same for its value alone.
fn splits(scene: &Scene<'_>, (label, value): (&str, &str)) -> BTreeMap<&'static str, Split> {
    let mut splits = BTreeMap::new();
    let of_root = scene.near.iter().filter(|tracked| tracked.series.service == scene.root);
    for tracked in of_root.filter(|tracked| tracked.apart.is_none()) {
        let signal = &scene.rules.signals[tracked.signal];
        let Some(breakdown) = &signal.breakdown else { continue };
        let found = breakdown.by.iter().find(|by| *by == label);
        let Some(by) = found.or_else(|| breakdown.by.first()) else { continue };
        let all = breakdown.query.replace(LABEL_PLACEHOLDER, by);
        let service = (signal.service.as_str(), scene.root.as_str());
        let one = found.and_then(|by| rows_of(&all, &[service, (by, value)]));
        let split = Split {
            label: by.clone(),
            query: rows_of(&all, &[service]).unwrap_or(all),
            one: one.unwrap_or_default(),
        };
        // The first of its role, or the first that tells the value apart.
        let known: Option<&Split> = splits.get(tracked.role.name());
        if known.is_none_or(|known| known.one.is_empty() && !split.one.is_empty()) {
            splits.insert(tracked.role.name(), split);
        }
    }
    splits
}

/// The peer of the root that is apart from its siblings, the one to blame where one is; empty where
/// none is apart.
fn odd_peer(scene: &Scene<'_>, culprit: &Culprit) -> String {
    let moved = scene.findings.iter().map(|finding| &scene.tracks.all[finding.place]);
    let of_root = moved.filter(|tracked| tracked.series.service == scene.root);
    let odd = of_root.filter_map(Tracked::farthest).map(|odd| &odd.peer);
    let is_blamed = |peer: &String| culprit.labels.values().any(|value| value == peer);
    odd.min_by_key(|peer| !is_blamed(peer)).cloned().unwrap_or_default()
}
