//! `GET /api/v1/signals`: every series that is watched, at the newest tick.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json as value;

use super::Api;
use super::endpoint::{AFTER, Content, Endpoint, LIMIT, Parameter, SERVICE, of, text};
use super::exchange::json;
use super::problem::Refusal;
use super::query::{Page, Parameters};
use crate::engine::detect::drift::Direction;
use crate::engine::overview::{Health, Overview, SeriesStanding, ServiceStanding};
use crate::rules::Role;
use crate::time::Timestamp;

pub(super) const LIST: Endpoint = Endpoint {
    parameters: &[
        SERVICE,
        Parameter { name: "signal", about: "Only those of this signal.", schema: text },
        Parameter {
            name: "role",
            about: "Only those of this role.",
            schema: || value!({"enum": Role::ALL.iter().map(|role| role.name()).collect::<Vec<_>>()}),
        },
        Parameter {
            name: "health",
            about: "Only those of which this can be said.",
            schema: || value!({"enum": Health::ALL.map(word)}),
        },
        Parameter {
            name: "min_score",
            about: "Only those with at least this score.",
            schema: || value!({"type": "number", "minimum": 0, "maximum": 1}),
        },
        LIMIT,
        AFTER,
    ],
    refusals: &[400],
    ..Endpoint::get(
        "/api/v1/signals",
        ("listSignals", "Series with what they do and what is usual for them, service by service."),
        || get(list),
        &[(200, Content::Json(of::<List>))],
    )
};

/// Series, service by service.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SignalList")]
struct List {
    /// The tick at which they stood so; none before the first.
    at: Option<Timestamp>,
    signals: Vec<Shown>,
    /// `after` of the next page; none where this is the last.
    next: Option<String>,
}

/// A series; its peers are folded into one.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SignalStanding")]
struct Shown {
    service: String,
    /// Name of the rule.
    signal: String,
    role: Role,
    /// The labels that tell it from its siblings.
    labels: BTreeMap<String, String>,
    /// Unit of the values, for people.
    unit: Option<String>,
    /// At the newest tick; none where it gave none.
    value: Option<f64>,
    /// What is usual now; none while it is learned.
    expected: Option<f64>,
    /// The middle 95 % of normal days lie from here,
    low: Option<f64>,
    /// to here.
    high: Option<f64>,
    /// From 0 to 1: 0.5 is at its service's notice threshold by itself.
    score: f64,
    /// Where it moves to, once its score is half or more: `up` or `down`.
    moved: Option<&'static str>,
    /// Since when it moves.
    onset: Option<Timestamp>,
    /// What can be said of it: `judged`, `context` (it only explains others), `learning`,
    /// `too_small` (it moves by less than anybody cares about), `unasked` (the backend did not
    /// answer for it) or `missing` (it gave no value).
    health: String,
    /// Tick of its newest value.
    seen: Option<Timestamp>,
    /// Peers known; 0 where it has none.
    peers: usize,
}

/// Which series are asked for.
#[derive(Debug, Default)]
struct Filter {
    service: Option<String>,
    signal: Option<String>,
    role: Option<Role>,
    health: Option<Health>,
    min_score: Option<f64>,
}

/// A place in the list: a service and the id of one of its series, in hexadecimal digits.
type Place = (String, String);

async fn list(State(api): State<Api>, uri: Uri) -> Result<Response, Refusal> {
    let known = ["service", "signal", "role", "health", "min_score", "limit", "after"];
    let mut read = Parameters::new(&uri, &known);
    let roles: Vec<(&str, Role)> = Role::ALL.iter().map(|role| (role.name(), *role)).collect();
    let words = Health::ALL.map(|health| (word(health), health));
    let healths: Vec<(&str, Health)> = words.iter().map(|(word, h)| (word.as_str(), *h)).collect();
    let filter = Filter {
        service: read.text("service"),
        signal: read.text("signal"),
        role: read.choice("role", &roles),
        health: read.choice("health", &healths),
        min_score: read.parsed("min_score", "a number from 0 to 1"),
    };
    if filter.min_score.is_some_and(|min| !(0.0..=1.0).contains(&min)) {
        read.refuse("min_score", "must be a number from 0 to 1");
    }
    let (limit, after) = (read.limit(), read.after::<Place>());
    read.finish()?;
    let (overview, rules) = (api.live.overview(), &api.facts.rules);
    let page = page(&overview, &filter, limit, after.as_ref());
    let units: BTreeMap<&str, Option<&String>> =
        rules.signals.iter().map(|rule| (rule.name.as_str(), rule.unit.as_ref())).collect();
    let shown = page.items.iter().map(|series| {
        let unit = units.get(series.series.signal.as_str()).copied().flatten();
        shown(series, unit.cloned())
    });
    let list = List { at: overview.at, signals: shown.collect(), next: page.next };
    Ok(json(StatusCode::OK, &list))
}

