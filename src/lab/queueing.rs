//! Formulas: waiting in line, moments of durations, retries, and a first-in first-out backlog.
//!
//! Durations are carried as two moments and read as lognormal ones where a quantile or a tail is
//! needed. That is Fenton's and Wilkinson's approximation for sums of lognormals (L. F. Fenton,
//! 1960, IRE Trans. Commun. Syst. 8(1):57–67): the tail follows its parts without simulating
//! single requests.

use std::collections::VecDeque;

/// z of the 99th percentile of the standard normal distribution.
pub const Z_99: f64 = 2.326_347_874;

/// Utilisation up to which the steady-state formulas are asked; work beyond it is carried as an
/// explicit backlog, because a queue that grows has no steady state.
pub const UTILISATION_MAX: f64 = 0.98;

/// First two moments of a duration that is never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Expectation in seconds.
    pub mean: f64,
    /// Variance in seconds squared.
    pub var: f64,
}

impl Moments {
    /// A duration with this mean and this ratio of standard deviation to mean.
    pub fn spread(mean: f64, cv: f64) -> Self {
        Self { mean, var: (mean * cv).powi(2) }
    }

    /// The sum of this and an independent duration.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { mean: self.mean + other.mean, var: self.var + other.var }
    }

    /// The sum of `n` independent durations like this one.
    #[must_use]
    pub fn times(self, n: f64) -> Self {
        Self { mean: self.mean * n, var: self.var * n }
    }

    /// This duration, `factor` times as long.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { mean: self.mean * factor, var: self.var * factor * factor }
    }

    /// The duration of which a `share` is this one and the rest is `other`.
    #[must_use]
    pub fn mixed(self, share: f64, other: Self) -> Self {
        let mean = share * self.mean + (1.0 - share) * other.mean;
        let square = share * (self.var + self.mean * self.mean)
            + (1.0 - share) * (other.var + other.mean * other.mean);
        Self { mean, var: (square - mean * mean).max(0.0) }
    }

    /// μ and σ of the lognormal distribution with these moments; `None` for a constant.
    fn lognormal(self) -> Option<(f64, f64)> {
        if !(self.mean > 0.0 && self.var > 0.0) {
            return None;
        }
        let sigma_squared = (self.var / (self.mean * self.mean)).ln_1p();
        Some((self.mean.ln() - sigma_squared / 2.0, sigma_squared.sqrt()))
    }

    /// The quantile at the standard normal deviate `z`, in seconds; 0 is the median.
    pub fn quantile(self, z: f64) -> f64 {
        self.lognormal().map_or(self.mean, |(mu, sigma)| (mu + z * sigma).exp())
    }

    /// The share of durations longer than `limit` seconds.
    pub fn beyond(self, limit: f64) -> f64 {
        match self.lognormal() {
            Some((mu, sigma)) => normal_tail((limit.ln() - mu) / sigma),
            None => f64::from(self.mean > limit),
        }
    }

    /// The moments of the shorter of this duration and `limit` seconds.
    ///
    /// The limited expected values of the lognormal distribution (S. A. Klugman, H. H. Panjer,
    /// G. E. Willmot, Loss Models, appendix A).
    #[must_use]
    pub fn cut(self, limit: f64) -> Self {
        let Some((mu, sigma)) = self.lognormal() else {
            return Self { mean: self.mean.min(limit), var: self.var };
        };
        let z = (limit.ln() - mu) / sigma;
        let over = normal_tail(z);
        let mean = self.mean * (1.0 - normal_tail(z - sigma)) + limit * over;
        let square = (self.var + self.mean * self.mean) * (1.0 - normal_tail(z - 2.0 * sigma))
            + limit * limit * over;
        Self { mean, var: (square - mean * mean).max(0.0) }
    }
}

/// P(Z > z) of the standard normal distribution, within 1.5e-7 absolutely.
///
/// M. Abramowitz, I. A. Stegun (1964), Handbook of Mathematical Functions, 7.1.26.
fn normal_tail(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736
                + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let upper = 0.5 * poly * (-x * x).exp();
    if z < 0.0 { 1.0 - upper } else { upper }
}

/// How long arrivals wait for one of several servers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wait {
    /// Busy share of the servers; above 1 when more arrives than they can do.
    pub utilisation: f64,
    /// Share of the arrivals that find every server busy.
    pub waiting: f64,
    /// Wait over all arrivals, those that do not wait included.
    pub time: Moments,
    /// 99th percentile of the wait in seconds; 0 when fewer than 1 % wait.
    pub p99: f64,
}

