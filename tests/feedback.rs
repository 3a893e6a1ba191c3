//! What people say about incidents changes what is told of the next ones, and survives a restart.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "common/shared_archive.rs"]
mod shared_archive;

use std::sync::Arc;

use grayflag::engine::alert::{Alert, Severity, State};
use grayflag::engine::outcome::{Accepted, Outcome, Silence};
use grayflag::engine::{Engine, Settings, snapshot};
use grayflag::rules::{
    Budget, Cause, Evidence, Role, RoleState, Rules, See, Signal, Steps, UNEXPLAINED,
};
use grayflag::series::{Batch, Feedback, Labels, Sample, Series, Verdict};
use grayflag::time::{Span, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use shared_archive::Shared;

const BLOCK: Span = Span::from_mins(5);
const HISTORY: Span = Span::from_hours(24 * 21);
/// Of the noise: what holds for one may be chance.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=8;

fn cause(id: &str, prior: f64, role: Option<Role>) -> Cause {
    let see = |role| See::RoleIs { role, is: RoleState::Rising };
    let evidence = |role| Evidence { see: see(role), likely: 0.8, otherwise: 0.5 };
    Cause {
        id: id.to_owned(),
        title: id.to_owned(),
        explain: String::new(),
        prior,
        evidence: role.map(evidence).into_iter().collect(),
        steps: Steps::default(),
    }
}

fn rules() -> Arc<Rules> {
    let signals = vec![
        Signal::plain("p99", Role::Latency),
        Signal::plain("cpu", Role::Cpu),
        Signal::plain("wait", Role::PoolWait),
        Signal::plain("gc", Role::Gc),
    ];
    let causes = vec![
        cause("pool-exhaustion", 0.1, Some(Role::PoolWait)),
        cause("slow-dependency", 0.1, Some(Role::Latency)),
        cause(UNEXPLAINED, 0.05, None),
    ];
    // With an episode a week, none is held back for want of budget.
    let budget = Budget { alerts_per_week: 1.0, notices_per_week: 1.0 };
    Arc::new(Rules { signals, causes, budget, ..Rules::default() })
}

fn start() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

fn settings() -> Settings {
    Settings {
        interval: BLOCK,
        history: HISTORY,
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: start(),
        pages_url: None,
        source_url: None,
    }
}

/// One service whose latency and pool wait rise now and then.
#[derive(Clone)]
struct Shop {
    rng: ChaCha8Rng,
    series: Vec<Arc<Series>>,
    /// From and to in hours after the start, and how many standard deviations higher.
    episodes: Vec<(i64, i64, f64)>,
    now: Timestamp,
}

/// What came of a stretch of ticks.
#[derive(Debug, Default, PartialEq)]
struct Lived {
    alerts: Vec<Alert>,
    outcomes: Vec<Outcome>,
}

impl Lived {
    fn of(&self, state: State) -> Vec<&Alert> {
        self.alerts.iter().filter(|alert| alert.state == state).collect()
    }

    fn loudest(&self) -> Option<Severity> {
        self.alerts.iter().map(|alert| alert.severity).max()
    }

    fn held_as_habit(&self) -> bool {
        let mut silences = self.outcomes.iter().flat_map(|outcome| &outcome.report.silences);
        silences.any(|(_, silence)| matches!(silence, Silence::Habitual { times: 2 }))
    }
}

impl Shop {
    fn new(episodes: &[(i64, i64, f64)], seed: u64) -> Self {
        let rules = rules();
        let series = rules
            .signals
            .iter()
            .map(|signal| Arc::new(Series::new(&signal.name, "shop", None, None, Labels::new())));
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            series: series.collect(),
            episodes: episodes.to_vec(),
            now: start() - HISTORY,
        }
    }

    fn batch(&mut self) -> Batch {
        let hours = (self.now - start()).as_hours_f64();
        let inside = |&&(from, to, _): &&(i64, i64, f64)| hours >= from as f64 && hours < to as f64;
        let raised = self.episodes.iter().find(inside).map_or(0.0, |&(_, _, sigmas)| sigmas);
        let mut batch = Batch { span: BLOCK, ..Batch::default() };
        for (place, series) in self.series.iter().enumerate() {
            let noise: f64 = self.rng.sample(StandardNormal);
            let z = noise + if place == 0 || place == 2 { raised } else { 0.0 };
            let value = (-1.5 + 0.08 * z).exp();
            batch.samples.push(Sample { series: series.clone(), value });
        }
        batch
    }

    /// Lives until some hours after the start; the first batch carries what people said.
    fn live(&mut self, engine: &mut Engine, to: i64, mut feedback: Vec<Feedback>) -> Lived {
        let mut lived = Lived::default();
        while self.now < start() + Span::from_hours(to) {
            let mut batch = self.batch();
            batch.feedback = std::mem::take(&mut feedback);
            let outcome = engine.step(self.now, &batch);
            lived.alerts.extend(outcome.alerts.iter().cloned());
            lived.outcomes.push(outcome);
            self.now = self.now + BLOCK;
        }
        lived
    }
}

