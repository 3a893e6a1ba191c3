//! One service: its thresholds, its statistic at the newest block, and what it may still spend.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::engine::baseline::{self, Fitted, Load, Residual};
use crate::engine::detect::absence::{self, Presence};
use crate::engine::detect::budget::{Calibration, Limits, TokenBucket};
use crate::engine::detect::drift::Drift;
use crate::engine::detect::statistic::{Families, Statistic};
use crate::engine::grid::PER_DAY;
use crate::engine::track::Tracked;
use crate::rules::{Budget, Role, Rules, Signal};
use crate::series::SeriesId;
use crate::stats::ewma::{HALF_LIVES, SCALES};
use crate::stats::robust::{median, quantile, sort_finite};

/// A series and a service need a day of blocks before they are judged.
pub const HISTORY_MIN_BLOCKS: i64 = PER_DAY;
/// The first two days of a replay still remember how it was started (METHODS 2.5).
const REPLAY_WARM_UP: usize = 576;
/// Alarm episodes remembered for masking, per service.
const EPISODES_MAX: usize = 64;
/// Users notice when a value is this far above the 99.9th percentile of the history, where the
/// user set no objective.
const LEARNED_OBJECTIVE_FACTOR: f64 = 1.5;
/// Traffic above this share of its history is at its usual highs.
const USUAL_HIGH: f64 = 0.97;
/// A failed share below half a percent is not called noticeable unless the user says so.
const LEARNED_ERRORS_MIN: f64 = 0.005;

/// State of one service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Service {
    /// Places of its series in the tracks.
    #[serde(skip)]
    pub members: Vec<usize>,
    /// Heights its statistics reach on normal days; none while it is too young.
    pub calibration: Option<Calibration>,
    /// The newest block's statistic.
    #[serde(skip)]
    pub statistic: Option<Statistic>,
    /// What is there of its series.
    #[serde(skip)]
    pub presence: Presence,
    /// What may still interrupt a person.
    pub bucket: TokenBucket,
    /// Blocks spent in alarm, masked out of every fit (METHODS 8.1).
    pub episodes: VecDeque<(i64, i64)>,
    /// Levels from which users notice, learned from history.
    pub learned_objectives: BTreeMap<SeriesId, f64>,
    /// The series that stands for the service's load.
    traffic: Option<Traffic>,
}

impl Service {
    /// A service that has just appeared.
    pub fn new(budget: &Budget) -> Self {
        Self {
            members: Vec::new(),
            calibration: None,
            statistic: None,
            presence: Presence::default(),
            bucket: TokenBucket::full(budget.alerts_per_week),
            episodes: VecDeque::new(),
            learned_objectives: BTreeMap::new(),
            traffic: None,
        }
    }

    /// Thresholds for a rate of false alarms a week; none while the service is too young.
    pub fn limits(&self, per_week: f64) -> Option<Limits> {
        self.calibration.as_ref().map(|c| c.limits(per_week))
    }

    /// Remembers that `from..=to` was an alarm, so that no fit takes it for normal.
    pub fn remember_episode(&mut self, from: i64, to: i64) {
        match self.episodes.back_mut() {
            Some(last) if from <= last.1 + 1 => *last = (last.0.min(from), last.1.max(to)),
            _ => self.episodes.push_back((from, to)),
        }
        while self.episodes.len() > EPISODES_MAX {
            self.episodes.pop_front();
        }
    }

