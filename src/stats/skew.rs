//! Which parts of a whole moved away from the others: tenants, routes, versions.

use super::robust::{MAD_TO_SIGMA, median};

/// A part is surprising from this z on.
pub const SURPRISE_MIN: f64 = 5.0;
/// A part explains a move only with more than this share of everything that moved the same way.
pub const EXCESS_SHARE_MIN: f64 = 0.3;
/// Nor does it if it moved less than this share of the whole: too little to matter.
const EFFECT_MIN: f64 = 0.02;
/// How much a part strays from its usual share anyway, at least.
const SPREAD_MIN: f64 = 0.15;
/// From this many events on, what a part strays is hardly chance.
const EVENTS_STEADY: f64 = 100.0;
/// So many such parts tell how much parts stray here.
const STEADY_MIN: usize = 5;
/// With at least this many events, the growth of a part can be told from chance.
const EVENTS_MIN: f64 = 5.0;
/// With fewer events than this before, no usual shares are known.
const EVENTS_KNOWN_MIN: f64 = 20.0;
/// Where no usual shares are known, a part must hold this much of the whole: large parts hold more
/// than others at any time.
const SHARE_UNKNOWN_MIN: f64 = 0.6;

/// One part before and since.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// Mean before, as a rate per second; 0 if it was not there.
    pub before: f64,
    /// Mean since.
    pub since: f64,
}

/// Which way a part stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Above what the others let expect.
    More,
    /// Below.
    Less,
}

/// How one part moved beside the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surprise {
    /// Place of the part among those given.
    pub place: usize,
    /// How far it is from what the others let expect, in standard deviations, that way.
    pub z: f64,
    /// Its share of everything that moved that way, 0 to 1.
    pub excess_share: f64,
    /// Its share of the whole since, 0 to 1.
    pub share: f64,
    /// Its share of the whole before, 0 to 1.
    pub usual_share: f64,
    /// Whether it explains the move.
    pub explains: bool,
}

impl Surprise {
    /// What parts are ranked by, within one division of the whole and between several: how
    /// unlikely it is, and how much of the move it is.
    pub fn strength(&self) -> f64 {
        self.z.max(0.0) * self.excess_share
    }
}

/// How each part moved beside the others, strongest first.
///
/// The growth common to all is g, the median of since/before over the parts with enough events;
/// the lower one of the middle two, so that of two parts the one that grew stands out. A part is
/// expected at g times its level before:
///
/// z = (x − g·f) / √(g·f + g²·f + (s·g·f)² + 1), in events: levels times `seconds`
///
/// with half an event added to either level before they are divided. The first two terms are the
/// chance in both counts, the third is how much parts stray anyway: s is 0.15, or more where the
/// parts with many events stray more from each other, the farthest one left out. `Way::Less`
/// mirrors it.
///
/// Where events are few, the median of their ratios is itself a guess, and a low one: most parts
/// have none. So z is taken a second time, against what all parts that the first does not call
/// surprising let expect together, with the chance in their sums and nothing else:
///
/// z = (x − e) / √(e + r²·f + e²·(1/X + 1/F) + 1), r = X / F, e = r·f
///
/// F and X are their sums and half an event; f in r²·f is at least half an event here and above.
///
/// A part explains the move when both are above [`SURPRISE_MIN`], it has more than
/// [`EXCESS_SHARE_MIN`] of the excess of all parts and moved at least 2 % of the whole; where
/// there were hardly any events before, the second z is not asked, and it must also have 60 % of
/// all.
///
/// # Unit
/// Standard deviations and shares. `seconds` is how long the part was watched since; levels that
/// are no rates are taken as if they were, which only lets small ones stray further.
///
/// # Abstains
/// `None` with fewer than two parts, without anything in them, or without time. Levels that are
/// negative or not finite count as nothing.
///
/// # Cost
/// O(n log n).
///
/// # Source
/// METHODS 2.11, with the chance in the level before and the spread of the parts; the lower median
/// and the product that ranks were chosen on RobustSpot (docs/methods.md). The second z is the delta
/// method for a ratio of Poisson counts.
pub fn skew(parts: &[Levels], seconds: f64, way: Way) -> Option<Vec<Surprise>> {
    let events: Vec<[f64; 2]> = parts.iter().map(|part| part.events(seconds)).collect();
    let [all_before, all_since] = sum(events.iter());
    if parts.len() < 2 || all_before + all_since <= 0.0 {
        return None;
    }
    let growth = growth(&events, way)?;
    let spread = spread(&events, way);
    let excess = |[f, x]: [f64; 2]| match way {
        Way::More => (x - growth * f).max(0.0),
        Way::Less => (growth * f - x).max(0.0),
    };
    let all_excess: f64 = events.iter().map(|&part| excess(part)).sum();
    let whole = all_since.max(growth * all_before);
    let share_min = if all_before < EVENTS_KNOWN_MIN { SHARE_UNKNOWN_MIN } else { 0.0 };
    let share = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
    let zs: Vec<f64> = events.iter().map(|&part| z(part, (growth, spread), way)).collect();
    let ordinary = sum(events.iter().zip(&zs).filter(|(_, z)| **z <= SURPRISE_MIN).map(|(p, _)| p));
    let mut found: Vec<Surprise> = events
        .iter()
        .zip(zs)
        .enumerate()
        .map(|(place, (&part, z))| {
            let excess_share = share(excess(part), all_excess);
            let share_now = share(part[1], all_since);
            // Without usual shares nothing is known of what the others let expect.
            let surprises =
                all_before < EVENTS_KNOWN_MIN || z_by_others(part, ordinary, way) > SURPRISE_MIN;
            let explains = z > SURPRISE_MIN
                && surprises
                && excess_share > EXCESS_SHARE_MIN
                && excess(part) >= EFFECT_MIN * whole
                && share_now >= share_min;
            let usual_share = share(part[0], all_before);
            Surprise { place, z, excess_share, share: share_now, usual_share, explains }
        })
        .collect();
    found.sort_by(|a, b| {
        b.strength().total_cmp(&a.strength()).then(b.z.total_cmp(&a.z)).then(a.place.cmp(&b.place))
    });
    Some(found)
}

