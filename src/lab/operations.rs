//! What people do to the fleet beside deploys: configurations, migrations, planned work.

use super::blueprint::SPECS;
use super::noise::Dice;
use super::pressure::Events;
use super::traffic::{hour_of_day, is_weekend};
use crate::time::Timestamp;

/// Working hours of a week, in seconds.
const OFFICE_SECONDS: f64 = 40.0 * 3_600.0;
/// Harmless changes of the configuration of one service per week.
const CONFIGS_PER_WEEK: f64 = 0.4;
/// Harmless migrations of the database per week.
const MIGRATIONS_PER_WEEK: f64 = 0.3;

/// What was done last, and what is being done.
#[derive(Clone, Debug)]
pub(super) struct Operations {
    /// Number of the configuration of each service, in the order of the services.
    pub(super) configs: [u32; SPECS.len()],
    /// When the database was migrated last.
    pub(super) migrated: Option<Timestamp>,
    /// When planned work on `payments` began last.
    pub(super) maintained: Option<Timestamp>,
    /// What was being done in the step before.
    before: Events,
    dice: Dice,
}

impl Operations {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            configs: [3; SPECS.len()],
            migrated: None,
            maintained: None,
            before: Events::default(),
            dice: Dice::new(seed, 8),
        }
    }

    /// Lets `seconds` of an ordinary day pass while `events` are going on. Returns what was going
    /// on in the step before.
    pub(super) fn live(&mut self, now: Timestamp, seconds: f64, events: Events) -> Events {
        let office = !is_weekend(now) && (9.0..17.0).contains(&hour_of_day(now));
        for config in &mut self.configs {
            // Drawn whether or not it is used, so that every day has the same draws.
            let drawn = self.dice.chance(seconds * CONFIGS_PER_WEEK / OFFICE_SECONDS);
            *config += u32::from(drawn && office);
        }
        if self.dice.chance(seconds * MIGRATIONS_PER_WEEK / OFFICE_SECONDS) && office {
            self.migrated = Some(now);
        }
        let before = std::mem::replace(&mut self.before, events);
        // A configuration that is taken back is one more change.
        self.configs[super::blueprint::Service::Checkout as usize] +=
            u32::from(events.config_checkout != before.config_checkout);
        self.configs[super::blueprint::Service::Web as usize] +=
            u32::from(events.config_web != before.config_web);
        if events.maintenance && !before.maintenance {
            self.maintained = Some(now);
        }
        before
    }
}
