//! Whether a series may vote, and whether its move is large enough for anybody to care.

use crate::engine::baseline::{Baseline, Load};
use crate::engine::detect::apart;
use crate::engine::detect::drift::{Drift, Scores, toward};
use crate::engine::track::Tracked;
use crate::rules::Signal;
use crate::stats::ewma::HOUR;

/// From this mean residual on, half of where residuals are cut off, a level is larger than they
/// say.
const CUT_OFF: f64 = 3.0;

/// Whether a series may vote, and how: its scores toward worse, or zero where the move is
/// smaller than anybody cares about.
pub fn vote(tracked: &Tracked, signal: &Signal, slot: u16, load: Load) -> Option<Scores> {
    if tracked.role.is_context() {
        return None;
    }
    // What is nowhere above zero is cut to zero nowhere.
    counted(&tracked.drift, tracked.baseline.as_ref()?, signal, slot, |scores| {
        scores.largest() <= 0.0 || matters(tracked, signal, slot, load)
    })
}

/// A drift's scores toward worse, cut to zero where they do not count, and with the unadjusted
/// score where that is more and large enough. Whether they count is only asked where it can vote.
pub fn counted(
    drift: &Drift,
    baseline: &Baseline,
    signal: &Signal,
    slot: u16,
    counts: impl FnOnce(&Scores) -> bool,
) -> Option<Scores> {
    let scores = drift.votes(signal.worse)?;
    let mut scores = if counts(&scores) { scores } else { scores.map(|score| score.min(0.0)) };
    if let Some(plain) = drift.unadjusted(signal.worse)
        && plain > scores.days[HOUR]
        && is_big_unadjusted(drift, baseline, signal, slot)
    {
        scores.days[HOUR] = plain;
    }
    Some(scores)
}

/// Whether the move over an hour, with traffic's part left in, is at least `min_effect`.
fn is_big_unadjusted(drift: &Drift, baseline: &Baseline, signal: &Signal, slot: u16) -> bool {
    let effect = || {
        let expected = baseline.expected(slot, Load::USUAL)?;
        let seen = baseline.value_at(drift.unadjusted_shift()?, expected, slot, Load::USUAL)?;
        Some((seen, expected))
    };
    effect().is_some_and(|(seen, expected)| is_effect(signal, seen, expected))
}

/// Whether two values are at least `min_effect` apart.
pub fn is_effect(signal: &Signal, seen: f64, expected: f64) -> bool {
    let effect = (seen - expected).abs();
    effect >= signal.min_effect.absolute && effect >= signal.min_effect.relative * expected.abs()
}

/// A block: its number, its slot in the week, and the service's load in it.
pub type At = (i64, u16, Load);

/// How far a series has been toward worse in both of two blocks, in standard units of a block;
/// none where one of them is missing, zero where the newest move is smaller than anybody cares
/// about. It sees a step ten minutes after it began, and is wrong more often than [`vote`]: for
/// those who ask, not for those who are called.
pub fn sudden(tracked: &Tracked, signal: &Signal, newest: At, before: At) -> Option<f64> {
    let baseline = tracked.baseline.as_ref()?;
    let move_at = |(block, slot, load): At| {
        let value = tracked.history.at(block);
        let residual = value.is_finite().then(|| baseline.residual(value, slot, load)).flatten();
        Some(residual?.standard(baseline.sds[0]))
    };
    let (z, earlier) = (move_at(newest)?, move_at(before)?);
    let (_, slot, load) = newest;
    let expected = baseline.expected(slot, load)?;
    if z * earlier <= 0.0 || !is_effect(signal, tracked.history.at(newest.0), expected) {
        return Some(0.0);
    }
    Some(toward(signal.worse, z).min(toward(signal.worse, earlier)))
}

/// Whether the move at the strongest scale is at least `min_effect` in the signal's own unit.
pub fn matters(tracked: &Tracked, signal: &Signal, slot: u16, load: Load) -> bool {
    let Some(baseline) = &tracked.baseline else { return false };
    match tracked.farthest() {
        Some(farthest) => baseline.expected(slot, load).is_some_and(|expected| {
            let seen = tracked.history.weighted_mean(apart::HALF_LIFE);
            seen.is_some_and(|seen| farthest.matters([seen, expected], signal))
        }),
        None => {
            is_big_enough(&tracked.drift, baseline, signal, (slot, load))
                || is_cut_off_and_big(tracked, baseline, signal, (slot, load))
        }
    }
}

/// Whether a move is at least `min_effect` that is larger than residuals can say: these are cut
/// off, so that the level they add up to falls short of what the series shows.
fn is_cut_off_and_big(
    tracked: &Tracked,
    baseline: &Baseline,
    signal: &Signal,
    (slot, load): (u16, Load),
) -> bool {
    let strongest = tracked.drift.strongest(signal.worse);
    let is_cut = strongest.is_some_and(|(_, scale)| tracked.drift.shift(scale).abs() >= CUT_OFF);
    let seen = || tracked.history.weighted_mean(apart::HALF_LIFE);
    is_cut
        && baseline
            .expected(slot, load)
            .zip(seen())
            .is_some_and(|(expected, seen)| is_effect(signal, seen, expected))
}

/// As [`matters`], for a drift at a block.
pub fn is_big_enough(drift: &Drift, baseline: &Baseline, signal: &Signal, at: (u16, Load)) -> bool {
    level(drift, baseline, signal, at)
        .is_some_and(|[seen, expected]| is_effect(signal, seen, expected))
}

/// The level to which a series moved at its strongest scale and the one that was expected, in the
/// signal's own unit: what [`matters`] compares. None where either is not known.
pub fn moved_to(tracked: &Tracked, signal: &Signal, slot: u16, load: Load) -> Option<[f64; 2]> {
    match tracked.farthest() {
        Some(farthest) => {
            let expected = tracked.baseline.as_ref()?.expected(slot, load)?;
            let seen = tracked.history.weighted_mean(apart::HALF_LIFE)?;
            Some(farthest.in_unit([seen, expected]))
        }
        None => level(&tracked.drift, tracked.baseline.as_ref()?, signal, (slot, load)),
    }
}

/// The level at the strongest scale, and the one that was expected.
fn level(
    drift: &Drift,
    baseline: &Baseline,
    signal: &Signal,
    (slot, load): (u16, Load),
) -> Option<[f64; 2]> {
    let (_, scale) = drift.strongest(signal.worse)?;
    let expected = baseline.expected(slot, load)?;
    let seen = baseline
        .value_at(drift.shift(scale), expected, slot, load)
        // Counts are capped before they are compared; what they mean to users is not.
        .or_else(|| Some(drift.mean(scale)? * baseline.unit_load(load)))?;
    Some([seen, expected])
}