/// The parts of several divisions of one whole, strongest first, each with the place of its
/// division: which attribute has the value that explains it.
///
/// # Abstains
/// Divisions of which [`skew`] can say nothing are left out. Cost: O(n log n).
pub fn rank(divisions: &[Vec<Levels>], seconds: f64, way: Way) -> Vec<(usize, Surprise)> {
    let mut all: Vec<(usize, Surprise)> = divisions
        .iter()
        .enumerate()
        .flat_map(|(division, parts)| {
            let found = skew(parts, seconds, way).unwrap_or_default();
            found.into_iter().map(move |surprise| (division, surprise))
        })
        .collect();
    // Stable: of equal ones the earlier division comes first.
    all.sort_by(|a, b| b.1.strength().total_cmp(&a.1.strength()));
    all
}

impl Levels {
    /// Events before and since in as much time.
    fn events(self, seconds: f64) -> [f64; 2] {
        [self.before, self.since].map(|level| {
            let events = level * seconds;
            if events.is_finite() { events.max(0.0) } else { 0.0 }
        })
    }
}

/// By how much the parts grew that did not stand out.
fn growth(events: &[[f64; 2]], way: Way) -> Option<f64> {
    let grown = |least: f64| -> Vec<f64> {
        let enough = events.iter().filter(|[f, x]| *f >= least || (least == 0.0 && f + x > 0.0));
        enough.map(|[f, x]| (x + 0.5) / (f + 0.5)).collect()
    };
    let mut ratios = grown(EVENTS_MIN);
    if ratios.len() < 2 {
        ratios = grown(0.0);
    }
    ratios.sort_by(f64::total_cmp);
    let middle = match way {
        Way::More => ratios.len().checked_sub(1)? / 2,
        Way::Less => ratios.len() / 2,
    };
    ratios.get(middle).copied()
}

/// How far parts stray from each other, as a share of their level: from those with many events,
/// without the one that moved the farthest, which may be the culprit.
fn spread(events: &[[f64; 2]], way: Way) -> f64 {
    let steady = events.iter().filter(|[f, _]| *f >= EVENTS_STEADY);
    let mut moves: Vec<f64> = steady.map(|[f, x]| ((x + 0.5) / (f + 0.5)).ln()).collect();
    if moves.len() < STEADY_MIN {
        return SPREAD_MIN;
    }
    moves.sort_by(f64::total_cmp);
    let farthest = if way == Way::More { moves.len() - 1 } else { 0 };
    moves.remove(farthest);
    let middle = median(&mut moves).unwrap_or(0.0);
    let mut distances: Vec<f64> = moves.iter().map(|at| (at - middle).abs()).collect();
    median(&mut distances).map_or(SPREAD_MIN, |mad| (MAD_TO_SIGMA * mad).max(SPREAD_MIN))
}

fn z(part: [f64; 2], (growth, spread): (f64, f64), way: Way) -> f64 {
    let least = |expected: f64| match way {
        Way::More => expected,
        // As a doubling is to what was expected, so is what was expected to a half.
        Way::Less => expected.min(part[1]),
    };
    deviation(part, growth, |expected| (spread * least(expected)).powi(2), way)
}

/// Events of several parts together.
fn sum<'a>(parts: impl Iterator<Item = &'a [f64; 2]>) -> [f64; 2] {
    parts.fold([0.0, 0.0], |[f, x], part| [f + part[0], x + part[1]])
}

