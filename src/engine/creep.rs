//! Once a week per service: which of its series crept toward worse over the last weeks. A line for
//! the digest, and never an incident (METHODS 2.12).

use super::Engine;
use super::archive::Archive;
use super::detect::creep::{WEEKS_MAX, crept_since, level, spread};
use super::grid::{PER_WEEK, block_start};
use super::outcome::{Crept, Outcome};
use super::track::Tracked;
use crate::rules::Signal;
use crate::series::ChangeKind;
use crate::stats::robust::median;

/// Weeks that are compared.
#[expect(clippy::cast_possible_wrap, reason = "five")]
const WEEKS: i64 = WEEKS_MAX as i64;

impl Engine {
    /// Compares the last week with those before it, for the services whose turn it is.
    pub(super) fn creep(&mut self, block: i64, outcome: &mut Outcome) {
        let turn = |name: &str| (block + super::stagger(name)).rem_euclid(PER_WEEK);
        let due: Vec<String> =
            self.state.services.keys().filter(|name| turn(name) == 0).cloned().collect();
        for name in due {
            let deployed = self.deployed_weeks(&name, block);
            // What is told already needs no second line.
            let told = self.state.incidents.iter().any(|i| i.services.contains(&name));
            for &place in &self.state.services[&name].members {
                let tracked = &mut self.state.tracks.all[place];
                let signal = &self.rules.signals[tracked.signal];
                if tracked.role.is_context() {
                    continue;
                }
                remember(tracked, &*self.archive, block + 1);
                if !told {
                    let found = crept((tracked, signal), &*self.archive, block + 1, &deployed);
                    outcome.report.crept.extend(found);
                }
            }
        }
    }

    /// For each step from week to week, oldest first, whether the service was deployed in it.
    fn deployed_weeks(&self, service: &str, block: i64) -> Vec<bool> {
        let deploys = || {
            let all = self.state.changes.iter();
            all.filter(|c| c.kind == ChangeKind::Deploy && c.service == service)
        };
        (1..WEEKS)
            .rev()
            .map(|back| {
                // A deploy moves the level of its own week and, from there, of the next.
                let from = block_start(block + 1 - (back + 1) * PER_WEEK);
                let to = block_start(block + 1 - (back - 1) * PER_WEEK);
                deploys().any(|change| from <= change.at && change.at < to)
            })
            .collect()
    }
}

/// Adds the week that ends before `end`; at first, every week that the history holds.
fn remember(tracked: &mut Tracked, archive: &dyn Archive, end: i64) {
    let weeks = if tracked.levels.is_empty() { WEEKS } else { 1 };
    for back in (0..weeks).rev() {
        let to = end - back * PER_WEEK;
        let found = level(&tracked.past(archive, to - PER_WEEK, to));
        tracked.levels.push(to, found);
    }
}

fn crept(
    (tracked, signal): (&Tracked, &Signal),
    archive: &dyn Archive,
    end: i64,
    deployed: &[bool],
) -> Option<Crept> {
    let transform = tracked.baseline.as_ref()?.transform;
    let levels = tracked.levels.known();
    let weeks = levels.len().checked_sub(1)?;
    let compared: Vec<f64> = levels.iter().map(|&x| transform.forward(x)).collect();
    let week = |back: i64| -> Vec<f64> {
        let to = end - back * PER_WEEK;
        let values = tracked.past(archive, to - PER_WEEK, to);
        values.into_iter().map(|x| transform.forward(x)).collect()
    };
    let spread = spread(&week(0), &week(1))?.max(transform.spread_floor(median(&mut week(0))?));
    let deployed = &deployed[deployed.len() - weeks.min(deployed.len())..];
    let since = crept_since(&compared, spread, signal.worse, deployed)?;
    let (from, to) = (levels[since], *levels.last()?);
    let moved = (to - from).abs();
    let effect = signal.min_effect;
    let matters = moved >= effect.absolute && moved >= effect.relative * from.abs();
    matters.then(|| Crept {
        series: tracked.series.as_ref().clone(),
        from,
        to,
        weeks: weeks - since,
        unit: signal.unit.clone(),
    })
}
