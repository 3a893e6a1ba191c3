//! The fleet: services by how they stand, each with its roles.

use std::collections::BTreeMap;

use serde::Serialize;

use super::signals::{means, range, usual_of};
use super::{Link, Reader, first};
use crate::engine::detect::drift::Direction;
use crate::engine::overview::{Health, Overview, SeriesStanding, ServiceStanding};
use crate::format;
use crate::http::pages::Facts;
use crate::notify::view::clean;
use crate::rules::Role;

/// Services shown at once.
const SERVICES_MAX: usize = 30;
/// From here on a service is called restless: most of the way to a notice.
const RESTLESS_MIN: f64 = 0.7;
/// A level beyond this is drawn as this: twice the threshold of a notice.
const LEVEL_MAX: f64 = 2.0;
/// Width of the drawing of a level.
const LEVEL_WIDTH: f64 = 60.0;

/// Services × roles.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::http::pages) struct Fleet {
    /// Roles that some shown service has.
    roles: Vec<String>,
    services: Vec<ServiceRow>,
    more: usize,
    /// Services in all.
    total: usize,
    /// Those that are still learned.
    learning: usize,
    /// Series in all.
    series: usize,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct ServiceRow {
    name: Link,
    /// How it stands, in a word.
    word: &'static str,
    /// The class of that word.
    class: &'static str,
    /// How far its statistic is on its way to a notice: 1 is told.
    level: Option<Level>,
    cells: Vec<Cell>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Level {
    text: String,
    /// Of the drawing's width.
    width: f64,
    class: &'static str,
}

/// A role of a service: the one of its series that says most.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Cell {
    /// The role, for small screens, where there is no head above it.
    role: &'static str,
    /// What is drawn; a dot is what a reader need not look at.
    sign: &'static str,
    /// What that means, and the values.
    about: String,
    class: &'static str,
}

/// How the services stand whose name contains `wanted`, the most restless first. Cost: O(series).
pub(in crate::http::pages) fn fleet(
    overview: &Overview,
    wanted: &str,
    facts: &Facts,
    reader: Reader<'_>,
) -> Fleet {
    let mut services: Vec<&ServiceStanding> =
        overview.services.iter().filter(|service| service.service.contains(wanted)).collect();
    services.sort_by(|a, b| rank(b).total_cmp(&rank(a)).then_with(|| a.service.cmp(&b.service)));
    let total = services.len();
    let learning = services.iter().filter(|service| !service.is_judged()).count();
    let series = services.iter().map(|service| service.series.len()).sum();
    let (shown, more) = first(services, SERVICES_MAX);
    let loudest: Vec<BTreeMap<Role, &SeriesStanding>> =
        shown.iter().map(|service| by_role(service)).collect();
    let mut roles: Vec<Role> = loudest.iter().flat_map(|roles| roles.keys().copied()).collect();
    roles.sort();
    roles.dedup();
    let row = |(service, loudest): (&ServiceStanding, &BTreeMap<Role, &SeriesStanding>)| {
        let (word, class) = word(service);
        let cell = |role: &Role| {
            loudest.get(role).map_or_else(Cell::default, |one| cell(one, facts, reader))
        };
        ServiceRow {
            name: Link::service(&service.service),
            word,
            class,
            level: service.standing.map(|standing| level(standing.notice, standing.alert)),
            cells: roles.iter().map(cell).collect(),
        }
    };
    Fleet {
        services: shown.into_iter().zip(&loudest).map(row).collect(),
        roles: roles.iter().map(|role| role.name().replace('_', " ")).collect(),
        more,
        total,
        learning,
        series,
    }
}

/// What is worst comes first.
fn rank(service: &ServiceStanding) -> f64 {
    let open = if service.incidents.is_empty() { 0.0 } else { 1e6 };
    let silent = if service.silent_since.is_some() { 1e3 } else { 0.0 };
    let standing = service.standing.map_or(-1.0, |standing| standing.notice.max(standing.alert));
    open + silent + if standing.is_finite() { standing } else { 0.0 }
}

/// How a service stands: in an open incident, silent, not judged now, on the way to a notice, as
/// always.
pub(super) fn word(service: &ServiceStanding) -> (&'static str, &'static str) {
    match service.standing {
        _ if !service.incidents.is_empty() => ("in an incident", "warning"),
        _ if service.silent_since.is_some() => ("silent", "warning"),
        None if service.is_judged() => ("not judged now", ""),
        None => ("learning", ""),
        Some(standing) if RESTLESS_MIN <= standing.notice => ("restless", "notice"),
        Some(_) => ("as always", "good"),
    }
}

