//! Changes of rules that may be worth trying, and what a trial of one came to.

use std::collections::BTreeSet;
use std::fmt;

use super::incidents::Truth;
use super::record::Record;
use super::score::{Figures, Scorecard};
use crate::rules::{MinEffect, Rules, Signal, Worse};
use crate::time::{Span, Timestamp};

/// By how much a number is raised or lowered.
const FACTOR: f64 = 2.0;
/// What one more incident caught is worth, in false notices.
const CAUGHT_WORTH: f64 = 20.0;
/// What it is worth that one more is caught before anybody noticed.
const BEFORE_WORTH: f64 = 10.0;
/// What a false alert costs, beside being a false notice.
const ALERT_COST: f64 = 4.0;
/// What an hour of median lead is worth, for each incident caught.
const LEAD_WORTH: f64 = 1.0;
/// Lead that counts, either way: being warned a day earlier is not worth ten hours ten times.
const LEAD_HOURS_MAX: f64 = 3.0;
/// With fewer incidents than this nothing is held out: the later part would have none.
const HELD_OUT_MIN: usize = 4;
/// Share of the incidents that proposals are chosen by; the later ones judge them.
const EARLIER_SHARE: f64 = 0.6;

/// One change of the rules.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Multiply a signal's `min_effect`.
    MinEffect {
        /// Which signal.
        signal: String,
        /// By what.
        factor: f64,
    },
    /// Multiply the traffic below which a signal is not believed.
    MinTraffic {
        /// Which signal.
        signal: String,
        /// By what.
        factor: f64,
    },
    /// Count only one direction as worse.
    Worse {
        /// Which signal.
        signal: String,
        /// Which direction.
        worse: Worse,
    },
    /// Do without a signal.
    Drop {
        /// Which signal.
        signal: String,
    },
    /// Multiply the budget of alerts.
    Alerts {
        /// By what.
        factor: f64,
    },
    /// Multiply the budget of notices.
    Notices {
        /// By what.
        factor: f64,
    },
}

/// Changes that may be worth trying, those that promise most first: what costs false alarms is made
/// harder or left out, what was missed is made easier. `only` keeps to one signal.
pub fn candidates(rules: &Rules, card: &Scorecard, only: Option<&str>) -> Vec<Change> {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let mut found = Vec::new();
    let cost: BTreeSet<&str> = card
        .signals
        .iter()
        .filter(|tally| tally.false_notices > 0)
        .map(|tally| tally.name.as_str())
        .collect();
    let noisy = card.signals.iter().filter(|tally| cost.contains(tally.name.as_str()));
    let mut harder: Vec<Vec<Change>> = noisy
        .filter(|tally| wanted(&tally.name))
        .filter_map(|tally| Some(hardened(rules.signal(&tally.name)?)))
        .collect();
    let missed = card.incidents.iter().filter_map(|one| one.sighting.as_ref());
    // What spoke in full is no louder for a smaller min_effect.
    let held = missed.flat_map(|sighting| &sighting.voices).filter(|voice| voice.is_small);
    let quiet: BTreeSet<&str> = held.map(|voice| voice.signal.as_str()).collect();
    let easier =
        quiet.into_iter().filter(|name| wanted(name)).filter_map(|name| rules.signal(name));
    found.extend(easier.filter_map(|signal| effect(signal, 1.0 / FACTOR)));
    if only.is_none() {
        for factor in [1.0 / FACTOR, FACTOR] {
            found.extend([Change::Alerts { factor }, Change::Notices { factor }]);
        }
    }
    // One of each signal before the second of any.
    while harder.iter().any(|changes| !changes.is_empty()) {
        found.extend(harder.iter_mut().filter_map(Vec::pop));
    }
    if let Some(signal) = only.and_then(|name| rules.signal(name)) {
        let more = hardened(signal).into_iter().rev().chain(effect(signal, 1.0 / FACTOR));
        found.extend(more.collect::<Vec<_>>());
    }
    // What told of something and cost nothing may tell it sooner.
    let useful = |name: &str| card.signals.iter().any(|t| t.name == name && t.caught > 0);
    let rest = rules.signals.iter().filter(|signal| useful(&signal.name));
    let rest = rest.filter(|signal| !cost.contains(signal.name.as_str()));
    found.extend(rest.filter(|s| wanted(&s.name)).filter_map(|s| effect(s, 1.0 / FACTOR)));
    let mut unique: Vec<Change> = Vec::new();
    for change in found {
        if !unique.contains(&change) {
            unique.push(change);
        }
    }
    unique
}

