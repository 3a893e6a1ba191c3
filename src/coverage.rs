//! What would be seen of each service, and what would not: services × roles, the review's ten
//! questions, and the causes that nothing could show.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Serialize;

use crate::engine::overview::{Overview, ServiceStanding};
use crate::rules::{
    Cause, Role, RoleState, Rules, See, Signal, StandIn, histograms, instead_of_percentile, load,
    packs, stand_in,
};
use crate::series::ChangeKind;
use crate::source::{Prometheus, SourceError};
use crate::time::{Span, Timestamp};

/// A service that had data this long ago and has none now is silent.
const BEFORE: [Span; 2] = [Span::DAY, Span::WEEK];
/// What was seen this shortly ago is there: counts of rare events come and go.
const FRESH: Span = Span::HOUR;
/// Services shown; a fleet of more is looked at by owner.
const SERVICES_MAX: usize = 2_000;

/// Evidence so many times as likely under a cause as under the others speaks clearly for it.
const CLEAR_RATIO: f64 = 2.0;

/// The review checklist: a question, and the roles of which one must be seen to answer it.
const QUESTIONS: [(&str, &[Role]); 10] = [
    ("two callers deciding before either commits", &[Role::Conflicts]),
    ("an invariant that only the application keeps", &[Role::Conflicts, Role::LockWait]),
    ("success that times out on the way back", &[Role::Retries, Role::Goodput]),
    ("a retry that repeats a side effect", &[Role::Retries, Role::Conflicts]),
    ("stale queued work", &[Role::QueueAge, Role::Staleness]),
    ("caches of processes that differ", &[Role::CacheHit]),
    ("a tenant, key or row that becomes hot", &[]),
    ("old and new code on the same data", &[Role::Version]),
    ("rising retries, queue age, lock wait", &[Role::Retries, Role::QueueAge, Role::LockWait]),
    ("shedding before corruption", &[Role::Throttled, Role::Goodput]),
];

/// How well a role of a service is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "RoleCoverage")]
pub enum State {
    /// A signal is bound to it and has data.
    Bound,
    /// A signal is bound to it and had data in the last week, and has none now.
    Silent,
    /// No signal gives it for this service.
    Missing,
}

/// What would be seen.
#[derive(Clone, Debug, Serialize)]
pub struct Coverage {
    /// When the backend was asked.
    pub at: Timestamp,
    /// Services in order of name.
    pub services: Vec<Service>,
    /// How many services were left out, because there are too many.
    pub more: usize,
    /// For each role that some service lacks: packs that would give it.
    pub packs: BTreeMap<String, Vec<String>>,
    /// Queries that the backend refused, by signal.
    pub problems: BTreeMap<String, String>,
}

/// What would be seen of one service.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "ServiceCoverage")]
pub struct Service {
    /// Its name.
    pub service: String,
    /// Every role that a cause speaks of.
    pub roles: Vec<Covered>,
    /// Durations of which no percentile is seen: the signals that stand in for it, and why.
    pub instead: Vec<String>,
    /// The review's questions and whether metrics can answer them.
    pub questions: Vec<Answered>,
    /// Causes that could not be told from others, because nothing that speaks clearly for them can
    /// be looked up.
    pub blind: Vec<String>,
}

/// A role of a service.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "CoveredRole")]
pub struct Covered {
    /// The role.
    pub role: String,
    /// How well it is seen.
    pub state: State,
    /// The signals that give it, or gave it.
    pub signals: Vec<String>,
}

/// A question of the review.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "CoveredQuestion")]
pub struct Answered {
    /// What could be wrong.
    pub question: String,
    /// Whether some role that would show it is seen.
    pub answered: bool,
    /// The roles that would show it.
    pub roles: Vec<String>,
}

/// What signals gave: rows now, and rows earlier.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Services with rows now, by signal.
    pub now: BTreeMap<String, BTreeSet<String>>,
    /// Services with rows a day or a week ago, by signal.
    pub before: BTreeMap<String, BTreeSet<String>>,
    /// Queries that the backend refused, by signal.
    pub problems: BTreeMap<String, String>,
}

impl Rows {
    /// What the engine has seen of these services, without asking anybody: within the last hour,
    /// and before that within a week.
    pub fn of(overview: &Overview, services: &[&ServiceStanding]) -> Self {
        let mut rows = Self::default();
        let Some(now) = overview.at else { return rows };
        for series in services.iter().flat_map(|standing| &standing.series) {
            let ago = series.seen.map(|seen| now - seen);
            let seen = match ago {
                Some(ago) if ago <= FRESH => &mut rows.now,
                Some(ago) if ago <= Span::WEEK => &mut rows.before,
                _ => continue,
            };
            let signal = series.series.signal.clone();
            seen.entry(signal).or_default().insert(series.series.service.clone());
        }
        rows
    }
}

