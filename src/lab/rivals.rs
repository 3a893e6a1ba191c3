//! What people run today instead, judged over the same recorded metrics: a static threshold, and
//! the multi-window, multi-burn-rate alert of the SRE workbook.
//!
//! Both get every sample that grayflag gets, at every scrape, evaluated as Prometheus evaluates
//! alerting rules: an instant's value is the latest sample of the last five minutes, and `for`
//! counts from the first evaluation that was true, without a break.

use std::fmt;

use super::endpoint::LOOKBACK;
use super::{ERRORS_OBJECTIVE, History, LATENCY_OBJECTIVE, LabSeries, MAIL_OBJECTIVE};
use crate::format;
use crate::time::{Span, Timestamp};

/// Share of web's requests that may fail: its objective is 99.9 % success.
pub const ERROR_BUDGET: f64 = 0.001;
/// How long a threshold must be exceeded before it alerts.
pub const THRESHOLD_FOR: Span = Span::from_mins(5);
/// What the recorded shares and rates already look back over.
const RECORDED: Span = Span::from_mins(5);

/// A long window tells that it matters, a short one that it still goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurnRule {
    /// How many times faster than allowed the budget burns.
    pub rate: f64,
    /// Over this time,
    pub long: Span,
    /// and over this one.
    pub short: Span,
}

/// The windows that the workbook recommends for a budget of 30 days: B. Beyer et al. (2018), The
/// Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts".
pub const BURN_RULES: [BurnRule; 4] = [
    BurnRule { rate: 14.4, long: Span::from_hours(1), short: Span::from_mins(5) },
    BurnRule { rate: 6.0, long: Span::from_hours(6), short: Span::from_mins(30) },
    BurnRule { rate: 3.0, long: Span::DAY, short: Span::from_hours(2) },
    BurnRule { rate: 1.0, long: Span::from_hours(72), short: Span::from_hours(6) },
];

/// What made a rival speak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// The p99 latency of an instance of web is over the objective.
    Latency,
    /// Too large a share of web's requests fails.
    Errors,
    /// A mail has waited for too long.
    QueueAge,
    /// The error budget of web burns too fast.
    Burn(BurnRule),
}

/// A stretch of time for which a rival's alert was firing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Firing {
    /// Why.
    pub reason: Reason,
    /// The first evaluation at which it fired.
    pub from: Timestamp,
    /// The first evaluation at which it no longer did; none if it fires at the end.
    pub until: Option<Timestamp>,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency => {
                write!(f, "p99 of web over {LATENCY_OBJECTIVE} s for {THRESHOLD_FOR}")
            }
            Self::Errors => {
                let limit = format::share(ERRORS_OBJECTIVE);
                write!(f, "over {limit} of web's requests failed for {THRESHOLD_FOR}")
            }
            Self::QueueAge => {
                let limit = format::value(MAIL_OBJECTIVE, Some("seconds"));
                write!(f, "a mail has waited for over {limit}")
            }
            Self::Burn(BurnRule { rate, long, short }) => {
                write!(
                    f,
                    "web burns its error budget {rate} times too fast over {long} and {short}"
                )
            }
        }
    }
}

/// When static thresholds on what users feel would have fired, in order of time: web's p99 latency
/// of any instance, web's failed share, and the age of the mail queue, which needs no `for` since
/// its limit is a wait already.
///
/// # Cost
///
/// O(rows) per series.
pub fn threshold(history: &History) -> Vec<Firing> {
    let rules = [
        (Reason::Latency, "lab_latency_p99", "web", LATENCY_OBJECTIVE, THRESHOLD_FOR),
        (Reason::Errors, "lab_errors", "web", ERRORS_OBJECTIVE, THRESHOLD_FOR),
        (Reason::QueueAge, "lab_queue_age", "worker", MAIL_OBJECTIVE, Span::ZERO),
    ];
    let mut firings = Vec::new();
    for (reason, metric, service, limit, wait) in rules {
        for index in select(history, metric, service) {
            let exceeded = |row: usize| {
                history.latest(index, history.at(row), LOOKBACK).is_some_and(|value| limit < value)
            };
            firings.extend(stretches(history, reason, wait, exceeded));
        }
    }
    sorted(firings)
}