/// What makes a signal speak less often, the mildest last.
fn hardened(signal: &Signal) -> Vec<Change> {
    let name = || signal.name.clone();
    let mut changes = vec![Change::Drop { signal: name() }];
    let usual = signal.role.worse();
    if signal.worse == Worse::Either && usual != Worse::Either {
        changes.push(Change::Worse { signal: name(), worse: usual });
    }
    if signal.min_traffic.is_some() {
        changes.push(Change::MinTraffic { signal: name(), factor: FACTOR });
    }
    changes.extend(effect(signal, FACTOR));
    changes
}

/// A change of the smallest effect, where there is one to change.
fn effect(signal: &Signal, factor: f64) -> Option<Change> {
    let has = signal.min_effect != MinEffect::default();
    has.then(|| Change::MinEffect { signal: signal.name.clone(), factor })
}

impl Change {
    /// The rules with it.
    #[must_use]
    pub fn apply(&self, rules: &Rules) -> Rules {
        let mut rules = rules.clone();
        match self {
            Self::Drop { signal } => rules.signals.retain(|one| one.name != *signal),
            Self::Alerts { factor } => rules.budget.alerts_per_week *= factor,
            Self::Notices { factor } => rules.budget.notices_per_week *= factor,
            Self::MinEffect { signal, .. }
            | Self::MinTraffic { signal, .. }
            | Self::Worse { signal, .. } => {
                for one in rules.signals.iter_mut().filter(|one| one.name == *signal) {
                    self.change(one);
                }
            }
        }
        rules
    }

    fn change(&self, signal: &mut Signal) {
        match self {
            Self::MinEffect { factor, .. } => {
                signal.min_effect.relative *= factor;
                signal.min_effect.absolute *= factor;
            }
            Self::MinTraffic { factor, .. } => {
                if let Some(traffic) = &mut signal.min_traffic {
                    traffic.at_least *= factor;
                }
            }
            Self::Worse { worse, .. } => signal.worse = *worse,
            Self::Drop { .. } | Self::Alerts { .. } | Self::Notices { .. } => {}
        }
    }

    /// What to change in the files, as a diff.
    pub fn diff(&self, rules: &Rules) -> String {
        let changed = self.apply(rules);
        let of = |rules: &Rules, name: &str| rules.signal(name).map(|signal| self.line(signal));
        let budget = |name: &str, [old, new]: [f64; 2]| {
            format!(" [budget]\n-{name} = \"{}\"\n+{name} = \"{}\"\n", rate(old), rate(new))
        };
        match self {
            Self::Drop { signal } => {
                format!("-[[signal]]\n-name = {signal:?}\n-… all of it\n")
            }
            Self::Alerts { .. } => {
                budget("alerts", [rules, &changed].map(|rules| rules.budget.alerts_per_week))
            }
            Self::Notices { .. } => {
                budget("notices", [rules, &changed].map(|rules| rules.budget.notices_per_week))
            }
            Self::MinEffect { signal, .. }
            | Self::MinTraffic { signal, .. }
            | Self::Worse { signal, .. } => {
                let [old, new] =
                    [rules, &changed].map(|rules| of(rules, signal).unwrap_or_default());
                format!(" [[signal]]\n name = {signal:?}\n-{old}\n+{new}\n")
            }
        }
    }

    /// The line of a signal that this is about.
    fn line(&self, signal: &Signal) -> String {
        match self {
            Self::MinTraffic { .. } => signal.min_traffic.as_ref().map_or_else(String::new, |t| {
                format!("min_traffic = {{ query = {:?}, at_least = {} }}", t.query, t.at_least)
            }),
            Self::Worse { .. } => format!("worse = \"{}\"", worse_name(signal.worse)),
            _ => {
                let MinEffect { relative, absolute } = signal.min_effect;
                let parts = [("relative", relative), ("absolute", absolute)];
                let parts: Vec<String> = parts
                    .iter()
                    .filter(|(_, value)| *value > 0.0)
                    .map(|(name, value)| format!("{name} = {value}"))
                    .collect();
                format!("min_effect = {{ {} }}", parts.join(", "))
            }
        }
    }
}

const fn worse_name(worse: Worse) -> &'static str {
    match worse {
        Worse::Up => "up",
        Worse::Down => "down",
        Worse::Either => "either",
    }
}

