//! Time and memory per series and tick, beside what users would run instead.
//!
//! `cargo bench --bench cost` takes a few minutes and some gigabytes, and writes its section of
//! docs/quality.md; `cargo bench --bench cost -- 1000 100000` measures these numbers of series
//! only, and writes nothing.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed benchmark")]
#![expect(clippy::print_stdout, reason = "its output is its purpose")]
#![expect(clippy::print_stderr, reason = "progress of a run of minutes")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

#[path = "quality/report.rs"]
mod report;
#[path = "cost/rivals.rs"]
mod rivals;

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use grayflag::engine::archive::MemoryArchive;
use grayflag::engine::grid::BLOCK;
use grayflag::engine::{Engine, Settings, snapshot};
use grayflag::lab;
use grayflag::rules::{Role, Rules};
use grayflag::series::{Batch, Labels, Sample, Series};
use grayflag::store::Store;
use grayflag::time::{Span, Timestamp};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tempfile::TempDir;

use report::{Part, Table};

// SQLite allocates from C, which is not counted: what is counted is the engine's.
#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Series of a fleet, and hours of history that it learns from.
const SERIES: usize = 1_000;
const HISTORY: i64 = 28 * 24;
/// How many such fleets run side by side, and blocks that are measured: with those of the warm-up
/// fewer than a run of the archive, which copies would keep in memory.
const SIZES: [(usize, usize); 3] = [(1, 8), (100, 6), (1_000, 5)];
/// Blocks until copies of one state are out of step: some work is put off, by each series for
/// itself, and of a snapshot none is.
const WARM_UP: usize = 8;
const INTERVAL: Span = Span::from_secs(30);
const WEEK_BLOCKS: usize = 2_016;
/// Instances of a service, where a signal has them.
const INSTANCES: usize = 2;

/// A fleet of services that all have the signals of the lab, with values from a simple generator.
struct Fleet {
    engine: Engine,
    /// More engines in the same state.
    copies: Vec<Engine>,
    settings: Settings,
    /// Bytes that were allocated before the engine saw anything.
    before: usize,
    /// Where its archive is.
    folder: TempDir,
    batch: Batch,
    /// For each sample, its middle; zero for what is rare.
    middles: Vec<f64>,
    now: Timestamp,
    services: usize,
    state: u64,
}

/// What was measured, in nanoseconds and bytes per series.
struct Measured {
    series: usize,
    within: f64,
    closing: f64,
    bytes: f64,
}

/// What learning takes, from the one fleet that has its archive.
struct Learning {
    /// One refit, nanoseconds per series.
    refit: f64,
    /// Refits and writing to the archive over a week, per tick.
    week: f64,
    /// Bytes of the archive.
    archive: f64,
}

impl Measured {
    /// The mean of a block's ticks.
    fn mean(&self) -> f64 {
        ((ticks() - 1.0) * self.within + self.closing) / ticks()
    }
}

/// Ticks in a block.
fn ticks() -> f64 {
    BLOCK.as_secs_f64() / INTERVAL.as_secs_f64()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted: Vec<usize> = arguments.iter().filter_map(|a| a.parse().ok()).collect();
    let rivals = rivals::measure();
    let mut fleet = Fleet::new(SERIES, HISTORY);
    for _ in 1..HISTORY * 12 {
        fleet.step(BLOCK);
    }
    // The last block of the history: everything is learned when it closes.
    let refit = fleet.step(BLOCK) * 1e9 / fleet.series() as f64;
    let archive = fleet.stored() / fleet.series() as f64;
    let (_, services, judged) = fleet.engine.census();
    assert_eq!(services, judged, "what is not judged costs too little");
    let mut measured = Vec::new();
    for (fleets, blocks) in SIZES {
        if wanted.is_empty() || wanted.contains(&(fleets * SERIES)) {
            let started = Instant::now();
            fleet.multiply(fleets);
            measured.push(measure(&mut fleet, blocks));
            let seconds = started.elapsed().as_secs_f64();
            eprintln!("cost: {fleets} fleets of {} series, {seconds:.0} s", fleet.series());
        }
    }
    fleet.copies.clear();
    let closing = measure(&mut fleet, SIZES[0].1).closing;
    let learning = Learning { refit: refit - closing, week: week(&mut fleet, closing), archive };
    let mut part = Part::new("cost", "What it costs");
    PROSE.clone_into(&mut part.prose);
    part.tables = vec![table(&measured, &learning), others(&rivals, &measured, &learning)];
    part.caveats = caveats(&rivals, &measured, &learning);
    part.summary = summary(&rivals, &measured, &learning);
    part.publish(!wanted.is_empty());
}

