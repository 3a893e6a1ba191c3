//! Many weak signals of one service become two numbers (METHODS 2.7): A, the strongest single
//! score, and G, which grows when several families move a little together.

use std::collections::BTreeMap;

use crate::rules::Role;
use crate::series::Labels;
use crate::stats::combine::g_statistic;
use crate::stats::ewma::SCALES;

/// Two numbers per service and block.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Statistic {
    /// Largest score of any family at any scale.
    pub a: f64,
    /// `sqrt(2 S)`, S the largest Xie–Siegmund mixture over the scales.
    pub g: f64,
}

/// What several signals measure together: a role, the labels that keep its series apart, and a
/// name for signals whose role says nothing.
pub type Family<'a> = (Role, &'a Labels, &'a str);

/// Collects scores by family: within one, only the worst counts.
#[derive(Debug)]
pub struct Families<'a> {
    worst: BTreeMap<Family<'a>, [f64; SCALES]>,
}

impl<'a> Families<'a> {
    /// No votes yet.
    pub fn new() -> Self {
        Self { worst: BTreeMap::new() }
    }

    /// Adds one series' vote.
    pub fn vote(&mut self, family: Family<'a>, scores: [f64; SCALES]) {
        let worst = self.worst.entry(family).or_insert([f64::NEG_INFINITY; SCALES]);
        for (worst, score) in worst.iter_mut().zip(scores) {
            *worst = worst.max(score);
        }
    }

    /// How many families have voted.
    pub fn len(&self) -> usize {
        self.worst.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.worst.is_empty()
    }

    /// The service's statistic; none without votes.
    pub fn statistic(&self) -> Option<Statistic> {
        let votes: Vec<[f64; SCALES]> = self.worst.values().copied().collect();
        if votes.is_empty() {
            return None;
        }
        let a = votes.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(Statistic { a, g: g_statistic(&votes) })
    }
}

impl Default for Families<'_> {
    fn default() -> Self {
        Self::new()
    }
}
