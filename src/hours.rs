//! Weekly hours by the clock on the wall: working hours, quiet hours, maintenance windows.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::time::{Span, Timestamp};

/// Hours of some days of the week: `Mon-Fri 09:00-17:00`, `Sat,Sun 00:00-24:00`, `22:00-07:00`.
///
/// Hours that end before they begin end on the next day, and belong to the day on which they
/// begin. The clock is the wall's: hours keep their place when daylight saving begins or ends, and
/// last an hour less or more when they cross the change. A beginning that the clock skips is
/// where the clock goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    text: String,
    /// Whether they begin on this day; Monday is first.
    days: [bool; 7],
    begin: Time,
    /// Minutes after `begin` on the wall.
    minutes: i64,
}

/// Why a text is not hours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not hours of a week")]
pub struct HoursError(String);

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES: i64 = 24 * 60;

impl Hours {
    /// When the hours that hold at an instant end; `None` outside of them. Constant cost.
    pub fn until(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = at.to_jiff().to_zoned(zone.clone()).date();
        // Hours of more than a day do not exist: they began today or yesterday.
        let begun = [today.yesterday().ok(), Some(today)].into_iter().flatten();
        let ends = begun.filter_map(|day| {
            let (begin, end) = self.on(day, zone)?;
            (begin <= at && at < end).then_some(end)
        });
        ends.max()
    }

    /// From when to when they hold if they begin on a day.
    fn on(&self, day: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let place = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
        self.days.get(place).filter(|begins| **begins)?;
        let begin = day.to_datetime(self.begin);
        let end = begin.checked_add(jiff::Span::new().minutes(self.minutes)).ok()?;
        Some((instant(begin, zone)?, instant(end, zone)?))
    }
}

/// Some hours by the clock on the wall of one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The hours; one of them is enough.
    pub hours: Vec<Hours>,
    /// Whose clock it is.
    pub timezone: TimeZone,
}

impl Schedule {
    /// As [`until`].
    pub fn until(&self, at: Timestamp) -> Option<Timestamp> {
        until(&self.hours, at, &self.timezone)
    }

    /// The stretches that touch `from..to`, in order of their begin. They may overlap. Cost: two
    /// changes from wall to instant for each of the hours and day.
    pub fn within(&self, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        let day_of = |at: Timestamp| at.to_jiff().to_zoned(self.timezone.clone()).date();
        let last = day_of(to);
        let first = day_of(from).yesterday().ok();
        let days = std::iter::successors(first, |day| day.tomorrow().ok().filter(|d| *d <= last));
        let begun = days.flat_map(|day| {
            self.hours.iter().filter_map(move |hours| hours.on(day, &self.timezone))
        });
        let mut found: Vec<_> = begun.filter(|&(begin, end)| begin < to && from < end).collect();
        found.sort();
        found
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours: Vec<String> = self.hours.iter().map(Hours::to_string).collect();
        let zone = self.timezone.iana_name().unwrap_or("UTC");
        write!(f, "{} {zone}", hours.join(", "))
    }
}

/// When the last of some hours that hold at an instant ends, following hours that touch or overlap;
/// `None` when none of them holds. At most a week ahead, for hours without an end.
pub fn until(hours: &[Hours], at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let mut end = None;
    let mut now = at;
    while let Some(next) = hours.iter().filter_map(|one| one.until(now, zone)).max() {
        end = Some(next);
        if next - at >= Span::WEEK {
            break;
        }
        now = next;
    }
    end
}