const PROSE: &str = "A fleet of a thousand series: services with all signals of the lab, two \
    instances where a signal has them, four weeks of history, at 30 s in one thread. Larger \
    numbers are so many copies of the learned engine side by side in one process, out of step \
    after forty minutes and each fed every tick: none is in the processor's caches when its turn \
    comes, but no list is longer than in one fleet. A tick within a block sorts values in; the \
    tick that closes a block of five minutes judges every series. Times are the quickest of some \
    blocks, because whatever else the machine did is not ours, and machines differ: compare within \
    the table. Not in them is what happens once an hour: a look at the next hour of each profile, \
    and at who is due for a refit. Memory is what the allocator was asked for, without the weeks \
    of history, which lie in an archive on the disk; that is the size of its file.\n";

fn measure(fleet: &mut Fleet, blocks: usize) -> Measured {
    let series = fleet.series() * (1 + fleet.copies.len());
    let per_series = 1e9 / series as f64;
    let (mut within, mut closing) = (f64::INFINITY, f64::INFINITY);
    let ticks = BLOCK.as_millis() / INTERVAL.as_millis();
    for _ in 0..blocks {
        for tick in 1..=ticks {
            let taken = fleet.step(INTERVAL) * per_series;
            let quickest = if tick < ticks { &mut within } else { &mut closing };
            *quickest = quickest.min(taken);
        }
    }
    assert!(fleet.engine.archive_problem().is_none());
    let bytes = (allocated() - fleet.before) as f64 / series as f64;
    Measured { series, within, closing, bytes }
}

/// Lives a week block by block; what refits and the archive take of it, in nanoseconds per series
/// and tick.
fn week(fleet: &mut Fleet, closing: f64) -> f64 {
    let seconds: f64 = (0..WEEK_BLOCKS).map(|_| fleet.step(BLOCK)).sum();
    let all = seconds * 1e9 / fleet.series() as f64 / WEEK_BLOCKS as f64;
    (all - closing).max(0.0) / ticks()
}

fn table(measured: &[Measured], learning: &Learning) -> Table {
    let header = [
        "series",
        "tick within a block, ns",
        "tick that closes one, ns",
        "mean at 30 s, ns",
        "refits and archive, ns",
        "one refit, µs",
        "bytes in memory",
        "bytes on disk",
    ];
    let row = |m: &Measured| {
        vec![
            m.series.to_string(),
            format!("{:.1}", m.within),
            format!("{:.0}", m.closing),
            format!("{:.0}", m.mean()),
            format!("{:.0}", learning.week),
            format!("{:.0}", learning.refit / 1e3),
            format!("{:.0}", m.bytes),
            format!("{:.0}", learning.archive),
        ]
    };
    Table {
        id: "cost".to_owned(),
        title: "Per series".to_owned(),
        header: header.map(str::to_owned).into(),
        rows: measured.iter().map(row).collect(),
        note: "Refits and archive: what a simulated week of one fleet took beyond judging its \
               blocks, spread over its ticks; it and the disk were measured on one fleet and are the \
               same in all rows."
            .to_owned(),
    }
}

