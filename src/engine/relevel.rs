//! Accepts the level that a deploy left behind, so that a legitimate step is not told for days
//! (METHODS 2.5). On purpose and visibly: every accepted level is in the outcome's report.

use std::collections::BTreeMap;

use super::Engine;
use super::grid::{PER_DAY, PER_HOUR, PER_WEEK, block_of};
use super::outcome::{Accepted, Outcome, Relevelled};
use super::service::{Service, own_load};
use super::track::Tracked;
use crate::series::ChangeKind;
use crate::stats::robust::median;

/// Alarms go on as usual for this long after a deploy: that is when bad ones show.
const WATCHED_BLOCKS: i64 = 6 * PER_HOUR;
/// The deploy itself: restarts and cold caches are no level.
const ROLLOUT_BLOCKS: i64 = PER_HOUR;
/// A level is known from at least this many blocks.
const LEVEL_BLOCKS_MIN: usize = 12;
/// The scale whose spread tells how well a level of a few hours is known: two hours.
const NOISE_SCALE: usize = 3;
/// A step must be this many spreads large, or there is nothing to accept.
const STEP_MIN: f64 = 3.0;
/// What the two halves may differ by, in spreads and as a share of the step: those of a ramp
/// differ by six sevenths of it.
const UNSTEADY_MAX: f64 = 3.0;
/// See [`UNSTEADY_MAX`].
const UNSTEADY_SHARE: f64 = 0.5;

impl Engine {
    /// Moves the slow means of services that deployed at least six hours ago, as soon as none of
    /// their incidents is open. One that was told and has ended had become usual by itself, but
    /// for what would open it again.
    pub(super) fn relevel(&mut self, block: i64, outcome: &mut Outcome) {
        for (name, deployed) in self.newest_deploys(block) {
            let Some(service) = self.state.services.get_mut(&name) else { continue };
            let quiet = service.episodes.back().is_none_or(|&(_, to)| to < block);
            let due = block - deployed >= WATCHED_BLOCKS && service.settled < deployed;
            if !due || !quiet {
                continue;
            }
            service.settled = deployed;
            let service = &self.state.services[&name];
            let steps: Vec<(usize, f64)> = service
                .judged()
                .filter_map(|place| {
                    let tracked = &self.state.tracks.all[place];
                    Some((place, self.new_level(service, tracked, (deployed, block + 1))?))
                })
                .collect();
            for (place, level) in steps {
                let tracked = &mut self.state.tracks.all[place];
                let from = tracked.drift.accept_level(level);
                tracked.levels.forget();
                let series = tracked.series.as_ref().clone();
                let why = Accepted::Deploy;
                outcome.report.relevelled.push(Relevelled { series, from, to: level, why });
            }
        }
    }

    /// The newest deploy of each service in the last week, by its block.
    fn newest_deploys(&self, block: i64) -> BTreeMap<String, i64> {
        let recent = self.state.changes.iter().rev();
        // In order of time: what began long ago is no news, however long it took.
        let recent = recent.take_while(|c| block - block_of(c.at) <= PER_DAY + PER_WEEK);
        let mut newest = BTreeMap::new();
        for change in recent.filter(|change| change.kind == ChangeKind::Deploy) {
            let at = block_of(change.end.unwrap_or(change.at));
            if at <= block && block - at <= PER_WEEK {
                let known = newest.entry(change.service.clone()).or_insert(at);
                *known = at.max(*known);
            }
        }
        newest
    }

    /// The level of a series since a deploy, where that is clearly another one than before and
    /// does not go on moving: a drift never teaches its own baseline.
    fn new_level(
        &self,
        service: &Service,
        tracked: &Tracked,
        (deployed, end): (i64, i64),
    ) -> Option<f64> {
        let noise = tracked.baseline.as_ref()?.sds[NOISE_SCALE];
        let level = |from, to| self.level(service, tracked, (from, to));
        let settled = (deployed + ROLLOUT_BLOCKS).max(end - WATCHED_BLOCKS);
        let middle = i64::midpoint(settled, end);
        let (first, second) = (level(settled, middle)?, level(middle, end)?);
        let before = level(deployed - WATCHED_BLOCKS, deployed)?;
        let after = level(settled, end)?;
        let step = (after - before).abs();
        let unsteady = (second - first).abs();
        let steady = unsteady <= UNSTEADY_MAX * noise && unsteady <= UNSTEADY_SHARE * step;
        (steady && step >= STEP_MIN * noise).then_some(after)
    }

    /// The median residual over a range of blocks, in standard units; none for counts.
    pub(super) fn level(
        &self,
        service: &Service,
        tracked: &Tracked,
        (from, to): (i64, i64),
    ) -> Option<f64> {
        let baseline = tracked.baseline.as_ref()?;
        let slots = self.clock.slots(from, to);
        let loads = service.loads(&self.state.tracks.all, &*self.archive, from, &slots);
        let values = tracked.past(&*self.archive, from, to);
        let mut residuals: Vec<f64> = values
            .into_iter()
            .zip(slots.into_iter().zip(loads))
            .filter_map(|(value, (slot, load))| {
                let load = own_load(tracked, load);
                let residual = value.is_finite().then(|| baseline.residual(value, slot, load))?;
                residual?.level()
            })
            .collect();
        (residuals.len() >= LEVEL_BLOCKS_MIN).then(|| median(&mut residuals))?
    }
}