/// When the multi-window, multi-burn-rate alert for web would have fired, in order of time.
///
/// The share over a window is failed requests over requests, both from the recorded five-minute
/// rates. While the record is shorter than a window, the window is the record, as in Prometheus.
///
/// # Cost
///
/// O(rows).
pub fn burn_rate(history: &History) -> Vec<Firing> {
    let Some(sums) = Sums::new(history) else { return Vec::new() };
    let mut firings = Vec::new();
    for rule in BURN_RULES {
        let burns = |row: usize| {
            [rule.long, rule.short].into_iter().all(|window| {
                sums.share(row, window).is_some_and(|share| rule.rate * ERROR_BUDGET < share)
            })
        };
        firings.extend(stretches(history, Reason::Burn(rule), Span::ZERO, burns));
    }
    sorted(firings)
}

/// Failed and all requests up to each row, so that any window costs two subtractions.
struct Sums {
    step: Span,
    /// One more than there are rows; the first is zero.
    totals: Vec<[f64; 2]>,
}

impl Sums {
    fn new(history: &History) -> Option<Self> {
        let errors = select(history, "lab_errors", "web").next()?;
        let traffic = select(history, "lab_traffic", "web").next()?;
        let mut totals = vec![[0.0; 2]];
        let mut sum = [0.0; 2];
        for row in 0..history.rows() {
            // A missed scrape is missing on both sides of the ratio.
            if let (Some(share), Some(rate)) =
                (history.value(errors, row), history.value(traffic, row))
            {
                sum = [sum[0] + share * rate, sum[1] + rate];
            }
            totals.push(sum);
        }
        Some(Self { step: history.step(), totals })
    }

    /// Failed share of the requests in the window that ends at `row`. A sample stands for the
    /// five minutes before it, so the first one needed lies that much inside the window.
    fn share(&self, row: usize, window: Span) -> Option<f64> {
        let back = (window.as_millis() - RECORDED.as_millis()) / self.step.as_millis();
        let first = row.saturating_sub(usize::try_from(back).unwrap_or(0));
        let (from, to) = (self.totals.get(first)?, self.totals.get(row + 1)?);
        let requests = to[1] - from[1];
        (requests > 0.0).then(|| (to[0] - from[0]) / requests)
    }
}

fn select<'a>(
    history: &'a History,
    metric: &'a str,
    service: &'a str,
) -> impl Iterator<Item = usize> + 'a {
    let wanted = move |series: &LabSeries| {
        series.metric == metric && series.labels.get("service").is_some_and(|s| s == service)
    };
    let all = history.series().iter().enumerate();
    all.filter(move |(_, series)| wanted(series)).map(|(index, _)| index)
}

/// Where `is_true` held for at least `wait`, as an alerting rule with that `for` fires.
fn stretches(
    history: &History,
    reason: Reason,
    wait: Span,
    is_true: impl Fn(usize) -> bool,
) -> Vec<Firing> {
    let mut firings: Vec<Firing> = Vec::new();
    let (mut since, mut firing) = (None, false);
    for row in 0..history.rows() {
        let now = history.at(row);
        if is_true(row) {
            let began = *since.get_or_insert(now);
            if !firing && wait <= now - began {
                firing = true;
                firings.push(Firing { reason, from: now, until: None });
            }
        } else {
            if let Some(last) = firings.last_mut().filter(|_| firing) {
                last.until = Some(now);
            }
            (since, firing) = (None, false);
        }
    }
    firings
}