/// How far a surprising part is from what those that are not let expect together, beside chance
/// alone.
fn z_by_others(part: [f64; 2], ordinary: [f64; 2], way: Way) -> f64 {
    let [all_f, all_x] = ordinary.map(|sum| sum + 0.5);
    let variance = |expected: f64| expected.powi(2) * (all_x.recip() + all_f.recip());
    deviation(part, all_x / all_f, variance, way)
}

/// How far a part is from `ratio` times its level before, in standard deviations: of chance in both
/// counts, and of what else varies with the level that is expected.
fn deviation([f, x]: [f64; 2], ratio: f64, more: impl Fn(f64) -> f64, way: Way) -> f64 {
    let expected = ratio * f;
    let distance = if way == Way::More { x - expected } else { expected - x };
    // Nothing before is no proof that nothing was to be expected.
    let chance = expected + ratio * ratio * f.max(0.5);
    distance / (chance + more(expected) + 1.0).sqrt()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, Poisson, StandardNormal};

    use super::*;

    const HALF_HOUR: f64 = 1_800.0;
    const NOBODY: [usize; 0] = [];

    fn levels(pairs: &[(f64, f64)]) -> Vec<Levels> {
        pairs.iter().map(|&(before, since)| Levels { before, since }).collect()
    }

    fn explaining(pairs: &[(f64, f64)], way: Way) -> Vec<usize> {
        let found = skew(&levels(pairs), HALF_HOUR, way).unwrap();
        found.iter().filter(|s| s.explains).map(|s| s.place).collect()
    }

    /// 50 tenants with sizes by Zipf's law and 200 requests a second; all grow by 1.3, and the one
    /// of this rank by `factor` more. Each strays by `stray`.
    fn tenants(rng: &mut ChaCha8Rng, rank: usize, [factor, stray]: [f64; 2]) -> Vec<Levels> {
        let sum: f64 = (1..=50).map(|k| 1.0 / f64::from(k)).sum();
        (1..=50_u32)
            .map(|k| {
                let usual = 200.0 / (f64::from(k) * sum);
                let culprit = if k as usize == rank { factor } else { 1.0 };
                let mut count = |rate: f64| {
                    let strays: f64 = rng.sample(StandardNormal);
                    let mean = rate * (stray * strays).exp() * HALF_HOUR;
                    Poisson::new(mean).unwrap().sample(rng) / HALF_HOUR
                };
                Levels { before: count(usual), since: count(usual * 1.3 * culprit) }
            })
            .collect()
    }

    /// Share of runs in which the culprit, of rank 6 to 25, comes first; and in which of all parts
    /// only it explains the move; and in which any does.
    fn found(factor: f64, stray: f64) -> [f64; 3] {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let runs = 400;
        let mut hits = [0.0; 3];
        for run in 0..runs {
            let rank = 6 + run % 20;
            let found =
                skew(&tenants(&mut rng, rank, [factor, stray]), HALF_HOUR, Way::More).unwrap();
            let only: Vec<usize> = found.iter().filter(|s| s.explains).map(|s| s.place).collect();
            hits[0] += f64::from(u8::from(found[0].place == rank - 1));
            hits[1] += f64::from(u8::from(only == [rank - 1]));
            hits[2] += f64::from(u8::from(!only.is_empty()));
        }
        hits.map(|hits| hits / runs as f64)
    }

    #[test]
    fn a_small_culprit_among_fifty_comes_first() {
        // METHODS: 1.00 at four times, .82 at twice, where share of change has .28 and .06.
        let [first, only, _] = found(4.0, 0.1);
        assert!(first >= 0.99 && only >= 0.85, "{first} {only}");
        let [first, ..] = found(2.0, 0.1);
        assert!(first >= 0.8, "{first}");
        let [.., any] = found(1.0, 0.1);
        assert!(any < 0.005, "{any}: nobody grew more than the others");
        // Tenants that stray by a third: where .15 is taken for granted, a quarter is blamed.
        let [.., any] = found(1.0, 0.3);
        assert!(any < 0.06, "{any}");
    }

    #[test]
    fn what_grows_alike_explains_nothing() {
        assert_eq!(explaining(&[(10.0, 25.0), (1.0, 2.6), (0.1, 0.24)], Way::More), NOBODY);
        assert_eq!(explaining(&[(10.0, 10.5), (3.0, 2.9)], Way::More), NOBODY);
    }

    #[test]
    fn one_of_two_and_one_of_three_can_be_told() {
        assert_eq!(explaining(&[(10.0, 10.0), (2.0, 8.0)], Way::More), [1]);
        assert_eq!(explaining(&[(5.0, 20.0), (2.0, 2.1), (4.0, 4.2)], Way::More), [0]);
    }

    #[test]
    fn a_value_that_was_not_there_before_is_told() {
        assert_eq!(explaining(&[(10.0, 10.0), (5.0, 5.0), (0.0, 6.0)], Way::More), [2]);
    }

    #[test]
    fn a_fall_is_told_when_falls_are_asked_for() {
        let parts = [(10.0, 10.2), (5.0, 5.0), (4.0, 0.4), (2.0, 2.0)];
        assert_eq!(explaining(&parts, Way::Less), [2]);
        assert_eq!(explaining(&parts, Way::More), NOBODY);
        // Half is as far as double.
        assert_eq!(explaining(&[(10.0, 10.0), (5.0, 2.5), (8.0, 8.0)], Way::Less), [1]);
    }

    #[test]
    fn without_usual_shares_only_most_of_all_is_told() {
        // Errors that nobody had before: the largest tenant has the most, and that is no wonder.
        let zipf: Vec<(f64, f64)> = (1..=5).map(|k| (0.0, 1.0 / f64::from(k))).collect();
        assert_eq!(explaining(&zipf, Way::More), NOBODY);
        assert_eq!(explaining(&[(0.0, 1.0), (0.0, 0.02), (0.001, 0.01)], Way::More), [0]);
    }

    #[test]
    fn chance_in_a_handful_of_events_is_no_surprise() {
        let events = |f: f64, x: f64| (f / HALF_HOUR, x / HALF_HOUR);
        let parts = [events(30.0, 32.0), events(6.0, 14.0), events(8.0, 5.0), events(0.0, 3.0)];
        assert_eq!(explaining(&parts, Way::More), NOBODY);
    }

    #[test]
    fn several_culprits_do_not_hide_each_other_and_new_errors_are_told() {
        let events = |f: f64, x: f64| (f / HALF_HOUR, x / HALF_HOUR);
        let with = |parts: [(f64, f64); 2], rest: (f64, f64)| {
            parts.into_iter().chain([rest; 10]).map(|(f, x)| events(f, x)).collect::<Vec<_>>()
        };
        let two = with([(30.0, 90.0), (30.0, 91.0)], (7.0, 7.0));
        assert_eq!(explaining(&two, Way::More), [1, 0]);
        let two = with([(300.0, 30.0), (300.0, 31.0)], (60.0, 60.0));
        assert_eq!(explaining(&two, Way::Less), [0, 1]);
        // Three quarters of errors that nobody had before.
        let new = with([(0.0, 300.0), (0.0, 10.0)], (0.0, 9.0));
        assert_eq!(explaining(&new, Way::More), [0]);
    }

    #[test]
    fn a_few_errors_of_many_tenants_blame_nobody() {
        // 40 tenants with sizes by Zipf's law, 25 errors before; all grow alike.
        let sum: f64 = (1..=40).map(|k| 1.0 / f64::from(k)).sum();
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut blamed = 0;
        for run in 0..2_000 {
            let growth = [1.0, 2.0, 4.0, 8.0][run % 4];
            let mut count = |mean: f64| Poisson::new(mean).unwrap().sample(&mut rng) / HALF_HOUR;
            let parts: Vec<(f64, f64)> = (1..=40)
                .map(|k| 25.0 / (f64::from(k) * sum))
                .map(|usual| (count(4.0 * usual) / 4.0, count(growth * usual)))
                .collect();
            blamed += usize::from(!explaining(&parts, Way::More).is_empty());
        }
        // By the median of the ratios alone it is one in 170.
        assert!(blamed <= 2, "{blamed} of 2000");
    }

    #[test]
    fn says_nothing_where_nothing_can_be_said() {
        let nothing: &[&[(f64, f64)]] =
            &[&[], &[(1.0, 9.0)], &[(0.0, 0.0), (0.0, 0.0)], &[(f64::NAN, -1.0), (0.0, f64::NAN)]];
        for parts in nothing {
            assert_eq!(skew(&levels(parts), HALF_HOUR, Way::More), None, "{parts:?}");
        }
        let two = levels(&[(1.0, 1.0), (1.0, 4.0)]);
        assert_eq!(skew(&two, 0.0, Way::More), None);
        assert_eq!(skew(&two, f64::NAN, Way::More), None);
    }

    #[test]
    fn of_several_divisions_the_one_that_splits_the_culprit_off_comes_first() {
        // The culprit's traffic went through both regions.
        let region = levels(&[(10.0, 14.0), (10.0, 13.0)]);
        let tenant = levels(&[(2.0, 9.0), (8.0, 8.0), (6.0, 6.0), (4.0, 4.0)]);
        let ranked = rank(&[region, tenant], HALF_HOUR, Way::More);
        assert_eq!((ranked[0].0, ranked[0].1.place), (1, 0));
        assert_eq!(ranked.len(), 6);
    }
}
