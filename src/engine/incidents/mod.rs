//! One closed block: which services are beyond their thresholds, which incidents open, grow,
//! escalate and end.

mod join;

use std::collections::BTreeMap;

use super::alert::{Severity, State};
use super::controllers::Counted;
use super::correlate::{
    FINDING_MIN, Finding, NEIGHBOUR_MIN, Trouble, WEAK_MIN, calls_among, findings, misses_evidence,
    root_of, trouble_of,
};
use super::detect::budget::{OVERDRAFT_RATIO, Standing};
use super::experience::corrected;
use super::forecast::{forecast, is_near};
use super::grid::{block_of, block_start};
use super::lifecycle::{Incident, Kind, Onset, SILENT_WARNING_BLOCKS};
use super::maintenance::Planned;
use super::outcome::{Outcome, Silence};
use super::service::Service;
use super::{Engine, calendar};
use crate::stats::tail::REARM;
use crate::time::Span;

/// Open incidents at most; beyond, drift joins the newest of its kind, and what finds none is told in
/// the report.
const INCIDENTS_MAX: usize = 1_000;
/// On course to reach users within this time is worth interrupting somebody.
const NEAR_FORECAST: Span = Span::from_hours(4);
/// Silences that begin within this many blocks of each other have one reason.
const SILENCE_JOIN_BLOCKS: i64 = 6;

impl Standing {
    /// Against thresholds that are `factor` times as high.
    pub(super) fn over(self, factor: f64) -> Self {
        Self { notice: self.notice / factor, alert: self.alert / factor }
    }
}

impl Engine {
    /// Judges every service at a closed block and moves the incidents on.
    pub(super) fn judge(&mut self, block: i64, outcome: &mut Outcome) {
        let slot = self.clock.slot(block);
        let rules = self.rules.clone();
        for service in self.state.services.values_mut() {
            service.update(&mut self.state.tracks.all, &rules, block, slot);
        }
        self.relax_controllers();
        let calendar = self.follow_calendar(block, outcome);
        let planned = self.follow_maintenance(block);
        let standings = self.standings(outcome);
        // What is open stays open by the usual measure; what is new must be louder.
        let cautious: BTreeMap<String, Standing> =
            standings.iter().map(|(name, s)| (name.clone(), s.over(calendar))).collect();
        self.follow_stirs(&standings, &planned, (block, slot));
        let quiet = self.state.incidents.is_empty() && standings.values().all(|s| s.notice <= 1.0);
        let trouble = if quiet { BTreeMap::new() } else { self.troubles((block, slot)) };
        self.open_silences(block, outcome);
        self.open_drifts((&cautious, &planned), &trouble, (block, slot), outcome);
        let now = block_start(block + 1);
        let any_open = self.state.incidents.iter().any(|one| one.is_open_to_naming(now));
        let learned = any_open.then(|| corrected(&rules, &self.state.past));
        for place in 0..self.state.incidents.len() {
            let open = self.state.incidents[place].is_open_to_naming(now);
            let rules = learned.as_ref().filter(|_| open);
            let named = rules.map(|rules| {
                self.name(rules, &self.state.incidents[place], &trouble, (block, slot))
            });
            let fresh = named.as_ref().filter(|_| !self.state.incidents[place].is_settled(now));
            self.recognise(place, fresh, &standings, now);
            self.escalate(place, (&cautious, &planned), (block, slot), outcome);
            if let Some(diagnosis) = named {
                self.state.incidents[place].consider(diagnosis, now);
            }
            let news = self.state.incidents[place].news();
            if let Some(state) = self.state.incidents[place].tell() {
                self.renew(place, &trouble, (block, slot));
                let mut alert = self.message(place, state, (block, slot));
                alert.begin_with(news.as_deref());
                outcome.alerts.push(alert);
            }
        }
        self.end(&standings, (block, slot), outcome);
        self.accept_expected((block, slot), outcome);
        self.ask(&standings, &trouble, (block, slot));
    }

    /// Sees whether the whole fleet moves with the calendar. What it does then teaches nothing,
    /// and thresholds are higher: returns by how much.
    fn follow_calendar(&mut self, block: i64, outcome: &mut Outcome) -> f64 {
        let state = &mut self.state;
        state.calendar.update(&state.services, &state.tracks.all);
        let share = state.calendar.share();
        for tracked in &mut state.tracks.all {
            tracked.drift.hold(share.is_some());
        }
        let Some(share) = share else { return 1.0 };
        for service in state.services.values_mut() {
            service.remember_episode(block, block);
        }
        outcome.report.silences.push(("fleet".to_owned(), Silence::Calendar { share }));
        calendar::FACTOR
    }

