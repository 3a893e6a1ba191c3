//! How services stood over time, for whoever drives the engine and has to say afterwards why
//! something was told or not: the path of each, and closer looks at the instants that tell most.

mod silences;

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::engine::alert::{Alert, MovedSignal, NamedCause, Severity, State};
use crate::engine::appraise::{Appraisal, Reach};
use crate::engine::correlate::FINDING_MIN;
use crate::engine::stirs::STIR_MIN;
use crate::time::{Span, Timestamp};

pub use silences::{Kept, Silences};

/// Below this share of a notice a service is at rest: what it does next is told anew.
const REST_MAX: f64 = 0.3;
/// Looks kept per service; more are counted.
const LOOKS_MAX: usize = 24;
/// Points of a path kept, the first ones: two weeks.
const PATH_MAX: usize = 4_032;
/// A signal that was not seen to move for this long is seen anew.
const PAUSE: Span = Span::from_hours(1);
/// Sights kept, per service.
const SIGHTS_MAX: usize = 64;

/// How the services of one fleet stood over time.
#[derive(Clone, Debug, Default)]
pub struct Courses {
    /// By service.
    pub all: BTreeMap<String, Course>,
    /// Whether looks weigh causes too, which costs a diagnosis each.
    weigh: bool,
    /// Up to when blocks were looked at.
    until: Option<Timestamp>,
}

/// How one service stood over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// Every closed block at which it could be judged, in order.
    pub path: Vec<Point>,
    /// The instants that tell most, in order.
    pub looks: Vec<Look>,
    /// Looks left out because there were too many.
    pub more: usize,
    /// The instant at which it was, or would have been, nearest to being told.
    pub peak: Option<Look>,
    /// When its users were beyond their objective for a quarter of an hour, as signals show.
    pub users: Option<Timestamp>,
    /// The signals that were seen to move, in order.
    pub sights: Vec<Sight>,
    /// The highest band since it was last at rest.
    band: u8,
}

/// How far a service was at a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The tick that closed the block.
    pub at: Timestamp,
    /// Over its heights.
    pub reach: Reach,
}

/// A closer look at a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The tick that closed the block.
    pub at: Timestamp,
    /// Why it was worth one.
    pub occasion: Occasion,
    /// How it stood.
    pub appraisal: Appraisal,
    /// Causes considered, most probable first; none where nothing moved or they were not asked for.
    pub causes: Vec<NamedCause>,
}

/// Why an instant was worth a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The first block.
    Begins,
    /// It came near to a notice.
    Stirs,
    /// It went beyond the height of a notice, or would have if nothing had been held.
    Notice,
    /// It went beyond the height of an alert.
    Alert,
    /// An alert was told.
    Told(State, Severity),
    /// It was nearest to being told.
    Strongest,
    /// The last block.
    Ends,
}

/// A signal that was seen to move, for as long as it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// The tick that closed the block that showed it first.
    pub at: Timestamp,
    /// The same for the newest such block.
    pub until: Timestamp,
    /// What it did at first, with its onset as far as was known then.
    pub signal: MovedSignal,
    /// When it began, as was known last.
    pub onset: Timestamp,
    /// Where the onset can lie, as was known last.
    pub onset_range: [Timestamp; 2],
}

impl Courses {
    /// Nothing was seen yet; with `weigh`, looks weigh causes too.
    pub fn new(weigh: bool) -> Self {
        Self { weigh, ..Self::default() }
    }

    /// Takes in a tick, after the engine did. Cost: O(series) when a block has closed.
    pub fn take(&mut self, engine: &Engine, alerts: &[Alert]) {
        let (Some(until), Some(now)) = (engine.judged_until(), engine.now()) else { return };
        // At first only a block that closes now is news: the one before was judged before anybody
        // watched.
        let seen = self.until.unwrap_or(now);
        if until <= seen && alerts.is_empty() {
            return;
        }
        self.until = Some(until);
        let names: Vec<String> = engine.services().map(str::to_owned).collect();
        for name in names {
            let told = alerts.iter().rev().find(|alert| alert.services.contains(&name));
            let course = self.all.entry(name.clone()).or_default();
            course.take(engine, &name, told, self.weigh);
        }
    }

