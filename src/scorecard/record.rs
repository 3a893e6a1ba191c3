//! What a replay told, condensed: one case per incident, and how near what was missed came.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::incidents::Truth;
use crate::engine::Engine;
use crate::engine::alert::{Alert, Severity, State};
use crate::engine::appraise::{Appraisal, Move};
use crate::engine::outcome::{Outcome, Silence};
use crate::time::{Span, Timestamp};

/// An alert belongs to an incident that really happened if it comes at most this long before its
/// onset, since people date onsets late, or this long after its end, since baselines take their
/// time to calm down.
pub const SLACK: Span = Span::HOUR;
/// How long an incident went on after it was noticed, or after its onset if nobody did, where its
/// end is not known.
pub const LENGTH_ASSUMED: Span = Span::from_hours(4);
/// Incidents of a replay that are kept; a fleet of thousands has them in years.
pub const CASES_MAX: usize = 100_000;
/// Alerts kept of one incident.
const TURNS_MAX: usize = 50;
/// Causes kept of one alert.
const CAUSES_MAX: usize = 3;
/// Signals kept of one sighting.
const VOICES_MAX: usize = 3;

/// What a replay told.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// The first instant that could alert.
    pub from: Timestamp,
    /// The last instant.
    pub to: Timestamp,
    /// Services that were judged.
    pub services: usize,
    /// Notices and alerts a week that these services may have in all.
    pub accepted_per_week: [f64; 2],
    /// What was told, in the order in which it began.
    pub cases: Vec<Case>,
    /// Incidents beyond [`CASES_MAX`].
    pub left_out: usize,
    /// How near the service of each incident that really happened came, in their order.
    #[serde(skip)]
    pub sightings: Vec<Sighting>,
}

/// One incident as the replay told it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// Its id.
    pub id: String,
    /// The service that it is about.
    pub service: String,
    /// Every service that was ever in it.
    pub services: BTreeSet<String>,
    /// Services that its leading causes blamed.
    pub blamed: BTreeSet<String>,
    /// Names of the signals that were ever in it.
    pub signals: BTreeSet<String>,
    /// When it was told first.
    pub opened: Timestamp,
    /// When it was told to be over; none if it was not.
    pub resolved: Option<Timestamp>,
    /// The highest that it came to.
    pub severity: Severity,
    /// When it was first worth interrupting somebody.
    pub alerted: Option<Timestamp>,
    /// What was told, in order of time, without the end.
    pub turns: Vec<Turn>,
}

/// One alert of a case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Turn {
    /// When it was told.
    pub at: Timestamp,
    /// How much it mattered.
    pub severity: Severity,
    /// Ids of the causes, most probable first; at most three.
    pub causes: Vec<String>,
    /// Its one line.
    pub title: String,
}

/// How near a service came to being told while something was really wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sighting {
    /// When it was nearest; none if it could never be judged.
    pub at: Option<Timestamp>,
    /// Its statistic as a share of what makes a notice …
    pub notice: f64,
    /// … and of what makes an alert.
    pub alert: f64,
    /// The signals that moved most then, each with its share of a notice; at most three.
    pub voices: Vec<Heard>,
    /// What kept the service from being told, as far as that is known.
    pub gates: Vec<String>,
    /// Services beside it: what is told about them at that time is about the same thing.
    #[serde(skip)]
    pub neighbours: BTreeSet<String>,
}

/// One signal of a sighting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Heard {
    /// Name of the signal.
    pub signal: String,
    /// The labels that tell the series from its siblings, as `name=value`.
    pub labels: String,
    /// Its score as a share of what alone makes a notice.
    pub share: f64,
    /// Held back by the signal's `min_effect`.
    pub is_small: bool,
}

impl Truth {
    /// Up to when alerts belong to it.
    pub fn until(&self) -> Timestamp {
        let guess = || self.noticed.unwrap_or(self.onset) + LENGTH_ASSUMED;
        self.end.unwrap_or_else(guess) + SLACK
    }

    /// From when on alerts belong to it.
    pub fn since(&self) -> Timestamp {
        self.onset - SLACK
    }
}

impl Case {
    fn new(alert: &Alert) -> Self {
        Self {
            id: alert.incident.clone(),
            service: alert.service.clone(),
            services: BTreeSet::new(),
            blamed: BTreeSet::new(),
            signals: BTreeSet::new(),
            opened: alert.at,
            resolved: None,
            severity: alert.severity,
            alerted: None,
            turns: Vec::new(),
        }
    }

    fn take(&mut self, alert: &Alert) {
        self.services.extend(alert.services.iter().cloned());
        self.severity = self.severity.max(alert.severity);
        if alert.severity > Severity::Notice && alert.state != State::Resolved {
            self.alerted.get_or_insert(alert.at);
        }
        if alert.state == State::Resolved {
            self.resolved = Some(alert.at);
            return;
        }
        self.signals.extend(alert.signals.iter().map(|moved| moved.signal.clone()));
        self.blamed.extend(alert.causes.first().map(|cause| cause.culprit.service.clone()));
        if self.turns.len() < TURNS_MAX {
            let causes = alert.causes.iter().take(CAUSES_MAX).map(|cause| cause.id.clone());
            self.turns.push(Turn {
                at: alert.at,
                severity: alert.severity,
                causes: causes.collect(),
                title: alert.news().1.to_owned(),
            });
        }
    }

