//! An archive that outlives its engine.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use grayflag::engine::archive::{Archive, ArchiveError, MemoryArchive, Run};
use grayflag::series::SeriesId;

/// One archive of two engines, as a state file is that of a process and of the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<MemoryArchive>>);

impl Archive for Shared {
    fn keep(&mut self, run: i64, series: &mut dyn Iterator<Item = (SeriesId, Run)>) {
        self.0.lock().unwrap().keep(run, series);
    }

    fn runs(&self, series: SeriesId, runs: Range<i64>) -> Vec<(i64, Run)> {
        self.0.lock().unwrap().runs(series, runs)
    }

    fn forget(&mut self, before: i64) {
        self.0.lock().unwrap().forget(before);
    }

    fn problem(&mut self) -> Option<ArchiveError> {
        None
    }
}
