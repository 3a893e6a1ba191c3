//! What a series is expected to do: centre and spread by time of week, learned robustly from
//! weeks of blocks.
//!
//! A drift never teaches its own baseline: fits see only closed weeks of blocks, with incidents
//! and alarm episodes masked out, and residuals are judged by how well *earlier* weeks predicted
//! later ones (METHODS 2.3, rolling origin).

use serde::{Deserialize, Serialize};

use crate::engine::grid::{NO_SLOT, PER_WEEK};
use crate::engine::transform::{Transform, VALUES_MIN};
use crate::rules::{Role, Signal};
use crate::stats::alone::believed_path;
use crate::stats::count::{self, base_rate};
use crate::stats::ewma::{HOUR, SCALES, cold_sds, scale_sds};
use crate::stats::grain::Grain;
use crate::stats::hours::Hours;
use crate::stats::packed::PackedProfile;
use crate::stats::profile::{WeekProfile, mask_incidents, rolling_origin};
use crate::stats::robust::median;
use crate::stats::scale::ScaleProfile;

/// Residuals are clipped here: one value never outweighs a trend (METHODS 2.3).
pub const RESIDUAL_MAX: f64 = 6.0;
/// Residuals enter the load regression clipped here, so that its slope is not made by outliers.
const REGRESSION_MAX: f64 = 3.0;
/// The middle 95 % of a normal distribution lie within this many standard units.
const MIDDLE_95: f64 = 1.96;
/// Weaker correlation with traffic than this is not adjusted for.
const CORRELATION_MIN: f64 = 0.1;
/// Traffic that hardly varies (in squared standard units) says nothing about what follows it.
const TRAFFIC_VARIANCE_MIN: f64 = 0.1;
/// No series follows its traffic more steeply than this, in standard units of both.
const SLOPE_MAX: f64 = 1.5;
/// The spread of a coarse series is at least this share of its step (METHODS 4.4).
const STEP_SHARE: f64 = 0.25;
/// Events a block below which a base rate is not believed: about forty a week.
const RATE_MIN: f64 = 0.02;

/// What is known about one series' normal life.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Baseline {
    /// Into the comparable scale.
    pub transform: Transform,
    model: Model,
    /// True when values are judged per unit of traffic: half the work at half the traffic is
    /// no loss (METHODS 8.8).
    per_traffic: bool,
    /// Empirical standard deviation of each scale's score on a normal day.
    pub sds: [f64; SCALES],
    /// The same above the last hours, where it is held against these too.
    pub hours: Hours,
    /// The same over an hour with traffic's part left in; none where nothing is adjusted, or
    /// where nobody would suffer from what load explains.
    pub unadjusted_sd: Option<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Model {
    /// Continuous: a profile over the week, and how traffic moves the series.
    Level { profile: PackedProfile, scale: ScaleProfile, spread_floor: f64, traffic_slope: f64 },
    /// Rare events: how many a block, in proportion to traffic where that is known.
    Count { events: f64 },
}

/// One block against its baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Residual {
    /// Standard units, clipped; traffic's part is taken out.
    Level(f64),
    /// Events seen and events expected.
    Count {
        /// The value that the events were counted from, per unit of traffic where it is so judged.
        value: f64,
        /// Seen.
        events: f64,
        /// Expected.
        expected: f64,
    },
}

impl Residual {
    /// The residual of a level; none of counts.
    pub fn level(self) -> Option<f64> {
        match self {
            Self::Level(z) => Some(z),
            Self::Count { .. } => None,
        }
    }

    /// In standard units, clipped. `sd` is the spread of the shortest scale: rare events come in
    /// bursts, and the spread beyond Poisson's is the series' own.
    pub fn standard(self, sd: f64) -> f64 {
        match self {
            Self::Level(z) => z,
            Self::Count { events, expected, .. } => {
                let z = (events - expected) / ((expected + 1.0).sqrt() * sd.max(1.0));
                z.clamp(-RESIDUAL_MAX, RESIDUAL_MAX)
            }
        }
    }
}

