//! Gives the series of a test to the signals that would see them. There is no query language here:
//! a query that is a plain selector finds its series as a backend would, and for any other query
//! the test lists the results, under the signal's name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Written;
use crate::problem::{did_you_mean, quoted};
use crate::rules::{Breakdown, LABEL_PLACEHOLDER, Signal};
use crate::selector::Selector;
use crate::series::{Labels, Series, SeriesId};

/// Stands before the name of a signal where a series is a result of its query.
const RESULT: &str = "signal:";
/// Stands before the name of a signal where a series is a result of its breakdown's query.
const PART: &str = "breakdown:";

/// Which written series speak for which series of the engine.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// Place among the written series, and what the engine knows it as.
    pub samples: Vec<(usize, Arc<Series>)>,
    /// Floors of traffic.
    pub floors: Vec<Floor>,
    /// What answers questions about label values, by signal and label.
    pub parts: BTreeMap<(String, String), Vec<Part>>,
}

impl Bound {
    /// The services that have series.
    pub(super) fn services(&self) -> BTreeSet<&str> {
        self.samples.iter().map(|(_, series)| series.service.as_str()).collect()
    }
}

/// What a floor of traffic is measured by.
#[derive(Debug)]
pub(super) struct Floor {
    /// Signal and service that need the traffic.
    pub series: Arc<Series>,
    /// Place among the written series; none: nobody listed any, and the floor counts as reached.
    pub by: Option<usize>,
    /// How much is enough.
    pub at_least: f64,
}

/// The part that one value of a label has in a service.
#[derive(Debug)]
pub(super) struct Part {
    pub service: String,
    /// Empty where the series has no such label.
    pub value: String,
    /// Place among the written series.
    pub written: usize,
}

/// A written series that cannot be used.
#[derive(Debug)]
pub(super) struct Unbound {
    /// Its place.
    pub written: usize,
    pub message: String,
    pub hint: String,
}

/// Finds what every series means.
///
/// # Errors
///
/// All series that mean nothing to any signal, lack a label, or are the same to a signal.
pub(super) fn bind(signals: &[Signal], all: &[Written]) -> Result<Bound, Vec<Unbound>> {
    let mut bound = Bound::default();
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for signal in signals {
        let mut first: BTreeMap<SeriesId, usize> = BTreeMap::new();
        for (written, series) in results((RESULT, &signal.name), &signal.query, all) {
            used.insert(written);
            match series_of(signal, &series.labels) {
                Err(problem) => problems.push(Unbound { written, ..problem }),
                Ok(known) => {
                    if let Some(other) = first.insert(known.id, written) {
                        problems.push(Unbound {
                            written,
                            message: format!(
                                "it is the same as {} to signal `{}`",
                                quoted(&all[other].text),
                                signal.name
                            ),
                            hint: format!("the signal keeps apart by {}", kept(signal).join(", ")),
                        });
                    }
                    bound.samples.push((written, Arc::new(known)));
                }
            }
        }
        floors(signal, signals, all, &mut bound, &mut used);
        problems.extend(parts(signal, all, &mut bound, &mut used));
    }
    let strangers = (0..all.len()).filter(|written| !used.contains(written));
    problems.extend(strangers.map(|written| stranger(signals, all, written)));
    problems.sort_by_key(|problem| problem.written);
    if problems.is_empty() { Ok(bound) } else { Err(problems) }
}

/// The series that a query would return: those that a plain selector selects, and those that are
/// listed as results under the signal's name.
fn results<'a>(
    (listed, signal): (&'static str, &str),
    query: &str,
    all: &'a [Written],
) -> impl Iterator<Item = (usize, &'a Written)> {
    let selector = Selector::parse(query).ok();
    all.iter().enumerate().filter(move |(_, series)| match series.name.strip_prefix(listed) {
        Some(name) => name == signal,
        None => selector.as_ref().is_some_and(|s| s.matches(&series.name, &series.labels)),
    })
}

/// What the engine knows a row of a signal as, by the labels that the signal declares.
fn series_of(signal: &Signal, labels: &Labels) -> Result<Series, Unbound> {
    let service = service_of(signal, labels)?;
    let of = |label: &Option<String>| label.as_ref().and_then(|label| labels.get(label).cloned());
    let (peer, dependency) = (of(&signal.peer), of(&signal.dependency));
    let keep = kept(signal);
    let labels = labels.iter().filter(|(name, _)| keep[1..].contains(&name.as_str()));
    let labels = labels.map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(Series::new(&signal.name, service, peer, dependency, labels))
}

fn service_of<'a>(signal: &Signal, labels: &'a Labels) -> Result<&'a String, Unbound> {
    labels.get(&signal.service).ok_or_else(|| Unbound {
        written: 0,
        message: format!("signal `{}` needs its label `{}`", signal.name, signal.service),
        hint: format!("write `{{{}=\"…\"}}`: it names the service", signal.service),
    })
}

/// The labels that a signal declares, that of the service first.
fn kept(signal: &Signal) -> Vec<&str> {
    let named = [Some(&signal.service), signal.peer.as_ref(), signal.dependency.as_ref()];
    named.into_iter().flatten().chain(&signal.split).map(String::as_str).collect()
}

