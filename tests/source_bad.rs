//! Backends that fail in every way that they have: the source says which, stays within its
//! bounds, and reads the same ticks when they are back.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "common/bad_backend.rs"]
mod bad_backend;

use std::time::{Duration, Instant};

use bad_backend::{Answer, BadBackend};
use grayflag::changes::SeenChanges;
use grayflag::rules::{MinEffect, Role, Rules, Scale, Signal, Worse};
use grayflag::source::{Config, Prometheus as Source, ReadPlan, Reading, SourceError};
use grayflag::time::{Span, Timestamp};

/// 2026-03-01T00:00:00Z.
const START: i64 = 1_772_323_200;
const STEP: Span = Span::from_secs(30);

fn signal(name: &str) -> Signal {
    Signal {
        name: name.to_owned(),
        role: Role::Latency,
        query: name.to_owned(),
        service: "service".to_owned(),
        peer: None,
        dependency: None,
        split: Vec::new(),
        unit: None,
        worse: Worse::Up,
        scale: Scale::Log,
        min_effect: MinEffect::default(),
        min_traffic: None,
        limit: None,
        delay: Span::ZERO,
        breakdown: None,
        requires: Vec::new(),
    }
}

fn plan(names: &[String]) -> ReadPlan {
    let signals = names.iter().map(|name| signal(name)).collect();
    ReadPlan::new(&Rules { signals, ..Rules::default() })
}

fn config(backend: &BadBackend) -> Config {
    let mut config = Config::new(backend.url());
    config.timeout = Span::from_millis(400);
    config.max_response_bytes = 1 << 20;
    config
}

fn tick(n: i64) -> Timestamp {
    Timestamp::from_secs(START) + STEP.times(n)
}

async fn read(
    source: &Source,
    plan: &mut ReadPlan,
    from: i64,
    to: i64,
) -> Result<Reading, SourceError> {
    source.read(plan, tick(from), tick(to), STEP).await
}

/// The ticks at which each signal has the one right value; anything else is a failed test.
fn right_ticks(reading: &mut Reading, signals: usize) -> Vec<Timestamp> {
    let mut ticks = Vec::new();
    while let Some((at, batch)) = reading.next_batch(&mut SeenChanges::default()) {
        assert_eq!(batch.unanswered, [], "{at}");
        assert_eq!(batch.samples.len(), signals, "{at}");
        for sample in batch.samples {
            assert_eq!(Timestamp::from_secs_f64(sample.value), Some(at));
        }
        ticks.push(at);
    }
    ticks
}