/// What is seen of services, by what their signals gave.
#[derive(Debug)]
pub struct View<'r> {
    rules: &'r Rules,
    rows: Rows,
    /// Every role that a cause speaks of.
    roles: BTreeSet<Role>,
}

impl<'r> View<'r> {
    /// A view of what signals gave.
    pub fn new(rules: &'r Rules, rows: Rows) -> Self {
        Self { rules, rows, roles: roles_of(&rules.causes) }
    }

    /// What is seen of one service. Cost: O(signals · roles).
    pub fn service(&self, name: &str) -> Service {
        one(self.rules, &self.rows, &self.roles, name)
    }
}

/// Asks every signal's query now, a day and a week ago. `told` hears how many are done.
///
/// # Errors
///
/// When the backend cannot be asked at all.
pub async fn ask(
    source: &Prometheus,
    rules: &Rules,
    at: Timestamp,
    mut told: impl FnMut(u64),
) -> Result<Rows, SourceError> {
    let mut rows = Rows::default();
    for (done, signal) in rules.signals.iter().enumerate() {
        told(done as u64);
        for (back, past) in std::iter::once((Span::ZERO, false)).chain(BEFORE.map(|b| (b, true))) {
            let answer = source.query(&signal.query, at - signal.delay - back).await;
            let services = match answer {
                Ok(answer) => answer.into_iter().filter_map(|mut row| {
                    row.labels.remove(&signal.service).filter(|name| !name.is_empty())
                }),
                Err(error) if error.may_be_about_backend() => return Err(error),
                Err(error) => {
                    rows.problems.insert(signal.name.clone(), error.to_string());
                    break;
                }
            };
            let seen = if past { &mut rows.before } else { &mut rows.now };
            seen.entry(signal.name.clone()).or_default().extend(services);
        }
    }
    Ok(rows)
}

/// What is seen of each service that a signal or the configuration names, or of the one that is
/// wanted.
pub fn coverage(rules: &Rules, rows: Rows, at: Timestamp, wanted: Option<&str>) -> Coverage {
    let mut names: BTreeSet<&String> = rules.services.keys().collect();
    names.extend(rows.now.values().chain(rows.before.values()).flatten());
    names.retain(|name| wanted.is_none_or(|wanted| wanted == *name));
    let more = names.len().saturating_sub(SERVICES_MAX);
    let names: Vec<String> = names.into_iter().take(SERVICES_MAX).cloned().collect();
    let view = View::new(rules, rows);
    let services: Vec<Service> = names.iter().map(|name| view.service(name)).collect();
    let packs = packs_for(&services);
    Coverage { at, services, more, packs, problems: view.rows.problems }
}

fn one(rules: &Rules, rows: &Rows, roles: &BTreeSet<Role>, service: &str) -> Service {
    let has = |rows: &BTreeMap<String, BTreeSet<String>>, signal: &Signal| {
        rows.get(&signal.name).is_some_and(|services| services.contains(service))
    };
    let with = |rows| rules.signals.iter().filter(move |signal| has(rows, signal));
    let live: Vec<&Signal> = with(&rows.now).collect();
    let earlier: Vec<&Signal> = with(&rows.before).collect();
    let covered = |role: Role| {
        let of_role = |signals: &[&Signal]| -> Vec<String> {
            let signals = signals.iter().filter(|signal| signal.role == role);
            signals.map(|signal| signal.name.clone()).collect()
        };
        let (bound, silent) = (of_role(&live), of_role(&earlier));
        let (state, signals) = match (bound.is_empty(), silent.is_empty()) {
            (false, _) => (State::Bound, bound),
            (true, false) => (State::Silent, silent),
            (true, true) => (State::Missing, Vec::new()),
        };
        Covered { role: role.name().to_owned(), state, signals }
    };
    let roles_seen: Vec<Covered> = roles.iter().map(|role| covered(*role)).collect();
    let seen = |role: Role| live.iter().any(|signal| signal.role == role);
    let broken_down = live.iter().any(|signal| signal.breakdown.is_some());
    let peers = live.iter().any(|signal| signal.role == Role::CacheHit && signal.peer.is_some());
    let deploys = !rules.changes.is_empty() || !rules.told.is_empty();
    let questions = QUESTIONS.iter().map(|(question, needs)| {
        let answered = match needs {
            [] => broken_down,
            [Role::CacheHit] => peers,
            [Role::Version] => deploys || seen(Role::Version),
            [first, Role::Goodput] => seen(*first) && seen(Role::Goodput),
            some => some.iter().any(|role| seen(*role)),
        };
        let roles = needs.iter().map(|role| role.name().to_owned()).collect();
        Answered { question: (*question).to_owned(), answered, roles }
    });
    let told =
        |kind| rules.changes.iter().any(|change| change.kind == kind) || rules.told.contains(&kind);
    let blind = rules.causes.iter().filter(|cause| is_blind(cause, &told, &seen, broken_down));
    Service {
        service: service.to_owned(),
        instead: instead(&rules.signals, &live),
        questions: questions.collect(),
        blind: blind.map(|cause| cause.id.clone()).collect(),
        roles: roles_seen,
    }
}

