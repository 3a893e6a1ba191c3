//! How deliveries fare, for metrics and pages.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

use crate::time::{Span, Timestamp};

/// How the targets fare: shared, for metrics and pages.
#[derive(Clone, Debug, Default)]
pub struct StatusBoard(Arc<Mutex<BTreeMap<String, Status>>>);

/// How one target fares since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ReceiverStatus")]
pub struct Status {
    /// Messages it has taken.
    pub sent: u64,
    /// Messages it has taken again because their incidents go on.
    pub kept_alive: u64,
    /// Attempts that failed, by class.
    pub failed: BTreeMap<&'static str, u64>,
    /// Messages given up.
    pub dead: u64,
    /// Messages that went out in no layout, because a template failed.
    pub not_laid_out: u64,
    /// Time that attempts took, whatever came of them.
    #[serde(skip)]
    pub busy: Span,
    /// When it last took one.
    pub sent_at: Option<Timestamp>,
    /// Why the last attempt failed; none once one has succeeded.
    pub error: Option<String>,
    /// It is left alone until then; none once it has taken a message.
    pub rest_until: Option<Timestamp>,
}

impl StatusBoard {
    /// How a target fares; all zeros for one that has had nothing to do.
    pub fn of(&self, target: &str) -> Status {
        self.lock().get(target).cloned().unwrap_or_default()
    }

    /// How all fare that delivery knows, in order of name.
    pub fn all(&self) -> BTreeMap<String, Status> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Status>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn update(&self, target: &str, change: impl FnOnce(&mut Status)) {
        change(self.lock().entry(target.to_owned()).or_default());
    }
}
