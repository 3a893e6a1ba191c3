//! Rule tests: files that say which series there are and which alerts must come of them, and only
//! these. A driver of the same engine step as `replay`, with written series in place of a backend.
//!
//! `parse` reads a file, `notation` and `generate` make values of what it writes, `bind` gives them
//! to signals, `run` drives one seed, `judge` compares what was told with what was expected, and
//! `tell` says how near it was and what the engine saw.

use std::ops::Range;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::engine::alert::Severity;
use crate::rules::Rules;
use crate::series::{Change, Labels};
use crate::time::{Span, Timestamp};

mod bind;
mod generate;
mod judge;
mod notation;
mod parse;
mod run;
mod tell;

pub use generate::NOISE_MEMORY;
pub use judge::{Miss, judge};
pub use parse::{Loaded, ReadError, SEEDS_MAX, SERIES_MAX, VALUES_MAX, keys, load};
pub use run::{Seen, run};
pub use tell::timeline;

use bind::Bound;
use notation::Item;

/// One file of tests that share rules, start and step.
#[derive(Debug)]
pub struct Suite {
    /// The path as the user gave it.
    pub file: String,
    /// In the order of the file.
    pub tests: Vec<Test>,
}

/// One test: series, and what must be told about them.
#[derive(Debug)]
pub struct Test {
    /// What it says about the rules, in words.
    pub name: String,
    /// Line of the file in which it begins.
    pub line: usize,
    /// The rules under test, with the services that the file describes.
    pub rules: Arc<Rules>,
    /// When the first value is.
    pub start: Timestamp,
    /// From one value to the next, and from tick to tick.
    pub step: Span,
    /// How long the series only teach.
    pub warm_up: Span,
    /// Whose wall clock the seasons follow.
    pub timezone: TimeZone,
    /// Runs with the noise of the seeds from 1 to this one.
    pub seeds: u64,
    /// So many of them must pass.
    pub must_pass: u64,
    /// Change events, in order of time.
    changes: Vec<Change>,
    series: Vec<Written>,
    bound: Bound,
    /// What must be told, in the order of the file.
    pub expectations: Vec<Expectation>,
}

/// A series as the file has it.
#[derive(Debug)]
struct Written {
    /// As written; gives the series a noise of its own.
    text: String,
    name: String,
    labels: Labels,
    items: Vec<Item>,
    /// Where `series` stands in the file, in bytes.
    at: Range<usize>,
}

/// An incident that must be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// The service that the alert names.
    pub service: String,
    /// Id of the cause that must lead; any will do without.
    pub cause: Option<String>,
    /// The service or dependency to blame.
    pub culprit: Option<String>,
    /// A value among the labels that narrow the culprit down: a tenant, a peer, a version.
    pub value: Option<String>,
    /// The highest severity that it reaches by the end of the window.
    pub severity: Option<Severity>,
    /// The first alert lies not earlier than this after the warm-up.
    pub after: Span,
    /// The first alert lies not later than this, and the cause is named by then.
    pub before: Span,
}

impl Test {
    /// The first tick that may alert.
    pub fn alerts_from(&self) -> Timestamp {
        self.start + self.warm_up
    }

    /// The last tick that has a value.
    pub fn end(&self) -> Timestamp {
        let values = self.series.iter().map(|s| notation::values_len(&s.items)).max();
        self.start + last(values.unwrap_or(0), self.step)
    }
}

/// How long after the first value the last of so many lies.
fn last(values: usize, step: Span) -> Span {
    step.times(i64::try_from(values.saturating_sub(1)).unwrap_or(i64::MAX))
}
