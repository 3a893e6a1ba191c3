//! Instants, lengths of time and the tick grid. Nothing here reads a clock: time is passed in.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::ops::{Add, Sub};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant: milliseconds since the Unix epoch, UTC.
///
/// Milliseconds because that is what Prometheus stores. Serialises as RFC 3339 in texts and
/// as the bare number in binary formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A length of time in milliseconds; may be negative as the difference of two instants.
///
/// Written the way Prometheus writes durations: `30s`, `5m`, `1h30m`, `3w`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

/// The units of a written duration, largest first, in milliseconds.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Why a text is not a duration or an instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not of the form number-unit, largest unit first.
    #[error("`{0}` is not a duration; write it as Prometheus does, for example `30s`, `5m`, `3w`")]
    Duration(String),
    /// Longer than can be represented.
    #[error("`{0}` is too long a duration")]
    TooLong(String),
    /// Not RFC 3339 and not Unix seconds.
    #[error("`{0}` is not an instant; write RFC 3339, for example `2026-03-01T02:10:00Z`")]
    Instant(String),
}

impl Timestamp {
    /// The instant `ms` milliseconds after the epoch.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }
    /// The instant `seconds` after the epoch.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }
    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }
    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000)
    }
    /// Seconds since the epoch with their fraction: what PromQL's HTTP API takes.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1_000.0
    }
    /// The instant of a float of seconds; `None` for NaN, infinities and what does not fit.
    pub fn from_secs_f64(seconds: f64) -> Option<Self> {
        let ms = seconds * 1_000.0;
        #[expect(clippy::cast_possible_truncation, reason = "the bound keeps it inside i64")]
        (ms.abs() < 9.0e15).then(|| Self(ms.round() as i64))
    }
    /// The latest grid point at or before this instant, for a grid of `step` from the epoch.
    #[must_use]
    pub const fn floor_to(self, step: Span) -> Self {
        Self(self.0.div_euclid(step.0) * step.0)
    }
    /// The earliest grid point at or after this instant.
    #[must_use]
    pub const fn ceil_to(self, step: Span) -> Self {
        Self(-((-self.0).div_euclid(step.0)) * step.0)
    }
    /// This instant as a `jiff` one; instants outside its range are clamped.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// One second.
    pub const SECOND: Self = Self(1_000);
    /// One minute.
    pub const MINUTE: Self = Self(60_000);
    /// One hour.
    pub const HOUR: Self = Self(3_600_000);
    /// One day of 24 hours.
    pub const DAY: Self = Self(86_400_000);
    /// Seven days of 24 hours.
    pub const WEEK: Self = Self(7 * 86_400_000);

    /// A length of `ms` milliseconds.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }
    /// A length of `seconds`.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }
    /// A length of `minutes`.
    pub const fn from_mins(minutes: i64) -> Self {
        Self(minutes.saturating_mul(60_000))
    }
    /// A length of `hours`.
    pub const fn from_hours(hours: i64) -> Self {
        Self(hours.saturating_mul(3_600_000))
    }
    /// Milliseconds.
    pub const fn as_millis(self) -> i64 {
        self.0
    }
    /// Whole seconds, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000)
    }
    /// Seconds with their fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1_000.0
    }
    /// Hours with their fraction.
    pub fn as_hours_f64(self) -> f64 {
        self.0 as f64 / 3_600_000.0
    }
    /// `n` times this length, saturating.
    #[must_use]
    pub const fn times(self, n: i64) -> Self {
        Self(self.0.saturating_mul(n))
    }
    /// As a standard duration; negative lengths become zero.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
    /// Rounded for a reader: the two largest units that are not zero, `6h20m` and not `6h20m13s`.
    pub fn rough(self) -> String {
        let keep = UNITS
            .iter()
            .map(|&(_, ms)| ms)
            .filter(|&ms| ms != UNITS[0].1 && ms != UNITS[1].1)
            .find(|&ms| self.0.abs() >= ms)
            .unwrap_or(1);
        let finest = match keep {
            86_400_000 => 3_600_000,
            3_600_000 | 60_000 => 60_000,
            _ => keep,
        };
        let rounded = (self.0 + self.0.signum() * finest / 2) / finest * finest;
        Self(rounded).write(true)
    }

    fn write(self, days_at_most: bool) -> String {
        if self.0 == 0 {
            return "0s".to_owned();
        }
        let mut rest = self.0.unsigned_abs();
        let mut text = if self.0 < 0 { String::from("-") } else { String::new() };
        for (unit, ms) in UNITS {
            let ms = ms.unsigned_abs();
            // Whole years and weeks only when nothing else is left: `4w`, but `29d`.
            if matches!(unit, "y" | "w") && (days_at_most || !rest.is_multiple_of(ms)) {
                continue;
            }
            if rest >= ms {
                let _ = write!(text, "{}{unit}", rest / ms);
                rest %= ms;
            }
        }
        text
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.write(false))
    }
}