/// What the service's traffic does at a block.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Traffic's own residual; 0 when unknown.
    pub residual: f64,
    /// Traffic as a multiple of its middle; 1 when unknown.
    pub exposure: f64,
    /// False where the service's traffic is missing, or not believed: nothing can be judged per
    /// unit of it.
    pub known: bool,
}

impl Load {
    /// Traffic that is as always, or of which the service has no series.
    pub const USUAL: Self = Self { residual: 0.0, exposure: 1.0, known: true };
}

/// A fit and what it makes of the history it saw.
#[derive(Debug)]
pub struct Fitted {
    /// For the blocks to come.
    pub baseline: Baseline,
    /// The past blocks as they would have looked when they were new: rolling origin.
    pub residuals: Vec<Option<Residual>>,
    /// The same with traffic's part left in; empty where that is not kept.
    pub unadjusted: Vec<f64>,
}

/// Learns one series from its block values (NaN: missing or masked), their slots in the week,
/// and the service's load at each. Abstains with fewer than a dozen values.
///
/// Cost: O(weeks² · n) for the rolling origin, a few milliseconds for four weeks.
pub fn fit(signal: &Signal, values: &[f64], slots: &[u16], load: &[Load]) -> Option<Fitted> {
    let per_traffic = signal.role == Role::Goodput;
    let scaled: Vec<f64>;
    let values = if per_traffic {
        let unit = |load: &Load| if load.known { load.exposure } else { f64::NAN };
        scaled = values.iter().zip(load).map(|(x, load)| x / unit(load)).collect();
        &scaled
    } else {
        values
    };
    let transform = Transform::fit(signal.scale, values)?;
    let mut fitted = match transform {
        Transform::Count { .. } => fit_count(transform, values, load),
        _ => fit_level(transform, values, slots, load),
    }?;
    fitted.baseline.per_traffic = per_traffic;
    if !users_suffer(signal.role) {
        fitted.baseline.unadjusted_sd = None;
    }
    Some(fitted)
}

fn fit_level(transform: Transform, values: &[f64], slots: &[u16], load: &[Load]) -> Option<Fitted> {
    let mut y: Vec<f64> = values.iter().map(|&x| transform.forward(x)).collect();
    let weeks = weeks_covered(&y);
    let incidents = mask_incidents(&y, slots, weeks);
    for (value, masked) in y.iter_mut().zip(incidents) {
        if masked {
            *value = f64::NAN;
        }
    }
    let profile = WeekProfile::fit(&y, slots, weeks)?;
    let errors = rolling_origin(&y, slots, weeks);
    let scale = ScaleProfile::fit(&errors, slots)?;
    let grain = Grain::measure(&y, &errors);
    let spread_floor = transform.spread_floor(median(&mut y.clone())?).max(STEP_SHARE * grain.step);
    let raw: Vec<f64> = errors
        .iter()
        .zip(slots)
        .map(|(&e, &slot)| standardise(e, spread_at(&scale, slot, spread_floor), slot))
        .collect();
    let traffic_slope = slope_on_traffic(&raw, load);
    let z: Vec<f64> =
        raw.iter().zip(load).map(|(&z, load)| adjust(z, traffic_slope, *load)).collect();
    let believed = believed_path(&z);
    let mut sds = scale_sds(&believed);
    let hours = if grain.is_state {
        // Most of its residuals are zero: quantiles of them say nothing about its next step.
        sds.iter_mut().zip(cold_sds()).for_each(|(sd, cold)| *sd = sd.max(cold));
        Hours::default()
    } else {
        Hours::measure(&believed)
    };
    let adjusted = traffic_slope != 0.0;
    let unadjusted_sd = adjusted.then(|| scale_sds(&believed_path(&raw))[HOUR]);
    let unadjusted = if adjusted { raw } else { Vec::new() };
    let profile = profile.pack();
    let model = Model::Level { profile, scale, spread_floor, traffic_slope };
    let residuals = z.iter().map(|&z| z.is_finite().then_some(Residual::Level(z))).collect();
    let baseline = Baseline { transform, model, per_traffic: false, sds, hours, unadjusted_sd };
    Some(Fitted { baseline, residuals, unadjusted })
}

