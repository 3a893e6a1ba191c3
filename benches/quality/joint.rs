//! How early several weak signals of one service are seen together.

use grayflag::engine::Engine;
use grayflag::lab::synthetic::{self, WEEK_MINUTES};
use grayflag::rules::{Role, Scale, Signal, Worse};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal, StudentT};

use crate::Options;
use crate::delay::{bisect, delay, summary};
use crate::feed::{Batches, settings, time_of};
use crate::report::{Part, Table};
use crate::rivals::Judge;
use crate::sets::{Set, Subject, WEEK, plain_signal};
use crate::stream::{HORIZON, SHARE};
use crate::work::spread;

const SIGNALS: usize = 8;
/// Services, unless the command line wants another number of them.
const SERVICES: u64 = 48;
/// Weeks of history, and live ones.
const LEARN: usize = 4;
const LIVE: usize = 8;
/// Faults of each case per service.
const FAULTS: usize = 8;
/// How much of each signal the service's load explains, times 0.6 to 1.4.
const COMMON: f64 = 0.4;
/// Memory of the noise from minute to minute, and the level's wandering over a day.
const MEMORY: f64 = 0.6;
const WANDER: f64 = 0.3;
/// A ramp ends here.
const RAMP_MAX: f64 = 4.0;

/// So many of the signals shift, in units of a minute's noise.
#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    signals: usize,
    /// At once,
    step: f64,
    /// or so much an hour.
    ramp: f64,
    /// Each begins up to so many minutes later.
    stagger: usize,
    /// Hours in the study that came before: the same kind of data, all thresholds known.
    study: f64,
}

const fn case(name: &'static str, signals: usize, size: (f64, f64), study: f64) -> Case {
    Case { name, signals, step: size.0, ramp: size.1, stagger: 0, study }
}

const CASES: [Case; 8] = [
    case("1 of 8 by 1", 1, (1.0, 0.0), 3.2),
    case("3 of 8 by .5", 3, (0.5, 0.0), 8.7),
    case("3 of 8 by 1", 3, (1.0, 0.0), 1.2),
    case("6 of 8 by .5", 6, (0.5, 0.0), 2.2),
    case("6 of 8 by 1", 6, (1.0, 0.0), 0.7),
    Case { stagger: 60, ..case("4 of 8 by .75 within an hour", 4, (0.75, 0.0), 2.2) },
    case("4 of 8 by .2 an hour", 4, (0.0, 0.2), 4.2),
    case("4 of 8 by .05 an hour", 4, (0.0, 0.05), 11.6),
];

/// Noise with memory and heavy tails, and two levels that wander.
fn noise(dice: &mut ChaCha8Rng, minutes: usize, wander: f64) -> Vec<f64> {
    let heavy = StudentT::new(4.0).unwrap();
    let step = |state: f64, memory: f64, shock: f64| {
        memory * state + (1.0 - memory * memory).sqrt() * shock
    };
    let (day, hours) = ((-1.0_f64 / 1_440.0).exp(), (-1.0_f64 / 240.0).exp());
    let (mut fast, mut slow, mut medium) = (0.0, 0.0, 0.0);
    let mut values = Vec::with_capacity(minutes);
    for _ in 0..minutes {
        // Student's t with four degrees of freedom has a variance of 2.
        fast = step(fast, MEMORY, heavy.sample(dice) / 2.0_f64.sqrt());
        slow = step(slow, day, StandardNormal.sample(dice));
        medium = step(medium, hours, StandardNormal.sample(dice));
        values.push(fast + wander * (slow + 0.6 * medium));
    }
    values
}

