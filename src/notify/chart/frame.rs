//! The whole chart: panels under the changes, over one axis of time, and a legend.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use super::Look;
use super::legend::{self, Sign};
use super::markup::{Anchor, Markup, fit, width};
use super::panel::{Placed, height};
use super::scale::Times;
use super::style;
use super::words::{describe, zone_name};
use crate::engine::alert::{Alert, Forecast, NearChange};
use crate::engine::chart::{Chart, PANELS_MAX, VALUES_MAX};
use crate::notify::subject::subject;
use crate::time::{Span, Timestamp};

/// Width of a chart.
const WIDTH: f64 = 720.0;
/// Width of a chart for a phone, which shows it at seven eighths of this.
const NARROW: f64 = 400.0;
/// Size of the panels' titles.
pub(super) const TITLE: f64 = 19.0;
/// Size of all other texts.
pub(super) const TEXT: f64 = 16.0;
/// Where titles begin …
pub(super) const LEFT: f64 = 12.0;
/// Space right of everything.
const RIGHT_SPACE: f64 = 12.0;
/// Where values begin, right of their marks.
const PLOT_LEFT: f64 = 88.0;
/// Height of a change's line.
const CHANGE: f64 = 24.0;
/// Changes drawn, at most: those nearest to the beginning.
const CHANGES_MAX: usize = 4;
/// Height of the axis of time.
const AXIS: f64 = 22.0;
/// Space above the first line and below the last.
const MARGIN: f64 = 8.0;
/// The future takes at most this share of the past's width.
const FUTURE_SHARE: f64 = 0.6;

/// Where in a picture which time lies, for whoever points at it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plot {
    /// The time at `left`.
    pub from: Timestamp,
    /// The time at `right`.
    pub to: Timestamp,
    /// In units of the picture.
    pub left: f64,
    /// The same.
    pub right: f64,
    /// How wide the picture is.
    pub width: f64,
}

/// What a chart spans, with the forecast that it has room for.
struct Spanned<'a> {
    times: Times,
    step: Span,
    /// When the last value ends.
    end: Timestamp,
    /// The forecast that is drawn, and in which panel.
    forecast: Option<(&'a Forecast, usize)>,
}

fn wide(look: Look) -> f64 {
    if look == Look::Narrow { NARROW } else { WIDTH }
}

fn span<'a>(chart: &Chart, alert: &'a Alert, look: Look) -> Option<Spanned<'a>> {
    let panels = || chart.panels.iter().take(PANELS_MAX);
    let blocks = panels().map(|panel| panel.values.len().min(VALUES_MAX)).max()?;
    let step = Span::from_millis(chart.step.as_millis().clamp(1, Span::WEEK.as_millis()));
    let end = chart.from + step.times(i64::try_from(blocks).unwrap_or(0).max(1));
    let forecast = alert.forecast.as_ref().filter(|forecast| forecast.at > end);
    let about = panels().position(|panel| {
        panel.threshold.is_some_and(f64::is_finite)
            && forecast.is_some_and(|forecast| forecast.is_about(&panel.service, &panel.signal))
    });
    let forecast = forecast.zip(about);
    let to = forecast.map_or(end, |(forecast, _)| horizon(chart.from, end, forecast));
    let times = Times { from: chart.from, to, left: PLOT_LEFT, right: wide(look) - RIGHT_SPACE };
    Some(Spanned { times, step, end, forecast })
}

/// Where times lie in the picture of a chart; none when there is no picture.
pub fn plot(chart: &Chart, alert: &Alert, look: Look) -> Option<Plot> {
    let Times { from, to, left, right } = span(chart, alert, look)?.times;
    Some(Plot { from, to, left, right, width: wide(look) })
}

