//! Blocks of five minutes, and where they lie in the local week.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::format;
use crate::time::{Span, Timestamp};

/// The engine decides once per block; the values of a block's ticks become one number.
pub const BLOCK: Span = Span::from_mins(5);
/// Blocks in an hour.
pub const PER_HOUR: i64 = 12;
/// Blocks in a day of 24 hours.
pub const PER_DAY: i64 = 288;
/// Blocks in a week: the number of slots of a week profile.
pub const PER_WEEK: i64 = 2_016;
/// The slot of a block that has no place in the local week: the hour around a clock change.
pub const NO_SLOT: u16 = 2_016;

/// The block in which an instant lies, counted from the epoch.
pub fn block_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(BLOCK.as_millis())
}

/// When a block begins.
pub fn block_start(block: i64) -> Timestamp {
    Timestamp::from_millis(block.saturating_mul(BLOCK.as_millis()))
}

/// Blocks in a span, rounded down.
pub fn blocks_in(span: Span) -> i64 {
    span.as_millis() / BLOCK.as_millis()
}

/// The wall clock of a place: seasons follow it through daylight saving changes.
#[derive(Clone, Debug)]
pub struct WallClock {
    zone: TimeZone,
}

impl WallClock {
    /// The wall clock of `zone`.
    pub fn new(zone: TimeZone) -> Self {
        Self { zone }
    }

    /// Where a block lies in the local week: 0 is Monday 00:00, 2015 is Sunday 23:55.
    ///
    /// In the hour after a clock change the slot is [`NO_SLOT`]: that wall-clock hour is missing
    /// or comes twice, and no other week has its like.
    pub fn slot(&self, block: i64) -> u16 {
        let at = block_start(block).to_jiff();
        let before = (block_start(block) - Span::HOUR).to_jiff();
        if self.zone.to_offset(at) != self.zone.to_offset(before) {
            return NO_SLOT;
        }
        let local = self.zone.to_datetime(at);
        let day = i64::from(local.weekday().to_monday_zero_offset());
        let minute = i64::from(local.hour()) * 60 + i64::from(local.minute());
        u16::try_from(day * PER_DAY + minute / 5).unwrap_or(NO_SLOT)
    }

    /// What this clock shows at an instant.
    pub fn shows(&self, at: Timestamp) -> DateTime {
        self.zone.to_datetime(at.to_jiff())
    }

    /// An instant for people, as [`format::clock`] writes it.
    pub fn told(&self, at: Timestamp, by: Timestamp) -> String {
        format::clock(at, by, &self.zone)
    }

    /// How far it is ahead of UTC.
    pub fn offset(&self, at: Timestamp) -> Span {
        Span::from_secs(i64::from(self.zone.to_offset(at.to_jiff()).seconds()))
    }

    /// The zone's name, where it has one.
    pub fn name(&self) -> Option<&str> {
        self.zone.iana_name()
    }

    /// The slots of the blocks in `from..to`.
    pub fn slots(&self, from: i64, to: i64) -> Vec<u16> {
        (from..to).map(|block| self.slot(block)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(zone: &str, at: &str) -> u16 {
        let clock = WallClock::new(TimeZone::get(zone).unwrap());
        clock.slot(block_of(at.parse().unwrap()))
    }

    #[test]
    fn monday_midnight_is_slot_zero() {
        assert_eq!(slot("UTC", "2024-03-04T00:00:00Z"), 0);
        assert_eq!(slot("UTC", "2024-03-10T23:59:59Z"), 2_015);
        assert_eq!(slot("Europe/Berlin", "2024-03-03T23:00:00Z"), 0);
    }

    #[test]
    fn seasons_follow_the_wall_clock_through_a_clock_change() {
        // Germany, 2024-03-31: 01:00 UTC is 03:00 local, 02:xx local does not exist.
        assert_eq!(slot("Europe/Berlin", "2024-03-31T01:30:00Z"), NO_SLOT);
        let nine = 6 * 288 + 9 * 12;
        assert_eq!(slot("Europe/Berlin", "2024-03-24T08:00:00Z"), nine);
        assert_eq!(slot("Europe/Berlin", "2024-03-31T07:00:00Z"), nine);
    }
}