fn fit_count(transform: Transform, values: &[f64], load: &[Load]) -> Option<Fitted> {
    let finite = values.iter().filter(|x| x.is_finite()).count();
    if finite < VALUES_MIN {
        return None;
    }
    let events: Vec<f64> = values.iter().map(|&x| transform.forward(x)).collect();
    let exposure: Vec<f64> = load.iter().map(|l| l.exposure).collect();
    let rate = base_rate(&events, &exposure).max(RATE_MIN);
    let expected: Vec<f64> = exposure.iter().map(|n| n * rate).collect();
    let sds = count::sds(&events, &expected);
    let residuals = events
        .iter()
        .zip(&expected)
        .zip(values)
        .map(|((&events, &expected), &value)| {
            events.is_finite().then_some(Residual::Count { value, events, expected })
        })
        .collect();
    let model = Model::Count { events: rate };
    let hours = Hours::default();
    let baseline =
        Baseline { transform, model, per_traffic: false, sds, hours, unadjusted_sd: None };
    Some(Fitted { baseline, residuals, unadjusted: Vec::new() })
}

impl Baseline {
    /// Has at hand what the blocks from this slot on are compared with.
    pub fn approach(&mut self, slot: u16) {
        if let Model::Level { profile, .. } = &mut self.model {
            profile.approach(slot);
        }
    }

    /// One block's value against what was expected of it; none in the hour of a clock change.
    pub fn residual(&self, value: f64, slot: u16, load: Load) -> Option<Residual> {
        if self.per_traffic && !load.known {
            return None;
        }
        let value = value / self.unit_load(load);
        let y = self.transform.forward(value);
        match &self.model {
            Model::Level { profile, scale, spread_floor, traffic_slope } => {
                if slot == NO_SLOT {
                    return None;
                }
                let spread = spread_at(scale, slot, *spread_floor);
                let z = standardise(y - profile.at(slot), spread, slot);
                let z = adjust(z, *traffic_slope, load);
                z.is_finite().then_some(Residual::Level(z))
            }
            Model::Count { events } => {
                Some(Residual::Count { value, events: y, expected: load.exposure * events })
            }
        }
    }

    /// One block's value against what is expected with the usual traffic; none where that is not
    /// kept.
    pub fn unadjusted(&self, value: f64, slot: u16) -> Option<f64> {
        self.unadjusted_sd?;
        match self.residual(value, slot, Load::USUAL)? {
            Residual::Level(z) => Some(z),
            Residual::Count { .. } => None,
        }
    }

    /// How far a block's value is above what was expected of it, in the comparable scale and not
    /// clipped; NaN where there is no value or no expectation.
    pub fn deviation(&self, value: f64, slot: u16, load: Load) -> f64 {
        let unit = self.unit_load(load);
        let expected = self.expected(slot, load).unwrap_or(f64::NAN);
        self.transform.forward(value / unit) - self.transform.forward(expected / unit)
    }

    /// What is expected at a slot, in the signal's own unit.
    pub fn expected(&self, slot: u16, load: Load) -> Option<f64> {
        let y = match &self.model {
            Model::Level { .. } if slot == NO_SLOT => return None,
            Model::Level { profile, scale, spread_floor, traffic_slope } => {
                profile.at(slot)
                    + traffic_slope * load.residual * spread_at(scale, slot, *spread_floor)
            }
            Model::Count { events } => load.exposure * events,
        };
        Some(self.transform.inverse(y) * self.unit_load(load))
    }

