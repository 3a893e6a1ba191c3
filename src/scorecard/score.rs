//! A replay beside what really happened: what was caught, how early, and at what price.

use std::collections::BTreeMap;

use serde::Serialize;

use super::incidents::Truth;
use super::record::{Case, Record, Sighting};
use crate::engine::alert::Severity;
use crate::time::{Span, Timestamp};

/// The value of every scorecard's `schema` field.
pub const SCHEMA: &str = "grayflag.scorecard/v1";
/// A cause counts as named among so many.
const NAMED_AMONG: usize = 3;
/// Where nobody noticed, the cause is judged by what was told so long after the first alert: what
/// is named later helps nobody.
const NAMED_WITHIN: Span = Span::from_hours(4);

/// What a replay is worth.
#[derive(Clone, Debug, Serialize)]
pub struct Scorecard {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// The first instant that could alert.
    pub from: Timestamp,
    /// The last instant.
    pub to: Timestamp,
    /// The numbers that matter.
    pub figures: Figures,
    /// How often people were told, beside how often they accept to be told falsely.
    pub budget: BudgetUse,
    /// Incidents that really happened in the range, in order of onset.
    pub incidents: Vec<Scored>,
    /// Incidents of the file that lie outside of the range.
    pub outside: usize,
    /// By signal, those that cost or gave most first.
    pub signals: Vec<Tally>,
    /// By cause.
    pub causes: Vec<Tally>,
    /// By service.
    pub services: Vec<Tally>,
    /// Ids of the alerts that no incident explains.
    pub false_alarms: Vec<String>,
}

/// The numbers that matter; none where there is nothing to measure.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Incidents that really happened.
    pub incidents: usize,
    /// Share that was told at all.
    pub caught: Option<f64>,
    /// Incidents that somebody noticed.
    pub noticed: usize,
    /// Share of those which was told before.
    pub before_noticed: Option<f64>,
    /// Not told at all.
    pub missed: usize,
    /// Middle of the time from being told to being noticed; negative if it was noticed before.
    pub lead: Option<Span>,
    /// Middle of the time from the onset to being told.
    pub delay: Option<Span>,
    /// Share of those caught, and with a known cause, whose cause was named first …
    pub named: Option<f64>,
    /// … or among three.
    pub named_in_three: Option<f64>,
    /// Incidents that interrupt somebody and that nothing explains.
    pub false_alerts: usize,
    /// The same, by week.
    pub false_alerts_per_week: f64,
    /// Incidents that nothing explains, those that interrupt among them.
    pub false_notices: usize,
    /// The same, by week.
    pub false_notices_per_week: f64,
}

/// What was told beside what is accepted, over the whole range.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BudgetUse {
    /// Services that were judged.
    pub services: usize,
    /// Length of the range.
    pub weeks: f64,
    /// Incidents that were told, as notices or more.
    pub notices: Spent,
    /// Incidents that interrupted somebody.
    pub alerts: Spent,
}

/// One budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spent {
    /// False ones that are accepted.
    pub accepted: f64,
    /// False ones that happened.
    pub false_ones: usize,
    /// All that were told.
    pub told: usize,
}

/// What became of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// Told before anybody noticed, or nobody noticed at all.
    Before,
    /// Told after somebody had noticed.
    After,
    /// Not told.
    Missed,
}

/// One incident that really happened.
#[derive(Clone, Debug, Serialize)]
pub struct Scored {
    /// What really happened.
    #[serde(flatten)]
    pub truth: Truth,
    /// What became of it.
    pub fate: Fate,
    /// How it was told.
    pub caught: Option<Caught>,
    /// How near it came, if it was not.
    pub sighting: Option<Sighting>,
    /// Id of an incident of before that was still open and that it was taken for a part of: so
    /// nothing new was told.
    pub within: Option<String>,
}

/// How an incident was told.
#[derive(Clone, Debug, Serialize)]
pub struct Caught {
    /// Id of the incident in the replay.
    pub incident: String,
    /// When it was told first.
    pub at: Timestamp,
    /// From the onset until then.
    pub delay: Span,
    /// From then until it was noticed; negative if it was noticed before.
    pub lead: Option<Span>,
    /// When it first interrupted somebody.
    pub alerted: Option<Timestamp>,
    /// The highest that it came to.
    pub severity: Severity,
    /// The leading cause when it was noticed, or four hours after it was told where nobody did.
    pub cause: Option<String>,
    /// The place of the true cause among those named then, from 1; none if it was not named, or is
    /// not known.
    pub rank: Option<usize>,
    /// Names of its signals.
    pub signals: Vec<String>,
}

