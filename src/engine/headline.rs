//! The line of an alert that is read on a lock screen: who feels what, how much, and why.

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::engine::alert::{MovedSignal, NOT_EXPLAINED, State};
use crate::engine::diagnose::{FELT, UNEXPLAINED, is_call, one_of_its_kind, rests_on};
use crate::engine::lifecycle::{Incident, Kind};
use crate::format;
use crate::rules::{Cause, Evidence, Role, Rules, See};

/// What is in use at once: it grows with the time that each request takes (Little, 1961), whatever
/// the cause of that.
const BUSY: [Role; 2] = [Role::Threads, Role::Sockets];
/// Up to this many times as much as the time grew: means are what the law is about, and often it is
/// a percentile that is known.
const BUSY_RATIO_MAX: f64 = 1.5;
/// Signals named that a cause does not explain.
const UNEXPLAINED_MAX: usize = 3;

impl Engine {
    /// The title of an incident whose signals are these, strongest first.
    pub(super) fn title(
        &self,
        incident: &Incident,
        state: State,
        signals: &[MovedSignal],
    ) -> String {
        let diagnosis = &incident.diagnosis;
        let told = match incident.kind {
            Kind::Silence => Some((incident.service.as_str(), silence(incident))),
            Kind::Drift => {
                self.felt(incident, signals).map(|s| (s.service.as_str(), effect(&self.rules, s)))
            }
        };
        let clear = diagnosis.causes.first().filter(|cause| cause.is_clear());
        // What is felt has passed when an incident is over.
        let Some((service, effect)) = told.filter(|_| state != State::Resolved) else {
            return diagnosis.title.clone();
        };
        let Some(cause) = clear else { return format!("{effect}; no clear cause") };
        let blamed = format!(": {}", cause.culprit.service);
        let own =
            diagnosis.title.strip_suffix(&blamed).filter(|_| cause.culprit.service == service);
        let why = begin_small(own.unwrap_or(&diagnosis.title));
        format!("{effect}; {why} ({})", format::likelihood(cause.probability))
    }

    /// The signal that says most about who is affected: what is felt by those whom nobody else of
    /// the incident calls, else what is felt by anyone, else the strongest.
    fn felt<'a>(&self, incident: &Incident, signals: &'a [MovedSignal]) -> Option<&'a MovedSignal> {
        let felt =
            |s: &&MovedSignal| s.now.is_some() && FELT.iter().any(|role| role.name() == s.role);
        let on_top = |s: &&MovedSignal| {
            let mut callers = self.state.graph.callers(&s.service);
            !callers.any(|caller| incident.services.contains(caller))
        };
        let mut outermost = signals.iter().filter(felt).filter(on_top);
        outermost.next().or_else(|| signals.iter().find(felt)).or_else(|| signals.first())
    }

    /// The strongest signals that moved and are no part of what the leading cause does, as the last
    /// of what speaks against it; none where no cause is clear.
    pub(super) fn unexplained(
        &self,
        incident: &Incident,
        signals: &[MovedSignal],
    ) -> Option<String> {
        let leading = incident.diagnosis.causes.first()?;
        let cause = self.rules.cause(&leading.id)?;
        if cause.id == UNEXPLAINED || incident.kind == Kind::Silence {
            return None;
        }
        let blamed = leading.culprit.service.as_str();
        let called = Some(blamed).filter(|blamed| *blamed != incident.service);
        // A call to what is in trouble itself shows that trouble, and no other.
        let ails = |name: &String| name == blamed || signals.iter().any(|s| s.service == *name);
        let calls_trouble = |signal: &MovedSignal| {
            Role::from_name(&signal.role).is_some_and(is_call) && signal.labels.values().any(ails)
        };
        let mut left: Vec<String> = Vec::new();
        let slower = slower(signals);
        let keeps_busy = |signal: &MovedSignal| {
            let busy = Role::from_name(&signal.role).is_some_and(|role| BUSY.contains(&role));
            let explained = slower.get(signal.service.as_str()).map(|ratio| ratio * BUSY_RATIO_MAX);
            let grown = growth(signal)
                .filter(|_| busy && signal.direction == "up" && signal.peer.is_none());
            grown.zip(explained).is_some_and(|(grown, explained)| grown <= explained)
        };
        let left_open = |s: &&MovedSignal| {
            !is_explained(cause, called, s) && !calls_trouble(s) && !keeps_busy(s)
        };
        for signal in signals.iter().filter(left_open) {
            let effect = effect(&self.rules, signal);
            if !left.contains(&effect) && left.len() < UNEXPLAINED_MAX {
                left.push(effect);
            }
        }
        (!left.is_empty()).then(|| format!("{NOT_EXPLAINED}{}", left.join("; ")))
    }
}

/// By service, how many times as long as usual its requests take.
fn slower(signals: &[MovedSignal]) -> BTreeMap<&str, f64> {
    let latencies = [Role::Latency, Role::LatencyTypical].map(Role::name);
    let mut slower: BTreeMap<&str, f64> = BTreeMap::new();
    for signal in signals.iter().filter(|signal| latencies.contains(&signal.role.as_str())) {
        let ratio = slower.entry(&signal.service).or_insert(1.0);
        *ratio = ratio.max(growth(signal).unwrap_or(1.0));
    }
    slower
}

/// How many times what is usual a signal stands at.
fn growth(signal: &MovedSignal) -> Option<f64> {
    let usual = signal.expected.filter(|usual| *usual > 0.0)?;
    Some(signal.now? / usual)
}

/// What a signal does: `checkout latency 420 ms (usually 310 ms)`, `web cpu of web-2 30% (the others
/// 19%)`.
fn effect(rules: &Rules, signal: &MovedSignal) -> String {
    let what = signal.subject();
    let rule = rules.signal(&signal.signal);
    let called = rule.and_then(|rule| signal.labels.get(rule.dependency.as_ref()?));
    let whom = match (called, &signal.peer) {
        (Some(called), _) => format!(" to {called}"),
        (None, Some(peer)) => format!(" of {peer}"),
        (None, None) => String::new(),
    };
    let told = |(now, usual)| format::pair([now, usual], signal.unit.as_deref());
    match signal.now.zip(signal.expected).map(told) {
        Some([now, usual]) if now != usual => {
            format!("{} {what}{whom} {now} ({} {usual})", signal.service, signal.against())
        }
        _ => format!("{} {what}{whom} {}", signal.service, signal.direction),
    }
}

/// Whether a cause makes a move of this signal's role more likely. What is felt follows from any
/// cause, and what happens inside a service that is called is that service's trouble.
fn is_explained(cause: &Cause, called: Option<&str>, signal: &MovedSignal) -> bool {
    let Some(role) = Role::from_name(&signal.role).map(one_of_its_kind) else { return false };
    let inside = called == Some(signal.service.as_str());
    let expects = |evidence: &Evidence| {
        let any = matches!(evidence.see, See::PeerApart { of: None } | See::LoopClosing);
        evidence.likely > evidence.otherwise && (any || rests_on(&evidence.see).contains(&role))
    };
    inside || FELT.contains(&role) || cause.evidence.iter().any(expects)
}

fn silence(incident: &Incident) -> String {
    match incident.services.len() {
        0 | 1 => format!("{} is silent", incident.service),
        n => format!("{} and {} more are silent", incident.service, n - 1),
    }
}

/// A title in the middle of a sentence; abbreviations stay.
fn begin_small(title: &str) -> String {
    let mut chars = title.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(std::iter::once(second)).chain(chars).collect()
        }
        _ => title.to_owned(),
    }
}
