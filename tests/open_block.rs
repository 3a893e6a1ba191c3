//! What comes within a block: in any order, over restarts, and with peers that come and go, it is
//! the same block in the end.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "common/shared_archive.rs"]
mod shared_archive;

use std::collections::BTreeMap;
use std::sync::Arc;

use grayflag::engine::archive::{Archive as _, RUN_BLOCKS, run_of};
use grayflag::engine::grid::block_of;
use grayflag::engine::{Engine, Settings, snapshot};
use grayflag::rules::{MinTraffic, Role, Rules, Signal};
use grayflag::series::{Batch, Labels, Sample, Series, SeriesId};
use grayflag::stats::robust::median;
use grayflag::time::{Span, Timestamp};
use shared_archive::Shared;

const TICK: Span = Span::from_secs(30);
const TICKS_PER_BLOCK: i64 = 10;

fn start() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

fn rules() -> Arc<Rules> {
    let by_instance = |name: &str, role| {
        let peer = Some("instance".to_owned());
        Signal { peer, ..Signal::plain(name, role) }
    };
    let floor = MinTraffic { query: "traffic".to_owned(), at_least: 1.0 };
    let signals = vec![
        Signal::plain("traffic", Role::Traffic),
        by_instance("cpu", Role::Cpu),
        Signal { min_traffic: Some(floor), ..by_instance("p99", Role::Latency) },
    ];
    Arc::new(Rules { signals, ..Rules::default() })
}

fn settings() -> Settings {
    Settings {
        interval: TICK,
        history: Span::WEEK,
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: start(),
        pages_url: None,
        source_url: None,
    }
}

fn series(signal: &str, service: &str, instance: Option<i64>) -> Arc<Series> {
    let instance = instance.map(|n| format!("{service}-{n}"));
    let labels: Labels = instance.iter().map(|i| ("instance".to_owned(), i.clone())).collect();
    Arc::new(Series::new(signal, service, instance, None, labels))
}

/// A number in 0..1000 that is the same on every run.
fn number(tick: i64, salt: i64) -> i64 {
    (tick * 7_919 + salt * 104_729 + (tick ^ salt) * 1_299_709).rem_euclid(1_000)
}

/// Binds its rows to series once, as sources do.
#[derive(Default)]
struct Bound(BTreeMap<SeriesId, Arc<Series>>);

impl Bound {
    fn series(&mut self, signal: &str, service: &str, instance: Option<i64>) -> Arc<Series> {
        let series = series(signal, service, instance);
        Arc::clone(self.0.entry(series.id).or_insert(series))
    }
}

/// One tick of two services: scrapes that fail, a fourth instance that comes within a block and
/// goes again, calm stretches, what is no number, and rows that come twice.
fn batch(bound: &mut Bound, tick: i64) -> Batch {
    let mut batch = Batch { span: TICK, ..Batch::default() };
    for (service, salt) in [("web", 1), ("shop", 50)] {
        if number(tick, salt) < 900 {
            batch.traffic.push(Sample { series: bound.series("p99", service, None), value: 2.0 });
        }
        let mut push = |series, value| batch.samples.push(Sample { series, value });
        push(bound.series("traffic", service, None), number(tick, salt + 1) as f64);
        let instances = if (43..187).contains(&tick) { 4 } else { 3 };
        for (signal, salt) in [("cpu", salt + 10), ("p99", salt + 20)] {
            for n in (0..instances).filter(|n| number(tick, salt + n) >= 100) {
                let value = number(tick, salt + n) as f64 / 7.0;
                let value = if value > 140.0 { f64::INFINITY } else { value };
                push(bound.series(signal, service, Some(n)), value);
                if number(tick, salt + n) % 50 == 0 {
                    push(bound.series(signal, service, Some(n)), value);
                }
            }
        }
    }
    let turn = usize::try_from(number(tick / 25, 3)).unwrap() % batch.samples.len();
    batch.samples.rotate_left(turn);
    batch
}

