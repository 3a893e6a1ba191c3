//! Numbers, shares and times as people read them: three significant digits and a fitting unit.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use crate::time::{Span, Timestamp};

/// A value in its unit: `0.42` of `seconds` is `420 ms`, `0.034` of `ratio` is `3.4%`.
///
/// Knows `seconds`, `milliseconds`, `bytes`, `bytes_per_second`, and `ratio`, `share` or
/// `percent`; any other unit is written behind the number. What is no number says so.
pub fn value(value: f64, unit: Option<&str>) -> String {
    value_beside(value, value, unit)
}

/// Two values that are read side by side, both in the unit that fits the larger: `1.2 s` and
/// `0.34 s`, `24.7 per second` and `under 0.001 per second`.
pub fn pair(values: [f64; 2], unit: Option<&str>) -> [String; 2] {
    let [one, other] = values.map(f64::abs);
    let by = if one.is_finite() && other.is_finite() { one.max(other) } else { one.min(other) };
    values.map(|value| value_beside(value, by, unit))
}

/// Two values side by side that may be missing.
pub fn optional_pair(values: [Option<f64>; 2], unit: Option<&str>) -> [String; 2] {
    match values {
        [Some(one), Some(other)] => pair([one, other], unit),
        values => values.map(|value| optional(value, unit)),
    }
}

/// A value in the unit that fits `by`.
fn value_beside(value: f64, by: f64, unit: Option<&str>) -> String {
    if value.is_nan() {
        return "not a number".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "infinite".to_owned() } else { "minus infinite".to_owned() };
    }
    match unit.unwrap_or_default().to_ascii_lowercase().as_str() {
        "seconds" | "second" | "s" => seconds(value, by),
        "milliseconds" | "ms" => seconds(value / 1_000.0, by / 1_000.0),
        "bytes" | "byte" => bytes(value, by),
        "bytes_per_second" | "bytes/s" => format!("{}/s", bytes(value, by)),
        "ratio" | "share" => share(value),
        "percent" | "%" => format!("{}%", plain(value)),
        "per_second" | "1/s" => {
            let (number, period) = rate(value, by);
            format!("{number}/{}", period.short)
        }
        "" | "1" | "count" => scaled(value),
        other => match other.strip_suffix("per second") {
            Some(what) => {
                let (number, period) = rate(value, by);
                format!("{number} {what}per {}", period.long)
            }
            None => format!("{} {other}", scaled(value)),
        },
    }
}

/// A value that may be missing.
pub fn optional(now: Option<f64>, unit: Option<&str>) -> String {
    now.map_or_else(|| "no data".to_owned(), |v| value(v, unit))
}

/// What others wrote, in one line of at most so many characters of what can be seen: nothing in it
/// can end a header, colour a terminal, turn the direction of writing or hide in a name.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let plain = |c: char| if c.is_whitespace() || c.is_control() { ' ' } else { c };
    // A bound before any work: white space that goes may be most of it, but not without end.
    let read = text.chars().take(4 * chars_max);
    let line: String = read.filter(|c| !is_invisible(*c)).map(plain).collect();
    clip(&line.split_whitespace().collect::<Vec<_>>().join(" "), chars_max)
}

/// A text of at most so many characters; one that is cut ends in `…`.
pub fn clip(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Characters that show nothing and change what others show: soft hyphen, fillers, zero-width and
/// direction marks, joiners, variation selectors, annotations, tags (Unicode Technical Report 36,
/// section 2.10).
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A share of one as per cent.
pub fn share(share: f64) -> String {
    if share.is_nan() {
        return "not a number".to_owned();
    }
    format!("{}%", plain(share * 100.0))
}

/// A probability for a reader: whole per cent, and never a certainty.
pub fn probability(p: f64) -> String {
    if p.is_nan() {
        "not known".to_owned()
    } else if p < 0.01 {
        "under 1%".to_owned()
    } else if p > 0.99 {
        "over 99%".to_owned()
    } else {
        format!("{:.0}%", p * 100.0)
    }
}

/// A probability in the words of intelligence analysts, which people understand alike: Intelligence
/// Community Directive 203, Analytic Standards (2015), section D.6.e.
pub fn likelihood(p: f64) -> &'static str {
    match p {
        0.95.. => "almost certain",
        0.8.. => "very likely",
        0.55.. => "likely",
        0.45.. => "about even",
        0.2.. => "unlikely",
        0.05.. => "very unlikely",
        _ if p.is_nan() => "not known",
        _ => "remote",
    }
}

/// How often a normal day would show this, from its p-value: `1 in 2,500`.
pub fn chance(p_value: f64) -> String {
    if p_value.is_nan() || p_value <= 0.0 {
        return if p_value.is_nan() { "not known" } else { "under 1 in a million" }.to_owned();
    }
    let n = 1.0 / p_value;
    if n >= 1e6 {
        "under 1 in a million".to_owned()
    } else if n < 1.5 {
        "not rare".to_owned()
    } else {
        format!("1 in {}", plain(n))
    }
}

/// The clock time of an instant in a zone, `02:12 UTC`; with the date when it is another day there
/// than `by`.
pub fn clock(at: Timestamp, by: Timestamp, zone: &TimeZone) -> String {
    let [at, by] = [at, by].map(|instant| instant.to_jiff().to_zoned(zone.clone()));
    if at.date() == by.date() {
        at.strftime("%H:%M %Z").to_string()
    } else {
        at.strftime(DAY_AND_TIME).to_string()
    }
}

