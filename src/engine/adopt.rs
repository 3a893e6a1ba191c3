//! Rules that change while the engine lives on: what a changed query gave before is forgotten, and
//! what it gives is learned from the backend's past by an engine of its own, whose series this
//! one then takes in. Everything else keeps its baselines.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::archive::{NOTHING, Run, run_of};
use super::grid::{PER_DAY, block_of, block_start, blocks_in};
use crate::rules::Signal;
use crate::series::{SeriesId, stable_hash};
use crate::time::Timestamp;

/// What the values of each signal are, by name: a hash of all that decides about them.
pub(super) type Definitions = BTreeMap<String, u128>;

/// The definitions of signals.
pub(super) fn definitions(signals: &[Signal]) -> Definitions {
    signals.iter().map(|signal| (signal.name.clone(), definition(signal))).collect()
}

/// A hash of what decides about the values of a signal. What they are judged by (scale, effect,
/// limit, the direction that hurts) is not in it: that is learned anew from the same values.
fn definition(signal: &Signal) -> u128 {
    let Signal { query, service, peer, dependency, split, min_traffic, delay, .. } = signal;
    // Derived texts: stable between runs, and every field of the tuple is told apart.
    stable_hash(&[&format!("{:?}", (query, service, peer, dependency, split, min_traffic, delay))])
}

impl Engine {
    /// Names of signals in the rules whose past the engine never saw: they came, or their values
    /// changed, since the snapshot from which it was restored. In order.
    pub fn strangers(&self) -> BTreeSet<String> {
        let signals = self.rules.signals.iter().map(|signal| signal.name.clone());
        signals.filter(|name| !self.state.definitions.contains_key(name)).collect()
    }

    /// When the first block begins that is not closed; none before the first tick. An engine whose
    /// series are to be adopted learns up to here.
    pub fn open_since(&self) -> Option<Timestamp> {
        let now = self.state.now?;
        Some(block_start(self.state.open_block.unwrap_or_else(|| block_of(now) + 1)))
    }

    /// Forgets what signals gave that mean something else now, and remembers which ones the engine
    /// still knows.
    pub(super) fn forget_changed(&mut self) {
        let now = definitions(&self.rules.signals);
        let known = &mut self.state.definitions;
        let before = known.len();
        known.retain(|name, definition| now.get(name) == Some(definition));
        let all = &mut self.state.tracks.all;
        all.retain(|tracked| known.contains_key(&tracked.series.signal));
        if known.len() < before || known.len() < now.len() {
            // The services are judged by other series from now on.
            self.state.learned = false;
        }
    }

    /// Takes in the series of an engine that has learned the [`Self::strangers`], and nothing else,
    /// up to [`Self::open_since`]; none when their past cannot be had, so that they begin without.
    /// Series beyond the limit are left out. All services are learned anew when the next block
    /// closes. Cost: O(series · history) of what is adopted.
    pub fn adopt(&mut self, other: Option<Self>) {
        if let Some(other) = other {
            self.take_runs(&other);
            self.state.tracks.adopt(other.state.tracks);
        }
        self.state.definitions = definitions(&self.rules.signals);
        self.state.tracks.retain_known(&self.rules.signals);
        self.state.learned = false;
    }

    /// Copies what the other's archive holds over what this one's may hold of the same series.
    fn take_runs(&mut self, other: &Self) {
        let Some(now) = self.state.now.map(block_of) else { return };
        let from = now - blocks_in(self.settings.history) - 2 * PER_DAY;
        let range = run_of(from)..run_of(now) + 1;
        let mut rows: BTreeMap<i64, Vec<(SeriesId, Run)>> = BTreeMap::new();
        for tracked in &other.state.tracks.all {
            let id = tracked.series.id;
            let old =
                self.archive.runs(id, range.clone()).into_iter().map(|(run, _)| (run, NOTHING));
            let mut runs: BTreeMap<i64, Run> = old.collect();
            runs.extend(other.archive.runs(id, range.clone()));
            for (run, values) in runs {
                rows.entry(run).or_default().push((id, values));
            }
        }
        for (run, rows) in rows {
            self.archive.keep(run, &mut rows.into_iter());
        }
    }
}
