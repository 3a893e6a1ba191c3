//! How near a service is to being told, and by what: for those who ask why something was missed.

use std::collections::BTreeSet;

use super::Engine;
use super::detect::budget::Standing;
use super::grid::{BLOCK, block_start};
use super::service::Service;
use super::vote::vote;
use crate::series::Labels;
use crate::time::Timestamp;

/// Signals told of one service.
pub const VOICES_MAX: usize = 3;

/// One service at the newest closed block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stand {
    /// How far beyond the thresholds in force it is: 1 is told.
    pub standing: Standing,
    /// The signals that say most, the loudest first; at most [`VOICES_MAX`].
    pub voices: Vec<Voice>,
}

/// What one series says.
#[derive(Clone, Debug, PartialEq)]
pub struct Voice {
    /// Name of the signal.
    pub signal: String,
    /// The labels that tell the series from its siblings.
    pub labels: Labels,
    /// Its score as a share of what alone makes a notice.
    pub share: f64,
    /// Held back, because the move is smaller than the signal's `min_effect`.
    pub is_small: bool,
}

impl Engine {
    /// The end of the newest block that was judged; none before the first.
    pub fn judged_until(&self) -> Option<Timestamp> {
        self.newest().map(|(block, _)| block_start(block) + BLOCK)
    }

    /// How a service stands at the newest closed block; none while it cannot be judged. Cost:
    /// O(series of the service).
    pub fn stand(&self, service: &str) -> Option<Stand> {
        let standing = self.standing(service)?;
        let service = self.state.services.get(service)?;
        let standing = self.controlled(service, standing);
        let mut voices = self.voices(service).unwrap_or_default();
        voices.sort_by(|a, b| {
            let key = |voice: &Voice| (voice.signal.clone(), voice.labels.clone());
            b.share.total_cmp(&a.share).then_with(|| key(a).cmp(&key(b)))
        });
        voices.truncate(VOICES_MAX);
        Some(Stand { standing, voices })
    }

    /// Services that call this one or that it calls.
    pub fn neighbours(&self, service: &str) -> BTreeSet<String> {
        self.state.graph.neighbours(service)
    }

    fn voices(&self, service: &Service) -> Option<Vec<Voice>> {
        let (block, slot) = self.newest()?;
        let calibration = service.calibration.as_ref()?;
        let factor = self.state.notices.factor() * service.notices.factor();
        let limit =
            factor * calibration.unit.a * calibration.threshold(self.rules.budget.notices_per_week);
        let tracks = &self.state.tracks.all;
        let load = service.load_at(tracks, block, slot);
        let voice = |place: usize| {
            let tracked = &tracks[place];
            let signal = &self.rules.signals[tracked.signal];
            let largest = |scores: &[f64]| scores.iter().copied().fold(0.0, f64::max);
            let votes = largest(&vote(tracked, signal, slot, load)?);
            let moved = largest(&tracked.drift.scores(signal.worse)?);
            let labels = tracked.series.labels.clone();
            let share = votes.max(moved) / limit;
            let is_small = votes < moved;
            Some(Voice { signal: tracked.series.signal.clone(), labels, share, is_small })
        };
        Some(service.judged().filter_map(voice).filter(|voice| voice.share > 0.0).collect())
    }
}