    /// Learns the service anew from the blocks `window.from..window.to` of its series.
    pub fn learn(&mut self, tracks: &mut [Tracked], signals: &[Signal], window: &Window<'_>) {
        let before = self.traffic;
        let load = self.learn_load(tracks, signals, window);
        self.traffic = self.traffic.or(before);
        let load = load.as_ref().unwrap_or(&window.no_load);
        let mut paths: Vec<(usize, Vec<Option<[f64; SCALES]>>)> = Vec::new();
        let members = self.members.iter().map(|&place| tracks[place].series.id);
        let members: BTreeSet<SeriesId> = members.collect();
        self.learned_objectives.retain(|series, _| members.contains(series));
        for &place in &self.members {
            let tracked = &mut tracks[place];
            let signal = &signals[tracked.signal];
            let values = self.masked(tracked, window);
            let own_load = if tracked.role == Role::Traffic { &window.no_load } else { load };
            if !is_enough(&values) {
                // Masked and not missing: what was learned before the incident still holds, or
                // one that lasts for weeks could never be seen to end.
                if !is_enough(&tracked.history.window(window.from, window.to)) {
                    tracked.baseline = None;
                }
                continue;
            }
            if let Some(level) = learned_objective(tracked.role, &values) {
                self.learned_objectives.insert(tracked.series.id, level);
            }
            let Some(fitted) = baseline::fit(signal, &values, window.slots, own_load) else {
                tracked.baseline = None;
                continue;
            };
            let path = replay(tracked, signal, &fitted, window.from);
            tracked.baseline = Some(fitted.baseline);
            if !tracked.role.is_context() {
                paths.push((place, path));
            }
        }
        self.calibration = calibrate(tracks, &paths).or_else(|| self.calibration.take());
    }

    /// Fits the service's traffic first, since everything else is judged given the load. Where
    /// several series say traffic, the largest stands for all.
    fn learn_load(
        &mut self,
        tracks: &[Tracked],
        signals: &[Signal],
        window: &Window<'_>,
    ) -> Option<Vec<Load>> {
        self.traffic = None;
        let candidates = self.members.iter().map(|&place| &tracks[place]);
        let (tracked, values, middle) = candidates
            .filter(|tracked| tracked.role == Role::Traffic)
            .filter_map(|tracked| {
                let values = self.masked(tracked, window);
                let middle = median(&mut values.clone())?;
                Some((tracked, values, middle))
            })
            .max_by(|a, b| a.2.total_cmp(&b.2).then_with(|| b.0.series.cmp(&a.0.series)))?;
        let signal = &signals[tracked.signal];
        let fitted = baseline::fit(signal, &values, window.slots, &window.no_load)?;
        let high = quantile(sort_finite(&mut values.clone()), USUAL_HIGH)?.max(middle);
        self.traffic = Some(Traffic { series: tracked.series.id, middle, high });
        let load =
            |(&value, residual): (&f64, &Option<Residual>)| load_from(value, *residual, middle);
        Some(values.iter().zip(&fitted.residuals).map(load).collect())
    }

    /// The window's values with alarm episodes taken out.
    fn masked(&self, tracked: &Tracked, window: &Window<'_>) -> Vec<f64> {
        let mut values = tracked.history.window(window.from, window.to);
        for &(from, to) in &self.episodes {
            for block in from.max(window.from)..=to.min(window.to - 1) {
                if let Ok(i) = usize::try_from(block - window.from) {
                    values[i] = f64::NAN;
                }
            }
        }
        values
    }

    /// Takes in one closed block: residuals, scores, the service's statistic.
    pub fn update(&mut self, tracks: &mut [Tracked], rules: &Rules, block: i64, slot: u16) {
        let load = self.load_at(tracks, block, slot);
        for &place in &self.members {
            let own_load = if tracks[place].role == Role::Traffic { Load::USUAL } else { load };
            judge(&mut tracks[place], block, slot, own_load);
        }
        let mut families = Families::new();
        for tracked in self.members.iter().map(|&place| &tracks[place]) {
            let signal = &rules.signals[tracked.signal];
            if let Some(scores) = vote(tracked, signal, slot, load) {
                families.vote(tracked.family(), scores);
            }
        }
        self.statistic = families.statistic();
        let members = self.members.iter().map(|&place| &tracks[place]);
        let asked = members.filter(|tracked| !tracked.unasked && lasts(tracked.role));
        self.presence = absence::presence(asked.map(|tracked| &tracked.history), block);
        self.bucket.refill(rules.budget.alerts_per_week);
    }