/// Finds what each service of a signal has as traffic.
fn floors(
    signal: &Signal,
    signals: &[Signal],
    all: &[Written],
    bound: &mut Bound,
    used: &mut BTreeSet<usize>,
) {
    let Some(floor) = &signal.min_traffic else { return };
    // A signal with the very query is measured already; its results need no second list.
    let same = signals.iter().find(|other| other.query == floor.query);
    let measured: Vec<(usize, &Written)> =
        results((RESULT, same.map_or("", |same| same.name.as_str())), &floor.query, all).collect();
    let of_signal = |(_, series): &&(usize, Arc<Series>)| series.signal == signal.name;
    let services: BTreeSet<String> =
        bound.samples.iter().filter(of_signal).map(|(_, s)| s.service.clone()).collect();
    for service in services {
        let by: Vec<usize> = measured
            .iter()
            .filter(|(_, written)| written.labels.get(&signal.service) == Some(&service))
            .map(|(place, _)| *place)
            .collect();
        used.extend(&by);
        let series = Series::new(&signal.name, &service, None, None, Labels::new());
        let series = Arc::new(series);
        let at_least = floor.at_least;
        let made = |by| Floor { series: series.clone(), by, at_least };
        if by.is_empty() {
            bound.floors.push(made(None));
        } else {
            bound.floors.extend(by.into_iter().map(|by| made(Some(by))));
        }
    }
}

/// Finds what answers questions about the values of a signal's labels; returns what cannot.
fn parts(
    signal: &Signal,
    all: &[Written],
    bound: &mut Bound,
    used: &mut BTreeSet<usize>,
) -> Vec<Unbound> {
    let mut problems = Vec::new();
    for (label, query) in signal.breakdown.iter().flat_map(by_label) {
        for (written, series) in results((PART, &signal.name), &query, all) {
            let value = series.labels.get(label);
            // Listed results do not say which query they are of; their label does.
            if value.is_none() && series.name.starts_with(PART) {
                continue;
            }
            used.insert(written);
            let service = match service_of(signal, &series.labels) {
                Ok(service) => service.clone(),
                Err(problem) => {
                    problems.push(Unbound { written, ..problem });
                    continue;
                }
            };
            let part = Part { service, value: value.cloned().unwrap_or_default(), written };
            bound.parts.entry((signal.name.clone(), label.clone())).or_default().push(part);
        }
    }
    problems
}

/// The query of each label.
fn by_label(breakdown: &Breakdown) -> impl Iterator<Item = (&String, String)> {
    let filled = |label: &String| breakdown.query.replace(LABEL_PLACEHOLDER, label);
    breakdown.by.iter().map(move |label| (label, filled(label)))
}