/// Minutes of eight signals and, last, the traffic that explains what they have in common.
fn service(seed: u64) -> Vec<Vec<f64>> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let minutes = (LEARN + LIVE) * WEEK_MINUTES;
    let common = noise(&mut dice, minutes, WANDER);
    let mut all: Vec<Vec<f64>> = (0..SIGNALS as u64)
        .map(|signal| {
            let season = synthetic::season(seed * 100 + signal);
            let own = noise(&mut dice, minutes, WANDER);
            let share = (COMMON * dice.random_range(0.6..1.4)).min(0.95);
            let (apart, together) = ((1.0 - share).sqrt(), share.sqrt());
            let mut values: Vec<f64> = (0..minutes)
                .map(|i| season[i % WEEK_MINUTES] + apart * own[i] + together * common[i])
                .collect();
            soil(&mut values, &mut dice);
            values
        })
        .collect();
    let season = synthetic::season(seed * 100 + 99);
    let own = noise(&mut dice, minutes, 0.0);
    let traffic =
        (0..minutes).map(|i| season[i % WEEK_MINUTES] + 0.9 * common[i] + 0.19_f64.sqrt() * own[i]);
    all.push(traffic.collect());
    all
}

/// Spikes, two old incidents and missing minutes.
fn soil(values: &mut [f64], dice: &mut ChaCha8Rng) {
    for value in values.iter_mut() {
        if dice.random_bool(0.001) {
            *value += dice.random_range(4.0..12.0);
        }
    }
    for _ in 0..2 {
        let from = dice.random_range(0..LEARN * WEEK_MINUTES - 600);
        let (length, height) = (dice.random_range(60..480), dice.random_range(3.0..8.0));
        for value in &mut values[from..from + length] {
            *value += height;
        }
    }
    for value in values.iter_mut() {
        if dice.random_bool(0.01) {
            *value = f64::NAN;
        }
    }
}

fn blocks(minutes: &[f64]) -> Vec<f64> {
    let values: Vec<f64> = minutes.iter().map(|y| 100.0 * (SHARE * y).exp()).collect();
    synthetic::blocks(&values)
}

fn set(series: Vec<Vec<f64>>) -> Set {
    let named = |i: usize| plain_signal(&format!("signal-{i}"), Worse::Up, Scale::Log);
    let mut signals: Vec<Signal> = (0..SIGNALS).map(named).collect();
    let mut traffic = plain_signal("traffic", Worse::Either, Scale::Log);
    traffic.role = Role::Traffic;
    signals.push(traffic);
    let subject = Subject { name: "service".to_owned(), series, excused: Vec::new() };
    Set { name: "joint".to_owned(), signals, subjects: vec![subject], learn: LEARN * WEEK }
}

/// One service's path without faults, and one per case and fault.
struct Lived {
    quiet: Vec<f64>,
    faults: Vec<(usize, usize, Vec<f64>)>,
}

fn ratio(engine: &Engine) -> f64 {
    engine.standing("service").map_or(f64::NAN, |standing| standing.notice)
}

fn live(seed: u64) -> Lived {
    let minutes = service(seed);
    let ordinary = set(minutes.iter().map(|values| blocks(values)).collect());
    let batches = Batches::new(&ordinary);
    let mut engine = Engine::new(ordinary.rules(1.0), settings(&ordinary));
    let mut dice = ChaCha8Rng::seed_from_u64(seed + 5);
    let (first, last) = ((LEARN * 7 + 3) * 288, (LEARN + LIVE) * WEEK - HORIZON);
    let mut planned: Vec<(usize, usize)> = (0..CASES.len())
        .flat_map(|case| (0..FAULTS).map(move |_| case))
        .map(|case| (dice.random_range(first..last), case))
        .collect();
    planned.sort_unstable();
    let mut lived = Lived { quiet: Vec::new(), faults: Vec::new() };
    let mut next = planned.into_iter().peekable();
    for block in 0..(LEARN + LIVE) * WEEK {
        while let Some((at, case)) = next.next_if(|(at, _)| *at == block) {
            let path = fault(&engine, &minutes, at, (CASES[case], &mut dice));
            lived.faults.push((at - LEARN * WEEK, case, path));
        }
        let _ = engine.step(time_of(block), &batches.at(block));
        if LEARN * WEEK <= block {
            lived.quiet.push(ratio(&engine));
        }
    }
    lived
}