/// A time on the wall as an instant; one that the clock skips is the instant at which it goes on.
fn instant(wall: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(wall);
    let instant = match ambiguous.offset() {
        // With the offset after the gap, a time in it lies just before the clock is put forward.
        AmbiguousOffset::Gap { .. } => {
            zone.following(ambiguous.earlier().ok()?).next()?.timestamp()
        }
        _ => ambiguous.compatible().ok()?,
    };
    Some(Timestamp::from_millis(instant.as_millisecond()))
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        parse(text).ok_or_else(|| HoursError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Hours> {
    let mut parts = text.split_whitespace();
    let (days, clock) = match (parts.next()?, parts.next()) {
        (clock, None) => ([true; 7], clock),
        (days, Some(clock)) => (parse_days(days)?, clock),
    };
    if parts.next().is_some() {
        return None;
    }
    let (begin, end) = clock.split_once('-')?;
    let (begin, end) = (minute(begin)?, minute(end)?);
    let minutes = if begin < end { end - begin } else { end + DAY_MINUTES - begin };
    if begin == DAY_MINUTES || minutes > DAY_MINUTES || begin == end {
        return None;
    }
    let [hour, rest] = [begin / 60, begin % 60].map(|part| i8::try_from(part).ok());
    let begin = Time::new(hour?, rest?, 0, 0).ok()?;
    Some(Hours { text: text.to_owned(), days, begin, minutes })
}

/// `Mon`, `Mon-Fri`, `Sat,Sun`, `Fri-Mon,Wed`.
fn parse_days(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let mut at = first;
        loop {
            *days.get_mut(at)? = true;
            if at == last {
                break;
            }
            at = (at + 1) % DAYS.len();
        }
    }
    Some(days)
}

/// The place of a day in the week, Monday first.
fn day(text: &str) -> Option<usize> {
    DAYS.iter().position(|day| text.eq_ignore_ascii_case(day))
}

/// Minutes since midnight of `HH:MM`, up to `24:00`.
fn minute(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |part: &str| {
        (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok())?
    };
    let (hour, minute): (i64, i64) = (digits(hour)?, digits(minute)?);
    let at = hour * 60 + minute;
    (minute < 60 && at <= DAY_MINUTES).then_some(at)
}

/// A moment that returns every day or every week: `08:00`, `Mon 08:00`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    text: String,
    /// Every day without one.
    day: Option<Weekday>,
    time: Time,
}

impl Moment {
    /// Whether it returns every week, and not every day.
    pub const fn is_weekly(&self) -> bool {
        self.day.is_some()
    }

