//! A service as interchangeable instances: processor, threads, memory, and what a request costs.

use super::noise::{Dice, Wander};
use super::pressure::MEBIBYTE;
use super::queueing::{Line, Moments, flow};

/// Megabytes that survive a request for a while and that only a full collection frees.
const PROMOTED_MIB: f64 = 0.15;
/// Seconds that a full collection stops an instance, per byte that is live: 1 s per gibibyte.
const PAUSE_PER_BYTE: f64 = 1.0 / (1_024.0 * MEBIBYTE);
/// How much longer a request keeps a processor when every core is busy: cores share caches and
/// memory bandwidth.
const CONTENTION: f64 = 0.5;
/// Largest share of its time that an instance can collect garbage.
const COLLECTING_MAX: f64 = 0.95;
/// Share of the memory limit at which the kernel kills an instance.
pub(super) const MEMORY_KILL: f64 = 0.985;

/// What a service is made of and what one request costs it.
#[derive(Debug)]
pub(super) struct Spec {
    /// Value of the `service` label.
    pub(super) name: &'static str,
    /// How many instances.
    pub(super) instances: usize,
    /// Requests that one instance works on at a time.
    pub(super) threads: f64,
    /// Processor cores of one instance.
    pub(super) cores: f64,
    /// Processor seconds per request.
    pub(super) cpu: f64,
    /// Seconds per request that a thread waits for what the fleet does not contain: a disk, a
    /// bank, a mail server.
    pub(super) elsewhere: f64,
    /// Ratio of standard deviation to mean of both.
    pub(super) cv: f64,
    /// Live mebibytes of an idle instance.
    pub(super) memory_mib: f64,
    /// Live mebibytes per request per second.
    pub(super) memory_per_rate_mib: f64,
    /// Mebibytes at which an instance is killed; infinite where nothing collects garbage.
    pub(super) memory_limit_mib: f64,
    /// Log lines per request.
    pub(super) lines: f64,
    /// Seconds that callers are willing to wait in line.
    pub(super) patience: f64,
    /// Share of requests that fail on a good day.
    pub(super) errors: f64,
    /// Benign deploys per week.
    pub(super) deploys_per_week: f64,
    /// Days between two benign restarts of one instance, on average.
    pub(super) restart_days: f64,
}

/// One instance.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// Number of the version that it runs.
    pub(super) version: u32,
    /// Seconds until it is back from a restart; 0 while it is up.
    pub(super) down: f64,
    /// Bytes kept by a leak since the last start.
    pub(super) leaked: f64,
    /// Hit share of its cache.
    pub(super) hit: f64,
    /// Share of lookups that find an entry which it cannot read.
    pub(super) unreadable: f64,
    /// Requests that wait for a core.
    for_core: Line,
    /// Requests that wait for a thread.
    for_thread: Line,
    /// Requests that wait beyond what the steady state explains.
    backlog: f64,
    /// Live bytes.
    pub(super) memory: f64,
    /// Busy share of its cores, garbage collection included.
    pub(super) cpu: f64,
    /// Share of its time that goes to collecting garbage.
    pub(super) collecting: f64,
    /// Busy share of its disk.
    pub(super) disk: f64,
    /// Threads that it may use.
    pub(super) threads: f64,
    /// Threads in use: throughput times holding time.
    pub(super) working: f64,
    /// Requests finished per second.
    pub(super) served: f64,
    /// Time of a request on this instance, without what it waits for elsewhere in the fleet.
    pub(super) own: Moments,
    /// The whole time of a request as its callers see it.
    pub(super) time: Moments,
}

/// What one request costs at this moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// Processor time.
    pub(super) cpu: Moments,
    /// What a thread is held for while it waits for others.
    pub(super) held: Moments,
    /// Multiplies the memory that a request takes.
    pub(super) kept: f64,
}

impl Instance {
    pub(super) fn is_up(&self) -> bool {
        self.down <= 0.0
    }

