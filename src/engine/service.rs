//! One service: its thresholds, its statistic at the newest block, and what it may still spend.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::engine::archive::Archive;
use crate::engine::baseline::{Baseline, Load, Residual};
use crate::engine::detect::absence::{self, Presence};
use crate::engine::detect::budget::{Calibration, Servo, TokenBucket};
use crate::engine::detect::statistic::{Families, Statistic};
use crate::engine::grid::{NO_SLOT, PER_DAY, PER_HOUR, PER_WEEK};
use crate::engine::stirs::Stirs;
use crate::engine::track::Tracked;
use crate::engine::vote::vote;
use crate::rules::{Budget, Role, Rules, Worse};
use crate::series::SeriesId;
use crate::stats::alone::believed;
use crate::stats::ewma::HOUR;

/// A series and a service need a day of blocks before they are judged.
pub const HISTORY_MIN_BLOCKS: i64 = PER_DAY;
/// A service is new for three days.
const NEW_BLOCKS: i64 = 3 * PER_DAY;
/// A service whose replay is shorter than this learns something new every day.
const YOUNG_WEEKS: f64 = 3.0;
/// Alarm episodes remembered for masking, per service.
const EPISODES_MAX: usize = 64;
/// Traffic counts as at least this multiple of its middle, and at most as its inverse.
const EXPOSURE_MIN: f64 = 0.01;

/// State of one service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Service {
    /// Places of its series in the tracks.
    #[serde(skip)]
    pub members: Vec<usize>,
    /// Places of the distances between the peers of these.
    #[serde(skip)]
    pub apart: Vec<usize>,
    /// Heights its statistics reach on normal days; none while it is too young.
    pub calibration: Option<Calibration>,
    /// The newest block's statistic.
    #[serde(skip)]
    pub statistic: Option<Statistic>,
    /// What is there of its series.
    #[serde(skip)]
    pub presence: Presence,
    /// How many blocks without any series are told.
    pub patience: i64,
    /// What its own alarms did to its thresholds, beside the fleet's: for notices …
    pub notices: Servo,
    /// … and for alerts.
    pub alerts: Servo,
    /// What may still interrupt a person.
    pub bucket: TokenBucket,
    /// When it stirred.
    pub stirs: Stirs,
    /// Blocks spent in alarm, masked out of every fit (METHODS 8.1).
    pub episodes: VecDeque<(i64, i64)>,
    /// Block of the newest deploy whose level was considered as the new normal.
    pub settled: i64,
    /// Levels from which users notice, learned from history.
    pub learned_objectives: BTreeMap<SeriesId, f64>,
    /// The series that stands for the service's load.
    pub traffic: Option<Traffic>,
}

impl Service {
    /// A service that has just appeared.
    pub fn new(budget: &Budget) -> Self {
        Self {
            members: Vec::new(),
            apart: Vec::new(),
            calibration: None,
            statistic: None,
            presence: Presence::default(),
            patience: absence::ALL_BLOCKS,
            notices: Servo::default(),
            alerts: Servo::default(),
            bucket: TokenBucket::full(budget.alerts_per_week),
            stirs: Stirs::default(),
            episodes: VecDeque::new(),
            settled: i64::MIN,
            learned_objectives: BTreeMap::new(),
            traffic: None,
        }
    }

    /// Places of everything that is judged: its series, and the distances between their peers.
    pub fn judged(&self) -> impl Iterator<Item = usize> {
        self.members.iter().chain(&self.apart).copied()
    }

    /// How many blocks lie between two refits: an hour while it is new, since it can be judged any
    /// time now; a day while its replay is short or a series has no baseline yet; a week then.
    pub fn learns_every(&self, tracks: &[Tracked], block: i64) -> i64 {
        let members = || self.members.iter().map(|&place| &tracks[place]);
        let age = |tracked: &Tracked| tracked.history.first().map_or(0, |first| block - first);
        let new = || members().all(|tracked| age(tracked) < NEW_BLOCKS);
        let waits = |t: &Tracked| t.baseline.is_none() && age(t) >= HISTORY_MIN_BLOCKS;
        match &self.calibration {
            None if new() => PER_HOUR,
            Some(calibration) if calibration.weeks >= YOUNG_WEEKS && !members().any(waits) => {
                PER_WEEK
            }
            _ => PER_DAY,
        }
    }

    /// Remembers that `from..=to` was an alarm, so that no fit takes it for normal.
    pub fn remember_episode(&mut self, from: i64, to: i64) {
        match self.episodes.back_mut() {
            // Across an hour's pause it is the same: what flaps must not push out the others.
            Some(last) if from <= last.1 + PER_HOUR => *last = (last.0.min(from), last.1.max(to)),
            _ => self.episodes.push_back((from, to)),
        }
        while self.episodes.len() > EPISODES_MAX {
            self.episodes.pop_front();
        }
    }

