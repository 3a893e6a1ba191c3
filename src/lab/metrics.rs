//! What the fleet's monitoring shows: gauges as recording rules over five minutes leave them,
//! with their noise, their gaps and their spikes.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use super::blueprint::{PAYMENTS_BANK, SPECS, Service};
use super::catalogue::{FIRST_METRICS, METRICS, Metric, Per, Seen, Thing};
use super::fleet::Fleet;
use super::noise::Dice;
use crate::series::Labels;
use crate::time::Span;

/// Series that one lab keeps. Only new versions add any, a few a week; beyond this number a new
/// version is not shown.
pub const SERIES_MAX: usize = 20_000;

/// Seconds that the recording rules look back.
const WINDOW: f64 = 300.0;
/// Share of scrapes that are missed.
const MISSED: f64 = 0.005;
/// Days between two longer gaps of one exporter, on average.
const GAP_DAYS: f64 = 14.0;
/// One in so many samples of a duration is an isolated spike.
const SPIKE_EVERY: f64 = 2_500.0;
/// Relative noise of a rate however many events it has.
const RATE_NOISE: f64 = 0.006;
/// Failures come in clusters: how far the rate of a count wanders, in log units.
const CLUSTERING: f64 = 0.25;

/// One series of the lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabSeries {
    /// Name of the metric.
    pub metric: &'static str,
    /// Its labels.
    pub labels: Labels,
}

impl fmt::Display for LabSeries {
    /// As PromQL and the exposition formats write it: `metric{a="b"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{{", self.metric)?;
        for (n, (name, value)) in self.labels.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            write!(f, "{comma}{name}=\"{value}\"")?;
        }
        f.write_str("}")
    }
}

/// What stands behind one series.
#[derive(Clone, Debug)]
struct Gauge {
    read: fn(&Fleet, usize, usize) -> Seen,
    a: usize,
    b: usize,
    service: usize,
    /// Which of the chances its noise is drawn from.
    chance: usize,
    /// Number of the exporter that shows it.
    exporter: usize,
    /// The mean of the truth over the rule's window; none before the first scrape.
    smooth: Option<f64>,
    /// Autocorrelated noise of variance 1: neighbouring windows overlap.
    noise: f64,
    /// Events and requests of the window's scrapes, newest last.
    window: VecDeque<(f64, f64)>,
}

/// How the scrape interval relates to the rules' window.
#[derive(Clone, Copy, Debug)]
struct Pace {
    seconds: f64,
    /// Scrapes in the window.
    scrapes: usize,
    /// Weight that the past keeps from scrape to scrape.
    keep: f64,
}

/// The fleet's exporters.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    series: Vec<LabSeries>,
    gauges: Vec<Gauge>,
    /// Series of a version, by service, instance and number.
    builds: BTreeMap<(usize, usize, u32), usize>,
    /// Seconds until each exporter answers again; not positive while it does.
    gaps: Vec<f64>,
    pace: Pace,
    /// For the exporters and the first series, and for those that came to the lab later: so that
    /// the noise of the first stays what it was.
    chances: [Chance; 2],
}

/// What measuring leaves to chance.
#[derive(Clone, Debug)]
struct Chance {
    /// One draw per exporter and series and scrape, whatever happens: the same with a fault and
    /// without.
    steady: Dice,
    /// As many draws as events and spikes need.
    eventful: Dice,
    /// Samples of durations until the next spike.
    spike_in: f64,
}

impl Metrics {
    /// Every series that exists from the start.
    pub(super) fn new(seed: u64, scrape: Span) -> Self {
        let seconds = scrape.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and 300"
        )]
        let scrapes = (WINDOW / seconds).round().clamp(1.0, WINDOW) as usize;
        let pace = Pace { seconds, scrapes, keep: (-seconds / (WINDOW / 2.0)).exp() };
        let chances = [Chance::new(seed, 5), Chance::new(seed, 9)];
        let exporters = SPECS.len() + SPECS.iter().map(|spec| spec.instances).sum::<usize>();
        let (mut series, mut gauges) = (Vec::new(), Vec::new());
        for (number, Metric { name, scope, read }) in METRICS.into_iter().enumerate() {
            for thing in scope.things() {
                let later = FIRST_METRICS <= number || thing.a == PAYMENTS_BANK && scope.is_calls();
                gauges.push(Gauge::new(read, &thing, usize::from(later)));
                series.push(LabSeries { metric: name, labels: thing.labels });
            }
        }
        let builds = BTreeMap::new();
        Self { series, gauges, builds, gaps: vec![0.0; exporters], pace, chances }
    }

    pub(super) fn series(&self) -> &[LabSeries] {
        &self.series
    }

    /// Scrapes every exporter that answers and starts the fleet's tallies anew.
    pub(super) fn scrape(
        &mut self,
        fleet: &mut Fleet,
        silent: Option<Service>,
    ) -> Vec<(usize, f64)> {
        let answers = self.answers();
        let mut samples = Vec::with_capacity(self.series.len());
        for (index, gauge) in self.gauges.iter_mut().enumerate() {
            // Noise goes on behind a gap, so that a gap elsewhere changes no later draw.
            let value = gauge.show(fleet, self.pace, &mut self.chances[gauge.chance]);
            let silenced = silent.is_some_and(|s| s as usize == gauge.service)
                && !matches!((gauge.read)(fleet, gauge.a, gauge.b), Seen::Known(_));
            let shown = answers[gauge.exporter] && !silenced;
            if let Some(value) = value
                && shown
            {
                samples.push((index, value));
            }
        }
        self.versions(fleet, &answers, silent, &mut samples);
        fleet.forget_tallies();
        samples
    }

    /// Which exporters answer this time.
    fn answers(&mut self) -> Vec<bool> {
        let (pace, dice) = (self.pace, &mut self.chances[0].steady);
        let rare = pace.seconds / (GAP_DAYS * 86_400.0);
        let mut answer = |gap: &mut f64| {
            *gap -= pace.seconds;
            let luck = dice.uniform();
            if luck < rare {
                // What is left of the luck sizes the gap: two to six minutes.
                *gap = 120.0 + 240.0 * luck / rare;
            }
            *gap <= 0.0 && luck < 1.0 - MISSED
        };
        self.gaps.iter_mut().map(&mut answer).collect()
    }

    /// One series per instance and version that it ever ran.
    fn versions(
        &mut self,
        fleet: &Fleet,
        answers: &[bool],
        silent: Option<Service>,
        samples: &mut Vec<(usize, f64)>,
    ) {
        for (service, tier) in fleet.tiers.iter().enumerate() {
            for (index, instance) in tier.instances.iter().enumerate() {
                let shown = answers[exporter(service, Some(index))]
                    && silent.map(|s| s as usize) != Some(service)
                    && instance.is_up();
                if !shown {
                    continue;
                }
                let key = (service, index, instance.version);
                let known = self.builds.get(&key).copied();
                let at = known.or_else(|| {
                    let number = self.series.len();
                    if number >= SERIES_MAX {
                        return None;
                    }
                    let version = format!("v{}", instance.version);
                    let labels =
                        Thing::new(service, Some(index), &[("version", version.as_str())]).labels;
                    self.series.push(LabSeries { metric: "lab_build_info", labels });
                    self.builds.insert(key, number);
                    Some(number)
                });
                samples.extend(at.map(|at| (at, 1.0)));
            }
        }
    }
}

