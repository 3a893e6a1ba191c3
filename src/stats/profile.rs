//! What a series usually does at each time of the week, learned robustly.
//!
//! A profile is the median of its day type (working days, weekend) by time of day, plus what one
//! weekday does differently *every week*: a job that runs on Tuesdays is learned, an incident
//! that happened on one Tuesday is not.

use super::packed::between_bins;
use super::robust;
pub use super::scale::ScaleProfile;

/// Blocks of five minutes in a week.
pub const SLOTS_PER_WEEK: usize = 2016;

/// Blocks of five minutes in a day.
pub const SLOTS_PER_DAY: usize = 288;

/// Blocks in a bin of 15 minutes: the resolution of a profile.
pub(super) const SLOTS_PER_BIN: usize = 3;
const BINS_PER_DAY: usize = SLOTS_PER_DAY / SLOTS_PER_BIN;
const BINS_PER_WEEK: usize = SLOTS_PER_WEEK / SLOTS_PER_BIN;
const DAYS: usize = 7;
/// Monday to Friday come first; Saturday and Sunday are of the other day type.
const WORKING_DAYS: usize = 5;

/// Below three days of data, times of day cannot be told apart.
const DAILY_MIN: usize = 3 * SLOTS_PER_DAY;
/// Up to six days of data, days cannot be told apart: not every weekday was seen.
const WEEKLY_MIN: usize = 6 * SLOTS_PER_DAY;
/// From this many weeks on, one week may disagree with a deviation that the others share.
const WEEKS_TRIMMED: usize = 4;

/// The window of the incident mask: an hour.
const MASK_WINDOW: usize = 12;
/// One block's pull on the mean of the window, in σ.
const MASK_CLIP: f64 = 4.0;
/// An hour whose mean is this far off, in σ, is an incident.
const MASK_MEAN: f64 = 2.0;
/// When more than this share would be masked, the profile is wrong and not the data.
const MASK_SHARE_MAX: f64 = 0.25;

/// A week's profile: a level, and how far each bin of the week is from it.
///
/// Holds as many bins as the data could tell apart: 672 for a week, 96 for a day that repeats,
/// 1 for a constant.
#[derive(Clone, Debug, PartialEq)]
pub struct WeekProfile {
    pub(super) level: f64,
    // The level is kept apart in full precision: a large level with a small season would
    // otherwise lose its season to rounding.
    pub(super) bins: Vec<f32>,
}

impl WeekProfile {
    /// Learns a profile from `values[i]` at wall-clock slot `slots[i]`, in order of time.
    ///
    /// `weeks` is the number of full weeks covered; older values beyond them join the oldest
    /// week. Slots of 2016 and above are skipped: hours that daylight saving skips or repeats.
    ///
    /// ```text
    /// off[d]      = median of weekday d
    /// D[g][tod]   = median over the days of type g of (y − off[d])
    /// P0[d][tod]  = off[d] + D[g(d)][tod]
    /// r[w][b]     = median of bin b in week w − P0[b]
    /// P[b]        = P0[b] + minmod(r[·][b])
    /// ```
    ///
    /// `minmod` is the smallest deviation in size when all weeks (all but one, from four weeks
    /// on) agree in sign, else 0; and 0 for a bin seen in fewer than two weeks. A weekday
    /// without values takes its day type's level, a bin without values the other day type's.
    ///
    /// # Unit
    /// That of the values.
    ///
    /// # Abstains
    /// `None` without finite values. From less than three days of data it is their median; from
    /// less than six days or `weeks` of 0, the medians by time of day.
    ///
    /// # Cost
    /// O(n) time: 2.4 ms for four weeks in a debug build.
    ///
    /// # Source
    /// METHODS 2.3.
    pub fn fit(values: &[f64], slots: &[u16], weeks: usize) -> Option<Self> {
        let samples = samples(values, slots, weeks);
        let (first, last) = (samples.first()?, samples.last()?);
        let span = last.index - first.index + 1;
        let level = robust::median(&mut samples.iter().map(|s| s.value).collect::<Vec<_>>())?;
        let bins = if span < DAILY_MIN {
            vec![level]
        } else if weeks == 0 || span <= WEEKLY_MIN {
            let mut bins = vec![Vec::new(); BINS_PER_DAY];
            for sample in &samples {
                bins[sample.bin % BINS_PER_DAY].push(sample.value);
            }
            bins.iter_mut().map(|bin| robust::median(bin).unwrap_or(level)).collect()
        } else {
            let mut bins = day_types(&samples, level);
            add_weekly_deviations(&mut bins, &samples);
            bins
        };
        #[expect(clippy::cast_possible_truncation, reason = "clamped to what a f32 holds")]
        let narrow =
            |bin: f64| (bin - level).clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
        Some(Self { level, bins: bins.into_iter().map(narrow).collect() })
    }