    /// Takes in one closed block: residuals, scores, the service's statistic.
    pub fn update(&mut self, tracks: &mut [Tracked], rules: &Rules, block: i64, slot: u16) {
        let load = self.load_at(tracks, block, slot);
        for place in self.judged() {
            let own_load = own_load(&tracks[place], load);
            judge(&mut tracks[place], block, slot, own_load);
        }
        let mut families = Families::new();
        for tracked in self.judged().map(|place| &tracks[place]) {
            let signal = &rules.signals[tracked.signal];
            if let Some(scores) = vote(tracked, signal, slot, load) {
                families.vote(tracked.family(), scores.voted());
            }
        }
        self.statistic = families.statistic();
        self.presence = self.look_for(tracks, block);
        self.bucket.refill(rules.budget.alerts_per_week);
    }

    /// What is there of its series. Of those that are missing, as many are left out as others of
    /// the same signal have come instead: what was renamed has not fallen silent.
    fn look_for(&self, tracks: &[Tracked], block: i64) -> Presence {
        let members = self.members.iter().map(|&place| &tracks[place]);
        let asked: Vec<&Tracked> =
            members.filter(|tracked| !tracked.unasked && lasts(tracked.role)).collect();
        let mut replaced: BTreeMap<usize, usize> = BTreeMap::new();
        if asked.iter().any(|tracked| tracked.history.at(block).is_nan()) {
            for tracked in &asked {
                replaced.entry(tracked.signal).or_insert_with(|| {
                    let same = asked.iter().filter(|other| other.signal == tracked.signal);
                    absence::newcomers(same.map(|other| &other.history), block)
                });
            }
        }
        let present = asked.into_iter().filter(|tracked| match replaced.get_mut(&tracked.signal) {
            Some(left) if *left > 0 && absence::is_missed(&tracked.history, block) => {
                *left -= 1;
                false
            }
            _ => true,
        });
        absence::presence(present.map(|t| (&t.history, t.asked_from)), block, self.patience)
    }

    /// How far the service's traffic has moved over an hour, positive is up; none when it is not
    /// known.
    pub fn traffic_score(&self, tracks: &[Tracked]) -> Option<f64> {
        let (_, tracked) = self.traffic_series(tracks)?;
        tracked.baseline.as_ref()?;
        Some(tracked.drift.scores(Worse::Up)?[HOUR])
    }

    /// A silence of this service began at `since`: remembers which of its series used to report,
    /// since nobody can tell any more once it has lasted for days.
    pub fn fell_silent(&self, tracks: &mut [Tracked], since: i64) {
        for &place in &self.members {
            let tracked = &mut tracks[place];
            // One that was replaced before has not fallen silent.
            tracked.silenced =
                lasts(tracked.role) && absence::reported_before(&tracked.history, since);
        }
    }

    /// Whether the service's newest silence is over at `block`.
    pub fn is_back(&self, tracks: &[Tracked], block: i64) -> bool {
        let taken = self.members.iter().map(|&place| &tracks[place]).filter(|t| t.silenced);
        absence::is_back(taken.map(|t| (&t.history, !t.unasked)), block)
    }

