//! The one line that a lock screen and a list of mails show.

use jiff::tz::TimeZone;

use super::view::clean;
use crate::engine::alert::{Alert, Severity, State};
use crate::format;

/// Longest subject, in characters; phones show half of it.
const CHARS_MAX: usize = 160;
/// What comes after the title is left out where the subject would become longer than this.
const FULL_CHARS: usize = 140;

/// What is felt and why, behind the name of the service: without what changed since the last alert,
/// and without the name itself.
pub(super) fn headline(alert: &Alert) -> &str {
    let title = alert.news().1;
    let own = title.strip_prefix(alert.service.as_str()).and_then(|rest| rest.strip_prefix(' '));
    own.unwrap_or(title)
}

/// The subject of an alert: first how bad it is and for whom, because lists of mails cut the end
/// off; then what is felt and why; then since when, and how long is left.
pub(super) fn subject(alert: &Alert, zone: &TimeZone) -> String {
    let (tag, news) = tag(alert, alert.news().0);
    let first = match alert.state {
        State::Resolved => format!("over after {}. ", (alert.at - alert.started_at).rough()),
        State::Firing | State::Updated => news.map(|news| format!("{news}; ")).unwrap_or_default(),
    };
    let mut text = clean(&format!("[{tag}] {}: {first}{}", alert.service, headline(alert)));
    for more in more(alert, zone) {
        if text.chars().count() + more.chars().count() <= FULL_CHARS {
            text.push_str(&more);
        }
    }
    format::clip(&text, CHARS_MAX)
}

/// How bad it is, and what of the news that does not say.
fn tag<'a>(alert: &Alert, news: Option<&'a str>) -> (String, Option<&'a str>) {
    let severity = alert.severity.name();
    match alert.state {
        State::Firing => (severity.to_owned(), news),
        State::Resolved => ("resolved".to_owned(), news),
        State::Updated => {
            let now = format!("now {severity}");
            match news.and_then(|news| news.strip_prefix(&now)) {
                Some(rest) => (now, rest.strip_prefix(", ")),
                None => (format!("{severity}, updated"), news),
            }
        }
    }
}

/// Since when, and how long is left.
fn more(alert: &Alert, zone: &TimeZone) -> Vec<String> {
    if alert.state == State::Resolved {
        return Vec::new();
    }
    let mut more = vec![format!("; since {}", format::clock(alert.started_at, alert.at, zone))];
    // Whose users are affected has nothing left.
    let ahead = alert.forecast.as_ref().filter(|_| alert.severity != Severity::Critical);
    let ahead = ahead.filter(|f| f.at > alert.at && f.known_latest(alert.at).is_some());
    more.extend(ahead.map(|forecast| format!("; {} left", (forecast.at - alert.at).rough())));
    more
}

/// The word of state that comes first: `Warning`, `Updated: critical`, `Resolved`.
pub(super) fn word(alert: &Alert) -> String {
    let severity = alert.severity.name();
    match alert.state {
        State::Firing => {
            let (first, rest) = severity.split_at(1);
            format!("{}{rest}", first.to_ascii_uppercase())
        }
        State::Updated => format!("Updated: {severity}"),
        State::Resolved => "Resolved".to_owned(),
    }
}
