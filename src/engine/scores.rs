//! How every series stands at the newest tick, for `--scores`.

use super::Engine;
use super::grid::block_of;
use super::outcome::ScoreRow;
use super::vote::vote;

impl Engine {
    /// One row per series that had a value at the newest tick, in order of series.
    pub fn scores(&self) -> Vec<ScoreRow<'_>> {
        let Some(now) = self.state.now else { return Vec::new() };
        let block = block_of(now);
        let slot = self.clock.slot(block);
        let tracks = &self.state.tracks.all;
        let mut rows = Vec::new();
        for service in self.state.services.values() {
            let limit = service.calibration.as_ref().map(|calibration| {
                calibration.unit.a * calibration.threshold(self.rules.budget.notices_per_week)
            });
            let load = service.load_at(tracks, block, slot);
            for tracked in service.members.iter().map(|&place| &tracks[place]) {
                let Some(value) = self.state.tracks.newest(tracked).at(now) else {
                    continue;
                };
                let signal = &self.rules.signals[tracked.signal];
                let strongest =
                    vote(tracked, signal, slot, load).map(|scores| scores.largest().max(0.0));
                rows.push(ScoreRow {
                    series: &tracked.series,
                    value,
                    expected: tracked.baseline.as_ref().and_then(|b| b.expected(slot, load)),
                    residual: tracked.drift.residual(),
                    score: score(limit, strongest),
                });
            }
        }
        rows.sort_by(|a, b| a.series.cmp(b.series));
        rows
    }
}

/// How much a series by itself would be worth telling: `1 - 2^-(r²)`, r being its strongest score
/// over the `limit` at which that alone is a notice of its service. 0.5 at the threshold, 0.94 at
/// twice that; 0 while the service or the series cannot be judged.
pub(super) fn score(limit: Option<f64>, strongest: Option<f64>) -> f64 {
    let ratio = limit.zip(strongest).map_or(0.0, |(limit, strongest)| strongest / limit);
    1.0 - (-(ratio * ratio)).exp2()
}
