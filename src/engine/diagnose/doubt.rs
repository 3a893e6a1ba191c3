//! How far an onset that is not known well may lie from what would explain it.

use crate::engine::grid::BLOCK;
use crate::time::Timestamp;

/// The stretch in seconds whose every instant is as likely the onset as those that something would
/// explain, between `first` and `last`: what happens as often as once in such a stretch proves
/// nothing by having happened there.
///
/// The onset is most likely where it is estimated, and from there ever less so, down to nothing at
/// both ends of its range. For what explains the estimate that is half of the range; for what only
/// an end allows, many times as much.
pub(super) fn doubt(onset: Timestamp, [first, last]: [Timestamp; 2], range: [Timestamp; 2]) -> f64 {
    let (off, reach) = if onset < first {
        (first - onset, range[1] - onset)
    } else if last < onset {
        (onset - last, onset - range[0])
    } else {
        return (range[1] - range[0]).as_secs_f64() / 2.0;
    };
    let (off, reach, block) = (off.as_secs_f64(), reach.as_secs_f64(), BLOCK.as_secs_f64());
    // How likely it lies there, over how likely at the estimate.
    let height = (reach + block - off).max(block) / (reach + block);
    (range[1] - range[0]).as_secs_f64() / (2.0 * height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_onset_is_where_it_is_estimated_and_hardly_at_the_ends_of_its_range() {
        let at = |minutes: i64| Timestamp::from_secs(60 * minutes);
        let minutes = |onset, [first, last]: [i64; 2], [from, to]: [i64; 2]| {
            doubt(at(onset), [at(first), at(last)], [at(from), at(to)]) / 60.0
        };
        let is = |minutes: f64, of: f64| (minutes - of).abs() < 1e-9;
        let wide = |explained| minutes(500, explained, [0, 600]);
        assert!(is(wide([490, 510]), 300.0), "it is there");
        assert!(is(wide([240, 250]), 300.0 * 505.0 / 255.0), "half way to the beginning");
        assert!(is(wide([-30, 0]), 300.0 * 505.0 / 5.0), "the very beginning");
        assert!(is(wide([550, 580]), 300.0 * 105.0 / 55.0), "half way to the end");
        let sharp = minutes(10, [0, 5], [5, 15]);
        assert!(is(sharp, 10.0), "a block off where a block is all that is known: {sharp}");
    }
}