    /// The expected value at a slot: linear between the centres of bins, the week a circle.
    ///
    /// Slots of 2016 and above wrap around. Cost: O(1).
    pub fn at(&self, slot: u16) -> f64 {
        let n = self.bins.len();
        if n == 0 {
            return self.level;
        }
        self.level + between_bins(slot, n, |bin| f64::from(self.bins[bin]))
    }

    /// `values[i] − at(slots[i])`; NaN for missing blocks and slots that are skipped.
    pub fn residuals(&self, values: &[f64], slots: &[u16]) -> Vec<f64> {
        let mut residuals = vec![f64::NAN; values.len()];
        for ((residual, &value), &slot) in residuals.iter_mut().zip(values).zip(slots) {
            if value.is_finite() && usize::from(slot) < SLOTS_PER_WEEK {
                *residual = value - self.at(slot);
            }
        }
        residuals
    }
}

/// Marks blocks that look like an incident, so that a baseline does not learn from them.
///
/// With `z` the in-sample residuals over their MAD, a block is masked when it lies within half an
/// hour of an hour whose mean of `clip(z, ±4)` is beyond ±2.
///
/// # Abstains
/// Masks nothing when more than a quarter of the values would be masked, with less than three days of data, or
/// when most values equal their profile, so that there is no scale.
///
/// # Cost
/// O(n), one fit.
///
/// # Source
/// METHODS 2.3.
pub fn mask_incidents(values: &[f64], slots: &[u16], weeks: usize) -> Vec<bool> {
    let none = vec![false; values.len()];
    let Some(profile) = WeekProfile::fit(values, slots, weeks) else { return none };
    // A flat profile would take the season's peaks for incidents.
    if profile.bins.len() == 1 {
        return none;
    }
    let residuals = profile.residuals(values, slots);
    let mut sizes: Vec<f64> = residuals.iter().map(|r| r.abs()).collect();
    let sigma = robust::median(&mut sizes).unwrap_or(0.0) * robust::MAD_TO_SIGMA;
    if sigma <= 0.0 {
        return none;
    }
    let z: Vec<f64> = residuals
        .iter()
        .map(|r| if r.is_finite() { (r / sigma).clamp(-MASK_CLIP, MASK_CLIP) } else { 0.0 })
        .collect();
    // Both windows reach from six blocks before to five after.
    let around = |i: usize| i.saturating_sub(MASK_WINDOW / 2)..(i + MASK_WINDOW / 2).min(z.len());
    let off: Vec<bool> = (0..z.len())
        .map(|i| z[around(i)].iter().sum::<f64>().abs() / MASK_WINDOW as f64 > MASK_MEAN)
        .collect();
    let mask: Vec<bool> = (0..z.len()).map(|i| off[around(i)].contains(&true)).collect();
    // Of what there is: a young series must not be masked whole because its window is long.
    let seen = || residuals.iter().zip(&mask).filter(|(r, _)| r.is_finite());
    let masked = seen().filter(|&(_, &masked)| masked).count();
    if masked as f64 >= MASK_SHARE_MAX * seen().count() as f64 { none } else { mask }
}

/// Residuals as they would have been live: week `w` is predicted from the weeks before it, the
/// oldest week from the others. What thresholds and spreads are learned from.
///
/// In-sample residuals, which are too small, when `weeks` is 0 or 1. As long as `values`; NaN
/// where a value or a prediction is missing.
///
/// # Unit
/// That of the values.
///
/// # Cost
/// `weeks` fits: O(weeks · n), 5 ms for four weeks in a debug build.
///
/// # Source
/// Rolling-origin evaluation: Tashman (2000), International Journal of Forecasting 16(4):437–450.
pub fn rolling_origin(values: &[f64], slots: &[u16], weeks: usize) -> Vec<f64> {
    let n = values.len().min(slots.len());
    let weeks = weeks.min(n / SLOTS_PER_WEEK);
    let mut residuals = vec![f64::NAN; values.len()];
    if weeks <= 1 {
        if let Some(profile) = WeekProfile::fit(values, slots, weeks) {
            residuals = profile.residuals(values, slots);
        }
        return residuals;
    }
    let mut start = 0;
    for week in 0..weeks {
        let end = n - (weeks - 1 - week) * SLOTS_PER_WEEK;
        let (known, known_weeks) = if week == 0 { (end..n, weeks - 1) } else { (0..start, week) };
        let profile = WeekProfile::fit(&values[known.clone()], &slots[known], known_weeks);
        if let Some(profile) = profile {
            residuals[start..end]
                .copy_from_slice(&profile.residuals(&values[start..end], &slots[start..end]));
        }
        start = end;
    }
    residuals
}