fn level(notice: f64, alert: f64) -> Level {
    let level = if notice.is_finite() { notice.max(0.0) } else { 0.0 };
    let width = (level.min(LEVEL_MAX) / LEVEL_MAX * LEVEL_WIDTH).round();
    let class = if alert >= 1.0 {
        "warning"
    } else if level >= RESTLESS_MIN {
        "notice"
    } else {
        "good"
    };
    Level { text: format!("{level:.1}"), width, class }
}

/// Of each role the series that says most: what moves, then what can be judged.
fn by_role(service: &ServiceStanding) -> BTreeMap<Role, &SeriesStanding> {
    let mut loudest: BTreeMap<Role, &SeriesStanding> = BTreeMap::new();
    let worth = |one: &SeriesStanding| {
        (one.moved.is_some(), one.value.is_some(), one.usual.is_some(), one.score)
    };
    for one in &service.series {
        let best = loudest.entry(one.role).or_insert(one);
        if worth(one).partial_cmp(&worth(best)) == Some(std::cmp::Ordering::Greater) {
            *best = one;
        }
    }
    loudest
}

fn cell(one: &SeriesStanding, facts: &Facts, reader: Reader<'_>) -> Cell {
    let signal = facts.rules.signal(&one.series.signal);
    let unit = signal.and_then(|signal| signal.unit.as_deref());
    let (sign, word, class) = match (one.moved, one.health) {
        (Some((Direction::Up, _)), _) => ("▲", "above usual", "moved"),
        (Some((Direction::Down, _)), _) => ("▼", "below usual", "moved"),
        (None, Health::Missing) => ("?", "no data", "gone"),
        (None, Health::Unasked) => ("?", "not answered", "gone"),
        (None, Health::Learning) => ("…", "learning", "calm"),
        (None, Health::Context) => ("·", "context", "calm"),
        (None, _) => ("·", means(one), "calm"),
    };
    let since = one.moved.and_then(|(_, onset)| onset);
    let since = since.map_or_else(String::new, |at| format!(" since {}", reader.clock(at).text));
    let value =
        one.value.map_or_else(String::new, |value| format!(": {}", format::value(value, unit)));
    let usual =
        usual_of(one).map_or_else(String::new, |usual| format!(", usually {}", range(usual, unit)));
    let name = clean(&one.series.signal);
    let role = one.role.name();
    Cell { role, sign, about: format!("{word}{since}; {name}{value}{usual}"), class }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::engine::detect::budget::Standing;
    use crate::time::Timestamp;

    fn service(name: &str, notice: f64, incidents: &[&str]) -> ServiceStanding {
        ServiceStanding {
            service: name.to_owned(),
            standing: notice.is_finite().then_some(Standing { notice, alert: 0.5 * notice }),
            weeks: if notice.is_nan() { 0.0 } else { 3.0 },
            silent_since: None,
            alerts_left: 1.0,
            incidents: incidents.iter().map(|&id| id.to_owned()).collect(),
            calls: Vec::new(),
            series: Vec::new(),
        }
    }

    #[test]
    fn the_most_restless_comes_first_and_the_list_has_an_end() {
        let reader = Reader { now: Timestamp::from_secs(0), zone: &TimeZone::UTC };
        let mut services: Vec<_> =
            (0..60).map(|n| service(&format!("s{n:02}"), 0.1, &[])).collect();
        services.push(service("loud", 1.2, &[]));
        services.push(service("told", 0.3, &["told-1"]));
        services.push(service("young", f64::NAN, &[]));
        let overview = Overview { services, ..Overview::default() };
        let all = fleet(&overview, "", &Facts::default(), reader);
        let names: Vec<&str> = all.services.iter().map(|row| row.name.name.as_str()).collect();
        assert_eq!(names[..3], ["told", "loud", "s00"]);
        assert_eq!((names.len(), all.more, all.total, all.learning), (SERVICES_MAX, 33, 63, 1));
        let few = fleet(&overview, "ou", &Facts::default(), reader);
        let words: Vec<_> = few.services.iter().map(|row| row.word).collect();
        assert_eq!(words, ["restless", "learning"], "loud and young");
    }

    #[test]
    fn who_has_learned_and_cannot_be_judged_yet_is_not_learning() {
        let reader = Reader { now: Timestamp::from_secs(0), zone: &TimeZone::UTC };
        let started = ServiceStanding { weeks: 3.0, ..service("started", f64::NAN, &[]) };
        let overview = Overview { services: vec![started], ..Overview::default() };
        let all = fleet(&overview, "", &Facts::default(), reader);
        assert_eq!((all.services[0].word, all.learning), ("not judged now", 0));
    }
}
