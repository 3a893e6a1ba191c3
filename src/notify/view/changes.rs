//! The changes of an alert as its messages show them.

use jiff::tz::TimeZone;

use super::clean;
use crate::engine::alert::{Alert, NearChange, State};
use crate::engine::diagnose::came_too_late;
use crate::format;
use crate::time::Timestamp;

/// The last change before an incident was over, which may have ended it; none where that is to blame
/// for it, or may be.
pub(super) fn undone<'a>(alert: &'a Alert, zone: &TimeZone) -> Option<&'a NearChange> {
    let reasons = alert.causes.first().map(|lead| &lead.evidence_for);
    let is_blamed =
        |change: &NearChange| reasons.into_iter().flatten().any(|r| names(r, change, zone));
    let last = alert.changes.last().filter(|_| alert.state == State::Resolved);
    last.filter(|change| is_late(change, alert) && !is_blamed(change))
}

/// Ends the line of a change that came too late to be behind it with how long after the beginning
/// that was: whoever reads of a change suspects it. Empty for any other.
pub fn lateness(change: &NearChange, alert: &Alert) -> String {
    if !is_late(change, alert) {
        return String::new();
    }
    format!("; {} after it began", (change.at - alert.started_at).rough())
}

fn is_late(change: &NearChange, alert: &Alert) -> bool {
    came_too_late(change.at, alert.started_at_range[1])
}

/// A change in a line.
pub(super) fn changed(change: &NearChange, by: Timestamp, zone: &TimeZone) -> String {
    let at = format::moment(change.at, by, zone);
    format!("{} of {}: {}, {at}", change.kind, change.service, change.what)
}

/// Whether a reason names a change: the same may come twice.
pub(super) fn names(reason: &str, change: &NearChange, zone: &TimeZone) -> bool {
    let (what, at) = (clean(&change.what), format::clock(change.at, change.at, zone));
    let forms = [format!("{at} ({what})"), format!(" {what} at ")];
    reason.contains(change.service.as_str())
        && reason.contains(&at)
        && forms.iter().any(|form| reason.contains(form))
}