    /// Sees which services are worked on as planned. What they do then does not become their
    /// normal.
    fn follow_maintenance(&mut self, block: i64) -> Planned {
        let state = &mut self.state;
        let at = block_start(block);
        let planned = Planned::at(at, &self.rules.maintenance, &state.changes);
        for (_, service) in state.services.iter().filter(|(name, _)| planned.has(name)) {
            for place in service.judged() {
                state.tracks.all[place].drift.hold(true);
            }
        }
        planned
    }

    /// Which services are in trouble of their own.
    pub(super) fn troubles(&self, at: (i64, u16)) -> BTreeMap<String, Trouble> {
        let tracks = &self.state.tracks.all;
        let names = self.state.services.keys();
        names
            .filter_map(|name| {
                Some((name.clone(), trouble_of(&self.findings_of(name, at), tracks)?))
            })
            .collect()
    }

    /// How far each service is beyond its thresholds.
    fn standings(&self, outcome: &mut Outcome) -> BTreeMap<String, Standing> {
        let budget = &self.rules.budget;
        let mut standings = BTreeMap::new();
        for (name, service) in &self.state.services {
            let Some(statistic) = service.statistic else { continue };
            let Some(calibration) = &service.calibration else {
                let need = Span::DAY;
                let reason = Silence::NotEnoughHistory { have: self.age_of(name), need };
                outcome.report.silences.push((name.clone(), reason));
                continue;
            };
            if service.presence.silent {
                outcome.report.silences.push((name.clone(), Silence::Blind));
            }
            let standing = calibration.standing(statistic, budget);
            standings.insert(name.clone(), self.controlled(service, standing));
        }
        standings
    }

    /// A standing as the controllers, the fleet's and the service's, leave it.
    pub(super) fn controlled(&self, service: &Service, standing: Standing) -> Standing {
        Standing {
            notice: standing.notice / (self.state.notices.factor() * service.notices.factor()),
            alert: standing.alert / (self.state.alerts.factor() * service.alerts.factor()),
        }
    }

    fn age_of(&self, service: &str) -> Span {
        let members = self.state.services.get(service).map_or(&[][..], |s| &s.members);
        let tracks = &self.state.tracks.all;
        let first = members.iter().filter_map(|&place| tracks[place].history.first()).min();
        let end = members.iter().map(|&place| tracks[place].history.end()).max();
        first.zip(end).map_or(Span::ZERO, |(first, end)| block_start(end) - block_start(first))
    }

    /// Services that stopped reporting open an incident of their own kind.
    fn open_silences(&mut self, block: i64, outcome: &mut Outcome) {
        let now = block_start(block + 1);
        let silent: Vec<(String, i64)> = self
            .state
            .services
            .iter()
            .filter(|(_, service)| service.presence.silent)
            .filter(|(name, _)| !self.is_in(name, Kind::Silence))
            .map(|(name, service)| (name.clone(), service.presence.since.unwrap_or(block)))
            .collect();
        for (name, since) in silent {
            if let Some(service) = self.state.services.get_mut(&name) {
                service.fell_silent(&mut self.state.tracks.all, since);
                service.stirs.begin(since);
            }
            let joined = self.state.incidents.iter_mut().find(|incident| {
                incident.kind == Kind::Silence
                    && (block_of(incident.onset) - since).abs() <= SILENCE_JOIN_BLOCKS
            });
            if let Some(incident) = joined {
                incident.services.insert(name.clone());
                let incident = incident.id.clone();
                outcome.report.silences.push((name, Silence::Joined { incident }));
            } else if self.state.incidents.len() < INCIDENTS_MAX {
                let at = block_start(since);
                let onset = Onset { at, range: [at, at] };
                self.state.incidents.push(Incident::open(Kind::Silence, &name, onset, now));
            } else {
                outcome.report.silences.push((name, self.too_many()));
            }
        }
    }

    pub(super) fn is_in(&self, service: &str, kind: Kind) -> bool {
        self.state.incidents.iter().any(|i| i.kind == kind && i.services.contains(service))
    }

