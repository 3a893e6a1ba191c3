//! Whether the onset lies at a boundary of the clock or the calendar, and how often chance would
//! have put it there.

use jiff::civil::{DateTime, Weekday};

use crate::engine::diagnose::doubt::doubt;
use crate::engine::diagnose::evidence::{Looked, ONSET_WIDTH_MAX};
use crate::engine::diagnose::scene::Scene;
use crate::time::{Span, Timestamp};

/// What happens at a boundary is seen up to this much before or after it (METHODS 2.9).
const SLACK: Span = Span::from_mins(10);
/// Nothing can be compared in the hour after a clock change, so that its onset is seen late.
const CLOCK_CHANGE_SLACK: Span = Span::from_mins(70);
/// Zones differ by quarters of an hour.
const QUARTER: Span = Span::from_mins(15);
/// A year of the calendar, in hours.
const YEAR_HOURS: f64 = 8_765.82;

/// Boundaries, rarest first: how they are called, how many hours lie between two, and whether a
/// clock that shows a full hour is at one.
type Boundary = (&'static str, f64, fn(&DateTime) -> bool);
const BOUNDARIES: [Boundary; 4] = [
    ("the turn of the year", YEAR_HOURS, |t| t.hour() == 0 && t.day_of_year() == 1),
    ("the first of a month", YEAR_HOURS / 12.0, |t| t.hour() == 0 && t.day() == 1),
    ("the start of a week", 168.0, |t| t.hour() == 0 && t.weekday() == Weekday::Monday),
    ("midnight", 24.0, |t| t.hour() == 0),
];

/// The rarest boundary that the onset touches, in UTC or in the configured zone.
pub(super) fn at_boundary(scene: &Scene<'_>) -> Looked {
    let [from, to] = scene.onset_at_best();
    let width = to - from;
    if width > ONSET_WIDTH_MAX {
        return Looked::new(
            None,
            "boundaries of the clock: the onset is not known well".to_owned(),
        );
    }
    let ahead = scene.clock.offset(to);
    let zone = scene.clock.name().unwrap_or("the configured zone");
    let late = CLOCK_CHANGE_SLACK;
    if scene.clock.offset(from - late) != scene.clock.offset(to + SLACK) {
        let chance = 2.0 * (width + late + SLACK).as_hours_f64() / YEAR_HOURS;
        let text = format!("the onset lies at a clock change of {zone}");
        return Looked { chance: Some(chance), ..Looked::new(Some(true), text) };
    }
    // Where the zone's days begin with UTC's there is one clock and not two.
    let clocks = if ahead == Span::ZERO { 1.0 } else { 2.0 };
    let chance = |doubt: f64, hours: f64| {
        (clocks * (doubt + SLACK.times(2).as_secs_f64()) / 3_600.0 / hours).min(1.0)
    };
    let near =
        std::iter::successors(Some((from - SLACK).ceil_to(QUARTER)), |&at| Some(at + QUARTER))
            .take_while(|&at| at <= to + SLACK);
    let shown: Vec<(Timestamp, DateTime, &str)> = near
        .flat_map(|at| [(at, utc(at), "UTC"), (at, scene.clock.shows(at), zone)])
        .filter(|(_, shown, _)| shown.minute() == 0)
        .collect();
    for (name, hours, is_at) in BOUNDARIES {
        if let Some((at, _, clock)) = shown.iter().find(|(_, shown, _)| is_at(shown)) {
            let text = format!("the onset lies at {name} ({clock})");
            let doubt = doubt(scene.onset, [*at - SLACK, *at + SLACK], [from, to]);
            return Looked { chance: Some(chance(doubt, hours)), ..Looked::new(Some(true), text) };
        }
    }
    let text = if shown.is_empty() {
        "the onset lies at no boundary of the clock"
    } else {
        "it may have begun at a full hour, when many jobs start: too common to count"
    };
    // A full hour says nothing: jobs begin then, and so does a third of everything else.
    let seen = shown.is_empty().then_some(false);
    let chance = chance(width.as_secs_f64(), 24.0);
    Looked { chance: Some(chance), ..Looked::new(seen, text.to_owned()) }
}

fn utc(at: Timestamp) -> DateTime {
    jiff::tz::TimeZone::UTC.to_datetime(at.to_jiff())
}