    /// Whether a silence of this service that began at `since` is over at `block`.
    pub fn is_back(&self, tracks: &[Tracked], since: i64, block: i64) -> bool {
        let members = self.members.iter().map(|&place| &tracks[place]);
        let lasting = members.filter(|tracked| lasts(tracked.role));
        absence::is_back(lasting.map(|t| (&t.history, !t.unasked)), since, block)
    }

    /// The series that a silence which began at `since` took and that are still missing
    /// at `block`: one that was replaced before has not fallen silent.
    pub fn silenced<'a>(
        &'a self,
        tracks: &'a [Tracked],
        since: i64,
        block: i64,
    ) -> impl Iterator<Item = &'a Tracked> {
        self.members.iter().map(|&place| &tracks[place]).filter(move |tracked| {
            lasts(tracked.role)
                && tracked.history.at(block).is_nan()
                && absence::reported_before(&tracked.history, since)
        })
    }

    /// An incident is over: what moves from now on is another, with an onset of its own.
    pub fn forget_onsets(&self, tracks: &mut [Tracked]) {
        for &place in &self.members {
            tracks[place].drift.forget_onset();
        }
    }

    /// What the service's traffic does at a block.
    pub fn load_at(&self, tracks: &[Tracked], block: i64, slot: u16) -> Load {
        let Some((traffic, tracked)) = self.traffic_series(tracks) else { return Load::USUAL };
        let value = tracked.history.at(block);
        match &tracked.baseline {
            Some(baseline) if value.is_finite() => {
                load_from(value, baseline.residual(value, slot, Load::USUAL), traffic.middle)
            }
            _ => Load::USUAL,
        }
    }

    /// What is expected of one of the service's series at a block, in the series' own unit.
    pub fn expected(&self, tracks: &[Tracked], tracked: &Tracked, at: (i64, u16)) -> Option<f64> {
        let (block, slot) = at;
        tracked.baseline.as_ref()?.expected(slot, self.load_at(tracks, block, slot))
    }

    /// Whether traffic at a block is at or above its usual highs; none when it is not known.
    pub fn traffic_is_high(&self, tracks: &[Tracked], block: i64) -> Option<bool> {
        let (traffic, tracked) = self.traffic_series(tracks)?;
        let value = tracked.history.at(block);
        value.is_finite().then_some(value >= traffic.high)
    }

    fn traffic_series<'a>(&self, tracks: &'a [Tracked]) -> Option<(Traffic, &'a Tracked)> {
        let traffic = self.traffic?;
        let mut members = self.members.iter().map(|&place| &tracks[place]);
        members.find(|tracked| tracked.series.id == traffic.series).map(|t| (traffic, t))
    }
}

/// A service's load, as learned.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Traffic {
    series: SeriesId,
    /// Its middle over the history.
    middle: f64,
    /// Where its usual highs begin.
    high: f64,
}

/// A stretch of blocks to learn from, with what all services share.
#[derive(Debug)]
pub struct Window<'a> {
    /// First block.
    pub from: i64,
    /// The block after the last.
    pub to: i64,
    /// Where each lies in the local week.
    pub slots: &'a [u16],
    /// As many times [`Load::USUAL`].
    pub no_load: Vec<Load>,
}

/// Whether a series may vote, and how: its scores toward worse, or zero where the move is
/// smaller than anybody cares about.
pub fn vote(tracked: &Tracked, signal: &Signal, slot: u16, load: Load) -> Option<[f64; SCALES]> {
    if tracked.role.is_context() {
        return None;
    }
    let scores = tracked.drift.scores(signal.worse)?;
    tracked.baseline.as_ref()?;
    let big_enough = matters(tracked, signal, slot, load);
    Some(if big_enough { scores } else { scores.map(|score| score.min(0.0)) })
}