/// A budget as files write it.
fn rate(per_week: f64) -> String {
    format!("{}/week", (per_week * 1_000.0).round() / 1_000.0)
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinEffect { signal, factor } => write!(f, "min_effect of {signal} × {factor}"),
            Self::MinTraffic { signal, factor } => write!(f, "min_traffic of {signal} × {factor}"),
            Self::Worse { signal, worse } => write!(f, "{signal}: worse is {}", worse_name(*worse)),
            Self::Drop { signal } => write!(f, "without {signal}"),
            Self::Alerts { factor } => write!(f, "budget of alerts × {factor}"),
            Self::Notices { factor } => write!(f, "budget of notices × {factor}"),
        }
    }
}

/// What of the past chooses proposals, and what judges them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Where the later part begins; none where there are too few incidents for two parts.
    pub at: Option<Timestamp>,
}

impl Split {
    /// Between two incidents, so that three fifths of them are in the earlier part. `truths` are in
    /// order of onset.
    pub fn of(truths: &[Truth], (from, to): (Timestamp, Timestamp)) -> Self {
        let inside: Vec<&Truth> =
            truths.iter().filter(|t| from <= t.onset && t.onset <= to).collect();
        if inside.len() < HELD_OUT_MIN {
            return Self { at: None };
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a length"
        )]
        let place = (inside.len() as f64 * EARLIER_SHARE).ceil() as usize;
        // What belongs to the last of the earlier ones stays with it.
        let at = inside[place - 1].until().min(inside[place].since());
        Self { at: Some(at.max(from)) }
    }

    /// The figures of the earlier and of the later part.
    pub fn figures(&self, truths: &[Truth], record: &Record) -> (Figures, Option<Figures>) {
        let part = |from: Timestamp, to: Timestamp| {
            Scorecard::new(truths, &record.between(from, to)).figures
        };
        match self.at {
            Some(at) => (part(record.from, at - Span::SECOND), Some(part(at, record.to))),
            None => (part(record.from, record.to), None),
        }
    }
}

impl Record {
    /// What was told in a part of the time.
    #[must_use]
    pub fn between(&self, from: Timestamp, to: Timestamp) -> Self {
        let cases = self.cases.iter().filter(|case| from <= case.opened && case.opened <= to);
        Self { from, to, cases: cases.cloned().collect(), ..self.clone() }
    }
}

/// What a change gains over the rules as they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    /// More incidents caught.
    pub caught: f64,
    /// More of them before anybody noticed.
    pub before: f64,
    /// Longer median lead; none where there is none with or without it.
    pub lead: Option<Span>,
    /// More false alerts.
    pub false_alerts: f64,
    /// More false notices and alerts.
    pub false_notices: f64,
    /// All of it in one number, in false notices saved: more is better.
    pub worth: f64,
}

impl Gain {
    /// Of the new figures over the old ones.
    pub fn of(old: &Figures, new: &Figures) -> Self {
        let caught_by = |figures: &Figures| (figures.incidents - figures.missed) as f64;
        let before_by = |figures: &Figures| {
            (figures.before_noticed.unwrap_or(0.0) * figures.noticed as f64).round()
        };
        let caught = caught_by(new) - caught_by(old);
        let before = before_by(new) - before_by(old);
        let lead = new.lead.zip(old.lead);
        let lead = lead.map(|(new, old)| Span::from_millis(new.as_millis() - old.as_millis()));
        let false_alerts = new.false_alerts as f64 - old.false_alerts as f64;
        let false_notices = new.false_notices as f64 - old.false_notices as f64;
        let hours = lead.map_or(0.0, Span::as_hours_f64).clamp(-LEAD_HOURS_MAX, LEAD_HOURS_MAX);
        let worth =
            CAUGHT_WORTH * caught + BEFORE_WORTH * before + LEAD_WORTH * hours * caught_by(new)
                - ALERT_COST * false_alerts
                - false_notices;
        Self { caught, before, lead, false_alerts, false_notices, worth }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Heard, Sighting};
    use super::*;
    use crate::rules::{MinTraffic, Role};

    fn signal() -> Signal {
        Signal {
            min_effect: MinEffect { relative: 0.1, absolute: 0.0 },
            min_traffic: Some(MinTraffic { query: "t".to_owned(), at_least: 1.0 }),
            worse: Worse::Either,
            ..Signal::plain("p99", Role::Latency)
        }
    }

