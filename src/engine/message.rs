//! Puts what is known about an incident into an alert.

use std::collections::BTreeMap;

use super::Engine;
use super::alert::{Alert, MovedSignal, NearChange, SCHEMA, Severity, State};
use super::baseline::Load;
use super::breakdown::NOTHING_KNOWN;
use super::changes;
use super::correlate::Finding;
use super::detect::drift::Direction;
use super::diagnose::{query_of, share_of_calls};
use super::forecast::forecast;
use super::grid::block_start;
use super::lifecycle::{Incident, Kind};
use super::naming::onset_hull;
use super::track::Tracked;
use crate::format::in_address;
use crate::series::Change;
use crate::time::Timestamp;

/// Signals told in one alert, at most.
const SIGNALS_MAX: usize = 24;
/// Changes told in one alert, at most; the nearest to the onset are kept.
const CHANGES_MAX: usize = 12;

impl Engine {
    /// The alert of an incident at a closed block.
    pub(super) fn message(&self, place: usize, state: State, at: (i64, u16)) -> Alert {
        let incident = &self.state.incidents[place];
        let now = self.state.now.unwrap_or(block_start(at.0 + 1));
        let found = if state == State::Resolved {
            self.findings_in(incident, at)
        } else {
            self.evidence_in(incident, at)
        };
        let signals = match incident.kind {
            Kind::Drift => found.iter().take(SIGNALS_MAX).map(|f| self.moved(f, at)).collect(),
            Kind::Silence => self.silent_signals(incident, at),
        };
        let forecast = found
            .iter()
            .filter_map(|finding| {
                let tracked = &self.state.tracks.all[finding.place];
                let service = self.state.services.get(&tracked.series.service)?;
                forecast(finding, tracked, service, &self.outlook())
            })
            // Of those who feel it already nobody asks when the next one will; a limit is worse than
            // what they feel, as nothing goes beyond it.
            .filter(|f| f.crosses == "limit" || incident.severity != Severity::Critical)
            .min_by_key(|forecast| forecast.at)
            .filter(|_| state != State::Resolved);
        let mut checked = incident.diagnosis.checked.clone();
        checked.extend(self.unexplaining(incident));
        let named = !incident.diagnosis.causes.is_empty();
        let mut causes = incident.diagnosis.causes.clone();
        if let Some(leading) = causes.first_mut() {
            let unlearned = self.unlearned(incident);
            let known = |line: &String| line.starts_with(NOTHING_KNOWN);
            if !leading.unknown.iter().any(known) {
                leading.unknown.splice(0..0, unlearned);
            }
            if state != State::Resolved {
                leading.against.extend(self.unexplained(incident, &signals));
            }
        }
        Alert {
            schema: SCHEMA.to_owned(),
            state,
            incident: incident.id.clone(),
            at: now,
            started_at: incident.onset,
            started_at_range: incident.range,
            severity: incident.severity,
            service: incident.service.clone(),
            services: incident.services.iter().cloned().collect(),
            title: self.title(incident, state, &signals),
            causes,
            users: self.users(incident, state, at),
            named_at: Some(incident.diagnosis.at).filter(|_| named).filter(|named| *named < now),
            signals,
            changes: self.changes_near(incident, &found, (state, now)),
            forecast,
            breakdown: self.explaining(incident),
            steps: incident.diagnosis.steps.clone(),
            checked,
            links: self.links(incident, &found),
        }
    }

    /// A finding as alerts tell it.
    pub(super) fn moved(&self, finding: &Finding, at: (i64, u16)) -> MovedSignal {
        let tracked = &self.state.tracks.all[finding.place];
        let service = self.state.services.get(&tracked.series.service);
        let expected = service.and_then(|s| s.expected(&self.state.tracks.all, tracked, at));
        let load = service.map_or(Load::USUAL, |s| s.load_at(&self.state.tracks.all, at.0, at.1));
        let described = self.described(tracked, at.0);
        let now = tracked.events(load).or(described.now);
        let tracks = &self.state.tracks.all;
        let share = |now| share_of_calls(&self.rules, tracks, (tracked, now), at.0);
        let usual = MovedSignal { now, expected, ..described };
        MovedSignal {
            direction: match finding.direction {
                Direction::Up => "up".to_owned(),
                Direction::Down => "down".to_owned(),
            },
            onset: finding.onset,
            share_of_calls: now.and_then(share),
            p_value: finding.p_value,
            ..self.among_peers(tracked, usual)
        }
    }

