//! What belongs together: findings of one service, and services that call each other.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::engine::detect::absence::is_missed;
use crate::engine::detect::drift::Direction;
use crate::engine::grid::{BLOCK, block_start};
use crate::engine::service::Service;
use crate::engine::track::Tracked;
use crate::engine::vote::vote;
use crate::rules::{Role, Rules, Worse};
use crate::stats::surprise::normal_survival;
use crate::time::{Span, Timestamp};

/// A series that votes with so much enters an incident.
pub const FINDING_MIN: f64 = 2.0;
/// Where nothing reaches [`FINDING_MIN`] and the service is in alarm all the same, these weak
/// signals have added up to it.
pub const WEAK_MIN: f64 = 1.0;
/// A neighbour is drawn into an incident from this score on, without an alarm of its own.
pub const NEIGHBOUR_MIN: f64 = 3.0;
/// Troubles whose onsets lie within this time of each other can be one (METHODS 8.4).
pub const JOIN_WINDOW: Span = Span::from_hours(2);
/// A callee whose trouble began this much later than its caller's did not cause it.
const ROOT_LAG: Span = Span::from_mins(30);
/// How many calls apart two services of one incident may be.
const HOPS_MAX: usize = 2;
/// Calls remembered; more are left out.
const CALLS_MAX: usize = 100_000;

/// Who calls whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Callees by caller.
    calls: BTreeMap<String, BTreeSet<String>>,
    size: usize,
}

impl Graph {
    /// Adds a call from `caller` to `callee`.
    pub fn add(&mut self, caller: &str, callee: &str) {
        let known = self.calls.get(caller).is_some_and(|callees| callees.contains(callee));
        if !known && caller != callee && self.size < CALLS_MAX {
            self.calls.entry(caller.to_owned()).or_default().insert(callee.to_owned());
            self.size += 1;
        }
    }

    /// Services and dependencies that `service` calls.
    pub fn callees(&self, service: &str) -> impl Iterator<Item = &str> {
        self.calls.get(service).into_iter().flatten().map(String::as_str)
    }

    /// Services that call `service`.
    pub fn callers<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a str> {
        let calls = self.calls.iter();
        calls.filter(move |(_, callees)| callees.contains(service)).map(|(name, _)| name.as_str())
    }

    /// Services within two calls of `service`, in either direction, without itself.
    pub fn neighbours(&self, service: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::from([service.to_owned()]);
        for _ in 0..HOPS_MAX {
            let reached: Vec<String> = found
                .iter()
                .flat_map(|s| self.callees(s).chain(self.callers(s)))
                .map(str::to_owned)
                .collect();
            found.extend(reached);
        }
        found.remove(service);
        found
    }
}

/// Weak evidence on one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Place of the series in the tracks.
    pub place: usize,
    /// Which way it went.
    pub direction: Direction,
    /// Score toward worse above its last days, in units of its normal movement: less than it voted
    /// with where that was above its last hours.
    pub score: f64,
    /// When it began.
    pub onset: Timestamp,
    /// Where the onset can lie.
    pub range: [Timestamp; 2],
    /// Chance of what it voted with on a normal day.
    pub p_value: f64,
}

/// The findings of one service at a block, strongest first: what votes with at least `least`.
pub fn findings(
    service: &Service,
    tracks: &[Tracked],
    rules: &Rules,
    at: (i64, u16),
    least: f64,
) -> Vec<Finding> {
    let (block, slot) = at;
    let load = service.load_at(tracks, block, slot);
    let mut found: Vec<Finding> = service
        .judged()
        .filter_map(|place| {
            let tracked = &tracks[place];
            let signal = &rules.signals[tracked.signal];
            let scores = vote(tracked, signal, slot, load)?;
            let voted = scores.largest();
            if voted < least {
                return None;
            }
            let found = finding(place, tracked, signal.worse, scores.above_days())?;
            Some(Finding { p_value: normal_survival(voted), ..found })
        })
        .collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.place.cmp(&b.place)));
    found
}

