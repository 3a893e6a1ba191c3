//! One service: its series, who calls whom, and what it promised its users.

use serde::Serialize;

use super::fleet::word;
use super::signals::SeriesRow;
use super::{Choice, Link, Reader, When, counted, first, incident_url, service_url};
use crate::engine::chart::Chart;
use crate::engine::overview::{Overview, SeriesStanding, ServiceStanding};
use crate::format;
use crate::http::pages::Facts;
use crate::notify::view::clean;
use crate::rules::Service;
use crate::time::{Span, Timestamp};

/// Series shown, those that move first; as many as are drawn.
const SERIES_MAX: usize = 48;
/// Services named in one list.
const NAMES_MAX: usize = 24;
/// How far back the small charts go.
pub(in crate::http::pages) const RANGES: [(&str, Span); 3] =
    [("3h", Span::from_hours(3)), ("12h", Span::from_hours(12)), ("2d", Span::from_hours(48))];

/// A service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in crate::http::pages) struct ServiceView {
    name: String,
    word: &'static str,
    class: &'static str,
    /// Where the incident is that it is in.
    incident: Option<String>,
    /// How far it is on its way to a notice and to an alert.
    standing: Option<String>,
    /// What its thresholds stand on.
    learned: String,
    silent: Option<When>,
    budget: String,
    owner: Option<String>,
    objective: Vec<String>,
    calls: Vec<Link>,
    callers: Vec<Link>,
    callers_more: usize,
    ranges: Vec<Choice>,
    series: Vec<SeriesRow>,
    series_more: usize,
}

/// The service of a standing.
pub(in crate::http::pages) fn service(
    standing: &ServiceStanding,
    (overview, chart): (&Overview, Option<&Chart>),
    range: &str,
    facts: &Facts,
    reader: Reader<'_>,
) -> ServiceView {
    let name = &standing.service;
    let described = facts.rules.services.get(name);
    let callers = overview.services.iter().filter(|other| other.calls.contains(name));
    let (callers, callers_more) =
        first(callers.map(|other| Link::service(&other.service)).collect(), NAMES_MAX);
    // What moves first, what is gone last.
    let key = |one: &SeriesStanding| (one.moved.is_none(), one.value.is_none(), one.role);
    let mut series: Vec<&SeriesStanding> = standing.series.iter().collect();
    series.sort_by_key(|one| key(one));
    let (series, series_more) = first(series, SERIES_MAX);
    let (word, class) = word(standing);
    ServiceView {
        name: clean(name),
        word,
        class,
        incident: standing.incidents.first().map(|id| incident_url(id)),
        standing: standing.standing.map(|standing| {
            format!(
                "{:.1} times the threshold of a notice, {:.1} times that of an alert",
                standing.notice, standing.alert
            )
        }),
        learned: learned(standing.weeks),
        silent: standing.silent_since.map(|at| reader.moment(at)),
        budget: budget(standing.alerts_left),
        owner: described.and_then(|service| service.owner.as_deref()).map(clean),
        objective: described.map(objective).unwrap_or_default(),
        calls: standing.calls.iter().take(NAMES_MAX).map(|name| Link::service(name)).collect(),
        callers,
        callers_more,
        ranges: ranges(&service_url(name), range),
        series: series.into_iter().map(|one| SeriesRow::new(one, chart, facts, reader)).collect(),
        series_more,
    }
}

/// How long a past thresholds stand on.
fn learned(weeks: f64) -> String {
    if weeks <= 0.0 {
        return "still learning: at least a day of normal operation is needed".to_owned();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few and positive")]
    let days = (7.0 * weeks).round().max(1.0) as u64;
    let past = if days < 14 { counted(days, "normal day") } else { normal_weeks(weeks) };
    format!("thresholds stand on {past}")
}

/// `3 weeks of normal days`, `2.5 weeks of normal days`.
fn normal_weeks(weeks: f64) -> String {
    let weeks = format!("{weeks:.1}");
    format!("{} weeks of normal days", weeks.strip_suffix(".0").unwrap_or(&weeks))
}

/// How often it may still interrupt somebody.
fn budget(alerts_left: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few and positive")]
    let left = alerts_left.max(0.0) as u64;
    match left {
        0 => "spent for now; it fills again evenly over the week".to_owned(),
        left => format!("{} at once", counted(left, "more alert")),
    }
}

fn objective(service: &Service) -> Vec<String> {
    let latency = service
        .objective_latency
        .map(|latency| format!("latency below {}", format::value(latency, Some("seconds"))));
    let errors = service
        .objective_errors
        .map(|errors| format!("errors below {}", format::value(errors, Some("ratio"))));
    latency.into_iter().chain(errors).collect()
}

/// The ranges, of which one is chosen.
pub(in crate::http::pages) fn ranges(address: &str, chosen: &str) -> Vec<Choice> {
    let choice = |(name, _): (&str, Span)| Choice {
        name: name.to_owned(),
        url: format!("{address}?range={name}"),
        here: name == chosen,
    };
    RANGES.into_iter().map(choice).collect()
}

/// The time of a range, and its name; the middle one for any other.
pub(in crate::http::pages) fn range_of(text: Option<&str>) -> (&'static str, Span) {
    let [_, middle, _] = RANGES;
    RANGES.into_iter().find(|(name, _)| Some(*name) == text).unwrap_or(middle)
}

/// Where a service that is known by its configuration or its past alone says so.
pub(in crate::http::pages) fn unseen(
    name: &str,
    (facts, at): (&Facts, Option<Timestamp>),
) -> Option<ServiceStanding> {
    facts.rules.services.get(name)?;
    Some(ServiceStanding {
        service: name.to_owned(),
        standing: None,
        weeks: 0.0,
        silent_since: at,
        alerts_left: 0.0,
        incidents: Vec::new(),
        calls: Vec::new(),
        series: Vec::new(),
    })
}