/// Waiting in an M/G/c queue at `arrivals` per second.
///
/// P(wait) ≈ ρ^(√(2(c+1)) − 1) (H. Sakasegawa, 1977, Ann. Inst. Statist. Math. 29(1):67–75); those
/// who wait do so exponentially at rate c(1 − ρ)/S, scaled by (1 + Cs²)/2 (A. O. Allen, 1990,
/// Probability, Statistics, and Queueing Theory, the Allen–Cunneen formula). Beyond
/// [`UTILISATION_MAX`] the wait is that of the bound. Without servers nobody is ever served: the
/// utilisation is infinite.
pub fn wait(arrivals: f64, service: Moments, servers: f64) -> Wait {
    let offered = arrivals * service.mean;
    if offered <= 0.0 {
        let time = Moments::default();
        return Wait { utilisation: 0.0, waiting: 0.0, time, p99: 0.0 };
    }
    let utilisation = if servers > 0.0 { offered / servers } else { f64::INFINITY };
    let rho = utilisation.min(UTILISATION_MAX);
    // A pool that shrank below one server still answers like one that is slower.
    let (servers, slowed) = if servers < 1.0 { (1.0, servers.max(0.01)) } else { (servers, 1.0) };
    let waiting = rho.powf((2.0 * (servers + 1.0)).sqrt() - 1.0);
    let variation = f64::midpoint(1.0, service.var / (service.mean * service.mean));
    let each = service.mean * variation / (servers * slowed * (1.0 - rho));
    let mean = waiting * each;
    let time = Moments { mean, var: (2.0 * waiting * each * each - mean * mean).max(0.0) };
    let p99 = if waiting > 0.01 { (waiting / 0.01).ln() * each } else { 0.0 };
    Wait { utilisation, waiting, time, p99 }
}

/// A line on its way to its steady state.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line {
    time: Moments,
    p99: f64,
}

impl Line {
    /// Lets `seconds` pass in an M/G/c queue and returns the wait that it has come to.
    ///
    /// A line that is nearly full takes long to grow and to shrink: it approaches its steady
    /// state with the time constant (1 + Cs²) / (2.8·cμ·(1 − √ρ)²) (A. R. Odoni, E. Roth, 1983,
    /// Oper. Res. 31(3):432–455, with c servers as one that is c times as fast). Without that a
    /// single step near saturation would bring the wait of hours near saturation.
    pub fn settle(&mut self, arrivals: f64, service: Moments, servers: f64, seconds: f64) -> Wait {
        let steady = wait(arrivals, service, servers);
        let rho = steady.utilisation.min(UTILISATION_MAX);
        let variation = 1.0 + service.var / (service.mean * service.mean).max(f64::MIN_POSITIVE);
        let room = (1.0 - rho.sqrt()).powi(2);
        let tau = variation * service.mean / (2.8 * servers.max(0.01) * room);
        let kept = (-seconds / tau.max(f64::MIN_POSITIVE)).exp();
        let blend = |old: f64, new: f64| new + kept * (old - new);
        self.time = Moments {
            mean: blend(self.time.mean, steady.time.mean),
            var: blend(self.time.var, steady.time.var),
        };
        self.p99 = blend(self.p99, steady.p99);
        Wait { time: self.time, p99: self.p99, ..steady }
    }
}

/// What a fluid backlog did in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// Finished per second.
    pub served: f64,
    /// Given up per second, because the wait was longer than callers' patience.
    pub abandoned: f64,
    /// Seconds that an arrival waits behind the backlog.
    pub delay: f64,
}

/// Moves a fluid `backlog` of work on by `seconds`: `arrivals` come in and at most `capacity` goes
/// out per second; what would wait longer than `patience` seconds leaves.
pub fn flow(backlog: &mut f64, arrivals: f64, capacity: f64, patience: f64, seconds: f64) -> Flow {
    let offered = *backlog + arrivals * seconds;
    let served = offered.min(capacity * seconds);
    let left = offered - served;
    *backlog = left.min(capacity * patience);
    let abandoned = left - *backlog;
    let delay = if *backlog > 0.0 { *backlog / capacity } else { 0.0 };
    Flow { served: served / seconds, abandoned: abandoned / seconds, delay }
}

