//! Axes: from values and instants to places, with few and readable marks.

use jiff::tz::TimeZone;

use crate::time::{Span, Timestamp};

/// Marks on an axis of values, at most.
const MARKS_MAX: f64 = 4.0;
/// Steps on the axis of time, at most.
const TIMES_MAX: f64 = 7.0;
/// Room that a mark of time needs.
const TIME_ROOM: f64 = 80.0;
/// Beyond this, sums of values are no numbers any more.
const VALUE_MAX: f64 = 1e300;
/// Steps between marks that people read without reckoning, one decade of them.
const DECIMAL: [f64; 4] = [1.0, 2.0, 2.5, 5.0];
/// The same for times from a minute on, in seconds.
const CLOCK: [f64; 13] = [
    60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 10_800.0, 21_600.0,
    43_200.0, 86_400.0,
];
/// Steps between marks of time, in minutes.
const TIME_STEPS: [i64; 8] = [15, 30, 60, 120, 180, 360, 720, 1_440];
/// All zones lie on this grid.
const QUARTER: Span = Span::from_mins(15);
/// Instants looked at for marks: a week of quarters.
const QUARTERS_MAX: i64 = 672;

/// From values to heights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Values {
    low: f64,
    high: f64,
    top: f64,
    bottom: f64,
}

impl Values {
    /// Room for these values between `top` and `bottom`. Zero is in it where that costs no more
    /// than half of the height.
    pub(super) fn holding(values: impl Iterator<Item = f64>, (top, bottom): (f64, f64)) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.abs() <= VALUE_MAX) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            return Self { low: 0.0, high: 1.0, top, bottom };
        }
        // A flat line lies in the middle, and rounding must not look like a move.
        let flat = 1e-6 * low.abs().max(high.abs());
        if high - low <= flat {
            let room = if flat > 0.0 { 0.25 * high.abs().max(low.abs()) } else { 1.0 };
            (low, high) = if low < 0.0 { (low - room, high + room) } else { (low.min(0.0), high) };
            high += room;
        }
        if low > 0.0 && low < 0.5 * high {
            low = 0.0;
        }
        let pad = 0.08 * (high - low);
        high += pad;
        if low != 0.0 {
            low -= pad;
        }
        Self { low, high, top, bottom }
    }

    /// The height of a value; what lies outside lies on the edge.
    pub(super) fn y(&self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.bottom - share * (self.bottom - self.top)
    }

    /// Whether a value has a height of its own.
    pub(super) fn holds(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Two to four values to mark, from the lowest.
    pub(super) fn marks(&self, unit: Option<&str>) -> Vec<f64> {
        let base = base(unit, self.low.abs().max(self.high.abs()));
        let (low, high) = (self.low / base, self.high / base);
        let timed = matches!(unit, Some("seconds" | "second" | "s" | "milliseconds" | "ms"));
        let step = steps((high - low) / 8.0, timed)
            .find(|step| (high / step).floor() - (low / step).ceil() + 1.0 <= MARKS_MAX);
        let Some(step) = step else { return Vec::new() };
        let first = (low / step).ceil();
        (0..4_u32)
            .map(|n| (first + f64::from(n)) * step)
            .take_while(|mark| *mark <= high)
            .map(|mark| mark * base + 0.0)
            .collect()
    }
}

/// The number by which values of a unit are divided before round steps are looked for.
fn base(unit: Option<&str>, largest: f64) -> f64 {
    match unit {
        Some("bytes" | "byte" | "bytes_per_second" | "bytes/s") if largest >= 1_024.0 => {
            1_024_f64.powf(largest.log(1_024.0).floor())
        }
        Some("milliseconds" | "ms") => 1_000.0,
        _ => 1.0,
    }
}

/// Round steps from about `least` on. Times go by minutes and hours from a minute on.
fn steps(least: f64, timed: bool) -> impl Iterator<Item = f64> {
    let least = least.clamp(1e-300, VALUE_MAX);
    let clocked = timed && least >= 15.0;
    let days = if clocked { (least / 86_400.0).max(1e-3) } else { least };
    let decade = 10_f64.powf(days.log10().floor());
    let unit = if clocked { 86_400.0 } else { 1.0 };
    let decimal = (0..4)
        .flat_map(move |n| DECIMAL.map(|digit| digit * decade * 10_f64.powi(n) * unit))
        .filter(move |step| !clocked || *step > 86_400.0);
    let clock = CLOCK.into_iter().filter(move |step| clocked && *step >= least);
    clock.chain(decimal)
}

/// From instants to places from left to right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Times {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) left: f64,
    pub(super) right: f64,
}

impl Times {
    /// Where an instant lies; what lies outside lies on the edge.
    pub(super) fn x(&self, at: Timestamp) -> f64 {
        let whole = (self.to - self.from).as_millis().max(1) as f64;
        let share = ((at - self.from).as_millis() as f64 / whole).clamp(0.0, 1.0);
        self.left + share * (self.right - self.left)
    }