#[tokio::test]
async fn every_failure_has_its_class_and_no_tick_is_lost() {
    const HTML: &str = "<!DOCTYPE html><title>Sign in</title>";
    const INTERNAL: &str =
        r#"{"status":"error","errorType":"internal","error":"expanding series"}"#;
    let cases = [
        (Answer::Hang, "timeout", true),
        (Answer::Reset, "interrupted", true),
        (Answer::Cut, "interrupted", true),
        (Answer::WrongGzip, "garbage", true),
        (Answer::Status(200, "", HTML), "garbage", true),
        (Answer::Status(200, "", ""), "garbage", true),
        (Answer::Status(200, "", r#"{"status":"success","data":{"resu"#), "garbage", true),
        (Answer::Status(500, "", INTERNAL), "unavailable", true),
        (Answer::Status(502, "", HTML), "unavailable", true),
        (Answer::Status(503, "retry-after: 3600\r\n", ""), "unavailable", true),
        (Answer::Status(429, "retry-after: 3600\r\n", "slow down"), "rate_limited", true),
        (Answer::Status(401, "", "who are you"), "unauthorized", false),
        (Answer::Status(403, "", ""), "unauthorized", false),
        (Answer::Status(404, "", "404 page not found"), "not_found", false),
        (Answer::Status(302, "location: /login\r\n", ""), "not_found", false),
        (Answer::Status(400, "", "plain HTTP sent to an HTTPS port"), "not_found", false),
    ];
    let mut backend = BadBackend::start(Answer::Good).await;
    let source = Source::new(config(&backend)).unwrap();
    let mut plan = plan(&["a".to_owned(), "b".to_owned()]);
    for (answer, class, transient) in cases {
        backend.answer("", answer.clone());
        let error = read(&source, &mut plan, 0, 9).await.unwrap_err();
        assert_eq!(
            (error.class(), error.is_transient()),
            (class, transient),
            "{answer:?}: {error}"
        );
        let asked = backend.requests().len();
        assert!(asked <= 6, "{answer:?}: {asked} requests");
        if format!("{answer:?}").contains("3600") {
            assert_eq!(asked, 2, "who is to wait an hour does not ask again at once");
        }
        backend.answer("", Answer::Good);
        let mut reading = read(&source, &mut plan, 0, 9).await.unwrap();
        assert_eq!(right_ticks(&mut reading, 2), (0..10).map(tick).collect::<Vec<_>>());
        backend.requests();
    }
    backend.down().await;
    let error = read(&source, &mut plan, 0, 9).await.unwrap_err();
    assert_eq!((error.class(), error.is_transient()), ("connect", true), "{error}");
    backend.up().await;
    assert_eq!(right_ticks(&mut read(&source, &mut plan, 0, 9).await.unwrap(), 2).len(), 10);
}

#[tokio::test]
async fn a_short_trouble_is_over_at_the_next_attempt() {
    static BUSY: Answer = Answer::Status(429, "retry-after: 1\r\n", "slow down");
    static CUT: Answer = Answer::Cut;
    let backend = BadBackend::start(Answer::Once(&CUT)).await;
    let mut config = config(&backend);
    config.timeout = Span::from_secs(5);
    let source = Source::new(config).unwrap();
    let mut plan = plan(&["a".to_owned()]);
    assert_eq!(right_ticks(&mut read(&source, &mut plan, 0, 2).await.unwrap(), 1).len(), 3);
    assert_eq!(backend.requests().len(), 2);
    let counters = source.counters();
    assert_eq!((counters.requests, counters.failures["interrupted"]), (2, 1));
    assert!(0 < counters.bytes);
    backend.answer("", Answer::Once(&BUSY));
    let started = now();
    assert_eq!(right_ticks(&mut read(&source, &mut plan, 0, 2).await.unwrap(), 1).len(), 3);
    assert_eq!(backend.requests().len(), 2);
    assert!(Duration::from_secs(1) <= now() - started, "Retry-After was not honoured");
}

#[tokio::test]
async fn bodies_without_end_are_cut_off_and_blame_the_query() {
    for answer in [Answer::Endless, Answer::GzipBomb, Answer::Many(10_000)] {
        let backend = BadBackend::start(Answer::Good).await;
        backend.answer("big", answer.clone());
        let mut config = config(&backend);
        config.timeout = Span::from_secs(60);
        let source = Source::new(config).unwrap();
        let mut plan = plan(&["big".to_owned(), "small".to_owned()]);
        let mut reading = read(&source, &mut plan, 0, 0).await.unwrap();
        let (_, batch) = reading.next_batch(&mut SeenChanges::default()).unwrap();
        assert_eq!(batch.samples.len(), 1);
        assert_eq!(batch.unanswered.len(), 1);
        let reason = &batch.unanswered[0].reason;
        assert!(reason.starts_with("the answer is larger than 1048576 bytes"), "{reason}");
        assert!(reason.contains("hint: aggregate"), "{reason}");
        assert_eq!(backend.requests().len(), 3, "both once, and whether the backend is there");
        // What the sockets had buffered when the connection was closed.
        assert!(backend.bytes_sent() < 16 << 20, "{}", backend.bytes_sent());
    }
}

#[tokio::test]
async fn a_query_that_fails_alone_is_unanswered_and_a_backend_that_goes_away_is_not() {
    let backend = BadBackend::start(Answer::Good).await;
    let source = Source::new(config(&backend)).unwrap();
    let mut plan = plan(&["heavy".to_owned(), "light".to_owned()]);
    backend.answer("heavy", Answer::Status(503, "", "over capacity"));
    let mut reading = read(&source, &mut plan, 0, 1).await.unwrap();
    let (_, batch) = reading.next_batch(&mut SeenChanges::default()).unwrap();
    assert_eq!((batch.samples.len(), batch.unanswered.len()), (1, 1));
    assert_eq!(batch.unanswered[0].signal, "heavy");
    assert!(batch.unanswered[0].reason.contains("503"), "{}", batch.unanswered[0].reason);
    // The probe fails too: the backend went away between the first and the last query.
    backend.answer("", Answer::Reset);
    backend.answer("light", Answer::Good);
    let error = read(&source, &mut plan, 0, 1).await.unwrap_err();
    assert_eq!(error.class(), "interrupted");
    backend.answer("", Answer::Good);
    assert_eq!(right_ticks(&mut read(&source, &mut plan, 0, 1).await.unwrap(), 2).len(), 2);
}

#[tokio::test]
async fn a_long_reading_keeps_what_it_has_and_goes_on_where_it_stopped() {
    let backend = BadBackend::start(Answer::Good).await;
    let mut config = config(&backend);
    config.max_points_per_query = 10;
    config.max_concurrency = 1;
    let source = Source::new(config).unwrap();
    let mut plan = plan(&["a".to_owned(), "b".to_owned()]);
    // Goes away in the middle of the third request range: `a` is answered there, `b` is not.
    let running = async {
        let mut asked = 0;
        while asked < 5 {
            asked += backend.requests().len();
            tokio::task::yield_now().await;
        }
        backend.answer("", Answer::Reset);
    };
    let (reading, ()) = tokio::join!(read(&source, &mut plan, 0, 99), running);
    let mut reading = reading.unwrap();
    let first = right_ticks(&mut reading, 2);
    assert_eq!(reading.stopped().unwrap().class(), "interrupted");
    assert!(matches!(first.len(), 20 | 30), "{}", first.len());
    assert_eq!(reading.next_tick(), tick(i64::try_from(first.len()).unwrap()));
    backend.answer("", Answer::Good);
    let mut rest = source.read(&mut plan, reading.next_tick(), tick(99), STEP).await.unwrap();
    let ticks = [first, right_ticks(&mut rest, 2)].concat();
    assert_eq!(ticks, (0..100).map(tick).collect::<Vec<_>>(), "each tick once, in order");
    assert!(rest.stopped().is_none());
}

/// Without the probe, sixty queries of a hanging backend would take sixty times the timeout.
#[tokio::test]
async fn a_hanging_backend_is_given_up_on_soon() {
    let backend = BadBackend::start(Answer::Hang).await;
    let names: Vec<String> = (0..60).map(|n| format!("q{n}")).collect();
    let source = Source::new(config(&backend)).unwrap();
    let started = now();
    let error = read(&source, &mut plan(&names), 0, 0).await.unwrap_err();
    assert_eq!(error.class(), "timeout");
    assert!(now() - started < Duration::from_secs(4), "{:?}", now() - started);
    let requests = backend.requests().len();
    assert!(requests < 30, "{requests}");
}

#[tokio::test]
async fn requests_at_the_same_time_are_bounded_and_their_order_does_not_matter() {
    let names: Vec<String> = (0..40).map(|n| format!("q{n:02}")).collect();
    for concurrency in [1, 3] {
        let backend = BadBackend::start(Answer::Good).await;
        let mut config = config(&backend);
        config.timeout = Span::from_secs(10);
        config.max_concurrency = concurrency;
        let source = Source::new(config).unwrap();
        let mut reading = read(&source, &mut plan(&names), 0, 0).await.unwrap();
        let (_, batch) = reading.next_batch(&mut SeenChanges::default()).unwrap();
        let signals: Vec<&String> = batch.samples.iter().map(|s| &s.series.signal).collect();
        assert_eq!(signals, names.iter().collect::<Vec<_>>());
        assert_eq!(backend.open_max(), concurrency);
    }
}

#[tokio::test]
async fn no_error_holds_a_secret() {
    let mut backend = BadBackend::start(Answer::Good).await;
    let mut config = config(&backend);
    config.url = backend.url().replace("http://", "http://anna:hunter2@") + "/?key=hunter2";
    let source = Source::new(config).unwrap();
    let mut plan = plan(&["a".to_owned()]);
    read(&source, &mut plan, 0, 0).await.unwrap();
    let request = backend.requests().remove(0);
    // base64 of `anna:hunter2`; the parameter of the address is sent along.
    assert_eq!(request.headers["authorization"], "Basic YW5uYTpodW50ZXIy");
    assert_eq!(request.line, "POST /api/v1/query_range?key=hunter2 HTTP/1.1");
    for answer in [Answer::Hang, Answer::Reset, Answer::Cut, Answer::Status(401, "", "no")] {
        backend.answer("", answer);
        let error = read(&source, &mut plan, 0, 0).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    backend.down().await;
    let error = read(&source, &mut plan, 0, 0).await.unwrap_err();
    assert!(!format!("{error} {error:?} {source:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn a_hundred_thousand_series_are_read_and_known_the_second_time() {
    const SERIES: usize = 50_000;
    let backend = BadBackend::start(Answer::Many(SERIES)).await;
    let mut config = Config::new(backend.url());
    config.timeout = Span::from_mins(1);
    let source = Source::new(config).unwrap();
    let mut signals = vec![signal("a"), signal("b")];
    for signal in &mut signals {
        signal.peer = Some("instance".to_owned());
    }
    let mut plan = ReadPlan::new(&Rules { signals, ..Rules::default() });
    for round in 0..2 {
        let started = now();
        let mut reading = read(&source, &mut plan, 0, 1).await.unwrap();
        println!("read {} series x 2 points in {:?}", plan.series_len(), now() - started);
        assert_eq!(plan.series_len(), 2 * SERIES, "round {round}");
        assert_eq!(right_ticks(&mut reading, 2 * SERIES).len(), 2);
        assert_eq!(reading.warnings(), Vec::<String>::new());
    }
}

#[expect(clippy::disallowed_methods, reason = "measures how long real waiting takes")]
fn now() -> Instant {
    Instant::now()
}
