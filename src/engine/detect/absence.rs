//! Silence: a service whose signals stop is a finding, never a recovery.

use crate::engine::grid::PER_HOUR;
use crate::engine::history::History;

/// A series counts as expected when it had a value in at least this share of the day before.
const EXPECTED_SHARE: f64 = 0.5;
/// Of that day every fifth block is looked at: what goes wrong by the clock, at every full hour,
/// must not decide.
const SAMPLED_EVERY: usize = 5;
/// Blocks of that day.
#[expect(clippy::cast_possible_truncation, reason = "a few hundred")]
const DAY: usize = 24 * PER_HOUR as usize;
/// Those of them that are looked at: the lowest bit is the newest block.
const SAMPLED: [u64; DAY.div_ceil(64)] = sampled();
/// Missing data is judged over this window (METHODS 8.7): three hours.
const WINDOW_BLOCKS: i64 = 3 * PER_HOUR;
/// More than this share missing over the window: the service is silent.
const SHARE_MAX: f64 = 0.5;
/// All series missing for this long: silent at once, unless longer gaps are a habit.
pub const ALL_BLOCKS: i64 = 3;
/// From this many gaps in the history on they are a habit.
const HABIT_MIN: usize = 3;

/// How much of a service can be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Presence {
    /// Series that used to report.
    pub expected: usize,
    /// Of these, how many are missing at this block.
    pub missing_now: usize,
    /// True when the service must be called silent.
    pub silent: bool,
    /// Since which block nothing (or too little) came.
    pub since: Option<i64>,
}

/// How long a service may be silent before it is told, learned from when it was: a quarter longer
/// than its second longest gap where gaps are a habit, three hours at most. The longest may have
/// been a real outage. `seen` says for each block
/// whether any series reported.
pub fn patience(seen: &[bool]) -> i64 {
    let from = seen.iter().position(|&seen| seen).unwrap_or(seen.len());
    let gaps = seen[from..].split(|&seen| seen).map(<[bool]>::len);
    let mut gaps: Vec<i64> = gaps
        .filter_map(|blocks| i64::try_from(blocks).ok())
        .filter(|&blocks| blocks >= ALL_BLOCKS)
        .collect();
    gaps.sort_unstable();
    match gaps[..] {
        [.., second, _] if gaps.len() >= HABIT_MIN => (second * 5 / 4 + 1).min(WINDOW_BLOCKS),
        _ => ALL_BLOCKS,
    }
}

/// Judges the series of one service at `block`, each with the block since which it was asked for
/// without a break: silence to a question that nobody asked means nothing. Without those that
/// were not asked for now. `patience` is how many blocks without any series are told.
pub fn presence<'a>(
    series: impl Iterator<Item = (&'a History, i64)>,
    block: i64,
    patience: i64,
) -> Presence {
    let mut presence = Presence::default();
    let (mut missing, mut cells, mut all_gone, mut longest) = (0_i64, 0_i64, true, 0);
    for (history, asked_from) in series.filter(|(history, _)| expected(history, block)) {
        presence.expected += 1;
        let asked = (block.saturating_sub(asked_from).saturating_add(1)).clamp(0, WINDOW_BLOCKS);
        let missed = !history.presence(block) & ((1 << asked) - 1);
        let run = i64::from(missed.trailing_ones());
        if run > 0 {
            presence.missing_now += 1;
        }
        all_gone &= run >= patience;
        longest = longest.max(run);
        cells += WINDOW_BLOCKS;
        missing += i64::from(missed.count_ones());
        let since = block - run + 1;
        if run >= ALL_BLOCKS {
            presence.since = Some(presence.since.map_or(since, |s| s.min(since)));
        }
    }
    let share = if cells == 0 { 0.0 } else { missing as f64 / cells as f64 };
    // A gap within what is usual says nothing, however much of the window it takes.
    let usual = patience > ALL_BLOCKS && longest < patience;
    let gone = all_gone || (share > SHARE_MAX && presence.missing_now > 0 && !usual);
    presence.silent = presence.expected > 0 && gone;
    presence
}

/// Whether a silence is over at `block`: of the series that used to report before it, which are
/// given, at least half do again. Each comes with whether it was asked for; with none that is
/// remembered there is nothing left to wait for.
pub fn is_back<'a>(series: impl Iterator<Item = (&'a History, bool)>, block: i64) -> bool {
    let (mut before, mut again) = (0_usize, 0_usize);
    for (history, asked) in series {
        before += 1;
        again += usize::from(asked && history.is_present(block));
    }
    again as f64 >= (1.0 - SHARE_MAX) * before as f64
}

/// Whether a series that is missing at `block` reported until lately: its absence is no answer.
pub fn is_missed(history: &History, block: i64) -> bool {
    !history.is_present(block) && expected(history, block)
}

/// How many of these series, all of one signal and service, have taken the place of others: they
/// report at `block` and did not before. A renamed label is no silence.
pub fn newcomers<'a>(series: impl Iterator<Item = &'a History>, block: i64) -> usize {
    series.filter(|history| history.is_present(block) && !expected(history, block)).count()
}

/// Whether a series used to report before a silence that began at `since`. Can be told until five
/// hours after that.
pub fn reported_before(history: &History, since: i64) -> bool {
    expected(history, since - 1 + WINDOW_BLOCKS)
}

/// Whether a series reported on the day before the window.
fn expected(history: &History, block: i64) -> bool {
    let newest = block - WINDOW_BLOCKS - 1;
    let words = SAMPLED.iter().zip((0..).map(|word| history.presence(newest - 64 * word)));
    let present: u32 = words.map(|(sampled, present)| (sampled & present).count_ones()).sum();
    f64::from(present) >= EXPECTED_SHARE * DAY.div_ceil(SAMPLED_EVERY) as f64
}

/// Every [`SAMPLED_EVERY`]th block of a day, from its oldest on.
const fn sampled() -> [u64; DAY.div_ceil(64)] {
    let mut words = [0; DAY.div_ceil(64)];
    let mut block = 0;
    while block < DAY {
        let back = DAY - 1 - block;
        words[back / 64] |= 1 << (back % 64);
        block += SAMPLED_EVERY;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_a_habit_from_the_third_on_and_three_hours_are_always_told() {
        let with = |gaps: &[usize]| {
            let mut seen = vec![false; 50];
            for &gap in gaps {
                seen.extend([true; 100]);
                seen.extend(vec![false; gap]);
            }
            seen.push(true);
            patience(&seen)
        };
        assert_eq!(with(&[]), ALL_BLOCKS);
        assert_eq!(with(&[20, 20]), ALL_BLOCKS, "two are no habit");
        assert_eq!(with(&[2, 2, 2, 2]), ALL_BLOCKS, "these were never told");
        assert_eq!(with(&[8, 20, 12]), 16);
        assert_eq!(with(&[8, 200, 12]), 16, "one may have been an outage");
        assert_eq!(with(&[200, 200, 12]), 36);
        assert_eq!(patience(&[false; 10]), ALL_BLOCKS);
    }
}