    /// What is told of distances between peers: the peer that is apart, beside the others.
    fn among_peers(&self, tracked: &Tracked, mut told: MovedSignal) -> MovedSignal {
        let label = self.rules.signals[tracked.signal].peer.as_ref();
        if let Some((farthest, label)) = tracked.farthest().zip(label) {
            told.labels.insert(label.clone(), farthest.peer.clone());
            told.peer = Some(farthest.peer.clone());
            told.now = Some(farthest.value);
            told.expected = Some(farthest.others);
        }
        told
    }

    fn silent_signals(&self, incident: &Incident, at: (i64, u16)) -> Vec<MovedSignal> {
        incident
            .services
            .iter()
            .filter_map(|name| self.state.services.get(name))
            .flat_map(|service| service.silenced(&self.state.tracks.all, at.0))
            .take(SIGNALS_MAX)
            .map(|tracked| self.described(tracked, at.0))
            .collect()
    }

    /// A series as it stands, told as silent until its caller knows better.
    fn described(&self, tracked: &Tracked, block: i64) -> MovedSignal {
        let now = tracked.history.at(block);
        let run = (0..super::grid::PER_DAY).take_while(|b| !tracked.history.is_present(block - b));
        let silent_since = block - i64::try_from(run.count()).unwrap_or(0) + 1;
        MovedSignal {
            service: tracked.series.service.clone(),
            signal: tracked.series.signal.clone(),
            role: tracked.role.name().to_owned(),
            labels: tracked.series.labels.clone(),
            direction: "silent".to_owned(),
            onset: block_start(silent_since),
            now: now.is_finite().then_some(now),
            expected: None,
            unit: self.rules.signals[tracked.signal].unit.clone(),
            peer: None,
            share_of_calls: None,
            p_value: 0.0,
        }
    }

    fn changes_near(
        &self,
        incident: &Incident,
        found: &[Finding],
        (state, now): (State, Timestamp),
    ) -> Vec<NearChange> {
        let [earliest, _] = onset_hull(found, incident.range);
        let mut near = changes::near(
            &self.state.changes,
            &incident.services,
            (earliest, incident.onset),
            now,
            CHANGES_MAX,
        );
        // The last may have ended it, however far it is from the onset.
        let of_it = |c: &&Change| c.at <= now && incident.services.contains(&c.service);
        let last = self.state.changes.iter().rfind(of_it).filter(|_| state == State::Resolved);
        if let Some(last) = last.filter(|last| near.last().is_some_and(|near| near != last)) {
            near.truncate(CHANGES_MAX - 1);
            near.push(last);
        }
        near.into_iter()
            .map(|c| NearChange {
                kind: c.kind.name().to_owned(),
                service: c.service.clone(),
                at: c.at,
                what: c.what.clone(),
            })
            .collect()
    }

    fn links(&self, incident: &Incident, found: &[Finding]) -> BTreeMap<String, String> {
        let mut links = BTreeMap::new();
        if let Some(pages) = &self.settings.pages_url {
            links.insert("incident".to_owned(), format!("{pages}/incidents/{}", incident.id));
        }
        if let (Some(source), Some(finding)) = (&self.settings.source_url, found.first()) {
            let tracked = &self.state.tracks.all[finding.place];
            let query = in_address(&query_of(&self.rules, tracked));
            links.insert("query".to_owned(), format!("{source}/graph?g0.expr={query}&g0.tab=0"));
        }
        links
    }
}
