//! Incidents: opened, joined, escalated, resolved. One incident gives one `firing`, an `updated`
//! only when its severity, leading cause or services change, and one `resolved`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::engine::alert::{Severity, State};
use crate::engine::correlate::{Finding, JOIN_WINDOW};
use crate::engine::diagnose::{Diagnosis, UNEXPLAINED};
use crate::engine::grid::{BLOCK, PER_HOUR, block_of};
use crate::engine::past::{Charge, Ended, Judged};
use crate::series::stable_hash;
use crate::stats::tail::QUIET_BLOCKS;
use crate::time::{Span, Timestamp};

/// A clear cause is named from what is known in this time after the incident opened; later,
/// everything is red (METHODS 8.12).
const NAMING_TIME: Span = Span::from_mins(30);
/// As long as no cause is clear, one may still become so: slow drifts show their parts slowly.
const UNCLEAR_TIME: Span = Span::from_hours(3);
/// A cause that becomes clear later must stay so for this many blocks before it is told.
const CLEAR_BLOCKS: u32 = 3;
/// A new leader must be this much more probable than the old one to replace it.
const LEAD_CHANGE_MIN: f64 = 0.3;
/// Findings whose onset lies at most this far before the strongest one's belong to it: a move
/// that was going on for longer is another story that has not ended.
const ONSET_SPREAD: Span = JOIN_WINDOW;
/// A score from which on a finding's onset counts for the incident's.
const ONSET_SCORE_MIN: f64 = 3.0;
/// A silent service is worth interrupting somebody after this long.
pub const SILENT_WARNING_BLOCKS: i64 = PER_HOUR;

/// What kind of evidence opened an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Signals left their baselines.
    Drift,
    /// Signals stopped.
    Silence,
}

/// Findings that belong together, from opening to resolution.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Incident {
    /// Stable: made of the service, the onset and the block that opened it.
    pub id: String,
    /// What opened it.
    pub kind: Kind,
    /// The tick that opened it.
    pub opened: Timestamp,
    /// The service that the alert names.
    pub service: String,
    /// Services in it.
    pub services: BTreeSet<String>,
    /// When it began.
    pub onset: Timestamp,
    /// Where the onset can lie.
    pub range: [Timestamp; 2],
    /// Only ever rises.
    pub severity: Severity,
    /// Causes and steps, frozen after [`NAMING_TIME`].
    pub diagnosis: Diagnosis,
    /// How far it turned the controllers when it opened, and when it began to interrupt; none
    /// where that was taken back.
    pub charges: [Option<Charge>; 2],
    /// The highest that any of its services stood against its notice threshold.
    pub peak: f64,
    /// What people said.
    pub judged: Option<Judged>,
    /// True while people expect its levels and these are not yet accepted as normal.
    pub accepts: bool,
    /// How many times what looks like this was called no trouble, while that keeps it a notice.
    pub habit: Option<usize>,
    /// Blocks in a row in which all its services were quiet.
    quiet: usize,
    /// What was told last; none before the first alert.
    told: Option<Told>,
    /// A cause that would replace the one told, and for how many blocks in a row.
    rival: Option<(String, u32)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    severity: Severity,
    cause: Option<String>,
    services: BTreeSet<String>,
}

impl Incident {
    /// A new incident of one service.
    pub fn open(kind: Kind, service: &str, onset: Onset, now: Timestamp) -> Self {
        Self {
            id: id_of(kind, service, [onset.at, now]),
            kind,
            opened: now,
            service: service.to_owned(),
            services: BTreeSet::from([service.to_owned()]),
            onset: onset.at,
            range: onset.range,
            severity: Severity::Notice,
            charges: [None, None],
            peak: 0.0,
            judged: None,
            accepts: false,
            habit: None,
            diagnosis: Diagnosis::default(),
            quiet: 0,
            told: None,
            rival: None,
        }
    }

    /// Whether trouble that began at `onset` elsewhere can be this incident: it began within two
    /// hours of this one, as far as onsets can be told (METHODS 8.4).
    pub fn is_near(&self, onset: &Onset) -> bool {
        let apart =
            if onset.at > self.onset { onset.at - self.onset } else { self.onset - onset.at };
        let overlap = onset.range[0] <= self.range[1] + JOIN_WINDOW
            && self.range[0] <= onset.range[1] + JOIN_WINDOW;
        apart <= JOIN_WINDOW || overlap
    }

    /// Whether a new diagnosis can still change the cause: once the time for naming is over, none
    /// needs to be made.
    pub fn is_open_to_naming(&self, now: Timestamp) -> bool {
        let Some(told) = &self.told else { return true };
        let unclear = told.cause.as_deref().is_none_or(|cause| cause == UNEXPLAINED);
        now - self.opened <= if unclear { UNCLEAR_TIME } else { NAMING_TIME }
    }

