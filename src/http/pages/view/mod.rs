//! What pages show, made of what the store and the engine know: every text cleaned, every number
//! formatted, every list cut with a word about the rest. Functions of their arguments.

pub(super) mod coverage;
pub(super) mod fleet;
pub(super) mod incident;
pub(super) mod rows;
pub(super) mod rules;
pub(super) mod service;
pub(super) mod signals;
pub(super) mod steps;
pub(super) mod timeline;

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::format::{self, in_address};
use crate::notify::view::clean;
use crate::time::{Span, Timestamp};

/// Who reads: when, and by whose clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'z> {
    /// The present.
    pub(super) now: Timestamp,
    /// The zone.
    pub(super) zone: &'z TimeZone,
}

/// An instant, for people and for machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct When {
    /// As RFC 3339.
    pub(super) iso: String,
    /// As people read it.
    pub(super) text: String,
}

/// A name that leads somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Link {
    /// What is read.
    pub(super) name: String,
    /// The address; empty where it leads nowhere.
    pub(super) url: String,
}

/// A choice among some, each of which is a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Choice {
    /// What is read.
    pub(super) name: String,
    /// The address.
    pub(super) url: String,
    /// Whether it is chosen.
    pub(super) here: bool,
}

impl Reader<'_> {
    /// `02:12 UTC`, with the date where it is another day.
    pub(super) fn clock(&self, at: Timestamp) -> When {
        When { iso: at.to_string(), text: format::clock(at, self.now, self.zone) }
    }

    /// `02:12 UTC (18m ago)`.
    pub(super) fn moment(&self, at: Timestamp) -> When {
        When { iso: at.to_string(), text: format::moment(at, self.now, self.zone) }
    }
}

impl Link {
    /// To the page of a service.
    pub(super) fn service(name: &str) -> Self {
        Self { name: clean(name), url: service_url(name) }
    }

    /// To the page of an incident.
    pub(super) fn incident(id: &str, name: &str) -> Self {
        Self { name: clean(name), url: incident_url(id) }
    }
}

/// Where the page of a service is.
pub(super) fn service_url(name: &str) -> String {
    format!("/services/{}", in_address(name))
}

/// Where the page of an incident is.
pub(super) fn incident_url(id: &str) -> String {
    format!("/incidents/{}", in_address(id))
}

/// Where the backend draws a query over the hours before an instant: Prometheus, and
/// VictoriaMetrics too, which answers at the same address.
pub(super) fn query_url(source: Option<&str>, query: &str, end: Timestamp) -> Option<String> {
    let source = source.filter(|url| url.starts_with("http://") || url.starts_with("https://"))?;
    let end = in_address(&end.to_jiff().strftime("%Y-%m-%d %H:%M:%S").to_string());
    let query = in_address(query);
    let source = source.trim_end_matches('/');
    Some(format!("{source}/graph?g0.expr={query}&g0.tab=0&g0.range_input=12h&g0.end_input={end}"))
}

/// `1 incident`, `2 incidents`.
pub(super) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The first of a list, and how many there are besides.
pub(super) fn first<T>(mut items: Vec<T>, most: usize) -> (Vec<T>, usize) {
    let more = items.len().saturating_sub(most);
    items.truncate(most);
    (items, more)
}

/// How long something lasted, in words.
pub(super) fn lasted(from: Timestamp, to: Timestamp) -> String {
    (to - from).max(Span::ZERO).rough()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_any_name() {
        assert_eq!(service_url("a/b?c#d\"<é"), "/services/a%2Fb%3Fc%23d%22%3C%C3%A9");
        let end = Timestamp::from_secs(1_772_331_000);
        let url = query_url(Some("http://prom:9090/"), "sum(a) > 1", end).unwrap();
        assert_eq!(
            url,
            "http://prom:9090/graph?g0.expr=sum%28a%29%20%3E%201&g0.tab=0&g0.range_input=12h\
             &g0.end_input=2026-03-01%2002%3A10%3A00"
        );
        assert_eq!(query_url(Some("javascript:alert(1)"), "a", end), None);
        assert_eq!(query_url(None, "a", end), None);
    }
}
