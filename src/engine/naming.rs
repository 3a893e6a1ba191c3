//! The scene of an incident, as the diagnosis looks at it.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::correlate::{Finding, NEIGHBOUR_MIN, Trouble};
use super::diagnose::{CauseLooks, Diagnosis, Scene, diagnose, looks, renewed, series_near};
use super::grid::{block_of, block_start};
use super::lifecycle::{Incident, Kind, Onset};
use super::past::Pattern;
use crate::rules::Rules;
use crate::time::Timestamp;

/// Where and when trouble is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The service in which it begins.
    pub(super) root: String,
    /// Services in it, the root included.
    pub(super) members: BTreeSet<String>,
    /// What moved, strongest first.
    pub(super) findings: Vec<Finding>,
    /// The same, to be compared with earlier incidents.
    pub(super) pattern: Pattern,
    /// When it began.
    pub(super) onset: Timestamp,
    /// Where its clear moves can have begun.
    pub(super) onset_range: [Timestamp; 2],
}

impl Engine {
    /// Names the cause of an incident, which may be about to open, from what is known now, by rules
    /// as experience has [`corrected`](super::experience::corrected) them.
    pub(super) fn name(
        &self,
        rules: &Rules,
        incident: &Incident,
        trouble: &BTreeMap<String, Trouble>,
        at: (i64, u16),
    ) -> Diagnosis {
        let place = self.place_of(incident, trouble, at);
        let told = incident.explained_at().filter(|told| *told != place.root);
        let elsewhere = told.map(|told| self.seen_from(told, (incident, &place), at));
        let diagnosis = diagnose(&self.scene(rules, place, trouble, at));
        // What suffers from the trouble may be louder by now than where it began. Where it shows the
        // same cause, that has moved on with the trouble.
        let Some(elsewhere) = elsewhere.filter(|_| !incident.is_explained_by(&diagnosis)) else {
            return diagnosis;
        };
        let still = diagnose(&self.scene(rules, elsewhere, trouble, at));
        if incident.is_explained_by(&still) { still } else { diagnosis }
    }

    /// Fills in the steps of a cause that was named earlier as things stand now.
    pub(super) fn renew(
        &mut self,
        place: usize,
        trouble: &BTreeMap<String, Trouble>,
        at: (i64, u16),
    ) {
        let incident = &self.state.incidents[place];
        let named = &incident.diagnosis;
        let mut now = self.place_of(incident, trouble, at);
        now.root.clone_from(&named.trace.root);
        now.pattern.clone_from(&incident.look);
        now.members.insert(now.root.clone());
        (now.onset, now.onset_range) = (named.onset, named.onset_range);
        let renewed = renewed(&self.scene(&self.rules, now, trouble, at), named);
        self.state.incidents[place].diagnosis = renewed;
    }

    /// What every cause's evidence looks like for an open incident at the newest closed block;
    /// nothing when there is no such incident. Costs nothing when it is not asked.
    pub fn looks(&self, incident: &str) -> Vec<CauseLooks> {
        let known = self.state.incidents.iter().find(|open| open.id == incident);
        let Some((incident, at)) = known.zip(self.newest()) else { return Vec::new() };
        let trouble = self.troubles(at);
        let place = self.place_of(incident, &trouble, at);
        looks(&self.scene(&self.rules, place, &trouble, at))
    }

    /// The newest closed block and its slot in the week.
    pub(super) fn newest(&self) -> Option<(i64, u16)> {
        let block = match self.state.open_block {
            Some(open) => open - 1,
            None => block_of(self.state.now?),
        };
        Some((block, self.clock.slot(block)))
    }

    /// Where and when the trouble of an open incident is.
    fn place_of(
        &self,
        incident: &Incident,
        trouble: &BTreeMap<String, Trouble>,
        at: (i64, u16),
    ) -> Place {
        let findings = self.evidence_in(incident, at);
        let root = self.root_in(incident, &findings, trouble);
        let mut members = incident.services.clone();
        members.insert(root.clone());
        let silent = incident.services.iter().filter(|_| incident.kind == Kind::Silence);
        let pattern = self.pattern_of(&findings, &silent.collect::<Vec<_>>(), at);
        let onset = self.onset_in(incident, &root, &findings, at);
        let onset_range = onset_hull(&findings, onset.range);
        Place { root, members, findings, pattern, onset: onset.at, onset_range }
    }

    /// The same trouble, beginning in another service.
    fn seen_from(
        &self,
        root: &str,
        (incident, place): (&Incident, &Place),
        at: (i64, u16),
    ) -> Place {
        let mut place = Place { root: root.to_owned(), ..place.clone() };
        place.members.insert(place.root.clone());
        let onset = self.onset_in(incident, root, &place.findings, at);
        (place.onset, place.onset_range) = (onset.at, onset_hull(&place.findings, onset.range));
        place
    }

    /// When an incident's trouble began in a service: what opened it may have been noise elsewhere,
    /// hours before.
    pub(super) fn onset_in(
        &self,
        incident: &Incident,
        root: &str,
        findings: &[Finding],
        at: (i64, u16),
    ) -> Onset {
        let drifts = incident.kind == Kind::Drift;
        let of_root = drifts.then(|| self.onset_of(root, findings, at)).flatten();
        of_root.unwrap_or(Onset { at: incident.onset, range: incident.range })
    }

    /// When the trouble of a service began, from what moved in it and in calls to it; none where
    /// nothing of that did so clearly.
    pub(super) fn onset_of(
        &self,
        root: &str,
        findings: &[Finding],
        at: (i64, u16),
    ) -> Option<Onset> {
        let series = |f: &Finding| &self.state.tracks.all[f.place].series;
        let is_own = |f: &&Finding| series(f).service == root;
        let is_call = |f: &&Finding| series(f).dependency.as_deref() == Some(root);
        // It may not be among those whose findings these are.
        let mut of_root = self.findings_of(root, at);
        of_root.extend(findings.iter().filter(|f| is_call(f) && !is_own(f)).cloned());
        of_root.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.place.cmp(&b.place)));
        let clear = of_root.first().is_some_and(|strongest| strongest.score >= NEIGHBOUR_MIN);
        clear.then(|| Onset::of(&of_root, block_start(at.0 + 1)))
    }

    /// Everything that a diagnosis looks at.
    pub(super) fn scene<'a>(
        &'a self,
        rules: &'a Rules,
        place: Place,
        trouble: &'a BTreeMap<String, Trouble>,
        at: (i64, u16),
    ) -> Scene<'a> {
        Scene {
            rules,
            services: &self.state.services,
            tracks: &self.state.tracks,
            graph: &self.state.graph,
            changes: &self.state.changes,
            trouble,
            breakdowns: &self.state.breakdowns,
            past: &self.state.past,
            members: place.members,
            near: series_near(&place.root, &self.state.graph, &self.state.tracks),
            root: place.root,
            findings: place.findings,
            pattern: place.pattern,
            onset_range: place.onset_range,
            onset: place.onset,
            at,
            now: self.state.now.unwrap_or(block_start(at.0 + 1)),
            clock: &self.clock,
            archive: &*self.archive,
        }
    }
}

/// From the earliest to the latest onset that any clear finding allows.
pub(super) fn onset_hull(found: &[Finding], range: [Timestamp; 2]) -> [Timestamp; 2] {
    let clear = found.iter().filter(|f| f.score >= NEIGHBOUR_MIN);
    clear.fold(range, |hull, f| [hull[0].min(f.range[0]), hull[1].max(f.range[1])])
}