    /// Services beyond their notice threshold join an incident or open one, loudest first.
    fn open_drifts(
        &mut self,
        (standings, planned): (&BTreeMap<String, Standing>, &Planned),
        trouble: &BTreeMap<String, Trouble>,
        at: (i64, u16),
        outcome: &mut Outcome,
    ) {
        let now = block_start(at.0 + 1);
        let mut loud: Vec<(&String, f64)> = standings
            .iter()
            .filter(|(name, standing)| {
                standing.notice > 1.0
                    && !self.is_in(name, Kind::Drift)
                    && !self.state.services[*name].presence.silent
            })
            .map(|(name, standing)| (name, standing.notice))
            .collect();
        loud.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        for (name, _) in loud {
            let mut found = self.findings_of(name, at);
            if found.is_empty() {
                found = self.found(name, at, WEAK_MIN);
            }
            let onset = Onset::of(&found, now);
            let full = self.state.incidents.len() >= INCIDENTS_MAX;
            let newcomer = (name.as_str(), found.as_slice(), onset);
            let reached = self.reached_by(newcomer, trouble, now);
            let joined = reached.or_else(|| {
                if full { self.newest_drift(|_| true) } else { self.starves(newcomer, trouble, at) }
            });
            if let Some(place) = joined {
                let incident = &mut self.state.incidents[place];
                incident.services.insert(name.clone());
                if reached.is_some() && !incident.is_near(&onset) {
                    incident.seek(now);
                }
                let incident = incident.id.clone();
                outcome.report.silences.push((name.clone(), Silence::Joined { incident }));
            } else if !full {
                let mut incident = Incident::open(Kind::Drift, name, onset, now);
                incident.services.extend(self.drawn_in(&incident, at));
                // An alarm about planned work is no false one, whatever becomes of it.
                incident.charges[0] =
                    (!planned.has(name)).then(|| self.count(name, Counted::Notice));
                self.state.incidents.push(incident);
            } else {
                outcome.report.silences.push((name.clone(), self.too_many()));
            }
        }
    }

    fn too_many(&self) -> Silence {
        Silence::TooManyIncidents { open: self.state.incidents.len() }
    }

    /// Neighbours that are in clear trouble since about the same time.
    fn drawn_in(&self, incident: &Incident, at: (i64, u16)) -> Vec<String> {
        let now = block_start(at.0 + 1);
        let tracks = &self.state.tracks.all;
        let family = self.state.graph.neighbours(&incident.service);
        family
            .iter()
            .filter(|name| !self.is_in(name, Kind::Drift))
            .filter(|name| {
                let found = self.findings_of(name, at);
                trouble_of(&found, tracks).is_some() && incident.is_near(&Onset::of(&found, now))
            })
            .cloned()
            .collect()
    }

    pub(super) fn findings_of(&self, service: &str, at: (i64, u16)) -> Vec<Finding> {
        self.found(service, at, FINDING_MIN)
    }

    pub(super) fn found(&self, service: &str, at: (i64, u16), least: f64) -> Vec<Finding> {
        let service = self.state.services.get(service);
        let tracks = &self.state.tracks.all;
        service.map(|s| findings(s, tracks, &self.rules, at, least)).unwrap_or_default()
    }

    /// All findings of an incident's services, strongest first.
    pub(super) fn findings_in(&self, incident: &Incident, at: (i64, u16)) -> Vec<Finding> {
        self.found_in(incident, at, FINDING_MIN)
    }

    /// As [`Self::findings_in`], or the weak signals of a service that has added them up.
    pub(super) fn evidence_in(&self, incident: &Incident, at: (i64, u16)) -> Vec<Finding> {
        let found = self.findings_in(incident, at);
        if found.is_empty() { self.found_in(incident, at, WEAK_MIN) } else { found }
    }