    #[test]
    fn a_change_and_its_diff_say_the_same() {
        let rules = Rules { signals: vec![signal()], ..Rules::default() };
        let name = || "p99".to_owned();
        let effect = Change::MinEffect { signal: name(), factor: 2.0 };
        assert_eq!(
            effect.diff(&rules),
            " [[signal]]\n name = \"p99\"\n-min_effect = { relative = 0.1 }\n+min_effect = { relative = 0.2 }\n"
        );
        let larger = effect.apply(&rules).signals[0].min_effect.relative;
        assert!((larger - 0.2).abs() < 1e-9);
        let traffic = Change::MinTraffic { signal: name(), factor: 2.0 };
        assert!(traffic.diff(&rules).contains("+min_traffic = { query = \"t\", at_least = 2 }"));
        let worse = Change::Worse { signal: name(), worse: Worse::Up };
        assert!(worse.diff(&rules).ends_with("-worse = \"either\"\n+worse = \"up\"\n"));
        assert!(Change::Drop { signal: name() }.apply(&rules).signals.is_empty());
        let notices = Change::Notices { factor: 0.5 };
        assert_eq!(
            notices.diff(&rules),
            " [budget]\n-notices = \"1/week\"\n+notices = \"0.5/week\"\n"
        );
        let hardened = hardened(&signal());
        assert_eq!(hardened.len(), 4, "{hardened:?}");
    }

    #[test]
    fn the_later_incidents_are_held_out_where_there_are_enough() {
        let at = |hours| Timestamp::from_secs(0) + Span::from_hours(hours);
        let truth = |hours| Truth {
            onset: at(hours),
            service: "web".to_owned(),
            noticed: None,
            end: Some(at(hours + 1)),
            cause: None,
            note: None,
        };
        let range = (at(0), at(1_000));
        let few: Vec<Truth> = [1, 50, 100].map(truth).into();
        assert_eq!(Split::of(&few, range).at, None);
        let enough: Vec<Truth> = [1, 50, 100, 150, 200].map(truth).into();
        assert_eq!(Split::of(&enough, range).at, Some(at(102)), "after the third and its slack");
    }

    #[test]
    fn more_caught_is_worth_some_false_notices_and_not_any_number() {
        let old = Figures { incidents: 10, missed: 5, ..Figures::default() };
        let new = |false_notices| Figures { missed: 4, false_notices, ..old.clone() };
        assert!((Gain::of(&old, &new(5)).worth - 15.0).abs() < 1e-9);
        assert!(Gain::of(&old, &new(25)).worth < 0.0);
        assert!(Gain::of(&old, &old).worth.abs() < 1e-9);
        // One of the two that somebody noticed is one, however many nobody did.
        let noticed = |share| Figures { noticed: 2, before_noticed: Some(share), ..old.clone() };
        assert!((Gain::of(&noticed(0.5), &noticed(1.0)).before - 1.0).abs() < 1e-9);
    }

    #[test]
    fn only_what_was_held_back_as_too_small_is_made_easier_first() {
        let heard = |signal: &str, is_small| Heard {
            signal: signal.to_owned(),
            labels: String::new(),
            share: 0.8,
            is_small,
        };
        let truth = Truth {
            onset: Timestamp::from_secs(0),
            service: "web".to_owned(),
            noticed: None,
            end: None,
            cause: None,
            note: None,
        };
        let voices = vec![heard("loud", false), heard("held", true)];
        let sighting = Sighting { voices, ..Sighting::default() };
        let range = (Timestamp::from_secs(0), Timestamp::from_secs(7 * 86_400));
        let record = Record {
            from: range.0,
            to: range.1,
            services: 1,
            accepted_per_week: [1.0; 2],
            cases: Vec::new(),
            left_out: 0,
            sightings: vec![sighting],
        };
        let card = Scorecard::new(&[truth], &record);
        let named = |name: &str| Signal { name: name.to_owned(), ..signal() };
        let signals = ["loud", "held", "silent"].map(named).into();
        let rules = Rules { signals, ..Rules::default() };
        let easier: Vec<String> = candidates(&rules, &card, None)
            .into_iter()
            .filter_map(|change| match change {
                Change::MinEffect { signal, .. } => Some(signal),
                _ => None,
            })
            .collect();
        assert_eq!(easier, ["held"], "what was heard in full is no louder for being easier");
    }
}
