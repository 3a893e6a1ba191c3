//! Series, a row each: as they stand now, and as an alert told of them.

use serde::Serialize;

use super::{Link, Reader, When, query_url};
use crate::engine::alert::MovedSignal;
use crate::engine::chart::{Chart, Panel};
use crate::engine::detect::drift::Direction;
use crate::engine::overview::{Health, SeriesStanding};
use crate::format;
use crate::http::pages::Facts;
use crate::notify::chart::{outline, sparkline};
use crate::notify::view::clean;
use crate::rules::Signal;
use crate::series::Labels;
use crate::time::Timestamp;

/// A series as it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::http::pages) struct SeriesRow {
    signal: String,
    role: &'static str,
    labels: String,
    now: String,
    /// `180 ms to 310 ms`; none while that is learned.
    usual: Option<String>,
    /// Where it moves to and since when.
    moved: Option<String>,
    /// `up`, `down`, or empty.
    way: &'static str,
    health: &'static str,
    /// What that means.
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
        let signal = signal_of(facts, &series.signal);
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
        let now = format::optional(standing.value, unit);
        let usual = standing.usual.map(|usual| range(usual, unit));
        let about = format!(
            "{} {}: {now}{}",
            series.signal,
            labels_text(&series.labels),
            usual.as_ref().map_or_else(String::new, |usual| format!(", usually {usual}"))
        );
        let onset = standing.moved.and_then(|(_, onset)| onset);
        let picture = chart
            .and_then(|chart| Some((chart, panel_of(chart, &series.signal, &series.labels)?)))
            .map_or_else(String::new, |(chart, panel)| {
                // Only what moves is drawn as such.
                let onset = onset.unwrap_or(panel.onset);
                outline(chart, &Panel { onset, ..panel.clone() }, &about)
            });
        let query = signal.map_or_else(String::new, |signal| signal.query.clone());
        let url = query_url(facts.source_url.as_deref(), &query, reader.now);
        Self {
            signal: clean(&series.signal),
            role: standing.role.name(),
            labels: clean(&labels_text(&series.labels)),
            now,
            usual,
            moved,
            way,
            health: standing.health.name(),
            means: means(standing.health),
            peers: (standing.peers > 1).then(|| format!("{} peers", standing.peers)),
            picture,
            url: url.filter(|_| !query.is_empty()),
            query: clean(&query),
        }
    }
}

/// A signal as an alert told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::http::pages) struct MovedRow {
    service: Link,
    signal: String,
    labels: String,
    direction: String,
    now: String,
    expected: String,
    onset: When,
    chance: String,
    /// Its last hours in blocks.
    trend: String,
    query: String,
    url: Option<String>,
}

impl MovedRow {
    /// A row; `at` is when it was told.
    pub(in crate::http::pages) fn new(
        moved: &MovedSignal,
        chart: &Chart,
        facts: &Facts,
        (reader, at): (Reader<'_>, Timestamp),
    ) -> Self {
        let unit = moved.unit.as_deref();
        let query =
            signal_of(facts, &moved.signal).map_or_else(String::new, |found| found.query.clone());
        let panel = chart.panels.iter().find(|panel| {
            panel.service == moved.service
                && panel.signal == moved.signal
                && panel.labels == moved.labels
        });
        let url = query_url(facts.source_url.as_deref(), &query, at);
        Self {
            service: Link::service(&moved.service),
            signal: clean(&moved.signal),
            labels: clean(&labels_text(&moved.labels)),
            direction: clean(&moved.direction),
            now: format::optional(moved.now, unit),
            expected: format::optional(moved.expected, unit),
            onset: reader.clock(moved.onset),
            chance: format::chance(moved.p_value),
            trend: panel.map_or_else(String::new, |panel| sparkline(&panel.values)),
            url: url.filter(|_| !query.is_empty()),
            query: clean(&query),
        }
    }
}

fn signal_of<'f>(facts: &'f Facts, name: &str) -> Option<&'f Signal> {
    facts.rules.signals.iter().find(|signal| signal.name == name)
}

fn panel_of<'c>(chart: &'c Chart, signal: &str, labels: &Labels) -> Option<&'c Panel> {
    chart.panels.iter().find(|panel| panel.signal == signal && panel.labels == *labels)
}

/// `instance a, zone b`.
fn labels_text(labels: &Labels) -> String {
    let each = labels.iter().map(|(name, value)| format!("{name} {value}"));
    each.collect::<Vec<_>>().join(", ")
}

/// The middle 95 % of normal days.
pub(super) fn range([low, _, high]: [f64; 3], unit: Option<&str>) -> String {
    let [low, high] = [low, high].map(|value| format::value(value, unit));
    if low == high { low } else { format!("{low} to {high}") }
}

/// What a health means, for who never read of it.
const fn means(health: Health) -> &'static str {
    match health {
        Health::Judged => "judged every five minutes",
        Health::Context => "explains others, raises nothing by itself",
        Health::Learning => "not enough history yet",
        Health::TooSmall => "moves, by less than anybody cares about",
        Health::Unasked => "the backend did not answer for it",
        Health::Missing => "gave no value at the newest tick",
    }
}
