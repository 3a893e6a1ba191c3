//! How early a drift of one series is seen, at equal realised false alarms.
//!
//! Every detector gets one threshold for all series of a set: the lowest at which it gives, on
//! the data without the added drifts, no more alarms than allowed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use grayflag::engine::Engine;
use grayflag::lab::synthetic::KINDS;
use grayflag::rules::Worse;

use crate::Options;
use crate::feed::{Batches, settings, time_of};
use crate::real;
use crate::report::{Part, Table};
use crate::rivals::{Judge, RIVALS, STUDY};
use crate::sets::{Set, Subject, WEEK, plain_signal};
use crate::stream::{HORIZON, HOUR, SHAPES, Shape, Stream};
use crate::work::spread;

/// False alarms a week and series.
pub(crate) const RATES: [f64; 2] = [1.0, 0.25];
/// Live weeks of a simulated series.
const WEEKS: usize = 8;
/// Simulated series of each kind.
const STREAMS: u64 = 24;
/// What we are called in tables.
pub(crate) const OURS: &str = "grayflag";
/// Not seen within the horizon.
const NEVER: f64 = 72.0;

/// Streams of one origin with the places at which drifts begin.
struct Field {
    name: &'static str,
    streams: Vec<(Stream, Vec<usize>)>,
}

/// What a detector made of one stream.
struct Lane {
    /// Per false-alarm rate: the path from the first live block on, without drifts.
    quiet: Vec<Vec<f64>>,
    /// Per rate, place and shape: the path from the place on.
    drifts: Vec<Vec<Vec<f64>>>,
}

/// One line of the result.
pub(crate) struct Line {
    pub(crate) detector: &'static str,
    pub(crate) rate: f64,
    pub(crate) threshold: f64,
    pub(crate) realised: f64,
    /// Per shape: median delay in hours, and the share seen within a day.
    pub(crate) delays: Vec<(f64, f64)>,
}

/// One stream as a set of its own.
fn alone(stream: &Stream) -> Set {
    let subject = Subject {
        name: "service".to_owned(),
        series: vec![stream.blocks()],
        excused: stream.excused.clone(),
    };
    Set {
        name: stream.name.clone(),
        signals: vec![plain_signal("value", Worse::Up, stream.scale)],
        subjects: vec![subject],
        learn: stream.learn,
    }
}

/// The real engine, all of it: block by block, with its refits. Its alert budget is a
/// quarter of its notice budget, so one life gives both rates.
fn ours(stream: &Stream, places: &[usize]) -> Lane {
    let set = alone(stream);
    let batches = Batches::new(&set);
    let mut engine = Engine::new(set.rules(RATES[0]), settings(&set));
    let mut lane = Lane { quiet: vec![Vec::new(); 2], drifts: vec![Vec::new(); 2] };
    for block in 0..stream.len() {
        if places.contains(&block) {
            for shape in SHAPES {
                let paths = drifting(&engine, stream, block, shape);
                for (drifts, path) in lane.drifts.iter_mut().zip(paths) {
                    drifts.push(path);
                }
            }
        }
        let _ = engine.step(time_of(block), &batches.at(block));
        if stream.learn <= block {
            for (path, ratio) in lane.quiet.iter_mut().zip(ratios(&engine)) {
                path.push(ratio);
            }
        }
    }
    lane
}

fn ratios(engine: &Engine) -> [f64; 2] {
    engine.standing("service").map_or([f64::NAN; 2], |s| [s.notice, s.alert])
}

/// Three days of a drift, from a copy of the engine as it was when the drift began.
fn drifting(engine: &Engine, stream: &Stream, at: usize, shape: Shape) -> [Vec<f64>; 2] {
    let set = alone(&stream.with(at, shape));
    let batches = Batches::new(&set);
    let mut engine = engine.branch();
    let mut paths = [Vec::new(), Vec::new()];
    for block in at..at + HORIZON {
        let _ = engine.step(time_of(block), &batches.at(block));
        for (path, ratio) in paths.iter_mut().zip(ratios(&engine)) {
            path.push(ratio);
        }
    }
    paths
}

/// A rival has one path whatever the rate.
fn theirs(path: fn(&Stream, usize) -> Vec<f64>, stream: &Stream, places: &[usize]) -> Lane {
    let drift = |at: usize, shape: Shape| path(&stream.with(at, shape), at);
    let drifts: Vec<Vec<f64>> =
        places.iter().flat_map(|&at| SHAPES.map(|shape| drift(at, shape))).collect();
    Lane { quiet: vec![path(stream, stream.learn)], drifts: vec![drifts] }
}

