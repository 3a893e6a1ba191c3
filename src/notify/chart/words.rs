//! What a chart shows, in words: for who cannot see it, and on the chart itself.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::scale::day_clock;
use crate::engine::alert::{Alert, Forecast};
use crate::engine::chart::{Chart, PANELS_MAX, Panel};
use crate::format;
use crate::notify::view::clean;

/// The chart in words: what stands for the picture where it cannot be seen.
pub fn describe(chart: &Chart, alert: &Alert, zone: &TimeZone) -> String {
    let mut text = String::new();
    for panel in chart.panels.iter().take(PANELS_MAX) {
        let _ = write!(
            text,
            "{}: {}, began to move at {}. ",
            name(panel),
            state(panel),
            day_clock(panel.onset, zone)
        );
    }
    for change in &alert.changes {
        let _ = write!(
            text,
            "{} {} of {}: {}. ",
            day_clock(change.at, zone),
            change.kind,
            change.service,
            change.what
        );
    }
    if let Some(forecast) = alert.forecast.as_ref().filter(|f| f.known_latest(alert.at).is_some()) {
        let Forecast { service, signal, crosses, .. } = forecast;
        let at = day_clock(forecast.at, zone);
        let _ = write!(text, "{service} {signal} crosses its {crosses} at {at}. ");
    }
    let _ = write!(text, "Times in {}.", zone_name(zone));
    clean(&text)
}

/// Service, signal and labels.
pub(super) fn name(panel: &Panel) -> String {
    let labels: Vec<&str> = panel.labels.values().map(String::as_str).collect();
    let mut name = format!("{} {}", panel.service, panel.signal);
    if !labels.is_empty() {
        let _ = write!(name, " ({})", labels.join(", "));
    }
    clean(&name)
}

/// How it stands at the end: `420 ms, usually 180 ms`.
pub fn state(panel: &Panel) -> String {
    let unit = panel.unit.as_deref();
    let Some(now) = panel.values.last().copied().flatten().filter(|v| v.is_finite()) else {
        return "no data".to_owned();
    };
    let mut text = format::value(f64::from(now), unit);
    let usual = panel.expected.get(panel.values.len() - 1).copied().flatten();
    if let Some(usual) = usual.filter(|band| band.centre.is_finite()) {
        let _ = write!(text, ", usually {}", format::value(f64::from(usual.centre), unit));
    }
    clean(&text)
}

/// The zone as people know it.
pub fn zone_name(zone: &TimeZone) -> String {
    zone.iana_name().unwrap_or("local time").replace('_', " ")
}