    /// Works on `arrivals` per second for `seconds` and returns the abandoned per second.
    pub(super) fn serve(&mut self, spec: &Spec, arrivals: f64, work: &Work, seconds: f64) -> f64 {
        self.memory = (spec.memory_mib + spec.memory_per_rate_mib * work.kept * arrivals)
            * MEBIBYTE
            + self.leaked;
        let (collecting, pause) = collections(spec, self.memory, arrivals);
        let threads = self.threads;
        // Collecting takes its share of the cores, so the rest is as if each request cost more.
        let busy = (arrivals * work.cpu.mean / spec.cores).min(1.0);
        let slowed = (1.0 + CONTENTION * busy) / (1.0 - collecting);
        let cpu = Moments { mean: work.cpu.mean * slowed, var: work.cpu.var * slowed * slowed };
        let processor = self.for_core.settle(arrivals, cpu, spec.cores, seconds);
        let residence = processor.time.plus(cpu).plus(pause);
        let thread = self.for_thread.settle(arrivals, residence.plus(work.held), threads, seconds);
        let capacity =
            (spec.cores / cpu.mean).min(threads / (cpu.mean + pause.mean + work.held.mean));
        let moved = flow(&mut self.backlog, arrivals, capacity, spec.patience, seconds);
        let line = Moments { mean: moved.delay, var: 0.0 };
        self.own = thread.time.plus(line).plus(residence);
        self.time = self.own.plus(work.held);
        self.served = moved.served;
        self.cpu = (processor.utilisation + collecting).min(1.0);
        self.collecting = collecting;
        self.working = (moved.served * (residence.mean + work.held.mean)).min(threads);
        moved.abandoned
    }

    /// Starts anew: memory and cache are lost, and for `seconds` nothing is served.
    pub(super) fn restart(&mut self, seconds: f64) {
        self.down = seconds;
        self.leaked = 0.0;
        self.unreadable = 0.0;
        self.hit = super::blueprint::HIT_COLD;
        (self.for_core, self.for_thread, self.backlog) = (Line::default(), Line::default(), 0.0);
        self.served = 0.0;
    }
}

/// Share of time spent in full collections, and what they add to one request.
///
/// A full collection is due whenever the space that is left has filled up, and takes as long as
/// there is live memory to walk: the cost of a tracing collector grows as live / free does
/// (R. Jones, A. Hosking, E. Moss, The Garbage Collection Handbook, section 10.3).
fn collections(spec: &Spec, live: f64, arrivals: f64) -> (f64, Moments) {
    let limit = spec.memory_limit_mib * MEBIBYTE;
    if !limit.is_finite() {
        return (0.0, Moments::default());
    }
    let free = (limit - live).max(0.005 * limit);
    let pause = live * PAUSE_PER_BYTE;
    let per_second = arrivals * PROMOTED_MIB * MEBIBYTE / free;
    let share = (per_second * pause).min(COLLECTING_MAX);
    let hit = (per_second * (pause + spec.cpu + spec.elsewhere)).min(1.0);
    // A request meets a pause at a uniform point of it.
    let rest = Moments { mean: pause / 2.0, var: pause * pause / 12.0 };
    (share, rest.mixed(hit, Moments::default()))
}

/// Expected events since the last scrape.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Requests.
    pub(super) requests: f64,
    /// Requests that failed.
    pub(super) errors: f64,
    /// Restarts that nobody asked for.
    pub(super) restarts: f64,
}

/// A rollout under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rollout {
    /// Number of the version that is rolled out.
    pub(super) to: u32,
    /// Instance that comes next.
    pub(super) next: usize,
    /// Seconds until it does.
    pub(super) wait: f64,
    /// Seconds between two instances.
    pub(super) every: f64,
}