/// Whether a series that had moved when it was last seen has gone missing: nobody can say that it
/// is well again.
pub fn misses_evidence(service: &Service, tracks: &[Tracked], rules: &Rules, block: i64) -> bool {
    service.members.iter().map(|&place| &tracks[place]).any(|tracked| {
        !tracked.role.is_context()
            && tracked.baseline.is_some()
            && tracked.drift.last_score(rules.signals[tracked.signal].worse) >= FINDING_MIN
            && is_missed(&tracked.history, block)
    })
}

/// The finding of a series with this score toward worse; none where it goes no way.
pub fn finding(place: usize, tracked: &Tracked, worse: Worse, score: f64) -> Option<Finding> {
    let direction = direction_of(tracked, worse)?;
    let newest = block_start(tracked.history.end());
    let (onset, range) = match tracked.drift.onset(direction) {
        Some(estimate) => (
            block_start(estimate.at),
            [block_start(estimate.earliest), block_start(estimate.latest)],
        ),
        None => (newest - BLOCK, [newest - BLOCK, newest]),
    };
    Some(Finding { place, direction, score, onset, range, p_value: normal_survival(score) })
}

/// Which way a series went: toward worse, or for `either` the way that it goes.
pub fn direction_of(tracked: &Tracked, worse: Worse) -> Option<Direction> {
    match worse {
        Worse::Up => Some(Direction::Up),
        Worse::Down => Some(Direction::Down),
        Worse::Either => tracked.drift.direction(),
    }
}

/// Roles whose move shows that a service itself is in trouble; less work or other work passing
/// through says nothing of the sort.
pub const fn shows_trouble(role: Role) -> bool {
    !matches!(
        role,
        Role::Goodput
            | Role::LogVolume
            | Role::Custom
            | Role::Traffic
            | Role::Attempts
            | Role::Version
            | Role::ConfigVersion
            | Role::Retries
            | Role::DependencyLatency
            | Role::DependencyErrors
            | Role::Throttled
            | Role::Restarts
    )
}

/// A service in trouble of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// Its largest score over the roles that show trouble.
    pub score: f64,
    /// When that began, at the latest.
    pub onset: Timestamp,
    /// Whom it calls with clearly worse latency or errors than usual.
    pub worse_calls: BTreeSet<String>,
}

/// Which of a service's findings show trouble of its own, folded into one; none when none does.
pub fn trouble_of(found: &[Finding], tracks: &[Tracked]) -> Option<Trouble> {
    let own =
        || found.iter().filter(|f| f.score >= NEIGHBOUR_MIN && shows_trouble(tracks[f.place].role));
    let score = own().map(|f| f.score).reduce(f64::max)?;
    let onset = own().map(|f| f.onset).min()?;
    Some(Trouble { score, onset, worse_calls: calls_among(found, tracks, NEIGHBOUR_MIN) })
}

/// Whom the calls go to that became slow or failed, scoring at least `least`.
pub fn calls_among<'a>(
    found: impl IntoIterator<Item = &'a Finding>,
    tracks: &[Tracked],
    least: f64,
) -> BTreeSet<String> {
    let worse = found.into_iter().filter(|finding| finding.score >= least);
    let moved = worse.map(|finding| &tracks[finding.place]);
    let calls =
        moved.filter(|t| matches!(t.role, Role::DependencyLatency | Role::DependencyErrors));
    calls.filter_map(|tracked| tracked.series.dependency.clone()).collect()
}