type Rivals = [(&'static str, f64)];

/// Everything that a series costs at a tick, over what a rival costs.
fn ratio(m: &Measured, learning: &Learning, rival: f64) -> f64 {
    (m.mean() + learning.week) / rival
}

fn others(rivals: &Rivals, measured: &[Measured], learning: &Learning) -> Table {
    let mut header = vec!["rule".to_owned(), "ns per series and tick".to_owned()];
    header.extend(measured.iter().map(|m| format!("ours over it, {} series", m.series)));
    let row = |(name, ns): &(&str, f64)| {
        let mut row = vec![(*name).to_owned(), format!("{ns:.0}")];
        row.extend(measured.iter().map(|m| format!("{:.3}", ratio(m, learning, *ns))));
        row
    };
    Table {
        id: "cost-others".to_owned(),
        title: "What users would run instead".to_owned(),
        header,
        rows: rivals.iter().map(row).collect(),
        note: "Evaluated at every tick over their windows, as a rule engine does, in the same \
               program; reading and decoding the samples is left out, to their favour. Ours is the \
               mean tick with refits and archive."
            .to_owned(),
    }
}

fn caveats(rivals: &Rivals, measured: &[Measured], learning: &Learning) -> Vec<String> {
    let mut said = Vec::new();
    for m in measured {
        for (name, ns) in rivals {
            let ratio = ratio(m, learning, *ns);
            if ratio > 1.0 {
                said.push(format!("{} series: {ratio:.1} times the time of {name}.", m.series));
            }
        }
    }
    said
}

fn summary(rivals: &Rivals, measured: &[Measured], learning: &Learning) -> Vec<(String, String)> {
    let sizes: Vec<String> = measured.iter().map(|m| m.series.to_string()).collect();
    let list = |value: &dyn Fn(&Measured) -> f64| {
        let values: Vec<String> = measured.iter().map(|m| format!("{:.0}", value(m))).collect();
        values.join(", ")
    };
    let others: Vec<String> = rivals.iter().map(|(name, ns)| format!("{name} {ns:.0}")).collect();
    let all = |m: &Measured| m.mean() + learning.week;
    let sizes = sizes.join(", ");
    vec![
        (
            format!("Nanoseconds per series and tick at 30 s, refits included, {sizes} series"),
            format!("{}; {}", list(&all), others.join(", ")),
        ),
        (
            format!("Bytes in memory per series, {sizes} series"),
            format!("{}; {:.0} on disk for four weeks", list(&|m| m.bytes), learning.archive),
        ),
    ]
}

impl Fleet {
    fn new(series: usize, hours: i64) -> Self {
        let rules = Arc::new(lab::rules().map_err(|problems| problems.render(false)).unwrap());
        let now: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        let settings = Settings {
            interval: INTERVAL,
            history: Span::HOUR.times(hours),
            timezone: jiff::tz::TimeZone::UTC,
            alerts_from: now + Span::HOUR.times(hours),
            pages_url: None,
            source_url: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let archive = Box::new(store.archive().unwrap());
        let mut fleet = Self {
            engine: Engine::with_archive(rules.clone(), settings.clone(), archive),
            copies: Vec::new(),
            settings,
            before: 0,
            folder,
            batch: Batch::default(),
            middles: Vec::new(),
            now,
            services: 0,
            state: 1,
        };
        while fleet.batch.samples.len() < series {
            fleet.add(&rules, &format!("service-{:06}", fleet.services));
            fleet.services += 1;
        }
        fleet.before = allocated();
        fleet
    }

    fn add(&mut self, rules: &Rules, service: &str) {
        for signal in rules.signals.iter().filter(|signal| signal.role != Role::Version) {
            let rare = matches!(signal.role, Role::Restarts | Role::Throttled | Role::Conflicts);
            let middle = if rare { 0.0 } else { 0.05 + 0.4 * self.uniform() };
            let peers = if signal.peer.is_some() { INSTANCES } else { 1 };
            for n in 0..peers {
                let mut labels = Labels::new();
                let peer =
                    signal.peer.as_ref().map(|label| (label.clone(), format!("{service}-{n}")));
                labels.extend(peer.clone());
                let series = Series::new(&signal.name, service, peer.map(|p| p.1), None, labels);
                self.batch.samples.push(Sample { series: Arc::new(series), value: middle });
                self.middles.push(middle);
            }
            if signal.min_traffic.is_some() {
                let series = Series::new(&signal.name, service, None, None, Labels::new());
                self.batch.traffic.push(Sample { series: Arc::new(series), value: 100.0 });
            }
        }
    }

    /// Series of one engine.
    fn series(&self) -> usize {
        self.batch.samples.len()
    }

    /// So many engines in the same state. The copies have no archive: they do not live long
    /// enough to learn from it.
    fn multiply(&mut self, fleets: usize) {
        let bytes = self.engine.snapshot().unwrap();
        self.copies.clear();
        for _ in 1..fleets {
            let (rules, settings) = (self.engine.rules().clone(), self.settings.clone());
            let archive = Box::<MemoryArchive>::default();
            let copy = Engine::restore(rules, settings, snapshot::VERSION, &bytes, archive);
            self.copies.push(copy.unwrap());
        }
        let blocks = if fleets > 1 { WARM_UP } else { 0 };
        for _ in 0..blocks {
            self.step(BLOCK);
        }
    }

    /// One tick; how many seconds the engines took.
    fn step(&mut self, span: Span) -> f64 {
        for place in 0..self.middles.len() {
            let (luck, middle) = (self.uniform(), self.middles[place]);
            let rare = if luck < 0.02 { 1.0 } else { 0.0 };
            self.batch.samples[place].value =
                if middle > 0.0 { middle * (0.9 + 0.2 * luck) } else { rare };
        }
        self.batch.span = span;
        let started = Instant::now();
        for engine in std::iter::once(&mut self.engine).chain(&mut self.copies) {
            let _ = black_box(engine.step(self.now, black_box(&self.batch)));
        }
        let seconds = started.elapsed().as_secs_f64();
        self.now = self.now + span;
        seconds
    }

    /// Bytes of the archive's files.
    fn stored(&self) -> f64 {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len() as f64).sum()
    }

    /// A number in [0, 1): Knuth's linear congruential generator.
    fn uniform(&mut self) -> f64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Bytes that are allocated now.
fn allocated() -> usize {
    let stats = COUNTED.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}
