//! Series, a row each: as they stand now, and as an alert told of them.

use std::sync::Arc;

use serde::Serialize;

use super::{Link, Reader, When, query_url};
use crate::engine::alert::{Alert, MovedSignal};
use crate::engine::chart::{Chart, Panel};
use crate::engine::detect::drift::Direction;
use crate::engine::overview::{Health, Overview, SeriesStanding};
use crate::format;
use crate::http::pages::Facts;
use crate::notify::chart::{outline, sparkline};
use crate::notify::view::{clean, is_felt};
use crate::rules::Role;
use crate::series::Labels;
use crate::time::Timestamp;

/// Signals whose values now stand beside a title.
const NOW_MAX: usize = 3;

/// Values nearer to each other than this part of them are read as the same: three digits are shown.
const ALIKE: f64 = 0.005;

/// A series as it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::http::pages) struct SeriesRow {
    signal: String,
    /// In words.
    role: String,
    labels: String,
    now: String,
    /// `180 ms to 310 ms`; none while that is learned.
    usual: Option<String>,
    /// Where it moves to and since when.
    moved: Option<String>,
    /// `up`, `down`, or empty.
    way: &'static str,
    /// What can be said of it, where it does not move.
    means: &'static str,
    /// How many peers are folded into it, from two on.
    peers: Option<String>,
    /// A small picture, as markup.
    picture: String,
    /// The query that gives it.
    query: String,
    /// The backend's own page with it.
    url: Option<String>,
}

impl SeriesRow {
    /// A row with its picture, if there is one.
    pub(in crate::http::pages) fn new(
        standing: &SeriesStanding,
        chart: Option<&Chart>,
        facts: &Facts,
        reader: Reader<'_>,
    ) -> Self {
        let series = &standing.series;
        let signal = facts.rules.signal(&series.signal);
        let unit = signal.and_then(|signal| signal.unit.as_deref());
        let (way, moved) = match standing.moved {
            Some((way, onset)) => {
                let (way, word) = match way {
                    Direction::Up => ("up", "above usual"),
                    Direction::Down => ("down", "below usual"),
                };
                let since = onset.map(|at| format!(" since {}", reader.clock(at).text));
                (way, Some(format!("{word}{}", since.unwrap_or_default())))
            }
            None => ("", None),
        };
        let now = now_of(standing, unit);
        let usual = usual_of(standing).map(|usual| range(usual, unit));
        let about = format!(
            "{} {}: {now}{}",
            series.signal,
            labels_text(&series.labels),
            usual.as_ref().map_or_else(String::new, |usual| format!(", usually {usual}"))
        );
        let picture = chart.map_or_else(String::new, |chart| picture(standing, chart, &about));
        let query = signal.map_or_else(String::new, |signal| signal.query.clone());
        let url = query_url(facts.source_url.as_deref(), &query, reader.now);
        Self {
            signal: clean(&series.signal),
            role: standing.role.name().replace('_', " "),
            labels: clean(&labels_text(&series.labels)),
            now,
            usual,
            moved,
            way,
            means: if standing.moved.is_some() { "" } else { means(standing) },
            peers: (standing.peers > 1).then(|| format!("{} peers", standing.peers)),
            picture,
            url: url.filter(|_| !query.is_empty()),
            query: clean(&query),
        }
    }
}

/// The value of a series. Nothing has no size of its own: it is told in the unit of what it
/// usually is.
fn now_of(standing: &SeriesStanding, unit: Option<&str>) -> String {
    let is_nothing = standing.value.is_some_and(|value| value.abs() <= 0.0);
    let usual = usual_of(standing).filter(|_| is_nothing);
    usual.map_or_else(
        || format::optional(standing.value, unit),
        |[.., high]| {
            let [nothing, _] = format::pair([0.0, high], unit);
            nothing
        },
    )
}

/// The small picture of a series; empty where nothing is drawn of it.
fn picture(standing: &SeriesStanding, chart: &Chart, about: &str) -> String {
    let series = &standing.series;
    let panel = chart.panel(&series.service, &series.signal, &series.labels);
    let Some(panel) = panel else { return String::new() };
    // Only what moves is drawn as such, and only what has a range with one.
    let onset = standing.moved.and_then(|(_, onset)| onset).unwrap_or(panel.onset);
    let has_range = !is_name(standing.role);
    let expected = panel.expected.iter().map(|band| band.filter(|_| has_range)).collect();
    outline(chart, &Panel { expected, onset, ..panel.clone() }, about)
}

