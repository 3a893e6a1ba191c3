//! A signal in one line of text, for where no picture can be shown.

/// Widest sparkline, in characters: it fits beside a name on a phone.
pub const COLUMNS_MAX: usize = 40;
/// From the lowest to the highest; all are of one width in every common font.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Stands where there was nothing: neither low nor high.
const GAP: char = '·';

/// The values as blocks, the lowest of them as the lowest block. More than [`COLUMNS_MAX`] are
/// folded into as many, each into its mean. Empty when there is no value at all.
///
/// Values that are all the same are drawn at half height: they are neither low nor high.
pub fn sparkline(values: &[Option<f32>]) -> String {
    let columns = fold(values);
    let known = || columns.iter().flatten().copied();
    let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::MIN, f64::max));
    if low > high {
        return String::new();
    }
    let block = |value: f64| {
        let place = if low < high { (value - low) / (high - low) } else { 0.4 };
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and 7")]
        #[expect(clippy::cast_sign_loss, reason = "between 0 and 7")]
        let place = (place * 8.0) as usize;
        BLOCKS.get(place).copied().unwrap_or('█')
    };
    columns.into_iter().map(|column| column.map_or(GAP, block)).collect()
}

/// As many columns as there is room for, each the mean of its values.
fn fold(values: &[Option<f32>]) -> Vec<Option<f64>> {
    let columns = values.len().min(COLUMNS_MAX);
    let mean = |column: usize| {
        let ends = [column, column + 1].map(|at| at * values.len() / columns);
        let known = values[ends[0]..ends[1]].iter().flatten().filter(|value| value.is_finite());
        let (sum, count) =
            known.fold((0.0, 0_u32), |(sum, n), &value| (sum + f64::from(value), n + 1));
        (count > 0).then(|| sum / f64::from(count))
    };
    (0..columns).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_become_blocks_and_gaps_stay_gaps() {
        let rise: Vec<_> = (0..8_u8).map(|n| Some(f32::from(n))).collect();
        assert_eq!(sparkline(&rise), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[Some(1.0), None, Some(f32::NAN), Some(2.0)]), "▁··█");
        assert_eq!(sparkline(&[Some(5.0); 3]), "▄▄▄");
        assert_eq!(sparkline(&[None; 3]), "");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn many_values_are_folded_in_order() {
        let rise: Vec<_> = (0..576_u16).map(|n| Some(f32::from(n))).collect();
        let drawn: Vec<char> = sparkline(&rise).chars().collect();
        assert_eq!(drawn.len(), COLUMNS_MAX);
        assert!(drawn.is_sorted());
        assert_eq!((drawn[0], drawn[COLUMNS_MAX - 1]), ('▁', '█'));
    }

    proptest! {
        #[test]
        fn it_is_never_wider_than_its_columns(
            values in proptest::collection::vec(proptest::option::of(any::<f32>()), 0..700),
        ) {
            prop_assert!(sparkline(&values).chars().count() <= COLUMNS_MAX);
        }
    }
}
