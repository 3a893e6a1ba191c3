//! What people say about incidents, and what comes of it: controllers take their turns back,
//! expected levels become normal, habits stay notices. What it teaches about causes is computed
//! in `experience`.

use std::collections::BTreeMap;

use super::Engine;
use super::correlate::{Finding, WEAK_MIN};
use super::detect::budget::Standing;
use super::detect::drift::Direction;
use super::diagnose::Diagnosis;
use super::grid::{PER_HOUR, block_of, block_start};
use super::incidents::loudest;
use super::lifecycle::Onset;
use super::maintenance::Planned;
use super::outcome::{Accepted, Outcome, Relevelled};
use super::past::{Judged, Pattern, Way};
use crate::series::{Feedback, Verdict};
use crate::time::Timestamp;

/// A habit is told as loudly as anything else once it stands this many times as high as it ever
/// did when it was called no trouble.
const HABIT_BROKEN: f64 = 1.5;
/// An expected level is taken from at most this many of the newest blocks: two hours.
const LEVEL_BLOCKS: i64 = 2 * PER_HOUR;

impl Engine {
    /// Number of the newest feedback that was used: what drives the engine hands over what is
    /// newer. It is part of the snapshot, so that after a crash none is used twice or lost.
    pub fn feedback_seen(&self) -> i64 {
        self.state.feedback_seen
    }

    /// Takes in what people said. Feedback that was used before, and such on incidents that are
    /// no longer remembered, changes nothing.
    pub(super) fn heed(&mut self, feedback: &[Feedback]) {
        for word in feedback {
            if word.number <= self.state.feedback_seen {
                continue;
            }
            self.state.feedback_seen = word.number;
            let open = self.state.incidents.iter_mut().find(|i| i.id == word.incident);
            let (judged, charges) = if let Some(incident) = open {
                incident.accepts = word.verdict == Verdict::Expected;
                (&mut incident.judged, &mut incident.charges)
            } else if let Some(ended) = self.state.past.find(&word.incident) {
                (&mut ended.judged, &mut ended.charges)
            } else {
                continue;
            };
            Judged::hear(judged, word);
            if word.verdict == Verdict::Useful {
                let charges = std::mem::take(charges);
                self.absolve(charges);
            }
        }
    }

    /// Writes down where services begin to stir.
    pub(super) fn follow_stirs(
        &mut self,
        standings: &BTreeMap<String, Standing>,
        planned: &Planned,
        at: (i64, u16),
    ) {
        let mut begun = Vec::new();
        for (name, standing) in standings.iter().filter(|(name, _)| !planned.has(name)) {
            let Some(service) = self.state.services.get_mut(name) else { continue };
            if service.stirs.follow(at.0, standing.notice) {
                begun.push(name);
            }
        }
        for name in begun {
            let found = self.found(name, at, WEAK_MIN);
            let onset = Onset::of(&found, block_start(at.0 + 1));
            if let Some(service) = self.state.services.get_mut(name) {
                service.stirs.begin(block_of(onset.at));
            }
        }
    }

    /// Sees whether people have called what looks like this incident no trouble, again and again.
    pub(super) fn recognise(
        &mut self,
        place: usize,
        named: Option<&Diagnosis>,
        standings: &BTreeMap<String, Standing>,
        now: Timestamp,
    ) {
        let incident = &mut self.state.incidents[place];
        let standing = loudest(incident, standings, |s| s.notice);
        // Near the onset; what was told later is frozen.
        incident.show(standing, named.map(|named| &named.trace.pattern));
        let root = &named.map_or(&incident.diagnosis.trace, |named| &named.trace).root;
        let habit = self.state.past.habit(root, &incident.look, !incident.is_late(now));
        let habit = habit.filter(|habit| incident.peak <= HABIT_BROKEN * habit.peak);
        incident.habit = habit.map(|habit| habit.times);
    }

    /// What moved, and what fell silent of these services, by service and role.
    pub(super) fn pattern_of(
        &self,
        found: &[Finding],
        silent: &[&String],
        at: (i64, u16),
    ) -> Pattern {
        let tracks = &self.state.tracks.all;
        let strongest = found.iter().map(|finding| finding.score).fold(0.0, f64::max);
        let moved = found.iter().map(|finding| {
            let tracked = &tracks[finding.place];
            let way = match finding.direction {
                Direction::Up => Way::Up,
                Direction::Down => Way::Down,
            };
            ((tracked.series.service.clone(), tracked.role, way), finding.score / strongest)
        });
        let services = silent.iter().filter_map(|name| self.state.services.get(*name));
        let silent = services
            .flat_map(|service| service.silenced(tracks, at.0))
            .map(|tracked| ((tracked.series.service.clone(), tracked.role, Way::Silent), 1.0));
        let mut pattern = Pattern::new();
        for (moved, weight) in moved.chain(silent) {
            let strongest = pattern.entry(moved).or_insert(weight);
            *strongest = strongest.max(weight);
        }
        pattern
    }

