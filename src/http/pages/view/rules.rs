//! Rules: what each watches, how it fares, and how noisy it is.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::first;
use crate::engine::overview::{Health, Overview};
use crate::notify::view::clean;
use crate::rules::{Cause, Role, Rules, Signal};
use crate::series::Verdict;
use crate::store::Whole;

/// Rules of one kind shown at once.
const RULES_MAX: usize = 150;

/// All rules whose name contains what is wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::http::pages) struct RulesView {
    signals: Vec<SignalRule>,
    signals_more: usize,
    causes: Vec<CauseRule>,
    causes_more: usize,
    /// Incidents that noise was counted in.
    pub(in crate::http::pages) counted: usize,
}

/// A signal.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct SignalRule {
    name: String,
    role: String,
    query: String,
    unit: String,
    services: usize,
    series: usize,
    /// How it fares, in a word, and the class of that.
    state: &'static str,
    class: &'static str,
    noise: Noise,
}

/// A cause.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct CauseRule {
    id: String,
    title: String,
    explain: String,
    noise: Noise,
}

/// How often a rule was part of incidents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Noise {
    incidents: usize,
    /// Those called false or expected.
    unwanted: usize,
    useful: usize,
}

#[derive(Default)]
struct Seen<'o> {
    services: BTreeSet<&'o str>,
    series: usize,
    healths: [usize; Health::ALL.len()],
    /// Services of which some series has a value.
    heard: BTreeSet<&'o str>,
}

/// How the rules stand; noise is counted in `newest`, the newest incidents. Cost: O(series).
pub(in crate::http::pages) fn rules(
    rules: &Rules,
    overview: &Overview,
    newest: &[Whole],
    wanted: &str,
) -> RulesView {
    let seen = seen(overview);
    let (of_signals, of_causes) = noise(newest);
    let signals = rules.signals.iter().filter(|signal| signal.name.contains(wanted));
    let (signals, signals_more) = first(signals.collect(), RULES_MAX);
    let causes = rules.causes.iter().filter(|cause| cause.id.contains(wanted));
    let (causes, causes_more) = first(causes.collect(), RULES_MAX);
    let noise_of =
        |noise: &BTreeMap<&str, Noise>, name: &str| noise.get(name).copied().unwrap_or_default();
    let signal = |signal: &Signal| {
        let nothing = Seen::default();
        let seen = seen.get(signal.name.as_str()).unwrap_or(&nothing);
        let (state, class) = state(seen, signal.role);
        SignalRule {
            name: clean(&signal.name),
            role: signal.role.name().replace('_', " "),
            query: clean(&signal.query),
            unit: signal.unit.as_deref().map(clean).unwrap_or_default(),
            services: seen.services.len(),
            series: seen.series,
            state,
            class,
            noise: noise_of(&of_signals, &signal.name),
        }
    };
    let cause = |cause: &Cause| CauseRule {
        id: clean(&cause.id),
        title: clean(&cause.title),
        explain: clean(&cause.explain),
        noise: noise_of(&of_causes, &cause.id),
    };
    RulesView {
        signals: signals.into_iter().map(signal).collect(),
        signals_more,
        causes: causes.into_iter().map(cause).collect(),
        causes_more,
        counted: newest.len(),
    }
}

fn seen(overview: &Overview) -> BTreeMap<&str, Seen<'_>> {
    let mut seen: BTreeMap<&str, Seen<'_>> = BTreeMap::new();
    for service in &overview.services {
        for one in &service.series {
            let of = seen.entry(one.series.signal.as_str()).or_default();
            of.services.insert(&service.service);
            of.series += 1;
            if one.health != Health::Missing {
                of.heard.insert(&service.service);
            }
            let place = Health::ALL.iter().position(|health| *health == one.health);
            if let Some(count) = place.and_then(|place| of.healths.get_mut(place)) {
                *count += 1;
            }
        }
    }
    seen
}

/// What is to be said of a signal: what is most wrong with it.
fn state(seen: &Seen<'_>, role: Role) -> (&'static str, &'static str) {
    let count = |wanted: Health| {
        let healths = Health::ALL.iter().zip(seen.healths);
        healths.filter(|(health, _)| **health == wanted).map(|(_, count)| count).sum::<usize>()
    };
    // A version that ran once ends with the next: nothing is amiss while some version says so.
    let replaced = role == Role::Version && seen.heard.len() == seen.services.len();
    if seen.series == 0 {
        ("no series", "")
    } else if count(Health::Unasked) > 0 {
        ("not answered", "bad")
    } else if count(Health::Missing) == seen.series {
        ("silent", "bad")
    } else if count(Health::Missing) > 0 && !replaced {
        ("partly silent", "warning")
    } else if count(Health::Learning) == seen.series {
        ("learning", "")
    } else {
        ("watching", "good")
    }
}

/// How often signals and leading causes were part of incidents, each once for an incident.
fn noise(newest: &[Whole]) -> (BTreeMap<&str, Noise>, BTreeMap<&str, Noise>) {
    let (mut signals, mut causes) = (BTreeMap::new(), BTreeMap::new());
    for whole in newest {
        let verdict = whole.feedback.last().map(|said| said.verdict);
        let count = |noise: &mut Noise| {
            noise.incidents += 1;
            noise.unwanted +=
                usize::from(matches!(verdict, Some(Verdict::False | Verdict::Expected)));
            noise.useful += usize::from(verdict == Some(Verdict::Useful));
        };
        let names: BTreeSet<&str> =
            whole.alert.signals.iter().map(|signal| signal.signal.as_str()).collect();
        for name in names {
            count(signals.entry(name).or_default());
        }
        if let Some(leading) = whole.alert.causes.first() {
            count(causes.entry(leading.id.as_str()).or_default());
        }
    }
    (signals, causes)
}
