//! What a person would draw of an incident: its signals, aligned in time, with what was expected.
//!
//! Drawn beside an alert, not in it: programs that read alerts have no use for a thousand numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::alert::MovedSignal;
use crate::time::{Span, Timestamp};

/// The signals of an incident, one above the other over the same time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// When the first value begins.
    pub from: Timestamp,
    /// Time between two values.
    pub step: Span,
    /// The signals that say most, the first moved first; at most [`PANELS_MAX`].
    pub panels: Vec<Panel>,
}

impl Chart {
    /// The panel of a signal that an alert told of, if it is drawn. Cost: O(panels).
    pub fn panel_of(&self, moved: &MovedSignal) -> Option<&Panel> {
        self.panel(&moved.service, &moved.signal, &moved.labels)
    }

    /// What is drawn of a service's series.
    pub fn panel(
        &self,
        service: &str,
        signal: &str,
        labels: &BTreeMap<String, String>,
    ) -> Option<&Panel> {
        self.panels.iter().find(|panel| {
            panel.service == service && panel.signal == signal && panel.labels == *labels
        })
    }
}

/// One signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// Whose series.
    pub service: String,
    /// Name of the signal.
    pub signal: String,
    /// The labels that tell it from its siblings.
    pub labels: BTreeMap<String, String>,
    /// Unit for people.
    pub unit: Option<String>,
    /// What was measured, in `unit`, from [`Chart::from`] on; none where there was nothing.
    pub values: Vec<Option<f32>>,
    /// What was expected at the same times, in `unit`; none where nothing is known.
    pub expected: Vec<Option<Band>>,
    /// When it began to move.
    pub onset: Timestamp,
    /// What users would notice, or what cannot be exceeded, in `unit`.
    pub threshold: Option<f64>,
    /// What `threshold` is.
    #[serde(default)]
    pub bound: Bound,
}

/// Where a threshold comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Charts that were kept before this was known do not say.
    #[default]
    Unknown,
    /// The signal's own limit.
    Limit,
    /// What the service promised its users.
    Objective,
    /// What users would notice, from the service's past.
    Learned,
}

impl Bound {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "limit or objective",
            Self::Limit => "limit",
            Self::Objective => "objective",
            Self::Learned => "learned objective",
        }
    }
}

/// Where a value lies on a normal day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Lower end of the middle 95 %.
    pub low: f32,
    /// Half of the values lie above.
    pub centre: f32,
    /// Upper end of the middle 95 %.
    pub high: f32,
}

/// Signals drawn; more are too small to read on a phone.
pub const PANELS_MAX: usize = 4;
/// Values of a panel: two days in blocks of five minutes.
pub const VALUES_MAX: usize = 576;
