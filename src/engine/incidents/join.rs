//! Which open incident the trouble of another service belongs to (METHODS 8.4).

use std::collections::{BTreeMap, BTreeSet};

use super::{Incident, Kind, Onset};
use crate::engine::Engine;
use crate::engine::baseline::Load;
use crate::engine::correlate::{
    FINDING_MIN, Finding, NEIGHBOUR_MIN, Trouble, calls_among, root_of,
};
use crate::engine::diagnose::UNEXPLAINED;
use crate::engine::experience::corrected;
use crate::engine::grid::block_start;
use crate::engine::track::Tracked;
use crate::rules::Worse;
use crate::time::{Span, Timestamp};

/// Traffic below this share of what is expected is next to nothing to do.
const STARVED_SHARE: f64 = 0.5;

/// Alarms of services that call each other are together within this time.
const TOGETHER: Span = Span::from_mins(30);

/// A service in trouble: its name, what moved in it, and since when.
type Newcomer<'a> = (&'a str, &'a [Finding], Onset);

impl Engine {
    /// The place of the newest incident whose trouble reached a service. What reaches further later
    /// is the same trouble while its root is, or while it is the calls to the troubled service that
    /// have become worse; so is what becomes loud together, whatever onsets say: these are seen late
    /// or early where noise went before.
    pub(super) fn reached_by(
        &self,
        (name, found, onset): Newcomer<'_>,
        trouble: &BTreeMap<String, Trouble>,
        now: Timestamp,
    ) -> Option<usize> {
        let family = self.state.graph.neighbours(name);
        let calls = |least| calls_among(found, &self.state.tracks.all, least);
        let (suffers_from, worse) = (calls(f64::NEG_INFINITY), calls(NEIGHBOUR_MIN));
        let root = root_of((name, onset.at), &worse, &self.state.graph, trouble);
        self.newest_drift(|incident| {
            let related = incident.services.iter().any(|s| family.contains(s));
            let same = incident.is_near(&onset)
                || now - incident.opened <= TOGETHER
                || incident.services.contains(&root)
                || incident.services.iter().any(|member| suffers_from.contains(member));
            related && same
        })
    }

    /// The place of the newest incident that leaves a service next to nothing to do, because one of
    /// its callers is in it: how it does that little says nothing about it. None where a cause that
    /// lies in the service is clear.
    pub(super) fn starves(
        &self,
        newcomer: Newcomer<'_>,
        trouble: &BTreeMap<String, Trouble>,
        at: (i64, u16),
    ) -> Option<usize> {
        let (name, ..) = newcomer;
        let traffic = self.state.services.get(name)?.traffic_tracked(&self.state.tracks.all)?;
        if !has_fallen(traffic, at) {
            return None;
        }
        let callers: BTreeSet<&str> = self.state.graph.callers(name).collect();
        let called = |one: &Incident| one.services.iter().any(|s| callers.contains(s.as_str()));
        self.newest_drift(called).filter(|_| !self.explains_itself(newcomer, trouble, at))
    }

    /// The place of the newest incident of this kind, among those that drift.
    pub(super) fn newest_drift(&self, is_it: impl Fn(&Incident) -> bool) -> Option<usize> {
        let open = &self.state.incidents;
        open.iter().rposition(|incident| incident.kind == Kind::Drift && is_it(incident))
    }

    /// Whether a cause that lies in the service itself is clear: that it waits for another is none.
    fn explains_itself(
        &self,
        (name, _, onset): Newcomer<'_>,
        trouble: &BTreeMap<String, Trouble>,
        at: (i64, u16),
    ) -> bool {
        let alone = Incident::open(Kind::Drift, name, onset, block_start(at.0 + 1));
        let rules = corrected(&self.rules, &self.state.past);
        let named = self.name(&rules, &alone, trouble, at);
        named.causes.first().is_some_and(|lead| {
            let culprit = &lead.culprit;
            lead.id != UNEXPLAINED && culprit.service == name && culprit.dependency().is_none()
        })
    }
}

/// Whether traffic is below [`STARVED_SHARE`] of what is expected, in both of the last two blocks
/// (one may be an artefact), and seldom falls like that.
fn has_fallen(traffic: &Tracked, (block, slot): (i64, u16)) -> bool {
    let baseline = traffic.baseline.as_ref();
    let expected = baseline.and_then(|baseline| baseline.expected(slot, Load::USUAL));
    let is_low =
        |block| expected.is_some_and(|usual| traffic.history.at(block) < STARVED_SHARE * usual);
    let strongest = traffic.drift.strongest(Worse::Down);
    is_low(block - 1) && is_low(block) && strongest.is_some_and(|(score, _)| score >= FINDING_MIN)
}
