//! The pure core: time and data in, decisions out.
//!
//! [`Engine::step`] is the only way in, for live polling, replay and rule tests alike. Nothing
//! in this folder reads a clock, a file, a socket, the environment or a random source, and
//! nothing logs: silences are reported in the [`Outcome`] with their reasons.
//!
//! The stages, in the order in which data passes them:
//! `open` (samples of a tick) → `track` (ticks to blocks; old ones go to the `archive`) → `peers`
//! (who is apart) → `baseline` (what is expected) → `detect` (how far off) → `vote` and `service`
//! (all signals of one; `learn` says what is usual) → `correlate` (what belongs together) →
//! `breakdown` (whose) → `diagnose` (why) → `lifecycle` (what to tell).

mod adopt;
pub mod alert;
pub mod changes;
pub mod chart;
pub mod grid;
pub mod outcome;

pub mod maintenance;

pub mod archive;
pub mod history;
pub mod transform;

pub mod baseline;

pub mod detect;
pub mod open;
pub mod peer;
pub mod places;
pub mod track;

pub mod peers;

pub mod vote;

pub mod stirs;

pub mod service;

mod learn;

pub mod calendar;
pub mod correlate;
pub mod forecast;

pub mod breakdown;
mod experience;
pub mod past;

pub mod diagnose;

pub mod lifecycle;

pub mod appraise;
mod controllers;
mod creep;
mod draw;
mod explain;
mod feedback;
mod headline;
mod incidents;
mod message;
mod naming;
pub mod overview;
mod questions;
mod relevel;
mod scores;
pub mod silent;
pub mod snapshot;
mod users;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::rules::Rules;
use crate::series::{Batch, Change};
use crate::time::{Span, Timestamp};

use archive::{Archive, ArchiveError, MemoryArchive, RUN_BLOCKS, run_of};
use baseline::Load;
use breakdown::Breakdowns;
use calendar::Calendar;
use correlate::Graph;
use detect::budget::{Servo, Standing};
use forecast::Outlook;
use grid::{BLOCK, PER_DAY, PER_HOUR, WallClock, block_of, block_start, blocks_in};
use learn::Window;
use lifecycle::Incident;
use outcome::{Outcome, Silence};
use past::Past;
use service::Service;
use track::Tracks;

/// What a user sets and the engine needs beside the rules.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The tick interval.
    pub interval: Span,
    /// How far back baselines learn.
    pub history: Span,
    /// Whose wall clock the seasons follow.
    pub timezone: TimeZone,
    /// No alerts before this instant: what comes earlier only teaches.
    pub alerts_from: Timestamp,
    /// Where pages are, for links; none leaves the link out.
    pub pages_url: Option<String>,
    /// Where the backend shows queries, for links.
    pub source_url: Option<String>,
}

/// The detector of one fleet. A clone goes its own way from here.
#[derive(Debug)]
pub struct Engine {
    rules: Arc<Rules>,
    settings: Settings,
    clock: WallClock,
    state: EngineState,
    /// What the series did before the last hours.
    archive: Box<dyn Archive>,
}

/// Everything that outlives a restart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct EngineState {
    now: Option<Timestamp>,
    /// The block that is being filled.
    open_block: Option<i64>,
    tracks: Tracks,
    services: BTreeMap<String, Service>,
    graph: Graph,
    changes: Vec<Change>,
    incidents: Vec<Incident>,
    past: Past,
    /// Number of the newest feedback used.
    feedback_seen: i64,
    notices: Servo,
    alerts: Servo,
    calendar: Calendar,
    /// What was asked about label values, and what is known.
    breakdowns: Breakdowns,
    /// True once the first baselines were learned.
    learned: bool,
    /// What the signals were that it knows.
    definitions: adopt::Definitions,
    /// Whose wall clock the seasons follow.
    zone: Option<String>,
}

impl Engine {
    /// An engine that knows nothing yet and keeps the weeks in memory.
    pub fn new(rules: Arc<Rules>, settings: Settings) -> Self {
        Self::with_archive(rules, settings, Box::<MemoryArchive>::default())
    }

    /// An engine that knows nothing yet and keeps the weeks in an archive, which must be empty.
    pub fn with_archive(rules: Arc<Rules>, settings: Settings, archive: Box<dyn Archive>) -> Self {
        let clock = WallClock::new(settings.timezone.clone());
        let careful = Servo::careful();
        let state = EngineState {
            notices: careful,
            alerts: careful,
            definitions: adopt::definitions(&rules.signals),
            zone: zone_name(&settings.timezone),
            ..EngineState::default()
        };
        Self { rules, settings, clock, state, archive }
    }