    fn found_in(&self, incident: &Incident, at: (i64, u16), least: f64) -> Vec<Finding> {
        let names = incident.services.iter();
        let mut found: Vec<Finding> = names.flat_map(|name| self.found(name, at, least)).collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.place.cmp(&b.place)));
        found
    }

    /// Raises an incident's severity where its services are beyond the alert budget, on course
    /// to reach users, or have reached them.
    fn escalate(
        &mut self,
        place: usize,
        (standings, planned): (&BTreeMap<String, Standing>, &Planned),
        at: (i64, u16),
        outcome: &mut Outcome,
    ) {
        let incident = &self.state.incidents[place];
        let (id, incident_kind) = (incident.id.clone(), incident.kind);
        let wanted = match incident.kind {
            Kind::Silence if at.0 - block_of(incident.onset) >= SILENT_WARNING_BLOCKS => {
                Severity::Warning
            }
            Kind::Silence => Severity::Notice,
            Kind::Drift => self.severity_of(incident, standings, at),
        };
        if wanted <= incident.severity {
            return;
        }
        if let Some(times) = incident.habit.filter(|_| wanted == Severity::Warning) {
            outcome.report.silences.push((id, Silence::Habitual { times }));
            return;
        }
        let interrupts = incident.severity == Severity::Notice;
        let ratio = loudest(incident, standings, |s| s.alert);
        let first = incident.service.clone();
        let planned = planned.has(&first);
        let bucket = self.state.services.get_mut(&first).map(|s| &mut s.bucket);
        let may_interrupt = wanted == Severity::Critical
            || !interrupts
            // It waits for the end of the work, and costs nothing of what others may need.
            || planned
            || bucket.is_none_or(super::detect::budget::TokenBucket::spend)
            || ratio > OVERDRAFT_RATIO;
        if may_interrupt {
            let drift = incident_kind == Kind::Drift;
            if wanted == Severity::Critical {
                let charges = std::mem::take(&mut self.state.incidents[place].charges);
                self.absolve(charges);
            } else if interrupts && drift && !planned {
                let charge = self.count(&first, Counted::Alert);
                self.state.incidents[place].charges[1] = Some(charge);
            }
            self.state.incidents[place].seek(block_start(at.0 + 1));
            self.state.incidents[place].raise(wanted);
        } else {
            outcome.report.silences.push((id, Silence::HeldByBudget { ratio }));
        }
    }

    fn severity_of(
        &self,
        incident: &Incident,
        standings: &BTreeMap<String, Standing>,
        at: (i64, u16),
    ) -> Severity {
        if incident.services.iter().any(|name| self.users_affected(name, at.0)) {
            return Severity::Critical;
        }
        let now = block_start(at.0 + 1);
        let on_course = || {
            self.findings_in(incident, at).iter().any(|finding| {
                let tracked = &self.state.tracks.all[finding.place];
                let service = &self.state.services[&tracked.series.service];
                finding.score >= NEIGHBOUR_MIN
                    && forecast(finding, tracked, service, &self.outlook()).is_some_and(|f| {
                        f.crosses == "objective" && is_near(&f, now, NEAR_FORECAST)
                    })
            })
        };
        if loudest(incident, standings, |s| s.alert) > 1.0 || on_course() {
            Severity::Warning
        } else {
            Severity::Notice
        }
    }

    /// The service in which an incident begins.
    pub(super) fn root_in(
        &self,
        incident: &Incident,
        found: &[Finding],
        trouble: &BTreeMap<String, Trouble>,
    ) -> String {
        match (incident.kind, found.first()) {
            (Kind::Drift, Some(strongest)) => {
                let tracks = &self.state.tracks.all;
                let start = &tracks[strongest.place].series.service;
                let own = found.iter().filter(|f| tracks[f.place].series.service == *start);
                let worse = calls_among(own, tracks, NEIGHBOUR_MIN);
                root_of((start, strongest.onset), &worse, &self.state.graph, trouble)
            }
            _ => incident.service.clone(),
        }
    }

    /// Ends incidents whose services have all been quiet for an hour. Missing data is never a
    /// recovery: a service that cannot be seen is not quiet.
    fn end(
        &mut self,
        standings: &BTreeMap<String, Standing>,
        at: (i64, u16),
        outcome: &mut Outcome,
    ) {
        let mut over = Vec::new();
        for place in 0..self.state.incidents.len() {
            let incident = &self.state.incidents[place];
            let quiet = incident.services.iter().all(|name| {
                let Some(service) = self.state.services.get(name) else { return true };
                let tracks = &self.state.tracks.all;
                let calm = standings.get(name).is_some_and(|s| s.notice < REARM);
                let back = match incident.kind {
                    Kind::Silence => service.is_back(tracks, at.0),
                    Kind::Drift => calm && !misses_evidence(service, tracks, &self.rules, at.0),
                };
                back && !service.presence.silent
            });
            let (from, names) = (block_of(incident.onset), incident.services.clone());
            for name in names {
                if let Some(service) = self.state.services.get_mut(&name) {
                    service.remember_episode(from, at.0);
                }
            }
            if self.state.incidents[place].quiet(quiet) {
                over.push(place);
            }
        }
        for place in over.into_iter().rev() {
            let alert = self.message(place, State::Resolved, at);
            let incident = self.state.incidents.remove(place);
            for name in &incident.services {
                if let Some(service) = self.state.services.get(name) {
                    service.forget_onsets(&mut self.state.tracks.all);
                }
            }
            self.state.past.remember(incident.ended(block_start(at.0 + 1)));
            outcome.alerts.push(alert);
        }
    }
}

pub(super) fn loudest(
    incident: &Incident,
    standings: &BTreeMap<String, Standing>,
    part: fn(&Standing) -> f64,
) -> f64 {
    incident.services.iter().filter_map(|name| standings.get(name)).map(part).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests;
