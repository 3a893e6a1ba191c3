//! Incidents: opened, joined, escalated, resolved. One incident gives one `firing`, an `updated`
//! only when its severity, leading cause or services change, and one `resolved`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::engine::alert::{CLEAR_MIN, NamedCause, Severity, State};
use crate::engine::correlate::{Finding, JOIN_WINDOW};
use crate::engine::diagnose::{Diagnosis, UNEXPLAINED};
use crate::engine::grid::{BLOCK, PER_HOUR, block_of};
use crate::engine::past::{Charge, Ended, Judged, Pattern, Trace};
use crate::series::stable_hash;
use crate::stats::tail::QUIET_BLOCKS;
use crate::time::{Span, Timestamp};

/// A clear cause is named from what is known in this time after the incident opened or grew; later,
/// everything is red (METHODS 8.12).
const NAMING_TIME: Span = Span::from_mins(30);
/// As long as no cause is clear, one may still become so, and a clear one that blames no tenant, peer
/// or version may give way to one that does: slow drifts show their parts slowly.
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
    /// Since when its cause is looked for: the tick that opened it, or the newest at which it
    /// clearly grew while no cause was clear.
    pub sought: Timestamp,
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
    /// What moved when it stood highest, while its cause could be named.
    pub look: Pattern,
    /// How high that was.
    looked: f64,
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
            sought: now,
            service: service.to_owned(),
            services: BTreeSet::from([service.to_owned()]),
            onset: onset.at,
            range: onset.range,
            severity: Severity::Notice,
            charges: [None, None],
            peak: 0.0,
            look: Pattern::new(),
            looked: 0.0,
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
        let late = self.told.is_some() && self.is_late(now);
        // Nothing can be more certain by so much.
        let settled = self.late_probability(now).is_some_and(|p| p + LEAD_CHANGE_MIN > 1.0);
        let open = !settled && !self.is_narrowed();
        !late || (open && now - self.sought <= UNCLEAR_TIME)
    }

    /// Whether a clear cause was told that blames one tenant, peer or version: no answer can tell
    /// more.
    fn is_narrowed(&self) -> bool {
        self.lead().is_some_and(|lead| lead.culprit.is_narrowed())
    }

    /// Whether a clear cause was told and everything may be red by now: what it looks like then is
    /// not what it looked like.
    pub fn is_settled(&self, now: Timestamp) -> bool {
        self.named().is_some() && self.is_late(now)
    }

    /// The clear cause that was told last.
    fn named(&self) -> Option<&str> {
        self.told.as_ref()?.cause.as_deref().filter(|cause| *cause != UNEXPLAINED)
    }

    /// The same as it was named, while it leads.
    fn lead(&self) -> Option<&NamedCause> {
        let told = self.named()?;
        self.diagnosis.causes.first().filter(|lead| lead.id == told)
    }

    /// Whether everything may be red by now.
    pub fn is_late(&self, now: Timestamp) -> bool {
        now - self.sought > NAMING_TIME
    }

    /// The service in which trouble began when a clear cause was told that lies in it. That it waits
    /// for another, or is waited for, is no such cause: it does not say why.
    pub fn explained_at(&self) -> Option<&str> {
        let dependency = self.lead()?.culprit.dependency();
        dependency.is_none().then_some(&self.diagnosis.trace.root)
    }

    /// How probable the cause that was told was when everything may have been red: what explains
    /// the service in which the trouble began gives way only to what is far more certain.
    fn late_probability(&self, now: Timestamp) -> Option<f64> {
        let explained = self.is_late(now) && self.explained_at().is_some();
        self.lead().filter(|_| explained).map(|lead| lead.probability)
    }

    /// Whether a new leader can tell more than the cause that was told. Whom the others wait for is
    /// known; whose work it is, and which peer is behind it, may show itself late, where the trouble
    /// began.
    fn tells_more(&self, diagnosis: &Diagnosis, lead: &NamedCause, now: Timestamp) -> bool {
        let here = self.explained_at().is_none_or(|root| *root == diagnosis.trace.root);
        !self.is_late(now) || (here && lead.culprit.is_narrowed())
    }

    /// Whether the cause that was told leads here, and clearly.
    pub fn is_explained_by(&self, diagnosis: &Diagnosis) -> bool {
        let told = self.told.as_ref().and_then(|told| told.cause.as_deref());
        let lead = diagnosis.causes.first();
        lead.is_some_and(|lead| Some(lead.id.as_str()) == told && lead.probability >= CLEAR_MIN)
    }

    /// Takes a new diagnosis while the incident is young; longer while no cause is clear. A
    /// leader that is hardly better than the one told does not replace it, and a clear cause is
    /// never taken back for an unclear one.
    pub fn consider(&mut self, diagnosis: Diagnosis, now: Timestamp) {
        if !self.is_open_to_naming(now) {
            return;
        }
        let told = self.told.as_ref().and_then(|told| told.cause.as_deref());
        let unclear = self.named().is_none();
        if let (Some(lead), Some(told)) = (diagnosis.causes.first(), told)
            && lead.id != told
        {
            let of_old = diagnosis.causes.iter().find(|cause| cause.id == told);
            let still = of_old.map_or(0.0, |cause| cause.probability);
            let old = self.late_probability(now).map_or(still, |then| then.max(still));
            let surer = lead.probability >= old + LEAD_CHANGE_MIN;
            let better = unclear || (surer && self.tells_more(&diagnosis, lead, now));
            if lead.id == UNEXPLAINED || !better {
                self.rival = None;
                return;
            }
            // Late it is the peer or tenant that convinces, so that it must be the same one.
            let mut rival = lead.id.clone();
            if self.is_late(now) {
                rival = format!("{rival} {:?}", lead.culprit.labels);
            }
            let blocks = match self.rival.take() {
                Some((before, blocks)) if before == rival => blocks + 1,
                _ => 1,
            };
            if blocks < CLEAR_BLOCKS {
                self.rival = Some((rival, blocks));
                return;
            }
        } else {
            self.rival = None;
            if self.is_settled(now) {
                return;
            }
        }
        if self.told.is_none() && !diagnosis.service.is_empty() {
            self.service.clone_from(&diagnosis.service);
            self.services.insert(diagnosis.service.clone());
        }
        self.diagnosis = diagnosis;
    }

    /// It clearly grew. As long as no cause is clear, it is looked for anew: what opened it may have
    /// been noise or small, and this is what it will be remembered for. Of what a clear cause does
    /// as it grows, everything is red.
    pub fn seek(&mut self, now: Timestamp) {
        if self.named().is_none() {
            self.sought = now;
            self.looked = 0.0;
        }
    }

    /// Takes in how high it stands now, and what moves if that is still to be seen. The first block
    /// of a large step shows only what is loudest, and as it fades only what is left.
    pub fn show(&mut self, standing: f64, moves: Option<&Pattern>) {
        if let Some(moves) = moves.filter(|moves| self.looked <= standing && !moves.is_empty()) {
            self.look.clone_from(moves);
            self.looked = standing;
        }
        self.peak = self.peak.max(standing);
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
            trace: Trace { pattern: self.look, ..self.diagnosis.trace },
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
mod tests;
