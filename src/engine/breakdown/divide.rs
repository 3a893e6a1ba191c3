//! How a signal is divided among the values of a label, and which of them explain what moved.

use super::{Division, Dominant, SINCE_MAX};
use crate::engine::detect::drift::Direction;
use crate::rules::{Signal, Worse};
use crate::series::{LabelValue, Question};
use crate::stats::skew::{Levels, Surprise, Way, skew};

/// Values of one label that are remembered.
const VALUES_MAX: usize = 5;

/// Which values of the label explain what moved; none where they cannot be told apart.
pub(super) fn divide(
    signal: &Signal,
    question: &Question,
    values: &[LabelValue],
) -> Option<Division> {
    let seconds = (question.until - question.onset).min(SINCE_MAX).as_secs_f64();
    let directions: &[Direction] = match signal.worse {
        Worse::Up => &[Direction::Up],
        Worse::Down => &[Direction::Down],
        Worse::Either => &[Direction::Up, Direction::Down],
    };
    let missing = missing(signal, values);
    let levels: Vec<Levels> = values.iter().map(levels).collect();
    let mut explaining: Vec<Dominant> = Vec::new();
    for &direction in directions {
        let found = match &missing {
            Some(missing) => skew(missing, seconds, Way::More)?,
            None => skew(&levels, seconds, way(direction))?,
        };
        let found = found.into_iter().filter(|s| s.explains && !values[s.place].is_others());
        let found = found.map(|surprise| dominant(values, direction, surprise));
        // Of what is missing a value can hold more and still none the less of what is there.
        explaining.extend(found.filter(|d| missing.is_none() || d.share < d.usual_share));
    }
    explaining.truncate(VALUES_MAX);
    let values = values.iter().filter(|value| !value.is_others()).count();
    Some(Division { values, explaining })
}

/// What is missing of each value where the signal is a share that should be high and its values
/// are shares: there the trouble is. Nothing is missing of a value that is not there, and what many
/// have together is no share.
fn missing(signal: &Signal, values: &[LabelValue]) -> Option<Vec<Levels>> {
    let is_share = |level: f64| level.is_nan() || (0.0..=1.0).contains(&level);
    let shares = |value: &LabelValue| is_share(value.before) && is_share(value.since);
    if !signal.should_be_high() || !values.iter().filter(|v| !v.is_others()).all(shares) {
        return None;
    }
    let rest = |value: &LabelValue| {
        let known = !value.is_others() && !value.before.is_nan() && !value.since.is_nan();
        let rest = |level: f64| if known { 1.0 - level } else { 0.0 };
        Levels { before: rest(value.before), since: rest(value.since) }
    };
    Some(values.iter().map(rest).collect())
}

fn levels(value: &LabelValue) -> Levels {
    Levels { before: value.before, since: value.since }
}

/// Why values cannot be told apart, as the end of a sentence.
pub(super) const fn inseparable(values: &[LabelValue]) -> &'static str {
    match values {
        [] => "no query gives it",
        [_] => "there is one value alone",
        _ => "there is nothing in any of them",
    }
}

const fn way(direction: Direction) -> Way {
    match direction {
        Direction::Up => Way::More,
        Direction::Down => Way::Less,
    }
}

/// Shares are among the values that are known on both sides: what a peer that left had is nobody's
/// gain.
fn dominant(values: &[LabelValue], direction: Direction, surprise: Surprise) -> Dominant {
    let level = |level: f64| if level.is_finite() { level.max(0.0) } else { 0.0 };
    let known = |value: &&LabelValue| !value.before.is_nan() && !value.since.is_nan();
    let share = |of: fn(&LabelValue) -> f64| {
        let whole: f64 = values.iter().filter(known).map(|value| level(of(value))).sum();
        if whole > 0.0 { level(of(&values[surprise.place])) / whole } else { 0.0 }
    };
    Dominant {
        value: values[surprise.place].value.clone(),
        direction,
        share: share(|value| value.since),
        usual_share: share(|value| value.before),
        strength: surprise.strength(),
    }
}
