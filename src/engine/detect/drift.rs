//! Slow drift and small shifts of one series: a bank of high-passed moving averages, each
//! divided by its own empirical spread (METHODS 2.5, 2.6).

use std::num::NonZeroI64;

use serde::{Deserialize, Serialize};

use crate::engine::baseline::Residual;
use crate::engine::history::narrow;
use crate::rules::Worse;
use crate::stats::alone::believed;
use crate::stats::count::CountBank;
use crate::stats::ewma::{Bank, HALF_LIVES, HOUR, Means, PRICES, SCALES};
use crate::stats::hours::{Hours, SHORT};
use crate::stats::onset::Onset;

/// Blocks with a value that a series needs after a gap before it may vote again.
const VALID_MIN: u8 = 3;
/// A gap longer than this fades the memory of what was before: two hours.
const GAP_BLOCKS: i64 = 24;

/// The scale at which growth is seen: half an hour.
const NEW_SCALE: usize = 1;
/// What has grown stands at least so many times as high as it would had it not.
const GROWN_RATIO: f64 = 1.2;

/// The unadjusted score must be this many times the threshold: load explains most of what it sees
/// (METHODS 8.10).
pub const UNADJUSTED_RATIO: f64 = 1.6;

/// How far one series has moved, in units of its own normal movement.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Drift {
    bank: Bank,
    /// Only where events are counted.
    counts: Option<Box<Counts>>,
    up: Onset,
    down: Onset,
    /// Newest block that had a value; block 0 is the first of 1970.
    last: Option<NonZeroI64>,
    /// Blocks with a value in a row, up to as many as fit.
    valid: u8,
    /// Positive is up; shortest memory first. Narrow, since there may be a million of these.
    scores: [f32; SCALES],
    /// The same above the last hours.
    hours: [f32; SHORT],
    /// Newest residual in standard units, where the newest block had a value.
    residual: f32,
    /// The same with traffic's part left in, where it is kept.
    plain: Option<Box<Plain>>,
    /// True while the slow means stand still.
    held: bool,
}

/// Scores of one series, shortest memory first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Above where it has sat over the last days: what state it is in. Where traffic's part is left
    /// in and counts, that of an hour is with it.
    pub days: [f64; SCALES],
    /// Above where it has sat over the last hours; zero where it is not held against these.
    pub hours: [f64; SHORT],
}

impl Scores {
    /// What the series votes with: at each scale the larger of both.
    pub fn voted(&self) -> [f64; SCALES] {
        let mut voted = self.days;
        for (score, &hours) in voted.iter_mut().zip(&self.hours) {
            // Zero says nothing: a score below it stands.
            if hours > 0.0 {
                *score = score.max(hours);
            }
        }
        voted
    }

    /// The largest score that it votes with.
    pub fn largest(&self) -> f64 {
        self.voted().into_iter().fold(f64::NEG_INFINITY, f64::max)
    }

    /// The largest score above the last days.
    pub fn above_days(&self) -> f64 {
        self.days.into_iter().fold(f64::NEG_INFINITY, f64::max)
    }

    /// Every score changed alike.
    #[must_use]
    pub fn map(self, change: impl Fn(f64) -> f64) -> Self {
        Self { days: self.days.map(&change), hours: self.hours.map(change) }
    }
}

/// What a series does when nothing is excused by traffic.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Plain {
    bank: Bank,
    before: f64,
    score: f64,
}

/// Moves of rare events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Counts {
    bank: CountBank,
    values: Means,
}

/// When a move began, in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnsetEstimate {
    /// Most likely.
    pub at: i64,
    /// Not before.
    pub earliest: i64,
    /// Not after.
    pub latest: i64,
}

/// Which way a series went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Above its baseline.
    Up,
    /// Below its baseline.
    Down,
}

impl Direction {
    /// The way of a score, which is positive above the baseline.
    pub fn of(score: f64) -> Self {
        if score >= 0.0 { Self::Up } else { Self::Down }
    }
}

