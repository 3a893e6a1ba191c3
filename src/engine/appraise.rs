//! How one service stands against its thresholds and what kept it from being told, for those who
//! ask why: a view that changes nothing.

use std::collections::BTreeSet;
use std::fmt;

use super::alert::MovedSignal;
use super::baseline::Load;
use super::correlate::{WEAK_MIN, finding};
use super::detect::budget::Standing;
use super::detect::statistic::Statistic;
use super::grid::{BLOCK, block_start};
use super::service::Service;
use super::track::Tracked;
use super::vote::{moved_to, vote};
use super::{Engine, calendar};
use crate::format;
use crate::rules::{MinEffect, Signal};
use crate::time::Timestamp;

/// Moves told of one service, at most.
const MOVES_MAX: usize = 12;
/// Series told that say nothing, at most.
const MUTE_MAX: usize = 6;

/// How far a service is at a block, over the heights that open an incident and that interrupt
/// somebody; one is there. Factors of the controllers and of the calendar are in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reach {
    /// Its strongest signal (A).
    pub a: Standing,
    /// Its families of signals together (G).
    pub g: Standing,
    /// What its strongest signal would be of a notice if no move were too small to matter.
    pub unheld: f64,
}

/// How a service stands at a block, and what kept it from being told.
#[derive(Clone, Debug, PartialEq)]
pub struct Appraisal {
    /// End of the newest closed block.
    pub at: Timestamp,
    /// None while it is too young to be judged.
    pub reach: Option<Reach>,
    /// What moves toward worse, strongest first, whether it counts or not.
    pub moves: Vec<Move>,
    /// Series that say nothing, and why.
    pub mute: Vec<Mute>,
    /// The open incident that it is part of.
    pub incident: Option<String>,
}

/// A series that moves.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// What it does.
    pub signal: MovedSignal,
    /// Where its onset can lie.
    pub onset_range: [Timestamp; 2],
    /// How far it is, in units of its normal movement, before it is asked whether that matters.
    pub score: f64,
    /// That score over the height of a notice; none while the service is too young.
    pub notice: Option<f64>,
    /// Set where it does not count: the move is smaller than the signal's `min_effect`.
    pub held: Option<TooSmall>,
}

/// A move that is smaller than anybody cares about.
#[derive(Clone, Debug, PartialEq)]
pub struct TooSmall {
    /// How far it moved, in the series' own unit.
    pub moved: f64,
    /// The same over what is expected; none where that is zero.
    pub relative: Option<f64>,
    /// What would matter.
    pub needed: MinEffect,
    /// The series' unit.
    pub unit: Option<String>,
}

/// A series that says nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Mute {
    /// Name of the signal, with the labels that tell it from its siblings.
    pub signal: String,
    /// Why.
    pub why: Why,
}

/// Why a series says nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// It has no value.
    NoData,
    /// Its service has less traffic than the signal asks for.
    TooCalm {
        /// What it asks for.
        at_least: f64,
    },
    /// The source could not ask for it.
    Unasked,
    /// It has no baseline yet.
    Learning,
}

impl Reach {
    /// Over the height that opens an incident: the larger of A and G.
    pub fn notice(&self) -> f64 {
        self.a.notice.max(self.g.notice)
    }

    /// Over the height that interrupts somebody.
    pub fn alert(&self) -> f64 {
        self.a.alert.max(self.g.alert)
    }

    /// The larger of [`Self::notice`] and what it would be if no move were too small.
    pub fn potential(&self) -> f64 {
        self.notice().max(self.unheld)
    }
}

impl Appraisal {
    /// The strongest move that was too small to count, if it is stronger than all that count: this
    /// is what kept the service from being told, or made it seem milder.
    pub fn held(&self) -> Option<(&Move, &TooSmall)> {
        let first = self.moves.first()?;
        Some((first, first.held.as_ref()?))
    }
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { moved, relative, needed, unit } = self;
        let [moved, needed] = match relative.filter(|share| *share < needed.relative) {
            Some(share) => [share, needed.relative].map(format::share),
            None => [*moved, needed.absolute].map(|x| format::value(x, unit.as_deref())),
        };
        write!(f, "moved {moved}, {needed} needed")
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoData => f.write_str("no data"),
            Self::TooCalm { at_least } => {
                let least = format::value(*at_least, None);
                write!(f, "held by min_traffic: at least {least} needed")
            }
            Self::Unasked => f.write_str("the source could not ask for it"),
            Self::Learning => f.write_str("no baseline yet"),
        }
    }
}

impl Engine {
    /// The end of the newest block that was judged; none before the first.
    pub fn judged_until(&self) -> Option<Timestamp> {
        self.newest().map(|(block, _)| block_start(block) + BLOCK)
    }

    /// Services that call this one or that it calls.
    pub fn neighbours(&self, service: &str) -> BTreeSet<String> {
        self.state.graph.neighbours(service)
    }

    /// Whether users of a service have been beyond what they would notice for a quarter of an hour,
    /// as far as its signals show.
    pub fn users_notice(&self, service: &str) -> bool {
        self.newest().is_some_and(|(block, _)| self.users_affected(service, block))
    }

