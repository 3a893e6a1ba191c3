//! How far a series usually is from its profile, by part of the day and kind of day.

use serde::{Deserialize, Serialize};

use super::profile::{SLOTS_PER_DAY, SLOTS_PER_WEEK};
use super::robust;

/// Blocks in a cell: three hours.
const SLOTS_PER_CELL: usize = 36;
const CELLS_PER_DAY: usize = SLOTS_PER_DAY / SLOTS_PER_CELL;
/// Eight cells for working days, then eight for the weekend.
const CELLS: usize = 2 * CELLS_PER_DAY;
/// The first slot of Saturday.
const WEEKEND: usize = 5 * SLOTS_PER_DAY;

/// A cell with fewer residuals has no spread of its own.
const CELL_MIN: usize = 40;
/// How many residuals the spread of the whole series is worth against a cell's own.
const PRIOR_WEIGHT: f64 = 60.0;
/// No cell is quieter than this share of the whole series.
const CELL_FLOOR: f64 = 0.3;

/// The standard deviation of residuals in 16 cells: three hours by working day or weekend.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScaleProfile {
    // Single precision: an estimate of a spread is known to a few percent.
    cells: [f32; CELLS],
}

impl ScaleProfile {
    /// Learns spreads from out-of-sample residuals at their wall-clock slots.
    ///
    /// Per cell `s² = w m² + (1−w) s_glob²` with `m = 1.4826 · median |r|`, `w = n / (n + 60)`;
    /// at least `0.3 s_glob`, and `s_glob` itself in cells with fewer than 40 residuals.
    ///
    /// Where more than half of all residuals are zero, the MAD is; quantiles take its place
    /// (see [`robust::spread`]), then the mean size. A constant series has scale 0: see
    /// [`Self::with_floor`].
    ///
    /// # Unit
    /// That of the residuals.
    ///
    /// # Abstains
    /// `None` without finite residuals at slots below 2016.
    ///
    /// # Cost
    /// O(n).
    ///
    /// # Source
    /// METHODS 2.3.
    pub fn fit(residuals: &[f64], slots: &[u16]) -> Option<Self> {
        let mut all = Vec::with_capacity(residuals.len());
        let mut sizes: [Vec<f64>; CELLS] = std::array::from_fn(|_| Vec::new());
        for (&residual, &slot) in residuals.iter().zip(slots) {
            if residual.is_finite() && usize::from(slot) < SLOTS_PER_WEEK {
                all.push(residual);
                sizes[cell(slot)].push(residual.abs());
            }
        }
        let global = global(all)?;
        let cells = sizes.map(|mut sizes| {
            let n = sizes.len();
            if n < CELL_MIN {
                return global;
            }
            let own = robust::MAD_TO_SIGMA * robust::median(&mut sizes).unwrap_or(0.0);
            let weight = n as f64 / (n as f64 + PRIOR_WEIGHT);
            // `hypot` neither overflows nor underflows where the squares would.
            let shrunk = (weight.sqrt() * own).hypot((1.0 - weight).sqrt() * global);
            shrunk.max(CELL_FLOOR * global)
        });
        Some(Self { cells: cells.map(narrow) })
    }

    /// The spread at a slot; slots of 2016 and above wrap around. Never negative.
    pub fn at(&self, slot: u16) -> f64 {
        f64::from(self.cells[cell(slot)])
    }

    /// The same profile, nowhere below `floor`: the resolution of the measurement, or what is too
    /// small to matter. A floor that is not a positive number changes nothing.
    #[must_use]
    pub fn with_floor(mut self, floor: f64) -> Self {
        if floor.is_finite() {
            for cell in &mut self.cells {
                *cell = cell.max(narrow(floor));
            }
        }
        self
    }
}

/// The spread of all residuals: the first of MAD, quantiles and mean size that is not zero.
fn global(mut residuals: Vec<f64>) -> Option<f64> {
    let mut sizes: Vec<f64> = residuals.iter().map(|residual| residual.abs()).collect();
    let mad = robust::MAD_TO_SIGMA * robust::median(&mut sizes)?;
    if mad > 0.0 {
        return Some(mad);
    }
    let spread = robust::spread(&mut residuals)?;
    if spread > 0.0 {
        return Some(spread);
    }
    Some(sizes.iter().map(|size| size / sizes.len() as f64).sum())
}

/// In single precision; a spread is never so small that it becomes none.
fn narrow(spread: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to what a f32 holds")]
    let narrow = spread.min(f64::from(f32::MAX)) as f32;
    if spread > 0.0 { narrow.max(f32::MIN_POSITIVE) } else { narrow }
}

/// The cell of a slot.
fn cell(slot: u16) -> usize {
    let slot = usize::from(slot) % SLOTS_PER_WEEK;
    usize::from(slot >= WEEKEND) * CELLS_PER_DAY + slot % SLOTS_PER_DAY / SLOTS_PER_CELL
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;

    fn week_of(residual: impl Fn(u16) -> f64) -> ScaleProfile {
        let slots: Vec<u16> = (0..2016).collect();
        let residuals: Vec<f64> = slots.iter().map(|&slot| residual(slot)).collect();
        ScaleProfile::fit(&residuals, &slots).unwrap()
    }

    #[test]
    fn a_noisy_afternoon_widens_its_own_cell() {
        let noisy = |slot: u16| cell(slot) == 5;
        let scale = week_of(|slot| {
            let sign = if slot % 2 == 0 { 1.0 } else { -1.0 };
            sign * if noisy(slot) { 10.0 } else { 1.0 }
        });
        assert!(scale.at(5 * 36) > 8.0, "working-day afternoon");
        assert!(scale.at(4 * 36) < 1.5 && scale.at(5 * 288 + 5 * 36) < 1.5);
        assert_eq!(scale.at(2016), scale.at(0), "slots wrap around");
    }

    #[test]
    fn no_cell_is_silent_and_a_constant_series_says_zero() {
        let scale = week_of(|slot| if cell(slot) == 2 { 0.0 } else { 1.0 });
        assert!(scale.at(2 * 36) >= 0.3 * scale.at(0));
        let constant = week_of(|_| 0.0);
        assert_eq!(constant.at(7), 0.0);
        assert_eq!(constant.with_floor(0.25).at(7), 0.25);
        assert_eq!(constant.with_floor(f64::NAN), constant);
    }

    #[test]
    fn mostly_zero_residuals_still_have_a_scale() {
        assert!(week_of(|slot| if slot % 5 == 0 { 2.0 } else { 0.0 }).at(0) > 0.2);
        assert!(week_of(|slot| if slot == 9 { 2.0 } else { 0.0 }).at(0) > 0.0);
        assert_eq!(ScaleProfile::fit(&[f64::NAN, 1.0], &[0, 2016]), None);
    }
}