impl Drift {
    /// Takes in one block. No residual: nothing moves, and the series may not vote until it has
    /// been back for three blocks.
    pub fn update(
        &mut self,
        block: i64,
        residual: Option<Residual>,
        sds: &[f64; SCALES],
        hours: &Hours,
    ) {
        let Some(residual) = residual else {
            self.valid = 0;
            if let Some(plain) = &mut self.plain {
                plain.before = f64::NAN;
            }
            return;
        };
        let gap = self.last.map_or(0, |last| block - last.get() - 1);
        if gap > GAP_BLOCKS {
            let gap = u32::try_from(gap).unwrap_or(u32::MAX);
            self.bank.gap(gap);
            if let Some(plain) = &mut self.plain {
                plain.bank.gap(gap);
            }
            if let Some(counts) = &mut self.counts {
                counts.bank.gap(gap);
                counts.values.gap(gap);
            }
            (self.up, self.down) = (Onset::default(), Onset::default());
        }
        let z = residual.standard(sds[0]);
        let level = match residual {
            Residual::Level(_) => {
                self.counts = None;
                let level = self.bank.difference(SCALES - 1);
                let before = self.residual().unwrap_or(f64::NAN);
                let believed = believed(z, before);
                feed(&mut self.bank, believed, self.held);
                // These learn also what is held: they are no normal, and soon forget.
                hours.update(&mut self.bank, believed);
                for (scale, sd) in sds.iter().enumerate() {
                    let score = self.bank.difference(scale) / (sd * PRICES[scale]);
                    self.scores[scale] = narrow(score);
                }
                self.hours = hours.scores(&self.bank).map(narrow);
                level
            }
            Residual::Count { value, events, expected } => {
                let counts = self.counts.get_or_insert_default();
                counts.bank.update(events, expected);
                counts.values.update(value);
                for (scale, sd) in sds.iter().enumerate() {
                    self.scores[scale] = narrow(counts.bank.score(scale, sd * PRICES[scale]));
                }
                self.hours = [0.0; SHORT];
                f64::NAN
            }
        };
        let moved = z - self.bank.slow();
        self.up.update(moved, level, block);
        self.down.update(-moved, -level, block);
        self.residual = narrow(z);
        self.last = NonZeroI64::new(block);
        self.valid = self.valid.saturating_add(1);
    }

    /// Takes in the same block with traffic's part left in; none where nothing is adjusted.
    /// Needs the block's [`Self::update`] before it.
    pub fn update_unadjusted(&mut self, z: Option<f64>, sd: f64) {
        let Some(z) = z else {
            self.plain = None;
            return;
        };
        let plain = self.plain.get_or_insert_default();
        feed(&mut plain.bank, believed(z, plain.before), self.held);
        (plain.before, plain.score) = (z, plain.bank.difference(HOUR) / sd);
    }

    /// The unadjusted score toward worse over an hour, as it votes: divided by
    /// [`UNADJUSTED_RATIO`].
    pub fn unadjusted(&self, worse: Worse) -> Option<f64> {
        let plain = self.plain.as_ref().filter(|_| self.valid >= VALID_MIN)?;
        Some(toward(worse, plain.score) / UNADJUSTED_RATIO)
    }

    /// How far the level has moved over an hour with traffic's part left in.
    pub fn unadjusted_shift(&self) -> Option<f64> {
        self.plain.as_ref().map(|plain| plain.bank.difference(HOUR))
    }

    /// Whether what the series does now may become its new normal: not while the whole fleet
    /// moves with the calendar.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Scores with the direction that hurts positive, for a vote. None: this series cannot vote,
    /// because it has just come (back) or is silent.
    pub fn votes(&self, worse: Worse) -> Option<Scores> {
        (self.valid >= VALID_MIN).then(|| self.seen(worse))
    }

    /// The same above the last days alone: what state the series is in.
    pub fn scores(&self, worse: Worse) -> Option<[f64; SCALES]> {
        Some(self.votes(worse)?.days)
    }

    /// The largest score toward worse, and its scale: the shortest, where several are clipped.
    pub fn strongest(&self, worse: Worse) -> Option<(f64, usize)> {
        let scores = self.scores(worse)?;
        let scales = scores.iter().enumerate().rev();
        let (scale, score) = scales.max_by(|a, b| a.1.total_cmp(b.1))?;
        Some((*score, scale))
    }