    /// The series that the newest silence took and that are still missing at `block`.
    pub fn silenced<'a>(
        &'a self,
        tracks: &'a [Tracked],
        block: i64,
    ) -> impl Iterator<Item = &'a Tracked> {
        let members = self.members.iter().map(|&place| &tracks[place]);
        members.filter(move |t| t.silenced && !t.history.is_present(block))
    }

    /// An incident is over: what moves from now on is another, with an onset of its own.
    pub fn forget_onsets(&self, tracks: &mut [Tracked]) {
        for place in self.judged() {
            tracks[place].drift.forget_onset();
        }
    }

    /// What the service's traffic does at a block.
    pub fn load_at(&self, tracks: &[Tracked], block: i64, slot: u16) -> Load {
        let Some((traffic, tracked)) = self.traffic_series(tracks) else { return Load::USUAL };
        let Some(baseline) = &tracked.baseline else { return Load::USUAL };
        let (now, before) = (tracked.history.at(block), tracked.history.at(block - 1));
        traffic.load(baseline, [before, now], slot)
    }

    /// What the service's traffic did at each block from `from` on, at these slots.
    pub fn loads(
        &self,
        tracks: &[Tracked],
        archive: &dyn Archive,
        from: i64,
        slots: &[u16],
    ) -> Vec<Load> {
        let usual = || vec![Load::USUAL; slots.len()];
        let Some((traffic, tracked)) = self.traffic_series(tracks) else { return usual() };
        let Some(baseline) = &tracked.baseline else { return usual() };
        let to = from + i64::try_from(slots.len()).unwrap_or(0);
        let values = tracked.past(archive, from - 1, to);
        let pairs = values.windows(2).zip(slots);
        pairs.map(|(pair, &slot)| traffic.load(baseline, [pair[0], pair[1]], slot)).collect()
    }

    /// What is expected of one of the service's series at a block, in the series' own unit.
    pub fn expected(&self, tracks: &[Tracked], tracked: &Tracked, at: (i64, u16)) -> Option<f64> {
        let (block, slot) = at;
        tracked.baseline.as_ref()?.expected(slot, self.load_at(tracks, block, slot))
    }

    /// Whether traffic at a block is at or above its usual highs; none when it is not known.
    pub fn traffic_is_high(&self, tracks: &[Tracked], block: i64) -> Option<bool> {
        let (traffic, tracked) = self.traffic_series(tracks)?;
        let value = tracked.history.at(block);
        value.is_finite().then_some(value >= traffic.high)
    }

    /// The series that stands for the service's traffic.
    pub fn traffic_tracked<'a>(&self, tracks: &'a [Tracked]) -> Option<&'a Tracked> {
        self.traffic_series(tracks).map(|(_, tracked)| tracked)
    }

    fn traffic_series<'a>(&self, tracks: &'a [Tracked]) -> Option<(Traffic, &'a Tracked)> {
        let traffic = self.traffic?;
        Some((traffic, &tracks[traffic.place?]))
    }

    /// Finds the place of the series that stands for the service's traffic: it is another one, or
    /// places have changed.
    pub fn find_traffic(&mut self, tracks: &[Tracked]) {
        if let Some(traffic) = &mut self.traffic {
            let is_it = |&place: &usize| tracks[place].series.id == traffic.series;
            traffic.place = self.members.iter().copied().find(is_it);
        }
    }
}

/// A service's load, as learned.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Traffic {
    /// Which one it is.
    pub series: SeriesId,
    /// Its place in the tracks, see [`Service::find_traffic`]; none while it is not there.
    #[serde(skip)]
    pub place: Option<usize>,
    /// Its middle over the history.
    pub middle: f64,
    /// Where its usual highs begin.
    pub high: f64,
}

impl Traffic {
    /// The load at a slot, from traffic's values in the block before and in this one.
    fn load(self, baseline: &Baseline, [before, now]: [f64; 2], slot: u16) -> Load {
        let look = |value: f64, slot| {
            let residual = value.is_finite().then(|| baseline.residual(value, slot, Load::USUAL));
            (value, residual.flatten())
        };
        load_from(look(now, slot), look(before, (slot + NO_SLOT - 1) % NO_SLOT), self.middle)
    }
}

/// A version that is replaced has not fallen silent.
pub const fn lasts(role: Role) -> bool {
    !matches!(role, Role::Version | Role::ConfigVersion)
}

/// The load that a series is judged under: traffic is never judged given itself.
pub fn own_load(tracked: &Tracked, load: Load) -> Load {
    if tracked.role == Role::Traffic { Load::USUAL } else { load }
}

fn judge(tracked: &mut Tracked, block: i64, slot: u16, load: Load) {
    let value = tracked.history.at(block);
    let Some(baseline) = &mut tracked.baseline else { return };
    baseline.approach(slot);
    let residual = value.is_finite().then(|| baseline.residual(value, slot, load)).flatten();
    tracked.drift.update(block, residual, &baseline.sds, &baseline.hours);
    if residual.is_some() {
        let plain = baseline.unadjusted(value, slot);
        tracked.drift.update_unadjusted(plain, baseline.unadjusted_sd.unwrap_or(1.0));
    }
}

/// A block's traffic: its value and how far that is from what was expected.
pub type Block = (f64, Option<Residual>);

/// What traffic does, from a block and the one before. A move that stands alone is an artefact
/// until the next block shows it too: it is believed as far as any, and nothing is measured by it.
pub fn load_from(now: Block, before: Block, middle: f64) -> Load {
    let z = |block: Block| match block.1 {
        Some(Residual::Level(z)) => z,
        _ => f64::NAN,
    };
    let cut = believed(z(now), z(before));
    let value = if cut.abs() < z(now).abs() { before.0 } else { now.0 };
    Load {
        residual: if cut.is_finite() { cut } else { 0.0 },
        exposure: if value.is_finite() && middle > 0.0 {
            (value / middle).clamp(EXPOSURE_MIN, 1.0 / EXPOSURE_MIN)
        } else {
            1.0
        },
        // Counted traffic has no z, and nothing to doubt.
        known: now.0.is_finite() && (z(now).is_nan() || cut.abs() >= z(now).abs()),
    }
}