/// One page of the series that pass. Cost: what is looked at until the page is full; with a filter
/// that little passes, O(series) comparisons and no copies.
fn page<'o>(
    overview: &'o Overview,
    filter: &Filter,
    limit: u32,
    after: Option<&Place>,
) -> Page<&'o SeriesStanding> {
    let all = &overview.services;
    let name = |service: &ServiceStanding| service.service.clone();
    let from = after.map_or(0, |(at, _)| all.partition_point(|one| name(one) < *at));
    let wanted = filter.service.as_ref();
    let services = all
        .iter()
        .skip(from)
        .filter(|one| wanted.is_none_or(|wanted| *wanted == one.service))
        .flat_map(|service| {
            let behind = after.filter(|(at, _)| *at == service.service);
            // Series lie in order of their ids.
            let from = behind.map_or(0, |(_, last)| {
                service.series.partition_point(|series| id(series) <= *last)
            });
            service.series.iter().skip(from)
        });
    let passing = services.filter(|series| filter.takes(series));
    Page::of(passing, limit, |series| (series.series.service.clone(), id(series)))
}

fn id(series: &SeriesStanding) -> String {
    format!("{:032x}", series.series.id.0)
}

impl Filter {
    fn takes(&self, series: &SeriesStanding) -> bool {
        self.signal.as_ref().is_none_or(|signal| *signal == series.series.signal)
            && self.role.is_none_or(|role| role == series.role)
            && self.health.is_none_or(|health| health == series.health)
            && self.min_score.is_none_or(|min| min <= series.score)
    }
}

/// As programs name it.
fn word(health: Health) -> String {
    health.name().replace(' ', "_")
}

fn shown(standing: &SeriesStanding, unit: Option<String>) -> Shown {
    let series = &standing.series;
    // JSON knows no infinity.
    let finite = |value: f64| Some(value).filter(|value| value.is_finite());
    let usual = standing.usual.map(|usual| usual.map(finite));
    let [low, expected, high] = usual.unwrap_or_default();
    let moved = standing.moved.map(|(way, _)| match way {
        Direction::Up => "up",
        Direction::Down => "down",
    });
    Shown {
        service: series.service.clone(),
        signal: series.signal.clone(),
        role: standing.role,
        labels: series.labels.clone(),
        unit,
        value: standing.value.and_then(finite),
        expected,
        low,
        high,
        score: finite(standing.score).unwrap_or(0.0),
        moved,
        onset: standing.moved.and_then(|(_, onset)| onset),
        health: word(standing.health),
        seen: standing.seen,
        peers: standing.peers,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::series::{Labels, Series};

    /// So many series of so many services.
    fn fleet(services: usize, series: usize) -> Overview {
        let standing = |service: &str, n: usize| SeriesStanding {
            series: Arc::new(Series::new(&format!("s{n}"), service, None, None, Labels::new())),
            role: if n.is_multiple_of(7) { Role::Latency } else { Role::Errors },
            value: Some(1.0),
            usual: Some([0.5, 1.0, f64::INFINITY]),
            score: 0.1,
            moved: None,
            health: Health::Judged,
            seen: None,
            peers: 0,
        };
        let service = |n: usize| {
            let service = format!("service-{n:05}");
            let mut all: Vec<_> = (0..series).map(|n| standing(&service, n)).collect();
            all.sort_by(|a, b| a.series.cmp(&b.series));
            ServiceStanding {
                standing: None,
                weeks: 0.0,
                silent_since: None,
                alerts_left: 1.0,
                incidents: Vec::new(),
                calls: Vec::new(),
                series: all,
                service,
            }
        };
        Overview { services: (0..services).map(service).collect(), ..Overview::default() }
    }

    fn read_all(overview: &Overview, filter: &Filter, limit: u32) -> Vec<Place> {
        let (mut seen, mut after) = (Vec::new(), None::<Place>);
        loop {
            let page = page(overview, filter, limit, after.as_ref());
            let places = page.items.iter().map(|one| (one.series.service.clone(), id(one)));
            seen.extend(places);
            after = seen.last().cloned();
            if page.next.is_none() {
                return seen;
            }
        }
    }

    #[test]
    fn pages_hold_every_series_once() {
        let overview = fleet(7, 11);
        for limit in [1, 3, 11, 12, 77, 1_000] {
            let all = read_all(&overview, &Filter::default(), limit);
            assert_eq!(all.len(), 77);
            assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice");
        }
        let latency = Filter { role: Some(Role::Latency), ..Filter::default() };
        assert_eq!(read_all(&overview, &latency, 3).len(), 14);
        let service = Filter { service: Some("service-00003".to_owned()), ..Filter::default() };
        assert_eq!(read_all(&overview, &service, 4).len(), 11);
        // A service that went away between two pages leaves no gap and no repetition.
        let gone = ("service-00003x".to_owned(), String::new());
        let rest = page(&overview, &Filter::default(), 1, Some(&gone));
        assert_eq!(rest.items[0].series.service, "service-00004");
    }

    #[test]
    fn a_hundred_thousand_series_are_paged_without_looking_at_all_of_them_each_time() {
        let overview = fleet(2_000, 50);
        let all = read_all(&overview, &Filter::default(), 1_000);
        assert_eq!(all.len(), 100_000);
        let nothing = Filter { min_score: Some(0.9), ..Filter::default() };
        assert_eq!(read_all(&overview, &nothing, 1_000).len(), 0);
    }

    #[test]
    fn what_json_cannot_say_is_left_out() {
        let overview = fleet(1, 1);
        let shown = shown(&overview.services[0].series[0], None);
        assert_eq!((shown.low, shown.high), (Some(0.5), None));
    }
}
