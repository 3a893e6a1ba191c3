//! Draws what can be drawn of an incident: its signals one above the other, aligned in time, with
//! what was expected, when they began to move, what else changed, and where they are going.
//!
//! [`svg`] for pages, [`png()`] for mail and chat, [`sparkline`] where neither is shown. All three
//! are functions of their arguments: the same alert always gives the same bytes.

mod frame;
mod legend;
mod markup;
mod outline;
mod panel;
#[cfg(feature = "charts-png")]
mod png;
mod scale;
mod sparkline;
mod style;
mod words;

use jiff::tz::TimeZone;

use crate::engine::alert::Alert;
use crate::engine::chart::Chart;

pub use frame::{Plot, plot};
pub use outline::outline;
#[cfg(feature = "charts-png")]
pub use png::png;
pub use sparkline::{COLUMNS_MAX, sparkline};
pub use words::{describe, state, zone_name};

/// The colours of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Dark on light.
    Light,
    /// Light on dark where the reader's system is dark. Only browsers can do this.
    System,
    /// As [`Self::System`], on a page that has [`stylesheet`]: the picture carries none.
    Page,
    /// The same for a phone: little more than half as wide, with texts of the same size.
    Narrow,
}

/// The chart as an SVG document, with times on the wall clock of `zone`. Empty
/// when there is nothing to draw.
pub fn svg(chart: &Chart, alert: &Alert, zone: &TimeZone, look: Look) -> String {
    frame::draw(chart, alert, zone, look).unwrap_or_default()
}

/// What pages style charts with.
pub fn stylesheet() -> String {
    style::of(Look::System)
}

/// Without the feature `charts-png` there are no such pictures: messages carry sparklines.
#[cfg(not(feature = "charts-png"))]
pub fn png(_: &Chart, _: &Alert, _: &TimeZone) -> Option<Vec<u8>> {
    None
}