    /// The score that is farthest from normal in either direction, over the scales up to two
    /// hours: what state the series is in (METHODS 2.9).
    pub fn state_score(&self) -> Option<f64> {
        let scores = self.scores(Worse::Up)?;
        scores[..SCALES - 1].iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()))
    }

    /// Which way the series goes, by what is farthest from normal, also above the last hours.
    pub fn direction(&self) -> Option<Direction> {
        let state = self.state_score()?;
        let scores = self.hours.into_iter().map(f64::from).chain([state]);
        scores.max_by(|a, b| a.abs().total_cmp(&b.abs())).map(Direction::of)
    }

    /// The state score where events are counted, over an hour and two, as far as these know of more
    /// than a burst; zero where they do not. None where levels are measured.
    pub fn lasting_score(&self) -> Option<f64> {
        let counts = self.counts.as_ref()?;
        let scores = self.scores(Worse::Up)?;
        let scales = (HOUR..SCALES - 1).filter(|&scale| counts.bank.lasts(scale));
        scales.map(|scale| scores[scale]).max_by(f64::total_cmp).or(Some(0.0))
    }

    /// How far the level has moved at a scale, in standard units of a block.
    pub fn shift(&self, scale: usize) -> f64 {
        self.bank.difference(scale)
    }

    /// Whether what moved so many blocks ago has moved clearly further since: over half an hour it
    /// stands higher, against the last four hours, than a step of that age would.
    pub fn has_grown(&self, age: i64) -> bool {
        let at = |scale| self.mean(scale).unwrap_or_else(|| self.shift(scale)).abs();
        let reached = 1.0 - (-(age as f64) / HALF_LIVES[SCALES - 1]).exp2();
        at(NEW_SCALE) * reached >= GROWN_RATIO * at(SCALES - 1)
    }

    /// The mean value at a scale, where events are counted: they are capped before they are
    /// compared, this is not.
    pub fn mean(&self, scale: usize) -> Option<f64> {
        self.counts.as_ref()?.values.at(scale)
    }

    /// Where events are counted: their mean over the time over which they are farthest from
    /// normal. The newest block may well have none.
    pub fn events(&self) -> Option<f64> {
        self.mean(self.strongest(Worse::Either)?.1)
    }

    /// Whether it is events that move.
    pub fn counts_events(&self) -> bool {
        self.counts.is_some()
    }

    /// When the move in this direction began.
    pub fn onset(&self, direction: Direction) -> Option<OnsetEstimate> {
        let onset = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        let at = onset.since()?;
        let (earliest, latest) = onset.range().unwrap_or((at, at));
        Some(OnsetEstimate { at, earliest: earliest.min(at), latest: latest.max(at) })
    }

    /// The newest residual in standard units.
    pub fn residual(&self) -> Option<f64> {
        (self.valid > 0).then(|| f64::from(self.residual))
    }

    /// Takes a level in standard units as the new normal, and says which one it replaces. What
    /// moves from now on began now.
    pub fn accept_level(&mut self, level: f64) -> f64 {
        let before = self.bank.slow();
        self.bank.relevel(level);
        if let Some(plain) = &mut self.plain {
            plain.bank.relevel(plain.bank.slow() + level - before);
        }
        self.forget_onset();
        before
    }

    /// An incident is over: what moves from now on began now.
    pub fn forget_onset(&mut self) {
        (self.up, self.down) = (Onset::default(), Onset::default());
    }

    /// The largest score toward worse with which the series voted when it was last seen, whether it
    /// may vote or not.
    pub fn last_score(&self, worse: Worse) -> f64 {
        self.seen(worse).largest()
    }

    fn seen(&self, worse: Worse) -> Scores {
        let toward = |score| toward(worse, f64::from(score));
        Scores { days: self.scores.map(toward), hours: self.hours.map(toward) }
    }
}

/// Takes in one value; the slow means stand still while they are held.
fn feed(bank: &mut Bank, z: f64, held: bool) {
    if held { bank.update_fast(z) } else { bank.update(z) }
}

