//! A small world that is fed to the engine by hand: series with a day's season, noise, and
//! whatever a test does to them.

use std::sync::Arc;

use grayflag::engine::alert::NamedCause;
use grayflag::engine::diagnose::View;
use grayflag::engine::{Engine, Settings};
use grayflag::rules::{Cause, Evidence, MinEffect, Role, Rules, See, Signal, Steps};
use grayflag::series::{Batch, Labels, Sample, Series};
use grayflag::time::{Span, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

const BLOCK: Span = Span::from_mins(5);
const HISTORY: Span = Span::from_hours(24 * 15);

/// What a test does to a series: by signal and label value, hours since the trouble began and
/// the service's traffic, a factor; none: it is not there.
pub(crate) type Fate<'a> = &'a dyn Fn(&str, &str, f64, f64) -> Option<f64>;

/// Series of one service, `shop`, and its engine.
pub(crate) struct World {
    engine: Engine,
    series: Vec<(Role, Arc<Series>)>,
    rng: ChaCha8Rng,
    noise: Vec<f64>,
}

/// A cause with one piece of evidence.
pub(crate) fn cause(see: See) -> Cause {
    Cause {
        id: "suspect".to_owned(),
        title: "Suspect".to_owned(),
        explain: String::new(),
        prior: 0.3,
        evidence: vec![Evidence { see, likely: 0.9, otherwise: 0.1 }],
        steps: Steps::default(),
    }
}

/// The smallest move that matters, in the signal's own unit: fifteen refusals a block.
fn smallest(role: Role) -> f64 {
    if role == Role::Throttled { 0.05 } else { 0.0 }
}

/// What is counted in calls, so that some can be held against all.
fn is_calls(role: Role) -> bool {
    matches!(role, Role::Attempts | Role::Retries)
}

/// Midday: traffic is past its peak and far from midnight.
pub(crate) fn start() -> Timestamp {
    "2026-03-04T09:00:00Z".parse().unwrap()
}

impl World {
    /// Signals as (role, label, values): the label is a peer where it is called `instance`, a
    /// dependency where it is called `dependency`, and both where it is called `on`: `v1 a` is
    /// the peer `v1 a` of the version `v1`.
    pub(crate) fn new(signals: &[(Role, &str, &[&str])], see: See) -> Self {
        let (mut all, mut series) = (Vec::new(), Vec::new());
        for (role, label, values) in signals {
            let own = |name: &str| (*label == name).then(|| name.to_owned());
            all.push(Signal {
                peer: own("instance").or_else(|| own("on")),
                dependency: own("dependency"),
                split: own("version")
                    .or_else(|| own("on").map(|_| "version".to_owned()))
                    .into_iter()
                    .collect(),
                min_effect: MinEffect { relative: 0.05, absolute: smallest(*role) },
                unit: is_calls(*role).then(|| "per second".to_owned()),
                ..Signal::plain(role.name(), *role)
            });
            for &value in *values {
                let mut labels = Labels::new();
                let (label, told) = match (*label, value.split_once(' ')) {
                    ("on", Some((version, _))) => ("version", version),
                    (label, _) => (label, value),
                };
                if !label.is_empty() {
                    labels.insert(label.to_owned(), told.to_owned());
                }
                let of = |name: &str| own(name).map(|_| value.to_owned());
                let (peer, dependency) = (of("instance").or_else(|| of("on")), of("dependency"));
                let one = Series::new(role.name(), "shop", peer, dependency, labels);
                series.push((*role, Arc::new(one)));
            }
        }
        let rules = Rules { signals: all, causes: vec![cause(see)], ..Rules::default() };
        let settings = Settings {
            interval: BLOCK,
            history: HISTORY,
            timezone: jiff::tz::TimeZone::UTC,
            alerts_from: start() - Span::HOUR,
            pages_url: None,
            source_url: None,
        };
        let noise = vec![0.0; series.len()];
        let engine = Engine::new(Arc::new(rules), settings);
        Self { engine, series, rng: ChaCha8Rng::seed_from_u64(7), noise }
    }

    /// Lives from the beginning of history until so many hours after the trouble began.
    pub(crate) fn live(mut self, hours: i64, fate: Fate<'_>) -> Self {
        let mut at = start() - HISTORY;
        while at < start() + Span::from_hours(hours) {
            let batch = self.batch(at, fate);
            let _ = self.engine.step(at, &batch);
            at = at + BLOCK;
        }
        self
    }

    fn batch(&mut self, at: Timestamp, fate: Fate<'_>) -> Batch {
        let mut batch = Batch { span: BLOCK, ..Batch::default() };
        let season = (at.as_secs_f64() / 86_400.0 * std::f64::consts::TAU).sin();
        let hours = (at - start()).as_hours_f64();
        let mut load = 100.0;
        for ((role, series), noise) in self.series.iter().zip(&mut self.noise) {
            *noise = 0.6 * *noise + 0.8 * self.rng.sample::<f64, _>(StandardNormal);
            let label = series.labels.values().next().map_or("", String::as_str);
            let label = series.peer.as_deref().unwrap_or(label);
            let Some(factor) = fate(role.name(), label, hours, load) else { continue };
            let usual = match role {
                Role::Traffic => 100.0 * (0.4 * season + 0.03 * *noise).exp(),
                Role::Version | Role::Throttled => 1.0,
                _ => 20.0 * (0.04 * *noise).exp(),
            };
            if *role == Role::Traffic {
                load = usual * factor;
            }
            batch.samples.push(Sample { series: series.clone(), value: usual * factor });
        }
        batch
    }

    /// Whether the evidence is seen now, from inside the service, and what the alert says.
    pub(crate) fn looks(&self) -> (Option<bool>, NamedCause) {
        let open = self.engine.incidents().last().expect("the trouble is an incident");
        let looks = self.engine.looks(&open.id);
        let own = looks.iter().find(|looks| looks.view == View::Inside).unwrap();
        let named = open.diagnosis.causes.iter().find(|cause| cause.id == "suspect").unwrap();
        (own.seen[0], named.clone())
    }
}