/// How what alerts told of stands now; nothing is known where the daemon has not ticked, and of what
/// is over.
#[derive(Clone, Debug, Default)]
pub(in crate::http::pages) struct Newest {
    /// Everything at the newest tick.
    pub(in crate::http::pages) overview: Arc<Overview>,
    /// The signals as they are drawn now; none where the engine did not answer.
    pub(in crate::http::pages) chart: Chart,
}

/// A signal as an alert told of it, and as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::http::pages) struct MovedRow {
    service: Link,
    signal: String,
    labels: String,
    direction: String,
    /// The newest value; none where nothing is known of now.
    now: Option<String>,
    told: String,
    expected: String,
    onset: When,
    chance: String,
    /// Its last hours in blocks.
    trend: String,
    query: String,
    url: Option<String>,
}

impl MovedRow {
    /// A row of what was told at `at` and of how it stands.
    pub(in crate::http::pages) fn new(
        moved: &MovedSignal,
        (newest, drawn): (&Newest, &Chart),
        facts: &Facts,
        (reader, at): (Reader<'_>, Timestamp),
    ) -> Self {
        let unit = moved.unit.as_deref();
        let query =
            facts.rules.signal(&moved.signal).map_or_else(String::new, |found| found.query.clone());
        let panel = drawn.panel_of(moved);
        let url = query_url(facts.source_url.as_deref(), &query, at);
        let [told, expected] = format::optional_pair([moved.now, moved.expected], unit);
        Self {
            service: Link::service(&moved.service),
            signal: clean(&moved.signal),
            labels: clean(&labels_text(&moved.labels)),
            direction: clean(&moved.direction),
            now: value_now(moved, newest).map(|[now, _]| now),
            told,
            expected,
            onset: reader.clock(moved.onset),
            chance: format::chance(moved.p_value),
            trend: panel.map_or_else(String::new, |panel| sparkline(&panel.values)),
            url: url.filter(|_| !query.is_empty()),
            query: clean(&query),
        }
    }
}

/// `instance a, zone b`.
fn labels_text(labels: &Labels) -> String {
    let each = labels.iter().map(|(name, value)| format!("{name} {value}"));
    each.collect::<Vec<_>>().join(", ")
}

/// What the signals of an alert show now: first the one that the title tells, then those that
/// somebody feels.
pub(super) fn values_now(title: &str, moving: &Alert, newest: &Newest) -> Vec<String> {
    let told = |moved: &&MovedSignal| {
        let [now, usual] = value_now(moved, newest)?;
        let usual = if usual.is_empty() { usual } else { format!(" (usual {usual})") };
        let labels = labels_text(&moved.labels);
        let labels = if labels.is_empty() { labels } else { format!(" ({labels})") };
        Some(clean(&format!("{} {}{labels} {now}{usual}", moved.service, moved.signal)))
    };
    let is_title =
        |moved: &MovedSignal| title.contains(&format!("{} {}", moved.service, moved.subject()));
    let mut ordered: Vec<&MovedSignal> = moving.signals.iter().collect();
    ordered.sort_by_key(|moved| (!is_title(moved), !is_felt(moved)));
    ordered.iter().filter_map(told).take(NOW_MAX).collect()
}

/// The newest value of a signal that an alert told of, and what is usual for it, which may be empty;
/// none where nothing is known of now. One of several peers is not watched by itself: it is as it
/// was drawn.
fn value_now(moved: &MovedSignal, newest: &Newest) -> Option<[String; 2]> {
    let (now, usual) = if moved.peer.is_some() {
        let panel = newest.chart.panel_of(moved)?;
        let usual = panel.expected.last().copied().flatten().map(|band| f64::from(band.centre));
        (panel.values.last().copied().flatten().map(f64::from), usual)
    } else {
        let service = newest.overview.services.iter().find(|one| one.service == moved.service)?;
        let is_told = |one: &&SeriesStanding| {
            one.series.signal == moved.signal && one.series.labels == moved.labels
        };
        let standing = service.series.iter().find(is_told);
        let standing = standing.filter(|one| one.health != Health::Unasked)?;
        (standing.value, usual_of(standing).map(|[_, centre, _]| centre))
    };
    let unit = moved.unit.as_deref();
    Some(match now.zip(usual) {
        Some((now, usual)) => format::pair([now, usual], unit),
        None => [format::optional(now, unit), String::new()],
    })
}

/// Whether its values only tell one thing from another.
const fn is_name(role: Role) -> bool {
    matches!(role, Role::Version | Role::ConfigVersion)
}

/// Between which values it usually lies. A version is a name: none lies between two of them.
pub(super) fn usual_of(standing: &SeriesStanding) -> Option<[f64; 3]> {
    let [low, centre, high] = standing.usual.filter(|_| !is_name(standing.role))?;
    // What is estimated on a line can end where nothing is: no share, count, rate or time is below
    // zero. Whatever else a custom signal measures may be.
    let is_never_below = standing.role != Role::Custom && centre >= 0.0;
    Some([if is_never_below { low.max(0.0) } else { low }, centre, high])
}

/// The middle 95 % of normal days, in one unit that is said once: `28 to 35.9 per second`.
pub(in crate::http::pages) fn range([low, _, high]: [f64; 3], unit: Option<&str>) -> String {
    let [low, high] = format::pair([low, high], unit);
    if low == high {
        return low;
    }
    let number = |text: &str| text.find([' ', '%']).unwrap_or(text.len());
    let (low_number, low_unit) = low.split_at(number(&low));
    let high_unit = high.split_at(number(&high)).1;
    if low_unit == high_unit {
        format!("{low_number} to {high}")
    } else {
        format!("{low} to {high}")
    }
}

/// Where a value lies that is outside of what is usual, if it is.
pub(super) fn outside(standing: &SeriesStanding) -> Option<Direction> {
    let [low, _, high] = usual_of(standing)?;
    let value = standing.value?;
    if value - high > ALIKE * high.abs() {
        Some(Direction::Up)
    } else {
        (low - value > ALIKE * low.abs()).then_some(Direction::Down)
    }
}

/// What can be said of a series that does not move, for who never read of it.
pub(super) fn means(standing: &SeriesStanding) -> &'static str {
    match (standing.health, outside(standing)) {
        (Health::Learning, _) => "not enough history yet",
        (Health::Unasked, _) => "the backend did not answer for it",
        (Health::Missing, _) => "gave no value at the newest tick",
        (Health::Context, None) => "explains others, raises nothing by itself",
        (Health::Context, Some(Direction::Up)) => "above usual; explains others, raises nothing",
        (Health::Context, Some(Direction::Down)) => "below usual; explains others, raises nothing",
        (Health::Judged | Health::TooSmall, None) => "as usual",
        (Health::TooSmall, Some(Direction::Up)) => "above usual, by less than matters",
        (Health::TooSmall, Some(Direction::Down)) => "below usual, by less than matters",
        (Health::Judged, Some(Direction::Up)) => "above usual, not long or far enough to count",
        (Health::Judged, Some(Direction::Down)) => "below usual, not long or far enough to count",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_one_unit() {
        let told = |low, high, unit| range([low, low, high], Some(unit));
        assert_eq!(told(28.0, 35.9, "per second"), "28 to 35.9 per second");
        assert_eq!(told(0.0, 0.409 / 60.0, "per second"), "0 to 0.409 per minute");
        assert_eq!(told(0.000_16, 0.001_42, "ratio"), "0.016 to 0.142%");
        assert_eq!(told(0.325, 0.363, "seconds"), "325 to 363 ms");
        assert_eq!(told(9.45, 10.3, "threads"), "9.45 to 10.3 threads");
        assert_eq!(told(3.0, 3.0, "ratio"), "300%");
    }

    #[test]
    fn no_share_is_below_nothing_and_no_version_between_two() {
        let series = crate::series::Series::new("gc", "web", None, None, Labels::new());
        let standing = |role, value| SeriesStanding {
            series: Arc::new(series.clone()),
            role,
            value: Some(value),
            usual: Some([-0.0002, 0.0003, 0.0008]),
            score: 0.1,
            moved: None,
            health: Health::TooSmall,
            seen: None,
            peers: 0,
        };
        assert_eq!(usual_of(&standing(Role::Gc, 0.0)), Some([0.0, 0.0003, 0.0008]));
        assert_eq!(usual_of(&standing(Role::Custom, 0.0)), Some([-0.0002, 0.0003, 0.0008]));
        assert_eq!(usual_of(&standing(Role::Version, 0.0)), None);
        assert_eq!(means(&standing(Role::Gc, 0.0005)), "as usual");
        assert_eq!(means(&standing(Role::Gc, 0.001)), "above usual, by less than matters");
    }
}
