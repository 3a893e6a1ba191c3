//! What the source did so far, for the metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::SourceError;

/// What the source did since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Queries sent, further attempts included.
    pub requests: u64,
    /// Bytes of answers, after decompression.
    pub bytes: u64,
    /// Requests that failed, by [`SourceError::class`].
    pub failures: BTreeMap<&'static str, u64>,
}

/// Counters that several requests write at the same time. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counting(Arc<Mutex<Counters>>);

impl Counting {
    /// Counts one request by its outcome.
    pub(crate) fn count<T>(&self, bytes: usize, outcome: &Result<T, SourceError>) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.requests += 1;
        counters.bytes += bytes as u64;
        if let Err(error) = outcome {
            *counters.failures.entry(error.class()).or_default() += 1;
        }
    }

    /// The counters now.
    pub fn read(&self) -> Counters {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