/// What one signal, cause or service gave and cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Its name.
    pub name: String,
    /// Incidents that were caught: by this signal among others, of this cause, of this service.
    pub caught: usize,
    /// Incidents that were missed: in which this signal said most, of this cause, of this service.
    pub missed: usize,
    /// Of a signal: incidents that nothing else told of. Of a cause: those where it was named first.
    pub alone: usize,
    /// False incidents that interrupted: with this signal, this leading cause, this service.
    pub false_alerts: usize,
    /// All false incidents.
    pub false_notices: usize,
}

impl Record {
    /// Weeks that were replayed.
    pub fn weeks(&self) -> f64 {
        (self.to - self.from).as_hours_f64() / 168.0
    }

    /// What was told beside what is accepted, before anybody says what of it was false.
    pub fn told(&self) -> BudgetUse {
        let weeks = self.weeks();
        let [notices, alerts] = self.accepted_per_week.map(|rate| rate * weeks);
        let interrupting = self.cases.iter().filter(|case| case.alerted.is_some()).count();
        let spent = |accepted, told| Spent { accepted, false_ones: 0, told };
        BudgetUse {
            services: self.services,
            weeks,
            notices: spent(notices, self.cases.len()),
            alerts: spent(alerts, interrupting),
        }
    }
}

impl Scorecard {
    /// Scores a replay. `truths` are those that the record's watch was given, in the same order.
    pub fn new(truths: &[Truth], record: &Record) -> Self {
        let mut incidents = Vec::new();
        let mut explained = vec![false; record.cases.len()];
        let mut outside = 0;
        for (truth, sighting) in truths.iter().zip(&record.sightings) {
            for (case, explained) in record.cases.iter().zip(&mut explained) {
                *explained |= explains(truth, sighting, case, record.to);
            }
            if truth.onset < record.from || record.to < truth.onset {
                outside += 1;
            } else {
                incidents.push(score(truth, sighting, &record.cases));
            }
        }
        let unexplained: Vec<&Case> = record
            .cases
            .iter()
            .zip(&explained)
            .filter(|(_, explained)| !**explained)
            .map(|(case, _)| case)
            .collect();
        let figures = Figures::of(&incidents, &unexplained, record.weeks());
        let mut budget = record.told();
        budget.notices.false_ones = figures.false_notices;
        budget.alerts.false_ones = figures.false_alerts;
        Self {
            schema: SCHEMA,
            from: record.from,
            to: record.to,
            budget,
            figures,
            outside,
            signals: signals(&incidents, &unexplained),
            causes: causes(&incidents, &unexplained),
            services: services(&incidents, &unexplained),
            false_alarms: unexplained.iter().map(|case| case.id.clone()).collect(),
            incidents,
        }
    }
}

/// Whether a case belongs to what really happened: it was open at that time, about the service, one
/// that it blames, or one that calls it or is called by it.
fn explains(truth: &Truth, sighting: &Sighting, case: &Case, to: Timestamp) -> bool {
    let overlaps = case.opened <= truth.until() && truth.since() <= case.resolved.unwrap_or(to);
    overlaps
        && (case.is_about(&truth.service)
            || case.services.iter().any(|service| sighting.neighbours.contains(service)))
}

fn score(truth: &Truth, sighting: &Sighting, cases: &[Case]) -> Scored {
    let told = cases.iter().filter(|case| case.is_about(&truth.service)).filter_map(|case| {
        let belongs = |at: Timestamp| truth.since() <= at && at <= truth.until();
        let turn = case.turns.iter().find(|turn| belongs(turn.at))?;
        Some((turn.at, case))
    });
    let Some((at, case)) = told.min_by_key(|(at, case)| (*at, case.id.clone())) else {
        let open = |case: &&Case| {
            let lasted = case.resolved.is_none_or(|resolved| truth.onset < resolved);
            case.is_about(&truth.service) && case.opened < truth.since() && lasted
        };
        let within = cases.iter().rev().find(open).map(|case| case.id.clone());
        let (truth, sighting) = (truth.clone(), Some(sighting.clone()));
        return Scored { truth, fate: Fate::Missed, caught: None, sighting, within };
    };
    let fate = match truth.noticed {
        Some(noticed) if noticed < at => Fate::After,
        _ => Fate::Before,
    };
    let known = case.known_at(truth.noticed.unwrap_or(at + NAMED_WITHIN).max(at));
    let named: &[String] = known.map_or(&[], |turn| &turn.causes);
    let rank = truth.cause.as_ref().and_then(|cause| named.iter().position(|id| id == cause));
    let caught = Caught {
        incident: case.id.clone(),
        at,
        delay: at - truth.onset,
        lead: truth.noticed.map(|noticed| noticed - at),
        alerted: case.alerted.map(|alerted| alerted.max(at)),
        severity: case.severity,
        cause: named.first().cloned(),
        rank: rank.map(|place| place + 1).filter(|rank| *rank <= NAMED_AMONG),
        signals: case.signals.iter().cloned().collect(),
    };
    Scored { truth: truth.clone(), fate, caught: Some(caught), sighting: None, within: None }
}