/// The values of a series without its peers at a tick, a row that came twice once.
fn values(batch: &Batch, signal: &str, service: &str) -> Vec<f64> {
    let calm = !batch.traffic.iter().any(|sample| sample.series.service == service);
    let of = |sample: &&Sample| {
        let Series { signal: its, service: whose, .. } = &*sample.series;
        its == signal && whose == service && !(calm && signal == "p99")
    };
    let samples = batch.samples.iter().filter(of);
    let by_id: BTreeMap<SeriesId, f64> = samples.map(|s| (s.series.id, s.value)).collect();
    by_id.into_values().collect()
}

const SERIES: [(&str, &str); 6] = [
    ("traffic", "web"),
    ("cpu", "web"),
    ("p99", "web"),
    ("traffic", "shop"),
    ("cpu", "shop"),
    ("p99", "shop"),
];

#[test]
fn a_block_is_the_middle_of_its_ticks_and_a_tick_that_of_its_peers() {
    let archive = Shared::default();
    let mut engine = Engine::with_archive(rules(), settings(), Box::new(archive.clone()));
    let mut blocks: BTreeMap<(&str, &str, i64), Vec<f64>> = BTreeMap::new();
    let mut bound = Bound::default();
    for tick in 0..(RUN_BLOCKS + 1) * TICKS_PER_BLOCK {
        let (at, batch) = (start() + TICK.times(tick), batch(&mut bound, tick));
        let _ = engine.step(at, &batch);
        let mut newest: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for (signal, service) in SERIES {
            if let Some(value) = median(&mut values(&batch, signal, service)) {
                newest.insert((service, signal), value);
                let block = blocks.entry((signal, service, block_of(at))).or_default();
                #[expect(clippy::cast_possible_truncation, reason = "as the history does")]
                block.push(f64::from(value as f32));
            }
        }
        if tick >= TICKS_PER_BLOCK {
            let rows = engine.scores();
            let told =
                rows.iter().map(|row| ((&*row.series.service, &*row.series.signal), row.value));
            assert_eq!(told.collect::<BTreeMap<_, _>>(), newest, "tick {tick}");
        }
    }
    let first = block_of(start());
    for (signal, service) in SERIES {
        let id = series(signal, service, None).id;
        let runs = archive.runs(id, run_of(first)..run_of(first) + 1);
        for (value, block) in runs[0].1.into_iter().zip(first..) {
            let ticks = blocks.get_mut(&(signal, service, block)).unwrap();
            #[expect(clippy::cast_possible_truncation, reason = "as the history does")]
            let expected = median(ticks).unwrap() as f32;
            assert_eq!(value.to_bits(), expected.to_bits(), "{signal} of {service}, block {block}");
        }
    }
}

#[test]
fn neither_the_order_nor_a_restart_within_a_block_changes_a_byte() {
    let (mut whole, mut turned) =
        (Engine::new(rules(), settings()), Engine::new(rules(), settings()));
    let mut restarted = Engine::new(rules(), settings());
    let mut bound = Bound::default();
    for tick in 0..300 {
        let (at, batch) = (start() + TICK.times(tick), batch(&mut bound, tick));
        let mut reversed = batch.clone();
        reversed.samples.reverse();
        let outcome = whole.step(at, &batch);
        assert_eq!(outcome, turned.step(at, &reversed), "tick {tick}");
        assert_eq!(outcome, restarted.step(at, &batch), "tick {tick}");
        let bytes = whole.snapshot().unwrap();
        assert!(bytes == turned.snapshot().unwrap(), "in another order, tick {tick}");
        assert!(bytes == restarted.snapshot().unwrap(), "after a restart, tick {tick}");
        let overview = format!("{:?}", whole.overview());
        assert_eq!(overview, format!("{:?}", restarted.overview()), "tick {tick}");
        // Not before a first block closed: then services are told their series.
        if tick >= TICKS_PER_BLOCK && number(tick, 7) < 150 {
            let archive = Box::<grayflag::engine::archive::MemoryArchive>::default();
            restarted =
                Engine::restore(rules(), settings(), snapshot::VERSION, &bytes, archive).unwrap();
        }
    }
}
