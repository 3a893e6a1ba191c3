//! Small fleets of plain series, and what happens to data on its way: artefacts, gaps, holidays,
//! clock changes, renamed and doubled series. What must not cause an alarm is tried on these.
//!
//! Every concern has a stream of chance of its own: a fleet with dirt is, to the bit, the fleet
//! without it plus the dirt, so that what the dirt caused can be counted.

use std::f64::consts::LN_2;
use std::ops::Range;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::noise::Dice;
use super::synthetic::season;
use crate::engine::alert::{Alert, State};
use crate::engine::grid::BLOCK;
use crate::engine::outcome::Silence;
use crate::engine::{Engine, Settings};
use crate::rules::{Budget, Role, Rules, Signal};
use crate::series::{Batch, Change, Labels, Sample, Series, Unanswered};
use crate::time::{Span, Timestamp};

/// Blocks of five minutes in a week.
pub const WEEK: usize = 2_016;
/// Blocks in a day.
pub const DAY: usize = 288;
/// Blocks in an hour.
pub const HOUR: usize = 12;

/// Height of the season in traffic, in log units per unit of [`season`]: a busy hour has about
/// three times the traffic of a quiet one.
const SEASON_HEIGHT: f64 = 0.25;
/// Share of requests that fail on a good day.
const ERRORS: f64 = 0.001;
/// Lag-1 autocorrelation of a block's noise.
const MEMORY: f64 = 0.6;

// Streams of chance; one per service is added.
const WEATHER: u64 = 1_000;
const ARTEFACTS: u64 = 2_000;
const STORM: u64 = 3_000;
const OLD: u64 = 4_000;

/// What a fleet is made from.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The same seed gives the same fleet, to the bit.
    pub seed: u64,
    /// How many services.
    pub services: usize,
    /// Weeks to learn from, and weeks to watch.
    pub weeks: [usize; 2],
    /// The first block.
    pub start: Timestamp,
    /// Whose wall clock people follow.
    pub zone: TimeZone,
    /// Requests a second of a service at its middle.
    pub traffic: f64,
    /// Notices a week that the user accepts; a quarter of them may interrupt.
    pub notices_per_week: f64,
    /// In these blocks traffic is multiplied, everywhere; what depends on load follows.
    pub moves: Vec<(Range<usize>, f64)>,
}

impl Plan {
    /// Six services for four weeks and two, from a Monday in January, in UTC.
    ///
    /// # Panics
    ///
    /// Never: the instant is written here.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            services: 6,
            weeks: [4, 2],
            // 2026-01-05T00:00:00Z
            start: Timestamp::from_secs(1_767_571_200),
            zone: TimeZone::UTC,
            traffic: 40.0,
            notices_per_week: 1.0,
            moves: Vec::new(),
        }
    }

    /// The first block that may alert.
    pub fn learned(&self) -> usize {
        self.weeks[0] * WEEK
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        (self.weeks[0] + self.weeks[1]) * WEEK
    }

    /// Simulates the fleet: per service traffic, latency, errors, processor and goodput.
    pub fn fleet(&self) -> Fleet {
        let signals = [
            ("traffic", Role::Traffic),
            ("latency", Role::Latency),
            ("errors", Role::Errors),
            ("cpu", Role::Cpu),
            ("goodput", Role::Goodput),
        ];
        let people = self.people();
        let lines = (0..self.services).flat_map(|service| {
            let name = format!("service-{service:02}");
            let values = self.service(service as u64, &people);
            signals.into_iter().zip(values).map(move |((signal, _), values)| {
                let series = Arc::new(Series::new(signal, &name, None, None, Labels::new()));
                Line { series, values }
            })
        });
        Fleet {
            plan: self.clone(),
            lines: lines.collect(),
            signals: signals.into_iter().map(|(name, role)| Signal::plain(name, role)).collect(),
            unasked: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Log traffic that people make, by block: their season by the wall clock, and the moves.
    fn people(&self) -> Vec<f64> {
        let season = season(self.seed);
        let mut people: Vec<f64> = (0..self.blocks())
            .map(|block| {
                let at = (self.start + BLOCK.times(i64::try_from(block).unwrap_or(0))).to_jiff();
                let local = self.zone.to_datetime(at);
                let day = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
                let hour = usize::try_from(local.hour()).unwrap_or(0);
                let minute = usize::try_from(local.minute()).unwrap_or(0);
                SEASON_HEIGHT * season[(day * 24 + hour) * 60 + minute]
            })
            .collect();
        for (blocks, factor) in &self.moves {
            people[blocks.clone()].iter_mut().for_each(|load| *load += factor.ln());
        }
        people
    }

    /// One service's series, in order of the signals.
    fn service(&self, service: u64, people: &[f64]) -> [Vec<f64>; 5] {
        let mut dice = Dice::new(self.seed, WEATHER + service);
        let level = self.traffic * dice.between(0.5, 2.0);
        let mut states = [0.0; 4];
        let mut wander = 0.0;
        let mut series: [Vec<f64>; 5] = Default::default();
        let slow = (-LN_2 / DAY as f64).exp();
        for &people in people {
            for state in &mut states {
                *state = MEMORY * *state + (1.0 - MEMORY * MEMORY).sqrt() * dice.t4();
            }
            wander = slow * wander + (1.0 - slow * slow).sqrt() * dice.normal();
            let load = people + 0.06 * states[0] + 0.03 * wander;
            let requests = level * load.exp();
            let failed = dice.count(requests * 300.0 * ERRORS) / (requests * 300.0);
            let latency = 0.1 * (0.15 * load + 0.08 * states[1] + 0.03 * wander).exp();
            let cpu = 0.3 * (0.8 * load + 0.05 * states[2]).exp();
            let goodput = requests * (1.0 - failed) * (0.01 * states[3]).exp();
            for (series, value) in series.iter_mut().zip([requests, latency, failed, cpu, goodput])
            {
                series.push(value);
            }
        }
        series
    }
}

/// One series of a fleet.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name.
    pub series: Arc<Series>,
    /// By block; NaN is missing.
    pub values: Vec<f64>,
}

