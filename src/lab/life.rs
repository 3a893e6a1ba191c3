//! What happens to instances on ordinary days: deploys, restarts, leaks, cold caches.

use super::noise::Dice;
use super::pressure::MEBIBYTE;
use super::tier::{MEMORY_KILL, Rollout, Tier};
use super::traffic::{hour_of_day, is_weekend};
use crate::time::Timestamp;

/// Hours of a week in which people deploy.
const OFFICE_HOURS: f64 = 40.0;
/// Seconds between two instances of a benign rollout.
pub(super) const ROLLOUT_EVERY: f64 = 180.0;
/// Seconds that an instance is away for a restart.
const RESTART_SECONDS: f64 = 30.0;
/// Seconds until a load balancer stops sending to an instance that died.
const NOTICE_SECONDS: f64 = 3.0;

impl Tier {
    /// Lets `seconds` of an ordinary day pass. Benign deploys are drawn only while `calm`.
    pub(super) fn live(&mut self, now: Timestamp, seconds: f64, dice: &mut Dice, calm: bool) {
        for instance in &mut self.instances {
            instance.down = (instance.down - seconds).max(0.0);
        }
        self.deploy_now_and_then(now, seconds, dice, calm);
        self.roll_out(seconds);
        // Drawn whether or not it is used, so that a fault elsewhere changes no later draw.
        let restart =
            dice.chance(seconds * self.spec.instances as f64 / (self.spec.restart_days * 86_400.0));
        let which = dice.index(self.instances.len());
        for index in 0..self.instances.len() {
            let full =
                self.instances[index].memory > MEMORY_KILL * self.spec.memory_limit_mib * MEBIBYTE;
            if full || (restart && index == which) {
                self.crash(index);
            }
        }
    }

    fn deploy_now_and_then(&mut self, now: Timestamp, seconds: f64, dice: &mut Dice, calm: bool) {
        let office = !is_weekend(now) && (9.0..17.0).contains(&hour_of_day(now));
        let per_second = self.spec.deploys_per_week / (OFFICE_HOURS * 3_600.0);
        let drawn = dice.chance(seconds * per_second);
        if drawn && office && calm && self.rollout.is_none() {
            self.release(ROLLOUT_EVERY);
        }
    }

    /// Builds a new version, starts to roll it out at one instance per `every` seconds, and
    /// returns its number.
    pub(super) fn release(&mut self, every: f64) -> u32 {
        self.built += 1;
        self.rollout = Some(Rollout { to: self.built, next: 0, wait: 0.0, every });
        self.built
    }

    /// Takes every instance back to version `to`, at the pace of a benign rollout.
    pub(super) fn roll_back(&mut self, to: u32) {
        self.rollout = Some(Rollout { to, next: 0, wait: 0.0, every: ROLLOUT_EVERY });
    }

    /// Goes on with a rollout that had stalled, at the pace of a benign one.
    pub(super) fn go_on(&mut self) {
        if let Some(rollout) = &mut self.rollout {
            (rollout.wait, rollout.every) = (0.0, ROLLOUT_EVERY);
        }
    }

    fn roll_out(&mut self, seconds: f64) {
        let Some(mut rollout) = self.rollout.take() else { return };
        rollout.wait -= seconds;
        if rollout.wait <= 0.0 {
            let alone = self.instances.len() == 1;
            if let Some(instance) = self.instances.get_mut(rollout.next) {
                instance.version = rollout.to;
                // Drained first, so nothing fails; a store with one instance hands over live.
                if !alone {
                    instance.restart(RESTART_SECONDS);
                }
            }
            rollout.next += 1;
            rollout.wait = rollout.every;
        }
        if rollout.next < self.instances.len() {
            self.rollout = Some(rollout);
        }
    }

    /// An instance dies: what it was working on fails until the balancer notices.
    fn crash(&mut self, index: usize) {
        self.tally.restarts += 1.0;
        self.tally.errors += self.instances[index].served * NOTICE_SECONDS;
        self.instances[index].restart(RESTART_SECONDS);
        self.instances[index].memory = self.spec.memory_mib * MEBIBYTE;
    }
}
