//! Feeds a set to the engine, block by block, as a source would.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grayflag::engine::alert::{Alert, State};
use grayflag::engine::grid::BLOCK;
use grayflag::engine::{Engine, Settings};
use grayflag::series::{Batch, Feedback, Labels, Sample, Series, Verdict};
use grayflag::time::{Span, Timestamp};

use crate::sets::{Set, WEEK};

/// What the engine made of a set.
#[derive(Debug, Default)]
pub(crate) struct Lived {
    /// Per service, how far it was beyond its notice threshold in each live block, without the
    /// controllers; NaN where it could not be judged.
    pub(crate) ratios: BTreeMap<String, Vec<f64>>,
    /// Everything that was told.
    pub(crate) alerts: Vec<Alert>,
    /// Ids of incidents that opened within labelled ones.
    pub(crate) right: BTreeSet<String>,
}

/// A Monday, midnight.
fn start() -> Timestamp {
    "2026-01-05T00:00:00Z".parse().unwrap()
}

/// When a block begins.
pub(crate) fn time_of(block: usize) -> Timestamp {
    start() + BLOCK.times(i64::try_from(block).unwrap())
}

/// Settings that learn from all of a set's history.
pub(crate) fn settings(set: &Set) -> Settings {
    Settings {
        interval: BLOCK,
        history: time_of(4 * WEEK) - start(),
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: time_of(set.learn),
        pages_url: None,
        source_url: None,
    }
}

/// The batch of one block.
pub(crate) struct Batches<'a> {
    set: &'a Set,
    bound: Vec<Vec<Arc<Series>>>,
}

impl<'a> Batches<'a> {
    pub(crate) fn new(set: &'a Set) -> Self {
        let bind = |signal: &str, service: &str| {
            Arc::new(Series::new(signal, service, None, None, Labels::new()))
        };
        let bound = set
            .subjects
            .iter()
            .map(|s| set.signals.iter().map(|signal| bind(&signal.name, &s.name)).collect())
            .collect();
        Self { set, bound }
    }

    pub(crate) fn at(&self, block: usize) -> Batch {
        let mut batch = Batch { span: Span::from_mins(5), ..Batch::default() };
        for (subject, bound) in self.set.subjects.iter().zip(&self.bound) {
            for (values, series) in subject.series.iter().zip(bound) {
                if let Some(&value) = values.get(block).filter(|value| value.is_finite()) {
                    batch.samples.push(Sample { series: series.clone(), value });
                }
            }
        }
        batch
    }
}

/// Whether an incident opens within a labelled one.
fn is_true(set: &Set, alert: &Alert, block: usize) -> bool {
    alert.state == State::Firing
        && set.subjects.iter().any(|one| one.name == alert.service && one.is_excused(block))
}

fn useful((alert, number): (&Alert, i64)) -> Feedback {
    let (incident, verdict) = (alert.incident.clone(), Verdict::Useful);
    Feedback { number, at: alert.at, incident, verdict, cause: None }
}

/// Lives through a whole set at a budget of notices a week. Of incidents that begin within a
/// labelled one somebody says, once they are told, that they were right.
pub(crate) fn live(set: &Set, notices_per_week: f64) -> Lived {
    let mut engine = Engine::new(set.rules(notices_per_week), settings(set));
    let batches = Batches::new(set);
    let blocks = set.subjects[0].series[0].len();
    let mut lived = Lived::default();
    let mut said: Vec<Feedback> = Vec::new();
    for block in 0..blocks {
        let mut batch = batches.at(block);
        batch.feedback = std::mem::take(&mut said);
        let told = engine.step(time_of(block), &batch).alerts;
        let opened = told.iter().filter(|alert| is_true(set, alert, block));
        lived.right.extend(opened.map(|alert| alert.incident.clone()));
        let right = told.iter().filter(|alert| lived.right.contains(&alert.incident));
        said.extend(right.zip(engine.feedback_seen() + 1..).map(useful));
        lived.alerts.extend(told);
        if set.learn <= block {
            for subject in &set.subjects {
                let ratio = engine.standing(&subject.name).map_or(f64::NAN, |s| s.notice);
                lived.ratios.entry(subject.name.clone()).or_default().push(ratio);
            }
        }
    }
    lived
}