fn sorted(mut firings: Vec<Firing>) -> Vec<Firing> {
    // Stable: at the same instant the rules keep their order.
    firings.sort_by_key(|firing| firing.from);
    firings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Scrape;
    use crate::series::Labels;

    /// A minute-by-minute record of web: latency, failed share, and a traffic of 100 per second.
    fn record(minutes: i64, values: impl Fn(i64) -> Option<(f64, f64)>) -> History {
        let web = Labels::from([("service".to_owned(), "web".to_owned())]);
        let series = ["lab_latency_p99", "lab_errors", "lab_traffic"]
            .map(|metric| LabSeries { metric, labels: web.clone() });
        let mut history = History::new(at(0), Span::MINUTE);
        for minute in 0..minutes {
            let samples = values(minute)
                .map(|(latency, errors)| vec![(0, latency), (1, errors), (2, 100.0)])
                .unwrap_or_default();
            history.push(&series, &Scrape { at: at(minute), samples, parts: Vec::new() });
        }
        history
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(minute * 60)
    }

    #[test]
    fn a_threshold_fires_after_its_wait_and_a_break_starts_the_wait_anew() {
        let slow = |minute| match minute {
            10..=13 | 15..=22 => 1.3,
            _ => 1.2,
        };
        let fired = threshold(&record(40, |minute| Some((slow(minute), 0.0))));
        let expected = Firing { reason: Reason::Latency, from: at(20), until: Some(at(23)) };
        assert_eq!(fired, [expected], "not for the four minutes, nor for 1.2 s exactly");
        let failing = record(40, |minute| Some((0.1, if minute < 30 { 0.0 } else { 0.03 })));
        let expected = Firing { reason: Reason::Errors, from: at(35), until: None };
        assert_eq!(threshold(&failing), [expected]);
    }

    #[test]
    fn a_missed_scrape_does_not_break_a_wait_and_a_long_gap_does() {
        let gap = |missing: std::ops::Range<i64>| {
            let seen = move |minute| (!missing.contains(&minute)).then_some((2.0, 0.0));
            threshold(&record(30, seen)).into_iter().map(|firing| firing.from).collect::<Vec<_>>()
        };
        assert_eq!(gap(3..4), [at(5)]);
        // The sample of minute 0 counts until minute 4; the wait begins anew at minute 9.
        assert_eq!(gap(1..9), [at(14)]);
    }

    #[test]
    fn a_mail_that_waits_too_long_is_told_at_once() {
        let labels = Labels::from([("service".to_owned(), "worker".to_owned())]);
        let series = [LabSeries { metric: "lab_queue_age", labels }];
        let mut history = History::new(at(0), Span::MINUTE);
        for minute in 0..20_i32 {
            let samples = vec![(0, f64::from(minute) * 100.0)];
            history.push(&series, &Scrape { at: at(minute.into()), samples, parts: Vec::new() });
        }
        let expected = Firing { reason: Reason::QueueAge, from: at(10), until: None };
        assert_eq!(threshold(&history), [expected]);
    }

    #[test]
    fn each_burn_rule_fires_when_both_its_windows_are_beyond_its_rate() {
        // An outage of 2 % for three hours after four clean days: 20 times the budget.
        let start = 4 * 1_440;
        let failing = |minute| if (start..start + 180).contains(&minute) { 0.02 } else { 0.0 };
        let fired = burn_rate(&record(start + 600, |minute| Some((0.1, failing(minute)))));
        // 0.0144 of the 56 samples of an hour, and of all 5 minutes: 56 · 0.72 = 40.3 samples.
        let fast = fired[0];
        assert_eq!(fast.reason, Reason::Burn(BURN_RULES[0]));
        assert_eq!(fast.from, at(start + 40));
        assert_eq!(fast.until, Some(at(start + 180)), "the short window ends it at once");
        // One times the budget over three days: 4,316 samples · 0.001 / 0.02 = 215.8, never in
        // three hours; six times over six hours: 356 · 0.3 = 106.8 samples; three times over a
        // day: 1,436 · 0.15 = 215.4, never.
        let others: Vec<_> = fired.iter().filter(|f| f.reason != fast.reason).collect();
        assert_eq!(others.len(), 1, "{others:?}");
        assert_eq!(others[0].reason, Reason::Burn(BURN_RULES[1]));
        assert_eq!(others[0].from, at(start + 106));
    }

    #[test]
    fn what_is_within_the_budget_burns_nothing() {
        assert_eq!(burn_rate(&record(6 * 1_440, |_| Some((0.1, 0.000_9)))), []);
        assert_eq!(burn_rate(&History::new(at(0), Span::MINUTE)), []);
    }
}