/// How a client calls: its patience and its persistence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Seconds until an attempt is given up.
    pub timeout: f64,
    /// Attempts after the first.
    pub retries: u32,
    /// Retries per call that the client allows itself over all calls; infinite without a budget.
    pub budget: f64,
    /// Seconds between two attempts.
    pub backoff: f64,
}

/// What a client makes of a dependency.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Calls {
    /// Attempts per call, 1 or more.
    pub attempts: f64,
    /// Failed share of the attempts.
    pub failing: f64,
    /// Failed share of the calls, after all their attempts.
    pub failed: f64,
    /// Duration of a call, all attempts together.
    pub time: Moments,
}

/// Calls of a dependency whose attempts take `attempt` and fail at once in a `refused` share.
///
/// Attempts are taken as independent of one another, so that retries form a geometric series cut
/// off at the policy's limit; a budget thins every term of it alike.
pub fn calls(attempt: Moments, refused: f64, policy: &Policy) -> Calls {
    let failing = 1.0 - (1.0 - refused) * (1.0 - attempt.beyond(policy.timeout));
    let (mut retries, mut square, mut all) = (0.0, 0.0, 1.0);
    for k in 1..=policy.retries {
        all *= failing;
        retries += all;
        square += f64::from(2 * k - 1) * all;
    }
    let kept = if retries > policy.budget { policy.budget / retries } else { 1.0 };
    let (extra, square) = (retries * kept, square * kept);
    let each = attempt.cut(policy.timeout);
    let mean = (1.0 + extra) * each.mean + extra * policy.backoff;
    let between = (square - extra * extra).max(0.0) * (each.mean + policy.backoff).powi(2);
    Calls {
        attempts: 1.0 + extra,
        failing,
        failed: failing * (1.0 - kept) + kept * all * failing,
        time: Moments { mean, var: (1.0 + extra) * each.var + between },
    }
}

/// Share of arrivals that a limiter of `limit` per second refuses, where arrivals are Poisson
/// within each second: the mean overshoot of a normal variable with mean and variance `arrivals`.
pub fn refused_by_limit(arrivals: f64, limit: f64) -> f64 {
    if arrivals <= 0.0 {
        return 0.0;
    }
    let sd = arrivals.sqrt();
    let z = (limit - arrivals) / sd;
    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    (sd * (density - z * normal_tail(z)) / arrivals).clamp(0.0, 1.0)
}

/// Cohorts that a [`Fifo`] keeps; at one per step of ten seconds this is four days.
pub const COHORTS_MAX: usize = 34_560;

/// A first-in first-out queue of indistinguishable items, in cohorts by time of arrival.
#[derive(Clone, Debug, Default)]
pub struct Fifo {
    /// (seconds since the start, items), oldest first.
    cohorts: VecDeque<(f64, f64)>,
    /// Items that wait.
    waiting: f64,
    /// Items that ever came in.
    enqueued: f64,
    /// Items that were ever finished.
    done: f64,
    /// Items dropped because the queue was full.
    dropped: f64,
}

impl Fifo {
    /// Adds `items` at `now` seconds. In a full queue the oldest cohort is dropped and counted.
    pub fn push(&mut self, now: f64, items: f64) {
        self.enqueued += items;
        self.waiting += items;
        self.cohorts.push_back((now, items));
        if self.cohorts.len() > COHORTS_MAX
            && let Some((_, lost)) = self.cohorts.pop_front()
        {
            self.dropped += lost;
            self.waiting -= lost;
        }
    }

    /// Finishes up to `items`, oldest first, and returns how many were there.
    pub fn take(&mut self, items: f64) -> f64 {
        let mut rest = items;
        while let Some(front) = self.cohorts.front_mut() {
            if front.1 > rest {
                front.1 -= rest;
                rest = 0.0;
                break;
            }
            rest -= front.1;
            self.cohorts.pop_front();
        }
        let taken = items - rest;
        self.done += taken;
        self.waiting = if self.cohorts.is_empty() { 0.0 } else { self.waiting - taken };
        taken
    }

    /// Seconds that the oldest item has waited at `now`; 0 when empty.
    pub fn age(&self, now: f64) -> f64 {
        self.cohorts.front().map_or(0.0, |(at, _)| now - at)
    }

    /// Items that wait.
    pub const fn waiting(&self) -> f64 {
        self.waiting
    }

    /// Items that ever came in, were finished, and were dropped.
    pub const fn totals(&self) -> (f64, f64, f64) {
        (self.enqueued, self.done, self.dropped)
    }
}

#[cfg(test)]
#[path = "queueing_tests.rs"]
mod tests;
