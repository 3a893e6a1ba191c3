//! One signal of a chart.

use super::frame::{LEFT, TEXT, TITLE};
use super::legend::Sign;
use super::markup::{Anchor, Markup, fit, width};
use super::scale::{Times, Values};
use super::words::{name, state};
use crate::engine::alert::Forecast;
use crate::engine::chart::{Band, Panel, VALUES_MAX};
use crate::format;
use crate::time::{Span, Timestamp};

/// Height of a panel's line of title.
const HEAD: f64 = 30.0;
/// Height of a second one, in a picture that is too narrow for all in one line.
const SECOND: f64 = 21.0;
/// From this width on there is room for a title and how it stands in one line.
const ONE_LINE: f64 = 500.0;
/// Height of what is drawn below it.
const PLOT: f64 = 96.0;
/// Space below a panel.
const FOOT: f64 = 16.0;
/// Points of what is usual, about as many at most: it moves slowly, and a page has a weight.
const BAND_POINTS: usize = 192;
/// How much of the drawing may be given away so that a threshold far from the values is seen.
const THRESHOLD_SHARE: f64 = 1.5;

/// Whether a title takes two lines.
fn stacked(times: &Times) -> bool {
    times.right < ONE_LINE
}

/// Height of what is written above values.
fn head(times: &Times) -> f64 {
    if stacked(times) { HEAD + SECOND } else { HEAD }
}

/// Height of a panel with everything.
pub(super) fn height(times: &Times) -> f64 {
    head(times) + PLOT + FOOT
}

/// A panel on its place.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    panel: &'a Panel,
    times: Times,
    step: Span,
    zone: &'a jiff::tz::TimeZone,
    /// The forecast, if it is about this signal.
    forecast: Option<&'a Forecast>,
    top: f64,
    scale: Values,
}

impl<'a> Placed<'a> {
    pub(super) fn new(
        panel: &'a Panel,
        (times, step): (Times, Span),
        zone: &'a jiff::tz::TimeZone,
        forecast: Option<&'a Forecast>,
        top: f64,
    ) -> Self {
        let above = top + head(&times);
        let all = extent(panel, panel.threshold, forecast.is_some());
        let scale = Values::holding(all.into_iter(), (above, above + PLOT));
        Self { panel, times, step, zone, forecast, top, scale }
    }

    /// Draws what lies below everything: marks of its scale, and what is usual. Says which signs
    /// need explaining.
    pub(super) fn ground(&self, to: &mut Markup) -> Option<Sign> {
        self.grid(to);
        self.band(to).then_some(Sign::Band)
    }

    /// Draws the rest, the most important last.
    pub(super) fn draw(&self, to: &mut Markup) -> Vec<Sign> {
        self.threshold(to);
        let drawn = [(self.outlook(to), Sign::Forecast), (self.values(to), Sign::Onset)];
        self.title(to);
        drawn.into_iter().filter(|(there, _)| *there).map(|(_, sign)| sign).collect()
    }

    /// Where the values are drawn, from top to bottom.
    pub(super) fn span(&self) -> (f64, f64) {
        let above = self.top + head(&self.times);
        (above, above + PLOT)
    }

    fn title(&self, to: &mut Markup) {
        let (right, y, state) = (self.times.right, self.top + TITLE, state(self.panel));
        let wide = right - LEFT;
        if stacked(&self.times) {
            to.text("gf-title", (LEFT, y), Anchor::Start, &fit(&name(self.panel), TEXT, wide));
            to.text("gf-state", (LEFT, y + SECOND), Anchor::Start, &fit(&state, TEXT, wide));
            return;
        }
        let state = fit(&state, TITLE, wide * 0.6);
        let room = wide - width(&state, TITLE) - TITLE;
        to.text("gf-title", (LEFT, y), Anchor::Start, &fit(&name(self.panel), TITLE, room));
        to.text("gf-state", (right, y), Anchor::End, &state);
    }

    fn grid(&self, to: &mut Markup) {
        let mut last = String::new();
        for mark in self.scale.marks(self.panel.unit.as_deref()) {
            let y = self.scale.y(mark);
            to.line("gf-grid", (self.times.left, y), (self.times.right, y));
            let label = format::value(mark, self.panel.unit.as_deref());
            // Marks closer than three digits can tell would read as the same.
            if label != last {
                let label = fit(&label, TEXT, self.times.left - 14.0);
                to.text("gf-text", (self.times.left - 8.0, y + 5.0), Anchor::End, &label);
            }
            last = label;
        }
    }

    /// The middle of a block: its value stands for all of it.
    fn x(&self, place: usize) -> f64 {
        self.times.x(self.middle(place))
    }

    fn middle(&self, place: usize) -> Timestamp {
        let half = Span::from_millis(self.step.as_millis() / 2);
        self.times.from + self.step.times(i64::try_from(place).unwrap_or(0)) + half
    }