    /// The newest such moment at or before an instant; one that the clock skips is the instant at
    /// which it goes on.
    pub fn last(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut date = at.to_jiff().to_zoned(zone.clone()).date();
        // The newest may be a week ago and, with a change of the clock, seem one day older.
        for _ in 0..9 {
            if self.day.is_none_or(|day| day == date.weekday())
                && let Some(moment) = instant(date.to_datetime(self.time), zone)
                && moment <= at
            {
                return Some(moment);
            }
            date = date.yesterday().ok()?;
        }
        None
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Moment {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let parse = || {
            let mut parts = text.split_whitespace();
            let (name, clock) = match (parts.next()?, parts.next()) {
                (clock, None) => (None, clock),
                (name, Some(clock)) => (Some(day(name)?), clock),
            };
            let at = minute(clock).filter(|at| *at < DAY_MINUTES && parts.next().is_none())?;
            let [hour, rest] = [at / 60, at % 60].map(|part| i8::try_from(part).ok());
            let offset = |place: usize| i8::try_from(place).ok();
            let day = match name {
                Some(place) => Some(Weekday::from_monday_zero_offset(offset(place)?).ok()?),
                None => None,
            };
            Some(Self { text: text.to_owned(), day, time: Time::new(hour?, rest?, 0, 0).ok()? })
        };
        parse().ok_or_else(|| HoursError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn hours(text: &str) -> Hours {
        text.parse().unwrap()
    }

    #[test]
    fn hours_hold_from_their_begin_to_just_before_their_end() {
        let work = hours("Mon-Fri 09:00-17:00");
        // 2 March 2026 is a Monday.
        let end = Some(at("2026-03-02T17:00:00Z"));
        assert_eq!(work.until(at("2026-03-02T08:59:59Z"), &TimeZone::UTC), None);
        assert_eq!(work.until(at("2026-03-02T09:00:00Z"), &TimeZone::UTC), end);
        assert_eq!(work.until(at("2026-03-02T16:59:59Z"), &TimeZone::UTC), end);
        assert_eq!(work.until(at("2026-03-02T17:00:00Z"), &TimeZone::UTC), None);
        assert_eq!(work.until(at("2026-03-07T12:00:00Z"), &TimeZone::UTC), None);
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_on_which_they_begin() {
        let night = hours("Fri 22:00-07:00");
        let end = Some(at("2026-03-07T07:00:00Z"));
        assert_eq!(night.until(at("2026-03-06T23:00:00Z"), &TimeZone::UTC), end);
        assert_eq!(night.until(at("2026-03-07T06:59:00Z"), &TimeZone::UTC), end);
        assert_eq!(night.until(at("2026-03-06T06:00:00Z"), &TimeZone::UTC), None);
    }

    #[test]
    fn the_wall_decides_when_daylight_saving_begins_and_ends() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let night = hours("01:00-04:00");
        // Begins at 01:00 CET, 00:00 UTC, and ends at 04:00 CEST, 02:00 UTC: two hours.
        let end = Some(at("2026-03-29T02:00:00Z"));
        assert_eq!(night.until(at("2026-03-29T00:00:00Z"), &berlin), end);
        assert_eq!(night.until(at("2026-03-28T23:59:00Z"), &berlin), None);
        // And four hours in autumn.
        let end = Some(at("2026-10-25T03:00:00Z"));
        assert_eq!(night.until(at("2026-10-24T23:00:00Z"), &berlin), end);
        // A begin that is skipped is where the clock goes on.
        let skipped = hours("02:30-05:00");
        let end = Some(at("2026-03-29T03:00:00Z"));
        assert_eq!(skipped.until(at("2026-03-29T01:00:00Z"), &berlin), end);
        assert_eq!(skipped.until(at("2026-03-29T00:59:59Z"), &berlin), None);
    }

    #[test]
    fn hours_that_touch_are_one() {
        let all = [hours("Fri 22:00-24:00"), hours("Sat,Sun 00:00-24:00")];
        let end = Some(at("2026-03-09T00:00:00Z"));
        assert_eq!(until(&all, at("2026-03-06T23:00:00Z"), &TimeZone::UTC), end);
        let always = [hours("00:00-24:00")];
        let now = at("2026-03-06T23:00:00Z");
        assert!(until(&always, now, &TimeZone::UTC).unwrap() - now <= Span::WEEK + Span::DAY);
    }

    #[test]
    fn a_range_holds_every_stretch_that_touches_it() {
        let timezone = TimeZone::get("Europe/Berlin").unwrap();
        let night = Schedule { hours: vec![hours("Sat,Sun 23:00-04:00")], timezone };
        // Winter on Saturday evening, summer from Sunday 01:00 UTC on.
        let sat = (at("2026-03-28T22:00:00Z"), at("2026-03-29T02:00:00Z"));
        let sun = (at("2026-03-29T21:00:00Z"), at("2026-03-30T02:00:00Z"));
        let within = |from, to| night.within(at(from), at(to));
        assert_eq!(within("2026-03-25T00:00:00Z", "2026-03-31T00:00:00Z"), [sat, sun]);
        assert_eq!(within("2026-03-29T01:59:00Z", "2026-03-29T21:00:00Z"), [sat]);
        assert_eq!(within("2026-03-29T02:00:00Z", "2026-03-29T21:01:00Z"), [sun]);
        assert_eq!(within("2026-03-30T02:00:00Z", "2026-04-04T21:00:00Z"), []);
        assert_eq!(night.to_string(), "Sat,Sun 23:00-04:00 Europe/Berlin");
    }

    #[test]
    fn what_is_not_hours_is_refused() {
        for text in [
            "",
            "9-17",
            "09:00",
            "09:00-09:00",
            "25:00-26:00",
            "09:60-10:00",
            "24:00-01:00",
            "Mon-Xxx 09:00-17:00",
            "Mon Tue 09:00-17:00",
            "-",
            "09:00-17:00 Mon",
            "+9:00-17:00",
        ] {
            assert!(text.parse::<Hours>().is_err(), "{text}");
        }
        for text in ["00:00-24:00", "fri-mon 22:00-07:00", "Sat,Sun 10:00-12:00"] {
            assert_eq!(hours(text).to_string(), text);
        }
        for text in ["", "8:00", "24:00", "Xyz 08:00", "Mon 08:00 UTC"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_returns_every_day_or_every_week() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let daily: Moment = "08:00".parse().unwrap();
        let weekly: Moment = "Mon 08:00".parse().unwrap();
        let now = at("2026-03-30T06:30:00Z");
        assert_eq!(daily.last(now, &berlin), Some(at("2026-03-30T06:00:00Z")));
        assert_eq!(weekly.last(now, &berlin), Some(at("2026-03-30T06:00:00Z")));
        let before = at("2026-03-30T05:59:00Z");
        assert_eq!(daily.last(before, &berlin), Some(at("2026-03-29T06:00:00Z")));
        assert_eq!(weekly.last(before, &berlin), Some(at("2026-03-23T07:00:00Z")));
        let skipped: Moment = "02:30".parse().unwrap();
        let gap = at("2026-03-29T01:00:00Z");
        assert_eq!(skipped.last(gap, &berlin), Some(gap));
    }
}