/// A service.
#[derive(Clone, Debug)]
pub(super) struct Tier {
    /// What it is made of.
    pub(super) spec: &'static Spec,
    /// Its instances.
    pub(super) instances: Vec<Instance>,
    /// Number of the newest version that was ever built.
    pub(super) built: u32,
    /// The rollout under way.
    pub(super) rollout: Option<Rollout>,
    wander: Wander,
    /// What a request costs now, relative to the usual.
    pub(super) level: f64,
    /// Requests per second that arrive.
    pub(super) arrivals: f64,
    /// Requests per second that end well.
    pub(super) good: f64,
    /// Share of the arrivals that are worked on; the rest is given up in line.
    pub(super) accepted: f64,
    /// Time of a request over all instances.
    pub(super) time: Moments,
    /// For the next scrape.
    pub(super) tally: Tally,
}

impl Tier {
    pub(super) fn new(spec: &'static Spec, version: u32, dice: &mut Dice) -> Self {
        let instance = Instance {
            version,
            down: 0.0,
            leaked: 0.0,
            hit: super::blueprint::HIT_WARM,
            unreadable: 0.0,
            for_core: Line::default(),
            for_thread: Line::default(),
            backlog: 0.0,
            memory: spec.memory_mib * MEBIBYTE,
            cpu: 0.0,
            collecting: 0.0,
            disk: 0.0,
            threads: spec.threads,
            working: 0.0,
            served: 0.0,
            own: Moments::default(),
            time: Moments::default(),
        };
        Self {
            spec,
            instances: vec![instance; spec.instances],
            built: version,
            rollout: None,
            wander: Wander::new(dice, 0.025, 0.03),
            level: 1.0,
            arrivals: 0.0,
            good: 0.0,
            accepted: 1.0,
            time: Moments::default(),
            tally: Tally::default(),
        }
    }

    /// Lets the cost of a request wander.
    pub(super) fn wander(&mut self, dice: &mut Dice, seconds: f64) {
        self.level = self.wander.step(dice, seconds);
    }

    /// What a request costs on a good day, at this hour's level; `slower` multiplies the time
    /// spent outside the fleet.
    pub(super) fn work(&self, slower: f64) -> Work {
        let spec = self.spec;
        Work {
            cpu: Moments::spread(spec.cpu * self.level, spec.cv),
            held: Moments::spread(spec.elsewhere * self.level * slower, spec.cv),
            kept: 1.0,
        }
    }

    /// Spreads `arrivals` per second over the instances that are up for `seconds`; `work` says
    /// what a request costs on each, by its number.
    pub(super) fn serve(
        &mut self,
        arrivals: f64,
        seconds: f64,
        work: impl Fn(usize, &Instance, Work) -> Work,
    ) {
        self.serve_slowed(arrivals, seconds, 1.0, work);
    }

    /// Like [`Tier::serve`], with the time spent outside the fleet multiplied by `slower`.
    pub(super) fn serve_slowed(
        &mut self,
        arrivals: f64,
        seconds: f64,
        slower: f64,
        work: impl Fn(usize, &Instance, Work) -> Work,
    ) {
        self.arrivals = arrivals;
        let usual = self.work(slower);
        let up = self.instances.iter().filter(|i| i.is_up()).count();
        let each = arrivals / up.max(1) as f64;
        let (mut lost, mut time, mut seen) = (0.0, Moments::default(), 0.0);
        for (n, instance) in self.instances.iter_mut().enumerate().filter(|(_, i)| i.is_up()) {
            let work = work(n, instance, usual);
            lost += instance.serve(self.spec, each, &work, seconds);
            seen += 1.0;
            time = instance.time.mixed(1.0 / seen, time);
        }
        self.time = time;
        let share = if arrivals > 0.0 { lost / arrivals } else { 0.0 };
        self.accepted = if up == 0 { 0.0 } else { (1.0 - share).max(0.0) };
    }

    /// Counts what this step brought: a `failed` share of the arrivals went wrong.
    pub(super) fn count(&mut self, failed: f64, seconds: f64) {
        let failed = failed.clamp(0.0, 1.0);
        self.good = self.arrivals * (1.0 - failed);
        self.tally.requests += self.arrivals * seconds;
        self.tally.errors += self.arrivals * failed * seconds;
    }
}
