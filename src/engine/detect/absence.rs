//! Silence: a service whose signals stop is a finding, never a recovery.

use crate::engine::grid::PER_HOUR;
use crate::engine::history::History;

/// A series counts as expected when it had a value in at least this share of the day before.
const EXPECTED_SHARE: f64 = 0.5;
/// Missing data is judged over this window (METHODS 8.7): three hours.
const WINDOW_BLOCKS: i64 = 3 * PER_HOUR;
/// More than this share missing over the window: the service is silent.
const SHARE_MAX: f64 = 0.5;
/// All series missing for this long: silent at once.
const ALL_BLOCKS: i64 = 3;

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

/// Judges the series of one service at `block`, without those that were not asked for: their
/// silence means nothing.
pub fn presence<'a>(series: impl Iterator<Item = &'a History>, block: i64) -> Presence {
    let mut presence = Presence::default();
    let (mut missing, mut cells, mut all_gone) = (0_i64, 0_i64, true);
    for history in series.filter(|history| expected(history, block)) {
        presence.expected += 1;
        let run = missing_run(history, block);
        if run > 0 {
            presence.missing_now += 1;
        }
        all_gone &= run >= ALL_BLOCKS;
        cells += WINDOW_BLOCKS;
        missing += (0..WINDOW_BLOCKS)
            .filter(|back| history.at(block - back).is_nan())
            .count()
            .try_into()
            .unwrap_or(0);
        let since = block - run + 1;
        if run >= ALL_BLOCKS {
            presence.since = Some(presence.since.map_or(since, |s| s.min(since)));
        }
    }
    let share = if cells == 0 { 0.0 } else { missing as f64 / cells as f64 };
    let gone = all_gone || (share > SHARE_MAX && presence.missing_now > 0);
    presence.silent = presence.expected > 0 && gone;
    presence
}

/// Whether a silence that began at `since` is over at `block`: of the series that used to report
/// before it, at least half do again. Each comes with whether it was asked for; with none that
/// is remembered there is nothing left to wait for.
pub fn is_back<'a>(
    series: impl Iterator<Item = (&'a History, bool)>,
    since: i64,
    block: i64,
) -> bool {
    let (mut before, mut again) = (0_usize, 0_usize);
    for (history, asked) in series.filter(|(history, _)| reported_before(history, since)) {
        before += 1;
        again += usize::from(asked && !history.at(block).is_nan());
    }
    again as f64 >= (1.0 - SHARE_MAX) * before as f64
}

/// Whether a series that is missing at `block` reported until lately: its absence is no answer.
pub fn is_missed(history: &History, block: i64) -> bool {
    history.at(block).is_nan() && expected(history, block)
}

/// Whether a series used to report before a silence that began at `since`.
pub fn reported_before(history: &History, since: i64) -> bool {
    expected(history, since - 1 + WINDOW_BLOCKS)
}

/// Whether a series reported on the day before the window.
fn expected(history: &History, block: i64) -> bool {
    let from = block - WINDOW_BLOCKS - 24 * PER_HOUR;
    let present =
        (from..block - WINDOW_BLOCKS).step_by(6).filter(|&b| !history.at(b).is_nan()).count();
    present as f64 >= EXPECTED_SHARE * (24 * PER_HOUR / 6) as f64
}

/// How many blocks in a row are missing up to and including `block`, at most the window.
fn missing_run(history: &History, block: i64) -> i64 {
    (0..WINDOW_BLOCKS)
        .take_while(|back| history.at(block - back).is_nan())
        .count()
        .try_into()
        .unwrap_or(0)
}