/// Says of which durations a service shows a mean and no percentile.
fn instead(all: &[Signal], live: &[&Signal]) -> Vec<String> {
    let mut means = BTreeSet::new();
    for signal in live {
        let counted = signal.requires.iter().filter_map(|name| name.strip_suffix("_count"));
        means.extend(counted.filter(|of| stand_in(signal, of) == Some(StandIn::Mean)));
    }
    let reads = |signal: &Signal, of: &str| histograms(signal).any(|histogram| histogram == of);
    let percentile = |of: &&str| {
        live.iter().any(|signal| reads(signal, of) || stand_in(signal, of) == Some(StandIn::Native))
    };
    means.retain(|of| !percentile(of));
    let told = means.iter().map(|of| {
        let there =
            live.iter().filter_map(|signal| Some((signal.name.as_str(), stand_in(signal, of)?)));
        let (signals, kinds): (Vec<&str>, BTreeSet<StandIn>) = there.unzip();
        let why = if all.iter().any(|signal| reads(signal, of)) {
            "there are no buckets".to_owned()
        } else {
            format!("no signal reads {of}_bucket")
        };
        format!("{}: {}: {why}", signals.join(", "), instead_of_percentile(&kinds))
    });
    told.collect()
}

/// Every role that the causes speak of.
pub(crate) fn roles_of<'c>(causes: impl IntoIterator<Item = &'c Cause>) -> BTreeSet<Role> {
    let evidence = causes.into_iter().flat_map(|cause| &cause.evidence);
    evidence
        .flat_map(|evidence| match &evidence.see {
            See::RoleIs { role, .. } => vec![*role],
            See::Order { first, then, .. } => vec![*first, *then],
            See::PeerApart { of: Some(role) } | See::ValueDominates { of: Some(role), .. } => {
                vec![*role]
            }
            _ => Vec::new(),
        })
        .collect()
}

/// Whether nothing that speaks clearly for a cause could be looked up: of which kinds of change
/// there is news, which roles are seen, and whether any signal is broken down.
pub(crate) fn is_blind(
    cause: &Cause,
    told: &dyn Fn(ChangeKind) -> bool,
    seen: &dyn Fn(Role) -> bool,
    breakdowns: bool,
) -> bool {
    let visible = |see: &See| match see {
        See::RoleIs { is: RoleState::Normal, .. } => false,
        See::RoleIs { role, .. } | See::PeerApart { of: Some(role) } => seen(*role),
        See::Order { first, then, .. } => seen(*first) && seen(*then),
        See::Change { kinds, .. } => kinds.iter().any(|kind| told(*kind)),
        See::WindowsWorse { kind } => told(*kind),
        See::ValueDominates { .. } => breakdowns,
        // Any signal shows these.
        _ => true,
    };
    let mut clear =
        cause.evidence.iter().filter(|e| e.likely >= CLEAR_RATIO * e.otherwise).peekable();
    clear.peek().is_some() && !clear.any(|evidence| visible(&evidence.see))
}

/// For each role that one of these services lacks: the packs that would give it.
pub fn packs_for(services: &[Service]) -> BTreeMap<String, Vec<String>> {
    let covered = services.iter().flat_map(|service| &service.roles);
    let lacking = covered.filter(|covered| covered.state == State::Missing);
    let known = lacking.filter_map(|covered| PACKS.get_key_value(covered.role.as_str()));
    known.map(|(role, packs)| ((*role).to_owned(), packs.clone())).collect()
}

