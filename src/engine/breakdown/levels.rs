//! What a breakdown query tells about the values of a label, before an incident and in it: which
//! instants count, and the means over them. For whoever answers the engine's questions from series.

use std::collections::{BTreeMap, BTreeSet};

use super::SINCE_MAX;
use crate::rules::Signal;
use crate::series::{LabelValue, Question};
use crate::time::{Span, Timestamp};

/// Instants of one answer.
pub const POINTS_MAX: usize = 1_000;
/// Distance between the instants of an answer; longer where the backend gives fewer points.
const STEP: Span = Span::from_mins(5);
/// Before the onset, so much is the usual level, and as much again on either side of the same time
/// on an earlier day.
const BEFORE: Span = Span::HOUR;
/// Values of one label that are told apart; the smallest are told together.
const VALUES_MAX: usize = 2_000;
/// Values of one label that are read at all.
const VALUES_READ_MAX: usize = 50_000;
/// Longer values are cut.
const VALUE_CHARS_MAX: usize = 200;
/// A row without the label, or with an empty one.
const NO_VALUE: &str = "(none)";

/// Which instants of an answer are what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// After this it is the incident.
    onset: Timestamp,
    /// First instant of the incident that counts.
    since: Timestamp,
    /// The newest instant.
    until: Timestamp,
    /// The same time on an earlier day.
    like: [Timestamp; 2],
}

impl Windows {
    /// The windows of a question: the hour before the onset and the same time on an earlier day
    /// are usual, and what came after the onset is the incident.
    pub fn of(question: &Question) -> Self {
        let Question { onset, until, .. } = *question;
        let since = onset.max(until - SINCE_MAX);
        let mut back = Span::DAY;
        while onset < until + BEFORE - back {
            back = back + Span::DAY;
        }
        Self { onset, since, until, like: [since - back - BEFORE, until - back + BEFORE] }
    }

    /// The first instant to ask for, and the distance between instants: they count back from the
    /// newest, in at most so many points.
    pub fn grid(self, points_max: usize) -> (Timestamp, Span) {
        let length = (self.until - self.like[0]).as_millis();
        let most = i64::try_from(points_max.clamp(2, POINTS_MAX) - 1).unwrap_or(1);
        let steps = length.div_euclid(STEP.as_millis()) + 1;
        let step = STEP.times(steps.div_euclid(most) + 1);
        (self.until - step.times(length.div_euclid(step.as_millis())), step)
    }

    /// Whether an instant is usual (0) or in the incident (1); none counts for neither.
    fn side(self, at: Timestamp) -> Option<usize> {
        if at > self.onset {
            return (self.since <= at && at <= self.until).then_some(1);
        }
        let like = self.like[0] <= at && at <= self.like[1];
        (like || at > self.onset - BEFORE).then_some(0)
    }
}

/// Adds up rows as they are met.
#[derive(Debug)]
pub struct Sums {
    windows: Windows,
    /// Instants on either side at which any row has a value.
    instants: [BTreeSet<Timestamp>; 2],
    values: BTreeMap<String, [Level; 2]>,
    /// How many values are too many to be told apart, and what they have together.
    others: (usize, [Level; 2]),
    /// Whether a value that is not there has none, rather than 0.
    shares: bool,
}

/// What one value has on one side.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    sum: f64,
    /// Instants with a number.
    known: usize,
    /// Instants that were no number: nobody knows what was there.
    unknown: usize,
}

impl Sums {
    /// Nothing yet, for a signal: of rates and counts, a value that is not there has 0; of a share
    /// that should be high it has none, for a peer that left misses nothing.
    pub fn of(signal: &Signal, windows: Windows) -> Self {
        Self {
            windows,
            instants: Default::default(),
            values: BTreeMap::new(),
            others: Default::default(),
            shares: signal.should_be_high(),
        }
    }

