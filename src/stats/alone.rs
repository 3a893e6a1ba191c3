//! Values that stand alone: a counter that was reset, a scrape that went wrong.

/// A residual that stands alone counts for at most this many σ.
pub const ALONE_MAX: f64 = 3.0;

/// How much of a residual to believe at once, given the one before: all of it up to
/// [`ALONE_MAX`], and beyond only as far as the one before went the same way.
///
/// An artefact of one block, whatever its size, then never looks like a move, and a real step is
/// believed whole one block later. A missing block before (NaN) believes nothing beyond.
///
/// # Unit
/// σ of one block, in and out. NaN stays NaN. Cost: O(1).
///
/// # Source
/// Own; the idea is that of a running median of two, which prefers the smaller. METHODS 2.5.
pub fn believed(z: f64, before: f64) -> f64 {
    let same_way = z * before > 0.0;
    let limit = if same_way { before.abs().max(ALONE_MAX) } else { ALONE_MAX };
    z.clamp(-limit, limit)
}

/// [`believed`] along a path.
pub fn believed_path(z: &[f64]) -> Vec<f64> {
    let before = std::iter::once(f64::NAN).chain(z.iter().copied());
    z.iter().zip(before).map(|(&z, before)| believed(z, before)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_alone_is_cut_and_what_lasts_is_not() {
        let path = believed_path(&[0.5, 6.0, -0.5, -6.0, -5.0, 2.0, f64::NAN, 6.0, 6.0]);
        assert_eq!(path[..6], [0.5, 3.0, -0.5, -3.0, -5.0, 2.0]);
        assert!(path[6].is_nan());
        assert_eq!(path[7..], [3.0, 6.0], "after a gap nothing is known of the block before");
    }
}