    /// Takes a new diagnosis while the incident is young; longer while no cause is clear. A
    /// leader that is hardly better than the one told does not replace it, and a clear cause is
    /// never taken back for an unclear one.
    pub fn consider(&mut self, diagnosis: Diagnosis, now: Timestamp) {
        if !self.is_open_to_naming(now) {
            return;
        }
        let told = self.told.as_ref().and_then(|told| told.cause.as_deref());
        let unclear = told.is_none_or(|told| told == UNEXPLAINED);
        if let (Some(lead), Some(told)) = (diagnosis.causes.first(), told)
            && lead.id != told
        {
            let of_old = diagnosis.causes.iter().find(|cause| cause.id == told);
            let old = of_old.map_or(0.0, |cause| cause.probability);
            let better = unclear || lead.probability >= old + LEAD_CHANGE_MIN;
            if lead.id == UNEXPLAINED || !better {
                self.rival = None;
                return;
            }
            let blocks = match self.rival.take() {
                Some((id, blocks)) if id == lead.id => blocks + 1,
                _ => 1,
            };
            if blocks < CLEAR_BLOCKS {
                self.rival = Some((lead.id.clone(), blocks));
                return;
            }
        } else {
            self.rival = None;
        }
        if self.told.is_none() && !diagnosis.service.is_empty() {
            self.service.clone_from(&diagnosis.service);
            self.services.insert(diagnosis.service.clone());
        }
        self.diagnosis = diagnosis;
    }

    /// Raises the severity; it never falls while the incident lasts.
    pub fn raise(&mut self, severity: Severity) {
        self.severity = self.severity.max(severity);
    }

    /// Counts quiet blocks. True when the incident is over: an hour without a trace.
    pub fn quiet(&mut self, is_quiet: bool) -> bool {
        self.quiet = if is_quiet { self.quiet + 1 } else { 0 };
        self.quiet >= QUIET_BLOCKS
    }

    /// What is remembered of it once it is over.
    pub fn ended(self, ended: Timestamp) -> Ended {
        let leading = self.diagnosis.causes.into_iter().next();
        Ended {
            id: self.id,
            onset: self.onset,
            ended,
            cause: leading.map(|cause| (cause.id, cause.probability)),
            severity: self.severity,
            peak: self.peak,
            trace: self.diagnosis.trace,
            charges: self.charges,
            judged: self.judged,
        }
    }

    /// What has changed since it was last told, in words; none before the first alert.
    pub fn news(&self) -> Option<String> {
        let told = self.told.as_ref()?;
        let mut news = Vec::new();
        if told.severity != self.severity {
            news.push(format!("now {}", self.severity));
        }
        let named = |cause: Option<&str>| cause.is_some_and(|cause| cause != UNEXPLAINED);
        let cause = self.diagnosis.causes.first().map(|cause| cause.id.as_str());
        if told.cause.as_deref() != cause && named(cause) {
            news.push(if named(told.cause.as_deref()) {
                "another cause leads".to_owned()
            } else {
                "the cause is clear now".to_owned()
            });
        }
        let joined: Vec<&str> =
            self.services.difference(&told.services).map(String::as_str).collect();
        news.extend(match joined.as_slice() {
            [] => None,
            [one] => Some(format!("{one} is in it too")),
            [one, other] => Some(format!("{one} and {other} are in it too")),
            [one, rest @ ..] => Some(format!("{one} and {} more are in it too", rest.len())),
        });
        (!news.is_empty()).then(|| news.join(", "))
    }

    /// What must be told now, if anything, and remembers that it was.
    pub fn tell(&mut self) -> Option<State> {
        let now = Told {
            severity: self.severity,
            cause: self.diagnosis.causes.first().map(|cause| cause.id.clone()),
            services: self.services.clone(),
        };
        let state = match &self.told {
            None => State::Firing,
            Some(told) if *told == now => return None,
            Some(_) => State::Updated,
        };
        self.told = Some(now);
        Some(state)
    }
}

/// When trouble began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Onset {
    /// Most likely.
    pub at: Timestamp,
    /// Where it can lie.
    pub range: [Timestamp; 2],
}

impl Onset {
    /// The earliest onset among the strong findings that belong to the strongest.
    pub fn of(findings: &[Finding], now: Timestamp) -> Self {
        let Some(strongest) = findings.first() else {
            return Self { at: now - BLOCK, range: [now - BLOCK; 2] };
        };
        let earliest = findings
            .iter()
            .filter(|f| f.score >= ONSET_SCORE_MIN && f.onset >= strongest.onset - ONSET_SPREAD)
            .min_by_key(|f| f.onset)
            .unwrap_or(strongest);
        Self { at: earliest.onset, range: earliest.range }
    }
}

