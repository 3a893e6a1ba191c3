//! What series did over the weeks that baselines learn from, kept outside the engine's own state.
//!
//! The engine holds the last hours of a series itself. Every [`RUN_BLOCKS`] it hands the run of
//! blocks that is complete to its archive, and asks for runs when it learns. An archive therefore
//! survives a restart on its own, and a snapshot need not hold weeks.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::series::SeriesId;

/// Blocks that are kept together: three hours. Runs lie on one grid for all series, so that an
/// archive on a disk writes them side by side.
#[expect(clippy::cast_possible_wrap, reason = "a few dozen")]
pub const RUN_BLOCKS: i64 = NOTHING.len() as i64;

/// The values of one series over one run of blocks, oldest first; missing blocks are NaN.
pub type Run = [f32; 36];

/// A run without a value.
pub const NOTHING: Run = [f32::NAN; 36];

/// The run in which a block lies.
pub fn run_of(block: i64) -> i64 {
    block.div_euclid(RUN_BLOCKS)
}

/// The first block of a run.
pub fn run_start(run: i64) -> i64 {
    run.saturating_mul(RUN_BLOCKS)
}

/// What series did, run by run.
///
/// # Contract
///
/// A run that was kept is given back as it was, until it is forgotten. After a crash the engine
/// goes on from its snapshot and keeps the runs since then again, with the same values: keeping
/// replaces. A run that was never kept is left out, and so are those that could not be read: then
/// [`Self::problem`] tells, and the engine's state must not be used any further.
pub trait Archive: fmt::Debug + Send {
    /// Keeps one run of several series. Called about once every [`RUN_BLOCKS`], with all series
    /// that had a value.
    fn keep(&mut self, run: i64, series: &mut dyn Iterator<Item = (SeriesId, Run)>);

    /// The runs of one series among `runs`, in order, those that were kept.
    fn runs(&self, series: SeriesId, runs: Range<i64>) -> Vec<(i64, Run)>;

    /// Forgets all runs before this one.
    fn forget(&mut self, before: i64);

    /// What went wrong since this was asked last: a run could not be kept or read.
    fn problem(&mut self) -> Option<ArchiveError>;
}

/// Why an archive could not keep or read a run.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ArchiveError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

/// An archive in memory: for replays, which end before it could be of use to anybody else.
///
/// # Cost
///
/// Four bytes per series and block, and a tenth more.
#[derive(Clone, Debug, Default)]
pub struct MemoryArchive {
    // By run first: forgetting takes whole runs off the front. Within a run in order of series.
    runs: BTreeMap<i64, Vec<(SeriesId, Run)>>,
}

impl MemoryArchive {
    /// What another archive holds of these series among these runs.
    pub fn copy(
        other: &dyn Archive,
        series: impl Iterator<Item = SeriesId>,
        among: Range<i64>,
    ) -> Self {
        let mut runs: BTreeMap<i64, Vec<(SeriesId, Run)>> = BTreeMap::new();
        let mut series: Vec<SeriesId> = series.collect();
        series.sort_unstable();
        for id in series {
            for (run, values) in other.runs(id, among.clone()) {
                runs.entry(run).or_default().push((id, values));
            }
        }
        Self { runs }
    }
}

impl Archive for MemoryArchive {
    fn keep(&mut self, run: i64, series: &mut dyn Iterator<Item = (SeriesId, Run)>) {
        let mut rows: Vec<(SeriesId, Run)> = series.collect();
        // Of two rows of a series the first stays, which is the new one.
        rows.extend(self.runs.remove(&run).unwrap_or_default());
        rows.sort_by_key(|&(id, _)| id);
        rows.dedup_by_key(|&mut (id, _)| id);
        rows.shrink_to_fit();
        self.runs.insert(run, rows);
    }

    fn runs(&self, series: SeriesId, runs: Range<i64>) -> Vec<(i64, Run)> {
        if runs.is_empty() {
            return Vec::new();
        }
        let own = |(&run, rows): (&i64, &Vec<(SeriesId, Run)>)| {
            let place = rows.binary_search_by_key(&series, |&(id, _)| id).ok()?;
            Some((run, rows[place].1))
        };
        self.runs.range(runs).filter_map(own).collect()
    }

    fn forget(&mut self, before: i64) {
        self.runs = self.runs.split_off(&before);
    }

    fn problem(&mut self) -> Option<ArchiveError> {
        None
    }
}