    /// Whether an instant has a place of its own.
    pub(super) fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }

    /// The wall clock of an instant, with the day where several days are shown.
    pub(super) fn clock(&self, at: Timestamp, zone: &TimeZone) -> String {
        if self.to - self.from > Span::DAY {
            return day_clock(at, zone);
        }
        zone.to_datetime(at.to_jiff()).strftime("%H:%M").to_string()
    }

    /// Instants to mark: whole hours, or quarters of them, on the wall clock of `zone`.
    pub(super) fn marks(&self, zone: &TimeZone) -> Vec<(Timestamp, String)> {
        let whole = self.to - self.from;
        let minutes = whole.as_millis() / Span::MINUTE.as_millis();
        #[expect(clippy::cast_possible_truncation, reason = "seven at most")]
        let most = ((self.right - self.left) / TIME_ROOM).clamp(1.0, TIMES_MAX) as i64;
        let step = TIME_STEPS.into_iter().find(|step| minutes / step <= most);
        // Weeks in one picture are nobody's incident: no marks are better than wrong ones.
        let Some(step) = step.filter(|_| minutes / 15 <= QUARTERS_MAX) else { return Vec::new() };
        let mut marks = Vec::new();
        let mut at = self.from.ceil_to(QUARTER);
        while at <= self.to {
            let wall = zone.to_datetime(at.to_jiff());
            let minute = i64::from(wall.hour()) * 60 + i64::from(wall.minute());
            if minute % step == 0 {
                let format = if minute == 0 { "%a %-d" } else { "%H:%M" };
                marks.push((at, wall.strftime(format).to_string()));
            }
            at = at + QUARTER;
        }
        marks
    }
}

/// The wall clock of an instant, with the day.
pub(super) fn day_clock(at: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(at.to_jiff()).strftime("%a %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format;

    fn marks(low: f64, high: f64, unit: &str) -> Vec<String> {
        let values = Values { low, high, top: 0.0, bottom: 100.0 };
        values.marks(Some(unit)).into_iter().map(|mark| format::value(mark, Some(unit))).collect()
    }

    #[test]
    fn marks_are_round_in_the_unit_of_people() {
        assert_eq!(marks(0.0, 0.44, "seconds"), ["0 s", "200 ms", "400 ms"]);
        assert_eq!(marks(0.0, 260.0, "seconds"), ["0 s", "2m", "4m"]);
        assert_eq!(marks(0.0, 9_000.0, "seconds"), ["0 s", "1h", "2h"]);
        assert_eq!(marks(0.0, 440.0, "ms"), ["0 s", "200 ms", "400 ms"]);
        assert_eq!(marks(0.0, 0.034, "ratio"), ["0%", "1%", "2%", "3%"]);
        assert_eq!(marks(1.6e9, 2.2e9, "bytes"), ["1.6 GiB", "1.8 GiB", "2 GiB"]);
        assert_eq!(marks(-30.0, 30.0, "count"), ["-20", "0", "20"]);
        assert_eq!(marks(0.0, 1e7, "seconds").len(), 3);
    }

    #[test]
    fn there_are_two_to_four_marks() {
        for n in 1..2_000_i32 {
            let (low, high) = (f64::from(n % 37), f64::from(n % 37) + 0.01 * f64::from(n * n));
            for unit in ["ratio", "bytes", "count"] {
                let values = Values { low, high, top: 0.0, bottom: 1.0 };
                let count = values.marks(Some(unit)).len();
                assert!((2..=4).contains(&count), "{low} to {high} {unit}: {count}");
            }
        }
    }

    #[test]
    fn times_are_marked_by_the_wall_clock() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let times = Times {
            from: at("2026-03-28T20:07:00Z"),
            to: at("2026-03-29T04:00:00Z"),
            left: 0.0,
            right: 600.0,
        };
        let names = |zone: &TimeZone| {
            times.marks(zone).into_iter().map(|(_, name)| name).collect::<Vec<_>>()
        };
        assert_eq!(
            names(&TimeZone::UTC),
            ["21:00", "22:00", "23:00", "Sun 29", "01:00", "02:00", "03:00", "04:00"]
        );
        // The hour from two to three does not exist.
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(
            names(&berlin),
            ["22:00", "23:00", "Sun 29", "01:00", "03:00", "04:00", "05:00", "06:00"]
        );
    }

    #[test]
    fn a_flat_line_lies_inside() {
        for value in [0.0, 5.0, -5.0, 1e-30, 1e299] {
            let values = Values::holding([value; 3].into_iter(), (0.0, 100.0));
            let y = values.y(value);
            assert!((5.0..=100.0).contains(&y), "{value}: {y} {values:?}");
        }
        assert_eq!(Values::holding(std::iter::empty(), (0.0, 1.0)).marks(None).len(), 3);
    }
}