/// A score with the direction that hurts positive.
pub fn toward(worse: Worse, score: f64) -> f64 {
    match worse {
        Worse::Up => score,
        Worse::Down => -score,
        Worse::Either => score.abs(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A series that stood at these levels, in σ, for so many blocks each.
    fn stood(levels: &[(f64, i64)]) -> Drift {
        let blocks = levels.iter().flat_map(|&(level, blocks)| (0..blocks).map(move |_| level));
        let mut drift = Drift::default();
        for (block, level) in (1..).zip(blocks) {
            drift.update(block, Some(Residual::Level(level)), &[1.0; SCALES], &Hours::default());
        }
        drift
    }

    #[test]
    fn what_stands_for_long_has_not_grown_and_a_step_on_top_has() {
        let grown = |levels: &[(f64, i64)], age| stood(levels).has_grown(age);
        assert!(!grown(&[(0.0, 2016), (2.0, 96)], 96));
        assert!(grown(&[(0.0, 2016), (2.0, 96), (5.0, 12)], 108));
        assert!(grown(&[(0.0, 2016), (-2.0, 96), (-5.0, 12)], 108));
        assert!(!grown(&[(0.0, 2016), (5.0, 96), (2.0, 12)], 108), "it falls back");
        // A leak still rises after most of a day.
        for blocks in [96, 216, 264] {
            let leak = (0..blocks).map(|block| (0.05 * f64::from(block), 1));
            let leak: Vec<(f64, i64)> = [(0.0, 2016)].into_iter().chain(leak).collect();
            assert!(grown(&leak, blocks.into()), "{blocks}");
        }
    }

    #[test]
    fn a_large_step_on_what_wandered_begins_with_the_step() {
        let stepped = stood(&[(0.0, 2016), (1.2, 144), (6.0, 4)]);
        assert_eq!(stepped.onset(Direction::Up).map(|onset| onset.at), Some(2016 + 144 + 1));
        let crept = stood(&[(0.0, 2016), (2.5, 144), (6.0, 4)]);
        assert_eq!(crept.onset(Direction::Up).map(|onset| onset.at), Some(2017));
    }

    #[test]
    fn only_events_that_come_for_longer_than_a_burst_last() {
        let counted = |blocks: &[f64]| {
            let mut drift = Drift::default();
            for (block, &events) in (1..).zip(blocks) {
                let count = Residual::Count { value: events, events, expected: 0.5 };
                drift.update(block, Some(count), &[1.0; SCALES], &Hours::default());
            }
            drift.lasting_score().unwrap()
        };
        let quiet = [0.5; 288];
        assert!(counted(&[&quiet[..], &[40.0, 40.0]].concat()) < 1.0, "however large");
        assert!(counted(&[&quiet[..], &[6.0; 8]].concat()) > 4.0);
        assert!(stood(&[(9.0, 288)]).lasting_score().is_none(), "levels are no events");
    }

    /// A week around nothing, and what is learned from a level that wanders by 3 σ in four days.
    fn wandered() -> (Drift, Hours) {
        let at = |block: i64| 3.0 * (block as f64 / 1152.0 * std::f64::consts::TAU).sin();
        let noise = |block: i64| if block % 2 == 0 { 1.0 } else { -1.0 };
        let z: Vec<f64> = (1..8065).map(|block| at(block) + noise(block)).collect();
        let hours = Hours::measure(&z);
        assert!(hours.is_used());
        (stood(&[(0.0, 2016)]), hours)
    }

    #[test]
    fn a_wandering_series_votes_with_its_move_above_the_last_hours_too() {
        let (mut drift, hours) = wandered();
        for block in 2017..2029 {
            drift.update(block, Some(Residual::Level(2.0)), &[2.0; SCALES], &hours);
        }
        let votes = drift.votes(Worse::Up).unwrap();
        assert!(votes.hours.iter().zip(votes.days).all(|(&hours, days)| hours > days));
        assert_eq!(votes.voted().to_vec(), [&votes.hours[..], &votes.days[SHORT..]].concat());
        assert_eq!(drift.scores(Worse::Up), Some(votes.days), "the state is that above the days");
        let down = drift.votes(Worse::Down).map(|votes| votes.voted());
        assert_eq!(down, Some(votes.days.map(|score| -score)));
    }

    #[test]
    fn what_comes_back_after_it_was_held_has_not_moved() {
        let (mut drift, hours) = wandered();
        for (block, level) in (2017..).zip([[1.5; 288], [0.0; 288]].concat()) {
            drift.hold(level > 0.0);
            drift.update(block, Some(Residual::Level(level)), &[1.0; SCALES], &hours);
            let votes = drift.votes(Worse::Either).unwrap();
            assert!(level > 0.0 || votes.largest() <= votes.above_days(), "{block}: {votes:?}");
        }
    }

    #[test]
    fn a_series_goes_the_way_of_its_largest_vote() {
        let (mut drift, hours) = wandered();
        for (block, level) in (2017..).zip([[-1.5; 288].as_slice(), &[1.5; 4]].concat()) {
            drift.update(block, Some(Residual::Level(level)), &[3.0, 1.0, 1.0, 1.0, 1.0], &hours);
        }
        assert!(drift.state_score() < Some(0.0), "over two hours it is still below");
        assert_eq!(drift.direction(), Some(Direction::Up));
        let voted = drift.votes(Worse::Up).map(|votes| votes.largest());
        assert_eq!(voted, Some(drift.last_score(Worse::Up)));
    }

    #[test]
    fn an_accepted_level_is_that_of_the_last_hours_too() {
        let (mut drift, hours) = wandered();
        for block in 2017..2161 {
            drift.update(block, Some(Residual::Level(2.0)), &[1.0; SCALES], &hours);
        }
        drift.accept_level(2.0);
        drift.update(2161, Some(Residual::Level(2.0)), &[1.0; SCALES], &hours);
        assert!(drift.votes(Worse::Up).unwrap().voted().iter().all(|&score| score < 0.2));
    }

    #[test]
    fn a_series_that_becomes_a_level_forgets_its_events() {
        let mut drift = Drift::default();
        let count = Residual::Count { value: 1.0, events: 1.0, expected: 0.5 };
        drift.update(1, Some(count), &[1.0; SCALES], &Hours::default());
        assert!(drift.counts_events());
        drift.update(2, Some(Residual::Level(0.0)), &[1.0; SCALES], &Hours::default());
        assert!(!drift.counts_events());
    }
}
