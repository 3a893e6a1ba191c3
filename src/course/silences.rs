//! Why things were not told, kept over time.

use std::mem::discriminant;

use crate::engine::outcome::Silence;
use crate::time::Timestamp;

/// Reasons kept; what comes beyond is counted.
const KEPT_MAX: usize = 10_000;

/// Reasons for silence, each once for what it is about, in order of first appearance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Silences {
    /// The reasons.
    pub all: Vec<Kept>,
    /// How many more there were.
    pub more: usize,
}

/// One reason, for as long as it was met.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// A service, a signal, an incident, `engine` or `fleet`.
    pub what: String,
    /// The reason, as it was last.
    pub why: Silence,
    /// The tick at which it was met first.
    pub first: Timestamp,
    /// The tick at which it was met last.
    pub last: Timestamp,
}

impl Silences {
    /// Takes in what a tick kept silent about. That history only teaches, and that services share
    /// an incident, is no news.
    pub fn take(&mut self, at: Timestamp, found: Vec<(String, Silence)>) {
        for (what, why) in found {
            if matches!(why, Silence::Learning { .. } | Silence::Joined { .. }) {
                continue;
            }
            let same = |kept: &&mut Kept| {
                kept.what == what && discriminant(&kept.why) == discriminant(&why)
            };
            let full = self.all.len() >= KEPT_MAX;
            match self.all.iter_mut().find(same) {
                Some(kept) => (kept.last, kept.why) = (at, why),
                None if full => self.more += 1,
                None => self.all.push(Kept { what, why, first: at, last: at }),
            }
        }
    }

    /// Those about one of these: the thing itself, or something of it.
    pub fn about<'a>(&'a self, names: &'a [&'a str]) -> impl Iterator<Item = &'a Kept> {
        let is_about = |kept: &&Kept| {
            let part = |name: &&str| kept.what.strip_suffix(*name).is_some_and(is_part);
            names.iter().any(|name| kept.what == *name || part(name))
        };
        self.all.iter().filter(is_about)
    }
}

/// Whether what stands before a name says that it is about something of it.
fn is_part(before: &str) -> bool {
    before.ends_with(" of ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    #[test]
    fn a_reason_is_kept_once_for_as_long_as_it_lasts() {
        let at = |minutes| Timestamp::from_secs(0) + Span::from_mins(minutes);
        let held = |what: &str, ratio| (what.to_owned(), Silence::HeldByBudget { ratio });
        let mut silences = Silences::default();
        silences.take(at(0), vec![held("web-1", 1.1), held("db-1", 1.2)]);
        silences.take(at(5), vec![held("web-1", 1.3)]);
        let few = ("p99 of web".to_owned(), Silence::TooFewPeers { have: 2 });
        silences.take(at(5), vec![few, ("engine".to_owned(), Silence::Learning { until: at(9) })]);
        assert_eq!(silences.all.len(), 3);
        let web: Vec<&Kept> = silences.about(&["web", "web-1"]).collect();
        assert_eq!((web[0].first, web[0].last), (at(0), at(5)));
        assert_eq!(web[0].why, Silence::HeldByBudget { ratio: 1.3 });
        assert_eq!(web[1].what, "p99 of web");
    }
}
