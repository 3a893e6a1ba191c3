//! Compares what was told with what was expected, and says how near a miss was. The world is
//! closed: what nobody expected must not be told.

use super::run::Seen;
use super::tell::{gates, how_near, how_severe, offset, shares, signed};
use super::{Expectation, Test};
use crate::engine::alert::{Alert, NamedCause, Severity, State};
use crate::time::{Span, Timestamp};

/// Pieces of evidence told for each side of a cause, at most.
const EVIDENCE_TOLD: usize = 4;

/// One thing that did not come as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// What, in one line.
    pub what: String,
    /// What helps to see why, a line each.
    pub near: Vec<String>,
}

/// All alerts of one incident, in order.
struct Story<'a> {
    alerts: Vec<&'a Alert>,
}

/// What did not come as expected; nothing when the seed passed.
pub fn judge(test: &Test, seen: &Seen) -> Vec<Miss> {
    let from = test.alerts_from();
    let mut stories: Vec<Option<Story<'_>>> = stories(&seen.alerts).into_iter().map(Some).collect();
    // Whatever fits is taken first: an incident that is only near must not take its place.
    let mut open: Vec<&Expectation> = Vec::new();
    for expected in &test.expectations {
        let fits = |story: &Option<Story<'_>>| {
            story.as_ref().is_some_and(|story| story.against(expected, from, seen).is_none())
        };
        match stories.iter_mut().find(|story| fits(story)) {
            Some(story) => *story = None,
            None => open.push(expected),
        }
    }
    let mut misses = Vec::new();
    for expected in open {
        let is_near =
            |story: &Option<Story<'_>>| story.as_ref().is_some_and(|s| s.touches(expected));
        let near = stories.iter_mut().find(|story| is_near(story)).and_then(Option::take);
        misses.push(match near.and_then(|story| story.against(expected, from, seen)) {
            Some(miss) => miss,
            None => silent(expected, seen, from),
        });
    }
    let surplus = stories.into_iter().flatten();
    misses.extend(surplus.filter_map(|story| story.unexpected(from)));
    misses
}

fn stories(alerts: &[Alert]) -> Vec<Story<'_>> {
    let mut stories: Vec<Story<'_>> = Vec::new();
    for alert in alerts {
        let known = stories.iter_mut().find(|story| story.alerts[0].incident == alert.incident);
        match known {
            Some(story) => story.alerts.push(alert),
            None => stories.push(Story { alerts: vec![alert] }),
        }
    }
    stories
}

impl Story<'_> {
    /// Whether it may be meant at all.
    fn touches(&self, expected: &Expectation) -> bool {
        self.alerts.iter().any(|alert| alert.services.contains(&expected.service))
    }

    /// What says that it is not what was expected; none if it is.
    fn against(&self, expected: &Expectation, from: Timestamp, seen: &Seen) -> Option<Miss> {
        let first = self.alerts.first()?;
        let Expectation { service, cause, culprit, value, severity, after, before } = expected;
        let window = window(*after, *before);
        let told = format!("{service}: told at {}", offset(first.at, from));
        let plain = |what: String| Some(Miss { what, near: Vec::new() });
        if first.at < from + *after {
            return plain(format!("{told}, too early: expected {window}"));
        }
        if from + *before < first.at {
            let what = format!("{told}, too late: expected {window}");
            let near = how_near(seen, service, from, Some(from + *before));
            return Some(Miss { what, near });
        }
        let spoken = self.alerts.iter().filter(|alert| alert.state != State::Resolved);
        let (by_then, later): (Vec<&Alert>, Vec<&Alert>) =
            spoken.copied().partition(|alert| alert.at <= from + *before);
        let last = by_then.last()?;
        if last.service != *service {
            return plain(format!("{told}, but as trouble of {}", last.service));
        }
        let leads = |alert: &Alert, id: &str| alert.causes.first().is_some_and(|c| c.id == id);
        if let Some(id) = cause {
            if !leads(last, id) {
                let what = format!("{told}, expected {id}, named {}", shares(last));
                return Some(Miss { what, near: reasons(last, id) });
            }
            if let Some(other) = later.into_iter().find(|alert| !leads(alert, id)) {
                let at = offset(other.at, from);
                let what = format!("{told} as {id}, but from {at} on as {}", shares(other));
                return Some(Miss { what, near: reasons(other, id) });
            }
        }
        let blamed = last.causes.first().map(|cause| &cause.culprit);
        let name = blamed.map_or("nobody", |culprit| culprit.service.as_str());
        if let Some(culprit) = culprit.as_ref().filter(|culprit| *culprit != name) {
            return plain(format!("{told}, expected {culprit} to be blamed, found {name}"));
        }
        let found = || blamed.into_iter().flat_map(|culprit| &culprit.labels);
        if let Some(value) = value.as_ref().filter(|value| found().all(|(_, v)| v != *value)) {
            let found: Vec<String> = found().map(|(label, v)| format!("{label}={v}")).collect();
            let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
            return plain(format!("{told}, expected {value} to narrow it down, found {found}"));
        }
        let highest = by_then.iter().map(|alert| alert.severity).max().unwrap_or(Severity::Notice);
        if let Some(severity) = severity.filter(|severity| *severity != highest) {
            let what = format!("{told}, expected a {severity}, found a {highest}");
            let near = how_severe(seen, (service, &first.incident), severity, from);
            return Some(Miss { what, near });
        }
        None
    }

    /// It was told although nobody expected it.
    fn unexpected(&self, from: Timestamp) -> Option<Miss> {
        let (first, last) = (self.alerts.first()?, self.alerts.last()?);
        let Alert { service, at, severity, .. } = first;
        let at = offset(*at, from);
        let what =
            format!("{service}: a {severity} at {at} that nobody expected: {}", shares(last));
        let near = last.causes.first().map(because).unwrap_or_default();
        Some(Miss { what, near })
    }
}

/// Nothing was told: how near it was.
fn silent(expected: &Expectation, seen: &Seen, from: Timestamp) -> Miss {
    let Expectation { service, cause, after, before, .. } = expected;
    let cause = cause.as_ref().map_or_else(String::new, |cause| format!(" ({cause})"));
    let what = format!("{service}{cause}: nothing was told {}", window(*after, *before));
    let mut near = how_near(seen, service, from, None);
    near.extend(gates(seen, &[service, "engine", "fleet"], from));
    Miss { what, near }
}

/// Evidence for the cause that leads, and on both sides of the one that was expected.
fn reasons(alert: &Alert, expected: &str) -> Vec<String> {
    let mut lines = alert.causes.first().map(because).unwrap_or_default();
    match alert.causes.iter().find(|cause| cause.id == expected) {
        None => lines.push(format!("{expected} is not among the causes told")),
        Some(cause) => {
            lines.extend(because(cause));
            lines.extend(told(cause, "against", &cause.against));
            lines.extend(told(cause, "not known", &cause.unknown));
        }
    }
    lines
}

fn because(cause: &NamedCause) -> Vec<String> {
    told(cause, "for", &cause.evidence_for)
}

fn told(cause: &NamedCause, side: &str, evidence: &[String]) -> Vec<String> {
    let evidence = evidence.iter().take(EVIDENCE_TOLD);
    evidence.map(|text| format!("{} {side}: {text}", cause.id)).collect()
}

fn window(after: Span, before: Span) -> String {
    format!("between {} and {}", signed(after), signed(before))
}
