//! Learning: what is normal for a service, from weeks of its past; and a replay of that past, which
//! says how often normal days look like trouble (METHODS 2.3 to 2.8).

use std::collections::BTreeSet;

use crate::engine::archive::Archive;
use crate::engine::baseline::{self, Baseline, Fitted, Load, Residual};
use crate::engine::detect::absence;
use crate::engine::detect::apart;
use crate::engine::detect::budget::Calibration;
use crate::engine::detect::drift::{Drift, Scores};
use crate::engine::detect::statistic::Families;
use crate::engine::grid::PER_WEEK;
use crate::engine::service::{Block, HISTORY_MIN_BLOCKS, Service, Traffic, lasts, load_from};
use crate::engine::track::Tracked;
use crate::engine::vote::{counted, is_big_enough};
use crate::rules::{Role, Signal};
use crate::series::SeriesId;
use crate::stats::ewma::decayed_mean;
use crate::stats::robust::{median, quantile, sort_finite};
use crate::stats::tail::{QUIET_BLOCKS, REARM, Tail, peaks};

/// The first two days of a replay still remember how it was started (METHODS 2.5).
const REPLAY_WARM_UP: usize = 576;
/// Users notice when a value is this far above the 99.9th percentile of the history, where the
/// user set no objective.
const LEARNED_OBJECTIVE_FACTOR: f64 = 1.5;
/// What the score of one series reaches once a week: independent noise as well as long memory
/// (METHODS 2.5).
const SERIES_HEIGHT: f64 = 3.3;
/// A series that is quieter than others is not made louder by more than this.
const TEMPER_MIN: f64 = 0.9;
/// Scores below this move no threshold: their effect is not looked up in a replay.
const COUNTED_MIN: f64 = 0.5;
/// Traffic above this share of its history is at its usual highs.
const USUAL_HIGH: f64 = 0.97;
/// A failed share below half a percent is not called noticeable unless the user says so.
const LEARNED_ERRORS_MIN: f64 = 0.005;

/// The scores of one series over a replay; none in blocks in which it could not vote.
type Path = Vec<Option<Scores>>;

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
    pub no_load: &'a [Load],
    /// Where their values are.
    pub archive: &'a dyn Archive,
    /// Blocks from first to last in which the service was worked on as planned: they teach nothing.
    pub planned: Vec<(i64, i64)>,
}

impl Window<'_> {
    /// The places in the window of the blocks from first to last of each stretch.
    fn places<'s>(
        &self,
        stretches: impl IntoIterator<Item = &'s (i64, i64)>,
    ) -> impl Iterator<Item = usize> {
        let (begin, end) = (self.from, self.to);
        let blocks = stretches
            .into_iter()
            .flat_map(move |&(first, last)| first.max(begin)..(last + 1).min(end));
        blocks.filter_map(move |block| usize::try_from(block - begin).ok())
    }
}

/// What a series and its load did in a window.
struct Past<'a> {
    from: i64,
    values: &'a [f64],
    slots: &'a [u16],
    load: &'a [Load],
}