/// The day and clock time of an instant in a zone: `2026-03-01 02:12 UTC`.
pub fn date_and_clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_jiff().to_zoned(zone.clone()).strftime(DAY_AND_TIME).to_string()
}

/// An instant with its distance from `by`: `02:12 UTC (18m ago)`, `05:40 UTC (in 3h10m)`.
pub fn moment(at: Timestamp, by: Timestamp, zone: &TimeZone) -> String {
    let distance = by - at;
    let ago = if distance.as_millis().abs() < Span::SECOND.as_millis() {
        "now".to_owned()
    } else if distance > Span::ZERO {
        format!("{} ago", distance.rough())
    } else {
        format!("in {}", (at - by).rough())
    };
    format!("{} ({ago})", clock(at, by, zone))
}

/// A text as a part of an address: everything but letters, digits and `-_.~` percent-encoded (RFC
/// 3986, section 2.3).
pub fn in_address(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// Units of time below a minute, largest first, in seconds.
const SECONDS: [(f64, &str); 4] = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")];
/// An instant as texts write it that are read on another day.
const DAY_AND_TIME: &str = "%Y-%m-%d %H:%M %Z";
/// Powers of 1024.
const BYTES: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
/// Powers of 1000.
const COUNTS: [&str; 4] = ["k", "M", "G", "T"];
/// Beyond this, a number is written with an exponent.
const PLAIN_MAX: f64 = 1e15;

/// Time over which events are counted.
#[derive(Clone, Copy)]
struct Period {
    seconds: f64,
    long: &'static str,
    short: &'static str,
}

/// Shortest first.
const PERIODS: [Period; 4] = [
    Period { seconds: 1.0, long: "second", short: "s" },
    Period { seconds: 60.0, long: "minute", short: "min" },
    Period { seconds: 3_600.0, long: "hour", short: "h" },
    Period { seconds: 86_400.0, long: "day", short: "d" },
];
/// A rate below this many events in a period is told for a longer one.
const RATE_MIN: f64 = 0.1;
/// A number below this is read as next to none.
const SMALL: f64 = 1e-3;

/// Events over the shortest period in which a rate of `by` events a second is a number that people
/// read.
fn rate(value: f64, by: f64) -> (String, Period) {
    let fits = |period: &&Period| by == 0.0 || by.abs() * period.seconds >= RATE_MIN;
    let [.., longest] = PERIODS;
    let period = *PERIODS.iter().find(fits).unwrap_or(&longest);
    let number = value * period.seconds;
    let text = if number > 0.0 && number < SMALL {
        format!("under {}", plain(SMALL))
    } else {
        scaled(number)
    };
    (text, period)
}

fn seconds(value: f64, by: f64) -> String {
    let [value, by] = [value, by].map(three_digits);
    if value.abs() >= 60.0 {
        #[expect(clippy::cast_possible_truncation, reason = "a float to integer cast saturates")]
        let whole = value.abs().round() as i64;
        let sign = if value < 0.0 { "-" } else { "" };
        let (minutes, rest) = (whole / 60, whole % 60);
        return match minutes {
            0..60 if rest == 0 => format!("{sign}{minutes}m"),
            0..60 => format!("{sign}{minutes}m{rest}s"),
            60..52_560_000 => format!("{sign}{}", Span::from_secs(whole).rough()),
            _ => format!("{sign}over 100 years"),
        };
    }
    let fitting = |value: f64| {
        let found = SECONDS.into_iter().find(|(size, _)| value.abs() >= *size);
        found.unwrap_or(if value.abs() > 0.0 { (1e-9, "ns") } else { (1.0, "s") })
    };
    let (mut size, mut unit) = fitting(by);
    if value.abs() > 0.0 && value.abs() / size < SMALL {
        (size, unit) = fitting(value);
    }
    format!("{} {unit}", plain(value / size))
}

fn bytes(value: f64, by: f64) -> String {
    let (largest, unit) = scale(by, 1_024.0, &BYTES);
    let beside = if by == 0.0 { value } else { value * (largest / by) };
    let is_readable = value == 0.0 || beside.abs() >= SMALL;
    let (number, unit) = if is_readable { (beside, unit) } else { scale(value, 1_024.0, &BYTES) };
    format!("{} {}", plain(number), if unit.is_empty() { "B" } else { unit })
}

fn scaled(value: f64) -> String {
    if three_digits(value).abs() < 10_000.0 {
        return plain(value);
    }
    let (number, unit) = scale(value, 1_000.0, &COUNTS);
    format!("{}{unit}", plain(number))
}

/// The number in the smallest unit that leaves at most three digits before the point.
fn scale<'a>(value: f64, step: f64, units: &[&'a str]) -> (f64, &'a str) {
    let (mut number, mut unit) = (value, "");
    for next in units {
        if three_digits(number).abs() < 1_000.0 {
            break;
        }
        (number, unit) = (number / step, next);
    }
    (number, unit)
}

/// Three significant digits, without zeros behind the point; whole thousands in groups.
fn plain(value: f64) -> String {
    let value = three_digits(value);
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..PLAIN_MAX).contains(&size) {
        return format!("{value:e}");
    }
    if size >= 1_000.0 {
        let digits = format!("{size:.0}");
        let groups: Vec<&str> = digits
            .as_bytes()
            .rchunks(3)
            .rev()
            .filter_map(|group| std::str::from_utf8(group).ok())
            .collect();
        return format!("{}{}", if value < 0.0 { "-" } else { "" }, groups.join(","));
    }
    // Seven places hold three digits of the smallest number that comes here.
    let text = format!("{value:.7}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Rounded to three significant digits, by way of text because powers of ten are not exact.
fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests;