/// A finite value with its place in the data and in the week.
struct Sample {
    index: usize,
    week: usize,
    bin: usize,
    value: f64,
}

/// The finite values at usable slots; weeks are counted back from the end of the data.
fn samples(values: &[f64], slots: &[u16], weeks: usize) -> Vec<Sample> {
    let n = values.len().min(slots.len());
    let oldest = weeks.min(n.div_ceil(SLOTS_PER_WEEK)).saturating_sub(1);
    values
        .iter()
        .zip(slots)
        .enumerate()
        .filter(|&(_, (value, &slot))| value.is_finite() && usize::from(slot) < SLOTS_PER_WEEK)
        .map(|(index, (&value, &slot))| Sample {
            index,
            week: oldest.saturating_sub((n - 1 - index) / SLOTS_PER_WEEK),
            bin: usize::from(slot) / SLOTS_PER_BIN,
            value,
        })
        .collect()
}

/// Which day type a weekday is of.
fn day_type(day: usize) -> usize {
    usize::from(day >= WORKING_DAYS)
}

/// `P0`: each weekday's level plus its day type's median course of a day.
fn day_types(samples: &[Sample], level: f64) -> Vec<f64> {
    let mut days = vec![Vec::new(); DAYS];
    for sample in samples {
        days[sample.bin / BINS_PER_DAY].push(sample.value);
    }
    let seen: Vec<Option<f64>> = days.iter_mut().map(|day| robust::median(day)).collect();
    let off: Vec<f64> = (0..DAYS)
        .map(|day| {
            let mut alike: Vec<f64> = (0..DAYS)
                .filter(|&other| day_type(other) == day_type(day))
                .filter_map(|other| seen[other])
                .collect();
            seen[day].or_else(|| robust::median(&mut alike)).unwrap_or(level)
        })
        .collect();
    let mut courses = vec![Vec::new(); 2 * BINS_PER_DAY];
    for sample in samples {
        let day = sample.bin / BINS_PER_DAY;
        let place = day_type(day) * BINS_PER_DAY + sample.bin % BINS_PER_DAY;
        courses[place].push(sample.value - off[day]);
    }
    let courses: Vec<Option<f64>> =
        courses.iter_mut().map(|course| robust::median(course)).collect();
    (0..BINS_PER_WEEK)
        .map(|bin| {
            let (day, time) = (bin / BINS_PER_DAY, bin % BINS_PER_DAY);
            let own = courses[day_type(day) * BINS_PER_DAY + time];
            let other = courses[(1 - day_type(day)) * BINS_PER_DAY + time];
            off[day] + own.or(other).unwrap_or(0.0)
        })
        .collect()
}

/// Adds to each bin what it does differently from its day type in every week.
fn add_weekly_deviations(bins: &mut [f64], samples: &[Sample]) {
    let weeks = samples.iter().map(|s| s.week).max().map_or(0, |oldest| oldest + 1);
    if weeks < 2 {
        return;
    }
    let mut deviations = vec![Vec::new(); BINS_PER_WEEK];
    let mut gathered = vec![Vec::new(); BINS_PER_WEEK];
    let mut rest = samples;
    while let Some(first) = rest.first() {
        let length = rest.iter().take_while(|s| s.week == first.week).count();
        let (week, later) = rest.split_at(length);
        rest = later;
        for sample in week {
            gathered[sample.bin].push(sample.value);
        }
        for (bin, values) in gathered.iter_mut().enumerate() {
            if let Some(median) = robust::median(values) {
                deviations[bin].push(median - bins[bin]);
            }
            values.clear();
        }
    }
    for (bin, deviations) in bins.iter_mut().zip(&mut deviations) {
        *bin += minmod(deviations, weeks);
    }
}

/// The deviation that repeats: the smallest in size if all agree in sign, else 0. From four
/// weeks on one week may disagree, and a week without data counts as one that shows none.
fn minmod(deviations: &mut Vec<f64>, weeks: usize) -> f64 {
    if deviations.len() < 2 {
        return 0.0;
    }
    let trimmed = usize::from(weeks >= WEEKS_TRIMMED);
    if trimmed > 0 {
        deviations.resize(weeks, 0.0);
    }
    deviations.sort_unstable_by(f64::total_cmp);
    let (low, high) = (deviations[trimmed], deviations[deviations.len() - 1 - trimmed]);
    if low > 0.0 {
        low
    } else if high < 0.0 {
        high
    } else {
        0.0
    }
}
