//! The same history gives the same batches from every real backend that is installed.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "other tests start single servers")]
mod common;

use std::collections::BTreeMap;

use common::{History, Installed, Prometheus, Server, VictoriaMetrics};
use grayflag::changes::SeenChanges;
use grayflag::rules::{
    ChangeBy, ChangeRule, MinEffect, MinTraffic, Role, Rules, Scale, Signal, Worse,
};
use grayflag::series::ChangeKind;
use grayflag::source::{Config, Flavour, Prometheus as Source, ReadPlan, Reading};
use grayflag::time::{Span, Timestamp};

/// 2026-03-01T00:00:00Z.
const START: i64 = 1_772_323_200;
const STEP: i64 = 30;
const TICKS: i64 = 60;

fn signal(name: &str, query: &str) -> Signal {
    Signal {
        name: name.to_owned(),
        role: Role::Latency,
        query: query.to_owned(),
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

fn rules() -> Rules {
    let mut latency = signal("latency", "lab_latency");
    latency.peer = Some("instance".to_owned());
    latency.min_traffic =
        Some(MinTraffic { query: "sum by (service) (lab_rate)".to_owned(), at_least: 1.0 });
    let mut late = signal("late", "lab_latency{instance=\"b\"}");
    late.delay = Span::from_secs(90);
    let mut dependency = signal("dependency", "avg_over_time(lab_dependency[29s])");
    dependency.dependency = Some("server".to_owned());
    dependency.split = vec!["queue".to_owned()];
    let mut shared = signal("shared", "lab_latency");
    shared.worse = Worse::Down;
    let change = |query: &str, by| ChangeRule {
        kind: ChangeKind::Deploy,
        query: query.to_owned(),
        service: "service".to_owned(),
        by,
        lasts: None,
    };
    Rules {
        signals: vec![latency, late, dependency, shared, signal("none", "lab_none")],
        changes: vec![
            change("count by (service, version) (lab_info)", ChangeBy::Appears("version".into())),
            change("lab_deployed", ChangeBy::Timestamp),
            change("lab_flag", ChangeBy::Step),
        ],
        topology: Some("sum by (client, server) (lab_calls) > 0".to_owned()),
        ..Rules::default()
    }
}

fn latency_of(instance: &str, n: i64) -> f64 {
    let n = u32::try_from(n).unwrap();
    // Few digits: VictoriaMetrics keeps decimals, the last bits of a float may differ there.
    if instance == "a" { 0.25 + f64::from(n) } else { f64::from(n + 1) / 10.0 }
}

/// Every metric has a sample at every tick, so that no backend has to guess.
fn history() -> History {
    let grid = (START, STEP);
    let each = |f: &dyn Fn(i64) -> f64| (0..TICKS).map(f).collect::<Vec<f64>>();
    let from = |first: i64| move |n: i64| if n < first { f64::NAN } else { 1.0 };
    let deployed = |n: i64| (START + if n < 20 { -500 } else { 20 * STEP - 7 }) as f64;
    History::default()
        .series("lab_latency", r#"service="web",instance="a""#, grid, each(&|n| latency_of("a", n)))
        .series("lab_latency", r#"service="web",instance="b""#, grid, each(&|n| latency_of("b", n)))
        .series("lab_latency", r#"instance="nobody's""#, grid, each(&|_| 9.0))
        .series("lab_rate", r#"service="web",instance="a""#, grid, each(&|_| 1.5))
        .series("lab_rate", r#"service="web",instance="b""#, grid, each(&|_| 2.0))
        .series(
            "lab_dependency",
            r#"service="web",server="db",queue="é \"x\"""#,
            grid,
            each(&|n| n as f64),
        )
        .series("lab_info", r#"service="web",version="v1",instance="a""#, grid, each(&from(0)))
        .series("lab_info", r#"service="web",version="v2",instance="b""#, grid, each(&from(10)))
        .series("lab_deployed", r#"service="web""#, grid, each(&deployed))
        .series(
            "lab_flag",
            r#"service="web",flag="search""#,
            grid,
            each(&|n| if n < 30 { 0.0 } else { 1.0 }),
        )
        .series("lab_calls", r#"client="web",server="db""#, grid, each(&|_| 3.0))
        .series("lab_calls", r#"client="web",server="idle""#, grid, each(&|_| 0.0))
}

/// A server with a name to print.
async fn servers(history: &History) -> Vec<(String, Server)> {
    let mut servers = Vec::new();
    for installed in Installed::all() {
        let prometheus = Prometheus::start(&installed, &history.openmetrics(), &[]).await;
        let victoria = VictoriaMetrics::start_with(&installed, &history.prometheus_text()).await;
        servers.push((format!("{}prometheus", installed.name), prometheus));
        servers.push((format!("{}victoria-metrics", installed.name), victoria));
    }
    servers
}

fn tick(n: i64) -> Timestamp {
    Timestamp::from_secs(START + n * STEP)
}

async fn read(source: &Source, plan: &mut ReadPlan, from: i64, to: i64) -> Reading {
    source.read(plan, tick(from), tick(to), Span::from_secs(STEP)).await.unwrap()
}

/// Everything that a reading tells, as text: one line for each fact.
fn told(reading: &mut Reading, seen: &mut SeenChanges) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some((at, batch)) = reading.next_batch(seen) {
        let n = (at.as_secs() - START) / STEP;
        let mut of_tick = Vec::new();
        for sample in &batch.samples {
            of_tick.push(format!("{n} {} = {}", sample.series, sample.value));
        }
        for sample in &batch.traffic {
            of_tick.push(format!("{n} traffic {} = {}", sample.series, sample.value));
        }
        for change in &batch.changes {
            let at = change.at.as_secs() - START;
            of_tick
                .push(format!("{n} {} {} {} at +{at}", change.kind, change.service, change.what));
        }
        of_tick.extend(batch.calls.iter().map(|(from, to)| format!("{n} {from} calls {to}")));
        of_tick.extend(batch.unanswered.iter().map(|u| format!("{n} {u:?}")));
        of_tick.sort();
        lines.extend(of_tick);
    }
    lines
}

/// What the ticks from the start of the history on must tell, worked out from its formulas.
fn expected() -> Vec<String> {
    let mut lines = Vec::new();
    for n in 0..TICKS {
        let (a, b) = (latency_of("a", n), latency_of("b", n));
        let mut of_tick = vec![
            format!("{n} latency{{service=\"web\",instance=\"a\"}} = {a}"),
            format!("{n} latency{{service=\"web\",instance=\"b\"}} = {b}"),
            format!("{n} traffic latency{{service=\"web\"}} = 3.5"),
            format!("{n} shared{{service=\"web\"}} = {}", a.min(b)),
            format!("{n} dependency{{service=\"web\",queue={:?},server=\"db\"}} = {n}", "é \"x\""),
            format!("{n} web calls db"),
        ];
        if 3 <= n {
            of_tick.push(format!("{n} late{{service=\"web\"}} = {}", latency_of("b", n - 3)));
        }
        match n {
            10 => of_tick.push("10 deploy web v2 at +300".to_owned()),
            20 => of_tick.push("20 deploy web  at +593".to_owned()),
            30 => of_tick.push("30 deploy web search 0 → 1 at +900".to_owned()),
            _ => {}
        }
        of_tick.sort();
        lines.extend(of_tick);
    }
    lines
}

/// Shows the first difference and not a thousand lines.
fn assert_same(name: &str, told: &[String], expected: &[String]) {
    for (told, expected) in told.iter().zip(expected) {
        assert_eq!(told, expected, "{name}");
    }
    assert_eq!(told.len(), expected.len(), "{name}");
}

/// A range shorter than the distance of samples sees one of them: with 30s, Prometheus 2 would
/// see two and the others one.
#[tokio::test]
async fn the_same_history_gives_the_same_batches_everywhere() {
    let expected = expected();
    for (name, server) in servers(&history()).await {
        let mut config = Config::new(&server.url);
        let source = Source::new(config.clone()).unwrap();
        let flavour = source.flavour().await;
        println!("{name}: {flavour}");
        match flavour {
            Flavour::Prometheus(version) => {
                assert!(name.ends_with("prometheus") && version.contains('.'), "{version}");
            }
            Flavour::VictoriaMetrics { .. } => assert!(name.ends_with("victoria-metrics")),
            other => panic!("{name}: {other}"),
        }
        let mut plan = ReadPlan::new(&rules());
        let mut reading = read(&source, &mut plan, 0, TICKS - 1).await;
        let whole = told(&mut reading, &mut SeenChanges::default());
        assert_same(&name, &whole, &expected);
        let found: BTreeMap<&str, usize> = reading.series_by_signal().collect();
        assert_eq!((found["latency"], found["late"], found["none"]), (2, 1, 0));
        let warnings = reading.warnings().join("\n");
        assert!(warnings.contains("1 rows without the label `service` are left out"), "{warnings}");
        assert!(warnings.contains("signal `shared`: 1 rows fall on a series"), "{warnings}");
        assert!(warnings.contains("add `instance` to `split`"), "{warnings}");

        // Divided into requests of seven points, into readings of any length, uncompressed, and
        // with a plan that knows the series already: always the same.
        config.max_points_per_query = 7;
        config.gzip = false;
        let source = Source::new(config).unwrap();
        let (mut parts, mut seen) = (Vec::new(), SeenChanges::default());
        // Old VictoriaMetrics does not see a series' very first sample in a range of one instant.
        for (from, to) in [(0, 1), (2, 2), (3, 30), (31, 59)] {
            parts.extend(told(&mut read(&source, &mut plan, from, to).await, &mut seen));
        }
        assert_same(&name, &parts, &expected);
    }
}

/// Where backends differ on the same data: how long a value is repeated after its last sample.
/// Prometheus repeats it for five minutes, VictoriaMetrics for about one interval of the series.
/// Every one of them shows the gap in the end, and the truth on both sides of it.
#[tokio::test]
async fn a_hole_is_a_gap_everywhere_but_its_length_differs() {
    let hole = |n: i64| if (20..50).contains(&n) { f64::NAN } else { 1.0 };
    let history = History::default().series(
        "lab_latency",
        r#"service="web",instance="a""#,
        (START, STEP),
        (0..TICKS).map(hole),
    );
    let rules = Rules { signals: vec![signal("latency", "lab_latency")], ..Rules::default() };
    for (name, server) in servers(&history).await {
        let source = Source::new(Config::new(&server.url)).unwrap();
        let mut reading = read(&source, &mut ReadPlan::new(&rules), 0, TICKS - 1).await;
        let mut silent = Vec::new();
        let mut seen = SeenChanges::default();
        while let Some((at, batch)) = reading.next_batch(&mut seen) {
            assert!(batch.unanswered.is_empty());
            if batch.samples.is_empty() {
                silent.push((at.as_secs() - START) / STEP);
            }
        }
        println!("{name}: silent at ticks {:?}..={:?}", silent.first(), silent.last());
        let first = silent[0];
        assert_eq!(silent, (first..50).collect::<Vec<_>>(), "{name}");
        if name.ends_with("prometheus") {
            // Five minutes after tick 19; whether that instant still counts changed in version 3.
            assert!((29..=30).contains(&first), "{name}: {first}");
        } else {
            assert!((20..=24).contains(&first), "{name}: {first}");
        }
    }
}

/// By default VictoriaMetrics hides the last half minute and repeats older values there. New
/// versions are told not to; of old ones the source says how long to wait.
#[tokio::test]
async fn the_newest_sample_is_seen_as_soon_as_the_source_says() {
    const SECONDS: i64 = 60;
    for installed in Installed::all() {
        let server = VictoriaMetrics::start_with(&installed, "").await;
        let now = grayflag::clock::now().floor_to(Span::SECOND);
        let first = now - Span::from_secs(SECONDS);
        let labels = r#"service="web",instance="a""#;
        let values = (0..=SECONDS).map(|n| n as f64);
        let history =
            History::default().series("lab_latency", labels, (first.as_secs(), 1), values);
        server.import(&history.prometheus_text()).await;
        let rules = Rules { signals: vec![signal("latency", "lab_latency")], ..Rules::default() };
        let (mut plan, url) = (ReadPlan::new(&rules), server.url.clone());
        // As the daemon does it: in a task of its own.
        let reading = tokio::spawn(async move {
            let source = Source::new(Config::new(url)).unwrap();
            let settle = source.flavour().await.settle_min();
            let from = now - Span::from_secs(40);
            (settle, source.read(&mut plan, from, now, Span::SECOND).await.unwrap())
        });
        let (settle, mut reading) = reading.await.unwrap();
        println!("{}victoria-metrics hides {settle}", installed.name);
        let (mut seen, mut right) = (SeenChanges::default(), 0);
        while let Some((at, batch)) = reading.next_batch(&mut seen) {
            assert_eq!(batch.samples.len(), 1, "{at}");
            let (told, truth) = (batch.samples[0].value, (at - first).as_secs_f64());
            let is_right = told.to_string() == truth.to_string();
            // One second of margin for the clock that went on meanwhile.
            assert!(is_right || now - settle - Span::SECOND <= at, "{at}: {told}, not {truth}");
            right += usize::from(is_right);
        }
        // What is hidden is hidden for real: nobody is told to wait for nothing.
        assert_eq!(right == 41, settle == Span::ZERO, "{right}");
    }
}

#[tokio::test]
async fn a_query_that_is_wrong_is_unanswered_and_the_others_are_not() {
    let mut dear = signal("dear", "lab_latency{instance=\"a\"}");
    dear.min_traffic = Some(MinTraffic { query: "sum(lab_rate".to_owned(), at_least: 1.0 });
    let mut rules = Rules {
        signals: vec![signal("bad", "lab_latency{"), signal("good", "lab_latency"), dear],
        ..Rules::default()
    };
    rules.topology = Some("sum by (client) lab_calls)".to_owned());
    for (name, server) in servers(&history()).await {
        let source = Source::new(Config::new(&server.url)).unwrap();
        let mut reading = read(&source, &mut ReadPlan::new(&rules), 3, 4).await;
        let (at, batch) = reading.next_batch(&mut SeenChanges::default()).unwrap();
        assert_eq!(at, tick(3));
        let signals: Vec<&str> = batch.samples.iter().map(|s| s.series.signal.as_str()).collect();
        assert_eq!(signals, ["good"], "{name}");
        let unanswered: Vec<&str> = batch.unanswered.iter().map(|u| u.signal.as_str()).collect();
        assert_eq!(unanswered, ["bad", "dear"], "{name}");
        assert!(batch.unanswered[0].reason.starts_with("the backend refuses the query"));
        assert!(batch.unanswered[1].reason.starts_with("min_traffic of signal `dear`"));
        let warnings = reading.warnings().join("\n");
        assert!(warnings.contains("topology query: the backend refuses"), "{name}: {warnings}");
        let rows = source.query("sum by (service) (lab_rate)", tick(3)).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].labels["service"].as_str(), rows[0].value), ("web", 3.5));
        assert_eq!(source.query("lab_rate{", tick(3)).await.unwrap_err().class(), "bad_query");
    }
}

/// Backends that give fewer points at once are asked for less by itself.
#[tokio::test]
async fn more_points_than_a_backend_gives_are_asked_for_in_parts() {
    let rules = Rules { signals: vec![signal("latency", "lab_latency")], ..Rules::default() };
    for (name, server) in servers(&history()).await {
        let mut config = Config::new(&server.url);
        config.max_points_per_query = 40_000;
        let source = Source::new(config).unwrap();
        let mut plan = ReadPlan::new(&rules);
        let (from, to) = (tick(0) - Span::from_secs(40_000), tick(TICKS - 1));
        let mut reading = source.read(&mut plan, from, to, Span::SECOND).await.unwrap();
        let (mut ticks, mut silent, mut seen) = (0, 0, SeenChanges::default());
        while let Some((_, batch)) = reading.next_batch(&mut seen) {
            assert!(batch.unanswered.is_empty(), "{name}: {batch:?}");
            ticks += 1;
            silent += usize::from(batch.samples.is_empty());
        }
        assert_eq!(ticks, 40_000 + 59 * 30 + 1, "{name}");
        assert_eq!(silent, 40_000, "{name}");
    }
}
