//! What came of the incident, and who knew when.

use super::stage::Figures;
use crate::engine::alert::{Alert, Severity, State};
use crate::engine::diagnose::UNEXPLAINED;
use crate::lab::rivals::Firing;
use crate::lab::{FaultInfo, Noticed};
use crate::time::Timestamp;

/// Everything that there is to tell.
pub(super) struct Told {
    pub(super) fault: &'static FaultInfo,
    pub(super) seed: u64,
    pub(super) figures: Figures,
    /// When the cause began to change.
    pub(super) onset: Timestamp,
    /// When nobody looked any more.
    pub(super) end: Timestamp,
    pub(super) noticed: Option<Noticed>,
    /// What grayflag said, in order of time.
    pub(super) alerts: Vec<Alert>,
    pub(super) threshold: Vec<Firing>,
    pub(super) burn_rate: Vec<Firing>,
}

impl Told {
    /// What grayflag said about the fault and not about something else, news only.
    pub(super) fn about_it(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| concerns(alert, self.fault, self.onset))
    }

    /// The first word about the fault.
    pub(super) fn first_notice(&self) -> Option<&Alert> {
        self.about_it().next()
    }

    /// The first word about it that interrupts a person.
    pub(super) fn first_warning(&self) -> Option<&Alert> {
        self.about_it().find(|alert| Severity::Warning <= alert.severity)
    }

    /// The message to show whole: the first that interrupts and names a clear cause, else the
    /// first that interrupts, else the first.
    pub(super) fn most_telling(&self) -> Option<&Alert> {
        let interrupts = || self.about_it().filter(|alert| Severity::Warning <= alert.severity);
        let clear = |alert: &&Alert| alert.causes.first().is_some_and(|c| c.id != UNEXPLAINED);
        interrupts().find(clear).or_else(|| self.first_warning()).or_else(|| self.first_notice())
    }

    /// When a rival first spoke up after the onset.
    pub(super) fn first_of<'a>(&self, firings: &'a [Firing]) -> Option<&'a Firing> {
        firings.iter().find(|firing| self.onset <= firing.from)
    }

    /// What a rival said before there was anything to tell of: how often, and whether it still
    /// did when the fault began.
    pub(super) fn false_of(&self, firings: &[Firing]) -> (usize, bool) {
        let before = || firings.iter().filter(|firing| firing.from < self.onset);
        let lasts = |firing: &Firing| firing.until.is_none_or(|until| self.onset <= until);
        (before().count(), before().any(lasts))
    }
}

/// Whether an alert is news about a fault that began at `onset`.
pub(super) fn concerns(alert: &Alert, fault: &FaultInfo, onset: Timestamp) -> bool {
    let involved = |name: &str| alert.services.iter().any(|service| service == name);
    onset <= alert.at
        && alert.state != State::Resolved
        && (involved(fault.service) || involved(fault.culprit))
}

/// Thousands in groups: `713,664`.
pub(super) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|part| str::from_utf8(part).ok()).collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_grouped() {
        for (n, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(super::grouped(n), expected);
        }
    }
}