/// False alarms a week over all streams.
fn realised(field: &Field, lanes: &[Lane], rate: usize, judge: Judge, threshold: f64) -> f64 {
    let (mut alarms, mut blocks) = (0, 0);
    for ((stream, _), lane) in field.streams.iter().zip(lanes) {
        let path = &lane.quiet[rate.min(lane.quiet.len() - 1)];
        let counted = |&block: &usize| !stream.is_excused(stream.learn + block);
        alarms += judge.alarms(path, threshold).iter().filter(|block| counted(block)).count();
        blocks += (0..path.len()).filter(counted).count();
    }
    alarms as f64 / (blocks as f64 / WEEK as f64)
}

/// The lowest threshold with at most so many false alarms a week: bisection of its logarithm.
pub(crate) fn bisect(rate: f64, realised: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.01_f64, 10_000.0_f64);
    for _ in 0..26 {
        let middle = (low * high).sqrt();
        if realised(middle) > rate { low = middle } else { high = middle }
    }
    high
}

/// Hours until the first alarm that begins after the drift did. Who is in alarm already when it
/// begins has to end that first: the same for everyone.
pub(crate) fn delay(judge: Judge, quiet: &[f64], drift: &[f64], threshold: f64) -> f64 {
    let path = [quiet, drift].concat();
    let alarms = judge.alarms(&path, threshold);
    let first = alarms.into_iter().find(|&block| quiet.len() <= block);
    first.map_or(NEVER, |block| (block + 1 - quiet.len()) as f64 / HOUR)
}

/// Median, and the share within a day.
pub(crate) fn summary(mut delays: Vec<f64>) -> (f64, f64) {
    let soon = delays.iter().filter(|&&hours| hours <= 24.0).count() as f64;
    let share = soon / delays.len() as f64;
    (grayflag::stats::robust::median(&mut delays).unwrap_or(NEVER), share)
}

fn judged(field: &Field, lanes: &[Lane], detector: &'static str, judge: Judge) -> Vec<Line> {
    let rates: Vec<(usize, f64)> = RATES.into_iter().enumerate().collect();
    spread(detector, &rates, |&(place, rate)| {
        let threshold = bisect(rate, |h| realised(field, lanes, place, judge, h));
        let delays = (0..SHAPES.len()).map(|shape| {
            let mut delays = Vec::new();
            for ((stream, places), lane) in field.streams.iter().zip(lanes) {
                let quiet = &lane.quiet[place.min(lane.quiet.len() - 1)];
                let drifts = &lane.drifts[place.min(lane.drifts.len() - 1)];
                for (at, drift) in places.iter().zip(drifts.chunks(SHAPES.len())) {
                    let before = &quiet[..at - stream.learn];
                    delays.push(delay(judge, before, &drift[shape], threshold));
                }
            }
            summary(delays)
        });
        let delays = delays.collect();
        let realised = realised(field, lanes, place, judge, threshold);
        Line { detector, rate, threshold, realised, delays }
    })
}

fn compare(field: &Field) -> Vec<Line> {
    let label = |name: &str| format!("delay, {}, {name}", field.name);
    let lanes = spread(&label(OURS), &field.streams, |(s, places)| ours(s, places));
    let mut lines = judged(field, &lanes, OURS, Judge::Crossing);
    for rival in RIVALS.into_iter().chain([STUDY]) {
        let lanes =
            spread(&label(rival.name), &field.streams, |(s, places)| theirs(rival.path, s, places));
        lines.extend(judged(field, &lanes, rival.name, rival.judge));
    }
    lines
}

fn simulated(name: &'static str, seed: u64) -> Field {
    let kind = KINDS.into_iter().find(|kind| kind.name == name).unwrap();
    let seeds: Vec<u64> = (seed..seed + STREAMS).collect();
    let streams = spread(name, &seeds, |&seed| {
        let stream = Stream::simulated(kind, seed, WEEKS);
        let places = stream.places(seed, 4);
        (stream, places)
    });
    Field { name, streams }
}

/// The real series upwards; those that hardly ever leave their profile have no spread to
/// measure a drift in, and are left out.
fn real(options: &Options) -> Option<Field> {
    let set = real::asd_series(options.data.as_deref()?)?;
    let mut streams = Vec::new();
    for (subject, seed) in set.subjects.iter().zip(options.seed..) {
        let mut stream = Stream {
            name: subject.name.clone(),
            samples: subject.series[0].clone(),
            per_block: 1,
            learn: set.learn,
            scale: set.signals[0].scale,
            spread: 0.0,
            excused: subject.excused.clone(),
        };
        stream.measure();
        if stream.spread > 1e-9 {
            let places = stream.places(seed, 2);
            streams.push((stream, places));
        }
    }
    eprintln!("delay, asd: {} of {} series have a spread", streams.len(), set.subjects.len());
    Some(Field { name: "asd series", streams })
}

