//! Planned work that returns: when nobody wants to hear of what it does.

use crate::hours::Schedule;
use crate::time::Timestamp;

/// Recurring windows in which some services are worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// Unique among all.
    pub name: String,
    /// On which services; empty for all.
    pub services: Vec<String>,
    /// When.
    pub schedule: Schedule,
}

impl Maintenance {
    /// Whether it is about a service.
    pub fn concerns(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.iter().any(|name| name == service)
    }

    /// When the window that holds at an instant ends; `None` outside of them.
    pub fn until(&self, at: Timestamp) -> Option<Timestamp> {
        self.schedule.until(at)
    }
}
