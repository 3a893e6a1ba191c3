//! Every incident of a replay in one picture: a row per service, time from left to right.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::engine::alert::Severity;
use crate::format;
use crate::notify::view::clean;
use crate::scorecard::{Record, Scorecard};
use crate::time::{Span, Timestamp};

/// Rows; services with less are counted.
const ROWS_MAX: usize = 60;
/// Bars over all rows.
const BARS_MAX: usize = 3_000;
/// Marks on the axis of time, at most.
const MARKS_MAX: i64 = 12;
/// Where the picture's time begins and ends.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 1_050.0;
/// Space for half of the last mark's label.
const MARGIN: f64 = 50.0;
/// Height of a row.
const ROW: f64 = 26.0;
/// Height of the axis.
const AXIS: f64 = 26.0;
/// A bar is at least so wide.
const WIDTH_MIN: f64 = 4.0;
/// Characters of a service's name.
const NAME_CHARS: usize = 24;

/// What the picture shows, with places in its own units.
#[derive(Serialize)]
pub(super) struct Timeline {
    width: f64,
    height: f64,
    rows: Vec<Row>,
    marks: Vec<Mark>,
    /// Rows and bars that are left out.
    left_out: [usize; 2],
    has_truths: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    y: f64,
    bars: Vec<Bar>,
    truths: Vec<True>,
}

/// What was told.
#[derive(Serialize)]
struct Bar {
    x: f64,
    width: f64,
    severity: &'static str,
    incident: String,
    text: String,
}

/// What really happened.
#[derive(Serialize)]
struct True {
    x: f64,
    width: f64,
    noticed: Option<f64>,
    text: String,
}

#[derive(Serialize)]
struct Mark {
    x: f64,
    label: String,
}

/// From instants to places.
struct Scale {
    from: Timestamp,
    to: Timestamp,
}

impl Scale {
    fn x(&self, at: Timestamp) -> f64 {
        let all = (self.to - self.from).as_secs_f64().max(1.0);
        let share = (at - self.from).as_secs_f64() / all;
        // Tenths are finer than any screen.
        ((LEFT + (RIGHT - LEFT) * share.clamp(0.0, 1.0)) * 10.0).round() / 10.0
    }

    fn stretch(&self, from: Timestamp, to: Timestamp) -> (f64, f64) {
        let (x, end) = (self.x(from), self.x(to));
        let width = (end - x).max(WIDTH_MIN);
        (x.min(RIGHT - width), width)
    }
}

impl Timeline {
    pub(super) fn new(record: &Record, card: Option<&Scorecard>, zone: &TimeZone) -> Self {
        let scale = Scale { from: record.from, to: record.to };
        let mut weights: BTreeMap<&str, (Severity, usize)> = BTreeMap::new();
        for case in &record.cases {
            let weight = weights.entry(&case.service).or_insert((Severity::Notice, 0));
            *weight = (weight.0.max(case.severity), weight.1 + 1);
        }
        for one in card.iter().flat_map(|card| &card.incidents) {
            weights.entry(&one.truth.service).or_insert((Severity::Critical, 1));
        }
        let mut names: Vec<&str> = weights.keys().copied().collect();
        names.sort_by_key(|name| std::cmp::Reverse(weights[name]));
        let left_out = names.len().saturating_sub(ROWS_MAX);
        names.truncate(ROWS_MAX);
        let kept: BTreeSet<&str> = names.into_iter().collect();
        let bars_left_out = record.cases.len().saturating_sub(BARS_MAX);
        let rows: Vec<Row> = kept
            .iter()
            .zip(0_u16..)
            .map(|(name, n)| row((name, AXIS + ROW * f64::from(n)), record, card, (&scale, zone)))
            .collect();
        Self {
            width: RIGHT + MARGIN,
            height: AXIS + ROW * rows.len() as f64 + 4.0,
            marks: marks(&scale, zone),
            rows,
            left_out: [left_out, bars_left_out],
            has_truths: card.is_some_and(|card| !card.incidents.is_empty()),
        }
    }
}

fn row(
    (name, y): (&str, f64),
    record: &Record,
    card: Option<&Scorecard>,
    (scale, zone): (&Scale, &TimeZone),
) -> Row {
    let clock = |at| format::clock(at, record.from - Span::DAY, zone);
    let cases = record.cases.iter().take(BARS_MAX).filter(|case| case.service == name);
    let bars = cases.map(|case| {
        let (x, width) = scale.stretch(case.opened, case.resolved.unwrap_or(record.to));
        let title = case.turns.last().map_or("", |turn| turn.title.as_str());
        let text = format!("{} {}: {}", clock(case.opened), case.severity, clean(title));
        Bar { x, width, severity: case.severity.name(), incident: clean(&case.id), text }
    });
    let happened = card.into_iter().flat_map(|card| &card.incidents);
    let truths = happened.map(|one| &one.truth).filter(|truth| truth.service == name);
    let truths = truths.map(|truth| {
        let end = truth.end.or(truth.noticed).unwrap_or(truth.onset);
        let (x, width) = scale.stretch(truth.onset, end);
        let cause = truth.cause.as_deref().map(|cause| format!(", {}", clean(cause)));
        let noticed = truth.noticed.map(|at| format!(", noticed {}", clock(at)));
        let text = format!(
            "really happened: {}{}{}",
            clock(truth.onset),
            noticed.unwrap_or_default(),
            cause.unwrap_or_default()
        );
        True { x, width, noticed: truth.noticed.map(|at| scale.x(at)), text }
    });
    Row {
        name: format::clip(&clean(name), NAME_CHARS),
        y,
        bars: bars.collect(),
        truths: truths.collect(),
    }
}

/// The first instants of days, or of hours where there are few days.
fn marks(scale: &Scale, zone: &TimeZone) -> Vec<Mark> {
    let length = scale.to - scale.from;
    let steps = [1, 2, 6, 12, 24, 48, 96, 168, 336, 672, 1_344, 2_688].map(Span::from_hours);
    let fits = |step: &&Span| length.as_millis() <= step.as_millis() * MARKS_MAX;
    let step = steps.iter().find(fits).copied().unwrap_or(length);
    let format = if step < Span::DAY { "%-d %b %H:%M" } else { "%-d %b" };
    let mut marks = Vec::new();
    let mut at = scale.from.ceil_to(step);
    while at <= scale.to && step > Span::ZERO {
        let label = zone.to_datetime(at.to_jiff()).strftime(format).to_string();
        marks.push(Mark { x: scale.x(at), label });
        at = at + step;
    }
    marks
}