/// A readable id that the same data always gives: `checkout-20260301T0212Z-4f1a`. What is silent
/// since before an incident ended may open another with the same onset, hence `opened`.
fn id_of(kind: Kind, service: &str, [onset, opened]: [Timestamp; 2]) -> String {
    let minute = onset.to_jiff().strftime("%Y%m%dT%H%MZ").to_string();
    let kind = if kind == Kind::Drift { "drift" } else { "silence" };
    let blocks = [onset, opened].map(|at| block_of(at).to_string());
    let hash = stable_hash(&[kind, service, &blocks[0], &blocks[1]]) & 0xffff;
    let slug: String = service
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .take(60)
        .collect();
    format!("{slug}-{minute}-{hash:04x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::alert::{Culprit, NamedCause};

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_secs(1_772_331_000) + Span::from_mins(minutes)
    }

    fn onset(minutes: i64) -> Onset {
        Onset { at: at(minutes), range: [at(minutes - 10), at(minutes + 10)] }
    }

    fn diagnosis(causes: &[(&str, f64)]) -> Diagnosis {
        let causes = causes.iter().map(|&(id, probability)| NamedCause {
            id: id.to_owned(),
            probability,
            culprit: Culprit::default(),
            evidence_for: vec![],
            against: vec![],
            unknown: vec![],
        });
        Diagnosis { causes: causes.collect(), ..Diagnosis::default() }
    }

    #[test]
    fn tells_once_and_then_only_what_changed() {
        let mut incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
        incident.consider(diagnosis(&[("slow-dependency", 0.6), ("overload", 0.3)]), at(30));
        assert_eq!(incident.tell(), Some(State::Firing));
        assert_eq!(incident.tell(), None, "nothing changed");
        incident.consider(diagnosis(&[("overload", 0.45), ("slow-dependency", 0.44)]), at(40));
        assert_eq!(incident.tell(), None, "a lead by a hair is no news");
        incident.consider(diagnosis(&[(UNEXPLAINED, 0.5), ("overload", 0.3)]), at(40));
        assert_eq!(incident.tell(), None, "a clear cause is not taken back");
        for minute in [45, 50] {
            incident
                .consider(diagnosis(&[("overload", 0.7), ("slow-dependency", 0.2)]), at(minute));
            assert_eq!(incident.tell(), None, "may be a moment's noise");
        }
        incident.consider(diagnosis(&[("overload", 0.7), ("slow-dependency", 0.2)]), at(55));
        assert_eq!(incident.tell(), Some(State::Updated));
        incident.consider(diagnosis(&[("slow-dependency", 0.9)]), at(100));
        assert_eq!(incident.tell(), None, "named from what was known near the onset");
        incident.raise(Severity::Warning);
        incident.raise(Severity::Notice);
        assert_eq!(incident.severity, Severity::Warning, "severity never falls");
        assert_eq!(incident.news().as_deref(), Some("now warning"));
        assert_eq!(incident.tell(), Some(State::Updated));
        assert_eq!(incident.news(), None);
    }

    #[test]
    fn an_unclear_incident_may_become_clear_later() {
        let mut incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
        incident.consider(diagnosis(&[(UNEXPLAINED, 0.5)]), at(30));
        assert_eq!(incident.tell(), Some(State::Firing));
        for minute in [150, 155, 160] {
            incident.consider(diagnosis(&[("pool-exhaustion", 0.55)]), at(minute));
        }
        incident.services.extend(["db".to_owned(), "api".to_owned()]);
        let news = "the cause is clear now, api and db are in it too";
        assert_eq!(incident.news().as_deref(), Some(news));
        assert_eq!(incident.tell(), Some(State::Updated));
    }

    #[test]
    fn a_cause_that_leads_every_other_block_is_not_clear() {
        let mut incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
        for minute in (30..90).step_by(10) {
            incident.consider(diagnosis(&[(UNEXPLAINED, 0.5)]), at(minute));
            assert_eq!(incident.tell().is_some(), minute == 30, "{minute}");
            incident.consider(diagnosis(&[("pool-exhaustion", 0.55)]), at(minute + 5));
            assert_eq!(incident.tell(), None, "{minute}");
        }
    }

    #[test]
    fn what_has_no_finding_began_in_the_block_that_shows_it() {
        let onset = Onset::of(&[], at(30));
        assert_eq!((onset.at, onset.range), (at(25), [at(25), at(25)]), "not after the alert");
    }

    #[test]
    fn resolves_after_an_hour_of_quiet_in_a_row() {
        let mut incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
        for _ in 0..11 {
            assert!(!incident.quiet(true));
        }
        assert!(!incident.quiet(false), "a relapse starts the hour anew");
        assert_eq!((0..12).filter(|_| incident.quiet(true)).count(), 1);
    }

    #[test]
    fn joins_by_onset_and_not_by_overlap_in_time() {
        let incident = Incident::open(Kind::Drift, "web", onset(0), at(30));
        assert!(incident.is_near(&onset(100)));
        assert!(!incident.is_near(&onset(400)), "another onset is another incident");
    }

    #[test]
    fn ids_can_be_read_and_hold_no_surprises() {
        let id = id_of(Kind::Drift, "we b/\n<x>", [at(0), at(30)]);
        assert!(id.starts_with("we_b___x_-20260301T0210Z-"), "{id}");
        assert_ne!(id, id_of(Kind::Silence, "we b/\n<x>", [at(0), at(30)]));
        assert_ne!(id, id_of(Kind::Drift, "we b/\n<x>", [at(0), at(90)]));
    }
}