    /// Between which values the middle 95 % of a normal day's lie at a slot, with what is expected
    /// between them, in the signal's own unit: `[low, expected, high]`. None where nothing is
    /// expected.
    pub fn usual(&self, slot: u16, load: Load) -> Option<[f64; 3]> {
        if self.per_traffic && !load.known {
            return None;
        }
        let centre = self.expected(slot, load)?;
        let end = |side: f64| match &self.model {
            Model::Level { .. } => self.value_at(side * MIDDLE_95, centre, slot, load),
            Model::Count { events } => {
                let expected = load.exposure * events;
                let spread = (expected + 1.0).sqrt() * self.sds[0].max(1.0);
                let y = expected + side * MIDDLE_95 * spread;
                Some(self.transform.inverse(y) * self.unit_load(load))
            }
        };
        Some([end(-1.0)?, centre, end(1.0)?])
    }

    /// Where events are counted: what one of them makes of a block's value, in the signal's own unit.
    pub fn event(&self, load: Load) -> Option<f64> {
        let counts = matches!(self.model, Model::Count { .. });
        counts.then(|| self.transform.inverse(1.0) * self.unit_load(load))
    }

    /// How many times a unit's value the whole value is, where values are judged per traffic.
    pub fn unit_load(&self, load: Load) -> f64 {
        if self.per_traffic { load.exposure } else { 1.0 }
    }

    /// What `shift` standard units away from `expected` is, which is what [`Self::expected`] says of
    /// the same slot and load, in the signal's own unit; none of counts.
    pub fn value_at(&self, shift: f64, expected: f64, slot: u16, load: Load) -> Option<f64> {
        match &self.model {
            Model::Level { scale, spread_floor, .. } => {
                let unit = self.unit_load(load);
                let middle = self.transform.forward(expected / unit);
                let moved = middle + shift * spread_at(scale, slot, *spread_floor);
                Some(self.transform.inverse(moved) * unit)
            }
            Model::Count { .. } => None,
        }
    }
}

/// Full weeks between the first and the last finite value.
fn weeks_covered(values: &[f64]) -> usize {
    let first = values.iter().position(|v| v.is_finite());
    let last = values.iter().rposition(|v| v.is_finite());
    let blocks = first.zip(last).map_or(0, |(first, last)| last + 1 - first);
    // A day short of a week still counts: scrapes are late and weeks have clock changes.
    (blocks + 288) / usize::try_from(PER_WEEK).unwrap_or(1)
}

fn spread_at(scale: &ScaleProfile, slot: u16, floor: f64) -> f64 {
    scale.at(slot.min(NO_SLOT - 1)).max(floor)
}

fn standardise(error: f64, spread: f64, slot: u16) -> f64 {
    if slot == NO_SLOT || !error.is_finite() {
        return f64::NAN;
    }
    (error / spread).clamp(-RESIDUAL_MAX, RESIDUAL_MAX)
}

fn adjust(z: f64, slope: f64, load: Load) -> f64 {
    (z - slope * load.residual).clamp(-RESIDUAL_MAX, RESIDUAL_MAX)
}

/// Robust slope of a series' residuals on its traffic's (METHODS 2.4); 0 when they hardly move
/// together.
fn slope_on_traffic(z: &[f64], load: &[Load]) -> f64 {
    let clip = |x: f64| x.clamp(-REGRESSION_MAX, REGRESSION_MAX);
    let (mut zt, mut tt, mut zz, mut seen) = (0.0, 0.0, 0.0, 0.0);
    for (&z, load) in z.iter().zip(load) {
        if z.is_finite() {
            let (z, t) = (clip(z), clip(load.residual));
            zt += z * t;
            tt += t * t;
            zz += z * z;
            seen += 1.0;
        }
    }
    if tt <= TRAFFIC_VARIANCE_MIN * seen
        || zz <= 0.0
        || (zt / (tt * zz).sqrt()).abs() < CORRELATION_MIN
    {
        return 0.0;
    }
    (zt / tt).clamp(-SLOPE_MAX, SLOPE_MAX)
}

/// Whether users suffer from a role's move even where load explains it: a service that cannot
/// bear its load has failed, one that uses more of its processor has not.
const fn users_suffer(role: Role) -> bool {
    matches!(role, Role::Latency | Role::LatencyTypical | Role::Errors | Role::QueueAge)
}