    /// What was told last at `at` or before.
    pub fn known_at(&self, at: Timestamp) -> Option<&Turn> {
        self.turns.iter().rev().find(|turn| turn.at <= at)
    }

    /// Whether a service is in it, or is blamed by it.
    pub fn is_about(&self, service: &str) -> bool {
        self.services.contains(service) || self.blamed.contains(service)
    }
}

/// Looks on while a replay runs.
#[derive(Debug)]
pub struct Watch {
    truths: Vec<Truth>,
    record: Record,
    /// Place of each open case by its id.
    open: BTreeMap<String, usize>,
    /// Services that were judged in some block.
    judged: BTreeSet<String>,
    /// The end of the last block that was looked at.
    looked: Option<Timestamp>,
    /// Why each truth's service was not told, one text per kind of reason.
    gates: Vec<Vec<Silence>>,
}

impl Watch {
    /// For a replay of this range; `truths` may be empty.
    pub fn new(truths: Vec<Truth>, (from, to): (Timestamp, Timestamp)) -> Self {
        let record = Record {
            from,
            to,
            services: 0,
            accepted_per_week: [0.0; 2],
            cases: Vec::new(),
            left_out: 0,
            sightings: truths.iter().map(|_| Sighting::default()).collect(),
        };
        let gates = truths.iter().map(|_| Vec::new()).collect();
        Self { truths, record, open: BTreeMap::new(), judged: BTreeSet::new(), looked: None, gates }
    }

    /// Takes in one tick that may alert. Cost: O(alerts); every five minutes O(services), and
    /// O(series) of each with which something is really wrong.
    pub fn take(&mut self, at: Timestamp, outcome: &Outcome, engine: &Engine) {
        for alert in &outcome.alerts {
            self.alert(alert);
        }
        let judged = engine.judged_until();
        if self.looked == judged {
            return;
        }
        self.looked = judged;
        for name in engine.services() {
            if !self.judged.contains(name) && engine.standing(name).is_some() {
                self.judged.insert(name.to_owned());
            }
        }
        for (place, truth) in self.truths.iter().enumerate() {
            if truth.since() <= at && at <= truth.until() {
                let sighting = &mut self.record.sightings[place];
                sighting.neighbours.extend(engine.neighbours(&truth.service));
                if let Some(appraisal) = engine.appraise(&truth.service) {
                    sighting.see(at, appraisal);
                }
                hold(&mut self.gates[place], &truth.service, outcome);
            }
        }
    }

    fn alert(&mut self, alert: &Alert) {
        let cases = &mut self.record.cases;
        let place = *self.open.entry(alert.incident.clone()).or_insert_with(|| {
            if cases.len() < CASES_MAX {
                cases.push(Case::new(alert));
            } else {
                self.record.left_out += 1;
            }
            cases.len() - 1
        });
        if let Some(case) = cases.get_mut(place).filter(|case| case.id == alert.incident) {
            case.take(alert);
        }
        if alert.state == State::Resolved {
            self.open.remove(&alert.incident);
        }
    }

    /// The replay is over.
    pub fn finish(mut self, engine: &Engine) -> Record {
        self.record.services = self.judged.len();
        let (notices, alerts) = engine.accepted();
        self.record.accepted_per_week = [notices, alerts];
        for (sighting, gates) in self.record.sightings.iter_mut().zip(self.gates) {
            sighting.gates = gates.iter().map(ToString::to_string).collect();
        }
        self.record
    }
}

impl Sighting {
    fn see(&mut self, at: Timestamp, appraisal: Appraisal) {
        let Some(reach) = appraisal.reach else { return };
        self.alert = self.alert.max(reach.alert());
        if self.at.is_some() && reach.notice() <= self.notice {
            return;
        }
        self.at = Some(at);
        self.notice = reach.notice();
        self.voices = appraisal.moves.into_iter().take(VOICES_MAX).map(Heard::from).collect();
    }
}

impl From<Move> for Heard {
    fn from(found: Move) -> Self {
        let Move { signal, notice, held, .. } = found;
        let labels: Vec<String> =
            signal.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Self {
            signal: signal.signal,
            labels: labels.join(", "),
            share: notice.unwrap_or(0.0),
            is_small: held.is_some(),
        }
    }
}

/// Remembers why a service was not told in a block, the newest of each kind of reason.
fn hold(gates: &mut Vec<Silence>, service: &str, outcome: &Outcome) {
    for (about, silence) in &outcome.report.silences {
        let counts = match silence {
            Silence::Joined { .. } => false,
            Silence::Calendar { .. } | Silence::Unanswered { .. } => true,
            _ => about == service,
        };
        if !counts {
            continue;
        }
        let kind = std::mem::discriminant(silence);
        gates.retain(|known| std::mem::discriminant(known) != kind);
        gates.push(silence.clone());
    }
}