    /// A copy that lives on apart from this one, with its archive in memory: to try out what
    /// would come of one thing and of another. Cost: O(series · history).
    #[must_use]
    pub fn branch(&self) -> Self {
        let series = self.state.tracks.all.iter().map(|tracked| tracked.series.id);
        let now = self.state.now.map_or(0, block_of);
        let from = now - blocks_in(self.settings.history) - 2 * PER_DAY;
        let runs = run_of(from)..run_of(now) + 1;
        Self {
            rules: self.rules.clone(),
            settings: self.settings.clone(),
            clock: self.clock.clone(),
            state: self.state.clone(),
            archive: Box::new(MemoryArchive::copy(&*self.archive, series, runs)),
        }
    }

    /// Advances the engine to `now` and feeds it `batch`.
    ///
    /// The result depends only on the rules, on earlier calls and on the arguments. Feeding the
    /// same calls again gives the same outcomes, byte for byte. Where the archive is on a disk,
    /// ask for [`Self::archive_problem`] afterwards.
    ///
    /// # Contract
    ///
    /// `now` lies on the grid and moves forward; a call that does not is ignored and its samples
    /// are counted in [`outcome::Report::late_samples`].
    ///
    /// # Cost
    ///
    /// O(1) per sample in the order of the last tick; every five minutes O(1) per series; a refit
    /// per service once a week, or a day while it is young, spread by the service's name.
    pub fn step(&mut self, now: Timestamp, batch: &Batch) -> Outcome {
        let mut outcome = Outcome::default();
        if self.state.now.is_some_and(|last| now <= last) {
            outcome.report.late_samples = batch.samples.len() as u64;
            return outcome;
        }
        let block = block_of(now);
        // A gap in the ticks: what the open block has must be judged before the new one fills.
        if let Some(open) = self.state.open_block.filter(|&open| open < block) {
            self.close(open, &mut outcome);
        }
        self.state.now = Some(now);
        self.state.open_block = Some(block);
        self.take(now, batch, &mut outcome);
        if now + batch.span >= block_start(block) + BLOCK {
            self.close(block, &mut outcome);
            self.state.open_block = None;
        }
        outcome
    }

    /// What went wrong with the archive since this was asked last. The engine has then learned
    /// from holes, or will: its outcomes and its state are worth nothing any more.
    pub fn archive_problem(&mut self) -> Option<ArchiveError> {
        self.archive.problem()
    }

    /// The newest tick that was processed.
    pub fn now(&self) -> Option<Timestamp> {
        self.state.now
    }

    /// True while no series was ever seen.
    pub fn is_blank(&self) -> bool {
        self.state.tracks.all.is_empty()
    }

    /// How many series are watched, how many services, and how many of these have enough history
    /// to be judged.
    pub fn census(&self) -> (usize, usize, usize) {
        let services = &self.state.services;
        let judged = services.values().filter(|service| service.calibration.is_some()).count();
        let series = self.state.tracks.all.iter().filter(|tracked| tracked.apart.is_none());
        (series.count(), services.len(), judged)
    }

    /// How far a service is beyond its thresholds at the newest closed block, before the
    /// controllers' factors; none while it cannot be judged.
    pub fn standing(&self, service: &str) -> Option<Standing> {
        let service = self.state.services.get(service)?;
        Some(service.calibration.as_ref()?.standing(service.statistic?, &self.rules.budget))
    }

    /// The rules in force.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Incidents that are open, in the order in which they opened.
    pub fn incidents(&self) -> &[Incident] {
        &self.state.incidents
    }

    /// Incidents that are over, as far as they are remembered.
    pub fn past(&self) -> &Past {
        &self.state.past
    }

    /// Changes of the last weeks, in order of time.
    pub fn changes(&self) -> &[Change] {
        &self.state.changes
    }