/// Walks from `start` down the calls to the service that is in trouble while nothing it calls
/// is (METHODS 2.9; PetShop .52 first, .88 in the first three).
///
/// A pseudo-dependency without series of its own is reached through its callers' series, so it
/// never stands here; `slow-dependency` names it by label.
///
/// `worse` is whom `start` calls with clearly worse latency or errors than usual, which it may do
/// without any trouble of its own.
pub fn root_of(
    start: (&str, Timestamp),
    worse: &BTreeSet<String>,
    graph: &Graph,
    trouble: &BTreeMap<String, Trouble>,
) -> String {
    let (start, onset) = start;
    let mut at = start.to_owned();
    let mut visited = BTreeSet::from([at.clone()]);
    loop {
        let own = trouble.get(&at).map(|own| &own.worse_calls);
        let worse_here = if at == start { Some(worse) } else { own };
        let worst = graph
            .callees(&at)
            .filter(|callee| !visited.contains(*callee))
            .filter_map(|callee| trouble.get(callee).map(|trouble| (trouble, callee)))
            // What began clearly later is an effect or another story, unless it is the very calls
            // to it that are worse: onsets of slow moves are not that sure.
            .filter(|(callee_trouble, callee)| {
                callee_trouble.onset <= onset + ROOT_LAG
                    || worse_here.is_some_and(|worse| worse.contains(*callee))
            })
            .map(|(trouble, callee)| (trouble.score, callee))
            .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
            .map(|(_, callee)| callee.to_owned());
        match worst {
            Some(callee) => {
                visited.insert(callee.clone());
                at = callee;
            }
            None => return at,
        }
    }
}

/// A service in trouble that may be the reason for another's.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// Which one.
    pub service: String,
    /// How far it is from normal, in units of its normal movement.
    pub score: f64,
    /// True when something it calls is in trouble too, which would explain it.
    pub is_explained: bool,
    /// How many services in trouble call it, directly or through others in trouble.
    pub explains: usize,
}

/// Who may have caused the trouble of `start`: of the services that it reaches by calls, itself
/// included, those in trouble, most suspicious first.
///
/// First come those that call nobody in trouble, since nothing explains theirs (METHODS 2.9); of
/// these the one that explains the most others, then the highest score: scores are clipped, so
/// that between two clear ones their order says little. Cost: O(reached² + calls).
pub fn suspects(start: &str, graph: &Graph, trouble: &BTreeMap<String, Trouble>) -> Vec<Suspect> {
    let mut reached = BTreeSet::from([start]);
    let mut open = vec![start];
    let mut callers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    while let Some(at) = open.pop() {
        for callee in graph.callees(at) {
            if trouble.contains_key(at) {
                callers.entry(callee).or_default().push(at);
            }
            if reached.insert(callee) {
                open.push(callee);
            }
        }
    }
    let suspect = |(name, trouble_here): (&str, &Trouble)| Suspect {
        service: name.to_owned(),
        score: trouble_here.score,
        is_explained: graph.callees(name).any(|callee| trouble.contains_key(callee)),
        explains: upstream(name, &callers),
    };
    let in_trouble = reached.iter().filter_map(|&name| Some((name, trouble.get(name)?)));
    let mut suspects: Vec<Suspect> = in_trouble.map(suspect).collect();
    suspects.sort_by(|a, b| {
        let clear = a.is_explained.cmp(&b.is_explained).then(b.explains.cmp(&a.explains));
        clear.then(b.score.total_cmp(&a.score)).then_with(|| a.service.cmp(&b.service))
    });
    suspects
}

