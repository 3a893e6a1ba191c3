//! What the diagnosis looks at: the incident, the service in which it begins, and that
//! service's callers.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::alert::Culprit;
use crate::engine::baseline::Load;
use crate::engine::correlate::{Finding, Graph, Trouble};
use crate::engine::detect::drift::Direction;
use crate::engine::service::Service;
use crate::engine::track::Tracked;
use crate::engine::vote::matters;
use crate::format;
use crate::rules::{Cause, Role, Rules, See};
use crate::series::Change;
use crate::time::{Span, Timestamp};

/// From this score on (either way) a role is in another state than normal (METHODS 2.9).
pub(crate) const MOVED_MIN: f64 = 2.0;
/// Below this it is normal; in between, nobody can say.
pub(crate) const NORMAL_MAX: f64 = 1.0;
/// A score between normal and moved.
const UNSURE: f64 = 1.5;
/// From this score on a move is a fact, however small.
const SURE_MIN: f64 = 4.0;
/// Changes this long before the earliest onset are still told.
const NEAR: Span = Span::from_hours(6);
/// What was checked is told in at most this many lines.
const CHECKED_MAX: usize = 12;

/// Everything known near an incident's onset.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Signals and causes.
    pub rules: &'a Rules,
    /// All services.
    pub services: &'a BTreeMap<String, Service>,
    /// All series.
    pub tracks: &'a [Tracked],
    /// Who calls whom.
    pub graph: &'a Graph,
    /// Change events of the last weeks, in order of time.
    pub changes: &'a [Change],
    /// Which services are in trouble of their own.
    pub trouble: &'a BTreeMap<String, Trouble>,
    /// Services of the incident.
    pub members: BTreeSet<String>,
    /// The service in which the trouble begins.
    pub root: String,
    /// Findings of the incident, strongest first.
    pub findings: Vec<Finding>,
    /// Between the earliest and the latest instant at which any of its clear moves can have
    /// begun: what lies outside is surely before or after.
    pub onset_range: [Timestamp; 2],
    /// The incident's onset.
    pub onset: Timestamp,
    /// The newest closed block and its slot in the week.
    pub at: (i64, u16),
    /// The tick of the decision.
    pub now: Timestamp,
}

/// A point of view on the root service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Its own signals, its calls to its dependencies included.
    Inside,
    /// Its own signals, but calls are those that its callers make to it.
    Outside,
}

/// A series with its score: positive is up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) tracked: &'a Tracked,
    pub(crate) score: f64,
}

impl<'a> Scene<'a> {
    /// Both points of view, the outside one only where somebody calls the root.
    pub fn views(&self) -> Vec<View> {
        let called = self.tracks.iter().any(|t| self.calls_root(t));
        if called { vec![View::Inside, View::Outside] } else { vec![View::Inside] }
    }

