//! What users feel of an incident.

use std::collections::BTreeSet;

use super::Engine;
use super::alert::{Severity, State};
use super::baseline::Load;
use super::forecast::objective;
use super::lifecycle::Incident;
use super::service::Service;
use super::track::Tracked;
use super::vote::matters;
use crate::engine::diagnose::{FELT, MOVED_MIN};
use crate::format;
use crate::rules::{Role, Worse};

/// Users are affected when this many blocks in a row are beyond the objective: a quarter hour.
const AFFECTED_BLOCKS: usize = 3;
/// Facts in the line about users, at most.
const FACTS_MAX: usize = 3;
/// Services whose users can be reached from an incident, at most; a cycle of calls ends too.
const FRONT_MAX: usize = 1_000;

/// What one series of a service that users face shows.
struct Felt {
    /// Beyond what users notice, or else moved: what is told first.
    rank: Rank,
    text: String,
}

/// What is said of users who feel nothing, or less than before.
fn unaffected(over: bool, was: bool, now: &str) -> String {
    match (over, was) {
        (true, true) => "were affected; at the end".to_owned(),
        (true, false) => "not affected at the end".to_owned(),
        (false, true) => format!("affected before, {now} now"),
        (false, false) => "not affected yet".to_owned(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Beyond what users notice, for a quarter hour.
    Beyond,
    /// So now, and not yet for long.
    Reached,
    Moved,
    Usual,
}

impl Engine {
    /// Whether a service's users are beyond what they would notice, for a quarter of an hour.
    /// Where the user set no objective, only services that nobody calls are taken to face users.
    pub(super) fn users_affected(&self, name: &str, block: i64) -> bool {
        let Some(service) = self.state.services.get(name) else { return false };
        self.faces_users(name)
            && service
                .members
                .iter()
                .map(|&place| &self.state.tracks.all[place])
                .any(|tracked| self.beyond(service, tracked, block) >= AFFECTED_BLOCKS)
    }

    /// Whether users are affected by an incident, and by what that is known, from the services
    /// that users face: those of the incident, and those that call it. Of an incident that is over
    /// it says whether they were, as far as its own services showed it. Cost: O(calls · services).
    pub(super) fn users(&self, incident: &Incident, state: State, at: (i64, u16)) -> String {
        let mut felt = self.felt_by(&self.front_of(&incident.services), at);
        if felt.is_empty() {
            felt = self.felt_by(&incident.services, at);
        }
        let first = felt.iter().map(|felt| felt.rank).min();
        let told = |keep: fn(Rank) -> bool| {
            let kept = felt.iter().filter(|felt| keep(felt.rank)).take(FACTS_MAX);
            kept.map(|felt| felt.text.as_str()).collect::<Vec<_>>().join(", ")
        };
        let was = incident.severity == Severity::Critical;
        let over = state == State::Resolved;
        match first {
            None => "cannot be said: no latency or errors known".to_owned(),
            Some(Rank::Beyond) => {
                let head = if over { "still affected" } else { "affected" };
                format!("{head}: {}", told(|rank| rank <= Rank::Reached))
            }
            Some(Rank::Reached) => {
                let head = match (over, was) {
                    (true, _) => "may still be affected",
                    (false, true) => "affected before, perhaps again now",
                    (false, false) => "may be affected by now",
                };
                format!("{head}: {}", told(|rank| rank == Rank::Reached))
            }
            Some(Rank::Moved) => {
                format!("{}: {}", unaffected(over, was, "less"), told(|rank| rank == Rank::Moved))
            }
            Some(Rank::Usual) => {
                format!("{}: {}, as usual", unaffected(over, was, "not"), told(|_| true))
            }
        }
    }

    fn faces_users(&self, name: &str) -> bool {
        let said = self.rules.services.get(name);
        let has_objective =
            said.is_some_and(|s| s.objective_latency.is_some() || s.objective_errors.is_some());
        has_objective || self.state.graph.callers(name).next().is_none()
    }

    /// Of these services and all that call them, however indirectly, those that users face.
    fn front_of(&self, services: &BTreeSet<String>) -> BTreeSet<String> {
        let mut reached = services.clone();
        let mut fresh: Vec<String> = services.iter().cloned().collect();
        while let Some(name) = fresh.pop().filter(|_| reached.len() < FRONT_MAX) {
            for caller in self.state.graph.callers(&name) {
                if reached.insert(caller.to_owned()) {
                    fresh.push(caller.to_owned());
                }
            }
        }
        reached.retain(|name| self.faces_users(name));
        reached
    }

    /// What these services show of what is felt, the worst first.
    fn felt_by(&self, services: &BTreeSet<String>, at: (i64, u16)) -> Vec<Felt> {
        let mut all = Vec::new();
        for role in FELT {
            for (name, service) in
                services.iter().filter_map(|s| self.state.services.get_key_value(s))
            {
                let members = service.members.iter().map(|&place| &self.state.tracks.all[place]);
                let of_role = members.filter(|tracked| tracked.role == role);
                let felt = of_role.filter_map(|tracked| self.felt_of((name, service), tracked, at));
                all.extend(felt.min_by_key(|felt| felt.rank));
            }
        }
        all.sort_by_key(|felt| felt.rank);
        all
    }

    /// What one series shows; none where that is not known.
    fn felt_of(
        &self,
        (name, service): (&str, &Service),
        tracked: &Tracked,
        (block, slot): (i64, u16),
    ) -> Option<Felt> {
        let tracks = &self.state.tracks.all;
        let signal = &self.rules.signals[tracked.signal];
        let now = Some(tracked.history.at(block)).filter(|now| now.is_finite())?;
        let score = tracked.drift.state_score();
        let load: Load = service.load_at(tracks, block, slot);
        let toward_worse = |score: f64| match signal.worse {
            Worse::Up => score >= MOVED_MIN,
            Worse::Down => score <= -MOVED_MIN,
            Worse::Either => score.abs() >= MOVED_MIN,
        };
        let has_moved = score.is_some_and(toward_worse) && matters(tracked, signal, slot, load);
        let rank = match (self.beyond(service, tracked, block), has_moved) {
            (AFFECTED_BLOCKS.., _) => Rank::Beyond,
            (1.., _) => Rank::Reached,
            (_, true) => Rank::Moved,
            (_, false) => Rank::Usual,
        };
        let unit = signal.unit.as_deref();
        let level = objective(tracked, service, &self.rules);
        // What has moved is told as in the alert's signals and evidence, unless that hides that it
        // is beyond the level.
        let hides =
            |events: f64| rank <= Rank::Reached && level.is_some_and(|level| events <= level);
        let events = tracked.events(load).filter(|events| rank != Rank::Usual && !hides(*events));
        let now = events.unwrap_or(now);
        let what = format!("{} of {name}", tracked.role.words());
        let expected = service.expected(tracks, tracked, (block, slot));
        let text = match expected.filter(|_| rank != Rank::Usual) {
            None => format!("{what} {}", format::value(now, unit)),
            Some(expected) => {
                let [now, usual] = format::pair([now, expected], unit);
                let from = level
                    .map(|level| format!(", users notice from {}", format::value(level, unit)));
                format!("{what} {now} (usual {usual}{})", from.unwrap_or_default())
            }
        };
        Some(Felt { rank, text })
    }

    /// For how many blocks, up to [`AFFECTED_BLOCKS`], a series has been beyond its objective.
    fn beyond(&self, service: &Service, tracked: &Tracked, block: i64) -> usize {
        let felt = matches!(tracked.role, Role::Latency | Role::Errors | Role::QueueAge);
        let level = objective(tracked, service, &self.rules).filter(|_| felt);
        let is_beyond = |at: &i64| level.is_some_and(|level| tracked.history.at(*at) > level);
        (0..).map(|back| block - back).take(AFFECTED_BLOCKS).take_while(is_beyond).count()
    }
}