impl Service {
    /// Learns the service anew from the blocks `window.from..window.to` of its series.
    pub fn learn(&mut self, tracks: &mut [Tracked], signals: &[Signal], window: &Window<'_>) {
        let before = self.traffic;
        let load = self.learn_load(tracks, signals, window);
        self.traffic = self.traffic.or(before);
        self.find_traffic(tracks);
        let load = load.as_deref().unwrap_or(window.no_load);
        let mut paths: Vec<(usize, Path)> = Vec::new();
        let members = self.members.iter().map(|&place| tracks[place].series.id);
        let members: BTreeSet<SeriesId> = members.collect();
        self.learned_objectives.retain(|series, _| members.contains(series));
        let mut seen = vec![false; window.slots.len()];
        for place in self.members.clone().into_iter().chain(self.apart.clone()) {
            let tracked = &mut tracks[place];
            let values = tracked.past(window.archive, window.from, window.to);
            if lasts(tracked.role) && tracked.apart.is_none() {
                seen.iter_mut().zip(&values).for_each(|(seen, value)| *seen |= value.is_finite());
            }
            let own;
            let signal = if tracked.apart.is_some() {
                own = apart::judged(&signals[tracked.signal]);
                &own
            } else {
                &signals[tracked.signal]
            };
            let own_load = if tracked.role == Role::Traffic { window.no_load } else { load };
            let path = self.learn_series(tracked, signal, values, (window, own_load));
            if !tracked.role.is_context() {
                paths.extend(path.map(|path| (place, path)));
            }
        }
        // What was switched off on purpose is no habit of being away.
        window.places(&window.planned).for_each(|place| seen[place] = true);
        self.patience = absence::patience(&seen);
        self.calibration = calibrate(tracks, &paths).or_else(|| self.calibration.take());
    }

    /// Learns one series, and replays its past; none when there is too little to judge it by.
    fn learn_series(
        &mut self,
        tracked: &mut Tracked,
        signal: &Signal,
        values: Vec<f64>,
        (window, load): (&Window<'_>, &[Load]),
    ) -> Option<Path> {
        let present = is_enough(&values);
        let values = self.masked(values, window);
        if !is_enough(&values) {
            // Masked and not missing: what was learned before the incident still holds, or one
            // that lasts for weeks could never be seen to end.
            if !present {
                tracked.baseline = None;
            }
            return None;
        }
        let distances = tracked.apart.is_some();
        let fitted = if distances && !apart::is_varied(&values) {
            None
        } else {
            baseline::fit(signal, &values, window.slots, load)
        };
        if let Some(level) = learned_objective(tracked.role, &values).filter(|_| !distances) {
            self.learned_objectives.insert(tracked.series.id, level);
        }
        let Some(mut fitted) = fitted else {
            tracked.baseline = None;
            return None;
        };
        if distances {
            // Distances are ratios, and traffic explains none of them.
            fitted.baseline.unadjusted_sd = None;
        }
        let past = Past { from: window.from, values: &values, slots: window.slots, load };
        let mut path = replay(tracked, signal, &fitted, &past);
        temper(&path, &mut fitted.baseline);
        path = replay(tracked, signal, &fitted, &past);
        tracked.baseline = Some(fitted.baseline);
        Some(path)
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
                let values = tracked.past(window.archive, window.from, window.to);
                let values = self.masked(values, window);
                let middle = median(&mut values.clone())?;
                Some((tracked, values, middle))
            })
            .max_by(|a, b| a.2.total_cmp(&b.2).then_with(|| b.0.series.cmp(&a.0.series)))?;
        let signal = &signals[tracked.signal];
        let fitted = baseline::fit(signal, &values, window.slots, window.no_load)?;
        let high = quantile(sort_finite(&mut values.clone()), USUAL_HIGH)?.max(middle);
        self.traffic = Some(Traffic { series: tracked.series.id, place: None, middle, high });
        let blocks: Vec<Block> = values.into_iter().zip(fitted.residuals).collect();
        let before = std::iter::once((f64::NAN, None)).chain(blocks.iter().copied());
        let pairs = blocks.iter().zip(before);
        Some(pairs.map(|(&now, before)| load_from(now, before, middle)).collect())
    }

    /// The window's values with alarm episodes and planned work taken out.
    fn masked(&self, mut values: Vec<f64>, window: &Window<'_>) -> Vec<f64> {
        let masks = window.places(&self.episodes).chain(window.places(&window.planned));
        masks.for_each(|place| values[place] = f64::NAN);
        values
    }
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

