//! Seeded chance: what makes a simulated day look like a day in production.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, Poisson, StandardNormal};

/// A seeded source of chance. Each concern has a stream of its own, so that a fault does not
/// change the weather: runs with and without it see the same traffic, deploys and gauge noise.
#[derive(Clone, Debug)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The given stream of the given seed.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(generator)
    }

    /// Uniform in (0, 1), both ends excluded.
    pub(super) fn uniform(&mut self) -> f64 {
        (f64::from(self.0.next_u32()) + 0.5) / 4_294_967_296.0
    }

    /// Student's t with four degrees of freedom, scaled to variance 1: heavy tails, as
    /// production noise has them.
    ///
    /// The quantile function in closed form: W. T. Shaw (2006), J. Comput. Finance 9(4):37–73.
    pub(super) fn t4(&mut self) -> f64 {
        let p = self.uniform();
        let root = (4.0 * p * (1.0 - p)).sqrt();
        let q = (root.acos() / 3.0).cos() / root;
        // t4 has variance 2: 2·√(q − 1) / √2.
        (2.0 * (q - 1.0).max(0.0)).sqrt().copysign(p - 0.5)
    }

    /// Standard normal.
    pub(super) fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// Uniform between two numbers.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Exponential with this mean: the time to the next of rare events.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        let unit: f64 = Exp1.sample(&mut self.0);
        unit * mean
    }

    /// A count of events of which `mean` are expected.
    pub(super) fn count(&mut self, mean: f64) -> f64 {
        if mean > 0.0 { Poisson::new(mean).map_or(0.0, |p| p.sample(&mut self.0)) } else { 0.0 }
    }

    /// One of the first `n` numbers, all alike; 0 of none.
    pub(super) fn index(&mut self, n: usize) -> usize {
        self.0.next_u32() as usize % n.max(1)
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }
}

/// A level that wanders on the scales of an hour and of a day: two Ornstein–Uhlenbeck processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wander {
    /// Standard deviation of each scale, in log units.
    sd: [f64; 2],
    /// Where each scale is, in units of its standard deviation.
    at: [f64; 2],
}

/// How fast each scale of [`Wander`] forgets, in seconds.
const WANDER_TAU: [f64; 2] = [3_600.0, 86_400.0];

/// Largest excursion of one scale of [`Wander`] in standard deviations. The fat tails of the
/// innovations would otherwise, once in years, make an incident that nobody planned.
const WANDER_MAX: f64 = 4.0;

impl Wander {
    /// A wanderer somewhere on its way.
    pub(super) fn new(dice: &mut Dice, sd_hour: f64, sd_day: f64) -> Self {
        let mut start = || dice.t4().clamp(-WANDER_MAX, WANDER_MAX);
        Self { sd: [sd_hour, sd_day], at: [start(), start()] }
    }

    /// Moves on by `seconds` and returns the factor that it stands for, 1 on average.
    pub(super) fn step(&mut self, dice: &mut Dice, seconds: f64) -> f64 {
        let mut log = 0.0;
        for ((at, sd), tau) in self.at.iter_mut().zip(self.sd).zip(WANDER_TAU) {
            let keep = (-seconds / tau).exp();
            let moved = *at * keep + (1.0 - keep * keep).sqrt() * dice.t4();
            *at = moved.clamp(-WANDER_MAX, WANDER_MAX);
            log += *at * sd;
        }
        log.exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t4_has_variance_one_and_heavy_tails() {
        let mut dice = Dice::new(1, 0);
        let draws: Vec<f64> = (0..200_000).map(|_| dice.t4()).collect();
        let n = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / n;
        assert!(mean.abs() < 0.01, "{mean}");
        // The tables' 99.5 % point of t with 4 degrees of freedom is 4.604, here over √2.
        let beyond = draws.iter().filter(|x| x.abs() > 4.604_095 / 2.0_f64.sqrt()).count() as f64;
        assert!((beyond / n - 0.01).abs() < 0.001, "{beyond}");
    }

    #[test]
    fn streams_differ_and_seeds_repeat() {
        let draw = |seed, stream| Dice::new(seed, stream).uniform().to_bits();
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        assert_ne!(draw(7, 1), draw(8, 1));
    }

    #[test]
    fn a_wanderer_stays_near_its_level_and_remembers() {
        let mut dice = Dice::new(3, 0);
        let mut wander = Wander::new(&mut dice, 0.05, 0.05);
        let walk: Vec<f64> = (0..50_000).map(|_| wander.step(&mut dice, 60.0).ln()).collect();
        let n = walk.len() as f64;
        let mean = walk.iter().sum::<f64>() / n;
        let var = walk.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let lag = walk.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>() / n;
        assert!(mean.abs() < 0.04, "{mean}");
        assert!((0.04..0.10).contains(&var.sqrt()), "{}", var.sqrt());
        assert!(lag / var > 0.95, "a minute later it is nearly where it was: {}", lag / var);
    }
}