    /// The last tick was taken: looks at every service once more.
    pub fn end(&mut self, engine: &Engine) {
        for (name, course) in &mut self.all {
            let Some(appraisal) = engine.appraise(name) else { continue };
            let diagnosis = if self.weigh { engine.explain(name) } else { None };
            let causes = diagnosis.map(|d| d.causes).unwrap_or_default();
            let (at, occasion) = (engine.now().unwrap_or(appraisal.at), Occasion::Ends);
            course.looks.push(Look { at, occasion, appraisal, causes });
        }
    }
}

impl Course {
    fn take(&mut self, engine: &Engine, name: &str, told: Option<&Alert>, weigh: bool) {
        let Some(at) = engine.now() else { return };
        let first = self.looks.is_empty();
        let judged = engine.reach(name);
        let reach = judged.unwrap_or_default();
        let potential = reach.potential();
        let strongest = self.peak_potential().is_none_or(|peak| peak < potential);
        let occasion = self.occasion(&reach, told).or(first.then_some(Occasion::Begins));
        if judged.is_some() && self.path.len() < PATH_MAX {
            self.path.push(Point { at, reach });
        }
        if self.users.is_none() && engine.users_notice(name) {
            self.users = Some(at);
        }
        // At rest nothing is seen; most services are, most of the time.
        if !strongest && occasion.is_none() && potential <= REST_MAX {
            return;
        }
        let Some(appraisal) = engine.appraise(name) else { return };
        self.remember_sights(at, &appraisal);
        if strongest || occasion.is_some() {
            let causes = match told {
                Some(alert) => alert.causes.clone(),
                None if weigh => engine.explain(name).map(|d| d.causes).unwrap_or_default(),
                None => Vec::new(),
            };
            let look = |occasion| Look {
                at,
                occasion,
                appraisal: appraisal.clone(),
                causes: causes.clone(),
            };
            if strongest {
                self.peak = Some(look(Occasion::Strongest));
            }
            match occasion {
                Some(occasion) if self.looks.len() < LOOKS_MAX => self.looks.push(look(occasion)),
                Some(_) => self.more += 1,
                None => {}
            }
        }
    }

    fn peak_potential(&self) -> Option<f64> {
        let peak = self.peak.as_ref()?;
        Some(peak.appraisal.reach.map_or(0.0, |reach| reach.potential()))
    }

    /// What makes a block worth a look, if anything.
    fn occasion(&mut self, reach: &Reach, told: Option<&Alert>) -> Option<Occasion> {
        let (band, occasion) = match reach.potential() {
            _ if reach.alert() >= 1.0 => (3, Some(Occasion::Alert)),
            1.0.. => (2, Some(Occasion::Notice)),
            STIR_MIN.. => (1, Some(Occasion::Stirs)),
            rest if rest <= REST_MAX => (0, None),
            _ => (self.band, None),
        };
        let risen = self.band < band;
        self.band = if band == 0 { 0 } else { self.band.max(band) };
        match told {
            Some(alert) => Some(Occasion::Told(alert.state, alert.severity)),
            None => occasion.filter(|_| risen),
        }
    }

    fn remember_sights(&mut self, at: Timestamp, appraisal: &Appraisal) {
        let counted = appraisal.moves.iter().filter(|one| one.held.is_none());
        for one in counted.filter(|one| FINDING_MIN <= one.score) {
            let (signal, onset, onset_range) = (&one.signal, one.signal.onset, one.onset_range);
            let goes_on = |sight: &&mut Sight| {
                sight.signal.signal == signal.signal
                    && sight.signal.labels == signal.labels
                    && at - sight.until <= PAUSE
            };
            let full = self.sights.len() >= SIGHTS_MAX;
            match self.sights.iter_mut().find(goes_on) {
                Some(sight) => {
                    (sight.until, sight.onset, sight.onset_range) = (at, onset, onset_range);
                }
                None if full => {}
                None => {
                    let signal = signal.clone();
                    self.sights.push(Sight { at, until: at, signal, onset, onset_range });
                }
            }
        }
    }

    /// The looks in order, the one at the peak among them.
    pub fn timeline(&self) -> Vec<&Look> {
        let mut all: Vec<&Look> = self.looks.iter().collect();
        if let Some(peak) = &self.peak
            && all.iter().all(|look| look.at != peak.at)
        {
            all.push(peak);
        }
        all.sort_by_key(|look| look.at);
        all
    }
}