    fn band(&self, to: &mut Markup) -> bool {
        let mut drawn = false;
        let every = self.panel.expected.len().div_ceil(BAND_POINTS).max(1);
        for (from, run) in runs(self.panel.expected.iter().map(|band| band.filter(is_band))) {
            let edge = |pick: fn(&Band) -> f32| {
                let last = run.len() - 1;
                let kept =
                    run.iter().enumerate().filter(move |(n, _)| n % every == 0 || *n == last);
                kept.map(move |(n, band)| (self.x(from + n), self.scale.y(f64::from(pick(band)))))
            };
            let mut around: Vec<_> = edge(|band| band.high).collect();
            let mut low: Vec<_> = edge(|band| band.low).collect();
            low.reverse();
            around.extend(low);
            to.path("gf-band", &around);
            to.path("gf-usual", &edge(|band| band.centre).collect::<Vec<_>>());
            drawn = true;
        }
        drawn
    }

    fn threshold(&self, to: &mut Markup) {
        let seen = self.panel.threshold.filter(|&level| self.scale.holds(level));
        let Some(level) = seen else { return };
        let y = self.scale.y(level);
        to.line("gf-threshold", (self.times.left, y), (self.times.right, y));
        let value = format::value(level, self.panel.unit.as_deref());
        let text = format!("{} {value}", self.panel.bound.name());
        let text = fit(&text, TEXT, self.times.right - self.times.left);
        to.text("gf-threshold-text", self.beside(y, width(&text, TEXT)), Anchor::Start, &text);
    }

    /// Where a text beside the line at `y` hides least: above it or below, at its beginning or its
    /// end.
    fn beside(&self, y: f64, wide: f64) -> (f64, f64) {
        let (top, bottom) = self.span();
        let (first, last) = (self.times.left + 4.0, self.times.right - wide - 4.0);
        let places = [(first, y - 6.0), (last, y - 6.0), (first, y + 17.0), (last, y + 17.0)];
        let inside = |&(_, base): &(f64, f64)| base - TEXT > top - 8.0 && base < bottom;
        let points = self.worth_seeing(y);
        let hidden = |&(x, base): &(f64, f64)| {
            let (across, down) = (x - 4.0..=x + wide + 4.0, base - TEXT..=base + 6.0);
            points.iter().filter(|(x, y)| across.contains(x) && down.contains(y)).count()
        };
        places.into_iter().filter(inside).min_by_key(hidden).unwrap_or(places[0])
    }

    /// Points that a text beside the line at `y` should not hide.
    fn worth_seeing(&self, y: f64) -> Vec<(f64, f64)> {
        let measured = self.panel.values.iter().enumerate().filter_map(|(n, value)| {
            Some((self.x(n), self.scale.y(f64::from(value.filter(|value| value.is_finite())?))))
        });
        // The onset is a line, and its time stands beside its flag on either side.
        let (top, onset) = (self.span().0, self.times.x(self.panel.onset));
        let flag = [-50.0, -30.0, -10.0, 10.0, 30.0, 50.0].map(|aside| (onset + aside, top));
        let line = (0..8_u32).map(|n| (onset, top + PLOT * f64::from(n) / 8.0));
        // What is foretold ends on the line.
        let newest = self.panel.values.len().saturating_sub(1);
        let ahead = self.forecast.map(|forecast| {
            let (from, to) = (self.x(newest), self.times.x(forecast.at));
            (0..8_u32).map(move |n| (from + (to - from) * (0.5 + f64::from(n) / 14.0), y + 6.0))
        });
        measured.chain(flag).chain(line).chain(ahead.into_iter().flatten()).collect()
    }

    /// The values, those since the onset in another colour, and the onset. Says whether the onset
    /// is there.
    fn values(&self, to: &mut Markup) -> bool {
        let onset = self.panel.onset;
        let values = self.panel.values.iter().map(|value| value.filter(|value| value.is_finite()));
        for (from, run) in runs(values) {
            let points: Vec<_> = run
                .iter()
                .enumerate()
                .map(|(n, value)| (self.x(from + n), self.scale.y(f64::from(*value))))
                .collect();
            let moved = (0..run.len()).position(|n| self.middle(from + n) >= onset);
            let moved = moved.unwrap_or(run.len());
            if let [alone] = points[..] {
                to.dot(if moved == 0 { "gf-moved-dot" } else { "gf-line-dot" }, alone, 2.5);
            }
            to.path("gf-line", &points[..moved]);
            to.path("gf-moved", &points[moved.saturating_sub(1)..]);
        }
        let held = self.times.holds(onset) && self.panel.values.len() <= VALUES_MAX;
        if held {
            self.onset(to);
        }
        held
    }

