//! What the engine wants to know about label values, and what it tells of the answers.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::alert::BreakdownValue;
use super::breakdown::{Dominant, Known, Topic, nothing_known};
use super::correlate::{Trouble, WEAK_MIN};
use super::detect::budget::Standing;
use super::grid::block_start;
use super::lifecycle::{Incident, Kind, Onset};
use crate::rules::{Role, Signal};
use crate::series::Question;

/// From this share of its notice threshold on, a service is asked about before it is told: then
/// the answer is there when the incident opens.
const NEAR_MIN: f64 = 0.4;
/// Label values told in one alert, at most.
const VALUES_TOLD: usize = 5;
/// Lines about labels that explain nothing, at most.
const LINES_MAX: usize = 6;
/// What is asked about even where it did not move: whose work it is, and whose failures.
const ALWAYS: [Role; 3] = [Role::Traffic, Role::Errors, Role::Latency];

impl Engine {
    /// What the engine wants to know about label values after this step, at most
    /// [`super::breakdown::QUESTIONS_MAX`]. Answers go into the next batch; without any it goes
    /// on all the same. The questions are part of the snapshot.
    pub fn questions(&self) -> Vec<Question> {
        self.state.breakdowns.open().to_vec()
    }

    /// Poses the questions of a closed block: about open incidents, then about services that are
    /// near their threshold.
    pub(super) fn ask(
        &mut self,
        standings: &BTreeMap<String, Standing>,
        trouble: &BTreeMap<String, Trouble>,
        at: (i64, u16),
    ) {
        let rules = self.rules.clone();
        if rules.signals.iter().all(|signal| signal.breakdown.is_none()) {
            return;
        }
        let end = block_start(at.0 + 1);
        let now = self.state.now.unwrap_or(end);
        let mut topics: Vec<Topic<'_>> = Vec::new();
        for incident in self.state.incidents.iter().filter(|i| i.kind == Kind::Drift) {
            if !incident.is_open_to_naming(end) {
                continue;
            }
            let found = self.evidence_in(incident, at);
            let root = self.root_in(incident, &found, trouble);
            let onset = self.onset_in(incident, &root, &found, at).at;
            let services = BTreeSet::from([&root, &incident.service]);
            for service in services {
                // Two incidents may begin in one service: it is asked about for the first.
                if topics.iter().any(|topic| topic.service == *service) {
                    continue;
                }
                let signals = self.worth_asking(service, at, &rules.signals);
                let (service, incident) = (service.clone(), Some(incident.sought));
                topics.push(Topic { service, onset, incident, signals });
            }
        }
        let mut near: Vec<(&String, f64)> = standings
            .iter()
            .filter(|(name, standing)| {
                standing.notice >= NEAR_MIN && !self.is_in(name, Kind::Drift)
            })
            .map(|(name, standing)| (name, standing.notice))
            .collect();
        near.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        for (service, _) in near {
            if topics.iter().any(|topic| topic.service == *service) {
                continue;
            }
            let onset = Onset::of(&self.found(service, at, WEAK_MIN), end).at;
            let signals = self.worth_asking(service, at, &rules.signals);
            topics.push(Topic { service: service.clone(), onset, incident: None, signals });
        }
        self.state.breakdowns.ask(now, &topics);
        let in_trouble = self.state.incidents.iter().flat_map(concerned).collect();
        self.state.breakdowns.forget(now, &in_trouble);
    }

    /// The signals of a service with a breakdown that moved, the strongest first; whose work it is
    /// comes second at the latest.
    fn worth_asking<'r>(
        &self,
        service: &str,
        at: (i64, u16),
        signals: &'r [Signal],
    ) -> Vec<&'r Signal> {
        let tracks = &self.state.tracks.all;
        let found = self.found(service, at, WEAK_MIN);
        let moved = found.iter().map(|finding| tracks[finding.place].signal);
        let mut worth: Vec<usize> = Vec::new();
        let members = self.state.services.get(service).map_or(&[][..], |s| &s.members);
        let of_role = |role: Role| {
            let of_role = members.iter().map(|&place| &tracks[place]);
            of_role.filter(move |tracked| tracked.role == role).map(|tracked| tracked.signal)
        };
        let divided = |place: &usize| signals[*place].breakdown.is_some();
        let mut moved = moved.filter(divided);
        worth.extend(moved.next());
        worth.extend(of_role(Role::Traffic).filter(divided));
        worth.extend(moved);
        worth.extend(ALWAYS.into_iter().flat_map(of_role).filter(divided));
        let mut seen = BTreeSet::new();
        worth.into_iter().filter(|&place| seen.insert(place)).map(|place| &signals[place]).collect()
    }

    /// The label values that explain an incident, strongest first.
    pub(super) fn explaining(&self, incident: &Incident) -> Vec<BreakdownValue> {
        let mut found: Vec<(&Known, &Dominant)> = self
            .known_about(incident)
            .flat_map(|known| {
                let division = known.division.iter();
                division.flat_map(|d| &d.explaining).map(move |dominant| (known, dominant))
            })
            .collect();
        // Stable: equal ones stay in order of service, signal and label.
        found.sort_by(|a, b| b.1.strength.total_cmp(&a.1.strength));
        found.truncate(VALUES_TOLD);
        found
            .into_iter()
            .map(|(known, dominant)| BreakdownValue {
                signal: known.question.signal.clone(),
                service: known.question.service.clone(),
                of: self.divided(&known.question.signal).to_owned(),
                label: known.question.label.clone(),
                value: dominant.value.clone(),
                share: dominant.share,
                usual_share: dominant.usual_share,
            })
            .collect()
    }

    /// What was looked up by label and explains nothing.
    pub(super) fn unexplaining(&self, incident: &Incident) -> Vec<String> {
        let lines = self.known_about(incident).filter_map(|known| {
            let Question { signal, service, label, .. } = &known.question;
            let what = self.divided(signal);
            let division = known.division.as_ref().ok().filter(|d| d.explaining.is_empty())?;
            let count = division.values;
            let values = if count == 1 { "value" } else { "values" };
            Some(format!(
                "{what} of {service} by {label}: no single value explains it ({count} {values})"
            ))
        });
        lines.take(LINES_MAX).collect()
    }

    /// What is divided among the label values of a signal, in words.
    fn divided<'a>(&'a self, signal: &'a str) -> &'a str {
        self.rules.signal(signal).map_or(signal, Signal::divided)
    }

    /// By which labels nothing is known of an incident.
    pub(super) fn unlearned(&self, incident: &Incident) -> Vec<String> {
        let known: Vec<&Known> = self.known_about(incident).collect();
        nothing_known(known.into_iter())
    }

    fn known_about<'a>(&'a self, incident: &'a Incident) -> impl Iterator<Item = &'a Known> {
        let services = (incident.kind == Kind::Drift).then(|| concerned(incident));
        services.into_iter().flatten().flat_map(|service| self.state.breakdowns.known(service))
    }
}

/// The services of an incident, and those that it blames.
fn concerned(incident: &Incident) -> BTreeSet<&str> {
    let blamed = incident.diagnosis.causes.iter().map(|cause| cause.culprit.service.as_str());
    incident.services.iter().map(String::as_str).chain(blamed).collect()
}
