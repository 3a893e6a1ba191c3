//! The data that detectors are judged on, as block values per service and series.

use std::sync::Arc;

use grayflag::lab::synthetic::{self, Kind};
use grayflag::rules::{Role, Rules, Scale, Signal, Worse};

/// Blocks of five minutes in a week.
pub(crate) const WEEK: usize = 2_016;

/// One service.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    /// Block values of each of its series, in order of the set's signals; NaN is missing.
    pub(crate) series: Vec<Vec<f64>>,
    /// Blocks in which an alarm is no false one: labelled incidents, with three hours around.
    pub(crate) excused: Vec<(usize, usize)>,
}

impl Subject {
    /// Whether an alarm in this block is no false one.
    pub(crate) fn is_excused(&self, block: usize) -> bool {
        is_within(&self.excused, block)
    }
}

/// Whether a block lies in one of these stretches, which hold their last one.
pub(crate) fn is_within(stretches: &[(usize, usize)], block: usize) -> bool {
    stretches.iter().any(|&(first, last)| (first..=last).contains(&block))
}

/// Services that are judged together.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) signals: Vec<Signal>,
    pub(crate) subjects: Vec<Subject>,
    /// Blocks to learn from before the first that may alert.
    pub(crate) learn: usize,
}

impl Set {
    pub(crate) fn rules(&self, notices_per_week: f64) -> Arc<Rules> {
        let mut rules = Rules { signals: self.signals.clone(), ..Rules::default() };
        rules.budget.notices_per_week = notices_per_week;
        rules.budget.alerts_per_week = notices_per_week / 4.0;
        Arc::new(rules)
    }
}

/// A signal that has no meaning but its numbers.
pub(crate) fn plain_signal(name: &str, worse: Worse, scale: Scale) -> Signal {
    Signal { worse, scale, ..Signal::plain(name, Role::Custom) }
}

/// Simulated services of `width` independent series each.
pub(crate) fn synthetic(kind: Kind, seed: u64, services: u64, width: u64, weeks: usize) -> Set {
    let learn = 4;
    let subject = |service: u64| {
        let series = (0..width)
            .map(|i| seed * 10_000 + service * 100 + i)
            .map(|seed| synthetic::blocks(&synthetic::minutes(kind, seed, learn + weeks, learn)));
        let name = format!("service-{service:02}");
        Subject { name, series: series.collect(), excused: Vec::new() }
    };
    Set {
        name: kind.name.to_owned(),
        signals: (0..width)
            .map(|i| plain_signal(&format!("signal-{i:02}"), Worse::Up, Scale::Linear))
            .collect(),
        subjects: (0..services).map(subject).collect(),
        learn: learn * WEEK,
    }
}
