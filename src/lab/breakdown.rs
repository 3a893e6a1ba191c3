//! Requests, failures and time by tenant and by route: what is asked for when an incident needs
//! to know whether one value of a label stands behind it.
//!
//! These series are many and no signal watches them. They are recorded every five minutes, served
//! like all others, and kept in a [`Ledger`] for runs that have no backend to ask.

use std::collections::VecDeque;

use super::blueprint::{SPECS, Service};
use super::fleet::Fleet;
use super::noise::Dice;
use super::pressure::Pressure;
use super::tenants::{HANDLERS, PAGES, TENANTS, Tenants};
use super::{LabSeries, Scrape};
use crate::engine::breakdown::{Sums, Windows};
use crate::rules::Rules;
use crate::selector::Selector;
use crate::series::{Answer, LabelValue, Labels, Question};
use crate::time::{Span, Timestamp};

/// Time between two records.
pub const EVERY: Span = Span::from_mins(5);
/// What a [`Ledger`] keeps by default: the same hours of the day before, for an incident that
/// began up to a day ago.
pub const KEPT: Span = Span::from_hours(50);

/// The services that know whose requests they serve.
const SERVICES: [Service; 2] = [Service::Web, Service::Checkout];
/// The metrics by tenant and by route: requests, failures, and seconds spent, all per second.
const METRICS: [[&str; 2]; 3] = [
    ["lab_requests_by_tenant", "lab_requests_by_route"],
    ["lab_errors_by_tenant", "lab_errors_by_route"],
    ["lab_seconds_by_tenant", "lab_seconds_by_route"],
];

/// Every such series: by metric, service, and value, as [`Exporter::record`] numbers them.
fn every_series() -> Vec<LabSeries> {
    let mut all = Vec::new();
    let mut add = |metric, service: Service, (label, value): (&str, String)| {
        let service = SPECS[service as usize].name.to_owned();
        let pairs = [("service", service), (label, value)];
        let labels: Labels = pairs.map(|(label, value)| (label.to_owned(), value)).into();
        all.push(LabSeries { metric, labels });
    };
    for [by_tenant, by_route] in METRICS {
        for service in SERVICES {
            for tenant in 0..TENANTS {
                add(by_tenant, service, ("tenant", Tenants::name(tenant)));
            }
        }
        for service in SERVICES {
            let routes = if service == Service::Web { PAGES } else { HANDLERS };
            for (route, _) in routes {
                add(by_route, service, ("route", route.to_owned()));
            }
        }
    }
    all
}

/// Shows them, with the noise of counting.
#[derive(Clone, Debug)]
pub(super) struct Exporter {
    dice: Dice,
    next: Timestamp,
}

impl Exporter {
    pub(super) fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed, 7), next: Timestamp::from_millis(i64::MIN) }
    }

    /// The values at `now` in the order of the series; nothing before five minutes have passed.
    pub(super) fn record(
        &mut self,
        now: Timestamp,
        fleet: &Fleet,
        pressure: &Pressure,
    ) -> Vec<f64> {
        if now < self.next {
            return Vec::new();
        }
        self.next = now.floor_to(EVERY) + EVERY;
        let window = EVERY.as_secs_f64();
        let [web, checkout] = SERVICES.map(|service| fleet.parts(service, pressure));
        let parts = [web.0, checkout.0, web.1, checkout.1].concat();
        let mut values = Vec::with_capacity(METRICS.len() * parts.len());
        values.extend(parts.iter().map(|part| self.dice.count(part.requests * window) / window));
        values.extend(parts.iter().map(|part| self.dice.count(part.errors * window) / window));
        // The time of n requests is as exact as their number.
        values.extend(parts.iter().map(|part| {
            let noise = self.dice.normal() / (part.requests * window).max(1.0).sqrt();
            part.seconds * (1.0 + noise).max(0.0)
        }));
        values
    }
}

/// The newest records.
#[derive(Clone, Debug)]
pub struct Ledger {
    series: Vec<LabSeries>,
    kept: Span,
    rows: VecDeque<(Timestamp, Vec<f64>)>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Ledger {
    /// An empty one that forgets what is older than `kept` when newer comes in.
    pub fn keeping(kept: Span) -> Self {
        Self { series: every_series(), kept, rows: VecDeque::new() }
    }

    /// Takes in a scrape. One that is not later than the last, or has no record, is ignored.
    pub fn push(&mut self, scrape: &Scrape) {
        let late = self.rows.back().is_some_and(|(newest, _)| scrape.at <= *newest);
        if late || scrape.parts.len() != self.series.len() {
            return;
        }
        self.rows.push_back((scrape.at, scrape.parts.clone()));
        while self.rows.front().is_some_and(|(oldest, _)| *oldest + self.kept <= scrape.at) {
            self.rows.pop_front();
        }
    }

    /// Every series.
    pub fn series(&self) -> &[LabSeries] {
        &self.series
    }

    /// The values of a series, oldest first.
    pub fn values(&self, series: usize) -> impl Iterator<Item = (Timestamp, f64)> {
        self.rows.iter().filter_map(move |(at, row)| Some((*at, *row.get(series)?)))
    }

    /// The latest value of a series in (`at` − `lookback`, `at`].
    pub fn latest(&self, series: usize, at: Timestamp, lookback: Span) -> Option<f64> {
        let after = self.rows.partition_point(|(row, _)| *row <= at);
        let (row, values) = self.rows.get(after.checked_sub(1)?)?;
        (at - *row < lookback).then(|| values.get(series).copied()).flatten()
    }

    /// What a backend would answer.
    pub fn answer(&self, rules: &Rules, question: &Question) -> Answer {
        Answer { question: question.clone(), values: self.compare(rules, question) }
    }

    fn compare(&self, rules: &Rules, asked: &Question) -> Result<Vec<LabelValue>, String> {
        let signal = rules.signal(&asked.signal);
        let signal = signal.ok_or_else(|| format!("there is no signal `{}`", asked.signal))?;
        let breakdown = signal.breakdown.as_ref().filter(|b| b.by.contains(&asked.label));
        let breakdown = breakdown
            .ok_or_else(|| format!("`{}` is not broken down by `{}`", asked.signal, asked.label))?;
        let query = breakdown.query.replace("{{label}}", &asked.label);
        let selector = Selector::parse(&query).map_err(|error| error.to_string())?;
        let mut sums = None;
        for (index, series) in self.series.iter().enumerate() {
            let ours = series.labels.get(&signal.service) == Some(&asked.service);
            let Some(value) = series.labels.get(&asked.label) else { continue };
            if !ours || !selector.matches(series.metric, &series.labels) {
                continue;
            }
            let sums = sums.get_or_insert_with(|| Sums::of(signal, Windows::of(asked)));
            sums.add(value, self.values(index));
        }
        let sums = sums.ok_or_else(|| format!("`{query}` has no series of `{}`", asked.service))?;
        Ok(sums.values())
    }
}

#[cfg(test)]
#[path = "breakdown_tests.rs"]
mod tests;