/// What a source would tell of a fleet.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// What it was made from.
    pub plan: Plan,
    /// What is asked for.
    pub signals: Vec<Signal>,
    /// The answers.
    pub lines: Vec<Line>,
    /// Blocks in which the backend does not answer.
    pub unasked: Vec<Range<usize>>,
    /// Change events, by the block in which they become known.
    pub changes: Vec<(usize, Change)>,
}

/// What the engine made of a fleet.
#[derive(Clone, Debug, Default)]
pub struct Lived {
    /// Everything that was told.
    pub alerts: Vec<Alert>,
    /// Blocks in which the engine saw the whole fleet move with the calendar.
    pub calendar: Vec<usize>,
}

impl Lived {
    /// Incidents that opened, as service and time.
    pub fn incidents(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| alert.state == State::Firing)
    }

    /// How many incidents opened.
    pub fn count(&self) -> usize {
        self.incidents().count()
    }
}

impl Fleet {
    /// Lives through the fleet.
    pub fn live(&self) -> Lived {
        let notices_per_week = self.plan.notices_per_week;
        let budget = Budget { notices_per_week, alerts_per_week: notices_per_week / 4.0 };
        let rules = Rules { signals: self.signals.clone(), budget, ..Rules::default() };
        let settings = Settings {
            interval: BLOCK,
            history: Span::WEEK.times(4),
            timezone: self.plan.zone.clone(),
            alerts_from: self.at(self.plan.learned()),
            pages_url: None,
            source_url: None,
        };
        let mut engine = Engine::new(Arc::new(rules), settings);
        let mut lived = Lived::default();
        for block in 0..self.plan.blocks() {
            let outcome = engine.step(self.at(block), &self.batch(block));
            lived.alerts.extend(outcome.alerts);
            let mut silences = outcome.report.silences.iter();
            if silences.any(|(_, reason)| matches!(reason, Silence::Calendar { .. })) {
                lived.calendar.push(block);
            }
        }
        lived
    }

    /// When a block begins.
    pub fn at(&self, block: usize) -> Timestamp {
        self.plan.start + BLOCK.times(i64::try_from(block).unwrap_or(0))
    }

    /// What a source would tell at a block.
    pub fn batch(&self, block: usize) -> Batch {
        let mut batch = Batch { span: BLOCK, ..Batch::default() };
        let changes = self.changes.iter().filter(|(known, _)| *known == block);
        batch.changes = changes.map(|(_, change)| change.clone()).collect();
        if self.unasked.iter().any(|blocks| blocks.contains(&block)) {
            let unanswered = |signal: &Signal| Unanswered {
                signal: signal.name.clone(),
                reason: "connection refused".to_owned(),
            };
            batch.unanswered = self.signals.iter().map(unanswered).collect();
            return batch;
        }
        for line in &self.lines {
            let value = line.values[block];
            if value.is_finite() {
                batch.samples.push(Sample { series: line.series.clone(), value });
            }
        }
        for signal in self.signals.iter().filter(|signal| signal.min_traffic.is_some()) {
            let traffic = self.lines.iter().filter(|line| line.series.signal == "traffic");
            batch.traffic.extend(traffic.map(|line| {
                let series =
                    Series::new(&signal.name, &line.series.service, None, None, Labels::new());
                Sample { series: Arc::new(series), value: line.values[block] }
            }));
        }
        batch
    }

