//! How fast a receiver is sent messages: a bucket of tokens that fills with time.

use std::sync::{Mutex, PoisonError};

use crate::time::{Span, Timestamp};

/// So many messages in so long, and no more than that many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub messages: u32,
    /// In how long.
    pub per: Span,
}

impl Rate {
    /// What services that say nothing of a limit take without complaint.
    pub const DEFAULT: Self = Self::per_minute(600);

    /// So many in a minute.
    pub const fn per_minute(messages: u32) -> Self {
        Self { messages, per: Span::MINUTE }
    }

    /// The time between two messages once the bucket is empty; at least a millisecond.
    fn gap(self) -> Span {
        Span::from_millis((self.per.as_millis() / i64::from(self.messages.max(1))).max(1))
    }
}

/// The bucket of one receiver, shared by its addresses. Kept as the instant at which it will be
/// full again (the generic cell rate algorithm of ATM Forum TM 4.0, 4.4.2), so that nothing has
/// to be filled while nobody looks.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Rate,
    full_at: Mutex<Option<Timestamp>>,
}

impl Pace {
    /// A full bucket.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, full_at: Mutex::new(None) }
    }

    /// Takes a token.
    ///
    /// # Errors
    ///
    /// How long to wait for one.
    pub(super) fn take(&self, now: Timestamp) -> Result<(), Span> {
        let mut slot = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        // Further ahead than an empty bucket needs: the clock was set back.
        let full_at = slot.filter(|at| *at <= now + self.rate.per).map_or(now, |at| at.max(now));
        let next = full_at + self.rate.gap();
        let free_at = next - self.rate.per.max(self.rate.gap());
        if now < free_at {
            return Err(free_at - now);
        }
        *slot = Some(next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_772_331_000);

    /// How many are taken at once.
    fn burst(pace: &Pace, now: Timestamp) -> usize {
        (0..10_000).take_while(|_| pace.take(now).is_ok()).count()
    }

    #[test]
    fn as_many_as_the_rate_at_once_and_then_one_by_one() {
        let pace = Pace::new(Rate::per_minute(60));
        assert_eq!(burst(&pace, START), 60);
        assert_eq!(pace.take(START), Err(Span::SECOND));
        assert_eq!(burst(&pace, START + Span::from_millis(999)), 0);
        assert_eq!(burst(&pace, START + Span::SECOND), 1);
        assert_eq!(burst(&pace, START + Span::from_secs(11)), 10);
        assert_eq!(burst(&pace, START + Span::HOUR), 60, "it holds no more than the rate");
    }

    #[test]
    fn a_slow_rate_is_kept() {
        let pace = Pace::new(Rate { messages: 1, per: Span::from_mins(5) });
        assert_eq!(burst(&pace, START), 1);
        assert_eq!(pace.take(START + Span::MINUTE), Err(Span::from_mins(4)));
        assert_eq!(burst(&pace, START + Span::from_mins(5)), 1);
    }

    #[test]
    fn a_clock_set_back_holds_nothing_up() {
        let pace = Pace::new(Rate::per_minute(60));
        assert_eq!(burst(&pace, START + Span::DAY), 60);
        assert_eq!(burst(&pace, START), 60);
    }
}