fn tables(name: &str, lines: &[Line]) -> Vec<Table> {
    let id = |rate: f64| format!("delay-{}-{rate}", name.replace([' ', '.'], ""));
    RATES
        .into_iter()
        .map(|rate| {
            let mut header = vec!["detector".to_owned(), "threshold".to_owned()];
            header.extend(["realised a week".to_owned()]);
            header.extend(SHAPES.map(Shape::name));
            let rows = lines.iter().filter(|line| line.rate.total_cmp(&rate).is_eq()).map(|line| {
                let mut row = vec![line.detector.to_owned(), format!("{:.3}", line.threshold)];
                row.push(format!("{:.2}", line.realised));
                let cell =
                    |(hours, share): &(f64, f64)| format!("{hours:.1} ({:.0} %)", 100.0 * share);
                row.extend(line.delays.iter().map(cell));
                row
            });
            let title = format!("{name}, at {rate} false alarms per series-week");
            Table { id: id(rate), title, header, rows: rows.collect(), note: String::new() }
        })
        .collect()
}

/// Where a rival was earlier, said plainly.
fn behind(name: &str, lines: &[Line]) -> Vec<String> {
    let mut said = Vec::new();
    for rate in RATES {
        let at_rate = |line: &&Line| line.rate.total_cmp(&rate).is_eq();
        let Some(ours) = lines.iter().find(|line| at_rate(line) && line.detector == OURS) else {
            continue;
        };
        for (place, shape) in SHAPES.into_iter().enumerate() {
            let best = lines
                .iter()
                .filter(at_rate)
                .min_by(|a, b| a.delays[place].0.total_cmp(&b.delays[place].0));
            let Some(best) = best.filter(|l| l.delays[place].0 < ours.delays[place].0) else {
                continue;
            };
            said.push(format!(
                "{name}, {rate} a week, {}: {} {:.1} h, we {:.1} h.",
                shape.name(),
                best.detector,
                best.delays[place].0,
                ours.delays[place].0
            ));
        }
    }
    said
}

fn summaries(name: &str, lines: &[Line]) -> Vec<(String, String)> {
    let weekly = lines.iter().filter(|line| line.rate.total_cmp(&RATES[0]).is_eq());
    let weekly = weekly.filter(|line| line.detector != STUDY.name);
    let mut by_name: BTreeMap<bool, f64> = BTreeMap::new();
    let place = SHAPES.iter().position(|shape| *shape == Shape::Ramp(0.5)).unwrap_or(0);
    for line in weekly {
        let hours = by_name.entry(line.detector == OURS).or_insert(f64::MAX);
        *hours = hours.min(line.delays[place].0);
    }
    let hours = |ours: bool| by_name.get(&ours).copied().unwrap_or(NEVER);
    let what = format!(
        "Hours until a drift of half a spread an hour is seen, {name}, 1 false \
                        alarm a week"
    );
    vec![(
        what,
        format!("{:.1}; the best of {} others {:.1}", hours(true), RIVALS.len(), hours(false)),
    )]
}

pub(crate) fn run(options: &Options) {
    let mut part = Part::new("delay", "How early a drift is seen");
    part.prose = prose(options);
    let mut fields: Vec<Field> =
        ["realistic .6", "realistic .9"].map(|name| simulated(name, options.seed)).into();
    match real(options) {
        Some(field) => fields.push(field),
        None => part.prose.push_str(
            "\nThe real set was not at hand in this run (`--data`); its earlier table is in the \
             folder.\n",
        ),
    }
    let mut behind_in = Vec::new();
    for field in &fields {
        let lines = compare(field);
        behind_in.extend(behind(field.name, &lines));
        part.summary.extend(summaries(field.name, &lines));
        part.pictures.push(crate::picture::delays(field.name, &lines));
        part.tables.extend(tables(field.name, &lines));
    }
    part.caveats = behind_in;
    part.publish(options.tuning);
}

fn prose(options: &Options) -> String {
    let mut text = format!(
        "Drifts are added to single series, in units of the spread of a five-minute value around \
         its weekly profile: ramps of so many spreads an hour, up to 6, and steps. Every detector \
         has one threshold for all series of a set, set so that on the same data without the \
         drifts it gives the stated false alarms and no more. A cell is the median of the hours until \
         an alarm begins, 72 if none does within three days, and the share seen within a day. \
         grayflag is the whole engine with its own refits, its own thresholds times the factor \
         in the table; rivals that learn do so weekly from four weeks.\n\n\
         Simulated: {STREAMS} series of each kind, four weeks of history with old incidents in \
         it, {WEEKS} live weeks, 4 drifts of each shape per series, seeds from {}. Real: the \
         metrics of six production servers (zhhlee/InterFusion@8c85d511), two weeks of history, \
         a month live, 2 drifts of each shape per series, labelled incidents excused with three \
         hours around; their drifts go up, and series that hardly ever leave their profile \
         are left out. Who is in alarm when a drift begins has to end that alarm first.\n\n",
        options.seed
    );
    for rival in RIVALS.into_iter().chain([STUDY]) {
        let _ = writeln!(text, "- {}: {}", rival.name, rival.source);
    }
    text
}
