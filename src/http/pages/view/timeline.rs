//! Everything that was told and said about an incident, in order of time.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Reader, When};
use crate::engine::alert::{Alert, State};
use crate::notify::view::clean;
use crate::store::{Acknowledged, Done, Said, Sent};
use crate::time::Timestamp;

/// Entries shown, the newest.
const ENTRIES_MAX: usize = 60;
/// Receivers named of one alert.
const RECEIVERS_MAX: usize = 8;

/// What happened at an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::http::pages) struct Event {
    at: When,
    /// How it is marked: a severity, `resolved`, `change`, or nothing.
    mark: &'static str,
    /// What happened.
    what: String,
    /// More about it; may be empty.
    more: String,
}

/// What is known of an incident's course.
pub(in crate::http::pages) struct Course<'a> {
    /// What was told, in order.
    pub(in crate::http::pages) alerts: &'a [Alert],
    /// To whom.
    pub(in crate::http::pages) sent: &'a [Sent],
    /// Alerts that went to nobody.
    pub(in crate::http::pages) unsent: &'a BTreeSet<String>,
    /// Who looks after it.
    pub(in crate::http::pages) acknowledged: Option<&'a Acknowledged>,
    /// What was said about it.
    pub(in crate::http::pages) feedback: &'a [Said],
    /// What was done about it.
    pub(in crate::http::pages) done: &'a [Done],
}

/// The course of an incident, and how many earlier entries are left out.
pub(in crate::http::pages) fn timeline(
    course: &Course<'_>,
    reader: Reader<'_>,
) -> (Vec<Event>, usize) {
    let mut events: Vec<(Timestamp, Event)> = Vec::new();
    let mut add = |at: Timestamp, mark, what: String, more: String| {
        let (what, more) = (clean(&what), clean(&more));
        events.push((at, Event { at: reader.clock(at), mark, what, more }));
    };
    if let Some(alert) = course.alerts.last() {
        add(alert.started_at, "", "It began".to_owned(), String::new());
        for change in &alert.changes {
            let what = format!("{} of {}", change.kind, change.service);
            add(change.at, "change", what, change.what.clone());
        }
    }
    for alert in course.alerts {
        let (news, title) = alert.news();
        let unsent = course.unsent.contains(&alert.id());
        let (mark, what) = match alert.state {
            State::Firing if unsent => {
                (alert.severity.name(), format!("Decided as {}", alert.severity))
            }
            State::Firing => (alert.severity.name(), format!("Told as {}", alert.severity)),
            State::Updated => (alert.severity.name(), news.unwrap_or("Told with news").to_owned()),
            State::Resolved => ("resolved", "Over".to_owned()),
        };
        let over = alert.state == State::Resolved;
        let to = match receivers(course.sent, &alert.id(), reader) {
            // Of an end nobody needs to hear who heard of nothing before.
            nobody if nobody.is_empty() && unsent && !over => "sent to nobody".to_owned(),
            to => to,
        };
        let title = if over { "" } else { title };
        let more = [title, to.as_str()].into_iter().filter(|part| !part.is_empty());
        add(alert.at, mark, what, more.collect::<Vec<_>>().join("; "));
    }
    if let Some(word) = course.acknowledged {
        add(word.at, "", format!("{} looks after it", who(word.by.as_ref())), String::new());
    }
    for said in course.feedback {
        let cause = said.cause.as_ref().map(|cause| format!("true cause: {cause}"));
        let note = said.note.as_ref().map(|note| format!("“{note}”"));
        let parts = [cause, note].into_iter().flatten().collect::<Vec<_>>();
        let what = format!("{} called it {}", who(said.by.as_ref()), said.verdict);
        add(said.at, "", what, parts.join("; "));
    }
    for done in course.done {
        add(done.at, "", format!("{} did a step", who(done.by.as_ref())), done.text.clone());
    }
    events.sort_by_key(|(at, _)| *at);
    let more = events.len().saturating_sub(ENTRIES_MAX);
    (events.drain(more..).map(|(_, event)| event).collect(), more)
}

fn who(by: Option<&String>) -> &str {
    by.map_or("Somebody", String::as_str)
}

/// `Sent to oncall; held from chat by silence 3 until 02:10 UTC`.
fn receivers(sent: &[Sent], alert: &str, reader: Reader<'_>) -> String {
    let of: Vec<&Sent> = sent.iter().filter(|one| one.alert == alert).collect();
    let told = |one: &&Sent| match (one.state.as_str(), &one.held_by, one.hold_until) {
        ("done", ..) => format!("sent to {}", one.receiver),
        ("dead", ..) => format!("given up for {}", one.receiver),
        (_, Some(by), Some(until)) => {
            let until = reader.clock(until).text;
            format!("held from {} by {by} until {until}", one.receiver)
        }
        _ if one.error.is_some() => format!("tried again for {}", one.receiver),
        _ => format!("on its way to {}", one.receiver),
    };
    let mut parts: Vec<String> = of.iter().take(RECEIVERS_MAX).map(told).collect();
    if RECEIVERS_MAX < of.len() {
        parts.push(format!("and {} more", of.len() - RECEIVERS_MAX));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::notify::sample;

    #[test]
    fn it_is_told_in_order_and_to_whom() {
        let firing = sample::alerts().remove(0);
        let sent = |receiver: &str, state: &str| Sent {
            alert: firing.id(),
            receiver: receiver.to_owned(),
            state: state.to_owned(),
            held_by: None,
            hold_until: None,
            done_at: None,
            error: None,
        };
        let word = Acknowledged { at: firing.at, by: None };
        let course = Course {
            alerts: std::slice::from_ref(&firing),
            sent: &[sent("oncall", "done"), sent("chat", "pending"), sent("old", "dead")],
            unsent: &BTreeSet::new(),
            acknowledged: Some(&word),
            feedback: &[],
            done: &[],
        };
        let (events, more) = timeline(&course, Reader { now: firing.at, zone: &TimeZone::UTC });
        assert_eq!(more, 0);
        assert!(events.is_sorted_by_key(|event| event.at.iso.clone()));
        let told = events.iter().find(|event| event.what.starts_with("Told as")).unwrap();
        let to = "sent to oncall; on its way to chat; given up for old";
        assert!(told.more.ends_with(to), "{told:?}");
        assert!(events.iter().any(|event| event.what == "Somebody looks after it"));
        let unsent = BTreeSet::from([firing.id()]);
        let alone = Course { sent: &[], unsent: &unsent, ..course };
        let (events, _) = timeline(&alone, Reader { now: firing.at, zone: &TimeZone::UTC });
        let told = events.iter().find(|event| event.what == "Decided as warning").unwrap();
        assert!(told.more.ends_with("; sent to nobody"), "{told:?}");
    }
}