    /// The series that speak for a role from a point of view.
    pub(crate) fn series_of(&self, view: View, role: Role) -> impl Iterator<Item = &'a Tracked> {
        let tracks: &'a [Tracked] = self.tracks;
        tracks.iter().filter(move |tracked| {
            tracked.role == role
                // One peer apart is not the role: the typical one did not move.
                && tracked.apart.is_none()
                && match view {
                    View::Outside if is_call(role) => self.calls_root(tracked),
                    View::Outside if role == Role::Latency => {
                        tracked.series.service == self.root || self.is_caller(tracked)
                    }
                    _ => tracked.series.service == self.root,
                }
        })
    }

    /// The series of a role that has moved the most, and its score; none when no series of the
    /// role can be judged.
    pub(crate) fn strongest(&self, view: View, role: Role) -> Option<Seen<'a>> {
        self.series_of(view, role)
            .filter(|tracked| tracked.baseline.is_some())
            .filter_map(|tracked| {
                let score = tracked.drift.state_score()?;
                let faint = (MOVED_MIN..SURE_MIN).contains(&score.abs());
                let small = faint && !self.matters(tracked);
                // Hardly significant, and smaller than anybody cares about: not known.
                let score = if small { score.signum() * UNSURE } else { score };
                Some(Seen { tracked, score })
            })
            .max_by(|a, b| {
                a.score
                    .abs()
                    .total_cmp(&b.score.abs())
                    .then_with(|| b.tracked.series.cmp(&a.tracked.series))
            })
    }

    fn matters(&self, tracked: &Tracked) -> bool {
        let signal = &self.rules.signals[tracked.signal];
        let load = self
            .services
            .get(&tracked.series.service)
            .map_or(Load::USUAL, |service| service.load_at(self.tracks, self.at.0, self.at.1));
        matters(tracked, signal, self.at.1, load)
    }

    /// `Some(true)` when the role moved that way, `Some(false)` when it clearly did not.
    pub(crate) fn moved(&self, view: View, role: Role, way: Direction) -> Option<bool> {
        let score = self.strongest(view, role)?.score;
        let score = if way == Direction::Up { score } else { -score };
        if score >= MOVED_MIN {
            Some(true)
        } else if score < NORMAL_MAX {
            Some(false)
        } else {
            None
        }
    }

    /// `Some(true)` when nothing of the role moved, `Some(false)` when something did.
    pub(crate) fn normal(&self, view: View, role: Role) -> Option<bool> {
        let score = self.strongest(view, role)?.score.abs();
        if score < NORMAL_MAX {
            Some(true)
        } else if score >= MOVED_MIN {
            Some(false)
        } else {
            None
        }
    }

    /// When a role began to move toward worse; none when it did not.
    pub(crate) fn onset_of(&self, view: View, role: Role) -> Option<[Timestamp; 3]> {
        let seen = self.strongest(view, role).filter(|seen| seen.score.abs() >= MOVED_MIN)?;
        let way = if seen.score >= 0.0 { Direction::Up } else { Direction::Down };
        let estimate = seen.tracked.drift.onset(way)?;
        Some(
            [estimate.earliest, estimate.at, estimate.latest].map(crate::engine::grid::block_start),
        )
    }

    /// Who or what a cause blames: the dependency that a call names, else the root.
    pub(crate) fn culprit(&self, view: View, cause: &Cause) -> Culprit {
        let speaks_of_calls = cause.evidence.iter().any(|e| {
            e.likely > e.otherwise && matches!(e.see, See::RoleIs { role, .. } if is_call(role))
        });
        let call = [Role::DependencyLatency, Role::DependencyErrors, Role::Retries]
            .into_iter()
            .filter_map(|role| self.strongest(view, role))
            .filter(|seen| seen.score >= MOVED_MIN)
            .find(|seen| seen.tracked.series.dependency.is_some());
        let mut culprit = Culprit { service: self.root.clone(), labels: BTreeMap::new() };
        if let (true, Some(seen)) = (speaks_of_calls, call)
            && let Some(dependency) = &seen.tracked.series.dependency
        {
            culprit.service.clone_from(dependency);
            culprit.labels.insert("dependency".to_owned(), dependency.clone());
        }
        culprit
    }

    /// Signals of the root that were looked at and are inside their baselines.
    pub fn checked(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .tracks
            .iter()
            .filter(|t| t.series.service == self.root && t.apart.is_none())
            .filter(|tracked| tracked.baseline.is_some())
            .filter(|tracked| {
                tracked.drift.state_score().is_some_and(|score| score.abs() < NORMAL_MAX)
            })
            .map(|tracked| {
                let unit = self.rules.signals[tracked.signal].unit.as_deref();
                let now = format::optional(tracked.latest, unit);
                format!("{} is as expected: {now}", describe(tracked))
            })
            .collect();
        lines.sort();
        lines.dedup();
        lines.truncate(CHECKED_MAX);
        lines
    }

    /// Changes of the incident's services from a few hours before the onset on, in order.
    pub fn near_changes(&self) -> Vec<&'a Change> {
        self.changes
            .iter()
            .filter(|c| c.at >= self.onset_range[0] - NEAR && c.at <= self.now)
            .filter(|c| c.service == self.root || self.members.contains(&c.service))
            .collect()
    }

    /// The service that an alert about a cause should name: the caller that suffers most where
    /// calls are to blame, else the root.
    pub(crate) fn subject(&self, view: View) -> String {
        let calls = [Role::DependencyLatency, Role::DependencyErrors, Role::Retries];
        let caller = calls
            .into_iter()
            .filter_map(|role| self.strongest(view, role))
            .find(|seen| seen.score >= MOVED_MIN)
            .map(|seen| seen.tracked.series.service.clone());
        match (view, caller) {
            (View::Outside, Some(caller)) => caller,
            _ => self.root.clone(),
        }
    }

    /// What is expected of a series now, in its own unit.
    pub(crate) fn expected(&self, tracked: &Tracked) -> Option<f64> {
        self.services.get(&tracked.series.service)?.expected(self.tracks, tracked, self.at)
    }

    /// `Some(true)` when the root is a callee in trouble, from outside; from inside, whether a
    /// callee of the root is.
    pub(crate) fn callee_anomalous(&self, view: View) -> Option<bool> {
        match view {
            View::Outside => {
                self.services.get(&self.root)?;
                Some(self.trouble.contains_key(&self.root))
            }
            View::Inside => {
                let callees = self.graph.callees(&self.root);
                let mut known = callees.filter(|c| self.services.contains_key(*c)).peekable();
                known.peek()?;
                Some(known.any(|callee| self.trouble.contains_key(callee)))
            }
        }
    }

    /// The distances between the root's peers that can be judged.
    pub(crate) fn distances(&self) -> impl Iterator<Item = Seen<'a>> {
        let tracks: &'a [Tracked] = self.tracks;
        tracks
            .iter()
            .filter(|t| t.apart.is_some() && t.baseline.is_some())
            .filter(|tracked| tracked.series.service == self.root)
            .filter_map(|tracked| {
                let worse = self.rules.signals[tracked.signal].worse;
                let (score, _) = tracked.drift.strongest(worse)?;
                let small = score >= MOVED_MIN && !self.matters(tracked);
                Some(Seen { tracked, score: if small { UNSURE } else { score } })
            })
    }

    fn calls_root(&self, tracked: &Tracked) -> bool {
        is_call(tracked.role)
            && tracked.apart.is_none()
            && tracked.series.dependency.as_deref() == Some(self.root.as_str())
    }

    fn is_caller(&self, tracked: &Tracked) -> bool {
        self.members.contains(&tracked.series.service)
            && self.graph.callers(&self.root).any(|caller| caller == tracked.series.service)
    }
}

/// Roles that are measured where a call is made, and name whom it goes to.
const fn is_call(role: Role) -> bool {
    matches!(
        role,
        Role::DependencyLatency
            | Role::DependencyErrors
            | Role::Throttled
            | Role::Retries
            | Role::Attempts
    )
}

/// A series in words: `dependency_latency of checkout to payments`, `latency of web (web-2)`.
pub(crate) fn describe(tracked: &Tracked) -> String {
    let series = &tracked.series;
    let mut text = format!("{} of {}", tracked.role, series.service);
    if tracked.role == Role::Custom {
        text = format!("{} of {}", series.signal, series.service);
    }
    if let Some(dependency) = &series.dependency {
        text.push_str(" to ");
        text.push_str(dependency);
    }
    let rest: Vec<&str> = series
        .labels
        .values()
        .map(String::as_str)
        .filter(|value| Some(*value) != series.dependency.as_deref())
        .filter(|_| tracked.apart.is_none())
        .chain(tracked.farthest().map(|farthest| farthest.peer.as_str()))
        .collect();
    if !rest.is_empty() {
        text.extend([" (", &rest.join(", "), ")"]);
    }
    text
}