fn word(number: i64, incident: &str, verdict: Verdict, cause: Option<&str>) -> Feedback {
    let (incident, cause) = (incident.to_owned(), cause.map(str::to_owned));
    Feedback { number, at: start(), incident, verdict, cause }
}

fn probability(alert: &Alert, id: &str) -> f64 {
    alert.causes.iter().find(|cause| cause.id == id).map_or(0.0, |cause| cause.probability)
}

/// An engine that has seen two incidents of one look, a week apart, and the ids of these.
fn experienced(later: &[(i64, i64, f64)], seed: u64) -> (Engine, Shop, [String; 2]) {
    let episodes = [&[(30, 33, 4.0), (198, 201, 4.0)], later].concat();
    let (mut engine, mut shop) = (Engine::new(rules(), settings()), Shop::new(&episodes, seed));
    let lived = shop.live(&mut engine, 340, vec![]);
    let resolved = lived.of(State::Resolved);
    // Noise may be told too.
    let of = |hours: i64| {
        let is_it = |alert: &&&Alert| {
            let began = (alert.started_at - start()).as_hours_f64();
            (began - hours as f64).abs() < 2.0
        };
        resolved.iter().find(is_it).unwrap().incident.clone()
    };
    let ids = [of(30), of(198)];
    (engine, shop, ids)
}

/// How much more certain the next such incident is called what two were confirmed as.
fn gained_by_confirming(seed: u64) -> f64 {
    let (mut plain, mut shop, ids) = experienced(&[(366, 369, 4.0)], seed);
    let newest = plain.past().incidents().rfind(|ended| ended.id == ids[1]).unwrap();
    assert_eq!(newest.trace.root, "shop");
    assert!(!newest.trace.pattern.is_empty() && newest.peak > 1.0, "{newest:?}");
    let mut taught = plain.branch();
    let mut again = shop.clone();
    let confirmed = vec![
        word(1, &ids[0], Verdict::Useful, Some("pool-exhaustion")),
        word(2, &ids[1], Verdict::Useful, Some("pool-exhaustion")),
    ];
    let before = shop.live(&mut plain, 378, vec![]);
    let after = again.live(&mut taught, 378, confirmed);
    let last =
        |lived: &Lived| lived.of(State::Resolved).last().map(|&alert| alert.clone()).unwrap();
    let (before, after) = (last(&before), last(&after));
    let reasons = &after.causes[0].evidence_for;
    let seen = reasons.iter().find(|text| text.contains("the same pattern was seen")).unwrap();
    assert!(seen.contains("2026-03-10") && seen.contains("pool-exhaustion (confirmed)"), "{seen}");
    let [before, after] = [&before, &after].map(|a| probability(a, "pool-exhaustion"));
    assert!(after > before, "seed {seed}: {before} {after}");
    after - before
}

#[test]
fn what_was_seen_before_is_told_and_a_confirmed_cause_is_named_with_more_certainty() {
    let gained: Vec<f64> = SEEDS.map(gained_by_confirming).collect();
    // Where one of the two signals opens it alone the cause is rather certain without that.
    let most = gained.iter().filter(|gained| **gained > 0.2).count();
    assert!(most + 1 >= gained.len(), "{gained:?}");
}