    /// The services that have series, in order of name.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.state.services.keys().map(String::as_str)
    }

    /// How far a service is at the newest closed block; none while it cannot be judged.
    /// Cost: O(series of the service).
    pub fn reach(&self, service: &str) -> Option<Reach> {
        let service = self.state.services.get(service)?;
        let statistic = service.statistic?;
        let over = |statistic| self.over_heights(service, statistic);
        let raw = self.voters(service).filter_map(|(_, tracked, signal)| raw(tracked, signal));
        let raw = raw.fold(f64::NEG_INFINITY, f64::max);
        Some(Reach {
            a: over(Statistic { g: f64::NEG_INFINITY, ..statistic })?,
            g: over(Statistic { a: f64::NEG_INFINITY, ..statistic })?,
            unheld: over(Statistic { a: raw, g: f64::NEG_INFINITY })?.notice.max(0.0),
        })
    }

    /// How a service stands at the newest closed block and what keeps it from being told; none for
    /// a service without series. Cost: O(series of the service).
    pub fn appraise(&self, name: &str) -> Option<Appraisal> {
        let (block, slot) = self.newest()?;
        let service = self.state.services.get(name)?;
        let load = service.load_at(&self.state.tracks.all, block, slot);
        let mut moves: Vec<Move> = self
            .voters(service)
            .filter_map(|(place, tracked, signal)| {
                let score = raw(tracked, signal).filter(|score| *score >= WEAK_MIN)?;
                let found = finding(place, tracked, signal.worse, score)?;
                let alone = Statistic { a: score, g: f64::NEG_INFINITY };
                Some(Move {
                    signal: self.moved(&found, (block, slot)),
                    onset_range: found.range,
                    score,
                    notice: self.over_heights(service, alone).map(|standing| standing.notice),
                    held: too_small(tracked, signal, (slot, load)),
                })
            })
            .collect();
        moves.sort_by(|a, b| b.score.total_cmp(&a.score));
        moves.truncate(MOVES_MAX);
        let open = self.state.incidents.iter().find(|one| one.services.contains(name));
        Some(Appraisal {
            at: block_start(block + 1),
            reach: self.reach(name),
            moves,
            mute: self.mute(service, block),
            incident: open.map(|incident| incident.id.clone()),
        })
    }

    /// A statistic of a service over its heights, with the factors that are in force.
    fn over_heights(&self, service: &Service, statistic: Statistic) -> Option<Standing> {
        let standing = service.calibration.as_ref()?.standing(statistic, &self.rules.budget);
        let standing = self.controlled(service, standing);
        let calm = self.state.calendar.share().map_or(1.0, |_| calendar::FACTOR);
        Some(standing.over(calm))
    }

    /// The series of a service that could vote, with their places and signals.
    fn voters<'a>(
        &'a self,
        service: &'a Service,
    ) -> impl Iterator<Item = (usize, &'a Tracked, &'a Signal)> {
        let all = service.judged().map(|place| (place, &self.state.tracks.all[place]));
        let voting = all.filter(|(_, tracked)| !tracked.role.is_context());
        voting.map(|(place, tracked)| (place, tracked, &self.rules.signals[tracked.signal]))
    }

    /// Which series of a service say nothing at a block.
    fn mute(&self, service: &Service, block: i64) -> Vec<Mute> {
        let why = |tracked: &Tracked, signal: &Signal| {
            let unheard = block < tracked.asked_from;
            Some(match &signal.min_traffic {
                _ if tracked.history.is_present(block) => {
                    return tracked.baseline.is_none().then_some(Why::Learning);
                }
                Some(floor) if unheard => Why::TooCalm { at_least: floor.at_least },
                None if unheard => Why::Unasked,
                _ => Why::NoData,
            })
        };
        let members = service.members.iter().map(|&place| &self.state.tracks.all[place]);
        let mute = members.filter_map(|tracked| {
            let why = why(tracked, &self.rules.signals[tracked.signal])?;
            let labels: Vec<&str> = tracked.series.labels.values().map(String::as_str).collect();
            let signal = match labels.as_slice() {
                [] => tracked.series.signal.clone(),
                labels => format!("{} ({})", tracked.series.signal, labels.join(", ")),
            };
            Some(Mute { signal, why })
        });
        mute.take(MUTE_MAX).collect()
    }
}

/// The largest score toward worse of a series, before it is asked whether the move matters.
fn raw(tracked: &Tracked, signal: &Signal) -> Option<f64> {
    tracked.baseline.as_ref()?;
    let score = tracked.drift.votes(signal.worse)?.largest();
    let plain = tracked.drift.unadjusted(signal.worse).unwrap_or(f64::NEG_INFINITY);
    Some(score.max(plain))
}

/// Why a move does not count; none where it does.
fn too_small(tracked: &Tracked, signal: &Signal, (slot, load): (u16, Load)) -> Option<TooSmall> {
    if vote(tracked, signal, slot, load)?.largest() > 0.0 {
        return None;
    }
    let [seen, expected] = moved_to(tracked, signal, slot, load)?;
    let moved = (seen - expected).abs();
    let relative = (expected != 0.0).then(|| moved / expected.abs());
    let unit = signal.unit.clone();
    Some(TooSmall { moved, relative, needed: signal.min_effect, unit })
}
