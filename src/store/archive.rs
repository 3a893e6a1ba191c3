//! The engine's archive in the state file: weeks of block values, a row per series and run.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::OnceLock;

use rusqlite::{Connection, TransactionBehavior, params};

use super::{Store, StoreError, open};
use crate::engine::archive::{Archive, ArchiveError, NOTHING, Run};
use crate::series::SeriesId;

/// Bytes of a block value.
const WIDTH: usize = size_of::<f32>();

/// The archive of a state file, over a connection of its own.
///
/// A run is written in one transaction before the snapshot that relies on it, so that a snapshot
/// never stands without the runs before it. Its commits are not synchronised one by one: that of
/// the next snapshot, which is, takes them along, since both are in one write-ahead log.
///
/// # Cost
///
/// 5.4 bytes per series and block on the disk. Learning asks for some two hundred rows per series
/// and four weeks, wherever they lie.
#[derive(Debug)]
pub struct StoreArchive {
    connection: Connection,
    path: PathBuf,
    /// The first error since it was asked for.
    problem: OnceLock<StoreError>,
}

impl Store {
    /// The archive in this file, to be used beside the store and no longer than it.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened again.
    pub fn archive(&self) -> Result<StoreArchive, StoreError> {
        let path = self.path.clone();
        match open::connect_archive(&path) {
            Ok(connection) => Ok(StoreArchive { connection, path, problem: OnceLock::new() }),
            Err(source) => Err(StoreError::Sqlite { attempt: "open the archive", path, source }),
        }
    }
}

impl StoreArchive {
    /// Forgets everything: the state that it belongs to cannot be used.
    ///
    /// # Errors
    ///
    /// When the disk or SQLite refuses; then nothing was forgotten.
    pub fn clear(&mut self) -> Result<(), StoreError> {
        let cleared = self.connection.execute("DELETE FROM archive", []);
        cleared.map(drop).map_err(|source| self.failed("empty the archive", source))
    }

    fn failed(&self, attempt: &'static str, source: rusqlite::Error) -> StoreError {
        StoreError::Sqlite { attempt, path: self.path.clone(), source }
    }

    /// The value, or nothing and a problem to be told.
    fn noted<T>(&self, attempt: &'static str, result: rusqlite::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(source) => {
                self.problem.get_or_init(|| self.failed(attempt, source));
                None
            }
        }
    }

    fn insert(
        &mut self,
        run: i64,
        series: &mut dyn Iterator<Item = (SeriesId, Run)>,
    ) -> rusqlite::Result<()> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert =
                tx.prepare_cached("INSERT OR REPLACE INTO archive VALUES (?1, ?2, ?3)")?;
            for (id, values) in series {
                insert.execute(params![run, key(id), bytes_of(&values)])?;
            }
        }
        tx.commit()
    }

    fn select(&self, series: SeriesId, runs: Range<i64>) -> rusqlite::Result<Vec<(i64, Run)>> {
        // A look-up per run: all rows between the first and the last would be everybody's.
        self.connection
            .prepare_cached(
                "WITH RECURSIVE asked (run) AS
                    (SELECT ?1 WHERE ?1 < ?2 UNION ALL SELECT run + 1 FROM asked WHERE run + 1 < ?2)
                 SELECT run, blocks FROM asked CROSS JOIN archive USING (run) WHERE series = ?3",
            )?
            .query_map(params![runs.start, runs.end, key(series)], |row| {
                let values = run_of_bytes(row.get_ref(1)?.as_blob()?);
                Ok((row.get(0)?, values.ok_or_else(damaged)?))
            })?
            .collect()
    }
}

impl Archive for StoreArchive {
    fn keep(&mut self, run: i64, series: &mut dyn Iterator<Item = (SeriesId, Run)>) {
        let kept = self.insert(run, series);
        self.noted("keep what series did", kept);
    }

    fn runs(&self, series: SeriesId, runs: Range<i64>) -> Vec<(i64, Run)> {
        self.noted("read what series did", self.select(series, runs)).unwrap_or_default()
    }

    fn forget(&mut self, before: i64) {
        let forgotten = self.connection.execute("DELETE FROM archive WHERE run < ?1", [before]);
        self.noted("forget what series did long ago", forgotten);
    }

    fn problem(&mut self) -> Option<ArchiveError> {
        self.problem.take().map(|problem| ArchiveError(Box::new(problem)))
    }
}

/// Big endian, so that rows lie in the order of ids.
fn key(series: SeriesId) -> [u8; 16] {
    series.0.to_be_bytes()
}

fn bytes_of(values: &Run) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// None when these are not the bytes of a run.
fn run_of_bytes(bytes: &[u8]) -> Option<Run> {
    let (values, rest) = bytes.as_chunks::<WIDTH>();
    if values.len() != NOTHING.len() || !rest.is_empty() {
        return None;
    }
    let mut run = NOTHING;
    for (value, bytes) in run.iter_mut().zip(values) {
        *value = f32::from_le_bytes(*bytes);
    }
    Some(run)
}

/// A row of another length than a run's.
fn damaged() -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(1, "blocks".to_owned(), rusqlite::types::Type::Blob)
}