/// Runs the drift detector over a fit's own past: exactly what live does, with the same floor of
/// effect. A series that was not judged before starts live from where its replay ends.
fn replay(tracked: &mut Tracked, signal: &Signal, fitted: &Fitted, past: &Past<'_>) -> Path {
    let mut drift = Drift::default();
    let farthest = tracked.farthest();
    let judge = |(i, &residual): (usize, &Option<Residual>)| {
        let block = past.from + i64::try_from(i).unwrap_or(0);
        drift.update(block, residual, &fitted.baseline.sds, &fitted.baseline.hours);
        if let Some(sd) = fitted.baseline.unadjusted_sd
            && residual.is_some()
        {
            drift.update_unadjusted(fitted.unadjusted.get(i).copied(), sd);
        }
        let at = (past.slots[i], past.load[i]);
        let matters = || match (farthest, fitted.baseline.expected(at.0, at.1)) {
            (Some(farthest), Some(expected)) => {
                let newest = past.values[..=i].iter().rev().copied();
                decayed_mean(newest, apart::HALF_LIFE)
                    .is_some_and(|seen| farthest.matters([seen, expected], signal))
            }
            _ => is_big_enough(&drift, &fitted.baseline, signal, at),
        };
        counted(&drift, &fitted.baseline, signal, at.0, |scores| {
            scores.largest() < COUNTED_MIN || matters()
        })
    };
    let path = fitted.residuals.iter().enumerate().map(judge).collect();
    if tracked.baseline.is_none() {
        tracked.drift = drift;
    }
    path
}

/// Widens the spreads of a series whose replayed scores rise above [`SERIES_HEIGHT`] more than
/// once a week, so that they do so once: one wild series must not make its service deaf to all
/// others (METHODS 2.5). The scores above the last days and those above the last hours do so each,
/// so that the state of a series is the same with the latter and without.
fn temper(path: &Path, baseline: &mut Baseline) {
    if let Some(factor) = excess(path, Scores::above_days) {
        let sds = baseline.sds.iter_mut().chain(&mut baseline.unadjusted_sd);
        sds.for_each(|sd| *sd *= factor);
    }
    if baseline.hours.is_used()
        && let Some(factor) = excess(path, |s| s.hours.into_iter().fold(0.0, f64::max))
    {
        baseline.hours.widen(factor);
    }
}

/// How many times [`SERIES_HEIGHT`] the largest of these scores reaches once a week.
fn excess(path: &Path, of: impl Fn(&Scores) -> f64) -> Option<f64> {
    let worst: Vec<f64> = path
        .iter()
        .skip_while(|scores| scores.is_none())
        .skip(REPLAY_WARM_UP.min(path.len() / 2))
        .filter_map(|scores| Some(of(scores.as_ref()?)))
        .collect();
    let weeks = worst.len() as f64 / PER_WEEK as f64;
    let tail = Tail::fit(&peaks(&worst, REARM, QUIET_BLOCKS), weeks)?;
    Some((tail.threshold(1.0) / SERIES_HEIGHT).max(TEMPER_MIN))
}

fn calibrate(tracks: &[Tracked], paths: &[(usize, Path)]) -> Option<Calibration> {
    let blocks = paths.iter().map(|(_, path)| path.len()).max()?;
    let mut statistics = Vec::with_capacity(blocks);
    let mut most_families = 0;
    // From the first vote on: a service may be younger than the window.
    let voted = |i: usize| paths.iter().any(|(_, path)| path.get(i).is_some_and(Option::is_some));
    let first = (0..blocks).find(|&i| voted(i))?;
    for i in first + REPLAY_WARM_UP.min((blocks - first) / 2)..blocks {
        let mut families = Families::new();
        for (place, path) in paths {
            if let Some(scores) = path.get(i).copied().flatten() {
                families.vote(tracks[*place].family(), scores.voted());
            }
        }
        most_families = most_families.max(families.len());
        statistics.extend(families.statistic());
    }
    let enough = i64::try_from(statistics.len()).unwrap_or(0) >= HISTORY_MIN_BLOCKS / 2;
    enough.then(|| Calibration::measure(&statistics, paths.len(), most_families))
}