/// A series that no signal sees.
fn stranger(signals: &[Signal], all: &[Written], written: usize) -> Unbound {
    let name = &all[written].name;
    let of_signal = |signal: &Signal| {
        let parts = signal.breakdown.iter().flat_map(by_label);
        let parts = parts.map(|(_, query)| (query, format!("{PART}{}", signal.name)));
        let own = (signal.query.clone(), format!("{RESULT}{}", signal.name));
        std::iter::once(own).chain(parts).collect::<Vec<_>>()
    };
    // What a series of each query is called: by its metric, or listed.
    let known: Vec<(bool, String)> = signals
        .iter()
        .flat_map(of_signal)
        .map(|(query, listed)| match Selector::parse(&query) {
            Ok(selector) => (true, selector.metric().to_owned()),
            Err(_) => (false, listed),
        })
        .collect();
    if known.iter().any(|(selected, known)| *selected && known == name) {
        return Unbound {
            written,
            message: "the signals that read this metric do not select these labels".to_owned(),
            hint: "compare it with their queries".to_owned(),
        };
    }
    if known.iter().any(|(_, known)| known == name) {
        return Unbound {
            written,
            message: "it has none of the labels that the signal is broken down by".to_owned(),
            hint: "write the label that its value belongs to".to_owned(),
        };
    }
    let known: Vec<String> = known.into_iter().map(|(_, known)| known).collect();
    let hint = did_you_mean(name, known.iter().map(String::as_str), "series can be called");
    Unbound {
        written,
        message: format!("no signal reads {}", quoted(name)),
        hint: hint.unwrap_or_else(|| "the rules of this test have no signal".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{MinTraffic, Role};

    fn written(text: &str) -> Written {
        let (name, labels) = crate::selector::series_name(text).unwrap();
        Written { text: text.to_owned(), name, labels, items: Vec::new(), at: 0..0 }
    }

    fn signals() -> Vec<Signal> {
        let floor = |query: &str| Some(MinTraffic { query: query.to_owned(), at_least: 1.0 });
        vec![
            Signal {
                query: "rate(requests[5m])".to_owned(),
                ..Signal::plain("requests", Role::Traffic)
            },
            Signal {
                query: "max(p99)".to_owned(),
                peer: Some("instance".to_owned()),
                min_traffic: floor("rate(requests[5m])"),
                ..Signal::plain("p99", Role::Latency)
            },
            Signal {
                query: "errors{job=\"web\"}".to_owned(),
                min_traffic: floor("traffic"),
                ..Signal::plain("errors", Role::Errors)
            },
        ]
    }

    /// Work by tenant and route, once of a plain selector and once of another query.
    fn divided() -> Vec<Signal> {
        let by = || vec!["tenant".to_owned(), "route".to_owned()];
        let divided = |name: &str, query: &str| Signal {
            breakdown: Some(Breakdown { by: by(), query: query.to_owned() }),
            ..Signal::plain(name, Role::Traffic)
        };
        vec![
            divided("work", "work_by_{{label}}"),
            divided("http", "sum by (service, {{label}}) (rate(requests[5m]))"),
        ]
    }

    #[test]
    fn parts_are_found_by_signal_and_label() {
        let all = [
            written(r#"work_by_tenant{service="web",tenant="acme"}"#),
            written(r#"work_by_tenant{service="web"}"#),
            written(r#"work_by_route{service="web",route="/pay"}"#),
            written(r#"breakdown:http{service="api",tenant="acme"}"#),
        ];
        let bound = bind(&divided(), &all).unwrap();
        let parts = bound.parts.iter().flat_map(|((signal, label), parts)| {
            let told =
                |p: &Part| format!("{signal} {label} {} {}={}", p.service, p.written, p.value);
            parts.iter().map(told).collect::<Vec<_>>()
        });
        let expected = [
            "http tenant api 3=acme",
            "work route web 2=/pay",
            "work tenant web 0=acme",
            "work tenant web 1=",
        ];
        assert_eq!(parts.collect::<Vec<_>>(), expected);
        assert_eq!(bound.samples.len(), 0, "they are no signals' values");
    }

    #[test]
    fn parts_that_no_question_is_about_are_told() {
        let told = |text: &str| {
            let problems = bind(&divided(), &[written(text)]).unwrap_err();
            problems.iter().map(|p| format!("{} ({})", p.message, p.hint)).collect::<Vec<_>>()
        };
        for (text, expected) in [
            (
                r#"work_by_tenant{tenant="acme"}"#,
                "signal `work` needs its label `service` (write `{service=\"…\"}`: it names the service)",
            ),
            (
                r#"breakdown:http{service="web",zone="a"}"#,
                "it has none of the labels that the signal is broken down by (write the label that its value belongs to)",
            ),
            (
                r#"breakdown:htp{service="web",tenant="a"}"#,
                "no signal reads `breakdown:htp` (did you mean `breakdown:http`?)",
            ),
        ] {
            assert_eq!(told(text), [expected]);
        }
    }

    fn told(texts: &[&str]) -> Vec<String> {
        let all: Vec<Written> = texts.iter().map(|text| written(text)).collect();
        let problems = bind(&signals(), &all).unwrap_err();
        problems.iter().map(|p| format!("{} {} ({})", p.written, p.message, p.hint)).collect()
    }

    #[test]
    fn selectors_and_listed_results_find_their_signals() {
        let all = [
            written(r#"signal:p99{service="web",instance="a",zone="x"}"#),
            written(r#"signal:requests{service="web"}"#),
            written(r#"errors{service="web",job="web"}"#),
            written(r#"errors{service="api",job="web"}"#),
            written(r#"traffic{service="web"}"#),
        ];
        let bound = bind(&signals(), &all).unwrap();
        let samples: Vec<String> =
            bound.samples.iter().map(|(place, series)| format!("{place} {series}")).collect();
        assert_eq!(
            samples,
            [
                r#"1 requests{service="web"}"#,
                r#"0 p99{service="web",instance="a"}"#,
                r#"2 errors{service="web"}"#,
                r#"3 errors{service="api"}"#,
            ]
        );
        let floors: Vec<_> = bound.floors.iter().map(|f| (f.series.to_string(), f.by)).collect();
        let floor = |text: &str, by| (text.to_owned(), by);
        assert_eq!(
            floors,
            [
                floor(r#"p99{service="web"}"#, Some(1)),
                floor(r#"errors{service="api"}"#, None),
                floor(r#"errors{service="web"}"#, Some(4)),
            ]
        );
    }

    #[test]
    fn what_no_signal_sees_is_told_with_the_nearest() {
        assert_eq!(
            told(&[
                r#"signal:p9{service="web"}"#,
                r#"error{service="web"}"#,
                r#"errors{service="web"}"#,
                r#"signal:p99{instance="a"}"#,
                r#"signal:requests{service="web"}"#,
                r#"signal:requests{service="web",zone="b"}"#,
            ]),
            [
                "0 no signal reads `signal:p9` (did you mean `signal:p99`?)",
                "1 no signal reads `error` (did you mean `errors`?)",
                "2 the signals that read this metric do not select these labels (compare it with their queries)",
                "3 signal `p99` needs its label `service` (write `{service=\"…\"}`: it names the service)",
                "5 it is the same as `signal:requests{service=\"web\"}` to signal `requests` (the signal keeps apart by service)",
            ]
        );
    }
}