/// The packs with a signal of each role; they are part of the program.
static PACKS: LazyLock<BTreeMap<&'static str, Vec<String>>> = LazyLock::new(|| {
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for pack in packs() {
        let signals = load(&[pack.file()]).0.signals;
        let given: BTreeSet<&str> = signals.iter().map(|signal| signal.role.name()).collect();
        for role in given {
            found.entry(role).or_default().push(pack.name.to_owned());
        }
    }
    found
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{RuleSet, builtin_causes};

    fn rules(signals: Vec<Signal>) -> Rules {
        let (RuleSet { causes, .. }, _) = load(&builtin_causes());
        Rules { signals, causes, ..Rules::default() }
    }

    fn seen(signal: &str, services: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
        let services = services.iter().map(|&name| name.to_owned()).collect();
        BTreeMap::from([(signal.to_owned(), services)])
    }

    #[test]
    fn a_role_is_bound_silent_or_missing() {
        let rules = rules(vec![
            Signal::plain("q", Role::QueueAge),
            Signal::plain("l", Role::Latency),
            Signal::plain("r", Role::Retries),
        ]);
        let mut rows = Rows { now: seen("l", &["web"]), ..Rows::default() };
        rows.before = seen("q", &["web", "jobs"]);
        let coverage = coverage(&rules, rows, Timestamp::from_secs(0), None);
        let of = |service: &str, role: &str| {
            let service = coverage.services.iter().find(|s| s.service == service).unwrap();
            service.roles.iter().find(|covered| covered.role == role).unwrap().state
        };
        assert_eq!(of("web", "latency"), State::Bound);
        assert_eq!(of("web", "queue_age"), State::Silent);
        assert_eq!(of("web", "retries"), State::Missing);
        assert_eq!(of("jobs", "latency"), State::Missing);
        assert!(coverage.packs["retries"].contains(&"envoy".to_owned()));
        assert!(!coverage.packs.contains_key("latency_typical_of_nothing"));
    }

    #[test]
    fn a_mean_in_place_of_a_percentile_is_told() {
        let requiring = |name: &str, names: &[&str]| {
            let requires = names.iter().map(|&name| name.to_owned()).collect();
            Signal { requires, ..Signal::plain(name, Role::Latency) }
        };
        let mean = requiring("mean", &["t_seconds_sum", "t_seconds_count"]);
        let slowest = requiring("max", &["t_seconds_max"]);
        let p99 = requiring("p99", &["t_seconds_bucket"]);
        let told = |signals: &[Signal], live: &[&str]| {
            let rules = rules(signals.to_vec());
            let now = live.iter().flat_map(|&signal| seen(signal, &["web"])).collect();
            let rows = Rows { now, ..Rows::default() };
            coverage(&rules, rows, Timestamp::from_secs(0), None).services[0].instead.clone()
        };
        let all = [mean.clone(), slowest, p99];
        let expected = "mean, max: mean and slowest instead of p99: there are no buckets";
        assert_eq!(told(&all, &["mean", "max"]), [expected]);
        assert_eq!(told(&all, &["mean", "max", "p99"]), [""; 0]);
        let expected = "mean: mean instead of p99: no signal reads t_seconds_bucket";
        assert_eq!(told(&[mean], &["mean"]), [expected]);
    }

    #[test]
    fn a_wanted_service_is_found_behind_all_that_are_shown() {
        let rules = rules(vec![Signal::plain("l", Role::Latency)]);
        let names: Vec<String> = (0..=SERVICES_MAX).map(|n| format!("s{n:05}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let last = *names.last().unwrap();
        let rows = Rows { now: seen("l", &names), ..Rows::default() };
        let of = |wanted| coverage(&rules, rows.clone(), Timestamp::from_secs(0), wanted);
        let all = of(None);
        assert_eq!((all.services.len(), all.more), (SERVICES_MAX, 1));
        let one = of(Some(last));
        assert_eq!((one.services[0].service.as_str(), one.services.len(), one.more), (last, 1, 0));
    }

    #[test]
    fn a_cause_without_any_sign_is_blind() {
        let rules = rules(vec![Signal::plain("m", Role::Memory)]);
        let rows = Rows { now: seen("m", &["web"]), ..Rows::default() };
        let coverage = coverage(&rules, rows, Timestamp::from_secs(0), None);
        let blind = &coverage.services[0].blind;
        assert!(blind.contains(&"queue-backlog".to_owned()), "{blind:?}");
        assert!(!blind.contains(&"resource-leak".to_owned()), "{blind:?}");
        let stale = coverage.services[0].questions.iter().find(|q| q.question.contains("stale"));
        assert!(!stale.unwrap().answered);
    }
}
