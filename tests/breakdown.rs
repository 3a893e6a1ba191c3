//! Questions about label values and what comes of their answers, with an engine fed by hand.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![expect(clippy::unnecessary_wraps, reason = "backends share one type")]

#[path = "common/shared_archive.rs"]
mod shared_archive;

use std::sync::Arc;

use grayflag::engine::alert::{Alert, State};
use grayflag::engine::{Engine, Settings, snapshot};
use grayflag::rules::{Breakdown, Cause, Evidence, Role, Rules, See, Signal, Steps, UNEXPLAINED};
use grayflag::series::{Answer, Batch, LabelValue, Labels, Question, Sample, Series};
use grayflag::time::{Span, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use shared_archive::Shared;

const TICK: Span = Span::from_mins(5);
const WEEKS: i64 = 2;

fn start() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

/// A signal that can be divided by tenant, and a cause that speaks of a dominating one.
fn rules() -> Arc<Rules> {
    let by = vec!["tenant".to_owned()];
    let breakdown = Some(Breakdown { by, query: "sum by (service, {{label}}) (x)".to_owned() });
    let signals = vec![
        Signal { breakdown, ..Signal::plain("work", Role::Traffic) },
        Signal::plain("p99", Role::Latency),
        Signal::plain("wait", Role::PoolWait),
        Signal::plain("cpu", Role::Cpu),
    ];
    let see = See::ValueDominates { of: Some(Role::Traffic), label: Some("tenant".to_owned()) };
    let dominates = Evidence { see, likely: 0.95, otherwise: 0.05 };
    let step = "Look at {{ label }} {{ value }}.".to_owned();
    let steps = Steps { first_ten_minutes: vec![step], ..Steps::default() };
    let causes = vec![
        Cause { steps, ..Cause::plain("hot-tenant", 0.1, vec![dominates]) },
        Cause::plain("overload", 0.1, vec![]),
        Cause::plain(UNEXPLAINED, 0.05, vec![]),
    ];
    Arc::new(Rules { signals, causes, ..Rules::default() })
}

fn settings() -> Settings {
    Settings {
        interval: TICK,
        history: Span::WEEK.times(WEEKS),
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: start(),
        pages_url: None,
        source_url: None,
    }
}

/// One service that becomes slower from `start` on, by .5 standard deviations an hour.
struct Service {
    rng: ChaCha8Rng,
    noise: [f64; 4],
    series: Vec<Arc<Series>>,
}

impl Service {
    fn new() -> Self {
        let one =
            |signal: &Signal| Arc::new(Series::new(&signal.name, "web", None, None, Labels::new()));
        let series = rules().signals.iter().map(one).collect();
        Self { rng: ChaCha8Rng::seed_from_u64(3), noise: [0.0; 4], series }
    }

    fn batch(&mut self, at: Timestamp) -> Batch {
        let hours = (at - start()).as_hours_f64().max(0.0);
        let mut batch = Batch { span: TICK, ..Batch::default() };
        for (signal, series) in self.series.iter().enumerate() {
            let shock: f64 = self.rng.sample(StandardNormal);
            self.noise[signal] = 0.6 * self.noise[signal] + 0.8 * shock;
            let drift = if signal == 1 || signal == 2 { 0.5 * hours } else { 0.0 };
            let value = (-1.0 + 0.08 * (self.noise[signal] + drift)).exp();
            batch.samples.push(Sample { series: series.clone(), value });
        }
        batch
    }
}

/// What a backend would say.
type Backend<'a> = &'a dyn Fn(&Question) -> Result<Vec<LabelValue>, String>;

fn values(levels: [(&str, f64, f64); 3]) -> Vec<LabelValue> {
    let one = |(value, before, since): (&str, f64, f64)| LabelValue {
        value: value.to_owned(),
        before,
        since,
    };
    levels.map(one).to_vec()
}

fn acme(_: &Question) -> Result<Vec<LabelValue>, String> {
    Ok(values([("acme", 4.0, 30.0), ("beta", 10.0, 10.2), ("gamma", 5.0, 4.9)]))
}

fn nobody(_: &Question) -> Result<Vec<LabelValue>, String> {
    Ok(values([("acme", 4.0, 4.1), ("beta", 10.0, 10.2), ("gamma", 5.0, 4.9)]))
}

fn failed(_: &Question) -> Result<Vec<LabelValue>, String> {
    Err("no answer within 5s".to_owned())
}

/// An engine with its service, driven tick by tick as a driver does.
struct Run {
    engine: Engine,
    archive: Shared,
    service: Service,
    next: Timestamp,
    alerts: Vec<Alert>,
    asked: Vec<Question>,
}

impl Run {
    fn new() -> Self {
        let archive = Shared::default();
        let engine = Engine::with_archive(rules(), settings(), Box::new(archive.clone()));
        let mut service = Service::new();
        let mut next = start() - Span::WEEK.times(WEEKS);
        let mut engine = engine;
        while next < start() {
            let outcome = engine.step(next, &service.batch(next));
            assert!(outcome.alerts.is_empty() && engine.questions().is_empty(), "only learns");
            next = next + TICK;
        }
        Self { engine, archive, service, next, alerts: vec![], asked: vec![] }
    }

    /// One tick; nobody answers where there is no backend.
    fn tick(&mut self, backend: Option<Backend<'_>>) {
        let mut batch = self.service.batch(self.next);
        let questions = self.engine.questions();
        if let Some(backend) = backend {
            let answer = |q: &Question| Answer { question: q.clone(), values: backend(q) };
            batch.answers = questions.iter().map(answer).collect();
        }
        self.asked.extend(questions);
        self.alerts.extend(self.engine.step(self.next, &batch).alerts);
        self.next = self.next + TICK;
    }

    fn hours(mut self, hours: i64, backend: Option<Backend<'_>>) -> Self {
        for _ in 0..hours * 12 {
            self.tick(backend);
        }
        self
    }
}

fn told(alerts: &[Alert]) -> Vec<(Timestamp, State)> {
    alerts.iter().map(|alert| (alert.at, alert.state)).collect()
}

#[test]
fn an_answer_is_there_when_the_incident_opens() {
    let run = Run::new().hours(36, Some(&acme));
    let firing = &run.alerts[0];
    let lead = &firing.causes[0];
    assert_eq!((firing.state, lead.id.as_str()), (State::Firing, "hot-tenant"), "{firing:#?}");
    assert_eq!(lead.culprit.labels["tenant"], "acme");
    assert!(lead.evidence_for[0].contains("acme"), "{lead:?}");
    assert_eq!(firing.steps.first_ten_minutes, ["Look at tenant acme."]);
    let [value] = &firing.breakdown[..] else { panic!("{:?}", firing.breakdown) };
    let named = (value.signal.as_str(), value.label.as_str(), value.value.as_str());
    assert_eq!(named, ("work", "tenant", "acme"));
    assert!(value.share > 0.6 && value.usual_share < 0.25, "{value:?}");
    // It was asked before it opened, when it opened and three times more.
    let opened = firing.at;
    let (before, after): (Vec<_>, Vec<_>) = run.asked.iter().partition(|q| q.until < opened);
    assert!(!before.is_empty());
    assert!(before.windows(2).all(|pair| pair[1].until - pair[0].until >= Span::from_mins(30)));
    assert_eq!(after.len(), 4, "{after:#?}");
    assert_eq!(after[0].until, opened, "by the data's time");
    assert!(run.asked.iter().all(|q| q.onset < q.until && q.service == "web"));
}

#[test]
fn answers_that_fail_or_never_come_delay_nothing() {
    let unanswered = Run::new().hours(36, None);
    let failed = Run::new().hours(36, Some(&failed));
    assert!(!unanswered.alerts.is_empty());
    assert_eq!(told(&unanswered.alerts), told(&failed.alerts));
    let firing = &failed.alerts[0];
    let line = "cannot be split by tenant: it could not be looked up (no answer within 5s)";
    let unknown = &firing.causes[0].unknown;
    assert_eq!(unknown.iter().filter(|told| *told == line).count(), 1, "{unknown:?}");
    assert!(
        !firing.checked.iter().any(|told| told.contains("tenant")),
        "what is not known is not normal"
    );
    assert!(firing.breakdown.is_empty());
    let hot = firing.causes.iter().find(|cause| cause.id == "hot-tenant").unwrap();
    assert_eq!(hot.unknown.len(), 1, "neither for nor against: {hot:?}");
}

#[test]
fn what_no_query_gives_is_not_known_and_not_normal() {
    let empty = |_: &Question| Ok(Vec::new());
    let firing = Run::new().hours(36, Some(&empty)).alerts.remove(0);
    let line = "cannot be split by tenant: no query gives it";
    let unknown = &firing.causes[0].unknown;
    assert_eq!(unknown.iter().filter(|told| *told == line).count(), 1, "{unknown:?}");
    assert!(!firing.checked.iter().any(|told| told.contains("tenant")), "{:?}", firing.checked);
}

#[test]
fn when_no_value_explains_it_the_alert_says_so() {
    let run = Run::new().hours(36, Some(&nobody));
    let firing = &run.alerts[0];
    let line = "traffic of web by tenant: no single value explains it (3 values)";
    assert!(firing.checked.iter().any(|checked| checked == line), "{:?}", firing.checked);
    assert_ne!(firing.causes[0].id, "hot-tenant");
    assert!(firing.breakdown.is_empty());
}

#[test]
fn an_answer_that_comes_late_is_told_once_as_an_update() {
    let mut run = Run::new();
    while run.alerts.is_empty() {
        run.tick(Some(&failed));
    }
    let run = run.hours(3, Some(&acme));
    let states: Vec<State> = run.alerts.iter().map(|alert| alert.state).collect();
    let updated = run.alerts.iter().find(|alert| alert.causes[0].id == "hot-tenant").unwrap();
    assert_eq!(updated.state, State::Updated);
    assert_eq!(updated.breakdown[0].value, "acme");
    assert!(updated.at - run.alerts[0].at <= Span::from_mins(30), "{states:?}");
    let causes = run.alerts.iter().map(|alert| alert.causes[0].id.as_str());
    assert_eq!(causes.filter(|cause| *cause == "hot-tenant").count(), 1, "{states:?}");
}

#[test]
fn a_restart_asks_again_what_was_open() {
    let mut whole = Run::new();
    while whole.engine.questions().is_empty() {
        whole.tick(Some(&acme));
    }
    let bytes = whole.engine.snapshot().unwrap();
    let archive = Box::new(whole.archive.clone());
    let restored =
        Engine::restore(rules(), settings(), snapshot::VERSION, &bytes, archive).unwrap();
    assert_eq!(restored.questions(), whole.engine.questions());
    let mut again = Run::new();
    while again.next < whole.next {
        again.tick(Some(&acme));
    }
    again.engine = restored;
    let (whole, again) = (whole.hours(24, Some(&acme)), again.hours(24, Some(&acme)));
    assert!(!whole.alerts.is_empty());
    assert_eq!(whole.alerts, again.alerts);
    assert_eq!(whole.asked, again.asked);
}
