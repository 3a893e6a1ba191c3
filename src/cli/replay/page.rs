//! A replay as one page for a review: what was told when, with charts, causes and evidence.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::Results;
use super::rows::{self, budget, cells, evidence, summary};
use super::timeline::Timeline;
use crate::cli::Failure;
use crate::config::Config;
use crate::engine::alert::{Alert, Severity, State};
use crate::format;
use crate::html::Templates;
use crate::notify::chart::{Look, svg};
use crate::notify::view::{View, clean};
use crate::replay::Ticked;
use crate::scorecard::{Alone, Comparison, Fate, Scorecard, Scored, Tally};

/// Incidents shown with all that was told; a page of more is no reading.
const INCIDENTS_MAX: usize = 300;
/// Charts; each is some thirty kilobytes.
const CHARTS_MAX: usize = 150;
/// Alerts shown of one incident.
const TURNS_MAX: usize = 20;
/// Rows of any table.
const ROWS_MAX: usize = 300;

/// Gathers what a page shows while the replay runs.
pub(super) struct Page {
    zone: TimeZone,
    signals: usize,
    /// By id.
    incidents: BTreeMap<String, Gathered>,
    /// Lines about what crept, in order of time.
    crept: Vec<String>,
    /// Incidents that were dropped in favour of graver ones.
    dropped: usize,
}

/// One incident.
struct Gathered {
    /// What was told last before the end.
    alert: Alert,
    chart: String,
    severity: Severity,
    turns: Vec<Turn>,
    more: usize,
}

#[derive(Serialize)]
struct Turn {
    at: String,
    mark: &'static str,
    word: &'static str,
    text: String,
}

#[derive(Serialize)]
struct Shown<'a> {
    severity: &'static str,
    a: View,
    turns: &'a [Turn],
    more: usize,
    chart: Option<&'a str>,
    /// `false`, `true`, or empty where nobody knows.
    verdict: &'static str,
}

#[derive(Serialize)]
struct PageView<'a> {
    from: String,
    to: String,
    length: String,
    services: usize,
    signals: usize,
    told: usize,
    alerts: usize,
    budget: [String; 2],
    timeline: Timeline,
    scorecard: Option<ScorecardView>,
    comparison: Option<ComparisonView>,
    incidents: Vec<Shown<'a>>,
    left_out: usize,
    charts_left_out: usize,
    crept: &'a [String],
}

#[derive(Serialize)]
struct ScorecardView {
    summary: Vec<String>,
    outside: usize,
    rows: Vec<ScoredView>,
    left_out: usize,
    tallies: Vec<TallyView>,
}

#[derive(Serialize)]
struct ScoredView {
    cells: [String; 8],
    fate: &'static str,
    incident: String,
    evidence: String,
    note: String,
}

#[derive(Serialize)]
struct TallyView {
    name: &'static str,
    alone: &'static str,
    rows: Vec<Tally>,
    left_out: usize,
}

#[derive(Serialize)]
struct ComparisonView {
    figures: Vec<[String; 3]>,
    alone: Vec<(&'static str, Vec<AloneView>, usize)>,
    tables: Vec<TableView>,
}

#[derive(Serialize)]
struct TableView {
    name: &'static str,
    heads: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

#[derive(Serialize)]
struct AloneView {
    at: String,
    severity: &'static str,
    service: String,
    title: String,
    verdict: &'static str,
}

impl Page {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            zone: config.poll.timezone.clone(),
            signals: config.rules.signals.len(),
            incidents: BTreeMap::new(),
            crept: Vec::new(),
            dropped: 0,
        }
    }

    /// Takes in one tick.
    pub(super) fn take(&mut self, ticked: &Ticked<'_>) {
        for alert in &ticked.outcome.alerts {
            let (zone, id) = (&self.zone, &alert.incident);
            let draw = || svg(&ticked.engine.chart(alert), alert, zone, Look::System);
            if alert.state == State::Firing {
                let gathered = Gathered::new(alert, draw());
                self.incidents.insert(id.clone(), gathered);
            }
            let Some(gathered) = self.incidents.get_mut(id) else { continue };
            gathered.tell(alert, &format::clock(alert.at, alert.started_at, zone));
            if alert.state == State::Updated {
                gathered.alert = alert.as_first();
                gathered.chart = draw();
            }
        }
        let crept = ticked.outcome.report.crept.iter();
        self.crept.extend(crept.map(|crept| clean(&format!("{}: {crept}", ticked.at))));
        while INCIDENTS_MAX < self.incidents.len() {
            self.drop_one();
        }
    }

    /// The mildest goes first, and the oldest of them.
    fn drop_one(&mut self) {
        let of = |(id, one): (&String, &Gathered)| (one.severity, one.alert.at, id.clone());
        if let Some((_, _, id)) = self.incidents.iter().map(of).min() {
            self.incidents.remove(&id);
            self.dropped += 1;
        }
    }

    /// The whole page.
    pub(super) fn render(&self, results: &Results<'_>) -> Result<String, Failure> {
        let templates =
            Templates::new(&[("replay.html", include_str!("replay.html"))]).map_err(Failure::of)?;
        templates.render("replay.html", &self.view(results)).map_err(Failure::of)
    }