impl Figures {
    fn of(incidents: &[Scored], unexplained: &[&Case], weeks: f64) -> Self {
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        let caught: Vec<(&Truth, &Caught)> =
            incidents.iter().filter_map(|one| Some((&one.truth, one.caught.as_ref()?))).collect();
        let noticed = || incidents.iter().filter(|one| one.truth.noticed.is_some());
        let before = noticed().filter(|one| one.fate == Fate::Before).count();
        let known: Vec<&Caught> = caught
            .iter()
            .filter(|(truth, _)| truth.cause.is_some())
            .map(|(_, caught)| *caught)
            .collect();
        let first = known.iter().filter(|caught| caught.rank == Some(1)).count();
        let in_three = known.iter().filter(|caught| caught.rank.is_some()).count();
        let false_alerts = unexplained.iter().filter(|case| case.alerted.is_some()).count();
        let per_week = |n: usize| if weeks > 0.0 { n as f64 / weeks } else { 0.0 };
        Self {
            incidents: incidents.len(),
            caught: share(caught.len(), incidents.len()),
            noticed: noticed().count(),
            before_noticed: share(before, noticed().count()),
            missed: incidents.len() - caught.len(),
            lead: median(caught.iter().filter_map(|(_, caught)| caught.lead).collect()),
            delay: median(caught.iter().map(|(_, caught)| caught.delay).collect()),
            named: share(first, known.len()),
            named_in_three: share(in_three, known.len()),
            false_alerts,
            false_alerts_per_week: per_week(false_alerts),
            false_notices: unexplained.len(),
            false_notices_per_week: per_week(unexplained.len()),
        }
    }
}

/// The middle one; the lower of two.
pub(super) fn median(mut spans: Vec<Span>) -> Option<Span> {
    spans.sort();
    spans.get(spans.len().checked_sub(1)? / 2).copied()
}

/// Tallies by name, those that cost or gave most first.
struct Tallies(BTreeMap<String, Tally>);

impl Tallies {
    fn of(&mut self, name: &str) -> &mut Tally {
        let new = || Tally { name: name.to_owned(), ..Tally::default() };
        self.0.entry(name.to_owned()).or_insert_with(new)
    }

    fn count_false<'a>(&mut self, case: &Case, names: impl Iterator<Item = &'a String>) {
        for name in names {
            let tally = self.of(name);
            tally.false_notices += 1;
            tally.false_alerts += usize::from(case.alerted.is_some());
        }
    }

    fn finish(self) -> Vec<Tally> {
        let mut tallies: Vec<Tally> = self.0.into_values().collect();
        let weight = |tally: &Tally| (tally.false_alerts, tally.caught, tally.false_notices);
        tallies.sort_by(|a, b| weight(b).cmp(&weight(a)).then_with(|| a.name.cmp(&b.name)));
        tallies
    }
}

fn signals(incidents: &[Scored], unexplained: &[&Case]) -> Vec<Tally> {
    let mut tallies = Tallies(BTreeMap::new());
    for one in incidents {
        if let Some(caught) = &one.caught {
            for signal in &caught.signals {
                let tally = tallies.of(signal);
                tally.caught += 1;
                tally.alone += usize::from(caught.signals.len() == 1);
            }
        }
        if let Some(loudest) = one.sighting.as_ref().and_then(|sighting| sighting.voices.first()) {
            tallies.of(&loudest.signal).missed += 1;
        }
    }
    for case in unexplained {
        tallies.count_false(case, case.signals.iter());
    }
    tallies.finish()
}

fn causes(incidents: &[Scored], unexplained: &[&Case]) -> Vec<Tally> {
    let mut tallies = Tallies(BTreeMap::new());
    for one in incidents {
        let Some(cause) = &one.truth.cause else { continue };
        let tally = tallies.of(cause);
        tally.caught += usize::from(one.caught.is_some());
        tally.missed += usize::from(one.caught.is_none());
        let named = one.caught.as_ref().is_some_and(|caught| caught.rank == Some(1));
        tally.alone += usize::from(named);
    }
    for case in unexplained {
        let leading = case.turns.last().and_then(|turn| turn.causes.first());
        tallies.count_false(case, leading.into_iter());
    }
    tallies.finish()
}

fn services(incidents: &[Scored], unexplained: &[&Case]) -> Vec<Tally> {
    let mut tallies = Tallies(BTreeMap::new());
    for one in incidents {
        let tally = tallies.of(&one.truth.service);
        tally.caught += usize::from(one.caught.is_some());
        tally.missed += usize::from(one.caught.is_none());
    }
    for case in unexplained {
        tallies.count_false(case, std::iter::once(&case.service));
    }
    tallies.finish()
}
