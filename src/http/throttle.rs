//! Wrong tokens: an address that shows many is not listened to for a while, so that nobody can try
//! them out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;

use super::problem::Refusal;
use crate::time::{Span, Timestamp};

/// Wrong tokens of one address within [`WINDOW`].
const WRONG_MAX: u32 = 20;
/// How long wrong ones count.
const WINDOW: Span = Span::MINUTE;
/// Addresses that are remembered; beyond that, the one that has been remembered longest is not.
const ADDRESSES_MAX: usize = 10_000;

/// Who showed wrong tokens: since when, and how many.
#[derive(Clone, Debug, Default)]
pub(super) struct Throttle(Arc<Mutex<BTreeMap<IpAddr, (Timestamp, u32)>>>);

impl Throttle {
    /// Refuses an address that showed too many.
    ///
    /// # Errors
    ///
    /// 429 with the time to wait.
    pub(super) fn check(&self, peer: Option<IpAddr>, now: Timestamp) -> Result<(), Refusal> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((since, count)) = peer.and_then(|peer| known.get(&peer)) else { return Ok(()) };
        let left = *since + WINDOW - now;
        if *count < WRONG_MAX || left <= Span::ZERO {
            return Ok(());
        }
        let detail = "too many wrong tokens came from this address; wait a minute";
        Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, detail))
    }

    /// Counts a wrong one.
    pub(super) fn wrong(&self, peer: Option<IpAddr>, now: Timestamp) {
        let Some(peer) = peer else { return };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ADDRESSES_MAX <= known.len() && !known.contains_key(&peer) {
            let oldest = known.iter().min_by_key(|(_, (since, _))| *since).map(|(peer, _)| *peer);
            oldest.map(|oldest| known.remove(&oldest));
        }
        let (since, count) = known.entry(peer).or_insert((now, 0));
        // A clock that was set back must not lock anybody out for longer.
        if WINDOW <= now - *since || now < *since {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        if *count == WRONG_MAX {
            tracing::warn!(%peer, "shows wrong tokens; it is not listened to for a minute");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tries_tokens_out_waits() {
        let at = Timestamp::from_secs;
        let throttle = Throttle::default();
        let [bad, good] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(|octets| Some(IpAddr::from(octets)));
        for n in 0..WRONG_MAX {
            assert!(throttle.check(bad, at(100)).is_ok(), "{n} wrong ones");
            throttle.wrong(bad, at(100));
        }
        assert!(throttle.check(bad, at(101)).is_err());
        assert!(throttle.check(good, at(101)).is_ok(), "others are not held up");
        assert!(throttle.check(bad, at(160)).is_ok(), "a minute later");
        throttle.wrong(bad, at(160));
        assert!(throttle.check(bad, at(161)).is_ok(), "counted anew");
    }

    #[test]
    fn no_more_addresses_are_remembered_than_fit() {
        let throttle = Throttle::default();
        for n in 0..u32::try_from(ADDRESSES_MAX + 10).unwrap() {
            throttle.wrong(Some(IpAddr::from(n.to_be_bytes())), Timestamp::from_secs(i64::from(n)));
        }
        assert_eq!(throttle.0.lock().unwrap().len(), ADDRESSES_MAX);
    }
}