    fn view<'a>(&'a self, results: &'a Results<'_>) -> PageView<'a> {
        let record = results.record;
        let mut shown: Vec<&Gathered> = self.incidents.values().collect();
        // The gravest keep their charts.
        shown.sort_by_key(|one| (std::cmp::Reverse(one.severity), one.alert.at));
        let drawn: Vec<&str> =
            shown.iter().take(CHARTS_MAX).map(|one| one.alert.incident.as_str()).collect();
        shown.sort_by_key(|one| (one.alert.started_at, one.alert.incident.clone()));
        let used = results.scorecard.map_or_else(|| record.told(), |card| card.budget.clone());
        PageView {
            from: record.from.to_string(),
            to: record.to.to_string(),
            length: (record.to - record.from).rough(),
            services: record.services,
            signals: self.signals,
            told: record.cases.len(),
            alerts: used.alerts.told,
            budget: budget(&used, results.scorecard.is_some()),
            timeline: Timeline::new(record, results.scorecard, &self.zone),
            scorecard: results.scorecard.map(scorecard),
            comparison: results.comparison.map(comparison),
            incidents: shown.iter().map(|one| self.show(one, &drawn, results.scorecard)).collect(),
            left_out: self.dropped + record.left_out,
            charts_left_out: shown.len().saturating_sub(CHARTS_MAX),
            crept: &self.crept,
        }
    }

    fn show<'a>(&self, one: &'a Gathered, drawn: &[&str], card: Option<&Scorecard>) -> Shown<'a> {
        let id = &one.alert.incident;
        let verdict = match card {
            Some(card) if card.false_alarms.contains(id) => "false",
            Some(_) => "true",
            None => "",
        };
        let chart = Some(one.chart.as_str()).filter(|chart| !chart.is_empty());
        Shown {
            severity: one.severity.name(),
            a: View::in_zone(&one.alert, one.alert.at, &self.zone),
            turns: &one.turns,
            more: one.more,
            chart: chart.filter(|_| drawn.contains(&id.as_str())),
            verdict,
        }
    }
}

impl Gathered {
    fn new(alert: &Alert, chart: String) -> Self {
        Self { alert: alert.clone(), chart, severity: alert.severity, turns: Vec::new(), more: 0 }
    }

    fn tell(&mut self, alert: &Alert, at: &str) {
        self.severity = self.severity.max(alert.severity);
        if TURNS_MAX <= self.turns.len() {
            self.more += 1;
            return;
        }
        let over = alert.state == State::Resolved;
        let (news, headline) = alert.news();
        self.turns.push(Turn {
            at: at.to_owned(),
            mark: if over { alert.state.name() } else { alert.severity.name() },
            word: alert.state.name(),
            text: clean(news.unwrap_or(headline)),
        });
    }
}

fn scorecard(card: &Scorecard) -> ScorecardView {
    let row = |one: &Scored| ScoredView {
        cells: cells(one),
        fate: match one.fate {
            Fate::Before => "good",
            Fate::After => "warning",
            Fate::Missed => "bad",
        },
        incident: one.caught.as_ref().map_or_else(String::new, |c| clean(&c.incident)),
        evidence: evidence(one).unwrap_or_default(),
        note: one.truth.note.as_deref().map(clean).unwrap_or_default(),
    };
    let tally = |name, alone, all: &[Tally]| TallyView {
        name,
        alone,
        rows: all.iter().take(ROWS_MAX).map(cleaned).collect(),
        left_out: all.len().saturating_sub(ROWS_MAX),
    };
    ScorecardView {
        summary: summary(&card.figures),
        outside: card.outside,
        rows: card.incidents.iter().take(ROWS_MAX).map(row).collect(),
        left_out: card.incidents.len().saturating_sub(ROWS_MAX),
        tallies: vec![
            tally("Signal", "Alone", &card.signals),
            tally("Cause", "Named first", &card.causes),
            tally("Service", "", &card.services),
        ],
    }
}

fn cleaned(tally: &Tally) -> Tally {
    Tally { name: clean(&tally.name), ..tally.clone() }
}

fn comparison(comparison: &Comparison) -> ComparisonView {
    fn table<T, const N: usize>(
        name: &'static str,
        heads: &'static [&'static str; N],
        all: &[T],
        cells: fn(&T) -> [String; N],
    ) -> TableView {
        let rows = all.iter().take(ROWS_MAX).map(|one| cells(one).to_vec()).collect();
        TableView { name, heads, rows }
    }
    let told = |name, list: &[Alone]| {
        let shown = list.iter().take(ROWS_MAX).map(alone).collect();
        (name, shown, list.len().saturating_sub(ROWS_MAX))
    };
    let Comparison { incidents, changed, signals, .. } = comparison;
    ComparisonView {
        figures: rows::figures(comparison),
        alone: vec![
            told("Told by this only", &comparison.only_this),
            told("Told by the other only", &comparison.only_other),
        ],
        tables: vec![
            table("Told differently", &rows::DIFFERENCE, incidents, rows::difference),
            table("Another severity or cause", &rows::CHANGED, changed, rows::changed),
            table("By signal", &rows::SIGNAL, signals, rows::signal),
        ],
    }
}

fn alone(one: &Alone) -> AloneView {
    AloneView {
        at: one.at.to_string(),
        severity: one.severity.name(),
        service: clean(&one.service),
        title: clean(&one.title),
        verdict: match one.is_false {
            Some(true) => "false",
            Some(false) => "true",
            None => "",
        },
    }
}