impl FromStr for Span {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        if text == "0" {
            return Ok(Self::ZERO);
        }
        let bad = || TimeError::Duration(text.to_owned());
        let too_long = || TimeError::TooLong(text.to_owned());
        let mut rest = text;
        let mut total: i64 = 0;
        let mut smaller_than = i64::MAX;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let ms = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?.1;
            if number.is_empty() || ms >= smaller_than {
                return Err(bad());
            }
            let n: i64 = number.parse().map_err(|_| too_long())?;
            total = n.checked_mul(ms).and_then(|x| total.checked_add(x)).ok_or_else(too_long)?;
            smaller_than = ms;
            rest = tail;
        }
        if text.is_empty() { Err(bad()) } else { Ok(Self(total)) }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_jiff())
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    /// Reads RFC 3339 or Unix seconds.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        if let Ok(seconds) = text.parse::<f64>() {
            return Self::from_secs_f64(seconds).ok_or_else(|| TimeError::Instant(text.to_owned()));
        }
        let at: jiff::Timestamp = text.parse().map_err(|_| TimeError::Instant(text.to_owned()))?;
        Ok(Self(at.as_millisecond()))
    }
}

impl Sub for Timestamp {
    type Output = Span;
    fn sub(self, other: Self) -> Span {
        Span(self.0.saturating_sub(other.0))
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

macro_rules! serde_as_text_or_millis {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_i64(self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    i64::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }

    fn inline_schema() -> bool {
        true
    }
}

serde_as_text_or_millis!(Timestamp);
serde_as_text_or_millis!(Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_as_prometheus_does() {
        for (text, ms) in [
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("4w", 4 * 7 * 86_400_000),
            ("29d", 29 * 86_400_000),
            ("250ms", 250),
            ("1y", 365 * 86_400_000),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.as_millis(), ms);
            assert_eq!(span.to_string(), text);
        }
        for bad in ["", "5", "m", "5x", "1m1h", "5m5m", "-5m", "1.5h", "99999999999999999999s"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rough_keeps_two_units() {
        assert_eq!(Span::from_secs(22_813).rough(), "6h20m");
        assert_eq!(Span::from_secs(95).rough(), "2m");
        assert_eq!(Span::from_secs(8).rough(), "8s");
        assert_eq!(Span::from_hours(24 * 9 + 5).rough(), "9d5h");
        assert_eq!(Span::ZERO.rough(), "0s");
    }

    #[test]
    fn instants_read_rfc_3339_and_unix_seconds() {
        let at: Timestamp = "2026-03-01T02:10:00Z".parse().unwrap();
        assert_eq!(at.as_secs(), 1_772_331_000);
        assert_eq!("1772331000".parse::<Timestamp>().unwrap(), at);
        assert_eq!(at.to_string(), "2026-03-01T02:10:00Z");
        assert!("yesterday".parse::<Timestamp>().is_err());
        assert!("NaN".parse::<Timestamp>().is_err());
    }

    #[test]
    fn the_grid_is_counted_from_the_epoch() {
        let step = Span::from_secs(30);
        assert_eq!(Timestamp::from_secs(59).floor_to(step), Timestamp::from_secs(30));
        assert_eq!(Timestamp::from_secs(60).floor_to(step), Timestamp::from_secs(60));
        assert_eq!(Timestamp::from_secs(31).ceil_to(step), Timestamp::from_secs(60));
        assert_eq!(Timestamp::from_secs(60).ceil_to(step), Timestamp::from_secs(60));
    }
}
