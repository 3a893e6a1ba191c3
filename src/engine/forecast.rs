//! When a drifting series crosses its limit, or what users would notice (METHODS 2.10).

use crate::engine::alert::Forecast;
use crate::engine::archive::Archive;
use crate::engine::chart::Bound;
use crate::engine::correlate::Finding;
use crate::engine::detect::drift::Direction;
use crate::engine::grid::{PER_HOUR, WallClock, block_of};
use crate::engine::track::Tracked;
use crate::rules::{Role, Rules, Signal};
use crate::stats::trend::theil_sen;
use crate::time::{Span, Timestamp};

use super::baseline::Load;
use super::service::Service;

/// Blocks per point of the trend: half an hour.
const POINT_BLOCKS: i64 = PER_HOUR / 2;
/// A trend looks back at most a day.
const LOOK_BACK_BLOCKS: i64 = 24 * PER_HOUR;
/// Crossings farther ahead than this are not told: the slope will not last that long.
const AHEAD_MAX: Span = Span::from_hours(14 * 24);

/// What a forecast needs beside the series.
#[derive(Clone, Copy, Debug)]
pub struct Outlook<'a> {
    /// Limits and objectives.
    pub rules: &'a Rules,
    /// Where the day's season is.
    pub clock: &'a WallClock,
    /// What the series did since the onset.
    pub archive: &'a dyn Archive,
}

/// Estimates when the series of a finding crosses its limit or objective; none when it has
/// neither, is beyond it already, or does not clearly climb.
pub fn forecast(
    finding: &Finding,
    tracked: &Tracked,
    service: &Service,
    outlook: &Outlook<'_>,
) -> Option<Forecast> {
    let rules = outlook.rules;
    let signal = &rules.signals[tracked.signal];
    // How far a peer is apart has no limit of its own.
    if tracked.apart.is_some() {
        return None;
    }
    let (crosses, level) = match signal.limit {
        Some(limit) => ("limit", limit),
        None => ("objective", objective(tracked, service, rules)?),
    };
    // One block may be chance.
    let is_beyond = |back: i64| tracked.history.at(tracked.history.end() - back) >= level;
    if finding.direction == Direction::Down || (is_beyond(1) && is_beyond(2)) {
        return None;
    }
    let points = points(finding, tracked, outlook)?;
    let trend = theil_sen(&points).filter(|trend| trend.slope > 0.0)?;
    let (best, earliest, latest) = trend.time_to(level).filter(|&(best, ..)| best > 0.0)?;
    let end = crate::engine::grid::block_start(tracked.history.end());
    let ahead = |hours: f64| Some(end + hours_span(hours)?);
    let at = ahead(best).filter(|&at| at - end <= AHEAD_MAX)?;
    Some(Forecast {
        signal: signal.name.clone(),
        service: tracked.series.service.clone(),
        crosses: crosses.to_owned(),
        at,
        range: (ahead(earliest)?, latest.and_then(ahead)),
    })
}

/// The level from which users notice: the user's objective, else learned from history. In the
/// signal's own unit.
pub fn objective(tracked: &Tracked, service: &Service, rules: &Rules) -> Option<f64> {
    let learned = || service.learned_objectives.get(&tracked.series.id).copied();
    promised(tracked, rules).or_else(learned)
}

/// The user's objective, in the signal's own unit.
fn promised(tracked: &Tracked, rules: &Rules) -> Option<f64> {
    let said = rules.services.get(&tracked.series.service);
    let signal = &rules.signals[tracked.signal];
    match tracked.role {
        Role::Latency => {
            said.and_then(|s| s.objective_latency).map(|seconds| seconds * seconds_to_unit(signal))
        }
        Role::Errors => said.and_then(|s| s.objective_errors),
        _ => None,
    }
}

/// The signal's limit, or its objective, with what it is.
pub fn bound(tracked: &Tracked, service: &Service, rules: &Rules) -> Option<(f64, Bound)> {
    let limit = rules.signals[tracked.signal].limit.map(|level| (level, Bound::Limit));
    limit.or_else(|| {
        let level = objective(tracked, service, rules)?;
        let learned = promised(tracked, rules).is_none();
        Some((level, if learned { Bound::Learned } else { Bound::Objective }))
    })
}

/// Objectives are written in seconds; some backends measure in milliseconds.
fn seconds_to_unit(signal: &Signal) -> f64 {
    match signal.unit.as_deref() {
        Some("milliseconds" | "ms") => 1_000.0,
        _ => 1.0,
    }
}

/// Half-hour means since the onset, in hours, freed from the season and lifted to the highest
/// that the season will add during the next day.
fn points(finding: &Finding, tracked: &Tracked, outlook: &Outlook<'_>) -> Option<Vec<(f64, f64)>> {
    let baseline = tracked.baseline.as_ref()?;
    let end = tracked.history.end();
    let from = block_of(finding.onset).max(end - LOOK_BACK_BLOCKS);
    let usual = |block: i64| baseline.expected(outlook.clock.slot(block), Load::USUAL);
    let peak = (end..end + LOOK_BACK_BLOCKS)
        .step_by(6)
        .filter_map(usual)
        .fold(f64::NEG_INFINITY, f64::max);
    let past = tracked.past(outlook.archive, from, end);
    let at = |block: i64| usize::try_from(block - from).ok().and_then(|i| past.get(i)).copied();
    let mut points = Vec::new();
    let mut block = end;
    while block - POINT_BLOCKS >= from {
        let freed: Vec<f64> = (block - POINT_BLOCKS..block)
            .filter_map(|b| Some(at(b)? - usual(b)?))
            .filter(|v| v.is_finite())
            .collect();
        if !freed.is_empty() {
            let mean = freed.iter().sum::<f64>() / freed.len() as f64;
            let hours = (block - end) as f64 / PER_HOUR as f64;
            points.push((hours, mean + peak));
        }
        block -= POINT_BLOCKS;
    }
    points.reverse();
    (points.len() >= 8 && peak.is_finite()).then_some(points)
}

fn hours_span(hours: f64) -> Option<Span> {
    let ms = hours * 3_600_000.0;
    #[expect(clippy::cast_possible_truncation, reason = "bounded in the same expression")]
    (ms.is_finite() && ms.abs() < 1e15).then(|| Span::from_millis(ms.round() as i64))
}

/// Whether a forecast says that users are reached before somebody can be expected to look.
pub fn is_near(forecast: &Forecast, now: Timestamp, within: Span) -> bool {
    forecast.range.1.is_some() && forecast.at - now <= within
}
