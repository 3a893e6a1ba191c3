//! What the diagnosis looks at: the incident, the service in which it begins, and that
//! service's callers.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::archive::Archive;
use crate::engine::baseline::Load;
use crate::engine::breakdown::Breakdowns;
use crate::engine::changes;
use crate::engine::correlate::{Finding, Graph, NEIGHBOUR_MIN, Trouble};
use crate::engine::detect::drift::{Direction, toward};
use crate::engine::diagnose::calls::{calls_made, share_of_calls};
use crate::engine::grid::{WallClock, block_start};
use crate::engine::past::{Past, Pattern};
use crate::engine::service::{Service, lasts};
use crate::engine::track::{Tracked, Tracks};
use crate::engine::vote::{is_effect, matters, moved_to};
use crate::format;
use crate::rules::{Role, Rules, Worse};
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
/// Retries that are less of all calls than this are no load.
const TRICKLE_MAX: f64 = 0.01;
/// A move that began so long before the incident and stands still is another story: noise wanders,
/// and levels stay where a release left them.
const EARLIER_MIN: Span = Span::from_hours(6);
/// Roles in which a caller or a person feels trouble.
pub const FELT: [Role; 4] = [Role::Latency, Role::Errors, Role::QueueAge, Role::Goodput];
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
    pub tracks: &'a Tracks,
    /// Who calls whom.
    pub graph: &'a Graph,
    /// Change events of the last weeks, in order of time.
    pub changes: &'a [Change],
    /// Which services are in trouble of their own.
    pub trouble: &'a BTreeMap<String, Trouble>,
    /// Incidents that are over.
    pub past: &'a Past,
    /// What is known about label values.
    pub breakdowns: &'a Breakdowns,
    /// Services of the incident.
    pub members: BTreeSet<String>,
    /// The service in which the trouble begins.
    pub root: String,
    /// The series that are looked at: see [`series_near`].
    pub near: Vec<&'a Tracked>,
    /// Findings of the incident, strongest first.
    pub findings: Vec<Finding>,
    /// What moved, to be compared with earlier incidents.
    pub pattern: Pattern,
    /// Between the earliest and the latest instant at which any of its clear moves can have
    /// begun: what lies outside is surely before or after.
    pub onset_range: [Timestamp; 2],
    /// The incident's onset.
    pub onset: Timestamp,
    /// The newest closed block and its slot in the week.
    pub at: (i64, u16),
    /// The tick of the decision.
    pub now: Timestamp,
    /// The configured zone's wall clock.
    pub clock: &'a WallClock,
    /// What the series did over the last weeks.
    pub archive: &'a dyn Archive,
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
        let called = self.near.iter().any(|tracked| self.calls_root(tracked));
        if called { vec![View::Inside, View::Outside] } else { vec![View::Inside] }
    }

    /// An instant for people who read of it at the decision.
    pub(crate) fn clock_time(&self, at: Timestamp) -> String {
        self.clock.told(at, self.now)
    }

    /// The series that speak for a role from a point of view.
    pub(crate) fn series_of(&self, view: View, role: Role) -> impl Iterator<Item = &'a Tracked> {
        self.near.iter().copied().filter(move |tracked| {
            tracked.role == role
                // One peer apart is not the role: the typical one did not move.
                && tracked.apart.is_none()
                && match view {
                    View::Outside if is_call(role) => self.calls_root(tracked),
                    View::Outside if matches!(role, Role::Latency | Role::Conflicts) => {
                        tracked.series.service == self.root || self.is_caller(tracked)
                    }
                    _ => tracked.series.service == self.root,
                }
        })
    }

    /// The series of a role that has moved the most, and its score; none when no series of the
    /// role can be judged.
    pub(crate) fn strongest(&self, view: View, role: Role) -> Option<Seen<'a>> {
        self.strongest_where(view, role, |_| true)
    }

    /// The same among those that are wanted.
    pub(crate) fn strongest_where(
        &self,
        view: View,
        role: Role,
        wanted: impl Fn(&Seen<'a>) -> bool,
    ) -> Option<Seen<'a>> {
        let judged = self.series_of(view, role).filter_map(|tracked| self.judge(tracked));
        judged.filter(wanted).max_by(|a, b| {
            a.score
                .abs()
                .total_cmp(&b.score.abs())
                .then_with(|| b.tracked.series.cmp(&a.tracked.series))
        })
    }

    /// A series with its score; none where it cannot be judged.
    pub(crate) fn judge(&self, tracked: &'a Tracked) -> Option<Seen<'a>> {
        tracked.baseline.as_ref()?;
        let score = tracked.drift.state_score()?;
        // Events come in bursts: a burst of a few is far from chance and no fact about the level.
        let sure = tracked.drift.lasting_score().unwrap_or(score.abs()) >= SURE_MIN;
        let faint = score.abs() >= MOVED_MIN && !sure;
        // Hardly significant, and smaller than anybody cares about: not known.
        let small = faint && !self.matters(tracked);
        let doubtful = small || self.is_older(tracked);
        let score = if doubtful { score.signum() * UNSURE } else { score };
        Some(Seen { tracked, score })
    }

    /// Whether a series has moved, but long before the incident, and has not moved further since.
    pub(crate) fn is_older(&self, tracked: &Tracked) -> bool {
        let Some(score) = tracked.drift.state_score().filter(|s| s.abs() >= MOVED_MIN) else {
            return false;
        };
        tracked.drift.onset(Direction::of(score)).is_some_and(|onset| {
            block_start(onset.at) + EARLIER_MIN < self.onset
                && !tracked.drift.has_grown(self.at.0 - onset.at)
        })
    }

    /// Whether anybody cares about a series' move.
    pub(crate) fn matters(&self, tracked: &Tracked) -> bool {
        let signal = &self.rules.signals[tracked.signal];
        matters(tracked, signal, self.at.1, self.load_of(tracked))
    }

    /// Whether a move toward worse still is one that anybody cares about: over four hours what is
    /// over scores high.
    fn is_still(&self, tracked: &Tracked, worse: Worse) -> bool {
        let signal = &self.rules.signals[tracked.signal];
        self.level_of(tracked).is_some_and(|[now, usual]| {
            is_effect(signal, now, usual) && toward(worse, now - usual) > 0.0
        })
    }

    /// What a series that has moved stands at, in its own unit: in the newest block, or over the time
    /// over which it stands out where that block happens to lie on the other side of what is usual.
    pub(crate) fn moved_to(&self, tracked: &Tracked) -> Option<f64> {
        let now = tracked.events(self.load_of(tracked)).or_else(|| self.stands_at(tracked))?;
        let moved = tracked.drift.state_score().is_some_and(|score| score.abs() >= MOVED_MIN);
        let level = moved.then(|| self.level_of(tracked)).flatten();
        let contrary = level.filter(|[level, usual]| (level - usual) * (now - usual) < 0.0);
        Some(contrary.map_or(now, |[level, _]| level))
    }

    /// The level to which a series moved and the one that was expected, in its own unit.
    fn level_of(&self, tracked: &Tracked) -> Option<[f64; 2]> {
        let signal = &self.rules.signals[tracked.signal];
        moved_to(tracked, signal, self.at.1, self.load_of(tracked))
    }

    /// What a series stands at, in its own unit: over the newest block, as in the alert's signals.
    pub(crate) fn stands_at(&self, tracked: &Tracked) -> Option<f64> {
        let of_block = tracked.history.at(self.at.0);
        Some(of_block).filter(|value| value.is_finite()).or(self.tracks.newest(tracked).value)
    }

    /// Where a series that has moved counts some of the calls that are made: how many of all.
    pub(crate) fn share_of_calls(&self, tracked: &Tracked) -> Option<f64> {
        let number = self.moved_to(tracked)?;
        share_of_calls(self.rules, &self.tracks.all, (tracked, number), self.at.0)
    }

    /// Whether retries are too few of all calls to be a load, and only trace the failures that they
    /// answer. Events that have come only now may be more than their level over hours tells.
    pub(crate) fn is_trickle(&self, retries: &Tracked) -> bool {
        let level = self.moved_to(retries).unwrap_or(f64::INFINITY);
        let number = level.max(self.stands_at(retries).unwrap_or(level));
        let all = match self.rules.signals[retries.signal].unit.as_deref() {
            Some("ratio") => Some(1.0),
            _ => calls_made(self.rules, &self.tracks.all, retries, self.at.0),
        };
        all.is_some_and(|all| number < TRICKLE_MAX * all)
    }

    fn load_of(&self, tracked: &Tracked) -> Load {
        self.services
            .get(&tracked.series.service)
            .map_or(Load::USUAL, |service| service.load_at(&self.tracks.all, self.at.0, self.at.1))
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
        let estimate = seen.tracked.drift.onset(Direction::of(seen.score))?;
        Some([estimate.earliest, estimate.at, estimate.latest].map(block_start))
    }

    /// Where the onset most likely lies: the narrowest range of a clear finding that holds it.
    pub(crate) fn onset_at_best(&self) -> [Timestamp; 2] {
        let holds = |range: &[Timestamp; 2]| range[0] <= self.onset && self.onset <= range[1];
        let clear = self.findings.iter().filter(|finding| finding.score >= NEIGHBOUR_MIN);
        let ranges = clear.map(|finding| finding.range).filter(holds);
        ranges.min_by_key(|range| range[1] - range[0]).unwrap_or(self.onset_range)
    }

    /// Signals of the root that were looked at and are inside their baselines, the most telling
    /// first: what is felt, then what the causes speak of, in the order of `suspected`.
    pub fn checked(&self, suspected: &[Role]) -> Vec<String> {
        let rank = |role: Role| {
            let among = |roles: &[Role]| roles.iter().position(|&known| known == role);
            let felt = among(&FELT);
            felt.or_else(|| among(suspected).map(|place| FELT.len() + place)).unwrap_or(usize::MAX)
        };
        let mut lines: Vec<(usize, String)> = self
            .near
            .iter()
            .filter(|t| t.series.service == self.root && t.apart.is_none())
            // That a version is what it is calms nobody, least of all after it changed.
            .filter(|tracked| tracked.baseline.is_some() && lasts(tracked.role))
            .filter(|tracked| {
                tracked.drift.state_score().is_some_and(|score| score.abs() < NORMAL_MAX)
            })
            .map(|tracked| {
                let unit = self.rules.signals[tracked.signal].unit.as_deref();
                let now = format::optional(self.stands_at(tracked), unit);
                (rank(tracked.role), format!("{}: {now}", describe(tracked)))
            })
            .collect();
        lines.sort();
        lines.dedup();
        lines.into_iter().map(|(_, line)| line).take(CHECKED_MAX).collect()
    }

    /// The `limit` changes of the incident's services that are nearest to its onset, in order.
    pub fn near_changes(&self, limit: usize) -> Vec<&'a Change> {
        let onset = (self.onset_range[0], self.onset);
        changes::near(self.changes, &self.members, onset, self.now, limit)
    }

    /// What is expected of a series now, in its own unit.
    pub(crate) fn expected(&self, tracked: &Tracked) -> Option<f64> {
        self.services.get(&tracked.series.service)?.expected(&self.tracks.all, tracked, self.at)
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
        self.near
            .iter()
            .copied()
            .filter(|t| t.apart.is_some() && t.baseline.is_some())
            .filter(|tracked| tracked.series.service == self.root)
            .filter_map(|tracked| {
                let worse = self.rules.signals[tracked.signal].worse;
                let (score, _) = tracked.drift.strongest(worse)?;
                let small = score >= MOVED_MIN && !self.is_still(tracked, worse);
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

/// The series that a diagnosis looks at many times: those of the root, of those who call it, and
/// calls to it, in the order of the tracks. Cost: O(series), once per diagnosis.
pub fn series_near<'a>(root: &str, graph: &Graph, tracks: &'a Tracks) -> Vec<&'a Tracked> {
    let mut services: BTreeSet<&str> = graph.callers(root).collect();
    services.insert(root);
    let is_near = |tracked: &&Tracked| {
        let series = &tracked.series;
        services.contains(series.service.as_str())
            || (is_call(tracked.role) && series.dependency.as_deref() == Some(root))
    };
    tracks.all.iter().filter(is_near).collect()
}

/// Roles that are measured where a call is made, and name whom it goes to.
pub(crate) const fn is_call(role: Role) -> bool {
    matches!(
        role,
        Role::DependencyLatency
            | Role::DependencyErrors
            | Role::Throttled
            | Role::Retries
            | Role::Attempts
    )
}

/// A series in words: `latency of calls from checkout to payments`, `latency of web (web-2)`.
pub(crate) fn describe(tracked: &Tracked) -> String {
    let series = &tracked.series;
    let what = if tracked.role == Role::Custom { &series.signal } else { tracked.role.words() };
    let of_calls = matches!(tracked.role, Role::DependencyLatency | Role::DependencyErrors);
    let of = if of_calls { "from" } else { "of" };
    let mut text = format!("{what} {of} {}", series.service);
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
