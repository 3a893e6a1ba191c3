//! How everything that is watched stands at the newest tick: for pages, the API and metrics.

use std::sync::Arc;

use super::Engine;
use super::baseline::Load;
use super::correlate::{WEAK_MIN, direction_of};
use super::detect::budget::Standing;
use super::detect::drift::Direction;
use super::grid::{NO_SLOT, block_of, block_start};
use super::scores::score;
use super::service::{Service, own_load};
use super::track::Tracked;
use super::vote::{matters, vote};
use crate::rules::Role;
use crate::series::Series;
use crate::time::Timestamp;

/// A score from which on a series is said to move.
const MOVING_MIN: f64 = 0.5;

/// Everything that is watched, at one tick.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// The newest tick; none before the first.
    pub at: Option<Timestamp>,
    /// Notices and alerts a week that the services which are judged may have in all.
    pub accepted: [f64; 2],
    /// By how much the fleet's controllers raise thresholds for notices and alerts: above 1 after
    /// more alarms than accepted, below after fewer.
    pub factors: [f64; 2],
    /// In order of name.
    pub services: Vec<ServiceStanding>,
}

/// One service.
#[derive(Clone, Debug)]
pub struct ServiceStanding {
    /// Its name.
    pub service: String,
    /// How far its statistic is over the thresholds for notices and alerts, controllers included: 1
    /// is at the threshold. None while it is learned, and while it cannot be judged: until the
    /// first blocks after a start, and in a gap.
    pub standing: Option<Standing>,
    /// Weeks of normal days that its thresholds stand on; 0 while it is learned.
    pub weeks: f64,
    /// Since when it says nothing, if it should.
    pub silent_since: Option<Timestamp>,
    /// Alerts that it may still give before its budget is used up.
    pub alerts_left: f64,
    /// Ids of the open incidents that it is in.
    pub incidents: Vec<String>,
    /// Services that it calls, in order.
    pub calls: Vec<String>,
    /// In order of series.
    pub series: Vec<SeriesStanding>,
}

impl Overview {
    /// How many services have enough history to be judged. Cost: O(services).
    pub fn judged(&self) -> usize {
        self.services.iter().filter(|service| service.is_judged()).count()
    }
}

impl ServiceStanding {
    /// Whether it has enough history to be judged.
    pub fn is_judged(&self) -> bool {
        self.weeks > 0.0
    }
}

/// One series of a service; its peers are folded into one.
#[derive(Clone, Debug)]
pub struct SeriesStanding {
    /// Which one, without its peer label.
    pub series: Arc<Series>,
    /// What it means.
    pub role: Role,
    /// The value at the newest tick, in the signal's unit.
    pub value: Option<f64>,
    /// Between which values the middle 95 % of normal days lie now, with what is expected between
    /// them: low, expected, high. None while it is learned.
    pub usual: Option<[f64; 3]>,
    /// From 0 to 1: 0.5 is at its service's notice threshold by itself, 0.94 at twice that.
    pub score: f64,
    /// Where it moves to and since when, once its score is half or more.
    pub moved: Option<(Direction, Option<Timestamp>)>,
    /// What can be said of it.
    pub health: Health,
    /// Tick of its newest value.
    pub seen: Option<Timestamp>,
    /// Peers known; 0 where it has none.
    pub peers: usize,
}

/// What can be said of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// It is judged at every block.
    Judged,
    /// It only explains others.
    Context,
    /// It has not enough history.
    Learning,
    /// It moves, by less than anybody cares about.
    TooSmall,
    /// The backend did not answer for it.
    Unasked,
    /// It gave no value at the newest tick.
    Missing,
}

impl Health {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Judged, Self::Context, Self::Learning, Self::TooSmall, Self::Unasked, Self::Missing];

    /// As texts name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Judged => "judged",
            Self::Context => "context",
            Self::Learning => "learning",
            Self::TooSmall => "too small",
            Self::Unasked => "unasked",
            Self::Missing => "missing",
        }
    }
}

impl Engine {
    /// How everything stands at the newest tick. Cost: O(series).
    pub fn overview(&self) -> Overview {
        let Some(now) = self.state.now else { return Overview::default() };
        let (notices, alerts) = self.accepted();
        let services = self.state.services.iter();
        Overview {
            at: Some(now),
            accepted: [notices, alerts],
            factors: [self.state.notices.factor(), self.state.alerts.factor()],
            services: services.map(|(name, service)| self.stands(now, name, service)).collect(),
        }
    }

    fn stands(&self, now: Timestamp, name: &str, service: &Service) -> ServiceStanding {
        let incidents = self.state.incidents.iter();
        let mine = incidents.filter(|incident| incident.services.contains(name));
        let at = self.newest().unwrap_or((block_of(now), NO_SLOT));
        let tracks = &self.state.tracks.all;
        let load = service.load_at(tracks, at.0, at.1);
        let limit = service.calibration.as_ref().map(|calibration| {
            calibration.unit.a * calibration.threshold(self.rules.budget.notices_per_week)
        });
        let members = service.members.iter().map(|&place| &tracks[place]);
        let mut series: Vec<SeriesStanding> =
            members.map(|tracked| self.series_stands(now, tracked, (at.1, load), limit)).collect();
        series.sort_by(|a, b| a.series.cmp(&b.series));
        let silent = service.presence.silent;
        let standing = self.standing(name).map(|standing| self.controlled(service, standing));
        ServiceStanding {
            service: name.to_owned(),
            standing,
            weeks: service.calibration.as_ref().map_or(0.0, |calibration| calibration.weeks),
            silent_since: service.presence.since.filter(|_| silent).map(block_start),
            alerts_left: service.bucket.left(),
            incidents: mine.map(|incident| incident.id.clone()).collect(),
            calls: self.state.graph.callees(name).map(str::to_owned).collect(),
            series,
        }
    }

    fn series_stands(
        &self,
        now: Timestamp,
        tracked: &Tracked,
        (slot, load): (u16, Load),
        limit: Option<f64>,
    ) -> SeriesStanding {
        let signal = &self.rules.signals[tracked.signal];
        let own = own_load(tracked, load);
        let newest = self.state.tracks.newest(tracked);
        let strongest = vote(tracked, signal, slot, load).map(|scores| scores.largest().max(0.0));
        let score = score(limit, strongest);
        let way = direction_of(tracked, signal.worse).filter(|_| score >= MOVING_MIN);
        let onset = |way| tracked.drift.onset(way).map(|onset| block_start(onset.at));
        let too_small = || {
            let votes = tracked.drift.votes(signal.worse);
            let moves = votes.is_some_and(|votes| votes.largest() >= WEAK_MIN);
            moves && !matters(tracked, signal, slot, load)
        };
        let health = if tracked.unasked {
            Health::Unasked
        } else if !newest.is_current(now) {
            Health::Missing
        } else if tracked.role.is_context() {
            Health::Context
        } else if tracked.baseline.is_none() || strongest.is_none() || limit.is_none() {
            Health::Learning
        } else if too_small() {
            Health::TooSmall
        } else {
            Health::Judged
        };
        SeriesStanding {
            series: tracked.series.clone(),
            role: tracked.role,
            value: newest.at(now),
            usual: tracked.baseline.as_ref().and_then(|baseline| baseline.usual(slot, own)),
            score,
            moved: way.map(|way| (way, onset(way))),
            health,
            seen: newest.seen,
            peers: tracked.peers.len(),
        }
    }
}