/// Number of the exporter of a service's recording rules, or of one of its instances.
fn exporter(service: usize, instance: Option<usize>) -> usize {
    let before: usize = SPECS[..service].iter().map(|spec| spec.instances).sum();
    instance.map_or(service, |index| SPECS.len() + before + index)
}

impl Chance {
    /// From the given stream and the next.
    fn new(seed: u64, stream: u64) -> Self {
        let (steady, mut eventful) = (Dice::new(seed, stream), Dice::new(seed, stream + 1));
        let spike_in = eventful.exponential(SPIKE_EVERY);
        Self { steady, eventful, spike_in }
    }

    /// The factor of an isolated spike, nearly always 1.
    fn spike(&mut self) -> f64 {
        self.spike_in -= 1.0;
        if self.spike_in > 0.0 {
            return 1.0;
        }
        self.spike_in = self.eventful.exponential(SPIKE_EVERY);
        1.3 + 1.2 * self.eventful.uniform()
    }
}

impl Gauge {
    fn new(read: fn(&Fleet, usize, usize) -> Seen, thing: &Thing, chance: usize) -> Self {
        Self {
            read,
            a: thing.a,
            b: thing.b,
            service: thing.service,
            chance,
            exporter: exporter(thing.service, thing.instance),
            smooth: None,
            noise: 0.0,
            window: VecDeque::new(),
        }
    }

    /// The value at this scrape; none where there is nothing to show.
    fn show(&mut self, fleet: &Fleet, pace: Pace, chance: &mut Chance) -> Option<f64> {
        let fresh = (1.0 - pace.keep * pace.keep).sqrt();
        self.noise = pace.keep * self.noise + fresh * chance.steady.t4();
        match (self.read)(fleet, self.a, self.b) {
            Seen::Rate(value) => {
                let mean = self.smooth(value, pace);
                let sd = (1.0 / (mean * WINDOW).max(1.0).sqrt()).max(RATE_NOISE);
                Some(mean * (sd * self.noise).exp())
            }
            Seen::Level(value, sd) => Some(self.smooth(value, pace) * (sd * self.noise).exp()),
            Seen::Duration(value, sd) => {
                let spike = chance.spike();
                Some(self.smooth(value, pace) * (sd * self.noise).exp() * spike)
            }
            Seen::Share(value, sd) => {
                Some((self.smooth(value, pace) + sd * self.noise).clamp(0.0, 1.0))
            }
            Seen::Count(expected, per) => {
                // Restarts happen or not; everything else is a rate that chance thins.
                let events = if per == Per::Window {
                    expected
                } else {
                    chance.eventful.count(expected * (CLUSTERING * self.noise).exp())
                };
                self.count(events, per, pace)
            }
            Seen::Known(value) | Seen::Exact(value) => Some(value),
            Seen::Nothing => None,
        }
    }

    fn smooth(&mut self, value: f64, pace: Pace) -> f64 {
        let smooth = self.smooth.map_or(value, |old| value + pace.keep * (old - value));
        self.smooth = Some(smooth);
        smooth
    }

    fn count(&mut self, events: f64, per: Per, pace: Pace) -> Option<f64> {
        let requests = if let Per::Requests(n) = per { n } else { 0.0 };
        self.window.push_back((events, requests));
        if self.window.len() > pace.scrapes {
            self.window.pop_front();
        }
        let (events, requests) =
            self.window.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        match per {
            Per::Requests(_) => (requests > 0.0).then(|| (events / requests).min(1.0)),
            Per::Second => Some(events / (self.window.len() as f64 * pace.seconds)),
            Per::Window => Some(events),
        }
    }
}