/// Draws a chart; none when it has no panel.
pub(super) fn draw(chart: &Chart, alert: &Alert, zone: &TimeZone, look: Look) -> Option<String> {
    let panels = || chart.panels.iter().take(PANELS_MAX);
    let Spanned { times, step, end, forecast } = span(chart, alert, look)?;
    let changes = shown(alert, &times);
    let head = MARGIN + CHANGE * changes.len() as f64;
    let placed: Vec<Placed<'_>> = panels()
        .enumerate()
        .map(|(n, panel)| {
            let forecast = forecast.filter(|(_, about)| *about == n).map(|(forecast, _)| forecast);
            Placed::new(panel, (times, step), zone, forecast, head + height(&times) * n as f64)
        })
        .collect();
    let (top, bottom) = (placed.first()?.span().0, placed.last()?.span().1);
    let mut drawing = Markup::default();
    time_axis(&mut drawing, &times, zone, (top, bottom));
    let row = |n: usize| MARGIN + CHANGE * (n as f64 + 0.5) - 2.0;
    let mut signs: BTreeSet<Sign> = changes.first().map(|_| Sign::Change).into_iter().collect();
    signs.extend(placed.iter().filter_map(|panel| panel.ground(&mut drawing)));
    // Before every text, so that none is crossed.
    for (n, change) in changes.iter().enumerate() {
        let x = times.x(change.at);
        drawing.line("gf-change", (x, row(n)), (x, bottom));
    }
    for panel in &placed {
        signs.extend(panel.draw(&mut drawing));
    }
    if forecast.is_some() {
        drawing.line("gf-now", (times.x(end), top), (times.x(end), bottom));
    }
    for (n, change) in changes.iter().enumerate() {
        let clock = times.clock(change.at, zone);
        tell_change(&mut drawing, change, &clock, (&times, row(n)));
    }
    let foot =
        legend::draw(&mut drawing, (bottom + AXIS, times.right), &signs, &day(chart.from, zone));
    let words = (subject(alert, zone), describe(chart, alert, zone));
    // Even, so that it is a whole number of pixels at one and a half as well.
    let size = (wide(look), 2.0 * (0.5 * (foot + MARGIN)).ceil());
    Some(drawing.finish(size, &style::of(look), (&words.0, &words.1)))
}

/// How far ahead is drawn: to the latest crossing, if that leaves the past its room.
fn horizon(from: Timestamp, end: Timestamp, forecast: &Forecast) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "a share of two days")]
    let most = ((end - from).as_millis() as f64 * FUTURE_SHARE) as i64;
    let farthest = end + Span::from_millis(most);
    let wanted = forecast.range.1.unwrap_or(forecast.at).max(forecast.at);
    // A little more than the crossing, so that it does not lie on the edge.
    let wanted = wanted + Span::from_millis((end - from).as_millis() / 50);
    wanted.min(farthest)
}

/// The changes in the picture, in order of time; the nearest to the beginning if there are many.
fn shown<'a>(alert: &'a Alert, times: &Times) -> Vec<&'a NearChange> {
    let mut changes: Vec<&NearChange> =
        alert.changes.iter().filter(|change| times.holds(change.at)).collect();
    changes.sort_by_key(|change| (change.at - alert.started_at).as_millis().abs());
    changes.truncate(CHANGES_MAX);
    changes.sort_by_key(|change| change.at);
    changes
}

/// A change in words, beside its sign on a row of its own.
fn tell_change(to: &mut Markup, change: &NearChange, clock: &str, (times, y): (&Times, f64)) {
    let x = times.x(change.at);
    to.path("gf-diamond", &[(x - 6.0, y), (x, y - 6.0), (x + 6.0, y), (x, y + 6.0)]);
    let NearChange { kind, service, what, .. } = change;
    let text = format!("{clock} {kind} of {service}: {what}");
    let (left, right) = (x - 10.0 - LEFT, times.right - x - 10.0);
    let (at, anchor) =
        if left > right { (x - 11.0, Anchor::End) } else { (x + 11.0, Anchor::Start) };
    to.text("gf-change-text", (at, y + 5.5), anchor, &fit(&text, TEXT, left.max(right)));
}

fn time_axis(to: &mut Markup, times: &Times, zone: &TimeZone, (top, bottom): (f64, f64)) {
    for (at, label) in times.marks(zone) {
        let x = times.x(at);
        to.line("gf-grid", (x, top), (x, bottom + 4.0));
        let half = 0.5 * width(&label, TEXT);
        let place = x.clamp(times.left - 10.0 + half, times.right + 8.0 - half);
        to.text("gf-text", (place, bottom + AXIS), Anchor::Middle, &label);
    }
}

/// On which day it begins, and whose clock it is.
fn day(from: Timestamp, zone: &TimeZone) -> String {
    let day = zone.to_datetime(from.to_jiff()).strftime("from %a, %-d %b %Y");
    format!("{day}, {} time", zone_name(zone))
}