/// How many there are above `name`.
fn upstream(name: &str, callers: &BTreeMap<&str, Vec<&str>>) -> usize {
    let mut found = BTreeSet::from([name]);
    let mut open = vec![name];
    while let Some(at) = open.pop() {
        let above = callers.get(at).into_iter().flatten();
        open.extend(above.filter(|&&caller| found.insert(caller)));
    }
    found.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Graph {
        let mut graph = Graph::default();
        for (from, to) in
            [("web", "checkout"), ("checkout", "payments"), ("checkout", "db"), ("web", "cache")]
        {
            graph.add(from, to);
        }
        graph
    }

    #[test]
    fn the_root_is_in_trouble_without_a_callee_in_trouble() {
        let none = BTreeSet::new();
        let all = [("web", 6.0, 0), ("checkout", 5.0, 0), ("payments", 4.0, 10)];
        assert_eq!(root_of(("web", minute(0)), &none, &shop(), &trouble(&all)), "payments");
        // Its callees are well: it is its own root, however loud its caller is.
        let own = [("web", 9.0, 0), ("checkout", 5.0, 0)];
        assert_eq!(root_of(("web", minute(0)), &none, &shop(), &trouble(&own)), "checkout");
        // A callee that suffers an hour later is no root.
        let late = [("web", 6.0, 0), ("checkout", 5.0, 0), ("payments", 8.0, 60)];
        assert_eq!(root_of(("web", minute(0)), &none, &shop(), &trouble(&late)), "checkout");
        // Unless the calls to it are what has become worse: then its onset was told too late.
        let mut worse = trouble(&late);
        worse.get_mut("checkout").unwrap().worse_calls.insert("payments".to_owned());
        assert_eq!(root_of(("web", minute(0)), &none, &shop(), &worse), "payments");
        // It may notice by its calls alone, long before.
        let calls = [("checkout", 5.0, 115)];
        let to_checkout = BTreeSet::from(["checkout".to_owned()]);
        assert_eq!(root_of(("web", minute(0)), &none, &shop(), &trouble(&calls)), "web");
        assert_eq!(
            root_of(("web", minute(0)), &to_checkout, &shop(), &trouble(&calls)),
            "checkout"
        );
    }

    #[test]
    fn the_suspect_that_explains_the_most_comes_first() {
        let mut graph = shop();
        graph.add("web", "balancer");
        let all =
            [("web", 6.0, 0), ("checkout", 5.0, 0), ("payments", 4.0, 0), ("balancer", 6.0, 0)];
        let found = suspects("web", &graph, &trouble(&all));
        let names: Vec<&str> = found.iter().map(|suspect| suspect.service.as_str()).collect();
        assert_eq!(names, ["payments", "balancer", "checkout", "web"]);
        assert_eq!((found[0].explains, found[1].explains), (2, 1));
        assert!(!found[0].is_explained && found[2].is_explained);
        // Asked from below, what is above is no suspect.
        let below = suspects("checkout", &graph, &trouble(&all));
        assert_eq!(below.len(), 2, "{below:?}");
        assert!(suspects("cache", &graph, &trouble(&all)).is_empty());
    }

    #[test]
    fn suspects_of_a_circle_are_found_once() {
        let mut graph = shop();
        graph.add("payments", "web");
        let found = suspects("web", &graph, &trouble(&[("web", 5.0, 0), ("payments", 5.0, 0)]));
        assert_eq!(found.len(), 2, "{found:?}");
    }

    fn minute(minutes: i64) -> Timestamp {
        Timestamp::from_secs(1_772_331_000) + Span::from_mins(minutes)
    }

    fn trouble(services: &[(&str, f64, i64)]) -> BTreeMap<String, Trouble> {
        let one = |&(name, score, minutes): &(&str, f64, i64)| {
            let worse_calls = BTreeSet::new();
            (name.to_owned(), Trouble { score, onset: minute(minutes), worse_calls })
        };
        services.iter().map(one).collect()
    }

    #[test]
    fn a_circle_of_calls_ends() {
        let mut graph = shop();
        graph.add("payments", "web");
        let all = [("web", 5.0, 0), ("checkout", 5.0, 0), ("payments", 5.0, 0)];
        assert_eq!(
            root_of(("web", minute(0)), &BTreeSet::new(), &graph, &trouble(&all)),
            "payments"
        );
    }

    #[test]
    fn neighbours_are_two_calls_away_at_most() {
        let mut graph = shop();
        graph.add("payments", "bank");
        assert!(graph.neighbours("web").contains("payments"));
        assert!(!graph.neighbours("web").contains("bank"));
    }
}