    /// What forecasts are made with.
    fn outlook(&self) -> Outlook<'_> {
        Outlook { rules: &self.rules, clock: &self.clock, archive: &*self.archive }
    }

    fn take(&mut self, now: Timestamp, batch: &Batch, outcome: &mut Outcome) {
        let state = &mut self.state;
        outcome.report.samples_beyond_limit = state.tracks.take(now, &self.rules.signals, batch);
        for unanswered in &batch.unanswered {
            state.tracks.mark_unasked(&unanswered.signal);
            let reason = Silence::Unanswered { reason: unanswered.reason.clone() };
            outcome.report.silences.push((unanswered.signal.clone(), reason));
        }
        self.heed(&batch.feedback);
        let state = &mut self.state;
        for answer in &batch.answers {
            state.breakdowns.take(&self.rules, answer);
        }
        for (caller, callee) in &batch.calls {
            state.graph.add(caller, callee);
        }
        changes::remember(&mut state.changes, &batch.changes, now);
    }

    /// Judges a complete block.
    fn close(&mut self, block: i64, outcome: &mut Outcome) {
        let kept = blocks_in(self.settings.history).max(PER_DAY);
        self.state.tracks.close(block, kept, &mut *self.archive);
        self.state.tracks.compare_peers(&self.rules.signals, block, kept);
        if block.rem_euclid(RUN_BLOCKS) == 0 {
            // A day longer than is learned from: one run is forgotten whole.
            self.archive.forget(run_of(block - kept - PER_DAY));
        }
        let end = block_start(block) + BLOCK;
        let now = self.state.now.unwrap_or(end);
        if end <= self.settings.alerts_from || now < self.settings.alerts_from {
            let until = self.settings.alerts_from;
            outcome.report.silences.push(("engine".to_owned(), Silence::Learning { until }));
            // The last block of history: from the first live tick on, every series has a score.
            if end + BLOCK > until {
                self.enrol();
                self.learn_due(block + 1);
            }
        } else {
            if block.rem_euclid(PER_DAY) == 0 {
                self.state.tracks.retain_known(&self.rules.signals);
                for tracked in self.state.tracks.in_pairs(&self.rules.signals) {
                    let what = format!("{} of {}", tracked.series.signal, tracked.series.service);
                    let reason = Silence::TooFewPeers { have: tracked.peers.len() };
                    outcome.report.silences.push((what, reason));
                }
            }
            self.enrol();
            self.learn_due(block);
            self.judge(block, outcome);
            self.relevel(block, outcome);
            self.creep(block, outcome);
        }
        for tracked in &mut self.state.tracks.all {
            if std::mem::take(&mut tracked.unasked) {
                tracked.asked_from = block + 1;
            }
        }
    }

    /// Finds each service's series, and calls from what is configured and from labels, whenever
    /// series have come or gone.
    fn enrol(&mut self) {
        let state = &mut self.state;
        if std::mem::replace(&mut state.tracks.enrolled, true) {
            return;
        }
        for service in state.services.values_mut() {
            service.members.clear();
            service.apart.clear();
        }
        for (place, tracked) in state.tracks.all.iter().enumerate() {
            let name = &tracked.series.service;
            if !state.services.contains_key(name) {
                state.services.insert(name.clone(), Service::new(&self.rules.budget));
            }
            if let Some(service) = state.services.get_mut(name) {
                let places = match tracked.apart {
                    Some(_) => &mut service.apart,
                    None => &mut service.members,
                };
                places.push(place);
            }
            if let Some(dependency) = &tracked.series.dependency {
                state.graph.add(name, dependency);
            }
        }
        state.services.retain(|_, service| !service.members.is_empty());
        for service in state.services.values_mut() {
            service.find_traffic(&state.tracks.all);
        }
        for (name, service) in &self.rules.services {
            for callee in &service.depends_on {
                state.graph.add(name, callee);
            }
        }
    }

    /// Learns every service at first, each once a day while it is young, and once a week from
    /// then on.
    fn learn_due(&mut self, block: i64) {
        let first = !self.state.learned;
        let tracks = &self.state.tracks.all;
        let due = |name: &str, service: &Service| {
            let turn = block + stagger(name);
            // Whatever lies between two refits is a number of whole hours.
            let due = || turn.rem_euclid(service.learns_every(tracks, block)) == 0;
            first || (turn.rem_euclid(PER_HOUR) == 0 && due())
        };
        let names: Vec<String> = self
            .state
            .services
            .iter()
            .filter(|(name, service)| due(name, service))
            .map(|(name, _)| name.clone())
            .collect();
        if names.is_empty() {
            return;
        }
        let from = block - blocks_in(self.settings.history);
        let slots = self.clock.slots(from, block);
        let no_load = vec![Load::USUAL; slots.len()];
        let range = (block_start(from), block_start(block));
        for name in names {
            let (windows, changes) = (&self.rules.maintenance, &self.state.changes);
            let window = Window {
                from,
                to: block,
                no_load: &no_load,
                slots: &slots,
                archive: &*self.archive,
                planned: maintenance::blocks(&name, range, windows, changes),
            };
            if let Some(service) = self.state.services.get_mut(&name) {
                service.learn(&mut self.state.tracks.all, &self.rules.signals, &window);
            }
        }
        self.state.learned = true;
    }
}

/// The name of a zone; none of one that has none, such as a fixed offset.
fn zone_name(zone: &TimeZone) -> Option<String> {
    zone.iana_name().map(str::to_owned)
}

/// Spreads work over the week by name, the same way on every run.
fn stagger(name: &str) -> i64 {
    i64::try_from(crate::series::stable_hash(&[name]) % 2_016).unwrap_or(0)
}