/// Whether the move at the strongest scale is at least `min_effect` in the signal's own unit.
pub fn matters(tracked: &Tracked, signal: &Signal, slot: u16, load: Load) -> bool {
    let Some(baseline) = &tracked.baseline else { return false };
    let Some((_, scale)) = tracked.drift.strongest(signal.worse) else { return false };
    let Some(expected) = baseline.expected(slot, load) else { return false };
    let seen = baseline
        .value_at(tracked.drift.shift(scale), slot, load)
        // Counts are capped before they are compared; what they mean to users is not.
        .or_else(|| tracked.history.weighted_mean(HALF_LIVES[scale]));
    let Some(seen) = seen else { return false };
    let effect = (seen - expected).abs();
    effect >= signal.min_effect.absolute && effect >= signal.min_effect.relative * expected.abs()
}

/// Whether there are values for a day.
fn is_enough(values: &[f64]) -> bool {
    let present = values.iter().filter(|value| value.is_finite()).count();
    i64::try_from(present).is_ok_and(|blocks| HISTORY_MIN_BLOCKS <= blocks)
}

/// The level of latency, errors or queue age from which users notice, learned from history.
fn learned_objective(role: Role, values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    let top = quantile(sort_finite(&mut values), 0.999)? * LEARNED_OBJECTIVE_FACTOR;
    match role {
        // What was always zero has no level from which users notice.
        Role::Latency | Role::QueueAge => (top > 0.0).then_some(top),
        Role::Errors => Some(top.max(LEARNED_ERRORS_MIN)),
        _ => None,
    }
}

/// A version that is replaced has not fallen silent.
const fn lasts(role: Role) -> bool {
    !matches!(role, Role::Version | Role::ConfigVersion)
}

fn judge(tracked: &mut Tracked, block: i64, slot: u16, load: Load) {
    let value = tracked.history.at(block);
    let Some(baseline) = &tracked.baseline else { return };
    let residual = value.is_finite().then(|| baseline.residual(value, slot, load)).flatten();
    let sds = baseline.sds;
    tracked.drift.update(block, residual, &sds);
}

/// Runs the drift detector over a fit's own past: exactly what live does. A series that was not
/// judged before starts live from where its replay ends.
fn replay(
    tracked: &mut Tracked,
    signal: &Signal,
    fitted: &Fitted,
    from: i64,
) -> Vec<Option<[f64; SCALES]>> {
    let mut drift = Drift::default();
    let path = fitted
        .residuals
        .iter()
        .zip(from..)
        .map(|(&residual, block)| {
            drift.update(block, residual, &fitted.baseline.sds);
            drift.scores(signal.worse)
        })
        .collect();
    if tracked.baseline.is_none() {
        tracked.drift = drift;
    }
    path
}

fn calibrate(
    tracks: &[Tracked],
    paths: &[(usize, Vec<Option<[f64; SCALES]>>)],
) -> Option<Calibration> {
    let blocks = paths.iter().map(|(_, path)| path.len()).max()?;
    let mut statistics = Vec::with_capacity(blocks);
    let mut most_families = 0;
    for i in REPLAY_WARM_UP.min(blocks / 2)..blocks {
        let mut families = Families::new();
        for (place, path) in paths {
            if let Some(scores) = path.get(i).copied().flatten() {
                families.vote(tracks[*place].family(), scores);
            }
        }
        most_families = most_families.max(families.len());
        statistics.extend(families.statistic());
    }
    let enough = i64::try_from(statistics.len()).unwrap_or(0) >= HISTORY_MIN_BLOCKS / 2;
    enough.then(|| Calibration::measure(&statistics, paths.len(), most_families))
}

fn load_from(value: f64, residual: Option<Residual>, middle: f64) -> Load {
    let residual = match residual {
        Some(Residual::Level(z)) => z,
        _ => 0.0,
    };
    let exposure = if value.is_finite() && middle > 0.0 { value / middle } else { 1.0 };
    Load { residual, exposure: exposure.clamp(0.01, 100.0) }
}