    /// The series of a signal, of all services or of one.
    pub fn lines_of<'a>(
        &'a mut self,
        signal: &'a str,
        service: Option<usize>,
    ) -> impl Iterator<Item = &'a mut Line> {
        let name = service.map(|service| format!("service-{service:02}"));
        self.lines.iter_mut().filter(move |line| {
            line.series.signal == signal
                && name.as_ref().is_none_or(|name| *name == line.series.service)
        })
    }

    /// Adds a series to a service; its signal must be among the signals.
    pub fn add(&mut self, signal: &str, service: usize, labels: &[(&str, &str)]) -> &mut Line {
        let labels: Labels = labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let name = format!("service-{service:02}");
        let series = Arc::new(Series::new(signal, &name, None, None, labels));
        self.lines.push(Line { series, values: vec![f64::NAN; self.plan.blocks()] });
        let last = self.lines.len() - 1;
        &mut self.lines[last]
    }
}

/// Three incidents per service in the weeks to learn from: latency and errors up for one to
/// eight hours.
#[must_use]
pub fn old_incidents(mut fleet: Fleet) -> Fleet {
    let (seed, learned) = (fleet.plan.seed, fleet.plan.learned());
    for service in 0..fleet.plan.services {
        let mut dice = Dice::new(seed, OLD + service as u64);
        for _ in 0..3 {
            let from = dice.index(learned - 8 * HOUR);
            let to = from + HOUR + dice.index(7 * HOUR);
            let height = dice.between(3.0, 10.0);
            for line in fleet.lines_of("latency", Some(service)) {
                line.values[from..to].iter_mut().for_each(|x| *x *= (0.08 * height).exp());
            }
            for line in fleet.lines_of("errors", Some(service)) {
                line.values[from..to].iter_mut().for_each(|x| *x += 0.01 * height);
            }
        }
    }
    fleet
}

/// Resets of counters, twice a week and service: for one block every rate is fifty times too
/// high or zero.
#[must_use]
pub fn counter_resets(mut fleet: Fleet) -> Fleet {
    let (seed, learned, blocks) = (fleet.plan.seed, fleet.plan.learned(), fleet.plan.blocks());
    for service in 0..fleet.plan.services {
        let mut dice = Dice::new(seed, ARTEFACTS + service as u64);
        for _ in 0..2 * fleet.plan.weeks[1] {
            let at = learned + dice.index(blocks - learned);
            let factor = if dice.chance(0.5) { 50.0 } else { 0.0 };
            for signal in ["traffic", "cpu", "goodput"] {
                for line in fleet.lines_of(signal, Some(service)) {
                    line.values[at] *= factor;
                }
            }
        }
    }
    fleet
}

/// Gaps of every kind in the weeks to watch: two days with a third of all values missing, the
/// backend away for two hours twice, a target that flaps for six hours per service, and a scrape
/// that fails at every full hour.
#[must_use]
pub fn nan_storm(mut fleet: Fleet) -> Fleet {
    let (seed, learned) = (fleet.plan.seed, fleet.plan.learned());
    let mut dice = Dice::new(seed, STORM);
    let storm = learned + dice.index(2 * DAY);
    for line in &mut fleet.lines {
        for value in &mut line.values[storm..storm + 2 * DAY] {
            if dice.chance(0.3) {
                *value = f64::NAN;
            }
        }
        line.values[learned..].iter_mut().step_by(HOUR).for_each(|value| *value = f64::NAN);
    }
    for day in [4, 5] {
        let from = learned + day * DAY + dice.index(DAY - 2 * HOUR);
        fleet.unasked.push(from..from + 2 * HOUR);
    }
    for service in 0..fleet.plan.services {
        let from = learned + 6 * DAY + dice.index(DAY / 2);
        for line in fleet.lines_of("latency", Some(service)) {
            for value in line.values[from..from + 6 * HOUR].chunks_mut(4) {
                value[..2].fill(f64::NAN);
            }
        }
    }
    fleet
}

/// A holiday on the second Wednesday that is watched: two fifths of the traffic stay away for a
/// day, and all that follows load follows.
#[must_use]
pub fn holiday(mut plan: Plan) -> Fleet {
    let from = plan.learned() + 2 * DAY;
    plan.moves.push((from..from + DAY, 0.6));
    plan.fleet()
}
