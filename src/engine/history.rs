//! What a series did: one value per block over the weeks that baselines are learned from.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A ring of block values; missing blocks are NaN.
///
/// Single precision: a quarter of a millionth of a value is far below any effect, and the weeks
/// of a hundred thousand series have to fit into memory. What is beyond its range is kept as its
/// largest number: a value, however absurd, is not a gap.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct History {
    /// The block after the newest one.
    end: i64,
    values: VecDeque<f32>,
}

impl History {
    /// Appends the value of `block`, filling blocks that were left out with NaN and forgetting
    /// what is more than `blocks_max` old. A block that is not newer than the newest is ignored.
    pub fn push(&mut self, block: i64, value: f64, blocks_max: usize) {
        if self.values.is_empty() {
            self.end = block;
        }
        if block < self.end {
            return;
        }
        let hole = usize::try_from(block - self.end).unwrap_or(usize::MAX).min(blocks_max);
        self.values.extend(std::iter::repeat_n(f32::NAN, hole));
        let value = value.clamp(f64::from(f32::MIN), f64::from(f32::MAX));
        #[expect(clippy::cast_possible_truncation, reason = "documented on the type")]
        self.values.push_back(value as f32);
        self.end = block + 1;
        while self.values.len() > blocks_max {
            self.values.pop_front();
        }
    }

    /// The values of the blocks in `from..to`, NaN where there is none.
    pub fn window(&self, from: i64, to: i64) -> Vec<f64> {
        (from..to).map(|block| self.at(block)).collect()
    }

    /// The value of one block, NaN where there is none.
    pub fn at(&self, block: i64) -> f64 {
        let first = self.end - i64::try_from(self.values.len()).unwrap_or(0);
        usize::try_from(block - first)
            .ok()
            .and_then(|i| self.values.get(i))
            .map_or(f64::NAN, |&v| f64::from(v))
    }

    /// The mean of the newest blocks, each half as heavy as the one `half_life` blocks after it;
    /// none when all of them are missing. Reaches back six half-lives.
    pub fn weighted_mean(&self, half_life: f64) -> Option<f64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few hundred"
        )]
        let reach = (6.0 * half_life).ceil() as usize;
        let newest = self.values.iter().rev().take(reach).zip(0..);
        let (sum, weight) = newest
            .filter(|(value, _)| value.is_finite())
            .map(|(&value, back)| (f64::from(value), (-f64::from(back) / half_life).exp2()))
            .fold((0.0, 0.0), |(sum, all), (value, weight)| (sum + value * weight, all + weight));
        (weight > 0.0).then(|| sum / weight)
    }

    /// The block after the newest one.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// The oldest block that has a value, if any.
    pub fn first(&self) -> Option<i64> {
        let start = self.end - i64::try_from(self.values.len()).unwrap_or(0);
        self.values
            .iter()
            .position(|v| v.is_finite())
            .and_then(|i| i64::try_from(i).ok())
            .map(|i| start + i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_nan_and_old_blocks_are_forgotten() {
        let mut history = History::default();
        history.push(10, 1.0, 4);
        history.push(12, 3.0, 4);
        history.push(12, 9.0, 4);
        assert_eq!(history.at(10).to_bits(), 1.0_f64.to_bits());
        assert!(history.at(11).is_nan());
        assert_eq!(history.at(12).to_bits(), 3.0_f64.to_bits());
        history.push(14, 5.0, 4);
        assert!(history.at(10).is_nan());
        assert_eq!(history.first(), Some(12));
        history.push(1_000_000, 7.0, 4);
        assert_eq!(history.window(999_999, 1_000_002)[1].to_bits(), 7.0_f64.to_bits());
        assert_eq!(history.end(), 1_000_001);
    }
}