    fn onset(&self, to: &mut Markup) {
        let (x, (top, bottom)) = (self.times.x(self.panel.onset), self.span());
        to.line("gf-onset", (x, top), (x, bottom));
        to.path("gf-onset-flag", &[(x - 6.0, top - 5.0), (x + 6.0, top - 5.0), (x, top + 5.0)]);
        let text = self.times.clock(self.panel.onset, self.zone);
        let (at, anchor) = if x - self.times.left > width(&text, TEXT) + 10.0 {
            (x - 9.0, Anchor::End)
        } else {
            (x + 9.0, Anchor::Start)
        };
        to.text("gf-onset-text", (at, top + 7.0), anchor, &text);
    }

    /// The wall clock, and the day where it is not that of the newest value.
    fn when(&self, at: Timestamp) -> String {
        let newest = self.middle(self.panel.values.len().saturating_sub(1));
        let days = [at, newest].map(|at| self.zone.to_datetime(at.to_jiff()));
        if days[0].date() == days[1].date() {
            self.times.clock(at, self.zone)
        } else {
            days[0].strftime("%H:%M on %a %-d %b").to_string()
        }
    }

    /// Where it is going: from its newest value to its threshold, and how sure that is.
    fn outlook(&self, to: &mut Markup) -> bool {
        let Some((forecast, level)) = self.forecast.zip(self.panel.threshold) else { return false };
        let newest = self.panel.values.iter().rposition(|v| v.is_some_and(f32::is_finite));
        let Some((place, value)) =
            newest.and_then(|place| Some((place, f64::from(self.panel.values[place]?))))
        else {
            return false;
        };
        let from = self.middle(place);
        // On the straight way to the threshold, as far as it is drawn.
        let reach = |at: Timestamp| {
            let whole = (at - from).as_millis().max(1) as f64;
            let part = ((self.times.to - from).as_millis() as f64 / whole).clamp(0.0, 1.0);
            let y = value + (level - value) * part;
            (self.times.x(at), self.scale.y(y))
        };
        let begin = (self.times.x(from), self.scale.y(value));
        let (earliest, latest) = forecast.range;
        let far = latest.map_or((self.times.right, begin.1), reach);
        let corner = (far.0.max(reach(earliest).0), reach(earliest).1);
        to.path("gf-cone", &[begin, reach(earliest), corner, far]);
        let end = reach(forecast.at);
        to.path("gf-forecast", &[begin, end]);
        let (_, bottom) = self.span();
        if self.times.holds(forecast.at) {
            to.line("gf-drop", end, (end.0, bottom));
            to.dot("gf-cross", end, 4.0);
        }
        let text = format!("{} at {}", forecast.crosses, self.when(forecast.at));
        let text = fit(&text, TEXT, self.times.right - self.times.left);
        let at = ((end.0 - 8.0).max(self.times.left + width(&text, TEXT)), bottom - 7.0);
        to.text("gf-forecast-text", at, Anchor::End, &text);
        true
    }
}

/// Every value that decides how high a panel reaches; a threshold that is drawn does where it is
/// not far from the others, or where a forecast leads there.
pub(super) fn extent(panel: &Panel, threshold: Option<f64>, forecast: bool) -> Vec<f64> {
    let mut all: Vec<f64> =
        panel.values.iter().flatten().map(|&v| f64::from(v)).filter(|v| v.is_finite()).collect();
    let bands = || panel.expected.iter().flatten().filter(|band| is_band(band));
    all.extend(bands().map(|band| f64::from(band.centre)));
    let low = all.iter().copied().fold(f64::INFINITY, f64::min);
    let high = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = (high - low).max(0.25 * high.abs());
    // Wide bands are cut: what was measured must not be pressed flat.
    let near = |value: f32| f64::from(value).clamp(low - range, high + range);
    all.extend(bands().flat_map(|band| [band.low, band.high]).map(near));
    let beside =
        |level: &f64| forecast || (low - range..=high + THRESHOLD_SHARE * range).contains(level);
    all.extend(threshold.filter(beside));
    all
}

pub(super) fn is_band(band: &Band) -> bool {
    let Band { low, centre, high } = *band;
    low.is_finite() && centre.is_finite() && high.is_finite()
}

/// What stands side by side without a gap, with the place of its first.
pub(super) fn runs<T>(values: impl Iterator<Item = Option<T>>) -> Vec<(usize, Vec<T>)> {
    let mut runs: Vec<(usize, Vec<T>)> = Vec::new();
    let mut open = false;
    for (place, value) in values.take(VALUES_MAX).enumerate() {
        let there = value.is_some();
        if let Some(value) = value {
            match runs.last_mut().filter(|_| open) {
                Some((_, run)) => run.push(value),
                None => runs.push((place, vec![value])),
            }
        }
        open = there;
    }
    runs
}
