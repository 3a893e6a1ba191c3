//! Holidays, and whatever else takes traffic from a whole fleet at once: no service's trouble.
//!
//! More traffic is another story: services that call each other rise together when users come, and
//! that is when they break.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::grid::PER_DAY;
use crate::engine::service::Service;
use crate::engine::track::Tracked;

/// Fewer services with known traffic are no fleet.
const SERVICES_MIN: usize = 3;
/// In more than this share of them traffic must fall.
const SHARE_MIN: f64 = 0.6;
/// A service's traffic falls from this score on, over an hour.
const MOVED_MIN: f64 = 2.0;
/// What lasts longer is the new normal: three days.
const LONGEST_BLOCKS: i64 = 3 * PER_DAY;
/// Thresholds are this many times higher meanwhile.
pub const FACTOR: f64 = 2.0;

/// Whether the fleet falls as one, and for how long it has.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Calendar {
    /// Blocks in a row.
    blocks: i64,
    /// Share of services whose traffic is low now.
    share: f64,
}

impl Calendar {
    /// Looks at the traffic of all services at a closed block.
    ///
    /// # Needs
    /// Three services whose traffic has a baseline; else no day is special.
    ///
    /// # Cost
    /// O(services).
    ///
    /// # Source
    /// METHODS 4.1.
    pub fn update(&mut self, services: &BTreeMap<String, Service>, tracks: &[Tracked]) {
        let moves: Vec<f64> =
            services.values().filter_map(|service| service.traffic_score(tracks)).collect();
        let falling = moves.iter().filter(|&&score| score <= -MOVED_MIN).count();
        self.share = falling as f64 / moves.len().max(1) as f64;
        let together = moves.len() >= SERVICES_MIN && self.share > SHARE_MIN;
        self.blocks = if together { self.blocks + 1 } else { 0 };
    }

    /// The share of services that fall together, while that is the calendar's doing.
    pub fn share(self) -> Option<f64> {
        (1..=LONGEST_BLOCKS).contains(&self.blocks).then_some(self.share)
    }
}