    /// Accepts the levels of incidents that somebody expects as the new normal, on purpose and
    /// visibly, as soon as they have lasted for long enough to be known.
    pub(super) fn accept_expected(&mut self, at: (i64, u16), outcome: &mut Outcome) {
        for place in 0..self.state.incidents.len() {
            let incident = &self.state.incidents[place];
            if !incident.accepts {
                continue;
            }
            let end = at.0 + 1;
            let from = block_of(incident.onset).max(end - LEVEL_BLOCKS);
            let levels: Vec<(usize, f64)> = self
                .evidence_in(incident, at)
                .iter()
                .filter_map(|finding| {
                    let tracked = &self.state.tracks.all[finding.place];
                    let service = self.state.services.get(&tracked.series.service)?;
                    Some((finding.place, self.level(service, tracked, (from, end))?))
                })
                .collect();
            if levels.is_empty() {
                continue;
            }
            self.state.incidents[place].accepts = false;
            for (place, level) in levels {
                let tracked = &mut self.state.tracks.all[place];
                let before = tracked.drift.accept_level(level);
                tracked.levels.forget();
                let series = tracked.series.as_ref().clone();
                let why = Accepted::Expected;
                outcome.report.relevelled.push(Relevelled { series, from: before, to: level, why });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::lifecycle::{Incident, Kind};
    use std::sync::Arc;

    use jiff::tz::TimeZone;

    use super::*;
    use crate::engine::Settings;
    use crate::engine::controllers::Counted;
    use crate::engine::detect::budget::Servo;
    use crate::engine::past::Ended;
    use crate::engine::past::tests::ended;
    use crate::engine::service::Service;
    use crate::rules::Rules;
    use crate::time::Span;

    fn engine() -> Engine {
        let rules = Arc::new(Rules::default());
        let settings = Settings {
            interval: Span::MINUTE,
            history: Span::WEEK,
            timezone: TimeZone::UTC,
            alerts_from: Timestamp::from_secs(0),
            pages_url: None,
            source_url: None,
        };
        let mut engine = Engine::new(rules.clone(), settings);
        engine.state.services.insert("shop".to_owned(), Service::new(&rules.budget));
        engine
    }

    /// The controllers of the fleet and of the service, for notices and alerts.
    fn controllers(engine: &Engine) -> [Servo; 4] {
        let (state, shop) = (&engine.state, &engine.state.services["shop"]);
        [state.notices, state.alerts, shop.notices, shop.alerts]
    }

    fn word(number: i64, incident: &str, verdict: Verdict) -> Feedback {
        let at = Timestamp::from_secs(0);
        Feedback { number, at, incident: incident.to_owned(), verdict, cause: None }
    }

    #[test]
    fn what_was_right_to_tell_is_taken_off_the_controllers_once() {
        for is_over in [false, true] {
            let mut engine = engine();
            let usual = controllers(&engine);
            let notice = engine.count("shop", Counted::Notice);
            let alert = engine.count("shop", Counted::Alert);
            let counted = controllers(&engine);
            assert!(
                usual.iter().zip(counted).all(|(before, after)| after.factor() > before.factor())
            );
            let charges = [Some(notice), Some(alert)];
            let id = if is_over {
                engine.state.past.remember(Ended { charges, ..ended(3, None) });
                "shop-3".to_owned()
            } else {
                let at = Timestamp::from_secs(1_772_409_600);
                let onset = Onset { at, range: [at, at] };
                let mut incident = Incident::open(Kind::Drift, "shop", onset, at);
                incident.charges = charges;
                let id = incident.id.clone();
                engine.state.incidents.push(incident);
                id
            };
            engine.heed(&[word(3, &id, Verdict::Duplicate), word(4, &id, Verdict::False)]);
            engine.heed(&[word(5, &id, Verdict::Expected), word(6, "gone", Verdict::Useful)]);
            assert_eq!(controllers(&engine), counted, "these stay counted");
            engine.heed(&[word(6, &id, Verdict::Useful)]);
            assert_eq!(controllers(&engine), counted, "that number was used");
            engine.heed(&[word(7, &id, Verdict::Useful), word(8, &id, Verdict::Useful)]);
            let near = |(a, b): (&Servo, Servo)| (a.factor() - b.factor()).abs() < 1e-12;
            assert!(usual.iter().zip(controllers(&engine)).all(near), "{is_over}");
            assert_eq!(engine.feedback_seen(), 8);
        }
    }
}