#[test]
fn a_habit_stays_a_notice_until_it_is_much_louder() {
    for seed in SEEDS {
        let episodes = [(366, 369, 4.0), (534, 537, 14.0)];
        let (mut engine, mut shop, ids) = experienced(&episodes, seed);
        let (mut unheard, mut alone) = (engine.branch(), shop.clone());
        let verdicts =
            vec![word(1, &ids[0], Verdict::False, None), word(2, &ids[1], Verdict::Expected, None)];
        let loud = alone.live(&mut unheard, 378, vec![]).loudest();
        assert!(loud > Some(Severity::Notice), "seed {seed}: {loud:?}");
        let third = shop.live(&mut engine, 378, verdicts);
        assert_eq!(third.loudest(), Some(Severity::Notice), "seed {seed}");
        assert!(third.held_as_habit(), "seed {seed}: silence has its reason");
        let fourth = shop.live(&mut engine, 546, vec![]).loudest();
        assert!(fourth > Some(Severity::Notice), "seed {seed}: {fourth:?}");
    }
}

#[test]
fn a_habit_ends_with_one_useful_verdict() {
    for seed in SEEDS {
        let (mut engine, mut shop, ids) = experienced(&[(366, 369, 4.0)], seed);
        let verdicts = vec![
            word(1, &ids[0], Verdict::False, None),
            word(2, &ids[1], Verdict::False, None),
            word(3, &ids[1], Verdict::Useful, None),
        ];
        let third = shop.live(&mut engine, 378, verdicts);
        assert!(!third.held_as_habit(), "seed {seed}");
        assert!(third.loudest() > Some(Severity::Notice), "seed {seed}: {:?}", third.loudest());
    }
}

#[test]
fn an_expected_level_becomes_normal_on_purpose_and_visibly() {
    // It never goes back by itself.
    let (mut engine, mut shop) =
        (Engine::new(rules(), settings()), Shop::new(&[(30, 1_000, 4.0)], 5));
    let lived = shop.live(&mut engine, 33, vec![]);
    let firing = lived.of(State::Firing);
    let id = firing[0].incident.clone();
    let (mut unheard, mut alone) = (engine.branch(), shop.clone());
    assert_eq!(alone.live(&mut unheard, 35, vec![]).of(State::Resolved), [] as [&Alert; 0]);
    let after = shop.live(&mut engine, 35, vec![word(1, &id, Verdict::Expected, None)]);
    let relevelled: Vec<_> = after.outcomes.iter().flat_map(|o| &o.report.relevelled).collect();
    let mut names: Vec<&str> = relevelled.iter().map(|r| r.series.signal.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["p99", "wait"]);
    assert!(relevelled.iter().all(|r| r.why == Accepted::Expected && r.to > r.from + 2.0));
    let resolved = after.of(State::Resolved);
    assert_eq!(resolved.iter().map(|alert| &alert.incident).collect::<Vec<_>>(), [&id]);
}

#[test]
fn a_restart_forgets_nothing_and_uses_no_word_twice() {
    let shared = Shared::default();
    let mut engine = Engine::with_archive(rules(), settings(), Box::new(shared.clone()));
    let mut shop = Shop::new(&[(30, 33, 4.0), (198, 201, 4.0), (366, 369, 4.0)], 5);
    let lived = shop.live(&mut engine, 340, vec![]);
    let ids: Vec<&str> = lived.of(State::Resolved).iter().map(|a| a.incident.as_str()).collect();
    let words = vec![
        word(7, ids[0], Verdict::Useful, Some("pool-exhaustion")),
        word(9, ids[1], Verdict::False, None),
        word(12, "nobody-knows-it", Verdict::False, None),
    ];
    let _ = shop.live(&mut engine, 341, words.clone());
    assert_eq!(engine.feedback_seen(), 12);
    let bytes = engine.snapshot().unwrap();
    let mut restored =
        Engine::restore(rules(), settings(), snapshot::VERSION, &bytes, Box::new(shared)).unwrap();
    assert_eq!(restored.feedback_seen(), 12);
    let mut again = shop.clone();
    let whole = shop.live(&mut engine, 378, vec![]);
    // Whoever drives it hands the same words over once more.
    assert_eq!(again.live(&mut restored, 378, words), whole);
    assert!(!whole.of(State::Firing).is_empty());
    assert_eq!(restored.snapshot().unwrap(), engine.snapshot().unwrap());
}