/// Three days of a fault, from a copy of the engine.
fn fault(
    engine: &Engine,
    minutes: &[Vec<f64>],
    at: usize,
    (case, dice): (Case, &mut ChaCha8Rng),
) -> Vec<f64> {
    let mut hit: Vec<usize> = (0..SIGNALS).collect();
    while hit.len() > case.signals {
        hit.remove(dice.random_range(0..hit.len()));
    }
    let from = 5 * at;
    let series = minutes.iter().enumerate().map(|(signal, values)| {
        let mut values = values[from..from + 5 * HORIZON].to_vec();
        if hit.contains(&signal) {
            let late = if case.stagger > 0 { dice.random_range(0..=case.stagger) } else { 0 };
            for (minute, value) in values.iter_mut().enumerate().skip(late) {
                *value += case.step + (case.ramp * (minute + 1) as f64 / 60.0).min(RAMP_MAX);
            }
        }
        blocks(&values)
    });
    let faulty = set(series.collect());
    let batches = Batches::new(&faulty);
    let mut engine = engine.branch();
    (0..HORIZON)
        .map(|block| {
            let now = time_of(at + block);
            let _ = engine.step(now, &batches.at(block));
            ratio(&engine)
        })
        .collect()
}

pub(crate) fn run(options: &Options) {
    let services = options.fleets.unwrap_or(SERVICES);
    let seeds: Vec<u64> = (options.seed..options.seed + services).collect();
    let lived = spread("joint", &seeds, |&seed| live(seed));
    let weeks = (seeds.len() * LIVE) as f64;
    let rate = |threshold: f64| {
        let alarms = |one: &Lived| Judge::Crossing.alarms(&one.quiet, threshold).len();
        lived.iter().map(alarms).sum::<usize>() as f64 / weeks
    };
    let threshold = bisect(1.0, rate);
    let mut part = Part::new("joint", "How early weak signals are seen together");
    part.prose = format!(
        "Services of {SIGNALS} signals that share a load of which the traffic is known, with old \
         incidents, spikes, gaps and a level that wanders. Some of the signals shift upwards, in \
         units of a minute's noise. {services} services, {FAULTS} faults of each case in each, \
         seeds from {}. The threshold is the engine's own times a factor at which the services \
         give 1 false alarm a week each ({threshold:.3}; without it they gave {:.2}). The last \
         column is what the study before this program measured on data of the same kind.",
        options.seed,
        rate(1.0)
    );
    let mut rows = Vec::new();
    for (place, case) in CASES.iter().enumerate() {
        let mut delays = Vec::new();
        for one in &lived {
            for (at, _, path) in one.faults.iter().filter(|fault| fault.1 == place) {
                delays.push(delay(Judge::Crossing, &one.quiet[..*at], path, threshold));
            }
        }
        let (hours, share) = summary(delays);
        if hours > case.study + 0.05 {
            part.caveats
                .push(format!("{}: {hours:.1} h, the study {:.1} h.", case.name, case.study));
        }
        rows.push(vec![
            case.name.to_owned(),
            format!("{hours:.1}"),
            format!("{:.0} %", 100.0 * share),
            format!("{:.1}", case.study),
        ]);
        if place == 3 {
            let what = "Hours until six of eight signals that rose by half their noise are seen";
            part.summary.push((what.to_owned(), format!("{hours:.1}")));
        }
    }
    part.tables.push(Table {
        id: "joint".to_owned(),
        title: "Median delay at 1 false alarm per service-week".to_owned(),
        header: ["case", "hours", "within a day", "study, hours"].map(str::to_owned).into(),
        rows,
        note: String::new(),
    });
    part.publish(options.tuning);
}
