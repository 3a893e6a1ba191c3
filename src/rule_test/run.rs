//! One test with one seed: the series through the engine, tick by tick.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Test;
use super::bind::Part;
use super::generate::generate;
use crate::course::{Course, Courses, Silences};
use crate::engine::alert::Alert;
use crate::engine::breakdown::{POINTS_MAX, Sums, Windows};
use crate::engine::grid::BLOCK;
use crate::engine::{Engine, Settings};
use crate::series::{Answer, Batch, Question, Sample};
use crate::time::{Span, Timestamp};

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which seed.
    pub seed: u64,
    /// Everything that was told, in order.
    pub alerts: Vec<Alert>,
    /// How each service of the test stood after the warm-up.
    pub courses: BTreeMap<String, Course>,
    /// Why things were not told after the warm-up.
    pub silences: Silences,
}

/// Runs a test with the noise of one seed; with `weigh`, causes are weighed at every instant that
/// tells something, and not only when an incident is told.
///
/// The warm-up is fed as a first start reads its history: one value every five minutes. From then
/// on every step is a tick.
///
/// # Cost
///
/// O(values) for the noise, and what the engine takes for the ticks.
pub fn run(test: &Test, seed: u64, weigh: bool) -> Seen {
    let settings = Settings {
        interval: test.step,
        history: test.warm_up,
        timezone: test.timezone.clone(),
        alerts_from: test.alerts_from(),
        pages_url: None,
        source_url: None,
    };
    let mut feed = Feed::new(test, seed);
    let mut engine = Engine::new(Arc::clone(&test.rules), settings);
    let mut courses = Courses::new(weigh);
    let (mut alerts, mut silences) = (Vec::new(), Silences::default());
    let mut at = test.start;
    let (from, end) = (test.alerts_from(), test.end());
    while at <= end {
        let span = if at < from { BLOCK } else { test.step };
        let answers = engine.questions().iter().map(|question| feed.answer(question)).collect();
        let outcome = engine.step(at, &Batch { answers, ..feed.batch(at, span) });
        if from <= at {
            courses.take(&engine, &outcome.alerts);
            silences.take(at, outcome.report.silences);
            alerts.extend(outcome.alerts);
        }
        at = at + span;
    }
    courses.end(&engine);
    Seen { seed, alerts, courses: courses.all, silences }
}

/// The test's series as batches.
struct Feed<'t> {
    test: &'t Test,
    values: Vec<Vec<f64>>,
    /// How many of the changes are known already.
    announced: usize,
}

impl<'t> Feed<'t> {
    fn new(test: &'t Test, seed: u64) -> Self {
        let grid = (test.start, test.step);
        let values = test.series.iter();
        let values = values.map(|s| generate(&s.items, &s.text, grid, seed)).collect();
        Self { test, values, announced: 0 }
    }

    /// The value of a written series; none before its first, after its last and in its gaps.
    fn value(&self, written: usize, at: Timestamp) -> Option<f64> {
        let tick = (at - self.test.start).as_millis().div_euclid(self.test.step.as_millis());
        let value = self.values[written].get(usize::try_from(tick).ok()?)?;
        Some(*value).filter(|value| !value.is_nan())
    }

    /// What a source would say to a question, from the series that are written for it.
    fn answer(&self, question: &Question) -> Answer {
        let about = (question.signal.clone(), question.label.clone());
        let parts = self.test.bound.parts.get(&about).into_iter().flatten();
        let parts = parts.filter(|part| part.service == question.service);
        let windows = Windows::of(question);
        let (start, step) = windows.grid(POINTS_MAX);
        let asked = self.test.rules.signal(&question.signal);
        let Some(signal) = asked else {
            let values = Err("the test has no such signal".to_owned());
            return Answer { question: question.clone(), values };
        };
        let mut sums = Sums::of(signal, windows);
        let mut values = Err("the test has no series for it".to_owned());
        for Part { value, written, .. } in parts {
            values = Ok(());
            let instants = (0..).map(|n| start + step.times(n));
            let instants = instants.take_while(|at| *at <= question.until);
            let points = instants.filter_map(|at| Some((at, self.value(*written, at)?)));
            sums.add(value, points);
        }
        let values = values.map(|()| sums.values());
        Answer { question: question.clone(), values }
    }

    /// What a source would know at a tick.
    fn batch(&mut self, at: Timestamp, span: Span) -> Batch {
        let value = |written: usize| self.value(written, at);
        let samples = self.test.bound.samples.iter().filter_map(|(written, series)| {
            Some(Sample { series: Arc::clone(series), value: value(*written)? })
        });
        let samples = samples.collect();
        let traffic = self.test.bound.floors.iter().filter_map(|floor| {
            let value = floor.by.map_or(Some(floor.at_least), value)?;
            Some(Sample { series: Arc::clone(&floor.series), value })
        });
        let traffic = traffic.collect();
        let known = self.test.changes.iter().take_while(|change| change.at <= at).count();
        let changes = self.test.changes[self.announced..known].to_vec();
        self.announced = known;
        Batch { span, samples, traffic, changes, ..Batch::default() }
    }
}