    /// Adds a row of the service: the label's value, empty where it has none, and its points.
    /// A point that is no finite number is not known. Cost: O(points · log instants).
    pub fn add(&mut self, value: &str, points: impl Iterator<Item = (Timestamp, f64)>) {
        let mut levels = [Level::default(); 2];
        for (at, number) in points {
            let Some(side) = self.windows.side(at) else { continue };
            // Also where nobody's number is finite: those without one are counted off again.
            self.instants[side].insert(at);
            if number.is_finite() {
                levels[side].sum += number;
                levels[side].known += 1;
            } else {
                levels[side].unknown += 1;
            }
        }
        let mut value: String = value.chars().take(VALUE_CHARS_MAX).collect();
        if value.is_empty() {
            NO_VALUE.clone_into(&mut value);
        }
        if let Some(known) = self.values.get_mut(&value) {
            merge(known, &levels);
        } else if self.values.len() < VALUES_READ_MAX {
            self.values.insert(value, levels);
        } else {
            self.others.0 += 1;
            merge(&mut self.others.1, &levels);
        }
    }

    /// The means of each value, in order of value.
    pub fn values(self) -> Vec<LabelValue> {
        let Self { instants, values, others: (mut others, mut rest), shares, .. } = self;
        let mean = |levels: &[Level; 2], side: usize| {
            let Level { sum, known, unknown } = levels[side];
            let instants =
                if shares { known } else { instants[side].len().saturating_sub(unknown) };
            match instants {
                0 if shares => f64::NAN,
                0 => 0.0,
                instants => sum / instants as f64,
            }
        };
        let told = |value: String, levels: [Level; 2]| {
            let (before, since) = (mean(&levels, 0), mean(&levels, 1));
            LabelValue { value, before, since }
        };
        let mut all: Vec<(String, [Level; 2])> = values.into_iter().collect();
        let size = |levels: &[Level; 2]| -> f64 {
            [0, 1].map(|side| mean(levels, side)).into_iter().filter(|mean| !mean.is_nan()).sum()
        };
        all.sort_by(|a, b| size(&b.1).total_cmp(&size(&a.1)).then(a.0.cmp(&b.0)));
        for (_, levels) in all.drain(VALUES_MAX.min(all.len())..) {
            others += 1;
            merge(&mut rest, &levels);
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let mut told: Vec<LabelValue> =
            all.into_iter().map(|(v, levels)| told(v, levels)).collect();
        if others > 0 {
            let [before, since] = [0, 1].map(|side| mean(&rest, side));
            told.push(LabelValue::others(others, before, since));
        }
        told
    }
}

/// Several rows of one value are parts of it.
fn merge(to: &mut [Level; 2], levels: &[Level; 2]) {
    for (to, level) in to.iter_mut().zip(levels) {
        to.sum += level.sum;
        to.known = to.known.max(level.known);
        to.unknown = to.unknown.max(level.unknown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Role;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_secs(1_772_323_200) + Span::from_mins(minutes)
    }

    fn question(onset: i64, until: i64) -> Question {
        Question {
            signal: "work".to_owned(),
            service: "web".to_owned(),
            label: "tenant".to_owned(),
            onset: at(onset),
            until: at(until),
        }
    }

    /// The sums of an incident of half an hour.
    fn half_an_hour() -> Sums {
        Sums::of(&Signal::plain("work", Role::Traffic), Windows::of(&question(-30, 0)))
    }

    type Value<'a> = &'a dyn Fn(i64) -> f64;

    /// Rows by tenant, with a value every five minutes over the windows of an incident of half an
    /// hour.
    fn means(rows: &[(&str, Value<'_>)]) -> Vec<LabelValue> {
        let mut sums = half_an_hour();
        for (tenant, value) in rows {
            sums.add(tenant, (-1_560..=0).step_by(5).map(|minute| (at(minute), value(minute))));
        }
        sums.values()
    }

    fn since(minute: i64, before: f64, since: f64) -> f64 {
        if minute > -30 { since } else { before }
    }

    #[test]
    fn a_value_has_its_mean_on_either_side() {
        let told = means(&[("b", &|minute| since(minute, 2.0, 8.0)), ("a", &|_| 5.0)]);
        let expected = [("a", 5.0, 5.0), ("b", 2.0, 8.0)];
        let told: Vec<_> = told.iter().map(|v| (v.value.as_str(), v.before, v.since)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_daily_rhythm_is_usual() {
        // Busy from an hour before now on, every day: three times the mean of the day.
        let busy = |minute: i64| if minute.rem_euclid(1_440) >= 1_380 { 30.0 } else { 1.0 };
        let told = means(&[("a", &busy), ("b", &|_| 10.0)]);
        let (a, b) = (&told[0], &told[1]);
        assert!(a.since / a.before < 2.0, "{a:?} and not {:.1} times", 30.0 * 24.0 / 53.0);
        assert_eq!((b.before, b.since), (10.0, 10.0));
    }

    #[test]
    fn what_is_missing_is_nothing_and_what_is_no_number_is_not_known() {
        let gone = |minute| if minute > -30 { f64::NAN } else { 4.0 };
        let new = |minute: i64| since(minute, f64::NAN, 6.0);
        let mut sums = half_an_hour();
        sums.add("", (-85..=0).step_by(5).map(|minute| (at(minute), 10.0)));
        sums.add("late", [-10, -5, 0].map(|minute| (at(minute), 6.0)).into_iter());
        let told = sums.values();
        let told: Vec<_> = told.iter().map(|v| (v.value.as_str(), v.before, v.since)).collect();
        assert_eq!(told, [("(none)", 10.0, 10.0), ("late", 0.0, 3.0)], "half of six instants");
        let told = means(&[("gone", &gone), ("here", &|_| 1.0), ("new", &new)]);
        let told: Vec<_> = told.iter().map(|v| (v.before, v.since)).collect();
        assert_eq!(told, [(4.0, 0.0), (1.0, 1.0), (0.0, 6.0)]);
    }

    #[test]
    fn of_a_share_what_is_not_there_is_not_known() {
        let hits = Signal::plain("hits", Role::CacheHit);
        let mut sums = Sums::of(&hits, Windows::of(&question(-30, 0)));
        let minutes = |range: std::ops::RangeInclusive<i64>| range.step_by(5);
        sums.add("here", minutes(-85..=0).map(|minute| (at(minute), 0.9)));
        sums.add("left", minutes(-85..=-15).map(|minute| (at(minute), 0.8)));
        sums.add("gone", minutes(-85..=-40).map(|minute| (at(minute), 0.7)));
        let told = sums.values();
        let told: Vec<_> = told.iter().map(|v| format!("{} {:.1}", v.value, v.since)).collect();
        assert_eq!(told, ["gone NaN", "here 0.9", "left 0.8"]);
    }

    #[test]
    fn too_many_values_are_told_together() {
        let mut sums = half_an_hour();
        for tenant in 0..VALUES_MAX + 500 {
            let level = if tenant < 500 { 1.0 } else { 2.0 };
            sums.add(&format!("t{tenant:05}"), std::iter::once((at(0), level)));
        }
        let told = sums.values();
        assert_eq!(told.len(), VALUES_MAX + 1);
        assert_eq!(told[0].value, "t00500");
        let others = told.last().unwrap();
        assert_eq!((others.value.as_str(), others.since), ("(500 others)", 500.0));
    }

    #[test]
    fn the_same_time_of_an_earlier_day_lies_before_the_onset() {
        for (onset, until) in [(-15, 0), (-30, 0), (-60 * 23, 0), (-60 * 24, 0), (-60 * 24 * 7, 0)]
        {
            let windows = Windows::of(&question(onset, until));
            assert!(windows.like[1] <= windows.onset, "{onset}: {windows:?}");
            assert!(at(until) - windows.like[1] <= Span::from_hours(8 * 24), "{onset}");
            assert!(windows.until - windows.since <= SINCE_MAX);
            let (start, step) = windows.grid(11_000);
            assert!(windows.like[0] <= start && start < windows.like[0] + step, "{onset}");
            let points = (windows.until - start).as_millis() / step.as_millis() + 1;
            assert!(usize::try_from(points).unwrap() <= POINTS_MAX, "{onset}: {points}");
            assert!(step <= Span::from_mins(15));
        }
        let (_, step) = Windows::of(&question(-30, 0)).grid(100);
        assert_eq!(step, Span::from_mins(20), "a backend that gives only a hundred points");
    }
}
